"""From rates to spikes: time rescaling, dead time, contamination, light."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spikehouse.demo.rates import RateModel, Unit, compute_rate
from spikehouse.demo.streams import make_rng

__all__ = ["draw_amplitudes", "draw_spike_times"]

LASER_SATURATION = 2.0
# Direct answers to light come within 1–9 ms of it.
OPTO_WINDOW_S = (0.0011, 0.0088)
RAMP_RATE_HZ = 55.0
N_TRAIN_PULSES = 10


def draw_spike_times(
    unit: Unit,
    unit_id: int,
    *,
    seed: int,
    session_id: int,
    model: RateModel,
    laser: pd.DataFrame,
) -> np.ndarray:
    """Draw the spikes of one unit.

    Parameters
    ----------
    unit
        Its parameters.
    unit_id
        Names its own random stream: the result does not depend on other units or on threads.
    seed, session_id
        Which session.
    model
        The session.
    laser
        Light pulses, for units that carry the opsin.

    Returns
    -------
    numpy.ndarray
        Sorted times [s]; their number is the unit's firing rate times the recording.

    Notes
    -----
    Given how many there are, the spikes of a Poisson process are independent draws from its rate.
    Sorted uniform numbers are therefore mapped through the inverse of the integrated rate; spikes
    too soon after the one before are dropped, and the surplus drawn for that is thinned again.
    """
    rng = make_rng(seed, session_id, unit_id)
    rate = compute_rate(unit, model, rng)
    edges = model.grid.edges
    total = np.concatenate([[0.0], np.cumsum(rate * np.diff(edges))])
    opto = _answer_light(unit, laser, rng)
    n = max(0, round(unit["firing_rate"] * float(edges[-1])) - opto.size)
    n_foreign = round(unit["contamination"] * n)
    own = _draw_with_dead_time(rng, rate, total, edges, n - n_foreign, unit)
    foreign = np.interp(_draw_sorted(rng, n_foreign), total / total[-1], edges)
    times = np.sort(np.concatenate([own, foreign])) if n_foreign else own
    # the latency carries the last spikes past the end of the recording
    times = times + unit["latency_s"]
    times = times[: times.searchsorted(edges[-1])]
    if opto.size:
        times = _insert(times, opto, unit["refractory_s"])
    return np.asarray(times)


def _draw_sorted(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw n sorted uniform numbers, as normalised sums of exponential ones."""
    sums = np.cumsum(rng.standard_exponential(n + 1))
    return np.asarray(sums[:-1] / sums[-1])


def _draw_with_dead_time(
    rng: np.random.Generator,
    rate: np.ndarray,
    total: np.ndarray,
    edges: np.ndarray,
    n: int,
    unit: Unit,
) -> np.ndarray:
    width = np.diff(edges)
    # the mean rate a spike sees around itself
    seen = float((rate * rate * width).sum() / total[-1]) * n / total[-1]
    lost = unit["refractory_s"] * seen
    n_drawn = int(n * (1 + 1.2 * lost + lost**2) + 4 * np.sqrt(n * lost)) + 2 if n else 0
    times = np.interp(_draw_sorted(rng, n_drawn) * total[-1], total, edges)
    keep = np.ones(n_drawn, dtype=bool)
    keep[1:] = np.diff(times) >= unit["refractory_s"]
    times = times[keep]
    surplus = times.size - n
    if surplus > 0:
        times = np.delete(times, rng.choice(times.size, surplus, replace=False))
    return np.asarray(times)


def _answer_light(unit: Unit, laser: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Draw the spikes light evokes directly."""
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


def _insert(times: np.ndarray, opto: np.ndarray, refractory_s: float) -> np.ndarray:
    """Put light-evoked spikes in and drop the background spikes right beside them."""
    right = np.searchsorted(opto, times)
    padded = np.concatenate([[-np.inf], opto, [np.inf]])
    apart = np.minimum(times - padded[right], padded[right + 1] - times)
    return np.sort(np.concatenate([times[apart >= refractory_s], opto]))


def draw_amplitudes(unit: Unit, unit_id: int, n: int, *, seed: int, session_id: int) -> np.ndarray:
    """Draw the amplitude of every spike.

    Parameters
    ----------
    unit
        Its parameters: the distribution is normal, cut off from below at the share of missed
        spikes that ``amplitude_cutoff`` estimates.
    unit_id
        The unit.
    n
        Spikes.
    seed, session_id
        With the unit's id, they name the random stream.

    Returns
    -------
    numpy.ndarray
        Amplitudes [V].
    """
    from scipy.special import ndtri

    rng = make_rng(seed, session_id, unit_id, "amplitudes")
    missed = unit["amplitude_cutoff"]
    score = ndtri(missed + (1 - missed) * rng.random(n))
    mean = 1e-6 * unit["amplitude"]
    return np.asarray(np.maximum(mean * (1 + 0.17 * score), 1e-6))
