"""List the spikes within presentations."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, Onsets, align, name_events, read_onsets, to_ids, to_seconds
from spikehouse.schema import PRESENTATIONWISE_SPIKE_TIMES
from spikehouse.spikes.counting import check_windows, read_windows
from spikehouse.spikes.trains import ReadAhead, Spikes, get_spike_times


def align_spikes(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    presentations: Onsets,
    *,
    window: tuple[float, float] | npt.ArrayLike | pd.DataFrame | None = None,
) -> pd.DataFrame:
    """List the spikes that fall into presentations, or into windows around any events.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units.
    presentations
        Index stimulus_presentation_id; start_time, stop_time [s]; a spike belongs to [start,
        stop). Any order; presentations may overlap, and a spike then appears once for each. With
        ``window`` any events: times [s], a Series, or a table with start_time.
    window
        First and last time from the onset [s], half-open, such as (-0.5, 1.0): also spikes before
        the onset. A table or an array of shape (n_events, 2) has one window for each event; those
        of a table go by label.

    Returns
    -------
    DataFrame
        Index ``spike_time`` [s], sorted; stimulus_presentation_id, unit_id,
        time_since_stimulus_presentation_onset [s]. Spikes at the same time keep the order of the
        units, then of the presentations. The first column has the name of the index of
        ``presentations``; without a name and with ``window`` it is ``onset``. ``attrs`` has
        ``window``, the first and the last time from an onset [s] of all events.

    Notes
    -----
    Time and memory are linear in the spikes found; nothing is looked up for the others.

    Examples
    --------
    >>> shown = pd.DataFrame({"start_time": [0.0, 1.0], "stop_time": [0.5, 1.5]}, index=[10, 11])
    >>> align_spikes({7: [0.1, 0.7, 1.2]}, [7], shown)[["stimulus_presentation_id", "unit_id"]]
                stimulus_presentation_id  unit_id
    spike_time
    0.1                               10        7
    1.2                               11        7

    The spikes around any events, with a baseline:

    >>> around = align_spikes({7: [0.1, 0.7, 1.2]}, [7], [1.0], window=(-0.5, 0.5))
    >>> around["time_since_stimulus_presentation_onset"].round(3).tolist()
    [-0.3, 0.2]
    """
    if window is None:
        if not isinstance(presentations, pd.DataFrame):
            raise InvalidArgumentError(
                "onsets alone do not say how long to look: give window=(-0.5, 1.0), first and last "
                "time from the onset [s], or a table with start_time and stop_time"
            )
        windows = read_windows(presentations)
    onsets = read_onsets(presentations)
    if window is not None:
        windows = _place_windows(onsets, window)
    starts, edges = onsets.to_numpy(dtype=np.float64), windows.ravel()
    taken = (*PRESENTATIONWISE_SPIKE_TIMES.column_names[1:], "spike_time")
    usual = "stimulus_presentation_id" if window is None else "onset"
    column = name_events(onsets.index, usual, taken)
    ids = onsets.index.to_numpy()
    units = to_ids(unit_ids, "unit_id").tolist()
    numbers = np.arange(len(starts), dtype=np.int32)
    times, rows, sizes = [np.empty(0)], [numbers[:0]], [0]
    trains = ReadAhead(get_spike_times(spikes_or_session), units)
    for position in range(len(units)):
        train = np.asarray(trains[position], dtype=np.float64)
        first, end = np.searchsorted(train, edges, side="left").reshape(-1, 2).T
        n_inside = end - first
        ends = np.cumsum(n_inside)
        sizes.append(int(ends[-1]) if len(ends) else 0)
        # the k-th spike of a presentation stands k places after its first one
        place = np.repeat(first - ends + n_inside, n_inside)
        place += np.arange(sizes[-1])
        times.append(train[place])
        rows.append(np.repeat(numbers, n_inside))
    reach = np.round(windows - starts[:, np.newaxis], 9)
    attrs: dict[Hashable | None, Any] = {}
    if reach.size:
        attrs["window"] = (float(reach.min()), float(reach.max()))
    if not sum(sizes):
        empty = PRESENTATIONWISE_SPIKE_TIMES.empty()
        empty = empty.rename(columns={"stimulus_presentation_id": column})
        found = empty.set_index(pd.Index([], name="spike_time", dtype=np.float64))
        found.attrs = attrs
        return found
    time, order = _sort(np.concatenate(times))
    row = np.concatenate(rows)[order]
    places = np.repeat(np.arange(len(sizes) - 1, dtype=np.int32), sizes[1:])[order]
    found = pd.DataFrame(
        {
            column: ids[row],
            "unit_id": np.asarray(units, dtype=np.int64)[places],
            "time_since_stimulus_presentation_onset": time - starts[row],
        },
        index=pd.Index(time, name="spike_time"),
        copy=False,
    )
    found.attrs = attrs
    return found


def _place_windows(
    onsets: pd.Series[float], window: tuple[float, float] | npt.ArrayLike | pd.DataFrame
) -> npt.NDArray[np.float64]:
    """Return first and last time [s] of the window around each onset."""
    given = to_seconds(align(onsets=onsets, window=window)[1], "window")
    if given.shape not in ((2,), (len(onsets), 2)):
        raise InvalidArgumentError(
            f"window has the shape {given.shape}; give first and last time from the onset [s], "
            f"such as (-0.5, 1.0), or one pair for each of the {len(onsets)} events"
        )
    return check_windows(onsets.to_numpy()[:, None] + given, onsets.index, noun="event")


def _sort(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Sort, equal values in the order they came; also return the former places."""
    # faster than numpy's stable sort: few values are equal, and only those are put in order
    order = np.argsort(values)
    ordered = values[order]
    equal = ordered[1:] == ordered[:-1]
    if equal.any():
        tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
        order[tied] = order[tied][np.lexsort((order[tied], ordered[tied]))]
    return ordered, order
