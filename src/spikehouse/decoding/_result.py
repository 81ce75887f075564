"""The result of decoding."""

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
    """Accuracy and confusion of a cross-validated decoding.

    Attributes
    ----------
    accuracies
        Fraction of correct predictions in the test rows of each fold, shape (n_folds,).
    mean_accuracy
        Mean of ``accuracies``; all folds have the same weight.
    chance
        ``1 / len(labels)``, the accuracy of guessing if all classes are equally frequent.
    confusion
        Number of presentations, summed over the folds; dims ``(actual, predicted)`` with the
        labels as coordinates.
    per_class_accuracy
        Fraction of correct predictions for each label; NaN for a label without test rows.
    labels
        Distinct targets, sorted.
    predictions
        One row per tested presentation, in the order of the folds: ``fold``, ``actual``,
        ``predicted``; index: the presentations.
    n_presentations
        Number of rows of the design.
    n_units
        Number of columns of the design.
    estimator
        Description of the model that was fitted to each fold.
    cv
        Description of the cross-validation.
    notes
        Warnings about the result: constant units, classes without training rows, fits that did
        not converge.
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

    def confusion_table(self, *, is_normalized: bool = False) -> pd.DataFrame:
        """Return the confusion matrix as a table.

        Parameters
        ----------
        is_normalized
            Return the fraction of the presentations of each actual class instead of their number.

        Returns
        -------
        DataFrame
            Rows ``actual``, columns ``predicted``. Rows of fractions add up to one; they are NaN
            for a class without test rows.
        """
        classes = pd.Index(self.labels)
        table = pd.DataFrame(
            self.confusion.to_numpy(),
            index=classes.rename("actual"),
            columns=classes.rename("predicted"),
            copy=True,  # pandas 2 would return a view of the result's own array
        )
        if not is_normalized:
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
    """Format names and values in two columns below a title."""
    width = max(len(name) for name, _ in lines)
    return "\n".join([title, *(f"  {name:<{width}}  {text}" for name, text in lines)])


def as_html(kind: str, summary: str, lines: Sequence[tuple[str, str]]) -> str:
    """Format names and values as a small HTML table for notebooks."""
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
    """Compute accuracies and confusion of the predictions."""
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
