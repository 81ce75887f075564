"""Check and convert the arguments of the decoding functions."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import align, counts_rows, labels_of, rows_first

Design = npt.ArrayLike | pd.DataFrame | xr.DataArray
Targets = npt.ArrayLike | pd.Series | xr.DataArray
Fold = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

ROW_DIMENSION = "stimulus_presentation_id"
N_LISTED = 5


@dataclass(frozen=True)
class Problem:
    """A checked decoding problem with at least two classes."""

    # presentations × units, finite
    design: npt.NDArray[np.float64]
    targets: npt.NDArray[Any]
    # the distinct targets, sorted
    labels: npt.NDArray[Any]
    row_ids: pd.Index

    @property
    def is_fractional(self) -> bool:
        """Whether labels are numbers with a fraction."""
        is_float = self.labels.dtype.kind == "f"
        return is_float and not np.array_equal(self.labels, np.round(self.labels))

    @property
    def fitted_targets(self) -> npt.NDArray[Any]:
        """Targets for the model; fractional labels are replaced by their rank."""
        # scikit-learn takes 0.02 and 0.04 for values of a regression. Whole labels stay unchanged,
        # because an estimator may have weights by label.
        if self.is_fractional:
            return np.searchsorted(self.labels, self.targets)
        return self.targets


def check_problem(design: Design, targets: Targets) -> Problem:
    """Check and align a design and its targets."""
    design, targets = align(design=rows_first(design), targets=targets)
    values, design_rows = _design_values(design)
    truth, target_rows = _target_values(targets)
    if len(truth) != len(values):
        raise InvalidArgumentError(
            f"design has {len(values)} rows (presentations) and targets {len(truth)} values; "
            f"one target per row is needed: targets.loc[design.{ROW_DIMENSION}.values] picks them"
        )
    _check_finite(values, design_rows)
    labels = np.unique(truth)
    if len(labels) < 2:
        raise InvalidArgumentError(
            f"all {len(truth)} targets are {labels[0]!s}; decoding needs at least two classes"
        )
    rows = design_rows if design_rows is not None else target_rows
    return Problem(values, truth, labels, rows if rows is not None else pd.RangeIndex(len(values)))


def check_groups(groups: Targets | None, problem: Problem) -> npt.NDArray[Any] | None:
    """Check and align the stimulus block of each presentation."""
    if groups is None:
        return None
    _, groups = align(design=pd.Series(0, index=problem.row_ids), groups=groups)
    values, _ = _target_values(groups, name="groups")
    if len(values) != len(problem.targets):
        raise InvalidArgumentError(
            f"design has {len(problem.targets)} rows (presentations) and groups {len(values)} "
            "values; one block per row is needed"
        )
    return values


def _design_values(design: Design) -> tuple[npt.NDArray[np.float64], pd.Index | None]:
    shape = np.shape(design)
    if len(shape) != 2:
        raise InvalidArgumentError(
            f"design must be presentations × units, but has the shape {shape}; "
            "sum counts over time first: counts.sum('time_relative_to_stimulus_onset')"
        )
    if 0 in shape:
        raise InvalidArgumentError(
            f"design is empty: {shape[0]} presentations × {shape[1]} units; "
            "decoding needs at least one of both"
        )
    try:
        values = np.ascontiguousarray(design, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"design must hold numbers: {error}") from error
    return values, _row_labels(design)


def _target_values(
    targets: Targets, *, name: str = "targets"
) -> tuple[npt.NDArray[Any], pd.Index | None]:
    rows = _row_labels(targets)
    values = np.asarray(targets)
    if values.ndim != 1:
        raise InvalidArgumentError(
            f"{name} must be one label per presentation, but have the shape {values.shape}"
        )
    missing = np.flatnonzero(pd.isna(values))
    if missing.size:
        raise InvalidArgumentError(
            f"{name} are missing in {missing.size} of {values.size} rows "
            f"({_list_rows(missing, rows)}); drop those presentations, "
            "or give blank presentations their own label"
        )
    if values.dtype == object:
        # stimulus tables with several stimuli hold numbers in object columns
        values = np.array(values.tolist())
        given = np.asarray(targets).tolist()
        numbers = [value for value in given if not isinstance(value, str)]
        if values.dtype.kind in "US" and numbers:
            word = next(value for value in given if isinstance(value, str))
            raise InvalidArgumentError(
                f"{name} mix text and numbers, which cannot be sorted "
                f"(such as {word!r} and {numbers[0]!r}); use one kind"
            )
    if values.ndim != 1:
        raise InvalidArgumentError(f"{name} must be single labels, not sequences")
    return values, rows


def _row_labels(thing: Design | Targets) -> pd.Index | None:
    """Return the labels of rows; None without labels, and for those that only count the rows."""
    rows = labels_of(thing, 0)
    return None if rows is None or counts_rows(rows) else rows


def _check_finite(values: npt.NDArray[np.float64], rows: pd.Index | None) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise InvalidArgumentError(
            f"design has NaN or infinite values in {bad.size} of {len(values)} rows "
            f"({_list_rows(bad, rows)}); drop those presentations or fill them"
        )


def _list_rows(positions: npt.NDArray[np.intp], rows: pd.Index | None) -> str:
    listed: list[Hashable] = [int(p) if rows is None else rows[p] for p in positions[:N_LISTED]]
    what = "row" if rows is None else "presentation"
    more = ", …" if positions.size > N_LISTED else ""
    return f"{what}{'s' if positions.size > 1 else ''} {', '.join(map(str, listed))}{more}"
