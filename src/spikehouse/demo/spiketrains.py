"""Draw spikes from rates (with dead time, contamination, light pulses), and their waveforms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from spikehouse.demo.anatomy import N_CHANNELS, REFERENCE_CHANNELS, get_positions
from spikehouse.demo.rates import PROFILE_STEP_S, RateModel, Unit, compute_rate
from spikehouse.demo.rhythms import Rhythms
from spikehouse.demo.sessions import make_rng

LASER_SATURATION = 2.0
# Direct responses to light come within 1–9 ms.
OPTO_WINDOW_S = (0.0011, 0.0088)
RAMP_RATE_HZ = 55.0
N_TRAIN_PULSES = 10
# Standard deviation of a spike's time around its delay behind an event.
EVENT_JITTER_S = 0.0003
N_SAMPLES = 82
SAMPLING_HZ = 30_000.0
TROUGH_SAMPLE = 20
NOISE_UV = 0.35
# A velocity of 1 s/m would delay the spike by a hundredth of a millisecond over 10 µm.
MAX_DELAY_MS = 0.4
MAX_BURST = 8


def draw_spike_times(
    unit: Unit,
    unit_id: int,
    *,
    seed: int,
    session_id: int,
    model: RateModel,
    laser: pd.DataFrame,
    events: list[np.ndarray],
    rhythms: Rhythms,
) -> np.ndarray:
    """Draw the sorted spike times [s] of a unit; their number follows from its firing rate."""
    # Given their number, the spikes of a Poisson process are independent draws from its rate.
    # Sorted uniform numbers are mapped through the inverse of the integrated rate; spikes within
    # the dead time are dropped, and the surplus drawn for that is thinned again. The random stream
    # is the unit's own, so the result does not depend on other units or on threads.
    rng = make_rng(seed, session_id, unit_id)
    rate = compute_rate(unit, model, rng)
    edges = model.grid.edges
    total = np.concatenate([[0.0], np.cumsum(rate * np.diff(edges))])
    opto = _draw_light_spikes(unit, laser, rng)
    shared = _draw_shared_spikes(unit, events, make_rng(seed, session_id, unit_id, "assembly"))
    bursts = _draw_bursts(unit, rhythms.ripples, make_rng(seed, session_id, unit_id, "ripples"))
    given = (shared, bursts, opto)
    n = round(unit["firing_rate"] * float(edges[-1])) - sum(spikes.size for spikes in given)
    n = max(0, n)
    n_foreign = round(unit["contamination"] * n)
    smoothing = make_rng(seed, session_id, unit_id, "smoothing")

    def place(uniform: np.ndarray) -> np.ndarray:
        times = np.interp(uniform * total[-1], total, edges) + unit["latency_s"]
        # responses rise over the width of a bin, not in steps; a quarter at the latency
        times += PROFILE_STEP_S * (smoothing.random(times.size, dtype=np.float32) - 0.25)
        times = np.sort(times)
        for name, rhythm in (("theta", rhythms.theta), ("gamma", rhythms.gamma)):
            if unit[f"{name}_locking"]:
                times = rhythm.lock(times, unit[f"{name}_locking"], unit[f"{name}_phase"])
        return times

    # mean rate around a spike
    seen = float((rate * rate * np.diff(edges)).sum()) * (n - n_foreign) / total[-1] ** 2
    times = _draw_with_dead_time(rng, place, n - n_foreign, unit["refractory_s"] * seen, unit)
    if n_foreign:
        times = np.sort(np.concatenate([times, place(_draw_sorted(rng, n_foreign))]))
    # with the latency, the last spikes are after the end of the recording
    times = times[times.searchsorted(0.0) : times.searchsorted(edges[-1])]
    for spikes in given:
        if spikes.size:
            times = _insert(times, spikes, unit["refractory_s"])
    return np.asarray(times)


def _draw_sorted(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw n sorted uniform numbers, as normalized sums of exponential ones."""
    sums = np.cumsum(rng.standard_exponential(n + 1))
    return np.asarray(sums[:-1] / sums[-1])


def _draw_with_dead_time(
    rng: np.random.Generator,
    place: Callable[[np.ndarray], np.ndarray],
    n: int,
    lost: float,
    unit: Unit,
) -> np.ndarray:
    """Draw n spikes; ``lost`` is the share that comes within the dead time of another."""
    n_drawn = int(n * (1 + 1.2 * lost + lost**2) + 4 * np.sqrt(n * lost)) + 2 if n else 0
    times = place(_draw_sorted(rng, n_drawn))
    keep = np.ones(n_drawn, dtype=bool)
    keep[1:] = np.diff(times) >= unit["refractory_s"]
    times = times[keep]
    surplus = times.size - n
    if surplus > 0:
        times = np.delete(times, rng.choice(times.size, surplus, replace=False))
    return np.asarray(times)


