"""Count spikes around any events, in bins that may have gaps or differ from event to event."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import (
    ROW_NAMES,
    Ids,
    Onsets,
    align,
    name_events,
    read_onsets,
    to_ids,
    to_seconds,
)
from spikehouse.spikes.counting import (
    TIME,
    check_bin_edges,
    check_windows,
    count_spikes,
    warn_overlaps,
)
from spikehouse.spikes.streaming import compute_mean_counts
from spikehouse.spikes.trains import Spikes

Floats = npt.NDArray[np.float64]
_TAKEN = ("onset_time", TIME, "bin", "window_start", "window_stop", "unit_id")


def count_events(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    events: Onsets,
    bins: npt.ArrayLike | pd.DataFrame | xr.DataArray,
    *,
    mean: bool = False,
) -> xr.DataArray:
    """Count spikes in bins around any events: presentations, light pulses, licks.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units, in the order wanted.
    events
        Times [s], a Series, or a table with start_time [s]; the index labels the events. Any
        order; events may overlap.
    bins
        Bins [s] from the onset, each [a, b). The same for all events: edges, shape (n_bins + 1,),
        or intervals, shape (n_bins, 2), with gaps between them or overlapping. For each event:
        edges, shape (n_events, n_bins + 1), or intervals, shape (n_events, n_bins, 2). A table or
        DataArray with two dimensions has one row of edges for each event, by label. Any other
        array of shape (n, 2) is intervals for all events: one window for each event is
        ``windows[:, np.newaxis]``.
    mean
        Average over the events; the counts of single events are then never in memory.

    Returns
    -------
    DataArray, shape (n_events, n_bins, n_units)
        ``spike_counts`` (the name of the events' index, else onset;
        time_relative_to_stimulus_onset = centres of bins [s]; unit_id), or ``mean_spike_counts``
        without the first dimension. ``window_start`` and ``window_stop`` [s] are the bins,
        ``onset_time`` [s] the events. With bins that differ from event to event the second
        dimension is ``bin`` (0, 1, …), and its times have a row for each event.

    Warns
    -----
    UserWarning
        If the bins of an event run into those of the next one: spikes there are counted in both.

    Notes
    -----
    Counts are those of :func:`spikehouse.spikes.count_spikes`; memory too, with 64 bytes for each
    event and bin.

    Examples
    --------
    Baseline and response, without the artifact of the light between them:

    >>> pulses = session.optogenetic_stimulation_epochs
    >>> bins = [(-0.01, -0.001), (0.001, 0.01)]
    >>> counts = count_events(session, session.units.index, pulses, bins)
    >>> dict(counts.sizes)
    {'id': 8, 'time_relative_to_stimulus_onset': 2, 'unit_id': 16}
    """
    units = to_ids(unit_ids, "unit_id")
    onsets = read_onsets(events)
    relative = _read_bins(bins, onsets)
    if mean and not len(onsets):
        raise InvalidArgumentError("there are no events to average over; give their times [s]")
    times = np.asarray(onsets, dtype=np.float64)[:, np.newaxis]
    starts, stops = relative[..., 0], relative[..., 1]
    n_bins, groups = relative.shape[1], None
    if (starts[:, 1:] == stops[:, :-1]).all():
        domain = times + np.column_stack([starts, stops[:, -1:]])
        warn_overlaps(domain, stacklevel=4)
    else:  # one row for each event and bin
        bins_of_events = times[..., np.newaxis] + relative
        warn_overlaps(bins_of_events, stacklevel=4)
        domain = bins_of_events.reshape(-1, 2)
        groups = np.tile(np.arange(n_bins), len(onsets))
    event = name_events(onsets.index, "onset", _TAKEN)
    is_common = len(relative) == 1
    within: tuple[str, ...] = (TIME,) if is_common else (event, "bin")
    dims: tuple[str, ...] = (event, within[-1], "unit_id")
    bounds = relative[0] if is_common else relative
    # for figures, also of means, which have no events any more
    which = "stimulus onset" if event in ROW_NAMES else "onset"
    coords: dict[str, tuple[Any, ...]] = {
        event: ((event,), onsets.index.to_numpy()),
        "onset_time": ((event,), onsets.to_numpy()),
        TIME: (within, bounds.mean(axis=-1), {"long_name": f"time from {which}", "units": "s"}),
        "window_start": (within, bounds[..., 0]),
        "window_stop": (within, bounds[..., 1]),
        "unit_id": (("unit_id",), units),
    }
    if mean:
        values = compute_mean_counts(spikes_or_session, units, domain, groups=groups)
        dims, values = dims[1:], values.reshape(n_bins, len(units))
        coords = {name: part for name, part in coords.items() if event not in part[0]}
    else:
        values = count_spikes(spikes_or_session, units, domain)
        values = values.reshape(len(onsets), n_bins, len(units))
    return xr.DataArray(
        values,
        dims=dims,
        coords=coords,
        name="mean_spike_counts" if mean else "spike_counts",
        attrs={"units": "spikes"},
    )


def _read_bins(
    bins: npt.ArrayLike | pd.DataFrame | xr.DataArray, onsets: pd.Series[float]
) -> Floats:
    """Return start and stop of bins from the onset, shape (1 or n_events, n_bins, 2)."""
    n_events = len(onsets)
    given = to_seconds(align(onsets=onsets, bins=bins)[1], "bins")
    if given.ndim == 1:
        edges = check_bin_edges(given)
        return np.stack([edges[:-1], edges[1:]], axis=-1)[np.newaxis]
    if given.ndim == 2:
        has_rows = isinstance(bins, pd.DataFrame | xr.DataArray) or given.shape[1] != 2
        edges = np.stack([given[:, :-1], given[:, 1:]], axis=-1)
        given = edges if has_rows else given[np.newaxis]
    if given.ndim != 3 or given.shape[2] != 2 or len(given) not in (1, n_events) or not given.size:
        raise InvalidArgumentError(
            f"bins has the shape {np.shape(bins)}, with {n_events} events; give edges "
            "(n_bins + 1,) or intervals (n_bins, 2), or for each event "
            f"({n_events}, n_bins + 1) or ({n_events}, n_bins, 2)"
        )
    if len(given) == 1:
        return check_windows(given[0], noun="bin")[np.newaxis]
    return check_windows(given, onsets.index, noun="event")
