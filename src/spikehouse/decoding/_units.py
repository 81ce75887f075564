"""Decoding accuracy by number of units and by area."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.decoding._engine import Job, Progress, run_jobs
from spikehouse.decoding._inputs import Design, Targets
from spikehouse.decoding._plans import Plan, check_repeats, make_plan, spawn
from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.labelled import look_up, rows_first

Positions = npt.NDArray[np.intp]
# numpy converts missing values in an array of text to the last two
_NO_AREA = ("", "nan", "None")


def decode_by_unit_count(
    design: Design,
    targets: Targets,
    *,
    n_units: Sequence[int] | npt.ArrayLike | None = None,
    n_draws: int = 10,
    estimator: object = None,
    cv: object = None,
    groups: Targets | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> xr.DataArray:
    """Decode from random subsets of units of increasing size.

    Parameters
    ----------
    design, targets
        Spike counts, presentations × units, and the label of each presentation, as for
        :func:`~spikehouse.decode`.
    n_units
        Numbers of units to draw. Default: 1, 2, 5, 10, 20, 50 … and all.
    n_draws
        Number of random subsets of each size.
    estimator, cv, groups, seed, n_jobs
        As for :func:`~spikehouse.decode`. The folds are the same for every draw; the seed is also
        that of the draws.
    progress
        Function called after each decoding with the number done and the total.

    Returns
    -------
    DataArray, shape (n_numbers, n_draws)
        ``accuracy`` (n_units, draw), the mean over the folds. Its attributes hold the parameters
        and ``chance``.

    Notes
    -----
    Units are drawn without replacement. The subsets of one draw are nested: its 10 units are among
    its 20. Draws depend on the seed only, not on ``n_units``, and more draws do not change the
    first ones. All draws of all units are the same and are decoded once.

    Examples
    --------
    >>> orientation = np.tile([0, 90], 50)
    >>> rng = np.random.default_rng(0)
    >>> counts = rng.poisson(np.where(orientation[:, None] == 0, [5] * 20, [3] * 20))
    >>> curve = decode_by_unit_count(counts, orientation, n_units=[1, 20], n_draws=5)
    >>> curve.mean("draw").round(2).values
    array([0.66, 0.97])
    """
    plan = make_plan(design, targets, estimator=estimator, cv=cv, groups=groups, seed=seed)
    n_all = plan.problem.design.shape[1]
    numbers = _check_numbers(n_units, n_all)
    orders = [rng.permutation(n_all) for rng in spawn(seed, check_repeats("n_draws", n_draws))]
    draws = [order[:number] for number in numbers for order in orders]
    accuracies, notes = _decode_draws(plan, draws, n_jobs=n_jobs, progress=progress)
    if n_all in numbers and len(orders) > 1:
        notes += (f"the draws of all {n_all} units are equal and have no spread",)
    return _label_draws(
        accuracies.reshape(len(numbers), -1),
        dimension="n_units",
        values=numbers,
        attrs=plan.attributes(plan.notes() + notes) | {"n_units_available": n_all},
    )


def decode_by_area(
    design: Design,
    targets: Targets,
    areas: pd.Series | pd.DataFrame | npt.ArrayLike,
    *,
    n_units: int | None = None,
    n_draws: int = 10,
    min_units: int = 10,
    area_column: str = "ecephys_structure_acronym",
    estimator: object = None,
    cv: object = None,
    groups: Targets | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> xr.DataArray:
    """Decode from each area with the same number of units.

    Parameters
    ----------
    design
        Spike counts, presentations × units; see :func:`~spikehouse.decode`. With unit ids
        (columns of a DataFrame, ``unit_id`` of a DataArray) if ``areas`` has unit ids.
    targets
        Label of each presentation; see :func:`~spikehouse.decode`.
    areas
        Area of each unit: a table such as ``session.units``, a Series with unit ids as index, or
        one name for each column of the design. Units without an area are left out.
    n_units
        Number of units to draw from each area; smaller areas are left out. Default: the size of
        the smallest area with at least ``min_units`` units.
    n_draws
        Number of random subsets per area.
    min_units
        Smallest area to include if ``n_units`` is None.
    area_column
        Column with the area if ``areas`` is a table.
    estimator, cv, groups, seed, n_jobs
        As for :func:`~spikehouse.decode`. The folds are the same for every area; the seed is also
        that of the draws.
    progress
        Function called after each decoding with the number done and the total.

    Returns
    -------
    DataArray, shape (n_areas, n_draws)
        ``accuracy`` (area, draw), the mean over the folds. Areas are in alphabetical order, with
        the coordinate ``n_units_available``. Attributes hold the parameters, ``n_units``,
        ``chance``, and in ``notes`` the areas that were left out or whose draws are all equal.

    Notes
    -----
    Accuracy grows with the number of units, so areas are compared with equal numbers of units,
    drawn at random without replacement. The draws of an area do not depend on the other areas.

    Examples
    --------
    >>> orientation = np.tile([0, 90], 50)
    >>> tells = np.repeat([False, True], [20, 12])
    >>> rates = np.where((orientation[:, None] == 0) & tells, 6, 3)
    >>> counts = np.random.default_rng(0).poisson(rates)
    >>> by_area = decode_by_area(counts, orientation, np.where(tells, "VISp", "CA1"))
    >>> by_area.mean("draw").round(1).to_series().to_dict()
    {'CA1': 0.5, 'VISp': 1.0}
    >>> by_area.attrs["n_units"]
    12
    """
    plan = make_plan(design, targets, estimator=estimator, cv=cv, groups=groups, seed=seed)
    n_columns = plan.problem.design.shape[1]
    members = _members(_areas_of_columns(design, areas, area_column, n_columns))
    chosen, number = _choose_areas(members, n_units, check_repeats("min_units", min_units))
    n_draws = check_repeats("n_draws", n_draws)
    draws = [
        rng.permutation(members[area])[:number] for area in chosen for rng in spawn(seed, n_draws)
    ]
    accuracies, notes = _decode_draws(plan, draws, n_jobs=n_jobs, progress=progress)
    small = [(area, units) for area, units in members.items() if area not in chosen]
    if small:
        notes += (f"left out for too few units: {_list_sizes(small)}",)
    if n_draws > 1 and (whole := [area for area in chosen if members[area].size == number]):
        notes += (
            f"{', '.join(whole)}: all {n_draws} draws take all {number} units, so they are equal "
            "and have no spread",
        )
    curve = _label_draws(
        accuracies.reshape(len(chosen), n_draws),
        dimension="area",
        values=chosen,
        attrs=plan.attributes(plan.notes() + notes) | {"n_units": number},
    )
    available = np.array([members[area].size for area in chosen])
    return curve.assign_coords(n_units_available=("area", available))


def _label_draws(
    accuracies: npt.NDArray[np.float64],
    *,
    dimension: str,
    values: npt.ArrayLike,
    attrs: dict[str, Any],
) -> xr.DataArray:
    return xr.DataArray(
        accuracies,
        dims=(dimension, "draw"),
        coords={dimension: np.asarray(values), "draw": np.arange(accuracies.shape[1])},
        name="accuracy",
        attrs=attrs,
    )


def _decode_draws(
    plan: Plan, draws: Sequence[Positions], *, n_jobs: int | None, progress: Progress | None
) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
    """Return the accuracy of every draw of units; equal draws are decoded once."""
    # in the order of the design, so that the last bits of sums over units do not vary
    ordered = [np.sort(draw) for draw in draws]
    place: dict[bytes, int] = {}
    for draw in ordered:
        place.setdefault(draw.tobytes(), len(place))
    first = {place[draw.tobytes()]: draw for draw in reversed(ordered)}
    jobs = (
        Job(plan.problem.design, plan.problem.fitted_targets, plan.folds, first[number])
        for number in range(len(place))
    )
    scores = run_jobs(plan.model, jobs, n=len(place), n_jobs=n_jobs, progress=progress)
    means = scores.accuracies.mean(axis=1)
    return means[[place[draw.tobytes()] for draw in ordered]], scores.notes


def _check_numbers(n_units: Sequence[int] | npt.ArrayLike | None, n_all: int) -> list[int]:
    if n_units is None:
        steps = [digit * 10**power for power in range(7) for digit in (1, 2, 5)]
        return [*(step for step in steps if step < n_all), n_all]
    numbers = np.atleast_1d(np.asarray(n_units))
    is_valid = numbers.ndim == 1 and numbers.size and np.issubdtype(numbers.dtype, np.integer)
    if not is_valid or numbers.min() < 1 or numbers.max() > n_all:
        raise InvalidArgumentError(
            f"n_units={np.asarray(n_units).tolist()}; valid: whole numbers from 1 to the {n_all} "
            "units of the design"
        )
    return [int(number) for number in numbers]


def _areas_of_columns(
    design: Design,
    areas: pd.Series | pd.DataFrame | npt.ArrayLike,
    area_column: str,
    n_columns: int,
) -> pd.Series:
    """Return the area of every column of the design, missing if it has none."""
    if isinstance(areas, pd.DataFrame):
        if area_column not in areas.columns:
            raise InvalidArgumentError(
                f"areas has no column {area_column!r}; {describe_choices(area_column, areas)}"
            )
        areas = areas[area_column]
    design = rows_first(design)
    units = design.columns if isinstance(design, pd.DataFrame) else None
    if isinstance(design, xr.DataArray):
        units = design.indexes.get("unit_id")
    if isinstance(areas, pd.Series) and units is not None:
        return look_up(units, areas, name="areas").reset_index(drop=True)
    # numpy would convert missing values in a list to text
    names = pd.Series(list(np.ravel(np.asarray(areas, dtype=object))), dtype=object)
    if len(names) != n_columns:
        raise InvalidArgumentError(
            f"design has {n_columns} columns (units) and areas {len(names)} values; needed: one "
            "area per column, or a table with unit ids and a design with unit ids"
        )
    return names


def _members(areas: pd.Series) -> dict[str, Positions]:
    is_known = areas.notna() & ~areas.astype(object).isin(_NO_AREA)
    known = areas[is_known].astype(str).to_numpy()
    where = np.flatnonzero(is_known.to_numpy())
    return {str(area): where[known == area] for area in np.unique(known)}


def _choose_areas(
    members: dict[str, Positions], n_units: int | None, min_units: int
) -> tuple[list[str], int]:
    needed = min_units if n_units is None else check_repeats("n_units", n_units)
    chosen = [area for area, units in members.items() if units.size >= needed]
    if not chosen:
        raise InvalidArgumentError(
            f"no area has {needed} units ({_list_sizes(members.items())}); "
            f"use a smaller {'min_units' if n_units is None else 'n_units'}"
        )
    return chosen, needed if n_units is not None else min(members[a].size for a in chosen)


def _list_sizes(members: Iterable[tuple[str, Positions]]) -> str:
    sizes = [f"{area} {units.size}" for area, units in members]
    return ", ".join(sizes) if sizes else "no unit has an area"
