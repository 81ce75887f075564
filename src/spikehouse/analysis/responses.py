"""Responses to conditions over time: averaged, smoothed, or as rasters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis.checks import divide
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, to_ids
from spikehouse.schema import require_columns
from spikehouse.spikes import (
    Spikes,
    align_spikes,
    compute_mean_counts,
    compute_time_domain,
)
from spikehouse.spikes.counting import TIME, read_bins, read_windows

_NEEDED = ("start_time", "stimulus_condition_id")

# what a kernel leaves out beyond this many widths is less than 1e-4 of it
N_WIDTHS = 4.0


def compute_conditionwise_psth(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    presentations: pd.DataFrame,
    *,
    bin_edges: npt.ArrayLike,
    use_rates: bool = True,
) -> xr.DataArray:
    """Average the responses of units to every condition, in time bins around the onset.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session, and ids of the units, in that order.
    presentations
        start_time [s] and stimulus_condition_id of each presentation: what
        ``session.get_stimulus_table(...)`` gives, or any events with these columns. A presentation
        whose condition is NaN is left out.
    bin_edges
        Shape (n_bins + 1,) [s] from the onset, or with gaps first and last time of each bin, shape
        (n_bins, 2), in order; a spike belongs to [a, b).
    use_rates
        Return rates [spikes/s]; if False, mean counts per bin.

    Returns
    -------
    DataArray, shape (n_conditions, n_bins, n_units)
        ``psth`` (stimulus_condition_id, time_relative_to_stimulus_onset, unit_id), conditions
        increasing, times the centres of bins [s]; ``n_presentations`` goes with the conditions.
        A rate over a bin of no width is NaN.

    Notes
    -----
    Unit by unit: the counts of all presentations are never in memory, only the result.

    Examples
    --------
    >>> spikes = {7: [0.05, 1.05, 1.06, 2.15]}
    >>> shown = pd.DataFrame({"start_time": [0.0, 1, 2], "stimulus_condition_id": [3, 3, 4]})
    >>> psth = compute_conditionwise_psth(spikes, [7], shown, bin_edges=[0.0, 0.1, 0.2])
    >>> psth.sel(unit_id=7).values
    array([[15.,  0.],
           [ 0., 10.]])
    """
    edges, step, times = read_bins(bin_edges)
    require_columns(presentations, *_NEEDED, what="the table of presentations")
    onsets, conditions = (presentations[name] for name in _NEEDED)
    is_shown = conditions.notna()
    shown = to_ids(conditions[is_shown], "stimulus_condition_id")
    ids, groups = np.unique(shown, return_inverse=True)
    units = to_ids(unit_ids, "unit_id")
    domain = compute_time_domain(edges, onsets[is_shown])
    values = compute_mean_counts(spikes_or_session, units, domain, groups=groups)
    values = values[:, ::step]
    if use_rates:
        widths = np.diff(edges)[::step, None]
        values = np.where(widths > 0, divide(values, widths), np.nan)
    return xr.DataArray(
        values,
        dims=("stimulus_condition_id", TIME, "unit_id"),
        coords={
            "stimulus_condition_id": ids,
            **times,
            "unit_id": units,
            "n_presentations": ("stimulus_condition_id", np.bincount(groups, minlength=len(ids))),
        },
        name="psth",
        attrs={
            "units": "spikes/s" if use_rates else "spikes",
            "window": (float(edges[0]), float(edges[-1])),
        },
    )


def smooth_rates(rates: xr.DataArray, *, sigma: float, dim: str = TIME) -> xr.DataArray:
    """Smooth responses in time with a Gaussian.

    Parameters
    ----------
    rates
        Rates or counts with evenly spaced times.
    sigma
        Standard deviation of the Gaussian [s]; cut off at four of them.
    dim
        Name of the dimension of time, with coordinates [s].

    Returns
    -------
    DataArray
        The same shape, coordinates and unit, float64; ``attrs`` has ``sigma`` [s].

    Notes
    -----
    At the edges, and beside NaN, the kernel is cut off and what is left of it scaled to a sum of
    1: a constant stays that constant, and nothing is assumed about what was not measured. NaN
    stays NaN. The Gaussian is symmetric: it moves responses into the time before their onset.

    Examples
    --------
    >>> import xarray as xr
    >>> time = np.arange(5) * 0.01
    >>> rates = xr.DataArray([0.0, 0, 100, 0, 0], {"time_relative_to_stimulus_onset": time})
    >>> smooth_rates(rates, sigma=0.01).values.round(1)
    array([ 7.7, 25.7, 40.3, 25.7,  7.7])
    """
    from scipy.ndimage import gaussian_filter1d

    if not (np.isfinite(sigma) and sigma > 0):
        raise InvalidArgumentError(
            f"sigma is {sigma}; give the standard deviation of the Gaussian [s], for instance 0.01"
        )
    step = _find_step(rates, dim)
    axis = rates.get_axis_num(dim)
    values = rates.to_numpy().astype(np.float64)
    is_known = np.isfinite(values)

    def smooth(array: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(
            gaussian_filter1d(array, sigma / step, axis=axis, mode="constant", truncate=N_WIDTHS)
        )

    weights = smooth(is_known.astype(np.float64))
    smoothed = smooth(np.where(is_known, values, 0.0))
    result = rates.copy(data=np.where(is_known, divide(smoothed, weights), np.nan))
    result.attrs = {**rates.attrs, "sigma": float(sigma)}
    return result


def compute_rasters_by_condition(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    presentations: pd.DataFrame,
    *,
    window: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """List the spikes around onsets, presentations of one condition together, for a raster.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units.
    presentations
        Index stimulus_presentation_id; start_time, stop_time [s], stimulus_condition_id; with
        ``window`` any events that have start_time and stimulus_condition_id.
    window
        First and last time from the onset [s], half-open; from start to stop if None.

    Returns
    -------
    DataFrame
        unit_id, stimulus_condition_id, stimulus_presentation_id, row,
        time_since_stimulus_presentation_onset [s]; in the order of ``unit_ids``, then by row,
        then by time. ``row`` is the line of the presentation in a raster, 0 for the first:
        presentations by condition, then by onset, also those without a spike. ``attrs`` has
        ``n_rows`` and, by condition, the first row: ``first_rows``.

    Examples
    --------
    >>> flashes = session.get_stimulus_table("flashes")
    >>> raster = compute_rasters_by_condition(session, [950100393], flashes)
    >>> raster[["stimulus_condition_id", "row"]].head(3)
       stimulus_condition_id  row
    0                     82    0
    1                     82    2
    2                     83    4
    """
    require_columns(presentations, *_NEEDED, what="the table of presentations")
    begins, shown = (presentations[name] for name in _NEEDED)
    if shown.isna().any():
        raise InvalidArgumentError(
            f"{int(shown.isna().sum())} presentations have no stimulus_condition_id; leave "
            "them out: presentations.dropna(subset='stimulus_condition_id')"
        )
    if window is None:
        windows = read_windows(presentations)
    else:
        windows = compute_time_domain(check_window(window), begins)
    onsets = begins.to_numpy(dtype=np.float64)
    conditions = to_ids(shown, "stimulus_condition_id")
    order = np.lexsort((onsets, conditions))
    row = np.empty(len(order), dtype=np.int64)
    row[order] = np.arange(len(order))
    units = check_unit_ids(unit_ids)
    # numbers for ids: the rows of the table are found without looking ids up
    table = pd.DataFrame(windows, columns=["start_time", "stop_time"])
    spikes = align_spikes(spikes_or_session, units, table)
    place = spikes["stimulus_presentation_id"].to_numpy()
    times = spikes.index.to_numpy(dtype=np.float64)
    unit_place = pd.Index(units).get_indexer(pd.Index(spikes["unit_id"]))
    by_row = np.lexsort((times, row[place], unit_place))
    place = place[by_row]
    table = pd.DataFrame(
        {
            "unit_id": spikes["unit_id"].to_numpy()[by_row],
            "stimulus_condition_id": conditions[place],
            "stimulus_presentation_id": presentations.index.to_numpy()[place],
            "row": row[place],
            "time_since_stimulus_presentation_onset": times[by_row] - onsets[place],
        }
    )
    ids, first = np.unique(conditions[order], return_index=True)
    table.attrs = {
        "n_rows": len(order),
        "first_rows": dict(zip(ids.tolist(), first.tolist(), strict=True)),
    }
    return table


def check_unit_ids(unit_ids: Ids) -> list[int]:
    """Return unit ids as a list; raise InvalidArgumentError if one occurs twice."""
    units: list[int] = to_ids(unit_ids, "unit_id").tolist()
    if len(set(units)) < len(units):
        twice = next(unit for unit in units if units.count(unit) > 1)
        raise InvalidArgumentError(
            f"unit {twice} is {units.count(twice)} times among the {len(units)} unit_ids; give "
            "each once"
        )
    return units


def check_window(window: tuple[float, float]) -> tuple[float, float]:
    """Return a window as two floats; raise InvalidArgumentError unless it ends after it starts."""
    start, stop = (float(bound) for bound in window)
    if not (np.isfinite(start) and np.isfinite(stop) and start < stop):
        raise InvalidArgumentError(
            f"window=({start:g}, {stop:g}): give the first and the last time from the onset [s], "
            "the first being the smaller, for instance (0, 0.25)"
        )
    return start, stop


def _find_step(rates: xr.DataArray, dim: str) -> float:
    if dim not in rates.dims or dim not in rates.coords or rates.sizes[dim] < 2:
        raise InvalidArgumentError(
            f"smoothing needs a dimension {dim!r} with two times or more; this array has the "
            f"dimensions {dict(rates.sizes)}"
        )
    steps = np.diff(rates[dim].to_numpy().astype(np.float64))
    step = float(steps.mean())
    if not (step > 0 and np.allclose(steps, step, rtol=1e-3, atol=0)):
        raise InvalidArgumentError(
            f"the times of {dim!r} are {steps.min():g} to {steps.max():g} s apart; smoothing "
            "needs evenly spaced ones: bins of one width"
        )
    return step
