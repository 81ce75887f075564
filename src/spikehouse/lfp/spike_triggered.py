"""The mean field potential around the spikes of each unit."""

from __future__ import annotations

import numpy as np
import xarray as xr

from spikehouse.labelled import Ids
from spikehouse.lfp._windows import find_rows, iterate_windows, list_spikes
from spikehouse.lfp.alignment import (
    check_times,
    find_interval,
    list_channels,
    read_unit,
    sample_window,
)
from spikehouse.spikes.trains import Spikes


def compute_spike_triggered_lfp(
    lfp: xr.DataArray,
    spikes_or_session: Spikes,
    unit_ids: Ids,
    *,
    window: tuple[float, float] = (-0.1, 0.1),
) -> xr.Dataset:
    """Average the field potential around the spikes of each unit.

    Parameters
    ----------
    lfp
        A recording (time [s], channel), times increasing. Only the windows around the spikes are
        read where it is read on selection.
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units, each once.
    window
        First and last time relative to the spike [s].

    Returns
    -------
    Dataset
        ``mean`` and ``sem`` (unit_id, time_relative_to_spike, channel) in the recording's units,
        float64, and ``n_spikes`` (unit_id, channel), how many windows were averaged. ``sem`` is the
        standard deviation (n − 1 in the denominator) divided by √n: that of independent spikes,
        and too small where windows overlap. NaN without spikes, ``sem`` also with one.

    Notes
    -----
    A window begins at the sample nearest to spike + window[0], and has the same number of samples
    for every spike. A spike is left out, by channel, if its window has a NaN (masked intervals:
    those of ``session.get_lfp``), a gap in the times, or an end of the recording.

    A unit's own spikes leak into channels within about 100 µm: around a lag of 0 their mean shows
    the spike, not the field. ``mean.sel(channel=chosen.to_xarray())`` has one channel for each
    unit, such as the one that :func:`choose_field_channels` chooses.

    Windows that overlap are read once, 16 MB at a time; samples of all channels are stored together
    in a file, and rows up to 64 kB apart are read with those between them. The time grows with
    spikes × samples × channels, about 1 s for 10⁹: select channels first.

    References
    ----------
    Nauhaus, Busse, Carandini & Ringach (2009), Nat. Neurosci. 12, 70, doi:10.1038/nn.2232.

    Examples
    --------
    >>> lfp = session.get_lfp(session.probes.index[0])
    >>> units = session.units.index[:2]
    >>> average = compute_spike_triggered_lfp(lfp[:, :3], session, units)
    >>> dict(average["mean"].sizes)
    {'unit_id': 2, 'time_relative_to_spike': 250, 'channel': 3}
    """
    from spikehouse.lfp._kernels import add_windows

    channels = list_channels(lfp)
    samples = check_times(lfp)
    interval = find_interval(samples)
    relative = sample_window(window, interval)
    n_samples = len(relative)
    margins = (-relative[0] - interval, relative[-1] - interval)
    units, times, numbers = list_spikes(spikes_or_session, unit_ids, samples, margins)
    # half a sample later, the last sample that is not after is the nearest
    rows = find_rows(samples, times + relative[0] + interval / 2)
    is_inside = (rows >= 0) & (rows + n_samples <= len(samples))
    numbers, rows = numbers[is_inside], rows[is_inside]
    shape = (len(units), n_samples, len(channels))
    sums, squares = np.zeros(shape), np.zeros(shape)
    counts = np.zeros((len(units), len(channels)), dtype=np.int64)
    # sums of squares of what is far from 0 would lose digits
    level = None
    for part in iterate_windows(
        lfp, samples, rows, before=0, after=n_samples - 1, interval=interval
    ):
        if level is None:
            level = part.values.mean(axis=0, dtype=np.float64).astype(np.float32)
        add_windows(
            part.values - level,
            part.places,
            numbers[part.events],
            part.is_whole,
            sums,
            squares,
            counts,
        )
    n = counts[:, np.newaxis].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / n
        variance = np.maximum(squares / n - mean**2, 0) * n / (n - 1)
        sem = np.sqrt(variance / n)
    units_of = read_unit(lfp)
    dims = ("unit_id", "time_relative_to_spike", "channel")
    base = np.zeros(len(channels)) if level is None else level.astype(np.float64)
    return xr.Dataset(
        {
            "mean": (dims, mean + base, {"units": units_of}),
            "sem": (dims, np.where(n > 1, sem, np.nan), {"units": units_of}),
            "n_spikes": (("unit_id", "channel"), counts),
        },
        coords={"unit_id": units, "time_relative_to_spike": relative, "channel": channels},
        attrs={"window": (float(window[0]), float(window[1])), "sampling_interval": interval},
    )
