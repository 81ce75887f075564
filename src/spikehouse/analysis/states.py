"""States of the animal, such as running and resting, and the presentations in each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.checks import divide
from spikehouse.analysis.traces import Trace, integrate, read_trace
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import to_seconds
from spikehouse.schema import require_columns
from spikehouse.spikes.counting import check_windows, read_windows
from spikehouse.stimuli import find_run_bounds

# below the first the animal rests again, from the second on it runs [cm/s]
RUNNING_THRESHOLDS = ((0.5, 1.0),)
# differences of times are rounded
_ROUNDING = 1e-9
_NAMES = {1: ("low", "high"), 2: ("low", "middle", "high")}


def find_states(
    trace: Trace,
    *,
    thresholds: npt.ArrayLike | None = None,
    quantiles: npt.ArrayLike | None = None,
    names: Sequence[str] | None = None,
    min_duration: float = 1.0,
    invalid_times: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Find when a trace is in which state, such as running and resting or pupil large and small.

    Parameters
    ----------
    trace
        A Series with the times [s] as its index, such as a column of `compute_eye_traces`, or
        ``session.running_speed``.
    thresholds
        What separates the states, increasing; each a number in the unit of the trace, or a pair
        (lower, upper), with which a state begins at ``upper`` and ends below ``lower``. None with
        ``session.running_speed``: running begins at 1 cm/s and ends below 0.5 cm/s.
    quantiles
        Instead of thresholds, as fractions of the valid samples.
    names
        One more than thresholds, from low to high. None: "rest" and "run" for one threshold of
        ``session.running_speed``, otherwise "low" and "high", or "low", "middle" and "high".
    min_duration
        States that are shorter [s] are left out; their neighbours are not joined.
    invalid_times
        start_time, stop_time [s] of intervals to leave out, such as ``session.invalid_times``.

    Returns
    -------
    DataFrame
        One row per interval, in order of time: start_time, stop_time [s], state. No interval holds
        a sample that is NaN or invalid, or a gap between samples longer than a usual (the median)
        sample lasts; the state before is not remembered behind it: a value between lower and
        upper has no state there yet.

    Notes
    -----
    The published running modulation takes 1 cm/s for running, as do Niell & Stryker (2010),
    doi:10.1016/j.neuron.2010.01.033. That running ends at half of it and that a state lasts 1 s are
    choices of this package: the wheel's noise and a twitch are no run.

    Examples
    --------
    >>> speed = pd.Series([0.2, 0.7, 1.5, 0.7, 0.2, 0.1], index=np.arange(6.0))
    >>> find_states(speed, thresholds=[(0.5, 1.0)], names=["rest", "run"])
       start_time  stop_time state
    0         0.0        2.0  rest
    1         2.0        4.0   run
    2         4.0        6.0  rest
    """
    if not min_duration >= 0:
        raise InvalidArgumentError(f"min_duration is {min_duration}; give seconds, 0 or more")
    start, stop, value = read_trace(trace)
    is_valid = np.isfinite(value)
    if invalid_times is not None:
        require_columns(invalid_times, "start_time", "stop_time", what="the table of invalid times")
        invalid = to_seconds(invalid_times[["start_time", "stop_time"]], "invalid times")
        for first, last in invalid:
            # one without an end is infinite
            if not first <= last:
                raise InvalidArgumentError(
                    f"an invalid interval lasts from {first:g} to {last:g} s: give the stop after "
                    "the start, infinite if it has no end"
                )
            is_valid &= ~((start < last) & (stop > first))
    if thresholds is None and quantiles is None:
        if not isinstance(trace, pd.DataFrame):
            raise InvalidArgumentError(
                "give thresholds or quantiles: without, only session.running_speed has states"
            )
        thresholds = RUNNING_THRESHOLDS
    limits = _read_limits(thresholds, quantiles, value[is_valid])
    is_running = isinstance(trace, pd.DataFrame) and quantiles is None and len(limits) == 1
    names = names or (("rest", "run") if is_running else _NAMES.get(len(limits), ()))
    if len(names) != len(limits) + 1 or len(set(names)) != len(names):
        raise InvalidArgumentError(
            f"{len(limits)} thresholds separate {len(limits) + 1} states, but names has "
            f"{list(names)}; give one name for each state, from low to high. One threshold with a "
            "lower and an upper limit is [(lower, upper)]"
        )
    # a new stretch begins after what is not valid, and after a gap
    n = len(value)
    usual = np.median(stop - start) if n else 0.0
    is_gap = np.r_[True, (start[1:] - stop[:-1] > usual) | ~is_valid[:-1]] | ~is_valid
    place = np.arange(n)
    stretch = np.maximum.accumulate(np.where(is_gap[:n], place, 0)) if n else place
    state = np.zeros(n, dtype=np.int64)
    is_known = is_valid.copy()
    for lower, upper in limits:
        is_decided = (value >= upper) | (value < lower)
        last = np.maximum.accumulate(np.where(is_decided, place, -1)) if n else place
        is_known &= last >= stretch
        state += value[np.maximum(last, 0)] >= upper
    absent = np.setdiff1d(np.arange(len(names)), state[is_known])
    if quantiles is not None and absent.size:
        raise InvalidArgumentError(
            f"the quantiles {quantiles!r:.80} of the trace are "
            f"{', '.join(f'{upper:g}' for upper in limits[:, 1])} and its smallest value is "
            f"{value[is_valid].min():g}, so that no sample is {names[absent[0]]!r}: many are "
            "equal. Give thresholds, or other quantiles"
        )
    state[~is_known] = -1
    bounds = find_run_bounds(stretch * (len(limits) + 2) + state)
    first, final = bounds[:-1], bounds[1:] - 1
    found = pd.DataFrame(
        {
            "start_time": start[first],
            "stop_time": stop[final],
            "state": np.array([*names, ""], dtype=object)[state[first]],
        }
    )
    lasts = found["stop_time"] - found["start_time"] >= min_duration - _ROUNDING
    return found[lasts & (state[first] >= 0)].reset_index(drop=True)


