"""Checks what a caller hands in, before any model is fitted to it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError

Design = npt.ArrayLike | pd.DataFrame | xr.DataArray
Targets = npt.ArrayLike | pd.Series | xr.DataArray
Fold = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

ROW_DIMENSION = "stimulus_presentation_id"
N_LISTED = 5


@runtime_checkable
class Splitter(Protocol):
    """Anything that splits like the cross-validators of scikit-learn."""

    def split(self, X: Any, y: Any = None) -> Iterable[tuple[Any, Any]]:  # noqa: ANN401
        """Give pairs of training and test positions."""
        ...


@dataclass(frozen=True)
class Problem:
    """A checked decoding problem.

    Attributes
    ----------
    design
        Presentations × units, float64, finite.
    targets
        The true label of every row; at least two different ones.
    labels
        The different labels, sorted.
    row_ids
        The labels of the rows, counted from zero where the caller gave none.
    """

    design: npt.NDArray[np.float64]
    targets: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    row_ids: pd.Index


def check_problem(design: Design, targets: Targets) -> Problem:
    """Turn what the caller gave into arrays that belong together.

    Parameters
    ----------
    design
        Presentations × units, with or without labels.
    targets
        One label a presentation, in the same order.

    Returns
    -------
    Problem
        The arrays, checked.

    Raises
    ------
    InvalidArgumentError
        If the shapes disagree, the rows are labelled differently, a value is missing, or there
        are fewer than two classes.
    """
    values, design_rows = _design_values(design)
    truth, target_rows = _target_values(targets)
    if len(truth) != len(values):
        raise InvalidArgumentError(
            f"design has {len(values)} rows (presentations) and targets {len(truth)} values; "
            f"there must be one target a row: targets.loc[design.{ROW_DIMENSION}.values] picks them"
        )
    _check_rows(design_rows, target_rows)
    _check_finite(values, design_rows)
    labels = np.unique(truth)
    if len(labels) < 2:
        raise InvalidArgumentError(
            f"all {len(truth)} targets are {labels[0]!s}; decoding needs two classes or more"
        )
    rows = design_rows if design_rows is not None else target_rows
    return Problem(values, truth, labels, rows if rows is not None else pd.RangeIndex(len(values)))


def check_folds(cv: object, problem: Problem) -> tuple[list[Fold], str]:
    """Turn the cross-validation a caller asked for into pairs of positions.

    Parameters
    ----------
    cv
        None for five folds, a number of folds, a scikit-learn splitter, or pairs of (training,
        test) positions.
    problem
        What is to be split.

    Returns
    -------
    tuple of list and str
        The folds, and how they were made, for the record.

    Raises
    ------
    InvalidArgumentError
        If there are more folds than rows, fewer than two of them, a fold is empty, or one would
        train on a single class.
    """
    splitter = _as_splitter(cv, n_rows=len(problem.targets))
    if isinstance(splitter, Splitter):
        name = str(splitter)
        try:
            pairs = list(splitter.split(problem.design, problem.targets))
        except ValueError as error:
            raise InvalidArgumentError(f"{name} cannot split these rows: {error}") from error
    else:
        pairs, name = splitter, "given folds"
    n_rows = len(problem.targets)
    folds = [(_as_positions(train, n_rows), _as_positions(test, n_rows)) for train, test in pairs]
    if not folds:
        raise InvalidArgumentError(f"{name} gives no folds; at least one is needed")
    for number, (train, test) in enumerate(folds):
        _check_fold(number, train, test, problem.targets)
    return folds, name


def _design_values(design: Design) -> tuple[npt.NDArray[np.float64], pd.Index | None]:
    rows: pd.Index | None = None
    if isinstance(design, xr.DataArray):
        if ROW_DIMENSION in design.dims:
            design = design.transpose(ROW_DIMENSION, ...)
        if design.ndim and design.dims[0] in design.indexes:
            rows = design.indexes[design.dims[0]]
    elif isinstance(design, pd.DataFrame):
        rows = design.index
    shape = np.shape(design)
    if len(shape) != 2:
        raise InvalidArgumentError(
            f"design must be presentations × units, but has the shape {shape}; "
            "sum counts over time first: counts.sum('time_relative_to_stimulus_onset')"
        )
    if 0 in shape:
        raise InvalidArgumentError(
            f"design is empty: {shape[0]} presentations × {shape[1]} units; "
            "decoding needs some of both"
        )
    try:
        values = np.ascontiguousarray(design, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"design must hold numbers: {error}") from error
    return values, _meaningful(rows)


def _target_values(targets: Targets) -> tuple[npt.NDArray[Any], pd.Index | None]:
    rows: pd.Index | None = None
    if isinstance(targets, xr.DataArray) and targets.ndim == 1:
        rows = targets.indexes.get(targets.dims[0])
    elif isinstance(targets, pd.Series):
        rows = targets.index
    values = np.asarray(targets)
    if values.ndim != 1:
        raise InvalidArgumentError(
            f"targets must be one label a presentation, but have the shape {values.shape}"
        )
    missing = np.flatnonzero(pd.isna(values))
    if missing.size:
        raise InvalidArgumentError(
            f"targets are missing in {missing.size} of {values.size} rows "
            f"({_list_rows(missing, _meaningful(rows))}); drop those presentations, "
            "or give the blank ones a label of their own"
        )
    if values.dtype == object:
        # tables that mix stimuli hold plain numbers in object columns
        values = np.array(values.tolist())
        if values.dtype.kind in "US" and not all(isinstance(v, str) for v in np.asarray(targets)):
            raise InvalidArgumentError(
                "targets mix words and numbers, which cannot be put in order "
                f"(such as {_mixed_examples(np.asarray(targets))}); use one kind"
            )
    if values.ndim != 1:
        raise InvalidArgumentError("targets must be single labels, not sequences")
    return values, _meaningful(rows)


def _mixed_examples(values: npt.NDArray[Any]) -> str:
    word = next(v for v in values if isinstance(v, str))
    number = next(v for v in values if not isinstance(v, str))
    return f"{word!r} and {number!r}"


def _meaningful(rows: pd.Index | None) -> pd.Index | None:
    """Forget an index that only counts the rows: it says nothing about which they are."""
    if rows is None or rows.equals(pd.RangeIndex(len(rows))):
        return None
    return rows


def _check_rows(design_rows: pd.Index | None, target_rows: pd.Index | None) -> None:
    if design_rows is None or target_rows is None or design_rows.equals(target_rows):
        return
    first = next(i for i, (a, b) in enumerate(zip(design_rows, target_rows, strict=True)) if a != b)
    raise InvalidArgumentError(
        f"design and targets are labelled differently: row {first} is presentation "
        f"{design_rows[first]} in design and {target_rows[first]} in targets; "
        "put them in one order first, or pass targets.to_numpy() if they are"
    )


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


def _as_splitter(cv: object, *, n_rows: int) -> Splitter | list[tuple[Any, Any]]:
    from sklearn.model_selection import KFold

    if cv is None:
        cv = 5
    if isinstance(cv, (int, np.integer)) and not isinstance(cv, bool):
        if not 2 <= cv <= n_rows:
            raise InvalidArgumentError(
                f"cv={cv} folds of {n_rows} presentations; valid: 2 to {n_rows}"
            )
        return KFold(int(cv))  # type: ignore[no-any-return]
    # str has a method split too
    if isinstance(cv, (str, bool)) or not isinstance(cv, (Splitter, Iterable)):
        raise InvalidArgumentError(
            f"cv={cv!r} is neither a number of folds, nor a splitter with .split(X, y), "
            "nor pairs of (training, test) positions"
        )
    return cv if isinstance(cv, Splitter) else list(cv)


def _as_positions(rows: npt.ArrayLike, n_rows: int) -> npt.NDArray[np.intp]:
    positions = np.asarray(rows)
    if positions.dtype == np.bool_ and positions.shape == (n_rows,):
        positions = np.flatnonzero(positions)
    # NumPy makes an empty list float
    is_empty = positions.size == 0
    if positions.ndim != 1 or not (is_empty or np.issubdtype(positions.dtype, np.integer)):
        raise InvalidArgumentError(
            f"folds must be pairs of (training, test) row positions, but one part is {rows!r}"
        )
    if not is_empty and (positions.min() < 0 or positions.max() >= n_rows):
        raise InvalidArgumentError(
            f"folds name the row positions {positions.min()} to {positions.max()}; "
            f"valid: 0 to {n_rows - 1} (positions, not presentation ids)"
        )
    return positions.astype(np.intp)


def _check_fold(
    number: int,
    train: npt.NDArray[np.intp],
    test: npt.NDArray[np.intp],
    targets: npt.NDArray[Any],
) -> None:
    if not train.size or not test.size:
        raise InvalidArgumentError(
            f"fold {number} has {train.size} presentations to train on and {test.size} to test"
        )
    classes = np.unique(targets[train])
    if len(classes) < 2:
        raise InvalidArgumentError(
            f"fold {number} would train on one class only ({classes[0]!s}): the presentations are "
            "in order of their labels; use cv=StratifiedKFold(5, shuffle=True, random_state=0)"
        )
