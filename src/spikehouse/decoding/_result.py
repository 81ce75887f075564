"""What decoding gives back."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr


@dataclass(frozen=True, eq=False, repr=False)
class DecodingResult:
    """How well the stimulus can be told from the spike counts.

    Attributes
    ----------
    accuracies
        The fraction of right predictions in the test part of each fold, in fold order.
    mean_accuracy
        The mean of ``accuracies``, every fold with the same weight.
    chance
        ``1 / len(labels)``: what guessing gets when all classes are equally frequent.
    confusion
        Dims ``(actual, predicted)``, both with the labels as coordinates: the number of
        presentations, summed over the folds.
    per_class_accuracy
        For each label the fraction of its presentations that were predicted right; NaN for a
        label that no test part holds.
    labels
        The different targets, sorted.
    predictions
        One row a tested presentation, in the order of the folds: ``fold``, ``actual``,
        ``predicted``; the index names the presentation.
    n_presentations
        Rows of the design.
    n_units
        Columns of the design.
    estimator
        The model that was fitted to each fold, as text.
    cv
        How the folds were made, as text.
    notes
        What to know before believing the numbers: units that never vary, classes that were not
        trained on, fits that did not converge. Empty if there is nothing.
    """

    accuracies: npt.NDArray[np.float64]
    mean_accuracy: float
    chance: float
    confusion: xr.DataArray
    per_class_accuracy: pd.Series[float]
    labels: npt.NDArray[Any]
    predictions: pd.DataFrame
    n_presentations: int
    n_units: int
    estimator: str
    cv: str
    notes: tuple[str, ...] = ()

    def confusion_table(self, *, normalized: bool = False) -> pd.DataFrame:
        """Give the confusion as a table, labelled by class.

        Parameters
        ----------
        normalized
            Give for each actual class the fraction of its presentations instead of their number.

        Returns
        -------
        DataFrame
            Rows ``actual``, columns ``predicted``; a row of fractions adds up to one, and is NaN
            for a class that no test part holds.
        """
        classes = pd.Index(self.labels)
        table = pd.DataFrame(
            self.confusion.to_numpy(),
            index=classes.rename("actual"),
            columns=classes.rename("predicted"),
            copy=True,  # pandas 2 would hand out the result's own array
        )
        if not normalized:
            return table
        totals = table.sum(axis=1)
        return table.div(totals.where(totals > 0), axis=0)

    def __str__(self) -> str:
        return as_text(f"DecodingResult: {self._summary()}", self._lines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html("DecodingResult", self._summary(), self._lines())

    def _summary(self) -> str:
        return (
            f"{self.n_presentations} presentations × {self.n_units} units, "
            f"{len(self.labels)} classes"
        )

    def _lines(self) -> list[tuple[str, str]]:
        times = self.mean_accuracy / self.chance
        lines = [
            ("accuracy of each fold", "  ".join(f"{a:.4f}" for a in self.accuracies)),
            ("mean accuracy", f"{self.mean_accuracy:.4f}"),
            (
                "chance",
                f"{self.chance:.4f} (1 / {len(self.labels)}); the mean is {times:.1f} times",
            ),
        ]
        tested = self.per_class_accuracy.dropna()
        if len(tested):
            best, worst = tested.idxmax(), tested.idxmin()
            lines.append(("best decoded", f"{best} ({tested.max():.0%} right)"))
            lines.append(("worst decoded", f"{worst} ({tested.min():.0%} right)"))
        lines += [("estimator", self.estimator), ("folds", self.cv)]
        return [*lines, *(("note", note) for note in self.notes)]


def as_text(title: str, lines: Sequence[tuple[str, str]]) -> str:
    """Write names and values below one another.

    Parameters
    ----------
    title
        The first line.
    lines
        Names and values.

    Returns
    -------
    str
        The text.
    """
    width = max(len(name) for name, _ in lines)
    return "\n".join([title, *(f"  {name:<{width}}  {text}" for name, text in lines)])


def as_html(kind: str, summary: str, lines: Sequence[tuple[str, str]]) -> str:
    """Write names and values as a small table for notebooks.

    Parameters
    ----------
    kind
        What it is.
    summary
        Of what.
    lines
        Names and values.

    Returns
    -------
    str
        HTML.
    """
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
        for name, text in lines
    )
    title = f"<strong>{html.escape(kind)}</strong>: {html.escape(summary)}"
    return f"<div>{title}<table>{rows}</table></div>"


def collect_result(
    predictions: pd.DataFrame,
    labels: npt.NDArray[Any],
    *,
    n_presentations: int,
    n_units: int,
    estimator: str,
    cv: str,
    notes: tuple[str, ...] = (),
) -> DecodingResult:
    """Count what was predicted right and wrong.

    Parameters
    ----------
    predictions
        Columns ``fold``, ``actual``, ``predicted``, one row a tested presentation.
    labels
        The different targets, sorted.
    n_presentations
        Rows of the design.
    n_units
        Columns of the design.
    estimator
        The model, as text.
    cv
        How the folds were made, as text.
    notes
        What to know before believing the numbers.

    Returns
    -------
    DecodingResult
        Accuracies and confusion of these predictions.
    """
    is_right = predictions["actual"] == predictions["predicted"]
    accuracies: npt.NDArray[np.float64] = np.asarray(
        is_right.groupby(predictions["fold"]).mean(), dtype=np.float64
    )
    accuracies.setflags(write=False)
    confusion = _count_confusion(predictions, labels)
    attrs = {
        "long_name": "presentations",
        "estimator": estimator,
        "cv": cv,
        "notes": "; ".join(notes),
    }
    totals = confusion.sum(axis=1)
    with np.errstate(invalid="ignore"):
        per_class = np.diag(confusion) / totals
    return DecodingResult(
        accuracies=accuracies,
        mean_accuracy=float(accuracies.mean()),
        chance=1 / len(labels),
        confusion=xr.DataArray(
            confusion,
            coords={"actual": labels, "predicted": labels},
            dims=("actual", "predicted"),
            name="confusion",
            attrs=attrs,
        ),
        per_class_accuracy=pd.Series(
            per_class, index=pd.Index(labels, name="label"), name="accuracy"
        ),
        labels=labels,
        predictions=predictions,
        n_presentations=n_presentations,
        n_units=n_units,
        estimator=estimator,
        cv=cv,
        notes=notes,
    )


def _count_confusion(predictions: pd.DataFrame, labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    actual = np.searchsorted(labels, predictions["actual"].to_numpy())
    predicted = np.searchsorted(labels, predictions["predicted"].to_numpy())
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts, (actual, predicted), 1)
    return counts
