"""What spikes and LFP share: the phases of theta and gamma, and the ripples of a session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spikehouse.demo.behavior import Running, find_rest
from spikehouse.demo.sessions import make_rng

THETA_HZ, THETA_SD_HZ, THETA_MEMORY_S, THETA_STEP_S = 7.4, 0.4, 0.5, 0.02
GAMMA_HZ, GAMMA_SD_HZ, GAMMA_MEMORY_S, GAMMA_STEP_S = 45.0, 4.0, 0.04, 0.005
# The published rate: 2.5 in 10 s of rest.
RIPPLE_GAP_S, MIN_RIPPLE_GAP_S = 4.0, 0.2
RIPPLE_DURATION_S, RIPPLE_HZ, RIPPLE_V = (0.04, 0.08), (120.0, 200.0), 220e-6


@dataclass(frozen=True)
class Rhythm:
    """An oscillation of varying frequency; its phase [rad] always increases, 0 is the peak."""

    times: np.ndarray
    phase: np.ndarray

    def compute_phase(self, times: np.ndarray) -> np.ndarray:
        """Compute the unwrapped phase [rad] at times [s]."""
        return np.asarray(np.interp(times, self.times, self.phase))

    def lock(self, times: np.ndarray, strength: float, preferred: float) -> np.ndarray:
        """Move spikes of any phase so that their mean vector has a length and an angle [rad]."""
        # the density 1 + 2 r cos x has the mean vector r; its integral, inverted, maps the phases
        relative = np.linspace(-np.pi, np.pi, 513)
        before = self.compute_phase(times) - preferred
        cycle = 2 * np.pi * np.rint(before / (2 * np.pi))
        spread = relative + 2 * strength * np.sin(relative)
        after = np.interp(before - cycle, spread, relative) + cycle + preferred
        return np.asarray(np.interp(after, self.phase, self.times))


@dataclass(frozen=True)
class Rhythms:
    """Theta and gamma of a session, and its ripples."""

    theta: Rhythm
    gamma: Rhythm
    # start_time, stop_time, peak_time [s], frequency [Hz], amplitude [V]; in order
    ripples: pd.DataFrame


def draw_rhythms(seed: int, session_id: int, duration_s: float, running: Running) -> Rhythms:
    """Draw the rhythms of a session; theta is faster while the animal runs."""
    at = np.arange(0, duration_s + THETA_STEP_S, THETA_STEP_S)
    speed = np.interp(at, running.times[:-1], np.abs(running.speed))
    rng = make_rng(seed, session_id, "theta")
    noise = THETA_SD_HZ * _wander(rng, at.size, THETA_STEP_S / THETA_MEMORY_S)
    theta = _integrate(rng, at, THETA_HZ + 0.02 * np.minimum(speed, 50) + noise)
    at = np.arange(0, duration_s + GAMMA_STEP_S, GAMMA_STEP_S)
    rng = make_rng(seed, session_id, "gamma")
    noise = GAMMA_SD_HZ * _wander(rng, at.size, GAMMA_STEP_S / GAMMA_MEMORY_S)
    gamma = _integrate(rng, at, GAMMA_HZ + noise)
    return Rhythms(theta, gamma, draw_ripples(seed, session_id, running))


def _wander(rng: np.random.Generator, n: int, step: float) -> np.ndarray:
    """Draw a stationary autoregressive signal of variance 1, within three standard deviations."""
    from scipy.signal import lfilter

    pole = np.exp(-step)
    kicks = rng.standard_normal(n) * np.sqrt(1 - pole**2)
    return np.asarray(np.clip(lfilter([1.0], [1.0, -pole], kicks), -3, 3))


def _integrate(rng: np.random.Generator, at: np.ndarray, hz: np.ndarray) -> Rhythm:
    first = rng.uniform(0, 2 * np.pi)
    return Rhythm(at, first + 2 * np.pi * np.cumsum(hz) * (at[1] - at[0]))


def draw_ripples(seed: int, session_id: int, running: Running) -> pd.DataFrame:
    """Draw the ripples of a session, all while the animal rests; long ones are stronger."""
    rng = make_rng(seed, session_id, "ripples")
    last = running.times[-1]
    n = round(1.3 * last / RIPPLE_GAP_S) + 20
    gaps = MIN_RIPPLE_GAP_S + rng.exponential(RIPPLE_GAP_S - MIN_RIPPLE_GAP_S, size=n)
    duration = rng.uniform(*RIPPLE_DURATION_S, size=n)
    middle, spread = np.mean(RIPPLE_DURATION_S), np.ptp(RIPPLE_DURATION_S) / np.sqrt(12)
    score = 0.87 * (duration - middle) / spread + 0.49 * rng.standard_normal(n)
    peak = np.cumsum(gaps)
    table = pd.DataFrame(
        {
            "start_time": peak - duration / 2,
            "stop_time": peak + duration / 2,
            "peak_time": peak,
            "frequency": np.clip(rng.normal(160, 12, size=n), *RIPPLE_HZ),
            "amplitude": RIPPLE_V * np.exp(0.25 * score),
        }
    )
    index = np.searchsorted(running.times, peak, side="right") - 1
    rests = find_rest(running)
    kept = (index >= 0) & (index < rests.size)
    kept[kept] = rests[index[kept]]
    return table[kept].reset_index(drop=True).rename_axis("ripple_id")
