"""Cross-correlograms of pairs of units, corrected by jitter."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis.checks import divide
from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices
from spikehouse.labelled import Ids, Onsets, align, to_ids
from spikehouse.spikes import Spikes, compute_time_domain
from spikehouse.spikes._engine import run_units
from spikehouse.spikes.trains import get_spike_times

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Progress = Callable[[int, int], object]

# pairs a task: small enough that progress moves, large enough that handing over costs nothing
N_PAIRS_A_TASK = 256
SOURCE = "doi:10.1038/s41586-020-03171-x"


def compute_correlograms(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    onsets: Onsets,
    *,
    conditions: npt.ArrayLike | None = None,
    pairs: npt.ArrayLike | None = None,
    duration: float = 2.0,
    max_lag: float = 0.1,
    bin_width: float = 0.001,
    jitter_window: float | None = 0.025,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> xr.DataArray:
    """Correlate the spikes of pairs of units at every lag, less what slow changes of rate explain.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session, and ids of the units, in that order.
    onsets
        Beginning of each trial [s], shape (n_trials,), such as the start_time of the drifting
        gratings. Trials may overlap: a spike then belongs to each.
    conditions
        The condition of each trial, shape (n_trials,), such as the orientation: trials are
        jittered with those of the same condition only. None: all are of one.
    pairs
        Ids of the units of each pair, shape (n_pairs, 2), source first. None: every pair of
        ``unit_ids`` once, the unit that comes first there being the source.
    duration
        Length of a trial [s].
    max_lag
        Largest lag to either side [s].
    bin_width
        Width of a bin [s]; ``duration``, ``max_lag`` and ``jitter_window`` are multiples of it.
    jitter_window
        Length of the windows in which spikes are jittered [s], counted from the onset. None: no
        correction.
    n_jobs
        Number of threads; None (or −1) is one a core.
    progress
        Called with the number of pairs that are done and of all pairs.

    Returns
    -------
    DataArray, shape (n_pairs, n_lags)
        ``correlogram`` (pair, time_lag), lags from −max_lag to max_lag [s]; source_unit_id and
        target_unit_id go with the pairs. A peak at a positive lag: the target fires after the
        source. NaN where one of the two units is silent. Values are per (spike/s) and bin; divided
        by ``bin_width`` they are coincidences per spike.

    Notes
    -----
    CCG(τ) = Σ_trials Σ_t x₁(t) x₂(t + τ) / (n_trials θ(τ) √(λ₁ λ₂)), with counts x in bins,
    θ(τ) = n_bins − abs(τ) the bins in which both trains are seen, τ in bins, and λ the mean rates
    over the trials [spikes/s]; less the same of the jittered trains.

    Jitter is not random here: what all ways of moving spikes within windows of a trial, such that
    each keeps the number of spikes of the trial in a window and the PSTH of its condition, give on
    average is the train n(window) · PSTH(t) / Σ PSTH(window) of each trial. One trial of a
    condition leaves nothing, and of few trials the correction takes about 1 / n_trials.

    The coincidences are counted over pairs of spikes. Those of the jittered trains are, for each
    pair of windows, the sum over trials of the product of both numbers of spikes, times the
    correlation of both PSTHs: no array of trials × bins is made. Memory: the result, and
    4 bytes × n_units × n_conditions × n_bins.

    References
    ----------
    Smith & Kohn (2008), J. Neurosci. 28, 12591, doi:10.1523/JNEUROSCI.2929-08.2008; Harrison &
    Geman (2009), Neural Comput. 21, 1244, doi:10.1162/neco.2008.03-08-730, for jitter; Siegle et
    al. (2021), Nature 592, 86, doi:10.1038/s41586-020-03171-x, for the definition.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> onsets = np.arange(100) * 2.0
    >>> first = np.sort(rng.uniform(0, 200, 4000))
    >>> found = compute_correlograms({1: first, 2: first + 0.004}, [1, 2], onsets)
    >>> round(float(found.idxmax("time_lag").item()), 6)
    0.004
    """
    trains = place_trains(
        spikes_or_session, unit_ids, onsets, conditions,
        duration=duration, max_lag=max_lag, bin_width=bin_width, jitter_window=jitter_window,
    )  # fmt: skip
    chosen = choose_pairs(trains.unit_ids, pairs)
    return trains.correlate(chosen, n_jobs=n_jobs, progress=progress)


@dataclass(frozen=True)
class Trains:
    """The spikes of all units in the bins of all trials, in order of the trials' conditions."""

    unit_ids: npt.NDArray[Any]
    bins: npt.NDArray[np.int32]
    first: Ints
    sums: npt.NDArray[np.uint32]
    group_first: Ints
    bin_width: float
    max_lag: int
    window: int

    @property
    def rates(self) -> Floats:
        """Mean rates of the units over the trials [spikes/s]."""
        n_trials, n_bins = self.first.shape[1] - 1, self.sums.shape[2]
        n_spikes = self.first[:, -1] - self.first[:, 0]
        return divide(n_spikes, n_trials * n_bins * self.bin_width)

    def correlate(
        self, pairs: Ints, *, n_jobs: int | None, progress: Progress | None
    ) -> xr.DataArray:
        """Compute the correlograms of pairs of positions of units, on all cores."""
        from spikehouse.analysis import _correlogram_kernels as kernels

        if n_jobs is None or n_jobs == -1:
            n_jobs = kernels.n_threads()
        if not isinstance(n_jobs, int | np.integer) or n_jobs < 1:
            raise InvalidArgumentError(
                f"n_jobs={n_jobs}; valid: a number of threads from 1, or None (or -1) for one a "
                "core"
            )
        observed, expected = np.zeros((2, len(pairs), 2 * self.max_lag + 1))

        def run(start: int) -> int:
            part = slice(start, start + N_PAIRS_A_TASK)
            kernels.correlate(
                pairs[part], self.bins, self.first, self.sums, self.group_first, self.window,
                self.max_lag, observed[part], expected[part],
            )  # fmt: skip
            return min(part.stop, len(pairs))

        with ThreadPoolExecutor(int(n_jobs)) as pool:
            try:
                for n_done in pool.map(run, range(0, len(pairs), N_PAIRS_A_TASK)):
                    if progress is not None:
                        progress(n_done, len(pairs))
            except BaseException:
                # Ctrl-C waits for what runs, not for all that is left
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return self._label(observed - expected, pairs)

    def _label(self, coincidences: Floats, pairs: Ints) -> xr.DataArray:
        """Divide coincidences by trials, overlap and rates."""
        n_trials, n_bins = self.first.shape[1] - 1, self.sums.shape[2]
        lags = np.arange(-self.max_lag, self.max_lag + 1)
        scale = (
            n_trials * np.sqrt(self.rates[pairs].prod(axis=1))[:, None] * (n_bins - np.abs(lags))
        )
        return xr.DataArray(
            divide(coincidences, scale),
            dims=("pair", "time_lag"),
            coords={
                "time_lag": lags * self.bin_width,
                "source_unit_id": ("pair", self.unit_ids[pairs[:, 0]]),
                "target_unit_id": ("pair", self.unit_ids[pairs[:, 1]]),
            },
            name="correlogram",
            attrs={
                "units": "coincidences/(spikes/s)/bin",
                "bin_width": self.bin_width,
                "jitter_window": self.window * self.bin_width,
                "source": SOURCE,
            },
        )


