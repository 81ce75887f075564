"""Decoding accuracy compared with shuffled labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import xarray as xr

from spikehouse.decoding._engine import Job, Progress, run_jobs
from spikehouse.decoding._inputs import Design, Targets
from spikehouse.decoding._plans import Plan, check_repeats, make_plan, spawn
from spikehouse.decoding._result import Described
from spikehouse.decoding._splitting import GIVEN_FOLDS, check_folds
from spikehouse.errors import InvalidArgumentError


@dataclass(frozen=True, eq=False, repr=False)
class ChanceResult(Described):
    """Accuracy of a decoding compared with decodings of shuffled labels.

    Attributes
    ----------
    accuracy
        Mean accuracy over the folds with the true labels.
    shuffled
        ``accuracy`` (shuffle), the same with shuffled labels; attributes hold the parameters.
    p_value
        ``(k + 1) / (n + 1)`` if k of n shuffles are at least as accurate as the true labels.
    chance
        Mean accuracy of the shuffles.
    is_within_blocks
        Whether labels were shuffled only within stimulus blocks.
    estimator, cv
        Descriptions of the model and of the cross-validation.
    notes
        Warnings about the result, as in :class:`DecodingResult`.

    Examples
    --------
    >>> noise = np.random.default_rng(1).poisson(3, (40, 5))
    >>> result = decode_against_chance(noise, np.tile([0, 90], 20), estimator="poisson-naive-bayes")
    >>> result
    ChanceResult: 100 shuffles over all presentations
      accuracy         0.4500
      shuffled labels  0.4767 (95 % from 0.2737 to 0.6631)
      p-value          0.6634
      estimator        PoissonNaiveBayes()
      folds            KFold(n_splits=5, random_state=None, shuffle=False)
    """

    accuracy: float
    shuffled: xr.DataArray
    p_value: float
    chance: float
    is_within_blocks: bool
    estimator: str
    cv: str
    notes: tuple[str, ...] = ()

    def _summary(self) -> str:
        where = "within blocks" if self.is_within_blocks else "over all presentations"
        return f"{self.shuffled.size} shuffles {where}"

    def _lines(self) -> list[tuple[str, str]]:
        low, high = np.quantile(self.shuffled.to_numpy(), [0.025, 0.975])
        return [
            ("accuracy", f"{self.accuracy:.4f}"),
            ("shuffled labels", f"{self.chance:.4f} (95 % from {low:.4f} to {high:.4f})"),
            ("p-value", f"{self.p_value:.4g}"),
            ("estimator", self.estimator),
            ("folds", self.cv),
            *(("note", note) for note in self.notes),
        ]


def decode_against_chance(
    design: Design,
    targets: Targets,
    *,
    n_resamples: int = 100,
    estimator: object = None,
    cv: object = None,
    groups: Targets | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> ChanceResult:
    """Compare the decoding accuracy with that of shuffled labels.

    Parameters
    ----------
    design, targets
        Spike counts, presentations × units, and the label of each presentation, as for
        :func:`~spikehouse.decode`.
    n_resamples
        Number of shuffles; the smallest possible p value is ``1 / (n_resamples + 1)``.
    estimator, cv, groups, seed, n_jobs
        As for :func:`~spikehouse.decode`. Folds are made again for each shuffle, because they may
        depend on the labels. With ``groups``, labels are shuffled only within each block. The seed
        is also that of the shuffles.
    progress
        Function called after each decoding with the number done and the total; the true labels
        are decoded first.

    Returns
    -------
    ChanceResult
        Accuracy of the true labels, accuracies of the shuffles, and the p value.

    Notes
    -----
    ``p = (k + 1) / (n + 1)`` counts the true labels as one of the shuffles, so it is never zero and
    the test is exact for any n (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585).

    The test assumes that presentations are exchangeable (within blocks, if blocks are given). It
    needs n + 1 decodings: with many classes ``estimator="poisson-naive-bayes"`` does about a
    hundred in the time of one SVC.

    Examples
    --------
    >>> orientation = np.tile([0, 90], 50)
    >>> rng = np.random.default_rng(0)
    >>> counts = rng.poisson(np.where(orientation[:, None] == [0, 90], 12, 2))
    >>> result = decode_against_chance(counts, orientation, estimator="poisson-naive-bayes")
    >>> result.accuracy, round(result.p_value, 4)
    (1.0, 0.0099)
    """
    plan = make_plan(design, targets, estimator=estimator, cv=cv, groups=groups, seed=seed)
    n = check_repeats("n_resamples", n_resamples)
    _check_shuffles(plan)
    scores = run_jobs(
        plan.model, _jobs(plan, cv, n, seed), n=n + 1, n_jobs=n_jobs, progress=progress
    )
    means = scores.accuracies.mean(axis=1)
    shuffled = means[1:]
    notes = plan.notes() + scores.notes
    return ChanceResult(
        accuracy=float(means[0]),
        shuffled=xr.DataArray(
            shuffled,
            dims=("shuffle",),
            coords={"shuffle": np.arange(n)},
            name="accuracy",
            attrs=plan.attributes(notes),
        ),
        # accuracies are means of fractions: equal ones may differ in the last bit
        p_value=float(((shuffled >= means[0] - 1e-12).sum() + 1) / (n + 1)),
        chance=float(shuffled.mean()),
        is_within_blocks=plan.groups is not None,
        estimator=plan.estimator,
        cv=plan.cv,
        notes=notes,
    )


def _check_shuffles(plan: Plan) -> None:
    if plan.groups is None:
        return
    _, codes = np.unique(plan.problem.targets, return_inverse=True)
    blocks, block_of_row = np.unique(plan.groups, return_inverse=True)
    low = np.full(blocks.size, codes.size)
    high = np.full(blocks.size, -1)
    np.minimum.at(low, block_of_row, codes)
    np.maximum.at(high, block_of_row, codes)
    if (low == high).all():
        raise InvalidArgumentError(
            f"each of the {blocks.size} blocks holds one label only: shuffling within blocks "
            "changes nothing, and a decoder cannot distinguish labels from blocks; leave out "
            "groups only if blocks do not matter"
        )


def _jobs(plan: Plan, cv: object, n: int, seed: int) -> Iterator[Job]:
    yield Job(plan.problem.design, plan.problem.fitted_targets, plan.folds)
    for rng in spawn(seed, n):
        order = _shuffle(rng, plan.groups, len(plan.problem.targets))
        mixed = replace(plan.problem, targets=plan.problem.targets[order])
        folds = plan.folds
        if plan.cv != GIVEN_FOLDS:
            folds, _ = check_folds(cv, mixed, groups=plan.groups, seed=plan.seed)
        yield Job(mixed.design, mixed.fitted_targets, folds)


def _shuffle(
    rng: np.random.Generator, groups: npt.NDArray[np.generic] | None, n_rows: int
) -> npt.NDArray[np.intp]:
    if groups is None:
        return rng.permutation(n_rows)
    _, block_of_row = np.unique(groups, return_inverse=True)
    order = np.empty(n_rows, dtype=np.intp)
    # both sort by block; within a block the first keeps the order and the second shuffles it
    kept = np.argsort(block_of_row, kind="stable")
    order[kept] = np.lexsort((rng.random(n_rows), block_of_row))
    return order
