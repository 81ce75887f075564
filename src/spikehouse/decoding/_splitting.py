"""Split presentations into training and test folds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.decoding._inputs import Fold, Problem
from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.labelled import align

N_SPLITS = 5
N_REPEATS = 10
GIVEN_FOLDS = "given folds"
VALID_CV = "a number of folds, a splitter with .split(X, y), or pairs of (training, test) positions"


@runtime_checkable
class Splitter(Protocol):
    """Any object with the ``split`` method of a scikit-learn cross-validator."""

    def split(self, X: Any, y: Any = None) -> Iterable[tuple[Any, Any]]:  # noqa: ANN401
        """Return pairs of training and test positions."""
        ...


@dataclass(frozen=True)
class BlockedKFold:
    """Cross-validator that keeps stimulus blocks together, with consecutive blocks in each fold.

    Parameters
    ----------
    n_splits
        Number of folds; at least as many blocks are needed.
    gap
        Number of presentations before and after each test presentation that are excluded from
        training, in the order of the rows.

    Notes
    -----
    Presentations of one block are close in time and share the state of the animal and of the
    recording. If a block is split between training and test, a decoder may distinguish blocks
    instead of stimuli. Here every block is tested as a whole, with a model of the other blocks.

    Blocks are ordered by their first row. The numbers of blocks per fold differ by at most one,
    larger folds first. Without ``groups`` every row is its own block: folds are then consecutive
    rows, as in ``KFold``, with the gap around each.

    Examples
    --------
    >>> blocks = [2, 2, 2, 5, 5, 7, 7, 7]
    >>> for train, test in BlockedKFold(3, gap=1).split(np.zeros((8, 1)), groups=blocks):
    ...     print(train, test)
    [4 5 6 7] [0 1 2]
    [0 1 6 7] [3 4]
    [0 1 2 3] [5 6 7]
    """

    n_splits: int = N_SPLITS
    gap: int = 0

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups
            Not used; part of scikit-learn's interface.

        Returns
        -------
        int
            The number of folds.
        """
        del X, y, groups
        return self.n_splits

    def split(
        self,
        X: Any,  # noqa: ANN401
        y: Any = None,  # noqa: ANN401
        groups: npt.ArrayLike | None = None,
    ) -> Iterator[Fold]:
        """Yield the training and test positions of each fold.

        Parameters
        ----------
        X
            Presentations × units; only the number of rows is used.
        y
            Not used; part of scikit-learn's interface.
        groups
            Stimulus block of each row.

        Yields
        ------
        tuple of two ndarrays
            Positions of the training rows and of the test rows.
        """
        del y
        n_rows = len(X)
        blocks = np.arange(n_rows) if groups is None else np.asarray(groups)
        _, first, block_of_row = np.unique(blocks, return_index=True, return_inverse=True)
        if self.gap < 0 or not 2 <= self.n_splits <= first.size:
            what = "rows" if groups is None else "blocks"
            raise InvalidArgumentError(
                f"{self} of {first.size} {what}; valid: 2 to {first.size} folds and a gap from 0"
            )
        fold_of_block = np.empty(first.size, dtype=np.intp)
        for fold, members in enumerate(np.array_split(np.argsort(first), self.n_splits)):
            fold_of_block[members] = fold
        fold_of_row = fold_of_block[block_of_row]
        for fold in range(self.n_splits):
            is_test = fold_of_row == fold
            is_near = _widen(is_test, self.gap)
            yield np.flatnonzero(~is_near), np.flatnonzero(is_test)


def check_folds(
    cv: object, problem: Problem, *, groups: npt.NDArray[Any] | None = None, seed: int = 0
) -> tuple[list[Fold], str]:
    """Return the folds for a cv argument as pairs of positions, and their description."""
    n_rows = len(problem.targets)
    splitter = _as_splitter(cv, n_rows=n_rows, groups=groups, seed=seed)
    if isinstance(splitter, Splitter):
        name = " ".join(str(splitter).split())
        _check_class_sizes(splitter, name, problem)
        options = {"groups": groups} if groups is not None and _uses_groups(splitter) else {}
        try:
            pairs = list(splitter.split(problem.design, problem.targets, **options))
        except ValueError as error:
            raise InvalidArgumentError(f"{name} cannot split these rows: {error}") from error
    else:
        pairs, name = splitter, GIVEN_FOLDS
    folds = [
        (_as_positions(train, problem.row_ids), _as_positions(test, problem.row_ids))
        for train, test in pairs
    ]
    if not folds:
        raise InvalidArgumentError(f"{name} gives no folds; at least one is needed")
    for number, (train, test) in enumerate(folds):
        _check_fold(number, train, test, problem.targets)
    return folds, name


def _widen(is_test: npt.NDArray[np.bool_], gap: int) -> npt.NDArray[np.bool_]:
    """Mark all rows within ``gap`` rows of a marked one."""
    padded = np.concatenate([[0], np.cumsum(is_test)])
    rows = np.arange(is_test.size)
    start = np.maximum(rows - gap, 0)
    stop = np.minimum(rows + gap + 1, is_test.size)
    return np.asarray(padded[stop] > padded[start])


