"""What several decodings of the same presentations have in common: folds, model, record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from spikehouse.decoding._estimators import make_estimator
from spikehouse.decoding._inputs import Fold, Problem, Targets, check_groups
from spikehouse.decoding._jobs import Job, Progress, Scores, run_jobs
from spikehouse.decoding._notes import problem_notes
from spikehouse.decoding._splitting import check_folds
from spikehouse.errors import InvalidArgumentError


@dataclass(frozen=True)
class Plan:
    """How every decoding of a series is done.

    Attributes
    ----------
    problem
        The rows, checked.
    model
        Not fitted.
    folds
        The same for every decoding, so that they can be compared.
    groups
        The block of each row, or None.
    estimator
        The model, as text.
    cv
        How the folds were made, as text.
    seed
        Of everything that is drawn.
    """

    problem: Problem
    model: Any
    folds: list[Fold]
    groups: npt.NDArray[Any] | None
    estimator: str
    cv: str
    seed: int

    @property
    def chance(self) -> float:
        """What guessing gets when all classes are equally frequent."""
        return 1 / len(self.problem.labels)

    def run(
        self, jobs: Iterable[Job], *, n: int, n_jobs: int | None, progress: Progress | None
    ) -> Scores:
        """Carry decodings out with this model.

        Parameters
        ----------
        jobs
            What to decode.
        n
            How many there are.
        n_jobs
            How many cores to use.
        progress
            Is called after each.

        Returns
        -------
        Scores
            Accuracies, one row a job.
        """
        return run_jobs(self.model, jobs, n=n, n_jobs=n_jobs, progress=progress)

    def attributes(self, notes: tuple[str, ...]) -> dict[str, Any]:
        """Give what belongs to a curve of accuracies, in types that can be written to a file.

        Parameters
        ----------
        notes
            About the fits.

        Returns
        -------
        dict
            Attributes of a DataArray.
        """
        return {
            "long_name": "decoding accuracy",
            "units": "fraction right",
            "chance": self.chance,
            "n_classes": len(self.problem.labels),
            "n_presentations": len(self.problem.targets),
            "n_folds": len(self.folds),
            "estimator": self.estimator,
            "cv": self.cv,
            "seed": self.seed,
            "notes": "; ".join(notes),
        }

    def notes(self) -> tuple[str, ...]:
        """Give what is to be said of the rows themselves."""
        return problem_notes(self.problem, self.folds)


def make_plan(
    problem: Problem,
    *,
    estimator: object,
    cv: object,
    groups: Targets | None,
    seed: int,
) -> Plan:
    """Check everything before the first model is fitted.

    Parameters
    ----------
    problem
        The rows, checked.
    estimator
        As for ``decode``.
    cv
        As for ``decode``.
    groups
        As for ``decode``.
    seed
        Of everything that is drawn.

    Returns
    -------
    Plan
        What is the same for all decodings.
    """
    model, name = make_estimator(estimator, seed=seed)
    blocks = check_groups(groups, problem)
    folds, cv_name = check_folds(cv, problem, groups=blocks, seed=seed)
    return Plan(problem, model, folds, blocks, name, cv_name, seed)


def check_repeats(name: str, value: int) -> int:
    """Check how often something is to be drawn.

    Parameters
    ----------
    name
        Of the argument.
    value
        What was given.

    Returns
    -------
    int
        At least one.

    Raises
    ------
    InvalidArgumentError
        If it is not a whole number from one.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InvalidArgumentError(f"{name}={value!r}; valid: a whole number from 1")
    return int(value)


def spawn(seed: int, n: int) -> list[np.random.Generator]:
    """Give independent generators, the first of which are the same however many there are.

    Parameters
    ----------
    seed
        Where they come from.
    n
        How many.

    Returns
    -------
    list of Generator
        One a draw.
    """
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(n)]


def label_draws(
    accuracies: npt.NDArray[np.float64],
    *,
    dimension: str,
    values: npt.ArrayLike,
    attrs: dict[str, Any],
) -> xr.DataArray:
    """Label accuracies of several draws.

    Parameters
    ----------
    accuracies
        Shape (n_values, n_draws).
    dimension
        What the rows are.
    values
        Which row is which.
    attrs
        The record.

    Returns
    -------
    DataArray
        ``accuracy`` (dimension, draw).
    """
    return xr.DataArray(
        accuracies,
        dims=(dimension, "draw"),
        coords={dimension: np.asarray(values), "draw": np.arange(accuracies.shape[1])},
        name="accuracy",
        attrs=attrs,
    )
