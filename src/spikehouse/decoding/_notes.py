"""What a reader of a result should know, collected where it is found."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from spikehouse.decoding._inputs import Fold, Problem


@contextmanager
def collect_convergence(messages: list[str]) -> Iterator[None]:
    """Keep warnings that a fit did not converge; let every other warning out as it came.

    Parameters
    ----------
    messages
        Is given one text a warning.

    Yields
    ------
    None
        While warnings are collected.
    """
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        yield
    for item in caught:
        if issubclass(item.category, ConvergenceWarning):
            messages.append(" ".join(str(item.message).split()))
        else:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)


def convergence_notes(messages: Sequence[str], *, n_fits: int) -> tuple[str, ...]:
    """Put many warnings into one sentence.

    Parameters
    ----------
    messages
        One text a warning.
    n_fits
        How many models were fitted.

    Returns
    -------
    tuple of str
        Empty if there was no warning.
    """
    if not messages:
        return ()
    return (
        f"{len(messages)} warnings in {n_fits} fits that a model did not converge "
        f"({messages[0].rstrip('.')}); the accuracy may be too low: allow more iterations "
        "(max_iter) or bring the counts to one scale (StandardScaler)",
    )


def problem_notes(problem: Problem, folds: Sequence[Fold]) -> tuple[str, ...]:
    """Say what in the data keeps a decoder from doing better.

    Parameters
    ----------
    problem
        The rows, checked.
    folds
        Pairs of (training, test) positions.

    Returns
    -------
    tuple of str
        About units that never vary, and classes that are tested but not trained on.
    """
    notes = []
    n_units = problem.design.shape[1]
    is_constant = (problem.design == problem.design[0]).all(axis=0)
    if is_constant.any():
        n_silent = int((problem.design[0, is_constant] == 0).sum())
        notes.append(
            f"{is_constant.sum()} of {n_units} units are constant ({n_silent} silent): "
            "they tell nothing"
        )
    n_tested = sum(test.size for _, test in folds)
    n_unknown = sum(
        int((~np.isin(problem.targets[test], problem.targets[train])).sum())
        for train, test in folds
    )
    if n_unknown:
        notes.append(
            f"{n_unknown} of {n_tested} tested presentations are of a class that their fold was "
            "not trained on: they cannot be right"
        )
    return tuple(notes)
