"""Correlations of pairs of units, by area, distance and state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis.checks import divide
from spikehouse.errors import InvalidArgumentError, describe_choices, describe_value
from spikehouse.labelled import COLUMN_NAME, look_up
from spikehouse.schema import require_columns

AREA = "ecephys_structure_acronym"
_ON_PROBE = ("probe_vertical_position", "probe_horizontal_position")
_IN_CCF = tuple(
    f"{axis}_ccf_coordinate" for axis in ("anterior_posterior", "dorsal_ventral", "left_right")
)
# what pairs can be grouped by: the columns of the units that it takes, and those of pairs
_NEEDED: dict[str, tuple[str, ...]] = {
    "area": (AREA,),
    "probe_distance_um": ("probe_id", *_ON_PROBE),
    "ccf_distance_um": _IN_CCF,
    "state": (),
}
WIDTH_UM = 100.0


def summarize_correlations(
    correlations: xr.DataArray | Mapping[Any, xr.DataArray],
    units: pd.DataFrame,
    *,
    by: str | Sequence[str] | None = None,
    distance_edges: npt.ArrayLike | None = None,
) -> pd.DataFrame:
    """Average the correlations of pairs of units by area, distance and state, or list the pairs.

    Parameters
    ----------
    correlations
        Symmetric, (unit_id, other_unit_id), such as :func:`compute_noise_correlations` gives; or
        one such matrix for each state, by its name.
    units
        Index unit_id: ``session.units``, with the columns that ``by`` needs.
    by
        One or more of ``"area"`` (ecephys_structure_acronym of both units), ``"state"``,
        ``"probe_distance_um"`` (along and across the probe, pairs on one probe) and
        ``"ccf_distance_um"`` (in the atlas, where all three coordinates are known). If None, all
        pairs are listed.
    distance_edges
        Edges of the bins of distance [µm], half-open; steps of 100 µm from 0 if None.

    Returns
    -------
    DataFrame
        With ``by``: mean and sem of the correlations, n_pairs and n_units; index area and
        other_area (in order of the alphabet), the interval of the distance, state. Pairs without a
        correlation, or without what they are grouped by, are left out.
        Without: one row per pair, with state (of a mapping), unit_id, other_unit_id, correlation,
        and of area, other_area, probe_distance_um and ccf_distance_um what the units' columns give.

    Notes
    -----
    Pairs that share a unit are not independent, so SD / √n_pairs would be too small. sem is
    the jackknife over units: √((n − 1) / n · Σ (m_i − m̄)²), where m_i is the mean without the
    pairs of unit i, of the n_units n. NaN if one unit is in all the pairs.

    Sorting confuses units that are a few tens of µm apart, which changes their correlations.

    Memory: 100 bytes per pair.

    References
    ----------
    Smith & Kohn (2008), J. Neurosci. 28, 12591, doi:10.1523/JNEUROSCI.2929-08.2008, for distance.

    Examples
    --------
    >>> flashes = session.get_stimulus_table("flashes")
    >>> counts = session.get_responses("flashes", trial_duration=0.25).counts
    >>> noise = compute_noise_correlations(
    ...     counts, flashes["color"], unit_ids=session.units.index
    ... )
    >>> summarize_correlations(noise, session.units, by="area").loc["LP"].round(2)
                mean   sem  n_pairs  n_units
    other_area
    LP          0.05  0.28        6        4
    VISam       0.36  0.20        8        6
    VISp        0.05  0.10       24       10
    """
    states = correlations if isinstance(correlations, Mapping) else {None: correlations}
    if not states:
        raise InvalidArgumentError(
            "correlations has no matrix; give one for each state: {'run': …, 'rest': …}"
        )
    levels = [by] if isinstance(by, str) else list(by or [])
    for level in levels:
        if level not in _NEEDED or (level == "state" and None in states):
            valid = [name for name in _NEEDED if name != "state" or None not in states]
            raise InvalidArgumentError(
                f"by={level!r}: {describe_choices(level, valid)}; state needs one matrix for each "
                "state: {'run': …, 'rest': …}"
            )
    if not isinstance(units, pd.DataFrame):
        raise InvalidArgumentError(
            f"units is {describe_value(units)}; give a table of units, such as session.units"
        )
    for level in levels:
        require_columns(units, *_NEEDED[level], what="the table of units")
    table = pd.concat([_list_pairs(matrix, units, state) for state, matrix in states.items()])
    return _average(table, levels, distance_edges) if levels else table.reset_index(drop=True)


def _list_pairs(matrix: xr.DataArray, units: pd.DataFrame, state: object) -> pd.DataFrame:
    """List the pairs above the diagonal, with what the columns of the units tell about them."""
    if not isinstance(matrix, xr.DataArray) or matrix.dims != (COLUMN_NAME, f"other_{COLUMN_NAME}"):
        raise InvalidArgumentError(
            f"correlations is {describe_value(matrix)}; give an array (unit_id, other_unit_id), "
            "such as compute_noise_correlations gives, or one for each state"
        )
    values, ids = matrix.to_numpy().astype(np.float64), matrix[COLUMN_NAME].to_numpy()
    if not np.array_equal(ids, matrix[f"other_{COLUMN_NAME}"]) or not np.allclose(
        values, values.T, equal_nan=True
    ):
        raise InvalidArgumentError(
            "correlations is not symmetric; a pair needs one value, whichever unit comes first"
        )
    repeated = pd.Index(ids)[pd.Index(ids).duplicated()]
    if repeated.size:
        raise InvalidArgumentError(
            f"correlations has {repeated.size} unit ids again, such as {repeated[0]}, and a unit "
            "is no pair with itself; select each once"
        )
    row = pd.Series(np.arange(len(units)), units.index)
    own = units.iloc[look_up(ids, row, name="units").to_numpy()]
    one, other = np.triu_indices(len(ids), 1)
    pairs: dict[str, Any] = {} if state is None else {"state": state}
    pairs |= {COLUMN_NAME: ids[one], f"other_{COLUMN_NAME}": ids[other]}
    if AREA in own:
        codes, found = pd.factorize(own[AREA], sort=True)
        # the code of an unknown area is -1, the last
        low, high = np.minimum(codes[one], codes[other]), np.maximum(codes[one], codes[other])
        names = np.array([*found, None], dtype=object)
        pairs |= {"area": names[low], "other_area": names[high]}
    for name, columns in (("probe_distance_um", _ON_PROBE), ("ccf_distance_um", _IN_CCF)):
        if not set(_NEEDED[name]) <= set(own.columns):
            continue
        places = own[list(columns)].to_numpy(dtype=np.float64)
        distance = np.sqrt(((places[one] - places[other]) ** 2).sum(axis=1))
        if columns == _ON_PROBE:
            probe = own["probe_id"].to_numpy()
            distance = np.where(probe[one] == probe[other], distance, np.nan)
        pairs[name] = distance
    return pd.DataFrame(pairs | {"correlation": values[one, other]})


def _average(
    table: pd.DataFrame, levels: list[str], distance_edges: npt.ArrayLike | None
) -> pd.DataFrame:
    """Average the pairs of each group, with the jackknife over units."""
    names: list[str] = []
    for level in levels:
        names += ["area", "other_area"] if level == "area" else [level]
        if level.endswith("_um"):
            edges = distance_edges
            if edges is None:
                furthest = table[level].max() if table[level].notna().any() else 0.0
                edges = np.arange(0.0, furthest + 1.001 * WIDTH_UM, WIDTH_UM)
            edges = np.asarray(edges)
            if (
                edges.ndim != 1
                or edges.dtype.kind not in "iuf"
                or not (len(edges) > 1 and (np.diff(edges) > 0).all())
            ):
                raise InvalidArgumentError(
                    f"distance_edges is {describe_value(distance_edges)}; give two edges or more, "
                    "in µm, that increase, such as [0, 100, 200, 400]"
                )
            bins = pd.IntervalIndex.from_breaks(edges.astype(np.float64), closed="left")
            table[level] = pd.cut(table[level], bins)
    table = table.dropna(subset=[*names, "correlation"])
    groups = table.groupby(names, observed=True)["correlation"]
    answer = pd.DataFrame({"mean": groups.mean(), "n_pairs": groups.size()})
    group, n_groups = groups.ngroup().to_numpy(), len(answer)
    both = table[[COLUMN_NAME, f"other_{COLUMN_NAME}"]].to_numpy()
    unit, ids = pd.factorize(both.T.ravel())
    place = np.tile(group, 2) * len(ids) + unit
    weights = np.tile(table["correlation"].to_numpy(), 2)
    shape = n_groups, len(ids)
    sums, sizes = (
        np.bincount(place, values, minlength=n_groups * len(ids)).reshape(shape)
        for values in (weights, None)
    )
    totals = np.bincount(group, table["correlation"], minlength=n_groups)
    has_part = sizes > 0
    n_others = answer["n_pairs"].to_numpy()[:, None] - sizes
    without = np.where(n_others > 0, divide(totals[:, None] - sums, n_others), np.nan)
    n_units = has_part.sum(axis=1)
    kept = np.where(has_part, without, 0.0)
    centre = divide(kept.sum(axis=1), n_units)
    squares = np.where(has_part, (kept - centre[:, None]) ** 2, 0.0).sum(axis=1)
    answer.insert(1, "sem", np.sqrt(divide(n_units - 1, n_units) * squares))
    answer["n_units"] = n_units
    return answer