def _read_limits(
    thresholds: npt.ArrayLike | None,
    quantiles: npt.ArrayLike | None,
    valid: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return the lower and upper limit of each threshold."""
    if thresholds is not None and quantiles is not None:
        raise InvalidArgumentError("give thresholds or quantiles, not both")
    name, given = ("quantiles", quantiles) if thresholds is None else ("thresholds", thresholds)
    limits = np.asarray(given, dtype=np.float64)
    limits = np.column_stack([limits, limits]) if limits.ndim == 1 else limits
    is_valid = limits.ndim == 2 and limits.shape[1:] == (2,) and bool(len(limits))
    if is_valid:
        is_rising = (np.diff(limits, axis=0) > 0).all() and (limits[:, 0] <= limits[:, 1]).all()
        is_valid = bool(np.isfinite(limits).all() and is_rising)
    if not is_valid:
        raise InvalidArgumentError(
            f"{name} is {given!r:.80}; give increasing numbers, or pairs such as [(0.5, 1.0)], of "
            "which neither lower nor upper limits decrease"
        )
    if name == "thresholds":
        return limits
    if limits.min() < 0 or limits.max() > 1:
        raise InvalidArgumentError(f"quantiles is {given!r:.80}; give fractions from 0 to 1")
    if not valid.size:
        raise InvalidArgumentError("the trace has no valid sample, and so no quantiles")
    return np.quantile(valid, limits)


def label_presentations(
    presentations: pd.DataFrame, states: pd.DataFrame, *, min_overlap: float = 1.0
) -> pd.Series[str]:
    """Return in which state each presentation was shown.

    Parameters
    ----------
    presentations
        start_time, stop_time [s].
    states
        start_time, stop_time [s] and state of intervals that do not overlap, such as those of
        `find_states`.
    min_overlap
        The part of a presentation that has to be in one state, above 0.5 and up to 1.

    Returns
    -------
    Series
        ``state``, index of the presentations; NaN where there was none for so long.

    Examples
    --------
    >>> flashes = session.get_stimulus_table("flashes")
    >>> states = find_states(session.running_speed)
    >>> label_presentations(flashes, states).value_counts().to_dict()
    {'rest': 6, 'run': 2}
    """
    require_columns(states, "start_time", "stop_time", "state", what="the table of states")
    if not 0.5 < min_overlap - _ROUNDING < 1:
        raise InvalidArgumentError(
            f"min_overlap is {min_overlap}; give a part above 0.5, so that a presentation has one "
            "state at most, and up to 1"
        )
    windows = read_windows(presentations)
    states = states.sort_values("start_time", kind="stable")
    start, stop = check_windows(states[["start_time", "stop_time"]], noun="state").T
    overlaps = np.flatnonzero(start[1:] < stop[:-1])
    if overlaps.size:
        place = overlaps[0]
        one, other = states["state"].iloc[place : place + 2]
        raise InvalidArgumentError(
            f"the intervals of the states {one!r} and {other!r} overlap from {start[place + 1]:g} "
            "s on; a time is in one state at most: join them, or label by one kind of state at a "
            "time"
        )
    labels = np.full(len(windows), np.nan, dtype=object)
    for name, rows in states.groupby("state", sort=False).indices.items():
        inside = integrate(start[rows], stop[rows], np.ones(len(rows)), windows)[:, 0]
        part = divide(inside, windows[:, 1] - windows[:, 0])
        labels[part >= min_overlap - _ROUNDING] = name
    # not pandas' own strings, which xarray does not take as a coordinate
    return pd.Series(labels, presentations.index, object, name="state")
