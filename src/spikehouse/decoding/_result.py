"""The result of decoding."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr


class Described:
    """A result that is shown as a title and names with values, as text and in notebooks."""

    def _summary(self) -> str:
        raise NotImplementedError

    def _lines(self) -> list[tuple[str, str]]:
        raise NotImplementedError

    def __repr__(self) -> str:
        width = max(len(name) for name, _ in self._lines())
        title = f"{type(self).__name__}: {self._summary()}"
        return "\n".join([title, *(f"  {name:<{width}}  {text}" for name, text in self._lines())])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in self._lines()
        )
        title = f"<strong>{type(self).__name__}</strong>: {html.escape(self._summary())}"
        return f"<div>{title}<table>{rows}</table></div>"


@dataclass(frozen=True, eq=False, repr=False)
class DecodingResult(Described):
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
    n_presentations, n_units
        Number of rows and of columns of the design.
    estimator, cv
        Descriptions of the model that was fitted to each fold and of the cross-validation.
    notes
        Warnings about the result: constant units, classes without training rows, fits that did
        not converge.

    Examples
    --------
    >>> orientation = np.tile([0, 90], 50)
    >>> rng = np.random.default_rng(0)
    >>> counts = rng.poisson(np.where(orientation[:, None] == [0, 90], 12, 2))
    >>> decode(counts, orientation).confusion_table()
    predicted  0   90
    actual
    0          50   0
    90          0  50
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
                f"{self.chance:.4f} (1 / {len(self.labels)}); the mean is {times:.1f} times that",
            ),
        ]
        tested = self.per_class_accuracy.dropna()
        if len(tested):
            best, worst = tested.idxmax(), tested.idxmin()
            lines.append(("best decoded", f"{best} ({tested.max():.0%} right)"))
            lines.append(("worst decoded", f"{worst} ({tested.min():.0%} right)"))
        lines += [("estimator", self.estimator), ("folds", self.cv)]
        return [*lines, *(("note", note) for note in self.notes)]