def _as_splitter(
    cv: object, *, n_rows: int, groups: npt.NDArray[Any] | None, seed: int
) -> Splitter | list[tuple[Any, Any]]:
    from sklearn.model_selection import KFold, RepeatedStratifiedKFold, StratifiedKFold

    named: dict[str, Callable[[], Any]] = {
        "kfold": lambda: _as_splitter(N_SPLITS, n_rows=n_rows, groups=groups, seed=seed),
        "stratified": lambda: StratifiedKFold(N_SPLITS, shuffle=True, random_state=seed),
        "blocked": lambda: _blocked(groups),
        "repeated-stratified": lambda: RepeatedStratifiedKFold(
            n_splits=N_SPLITS, n_repeats=N_REPEATS, random_state=seed
        ),
    }
    if isinstance(cv, str):
        if cv not in named:
            raise InvalidArgumentError(
                f"cv={cv!r} is not a valid name ({describe_choices(cv, named)}); also valid: "
                f"{VALID_CV}"
            )
        splitter: Splitter = named[cv]()
        return splitter
    if cv is None:
        cv = N_SPLITS
    if isinstance(cv, (int, np.integer)) and not isinstance(cv, bool):
        if not 2 <= cv <= n_rows:
            raise InvalidArgumentError(
                f"cv={cv} folds of {n_rows} presentations; valid: 2 to {n_rows}"
            )
        return KFold(int(cv))  # type: ignore[no-any-return]
    if isinstance(cv, bool) or not isinstance(cv, (Splitter, Iterable)):
        raise InvalidArgumentError(f"cv={cv!r} is not valid: {VALID_CV}")
    return cv if isinstance(cv, Splitter) else list(cv)


def _blocked(groups: npt.NDArray[Any] | None) -> BlockedKFold:
    if groups is None:
        raise InvalidArgumentError(
            "cv='blocked' needs the block of every presentation: "
            "groups=presentations['stimulus_block']"
        )
    n_blocks = np.unique(groups).size
    if n_blocks < 2:
        raise InvalidArgumentError(
            f"cv='blocked' needs at least two blocks, but all {groups.size} presentations are of "
            f"block {groups[0]}; BlockedKFold(5, gap=…) without groups splits consecutive rows"
        )
    return BlockedKFold(min(N_SPLITS, n_blocks))


def _uses_groups(splitter: Splitter) -> bool:
    """Check whether a splitter uses groups; others of scikit-learn warn about them."""
    if isinstance(splitter, BlockedKFold):
        return True
    routing = getattr(splitter, "get_metadata_routing", None)
    if routing is not None:
        return routing().split.requests.get("groups") is True
    import inspect

    return "groups" in inspect.signature(splitter.split).parameters


def _check_class_sizes(splitter: Splitter, name: str, problem: Problem) -> None:
    """Check that every class has at least as many presentations as folds."""
    from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedKFold

    if isinstance(splitter, RepeatedStratifiedKFold):
        n_splits = int(splitter.cvargs["n_splits"])
    elif isinstance(splitter, StratifiedKFold):
        n_splits = int(splitter.n_splits)
    else:
        return
    sizes = np.bincount(np.searchsorted(problem.labels, problem.targets))
    smallest = int(sizes.argmin())
    if sizes[smallest] < n_splits:
        raise InvalidArgumentError(
            f"{name} cannot split these rows: class {problem.labels[smallest]!s} has "
            f"{sizes[smallest]} presentations, fewer than the {n_splits} folds "
            f"({(sizes < n_splits).sum()} of {sizes.size} classes are too small); use fewer folds "
            "or leave out these classes"
        )


def _as_positions(rows: npt.ArrayLike, row_ids: pd.Index) -> npt.NDArray[np.intp]:
    n_rows = len(row_ids)
    if isinstance(rows, pd.Series) and rows.dtype == bool:
        _, rows = align(design=pd.Series(0, index=row_ids), fold=rows)
    positions = np.asarray(rows)
    if positions.dtype == np.bool_ and positions.shape == (n_rows,):
        positions = np.flatnonzero(positions)
    # an empty list becomes a float array
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
    number: int, train: npt.NDArray[np.intp], test: npt.NDArray[np.intp], targets: npt.NDArray[Any]
) -> None:
    if not train.size or not test.size:
        raise InvalidArgumentError(
            f"fold {number} has {train.size} presentations to train on and {test.size} to test"
        )
    n_shared = np.isin(test, train).sum()
    if n_shared:
        raise InvalidArgumentError(
            f"fold {number} tests {n_shared} of its {test.size} presentations on a model that was "
            "trained on them; training and test rows must not overlap"
        )
    classes = np.unique(targets[train])
    if len(classes) < 2:
        raise InvalidArgumentError(
            f"fold {number} would train on one class only ({classes[0]!s}): the presentations are "
            "sorted by label; use cv='stratified', which shuffles them"
        )
