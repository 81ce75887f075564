"""Time the correlograms of all pairs of 500 units, here and pair by pair with numpy's FFT.

    python benchmarks/correlograms.py --session FILE

The plain implementation is what one would write: trials × bins of each unit, its jittered copy, and
for every pair the product of their Fourier transforms, summed over trials. It runs on some pairs,
and what all would take is extrapolated from them, its preparation of each unit once; both sides run
in this process, ours on all cores, and are compared on those pairs. Without --session, a full-size
simulated session is made, 1.6 GB.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spikehouse.analysis import compute_connections, compute_correlograms
from spikehouse.session import EcephysSession
from spikehouse.spikes import compute_time_domain, count_spikes

DURATION, BIN_WIDTH, MAX_LAG, WINDOW = 2.0, 0.001, 100, 25
N_BINS = 2000
# the next length that numpy transforms fast, with room for the lags
N_FFT = 2100
Floats = npt.NDArray[np.float64]


def transform(counts: Floats, groups: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Transform the trials (n_trials, n_bins) of one unit, and the jittered ones."""
    jittered = np.zeros(counts.shape)
    for group in np.unique(groups):
        here = groups == group
        windows = counts[here].reshape(-1, N_BINS // WINDOW, WINDOW)
        psth = windows.mean(axis=0)
        totals = psth.sum(axis=1, keepdims=True)
        share = np.divide(psth, totals, out=np.zeros(psth.shape), where=totals > 0)
        jittered[here] = (windows.sum(axis=2, keepdims=True) * share).reshape(-1, N_BINS)
    return np.fft.rfft(counts, N_FFT), np.fft.rfft(jittered, N_FFT)


def correlate_plainly(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Floats:
    """Correlate two units: transforms multiplied, summed over trials, transformed back."""
    spectrum = (one[0].conj() * other[0]).sum(axis=0) - (one[1].conj() * other[1]).sum(axis=0)
    by_lag = np.fft.irfft(spectrum, N_FFT)
    return np.concatenate([by_lag[-MAX_LAG:], by_lag[: MAX_LAG + 1]])


def main() -> None:
    """Measure, compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session", type=Path)
    parser.add_argument("--n-units", type=int, default=500)
    parser.add_argument("--n-plain", type=int, default=12, help="units of the plain side")
    given = parser.parse_args()
    path = given.session
    if path is None:
        from spikehouse.demo import Survey

        path = Survey(size="full").session_file(900000001)
    session = EcephysSession.from_nwb_path(path)
    shown = session.get_stimulus_table("drifting_gratings", missing="nan")
    shown = shown[shown["orientation"].notna()]
    onsets, groups = shown["start_time"].to_numpy(), shown["orientation"].factorize()[0]
    units = session.units.sort_values("firing_rate", ascending=False).index[: given.n_units]
    spikes = {int(unit): session.spike_times[unit] for unit in units}
    print(f"{len(units)} units, {len(onsets)} trials; trains in memory")
    # loads the compiled loops
    compute_correlograms(spikes, list(spikes)[:2], onsets[:4])

    plain = [list(spikes)[k] for k in np.linspace(0, len(spikes) - 1, given.n_plain).astype(int)]
    begin, cpu = time.perf_counter(), time.process_time()
    domain = compute_time_domain(np.arange(N_BINS + 1) * BIN_WIDTH, onsets)
    counts = count_spikes(spikes, plain, domain)
    transforms = [transform(counts[:, :, k].astype(float), groups) for k in range(given.n_plain)]
    prepared = np.array([time.perf_counter() - begin, time.process_time() - cpu])
    begin, cpu = time.perf_counter(), time.process_time()
    rows, columns = np.triu_indices(given.n_plain, 1)
    theirs = [
        correlate_plainly(transforms[row], transforms[column])
        for row, column in zip(rows, columns, strict=True)
    ]
    seconds = np.array([time.perf_counter() - begin, time.process_time() - cpu])
    n_pairs = len(spikes) * (len(spikes) - 1) // 2
    whole, cpu_whole = prepared / given.n_plain * len(spikes) + seconds / len(rows) * n_pairs

    measured = {}
    # on a machine with other work the CPU time says what an idle one would need: half of it, on two
    for name, conditions in (("one condition", None), ("by orientation", groups)):
        begin, cpu = time.perf_counter(), time.process_time()
        found = compute_connections(spikes, list(spikes), onsets, conditions=conditions)
        measured[name] = time.perf_counter() - begin, time.process_time() - cpu
        print(f"{name}: {found['is_significant'].sum()} of {len(found)} pairs significant")
    ours = compute_correlograms(spikes, plain, onsets, conditions=groups)
    n_spikes = counts.sum(axis=(0, 1), dtype=float)
    rates = n_spikes / (len(onsets) * DURATION)
    overlap = N_BINS - np.abs(np.arange(-MAX_LAG, MAX_LAG + 1))
    scale = len(onsets) * np.sqrt(rates[rows] * rates[columns])[:, None] * overlap
    np.testing.assert_allclose(np.array(theirs) / scale, ours, rtol=1e-6, atol=1e-12)

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {n_pairs} pairs | [s] | CPU [s] | ratio |\n| --- | --- | --- | --- |")
    print(f"| numpy's FFT, extrapolated from {len(rows)} pairs | {whole:.0f} | {cpu_whole:.0f} | |")
    for name, (wall, cpu) in measured.items():
        print(f"| compute_connections, {name} | {wall:.1f} | {cpu:.1f} | {whole / wall:.0f} |")
    print(f"| mean rate of the units in the trials [spikes/s] | {rates.mean():.1f} | | |")
    print(f"| peak memory, both sides [MB] | {peak:.0f} | | |")


if __name__ == "__main__":
    main()