def place_trains(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    onsets: Onsets,
    conditions: npt.ArrayLike | None,
    *,
    duration: float,
    max_lag: float,
    bin_width: float,
    jitter_window: float | None,
) -> Trains:
    """Check the arguments, read the spikes and put them into the bins of the trials."""
    units = to_ids(unit_ids, "unit_id")
    if not (np.isfinite(bin_width) and bin_width > 0):
        raise InvalidArgumentError(f"bin_width is {bin_width}; give it in s, for instance 0.001")
    n_bins = _in_bins(duration, bin_width, "duration")
    n_lags = _in_bins(max_lag, bin_width, "max_lag")
    window = 0
    if jitter_window is not None:
        window = _in_bins(jitter_window, bin_width, "jitter_window")
    if n_lags >= n_bins:
        raise InvalidArgumentError(
            f"max_lag is {max_lag:g} s, which is not shorter than a trial of {duration:g} s"
        )
    onsets, conditions = align(onsets=onsets, conditions=conditions)
    edges: Floats = np.arange(n_bins + 1, dtype=np.float64) * bin_width
    starts = compute_time_domain(edges[[0, -1]], onsets)[:, 0]
    groups = np.zeros(len(starts), np.intp)
    if conditions is not None:
        given = np.asarray(conditions)
        if given.shape != starts.shape:
            raise InvalidArgumentError(
                f"there are {len(starts)} onsets, but conditions has the shape {given.shape}; give "
                "the condition of each trial"
            )
        groups = pd.factorize(given, use_na_sentinel=False)[0]
    starts = starts[np.argsort(groups, kind="stable")]
    sizes = np.bincount(groups)
    group_first = np.r_[0, np.cumsum(sizes)].astype(np.int64)
    sums = np.zeros((len(units), len(sizes), n_bins), np.uint32)

    def place(position: int, train: Floats) -> tuple[npt.NDArray[np.int32], Ints]:
        from spikehouse.analysis import _correlogram_kernels as kernels

        first = np.empty(len(starts) + 1, np.int64)
        bins = np.empty(len(train), np.int32)
        n = kernels.place_spikes(train, starts, edges, bins, first)
        if n > len(bins):  # trials overlap
            bins = np.empty(n, np.int32)
            kernels.place_spikes(train, starts, edges, bins, first)
        for group in range(len(sizes)):
            here = slice(*first[group_first[group : group + 2]])
            sums[position, group] = np.bincount(bins[here], minlength=n_bins)
        return bins[:n].copy(), first

    placed = run_units(get_spike_times(spikes_or_session), units.tolist(), place)
    begins = np.r_[0, np.cumsum([len(bins) for bins, _ in placed])].astype(np.int64)
    first = np.array([first for _, first in placed], np.int64).reshape(len(units), len(starts) + 1)
    return Trains(
        units,
        np.concatenate([np.empty(0, np.int32), *(bins for bins, _ in placed)]),
        first + begins[:-1, None],
        sums,
        group_first,
        bin_width,
        n_lags,
        window,
    )


