"""Runs of equal values: stimulus epochs, stretches of channels in one structure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.stimuli.presentations import Presentations, presentation_table

SHORTEST = {"spontaneous_activity": 90.0}
"""Epochs of these stimuli count only from so many seconds on."""


def array_intervals(array: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Bound the runs of equal values.

    Parameters
    ----------
    array
        One-dimensional, without missing values.

    Returns
    -------
    ndarray of int64, shape (n_runs + 1,)
        Where each run begins, and the length of the array.
    """
    values = np.asarray(array)
    return np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1, [len(values)]])


def nan_intervals(
    array: npt.ArrayLike, nan_like: Collection[str] = ("null",)
) -> npt.NDArray[np.int64]:
    """Bound the runs of equal values in an array that may have missing ones.

    Parameters
    ----------
    array
        One-dimensional; missing values are equal to each other.
    nan_like
        Words that stand for a missing value; kept for AllenSDK's signature, where it has no
        effect: a word is a value like any other.

    Returns
    -------
    ndarray of int64, shape (n_runs + 1,)
        Where each run begins, and the length of the array; only 0 if it is empty.
    """
    del nan_like
    values = np.asarray(array)
    if not values.size:
        return np.zeros(1, dtype=np.int64)
    # factorize takes 1 and True for one value, AllenSDK does not
    typed = pd.Series(
        [None if pd.isna(v) else (type(v).__name__, v) for v in values.tolist()], dtype=object
    )
    codes, _ = pd.factorize(typed)
    return np.unique(array_intervals(codes))


def stimulus_epochs(
    presentations: Presentations, *, duration_thresholds: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Find the periods in which one kind of stimulus was shown.

    Parameters
    ----------
    presentations
        Of one session.
    duration_thresholds
        Stimulus name → the shortest epoch [s] of it that counts.

    Returns
    -------
    DataFrame
        start_time, stop_time, duration [s], stimulus_name, stimulus_block: runs of equal
        stimulus_block; the row numbers of epochs that do not count are left out.
    """
    table = presentation_table(presentations)
    labels = np.where(presentations.is_invalid, -2, presentations.stimulus_block.codes)
    bounds = np.unique(array_intervals(labels))
    first, last = bounds[:-1], bounds[1:] - 1
    start = presentations.start_time[first]
    stop = presentations.stop_time[last]
    epochs = pd.DataFrame(
        {
            "start_time": start,
            "stop_time": stop,
            "duration": stop - start,
            "stimulus_name": table["stimulus_name"].to_numpy()[first],
            "stimulus_block": table["stimulus_block"].to_numpy()[first],
        }
    )
    thresholds = SHORTEST if duration_thresholds is None else duration_thresholds
    shortest = epochs["stimulus_name"].map(thresholds).fillna(-np.inf)
    return epochs[epochs["duration"] >= shortest.astype(float)]


def inter_presentation_intervals(presentations: Presentations) -> pd.DataFrame:
    """Measure the pauses between presentations.

    Parameters
    ----------
    presentations
        Of one session.

    Returns
    -------
    DataFrame
        Index (from_presentation_id, to_presentation_id); ``interval`` [s] from the stop of one
        presentation to the start of the next, negative where they overlap.
    """
    ids = presentations.ids
    index = pd.MultiIndex.from_arrays(
        [ids[:-1], ids[1:]], names=["from_presentation_id", "to_presentation_id"]
    )
    interval = presentations.start_time[1:] - presentations.stop_time[:-1]
    return pd.DataFrame({"interval": interval}, index=index)


def parameter_values(
    presentations: Presentations, rows: npt.NDArray[Any], *, drop_nulls: bool = True
) -> dict[str, npt.NDArray[Any]]:
    """List the values that each parameter takes.

    Parameters
    ----------
    presentations
        Of one session.
    rows
        Positions of the presentations to look at; invalid ones have no values.
    drop_nulls
        Leave "null" out; otherwise it comes last where a parameter does not always apply.

    Returns
    -------
    dict
        Parameter → its values in order of first appearance; numbers as a number array unless
        "null" is among them. Parameters that never apply, and the display's settings, are left
        out.
    """
    table: dict[str, npt.NDArray[Any]] = {}
    for name, column in presentations.plain_parameters():
        kept = column.take(rows).without(presentations.is_invalid[rows])
        if kept.is_empty:
            continue
        values = kept.uniques()
        incomplete = bool((kept.codes < 0).any())
        if not drop_nulls and incomplete:
            extended = np.empty(len(values) + 1, dtype=object)
            extended[:-1], extended[-1] = values, "null"
            table[name] = extended
        else:
            table[name] = pd.Series(values).infer_objects().to_numpy()
    return table
