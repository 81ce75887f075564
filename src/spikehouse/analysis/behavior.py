"""What the animal did: pupil and gaze without blinks, and behavior by presentation."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd

from spikehouse.analysis.checks import TOLERANCE
from spikehouse.analysis.traces import (
    average_samples,
    compute_trace_means,
    read_trace,
)
from spikehouse.labelled import align
from spikehouse.schema import require_columns
from spikehouse.spikes.counting import read_windows

# of a fitted area, over the session, and the frames around one that is further off
BLINK_Z = 3.0
BLINK_MARGIN = 2
_PUPIL = ("pupil_width", "pupil_height", "pupil_center_x", "pupil_center_y")


class BehaviorSource(Protocol):
    """What is read of a session."""

    @property
    def stimulus_presentations(self) -> pd.DataFrame:
        """All presentations."""

    @property
    def running_speed(self) -> pd.DataFrame:
        """start_time, end_time [s] and velocity [cm/s]."""

    def get_pupil_data(self) -> pd.DataFrame | None:
        """Return the ellipses fitted to the eye."""

    def get_screen_gaze_data(self, include_filtered_data: bool = False) -> pd.DataFrame | None:
        """Return where on the screen the animal looked."""


def compute_eye_traces(
    pupil_data: pd.DataFrame, screen_gaze: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Compute pupil size, pupil position and gaze over time, without likely blinks.

    Parameters
    ----------
    pupil_data
        Ellipses of pupil and eye, such as ``session.get_pupil_data()``.
    screen_gaze
        Of the same frames, such as ``session.get_screen_gaze_data(include_filtered_data=True)``;
        filtered columns are used where there are any.

    Returns
    -------
    DataFrame
        Index of ``pupil_data``, the times of the frames [s]. pupil_diameter: the longer axis of the
        ellipse [px], because a circle that is seen from the side keeps that one; pupil_x, pupil_y:
        its centre in the image of the camera [px]; gaze_azimuth, gaze_elevation [deg], with
        ``screen_gaze`` only; is_blink. All but is_blink are NaN at likely blinks.

    Notes
    -----
    A likely blink is a frame in which pupil or eye were not found, or whose fitted area, π/4 ×
    diameter² of the pupil or π/4 × width × height of the eye, is more than 3 standard deviations
    from the mean of the session; and the two frames before and after such a frame. These files have
    no mark of blinks; this is how that of the Visual Behavior data set (``likely_blink``) is
    computed.

    Examples
    --------
    >>> eye = compute_eye_traces(session.get_pupil_data(), session.get_screen_gaze_data())
    >>> eye[["pupil_diameter", "gaze_azimuth", "is_blink"]].head(2).round(1)
              pupil_diameter  gaze_azimuth  is_blink
    Time (s)
    0.400000            61.4          -0.4     False
    0.433333             NaN           NaN      True
    """
    require_columns(pupil_data, *_PUPIL, what="the table of the pupil")
    diameter = pupil_data[["pupil_width", "pupil_height"]].max(axis=1, skipna=False)
    areas = [diameter**2]
    if {"eye_width", "eye_height"} <= set(pupil_data):
        areas.append(pupil_data["eye_width"] * pupil_data["eye_height"])
    is_odd = np.zeros(len(pupil_data), dtype=bool)
    for area in areas:
        values = area.to_numpy(dtype=np.float64)
        known = values[np.isfinite(values)]
        mean, sd = (known.mean(), known.std()) if known.size else (0.0, 0.0)
        # NaN is not at most that far away; the mean of equal numbers may be a rounding apart
        is_odd |= ~(np.abs(values - mean) <= BLINK_Z * sd + TOLERANCE * abs(mean))
    near = pd.Series(is_odd).rolling(2 * BLINK_MARGIN + 1, center=True, min_periods=1)
    is_blink = near.max().to_numpy() > 0
    traces = pd.DataFrame(
        {
            "pupil_diameter": diameter,
            "pupil_x": pupil_data["pupil_center_x"],
            "pupil_y": pupil_data["pupil_center_y"],
        }
    )
    if screen_gaze is not None:
        _, gaze = align(pupil_data=pupil_data.iloc[:, 0], screen_gaze=screen_gaze)
        for name, axis in (("gaze_azimuth", "x"), ("gaze_elevation", "y")):
            raw, filtered = (
                f"{kind}_screen_coordinates_spherical_{axis}_deg" for kind in ("raw", "filtered")
            )
            chosen = filtered if filtered in gaze else raw
            require_columns(gaze, chosen, what="the table of the gaze")
            traces[name] = gaze[chosen].to_numpy(dtype=np.float64)
    traces = traces.astype(np.float64)
    traces.loc[is_blink] = np.nan
    return traces.assign(is_blink=is_blink)


def summarize_behavior(
    session: BehaviorSource, presentations: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Average running, pupil and gaze over each presentation.

    Parameters
    ----------
    session
        A session.
    presentations
        start_time, stop_time [s] of each, such as a stimulus table; all of the session if None.

    Returns
    -------
    DataFrame
        Index of the presentations; means over [start, stop), weighted by time: running_speed
        [cm/s], pupil_diameter, pupil_x, pupil_y [px], gaze_azimuth, gaze_elevation [deg], and
        blink_fraction, the part of the observed time in likely blinks, 0 to 1. Pupil and gaze are
        those of `compute_eye_traces`. NaN where nothing was measured: a session without running or
        eye tracking has the same columns as any other, so that the tables of sessions can be
        joined, and warns.

    Examples
    --------
    >>> flashes = session.get_stimulus_table("flashes")
    >>> behavior = summarize_behavior(session, flashes)
    >>> behavior[["running_speed", "pupil_diameter", "blink_fraction"]].head(2).round(2)
                              running_speed  pupil_diameter  blink_fraction
    stimulus_presentation_id
    83                                 0.01           63.78             0.0
    84                                22.09           60.41             0.0
    """
    shown = session.stimulus_presentations if presentations is None else presentations
    windows = read_windows(shown)
    names = ["pupil_diameter", "pupil_x", "pupil_y", "gaze_azimuth", "gaze_elevation"]
    columns = dict.fromkeys([*names, "blink_fraction"], np.full(len(windows), np.nan))
    pupil = session.get_pupil_data()
    if pupil is not None:
        gaze = session.get_screen_gaze_data(include_filtered_data=True)
        traces = compute_eye_traces(pupil, gaze).rename(columns={"is_blink": "blink_fraction"})
        for name in traces:
            columns[str(name)] = average_samples(*read_trace(traces[name]), windows)[:, 0]
    means = {"running_speed": compute_trace_means(session.running_speed, shown), **columns}
    return pd.DataFrame(means, index=shown.index)
