"""What the mouse does: bouts of running, pupil and gaze, and a slow arousal shared by all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikehouse.demo.streams import make_rng

__all__ = ["EyeTracking", "Running", "draw_arousal", "draw_eye_tracking", "draw_running"]

# Circumference of the path on the 16.5 cm wheel, at two thirds of its radius.
WHEEL_RADIUS_CM = 5.5036
AROUSAL_STEP_S = 0.5


@dataclass(frozen=True)
class Running:
    """The wheel.

    Attributes
    ----------
    times
        Edges of the samples [s]; sample k lasts from times[k] to times[k + 1].
    rotation
        Turn of the wheel in each sample [rad].
    speed
        Running speed [cm/s].
    """

    times: np.ndarray
    rotation: np.ndarray
    speed: np.ndarray


@dataclass(frozen=True)
class EyeTracking:
    """Fits of the eye camera, one row a frame.

    Attributes
    ----------
    times
        Of the frames [s].
    ellipses
        ``"pupil"``, ``"eye"``, ``"cr"`` → (frames, 5): center_x, center_y, width, height (half
        axes) [pixels], phi [rad]; NaN while the eye was shut.
    gaze_deg
        (frames, 2) azimuth and elevation of the gaze on the screen [degrees].
    areas
        ``"eye"``, ``"pupil"`` → area [cm²].
    """

    times: np.ndarray
    ellipses: dict[str, np.ndarray]
    gaze_deg: np.ndarray
    areas: dict[str, np.ndarray]


def _smooth(values: np.ndarray, n: int) -> np.ndarray:
    """Average over n samples, without losing length."""
    kernel = np.ones(n) / n
    padded = np.concatenate([np.full(n, values[0]), values, np.full(n, values[-1])])
    return np.convolve(padded, kernel, mode="same")[n:-n]


def draw_running(seed: int, session_id: int, duration_s: float, hz: float) -> Running:
    """Draw running in bouts with rest between them.

    Parameters
    ----------
    seed, session_id
        Which session.
    duration_s
        Length of the recording [s].
    hz
        Samples a second.

    Returns
    -------
    Running
        From a little after the start of the recording to its end.
    """
    rng = make_rng(seed, session_id, "running")
    n = int((duration_s - 0.5) * hz)
    times = 0.35 + np.arange(n + 1) / hz
    target = np.zeros(n)
    at = 0
    while at < n:
        rest = int(hz * rng.exponential(9.0))
        bout = int(hz * (1.0 + rng.exponential(6.0)))
        target[at + rest : at + rest + bout] = rng.gamma(4.0, 7.0)
        at += rest + bout
    speed = _smooth(target, int(0.75 * hz)) * (1 + 0.12 * _smooth(rng.standard_normal(n), 6) * 2.4)
    speed = speed + 0.25 * rng.standard_normal(n)
    return Running(times, speed / hz / WHEEL_RADIUS_CM, speed)


def draw_arousal(seed: int, session_id: int, duration_s: float) -> np.ndarray:
    """Draw the fluctuation all neurons share.

    Parameters
    ----------
    seed, session_id
        Which session.
    duration_s
        Length of the recording [s].

    Returns
    -------
    numpy.ndarray
        One value every half second, mean 0 and standard deviation 1.
    """
    rng = make_rng(seed, session_id, "arousal")
    n = int(duration_s / AROUSAL_STEP_S) + 2
    noise = rng.standard_normal(n)
    # fast and slow: seconds and minutes
    mixed = _smooth(noise, 3) * 1.7 + _smooth(rng.standard_normal(n), 61) * 5.0
    return np.asarray((mixed - mixed.mean()) / mixed.std())


def _jitter(
    rng: np.random.Generator, n: int, axes: tuple[float, float], width: float
) -> list[np.ndarray]:
    """Draw both half axes of an ellipse that hardly changes."""
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
    """Draw pupil, eye and corneal reflection, and where the eye looks.

    Parameters
    ----------
    seed, session_id
        Which session.
    duration_s
        Length of the recording [s].
    hz
        Frames a second.
    running, arousal
        The pupil grows with both.

    Returns
    -------
    EyeTracking
        One row a frame.
    """
    rng = make_rng(seed, session_id, "eye")
    n = int((duration_s - 0.6) * hz)
    times = 0.4 + np.arange(n) / hz
    speed = np.interp(times, running.times[:-1], running.speed)
    state = np.interp(times, AROUSAL_STEP_S * np.arange(arousal.size), arousal)
    pupil = 31 + 0.22 * _smooth(speed, 30) + 2.4 * state + 0.4 * rng.standard_normal(n)
    saccade = rng.random(n) < 0.35 / hz
    jumps = np.where(saccade[:, None], rng.normal(0, 5.0, size=(n, 2)), 0.0)
    steps = np.flatnonzero(saccade)
    # every saccade goes to a new place around the middle of the screen
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
