"""Which spike fell into which presentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.schema import PRESENTATIONWISE_SPIKE_TIMES


def align_spikes(
    spike_times: Mapping[int, npt.NDArray[np.float64]],
    unit_ids: Sequence[int],
    *,
    start_time: npt.ArrayLike,
    stop_time: npt.ArrayLike,
    presentation_ids: npt.ArrayLike,
) -> pd.DataFrame:
    """List the spikes that fall into presentations.

    Parameters
    ----------
    spike_times
        Unit id → sorted times [s].
    unit_ids
        Which units.
    start_time, stop_time
        Shape (n_presentations,) [s]; a spike belongs to [start, stop). Any order; presentations
        may overlap, and a spike then appears once for each.
    presentation_ids
        Shape (n_presentations,).

    Returns
    -------
    DataFrame
        Index ``spike_time`` [s], sorted; stimulus_presentation_id, unit_id,
        time_since_stimulus_presentation_onset [s]. Spikes at the same time keep the order of the
        units, then of the presentations.

    Notes
    -----
    Time and memory are linear in the spikes found; nothing is looked up for the others.
    """
    starts = np.asarray(start_time, dtype=np.float64)
    stops = np.asarray(stop_time, dtype=np.float64)
    times, rows, units = [], [], []
    for unit_id in unit_ids:
        train = np.asarray(spike_times[unit_id])
        first = np.searchsorted(train, starts, side="left")
        n_inside = np.maximum(np.searchsorted(train, stops, side="left") - first, 0)
        row = np.repeat(np.arange(len(starts)), n_inside)
        # the k-th spike of a presentation stands k places after its first one
        place = np.arange(row.size) - np.repeat(np.cumsum(n_inside) - n_inside - first, n_inside)
        times.append(train[place])
        rows.append(row)
        units.append(np.full(row.size, unit_id, dtype=np.int64))
    if not times or not sum(map(len, times)):
        empty = PRESENTATIONWISE_SPIKE_TIMES.empty()
        return empty.set_index(pd.Index([], name="spike_time", dtype=np.float64))
    time, row, unit = np.concatenate(times), np.concatenate(rows), np.concatenate(units)
    order = np.argsort(time, kind="stable")
    time, row = time[order], row[order]
    return pd.DataFrame(
        {
            "stimulus_presentation_id": np.asarray(presentation_ids, dtype=np.int64)[row],
            "unit_id": unit[order],
            "time_since_stimulus_presentation_onset": time - starts[row],
        },
        index=pd.Index(time, name="spike_time"),
    )
