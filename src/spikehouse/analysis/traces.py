"""Traces of behavior, such as running speed: means over presentations and around events."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis.checks import Definition, check_definition, divide
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Onsets
from spikehouse.spikes import compute_bin_centres, compute_time_domain
from spikehouse.spikes.counting import check_bin_edges, read_windows

Floats = npt.NDArray[np.float64]
Trace = pd.Series | pd.DataFrame

# a sample without an end holds until the next one, at most for so many usual intervals
LONGEST_SAMPLE = 2.0
# less measured time [s] than this is rounding
SHORTEST_S = 1e-9


def read_trace(trace: Trace) -> tuple[Floats, Floats, Floats]:
    """Return start, stop [s] and value of the samples of a trace, in order of time."""
    if isinstance(trace, pd.DataFrame):
        if not {"start_time", "velocity"} <= set(trace):
            raise InvalidArgumentError(
                "the trace is a table without start_time and velocity, the columns of "
                f"session.running_speed; it has {', '.join(map(str, trace.columns))}. Of another "
                "table give one column, with the times as its index"
            )
        times, values = trace["start_time"].to_numpy(), trace["velocity"]
    elif isinstance(trace, pd.Series):
        times, values = trace.index.to_numpy(), trace
    else:
        raise InvalidArgumentError(
            f"the trace is {type(trace).__name__}; give a Series with the times [s] as its index, "
            "or session.running_speed"
        )
    start = np.asarray(times, dtype=np.float64)
    value = values.to_numpy(dtype=np.float64)
    if not np.isfinite(start).all():
        wrong = start[~np.isfinite(start)]
        raise InvalidArgumentError(
            f"{len(wrong)} of {len(start)} samples of the trace have the time {wrong[0]}; leave "
            "them out: samples need a finite time [s]"
        )
    order = np.argsort(start, kind="stable")
    start, value = start[order], value[order]
    following = np.append(start[1:], np.inf)
    if isinstance(trace, pd.DataFrame) and "end_time" in trace:
        stop = np.maximum(trace["end_time"].to_numpy(dtype=np.float64)[order], start)
    else:
        steps = np.diff(start)
        usual = float(np.median(steps)) if steps.size else 0.0
        stop = (
            start + np.append(np.full(steps.size, LONGEST_SAMPLE), [1.0] * (start.size > 0)) * usual
        )
    return start, np.fmin(stop, following), value


def compute_trace_means(
    trace: Trace, presentations: pd.DataFrame, *, definition: Definition = "corrected"
) -> pd.Series[float]:
    """Average a trace, such as the running speed, over presentations.

    Parameters
    ----------
    trace
        A Series with the times [s] as its index, or ``session.running_speed``. A sample of a
        Series holds until the next one, at most for two usual intervals.
    presentations
        start_time, stop_time [s].
    definition
        ``"corrected"`` weights samples by how long they last within [start, stop).
        ``"published"`` is the plain mean of those that begin there, as the published running
        modulation takes it.

    Returns
    -------
    Series
        Index of the presentations; in the trace's unit. NaN where nothing was measured; the mean
        of what was, where a part was not.

    Examples
    --------
    >>> running = pd.DataFrame({"start_time": [0.0, 1, 2, 3], "velocity": [5.0, 10, 20, 40]})
    >>> shown = pd.DataFrame({"start_time": [1.0, 1.5], "stop_time": [3.0, 3.0]})
    >>> compute_trace_means(running, shown).round(2).tolist()
    [15.0, 16.67]
    """
    check_definition(definition)
    windows = read_windows(presentations)
    start, stop, value = read_trace(trace)
    if definition == "published":
        first, last = np.searchsorted(start, windows).T
        is_known = np.isfinite(value)
        total = np.r_[0.0, np.cumsum(np.where(is_known, value, 0.0))]
        n_known = np.r_[0, np.cumsum(is_known)]
        means = divide(total[last] - total[first], n_known[last] - n_known[first])
    else:
        means = average_samples(start, stop, value, windows)[:, 0]
    return pd.Series(means, presentations.index)


def average_samples(start: Floats, stop: Floats, value: Floats, windows: Floats) -> Floats:
    """Average samples over the bins between the edges of each row, weighted by time."""
    is_known = np.isfinite(value)
    seconds = integrate(start, stop, np.where(is_known, 1.0, 0.0), windows)
    total = integrate(start, stop, np.where(is_known, value, 0.0), windows)
    return np.where(seconds > SHORTEST_S, divide(total, seconds), np.nan)


def integrate(start: Floats, stop: Floats, value: Floats, windows: Floats) -> Floats:
    """Integrate samples, 0 where there is none, over the bins (n_rows, n_edges - 1) of each row."""
    if not start.size or not windows.size:
        return np.zeros((len(windows), windows.shape[1] - 1))
    # one stimulus is a small part of a session
    low, high = np.searchsorted(start, (windows.min(), windows.max()))
    here = slice(max(low - 1, 0), high)
    start, stop, value = start[here], stop[here], value[here]
    until = np.cumsum(value * (stop - start))
    times = np.column_stack([start, stop]).ravel()
    sums = np.column_stack([np.r_[0.0, until[:-1]], until]).ravel()
    is_new = np.r_[True, np.diff(times) > 0]
    return np.diff(np.interp(windows, times[is_new], sums[is_new]), axis=1)


def compute_triggered_average(
    trace: Trace, events: Onsets, *, bin_edges: npt.ArrayLike
) -> xr.Dataset:
    """Average a trace of behavior around events, such as the running speed around licks.

    Parameters
    ----------
    trace
        A Series with the times [s] as its index, or ``session.running_speed``; NaN is not measured.
    events
        Onsets [s], shape (n_events,), a Series, or a table with ``start_time``.
    bin_edges
        Shape (n_bins + 1,) [s], relative to an event.

    Returns
    -------
    Dataset
        Dimension ``time_relative_to_event`` (bin centres [s]). mean: over events, of the average
        in a bin, samples weighted by how long they last in it; sem: standard deviation over events
        (ddof 1) / √n; n: events in which anything was measured in the bin. mean is NaN where n is
        0, sem where it is below 2.

    Notes
    -----
    Memory: a few arrays of n_events × n_bins.

    Examples
    --------
    >>> onsets = session.get_stimulus_table("flashes")["start_time"]
    >>> speed = compute_triggered_average(session.running_speed, onsets, bin_edges=[-0.5, 0, 0.5])
    >>> speed["n"].to_numpy(), speed["mean"].round(1).to_numpy()
    (array([8, 8]), array([4.4, 5.1]))
    """
    edges = check_bin_edges(bin_edges)
    aligned = average_samples(*read_trace(trace), compute_time_domain(edges, events))
    n = np.isfinite(aligned).sum(axis=0)
    mean = divide(np.nansum(aligned, axis=0), n)
    squares = np.nansum((aligned - mean) ** 2, axis=0)
    sem = np.where(n > 1, np.sqrt(divide(divide(squares, n - 1), n)), np.nan)
    dim = "time_relative_to_event"
    return xr.Dataset(
        {"mean": (dim, mean), "sem": (dim, sem), "n": (dim, n)},
        {dim: compute_bin_centres(edges)},
    )
