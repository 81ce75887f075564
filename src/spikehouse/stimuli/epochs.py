"""Runs of equal values: stimulus epochs, consecutive channels in one structure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.stimuli.presentations import Presentations, list_presentations

# shortest epoch [s] that counts
SHORTEST = {"spontaneous_activity": 90.0}


def find_run_bounds(array: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Find the runs of equal consecutive values.

    Parameters
    ----------
    array
        One-dimensional array; missing values are equal to each other.

    Returns
    -------
    ndarray of int64, shape (n_runs + 1,)
        Start of each run, and the length of the array; only 0 for an empty array.

    Examples
    --------
    >>> find_run_bounds(["VISp", "VISp", "CA1", "VISp"])
    array([0, 2, 3, 4])
    """
    values = np.asarray(array)
    if not values.size:
        return np.zeros(1, dtype=np.int64)
    if values.dtype == object:
        # factorize takes 1 and True for the same value
        values, _ = pd.factorize(
            pd.Series(
                [None if pd.isna(v) else (type(v).__name__, v) for v in values.tolist()],
                dtype=object,
            )
        )
    is_new = (values[1:] != values[:-1]) & ~(pd.isna(values[1:]) & pd.isna(values[:-1]))
    return np.concatenate([[0], np.flatnonzero(is_new) + 1, [len(values)]])


def find_stimulus_epochs(
    presentations: Presentations, *, duration_thresholds: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Find the epochs in which one kind of stimulus was shown.

    Parameters
    ----------
    presentations
        Presentations of one session.
    duration_thresholds
        Stimulus name → shortest duration [s] of its epochs. Default: 90 s for
        spontaneous_activity.

    Returns
    -------
    DataFrame
        One row per run of equal stimulus_block: start_time, stop_time, duration [s],
        stimulus_name, stimulus_block. Shorter epochs are left out together with their row
        numbers.

    Examples
    --------
    >>> shown = pd.DataFrame({"start_time": [0.0, 1.0, 2.0], "stop_time": [1.0, 2.0, 3.0]})
    >>> shown["stimulus_name"] = ["flashes", "flashes", "gabors"]
    >>> shown["stimulus_block"] = [0, 0, 1]
    >>> find_stimulus_epochs(build_presentations(shown, session.invalid_times))
       start_time  stop_time  duration stimulus_name stimulus_block
    0         0.0        2.0       2.0       flashes              0
    1         2.0        3.0       1.0        gabors              1
    """
    table = list_presentations(presentations)
    labels = np.where(presentations.is_invalid, -2, presentations.stimulus_block.codes)
    bounds = find_run_bounds(labels)
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


def compute_inter_presentation_intervals(presentations: Presentations) -> pd.DataFrame:
    """Compute the time between consecutive presentations.

    Parameters
    ----------
    presentations
        Presentations of one session.

    Returns
    -------
    DataFrame
        Index (from_presentation_id, to_presentation_id); ``interval`` [s] from the end of one
        presentation to the start of the next, negative if they overlap.

    Examples
    --------
    >>> shown = pd.DataFrame({"start_time": [0.0, 1.0], "stop_time": [0.5, 1.5]})
    >>> shown["stimulus_name"] = "flashes"
    >>> compute_inter_presentation_intervals(build_presentations(shown, session.invalid_times))
                                             interval
    from_presentation_id to_presentation_id
    0                    1                        0.5
    """
    ids = presentations.ids
    index = pd.MultiIndex.from_arrays(
        [ids[:-1], ids[1:]], names=["from_presentation_id", "to_presentation_id"]
    )
    interval = presentations.start_time[1:] - presentations.stop_time[:-1]
    return pd.DataFrame({"interval": interval}, index=index)


def list_parameter_values(
    presentations: Presentations, rows: npt.NDArray[Any], *, drop_nulls: bool = True
) -> dict[str, npt.NDArray[Any]]:
    """List the distinct values of each parameter.

    Parameters
    ----------
    presentations
        Presentations of one session.
    rows
        Positions of the presentations to look at; invalid ones are skipped.
    drop_nulls
        Leave out "null"; otherwise it comes last if a parameter does not always apply.

    Returns
    -------
    dict of str to ndarray
        Parameter → values in order of first appearance, numeric unless "null" is among them.
        Parameters that never apply and the settings of the display are left out.

    Examples
    --------
    >>> shown = pd.DataFrame({"start_time": [0.0, 1.0, 2.0], "stop_time": [0.5, 1.5, 2.5]})
    >>> shown["stimulus_name"] = "gratings"
    >>> shown["orientation"] = [90.0, 45.0, 90.0]
    >>> presentations = build_presentations(shown, session.invalid_times)
    >>> list_parameter_values(presentations, rows=np.arange(3))
    {'orientation': array([90., 45.])}
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
