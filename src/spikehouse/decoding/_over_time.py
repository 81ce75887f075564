"""Decoding accuracy over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.decoding._engine import Job, Progress, run_jobs
from spikehouse.decoding._inputs import Targets
from spikehouse.decoding._plans import make_plan
from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices
from spikehouse.labelled import Ids, Onsets, read_onsets, to_ids
from spikehouse.spikes import Spikes, compute_time_domain, count_spikes
from spikehouse.spikes.counting import TIME, read_windows
from spikehouse.spikes.trains import get_spike_times

Floats = npt.NDArray[np.float64]

ROUNDING = 1e-9


def decode_over_time(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    presentations: Onsets,
    targets: Targets | str,
    *,
    windows: Sequence[tuple[float, float]] | npt.ArrayLike | None = None,
    span: tuple[float, float] | None = None,
    bin_width: float = 0.05,
    step: float | None = None,
    estimator: object = None,
    cv: object = None,
    groups: Targets | str | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> xr.DataArray:
    """Decode from the spikes in a series of time windows.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units to decode from.
    presentations
        Stimulus table with start_time [s], and stop_time [s] without ``span`` and ``windows``;
        index: presentation ids. With either, any events: times [s], a Series, or a table.
    targets
        Label of each presentation, or the name of a column of ``presentations``.
    windows
        Pairs of (start, stop) [s] relative to the onset; they may overlap. Default: windows of
        ``bin_width`` through ``span``.
    span
        Start of the first and end of the last window [s] relative to the onset. Default: from 0
        to the duration of the shortest presentation.
    bin_width
        Duration of each window [s].
    step
        Time from the start of one window to the next [s]; default: ``bin_width``.
    estimator, cv, groups, seed, n_jobs
        As for :func:`~spikehouse.decode`; ``groups`` may also be the name of a column of
        ``presentations`` such as ``"stimulus_block"``. The folds are the same for every window.
    progress
        Function called after each window with the number done and the total.

    Returns
    -------
    DataArray, shape (n_windows, n_folds)
        ``accuracy`` (time_relative_to_stimulus_onset, fold), the fraction correct. The time is
        the centre of the window; ``window_start`` and ``window_stop`` [s] are further
        coordinates. Attributes hold the parameters and ``chance``.

    Notes
    -----
    A window contains the spikes in [start, stop). Accuracy above chance before the onset means
    that training and test share something other than the stimulus: use ``cv="blocked"``.

    Memory: two bytes per presentation, unit and distinct edge of the windows.

    Examples
    --------
    A unit that responds to one of two stimuli from 0.1 s on:

    >>> shown = pd.DataFrame({"start_time": np.arange(40.0), "frame": np.tile([0, 1], 20)})
    >>> times = {7: shown["start_time"][shown["frame"] == 1].to_numpy() + 0.12}
    >>> curve = decode_over_time(times, [7], shown, "frame", span=(0, 0.2), bin_width=0.1)
    >>> curve.mean("fold").values
    array([0.5, 1. ])
    """
    if np.shape(presentations)[:1] == (0,):
        raise InvalidArgumentError("presentations has no rows; at least one is needed")
    bounds = _make_windows(presentations, windows, span, bin_width, step)
    truth = _column(presentations, targets, "targets")
    blocks = None if groups is None else _column(presentations, groups, "groups")
    onsets = read_onsets(presentations)
    edges, counts = _count(spikes_or_session, unit_ids, onsets, bounds)
    whole = pd.DataFrame(counts.sum(axis=1), index=onsets.index)
    plan = make_plan(whole, truth, estimator=estimator, cv=cv, groups=blocks, seed=seed)
    jobs = (
        Job(
            np.ascontiguousarray(counts[:, first:last].sum(axis=1), dtype=np.float64),
            plan.problem.fitted_targets,
            plan.folds,
        )
        for first, last in np.searchsorted(edges, bounds)
    )
    scores = run_jobs(plan.model, jobs, n=len(bounds), n_jobs=n_jobs, progress=progress)
    return xr.DataArray(
        scores.accuracies,
        dims=(TIME, "fold"),
        coords={
            TIME: bounds.mean(axis=1),
            "window_start": (TIME, bounds[:, 0]),
            "window_stop": (TIME, bounds[:, 1]),
            "fold": np.arange(len(plan.folds)),
        },
        name="accuracy",
        attrs=plan.attributes(plan.notes() + scores.notes) | {"n_units": counts.shape[2]},
    )


def _make_windows(
    presentations: Onsets,
    windows: Sequence[tuple[float, float]] | npt.ArrayLike | None,
    span: tuple[float, float] | None,
    bin_width: float,
    step: float | None,
) -> Floats:
    if windows is not None:
        if span is not None or step is not None:
            raise InvalidArgumentError("windows cannot be combined with span or step")
        bounds = np.asarray(windows, dtype=np.float64)
        if bounds.ndim != 2 or bounds.shape[1] != 2 or not len(bounds):
            raise InvalidArgumentError(
                f"windows must be pairs of (start, stop) in s, such as [(0, 0.05), (0.05, 0.1)]; "
                f"these have the shape {bounds.shape}"
            )
        wrong = np.flatnonzero(~(np.isfinite(bounds).all(axis=1) & (bounds[:, 1] > bounds[:, 0])))
        if wrong.size:
            start, stop = bounds[wrong[0]]
            raise InvalidArgumentError(
                f"window {wrong[0]} is ({start:g}, {stop:g}); a window must stop after it starts"
            )
        return bounds
    stride = bin_width if step is None else step
    if not (np.isfinite([bin_width, stride]).all() and bin_width > 0 and stride > 0):
        raise InvalidArgumentError(
            f"bin_width={bin_width!r} and step={step!r}; valid: lengths above 0 s"
        )
    if span is None:
        if not isinstance(presentations, pd.DataFrame):
            raise InvalidArgumentError(
                "onsets alone do not say how long to decode: give span=(0.0, 0.25), first and last "
                "time from the onset [s], or a table with start_time and stop_time"
            )
        starts, stops = read_windows(presentations).T
        span = (0.0, float((stops - starts).min()))
    start, stop = (float(edge) for edge in span)
    if not stop - start >= bin_width - ROUNDING:
        raise InvalidArgumentError(
            f"no window of bin_width={bin_width:g} s fits into ({start:g}, {stop:g}) s; "
            "use a longer span or a shorter bin_width"
        )
    # multiplied, not added up, so that adjacent windows share their edges to the last bit
    n_windows = int(np.floor((stop - start - bin_width) / stride + ROUNDING)) + 1
    starts = start + np.arange(n_windows) * stride
    return np.stack([starts, starts + bin_width], axis=1).round(12)


def _column(presentations: Onsets, given: Targets | str, name: str) -> Targets:
    if not isinstance(given, str):
        return given
    if not isinstance(presentations, pd.DataFrame):
        raise InvalidArgumentError(
            f"{name}={given!r} names a column of a table, and these are onsets alone; give the "
            f"{name} themselves"
        )
    if given not in presentations.columns:
        raise InvalidArgumentError(
            f"{name}={given!r} is no column of presentations; "
            f"{describe_choices(given, presentations.columns)}"
        )
    return presentations[given]


def _count(
    spikes_or_session: Spikes, unit_ids: Ids, onsets: pd.Series[float], bounds: Floats
) -> tuple[Floats, npt.NDArray[Any]]:
    """Count spikes between all edges once; a window is the sum of its bins."""
    spike_times = get_spike_times(spikes_or_session)
    units = to_ids(unit_ids, "unit_id").tolist()
    unknown = [unit for unit in units if unit not in spike_times]
    if unknown:
        raise NotFoundError(f"no unit {unknown[0]!r}; {describe_choices(unknown[0], spike_times)}")
    edges = np.unique(bounds)
    domain = compute_time_domain(edges, onsets)
    return edges, count_spikes(spike_times, units, domain)