def _draw_light_spikes(unit: Unit, laser: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Draw the spikes that light pulses evoke directly."""
    if not unit["is_optotagged"]:
        return np.empty(0)
    onsets, chances = [], []
    pulses = zip(laser["start_time"], laser["level"], laser["stimulus_name"], strict=True)
    for start, level, name in pulses:
        strength = min(1.0, 0.55 + 0.4 * float(level) / LASER_SATURATION)
        if name == "raised_cosine":
            bins = np.arange(0.02, 1.0, 0.01)
            chance = RAMP_RATE_HZ * 0.01 * np.sin(np.pi * bins) ** 2 * strength
            onsets.append(start + bins)
            chances.append(chance)
            continue
        is_train = name == "fast_pulses"
        starts = start + 0.1 * np.arange(N_TRAIN_PULSES if is_train else 1)
        onsets.append(starts)
        chances.append(np.full(starts.size, strength))
    onset, chance = np.concatenate(onsets), np.concatenate(chances)
    fires = rng.random(onset.size) < chance
    latency = unit["opto_latency_s"] + rng.normal(0, 0.0006, size=onset.size)
    return np.sort((onset + np.clip(latency, *OPTO_WINDOW_S))[fires])


def _draw_shared_spikes(
    unit: Unit, events: list[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Draw the spikes that a unit fires with the events of its assembly."""
    if not unit["coupling"]:
        return np.empty(0)
    of_assembly = events[int(unit["assembly"])]
    at = of_assembly[rng.random(of_assembly.size) < unit["coupling"]]
    return np.sort(at + unit["lag_s"] + rng.normal(0, EVENT_JITTER_S, size=at.size))


def _draw_bursts(unit: Unit, ripples: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Draw the spikes that a unit fires with ripples, mostly around their peaks."""
    if not unit["ripple_spikes"]:
        return np.empty(0)
    n = np.minimum(rng.poisson(unit["ripple_spikes"], size=len(ripples)), MAX_BURST)
    of_ripple = np.repeat(np.arange(n.size), n)
    place = rng.beta(2, 2, size=of_ripple.size)
    place = place[np.lexsort((place, of_ripple))]
    # the dead time is put between the spikes of a ripple
    rank = np.arange(of_ripple.size) - np.repeat(np.cumsum(n) - n, n)
    start, stop = ripples["start_time"].to_numpy(), ripples["stop_time"].to_numpy()
    length = stop - start - n * unit["refractory_s"]
    times = start[of_ripple] + place * length[of_ripple] + rank * unit["refractory_s"]
    return np.asarray(times)


def _insert(times: np.ndarray, given: np.ndarray, refractory_s: float) -> np.ndarray:
    """Add given spikes and drop other spikes within the dead time around them."""
    right = np.searchsorted(given, times)
    padded = np.concatenate([[-np.inf], given, [np.inf]])
    apart = np.minimum(times - padded[right], padded[right + 1] - times)
    return np.sort(np.concatenate([times[apart >= refractory_s], given]))


def draw_amplitudes(unit: Unit, unit_id: int, n: int, *, seed: int, session_id: int) -> np.ndarray:
    """Draw the amplitude [V] of every spike."""
    # a normal distribution without its lowest part, the share that amplitude_cutoff estimates
    from scipy.special import ndtri

    rng = make_rng(seed, session_id, unit_id, "amplitudes")
    missed = unit["amplitude_cutoff"]
    score = ndtri(missed + (1 - missed) * rng.random(n))
    mean = 1e-6 * unit["amplitude"]
    return np.asarray(np.maximum(mean * (1 + 0.17 * score), 1e-6))


def _make_shape(unit: Unit, delay_ms: np.ndarray) -> np.ndarray:
    """Compute the waveform in time: a trough, then a slower peak."""
    ms = 1000 / SAMPLING_HZ * (np.arange(N_SAMPLES) - TROUGH_SAMPLE) - delay_ms[:, None]
    half = max(unit["halfwidth"], 0.08) / 2.355
    trough = -np.exp(-0.5 * (ms / half) ** 2)
    after = ms - unit["duration"]
    width = np.where(after < 0, 0.45, 0.9) * max(unit["duration"], 0.15)
    peak = unit["PT_ratio"] * np.exp(-0.5 * (after / width) ** 2)
    # the peak begins after the trough
    peak *= 1 / (1 + np.exp(-np.clip((ms - half) / 0.03, -60, 60)))
    before = 0.08 * np.exp(-0.5 * ((ms + 3 * half) / (1.4 * half)) ** 2)
    return np.asarray(trough + peak + before)


def make_waveform(unit: Unit, unit_id: int, *, seed: int, session_id: int) -> np.ndarray:
    """Make the mean waveform [µV] of a unit, (384, 82), zero on the reference channels."""
    rng = make_rng(seed, session_id, unit_id, "waveform")
    wave = NOISE_UV * rng.standard_normal((N_CHANNELS, N_SAMPLES))
    horizontal, vertical = get_positions(np.arange(N_CHANNELS))
    peak = int(unit["peak_index"])
    above = (vertical - vertical[peak]).astype(float)
    apart = np.hypot(0.7 * (horizontal - horizontal[peak]), above)
    near = np.flatnonzero(apart < 320)
    # the amplitude falls to 12 % at the edge of the spread, as the metric defines it
    size = unit["amplitude"] * np.exp(-apart[near] / (0.5 * unit["spread"] + 8))
    speed = np.where(above[near] > 0, unit["velocity_above"], unit["velocity_below"])
    delay = np.clip(np.nan_to_num(speed) * above[near] / 1000, -MAX_DELAY_MS, MAX_DELAY_MS)
    wave[near] += size[:, None] * _make_shape(unit, delay) / (1 + unit["PT_ratio"])
    wave[list(REFERENCE_CHANNELS)] = 0
    return np.asarray(wave)