def _in_bins(seconds: float, bin_width: float, name: str) -> int:
    """Return a length of time as a number of bins, at least one."""
    n = seconds / bin_width
    if not (np.isfinite(n) and round(n) >= 1 and abs(n - round(n)) < 1e-6):
        raise InvalidArgumentError(
            f"{name} is {seconds:g} s and bin_width {bin_width:g} s; {name} must be a multiple of "
            f"it, from {bin_width:g} s up"
        )
    return round(n)


def choose_pairs(unit_ids: npt.NDArray[Any], pairs: npt.ArrayLike | None) -> Ints:
    """Return the positions of the units of each pair, shape (n_pairs, 2)."""
    if len(np.unique(unit_ids)) < len(unit_ids):
        raise InvalidArgumentError("unit_ids names a unit twice; np.unique(unit_ids) has each once")
    if pairs is None:
        return np.stack(np.triu_indices(len(unit_ids), 1), axis=1).astype(np.int64)
    given = np.asarray(pairs)
    if given.ndim != 2 or given.shape[1] != 2:
        raise InvalidArgumentError(
            f"pairs has the shape {given.shape}, not (n_pairs, 2): ids of source and target"
        )
    positions = pd.Index(unit_ids).get_indexer(given.ravel()).reshape(given.shape)
    if (positions < 0).any():
        unknown = given[positions < 0][0]
        raise NotFoundError(
            f"pairs has unit {unknown}, which is not among unit_ids: "
            f"{describe_choices(unknown, unit_ids.tolist())}"
        )
    chosen: Ints = positions.astype(np.int64)
    return chosen
