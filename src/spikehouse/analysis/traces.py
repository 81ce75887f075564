"""Traces of behavior, such as running speed: means over presentations and around events."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis.checks import Definition, check_definition, divide
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Onsets, to_seconds
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
    start = to_seconds(times, "the start_time or index of the trace")
    if values.dtype.kind in "mM":
        raise InvalidArgumentError(
            f"the values of the trace are {values.dtype}; give numbers, of durations seconds: "
            "trace.dt.total_seconds()"
        )
    value = values.to_numpy(dtype=np.float64)
    if not np.isfinite(start).all():
        wrong = start[~np.isfinite(start)]
        raise InvalidArgumentError(
            f"{len(wrong)} of {len(start)} samples of the trace have the time {wrong[0]}; leave "
            "them out: samples need a finite time [s]"
        )
    order = np.argsort(start, kind="stable")
    start, value = start[order], value[order]
    steps = np.diff(start)
    usual = float(np.median(steps)) if steps.size else 0.0
    stop = start + LONGEST_SAMPLE * usual
    stop[-1:] = start[-1:] + usual
    if isinstance(trace, pd.DataFrame) and "end_time" in trace:
        ends = to_seconds(trace["end_time"], "end_time")[order]
        stop = np.where(np.isfinite(ends), np.maximum(ends, start), stop)
    return start, np.minimum(stop, np.append(start[1:], np.inf)), value


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
        total = _sum_between(np.where(is_known, value, 0.0), first, last)
        means = divide(total, _sum_between(is_known.astype(np.float64), first, last))
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
    low, high = windows[:, :-1], windows[:, 1:]
    if not start.size:
        return np.zeros(low.shape)
    first, last = np.searchsorted(stop, low, side="right"), np.searchsorted(start, high)
    total = _sum_between(value * (stop - start), first, last)
    # what the first and the last sample last outside
    begin, end = np.minimum(first, start.size - 1), last - 1
    total -= value[begin] * np.maximum(low - start[begin], 0.0)
    total -= value[end] * np.maximum(stop[end] - high, 0.0)
    return np.where(first < last, total, 0.0)


def _sum_between(values: Floats, first: npt.NDArray[np.intp], last: npt.NDArray[np.intp]) -> Floats:
    """Sum values[first:last] of each pair; a huge value changes only the sums it is part of."""
    pairs = np.stack([first, np.maximum(first, last)], axis=-1)
    sums = np.add.reduceat(np.append(values, 0.0), pairs.ravel())[::2].reshape(first.shape)
    return np.where(first < last, sums, 0.0)


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
