"""The phase of the field potential at spikes, and how consistent it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, look_up, to_ids
from spikehouse.lfp._analytic import make_kernel, read_band, to_analytic
from spikehouse.lfp._windows import find_rows, iterate_windows, list_spikes, read_units
from spikehouse.lfp.alignment import check_times, find_interval, list_channels
from spikehouse.schema import require_columns
from spikehouse.spikes.trains import Spikes

# of the sum of unit vectors, for each
ROUNDING = 1e-14


def choose_field_channels(
    lfp: xr.DataArray,
    units: pd.DataFrame,
    channels: pd.DataFrame,
    *,
    min_distance_um: float = 100.0,
) -> pd.Series[int]:
    """Choose for every unit the nearest channel of a recording that its own spikes do not reach.

    Parameters
    ----------
    lfp
        A recording; only its ``channel`` ids are looked at.
    units
        Index unit_id; probe_id, probe_vertical_position and probe_horizontal_position [µm] of the
        peak channel: ``session.units``.
    channels
        Index channel_id; the same columns: ``session.channels``. Channels without a row, which
        the survey calls invalid, or without a position are not chosen.
    min_distance_um
        Least distance from the unit's peak channel [µm].

    Returns
    -------
    Series
        ``channel`` by unit_id: the nearest of those at ``min_distance_um`` or more, the lower id
        of two as near.

    Notes
    -----
    A spike lasts a few milliseconds on the channels around its cell and leaks into the field there,
    above about 30 Hz: each spike is then locked to itself. Its amplitude falls within about
    100 µm. In layered structures the phase changes with depth: where phases of units are to be
    compared, such as in CA1, take one channel for all instead.

    References
    ----------
    Zanos, Mineault & Pack (2011), J. Neurophysiol. 105, 474, doi:10.1152/jn.00642.2010.

    Examples
    --------
    >>> lfp = session.get_lfp(session.probes.index[0])
    >>> units = session.units[session.units["probe_id"] == session.probes.index[0]]
    >>> chosen = choose_field_channels(lfp, units, session.channels)
    >>> bool(chosen.isin(lfp["channel"].values).all())
    True
    """
    if not (np.isfinite(min_distance_um) and min_distance_um >= 0):
        raise InvalidArgumentError(
            f"min_distance_um is {min_distance_um}; give a distance [µm], or 0 for the nearest"
        )
    columns = ["probe_vertical_position", "probe_horizontal_position"]
    for table, what in ((units, "the table of units"), (channels, "the table of channels")):
        require_columns(table, "probe_id", *columns, what=what)
    is_unknown = units[columns].isna().any(axis=1)
    if is_unknown.any():
        raise InvalidArgumentError(
            f"{is_unknown.sum()} of {len(units)} units have no position, such as unit "
            f"{units.index[is_unknown][0]}; leave them out, or say which channel to take "
            "(channels=…)"
        )
    there = channels[channels.index.isin(list_channels(lfp))].dropna(subset=columns).sort_index()
    known = there["probe_id"].unique()
    is_elsewhere = ~units["probe_id"].isin(known)
    if is_elsewhere.any() or not len(there):
        probes = ", ".join(f"probe {probe}" for probe in known.tolist())
        raise InvalidArgumentError(
            f"{is_elsewhere.sum()} of {len(units)} units are of other probes than the channels of "
            f"the recording ({probes or 'none has a row and a position in channels'}): select "
            "those of its probe, or say which channel to take (channels=…)"
        )
    at = units[columns].to_numpy(np.float64)[:, np.newaxis] - there[columns].to_numpy(np.float64)
    distance = np.hypot(at[..., 0], at[..., 1])
    other = units["probe_id"].to_numpy()[:, np.newaxis] != there["probe_id"].to_numpy()
    distance[other | ~(distance >= min_distance_um)] = np.inf
    is_alone = np.isinf(distance).all(axis=1)
    if is_alone.any():
        raise InvalidArgumentError(
            f"unit {units.index[is_alone][0]} has no channel at {min_distance_um:g} µm or more in "
            f"this recording of {len(there)} channels; give a smaller min_distance_um, or leave "
            "more channels in the recording"
        )
    nearest = there.index.to_numpy()[distance.argmin(axis=1)]
    return pd.Series(nearest, index=units.index.rename("unit_id"), name="channel")


def compute_spike_phases(
    lfp: xr.DataArray,
    spikes_or_session: Spikes,
    unit_ids: Ids,
    *,
    band: tuple[float, float] | str,
    channels: pd.Series[int] | int | None = None,
    order: int = 3,
) -> pd.DataFrame:
    """Compute the phase of the field potential in a band at every spike.

    Parameters
    ----------
    lfp
        A recording (time [s], channel), times increasing. Only the windows around the spikes are
        read where it is read on selection.
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units, each once.
    band
        Lower and upper limit [Hz], or a name in ``spikehouse.lfp.BANDS`` such as ``"theta"``.
    channels
        The channel whose phase to take: one id for all units, or a Series by unit_id. If None, the
        recording's only channel; if it has several and a session is given, those of
        :func:`choose_field_channels`.
    order
        Order of the Butterworth filter, as in ``scipy.signal.butter``.

    Returns
    -------
    DataFrame
        A row for every spike with a phase, in order of time: unit_id, spike_time [s], phase [rad]
        in (−π, π]: 0 at a peak of the potential, ±π at a trough, rising with time.

    Notes
    -----
    The phase is the angle of the analytic signal z = b + iH[b], b the potential filtered forward
    and backward, H the Hilbert transform. Both are one kernel, convolved with the window around
    each spike; it is cut where 10⁻⁷ of its energy is left (±1.2 s for theta, ±0.15 s for gamma). On
    noise with a spectrum of 1/f² phases differ from those of ``sosfiltfilt`` and ``hilbert`` on
    the whole trace by less than 0.01 rad (root mean square), without the tenth of the spikes where
    the signal is smallest, at which phases are ill defined. Between samples z is interpolated,
    turned back by the centre of the band.

    A spike has no phase, and no row, if its window has a NaN (masked intervals: those of
    ``session.get_lfp``), a gap in the times, or an end of the recording.

    Windows that overlap are read once, 16 MB at a time. A file is read by rows of all its
    channels (by whole chunks where it has chunks), and rows up to 64 kB apart with those between
    them. Memory beyond the result: about 40 bytes a spike, and 200 MB.

    Examples
    --------
    >>> import xarray as xr
    >>> time = np.arange(10_000) / 1250
    >>> wave = 1e-4 * np.cos(2 * np.pi * 7 * time)  # 7 Hz: a peak at 0 s
    >>> lfp = xr.DataArray(wave[:, None], {"time": time, "channel": [0]})
    >>> spikes = {5: np.array([3.0, 4.0]) + 1 / 28}  # a quarter of a cycle after peaks
    >>> compute_spike_phases(lfp, spikes, [5], band=(4, 10))["phase"].round(2).tolist()
    [1.57, 1.57]
    """
    samples = check_times(lfp)
    interval = find_interval(samples)
    band = read_band(band, interval)
    kernel = make_kernel(band, order, interval)
    half = len(kernel) // 2
    units = read_units(unit_ids)
    chosen = _choose(lfp, spikes_or_session, units, channels)
    needed, columns = np.unique(chosen, return_inverse=True)
    one_more = (half * interval, half * interval)
    _, times, numbers = list_spikes(spikes_or_session, units, samples, one_more)
    rows = find_rows(samples, times)
    # the ends: the window goes from half before the sample before to half after the one after
    is_inside = (rows >= half) & (rows + 1 + half < len(samples))
    times, numbers, rows = times[is_inside], numbers[is_inside], rows[is_inside]
    phase = np.full(len(times), np.nan)
    centre = np.pi * (band[0] + band[1])
    kept = lfp.sel(channel=needed)
    for part in iterate_windows(
        kept, samples, rows, before=half, after=half + 1, interval=interval
    ):
        signal = to_analytic(part.values, kernel)
        channel = columns[numbers[part.events]]
        first = part.times[part.places]
        step = np.maximum(part.times[part.places + 1] - first, 0.1 * interval)
        passed = times[part.events] - first
        share = passed / step
        place = part.places - half
        mixed = (1 - share) * signal[place, channel] + share * signal[place + 1, channel] * np.exp(
            -1j * centre * step
        )
        angle = np.angle(mixed * np.exp(1j * centre * passed))
        is_whole = part.is_whole[np.arange(len(channel)), channel] & (np.abs(mixed) > 0)
        phase[part.events] = np.where(is_whole, angle, np.nan)
    is_known = np.isfinite(phase)
    return pd.DataFrame(
        {
            "unit_id": units[numbers[is_known]],
            "spike_time": times[is_known],
            "phase": phase[is_known],
        }
    )


def _choose(
    lfp: xr.DataArray,
    spikes_or_session: Spikes,
    units: npt.NDArray[Any],
    channels: pd.Series[int] | int | None,
) -> npt.NDArray[Any]:
    """Return the channel of each unit."""
    there = list_channels(lfp)
    if channels is None and len(there) == 1:
        channels = there[0]
    elif channels is None:
        tables: Any = spikes_or_session
        if not hasattr(tables, "units") or not hasattr(tables, "channels"):
            raise InvalidArgumentError(
                f"the recording has {len(there)} channels: say which one's phase to take, "
                "channels=… with an id or a Series by unit_id, such as that of "
                "choose_field_channels"
            )
        known = look_up(units, tables.units["probe_id"], name="the table of units").index
        channels = choose_field_channels(lfp, tables.units.loc[known], tables.channels)
    if isinstance(channels, pd.Series):
        chosen = to_ids(look_up(units, channels, name="channels"), "channels")
    else:
        chosen = np.repeat(to_ids(channels, "channels"), len(units))
        if len(chosen) != len(units):
            raise InvalidArgumentError(
                f"channels has {len(chosen) // max(len(units), 1)} ids without units; give one id "
                "for all units, or a Series by unit_id"
            )
    absent = chosen[~np.isin(chosen, there)]
    if absent.size:
        raise InvalidArgumentError(
            f"channel {absent[0]} is not in the recording, which has {len(there)} channels from "
            f"{there.min()} to {there.max()}"
        )
    return chosen


def compute_phase_consistency(
    phases: pd.DataFrame, unit_ids: Ids | None = None, *, block_length: float = 10.0
) -> pd.DataFrame:
    """Compute how consistent the phases at the spikes of each unit are, without bias.

    Parameters
    ----------
    phases
        unit_id, spike_time [s] and phase [rad] of every spike, in any order:
        :func:`compute_spike_phases`.
    unit_ids
        The units of the result, also without spikes; those of ``phases``, sorted, if None.
    block_length
        Length of the blocks of time [s] within which spikes may depend on each other; 0 if no
        spike depends on another.

    Returns
    -------
    DataFrame
        Index unit_id; n_spikes, n_blocks (that have spikes), ppc, chance, p_value, mean_phase
        [rad], resultant_length. NaN where they are not defined: of a unit without spikes, ppc of
        one with a single spike, p_value of one with spikes in a single block or whose phases cancel
        in every block, mean_phase of one whose phases cancel.

    Notes
    -----
    The pairwise phase consistency (PPC0) is the mean cosine of the difference of all pairs::

        ppc = (|Σ exp(iθ)|² − n) / (n (n − 1))

    Its expectation does not depend on n, while that of resultant_length, ``|Σ exp(iθ)| / n``, does.
    A von Mises distribution of concentration κ has ppc = (I₁(κ)/I₀(κ))².

    Spikes of a burst, or of one cycle, have nearly the same phase, so Rayleigh's test, which takes
    them as independent, finds locking where there is none. Here spikes of one block may depend on
    each other: if the unit fired independently of the field, the sums Rₖ = Σ exp(iθ) of the blocks
    would have independent, uniform directions. Then ppc is ``chance = (Σ|Rₖ|² − n) / (n (n − 1))``
    in the mean, and ``p_value = exp(−|ΣRₖ|² / Σ|Rₖ|²)``, the limit for many blocks; for few, values
    below 0.1 are too large. The number that counts is (Σ|Rₖ|²)² / Σ|Rₖ|⁴: with nearly all
    spikes in one of many blocks it is 1, and p_value about 0.37 = exp(−1) however strong the
    locking. With block_length=0 chance is 0 and this is Rayleigh's test. A
    block must be long against the memory of the rhythm (its cycles stay in step for about
    the inverse of the width of its spectral peak) and of the spike train.

    Locking to the field need not mean that it drives the unit: a stimulus drives both, and a wave
    with steep flanks has more of some phases than of others.

    References
    ----------
    Vinck, van Wingerden, Womelsdorf, Fries & Pennartz (2010), NeuroImage 51, 112,
    doi:10.1016/j.neuroimage.2010.01.073. Pairs within and between blocks: Vinck, Battaglia,
    Womelsdorf & Pennartz (2012), J. Comput. Neurosci. 33, 53, doi:10.1007/s10827-011-0374-4.

    Examples
    --------
    >>> phases = pd.DataFrame({"unit_id": 5, "spike_time": [0, 20, 40], "phase": [0.1, 0.1, 0.1]})
    >>> compute_phase_consistency(phases)[["n_spikes", "ppc", "mean_phase"]].round(2)
             n_spikes  ppc  mean_phase
    unit_id
    5               3  1.0         0.1
    """
    require_columns(phases, "unit_id", "spike_time", "phase", what="the table of phases")
    if not (np.isfinite(block_length) and block_length >= 0):
        raise InvalidArgumentError(
            f"block_length is {block_length}; give a length [s], or 0 if spikes are independent"
        )
    phase, times = (phases[name].to_numpy(np.float64) for name in ("phase", "spike_time"))
    if not (np.isfinite(phase).all() and np.isfinite(times).all()):
        raise InvalidArgumentError(
            "phases has values that are not finite; leave those spikes out: phases.dropna()"
        )
    owners = to_ids(phases["unit_id"], "unit_id")
    units = np.unique(owners) if unit_ids is None else read_units(unit_ids)
    places = pd.Index(units).get_indexer(pd.Index(owners))
    is_asked = places >= 0
    places, phase, times = places[is_asked], phase[is_asked], times[is_asked]
    if block_length:
        block = np.floor((times - times.min(initial=np.inf)) / block_length).astype(np.int64)
    else:
        block = np.arange(len(times))
    n_blocks_all = int(block.max(initial=0)) + 1
    _, group = np.unique(places * n_blocks_all + block, return_inverse=True)
    n_groups = int(group.max(initial=-1)) + 1
    owner = np.empty(n_groups, dtype=np.int64)
    owner[group] = places
    sums = np.zeros(n_groups, dtype=np.complex128)
    sums += np.bincount(group, np.cos(phase), n_groups)
    sums += 1j * np.bincount(group, np.sin(phase), n_groups)
    # what is left of phases that cancel is rounding
    sums[np.abs(sums) < ROUNDING * np.bincount(group, minlength=n_groups)] = 0

    def by_unit(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return np.bincount(owner, values, len(units)).astype(np.float64)

    n = np.bincount(places, minlength=len(units))
    n_blocks = np.bincount(owner, minlength=len(units))
    total = by_unit(sums.real) + 1j * by_unit(sums.imag)
    total[np.abs(total) < ROUNDING * n] = 0
    within = by_unit(np.abs(sums) ** 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs = np.where(n > 1, n * (n - 1.0), np.nan)
        statistic = np.where(n_blocks > 1, np.abs(total) ** 2 / within, np.nan)
        return pd.DataFrame(
            {
                "n_spikes": n,
                "n_blocks": n_blocks,
                "ppc": (np.abs(total) ** 2 - n) / pairs,
                "chance": (within - n) / pairs,
                "p_value": np.exp(-statistic),
                "mean_phase": np.where(total != 0, np.angle(total), np.nan),
                "resultant_length": np.abs(total) / np.where(n > 0, n, np.nan),
            },
            index=pd.Index(units, name="unit_id"),
        )
