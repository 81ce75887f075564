"""Running, pupil and gaze, and an arousal signal shared by all units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikehouse.demo.sessions import make_rng

# Two thirds of the radius of the 16.5 cm wheel, where the mouse runs.
WHEEL_RADIUS_CM = 5.5036
AROUSAL_STEP_S = 0.5
# Fastest mean speed of a bout, and the noise of the encoder.
MAX_BOUT_CM_S, REST_NOISE_CM_S = 50.0, 0.1
# The animal rests if it is slower than this, and was and will be for some time.
REST_CM_S, REST_MARGIN_S = 1.0, 0.5
# The pupil follows running with this delay and time constant.
PUPIL_DELAY_S, PUPIL_CONSTANT_S = 0.4, 1.0


@dataclass(frozen=True)
class Running:
    """Rotation of the wheel and running speed."""

    # edges of the samples [s]: sample k lasts from times[k] to times[k + 1]
    times: np.ndarray
    # [rad] in each sample
    rotation: np.ndarray
    # [cm/s]
    speed: np.ndarray


@dataclass(frozen=True)
class EyeTracking:
    """Ellipses fitted to the frames of the eye camera; NaN while the eye was shut."""

    # of the frames [s]
    times: np.ndarray
    # pupil, eye, cr → (frames, 5): center x, center y, half axes [pixels], phi [rad]
    ellipses: dict[str, np.ndarray]
    # (frames, 2): azimuth and elevation on the screen [degrees]
    gaze_deg: np.ndarray
    # eye, pupil → [cm²]
    areas: dict[str, np.ndarray]


def _smooth(values: np.ndarray, n: int) -> np.ndarray:
    """Compute a running mean over n samples."""
    kernel = np.ones(n) / n
    padded = np.concatenate([np.full(n, values[0]), values, np.full(n, values[-1])])
    return np.convolve(padded, kernel, mode="same")[n:-n]


def draw_running(seed: int, session_id: int, duration_s: float, hz: float) -> Running:
    """Draw running in bouts with rest between them."""
    rng = make_rng(seed, session_id, "running")
    n = int((duration_s - 0.5) * hz)
    times = 0.35 + np.arange(n + 1) / hz
    target = np.zeros(n)
    at = 0
    while at < n:
        rest = int(hz * rng.exponential(9.0))
        bout = int(hz * (1.0 + rng.exponential(6.0)))
        target[at + rest : at + rest + bout] = min(rng.gamma(3.0, 7.0), MAX_BOUT_CM_S)
        at += rest + bout
    speed = _smooth(target, int(0.75 * hz)) * (1 + 0.12 * _smooth(rng.standard_normal(n), 6) * 2.4)
    speed = speed + REST_NOISE_CM_S * rng.standard_normal(n)
    return Running(times, speed / hz / WHEEL_RADIUS_CM, speed)


def find_rest(running: Running) -> np.ndarray:
    """Find the samples in which the animal rests."""
    moving = (np.abs(running.speed) > REST_CM_S).astype(float)
    step = running.times[1] - running.times[0]
    return _smooth(moving, 2 * int(REST_MARGIN_S / step) + 1) < 1e-9


def draw_arousal(seed: int, session_id: int, duration_s: float) -> np.ndarray:
    """Draw the fluctuation that all units share, one value every half second, standardized."""
    rng = make_rng(seed, session_id, "arousal")
    n = int(duration_s / AROUSAL_STEP_S) + 2
    noise = rng.standard_normal(n)
    # fluctuations within seconds and within minutes
    mixed = _smooth(noise, 3) * 1.7 + _smooth(rng.standard_normal(n), 61) * 5.0
    return np.asarray((mixed - mixed.mean()) / mixed.std())


def _jitter(
    rng: np.random.Generator, n: int, axes: tuple[float, float], width: float
) -> list[np.ndarray]:
    """Draw both half axes of an ellipse of nearly constant size."""
    return [axis + width * rng.standard_normal(n) for axis in axes]


def draw_eye_tracking(
    seed: int,
    session_id: int,
    duration_s: float,
    hz: float,
    *,
    running: Running,
    arousal: np.ndarray,
) -> EyeTracking:
    """Draw pupil, eye, corneal reflection and gaze; the pupil follows running and arousal."""
    from scipy.signal import lfilter

    rng = make_rng(seed, session_id, "eye")
    n = int((duration_s - 0.6) * hz)
    times = 0.4 + np.arange(n) / hz
    speed = np.interp(times - PUPIL_DELAY_S, running.times[:-1], running.speed)
    pole = np.exp(-1 / (hz * PUPIL_CONSTANT_S))
    follows = lfilter([1 - pole], [1, -pole], speed)
    state = np.interp(times, AROUSAL_STEP_S * np.arange(arousal.size), arousal)
    pupil = 31 + 0.22 * follows + 2.4 * state + 0.4 * rng.standard_normal(n)
    saccade = rng.random(n) < 0.35 / hz
    jumps = np.where(saccade[:, None], rng.normal(0, 5.0, size=(n, 2)), 0.0)
    steps = np.flatnonzero(saccade)
    # every saccade goes to a new position around the middle of the screen
    place = np.concatenate([np.zeros((1, 2)), jumps[steps]])
    gaze = place[np.searchsorted(steps, np.arange(n), side="right")]
    gaze += 0.35 * rng.standard_normal((n, 2))
    shut = _smooth((rng.random(n) < 0.06 / hz).astype(float), 5) > 0
    center = 1.4 * gaze

    def ellipse(x: float, y: float, width: np.ndarray, height: np.ndarray) -> np.ndarray:
        phi = 0.08 * rng.standard_normal(n)
        fit = np.column_stack([x + center[:, 0], y + center[:, 1], width, height, phi])
        fit[shut] = np.nan
        return fit

    ellipses = {
        "pupil": ellipse(305, 252, pupil, pupil * (1 + 0.02 * rng.standard_normal(n))),
        "eye": ellipse(300, 250, *_jitter(rng, n, (148, 119), 1.5)),
        "cr": ellipse(298, 236, *_jitter(rng, n, (10.5, 10.1), 0.3)),
    }
    scale = (0.0102 / 2) ** 2 * np.pi
    areas = {name: scale * ellipses[name][:, 2] * ellipses[name][:, 3] for name in ("eye", "pupil")}
    gaze = np.where(shut[:, None], np.nan, gaze)
    return EyeTracking(times, ellipses, gaze, areas)
