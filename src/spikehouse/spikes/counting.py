"""Count spikes in windows: every bin is [a, b), each spike in exactly one bin of a row."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, Onsets, counts_rows, read_onsets, to_ids, to_seconds
from spikehouse.schema import require_columns
from spikehouse.spikes._engine import Rows, compiled_rows, run_units
from spikehouse.spikes.trains import ReadAhead, Spikes, SpikeTimes, get_spike_times

Floats = npt.NDArray[np.float64]

TIME = "time_relative_to_stimulus_onset"
# with fewer edges a row, looking each of them up costs no more than computing bins
MANY_EDGES = 8
# how far a bin that was computed may be off before all edges are looked up instead
N_CORRECTIONS = 3
# adding one at a time counts exactly in these types
_EXACT = frozenset(map(np.dtype, ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f8")))

TimeDomainCallback = Callable[[Floats], Floats]
# edges in one row, the step from bin to bin in it, and the coordinates of the bins
Bins = tuple[Floats, int, dict[str, tuple[str, Floats]]]


def check_bin_edges(bin_edges: npt.ArrayLike) -> Floats:
    """Check that edges can bound bins.

    Parameters
    ----------
    bin_edges
        Shape (n_bins + 1,) [s].

    Returns
    -------
    ndarray of float64, shape (n_bins + 1,)
        The same edges.

    Examples
    --------
    >>> check_bin_edges([0, 0.05, 0.1])
    array([0.  , 0.05, 0.1 ])
    """
    edges = to_seconds(bin_edges, "bin_edges")
    if edges.ndim != 1 or edges.size < 2:
        raise InvalidArgumentError(
            f"bin_edges needs at least two edges in one dimension, not an array of shape "
            f"{edges.shape}"
        )
    if not np.isfinite(edges).all():
        position = int(np.flatnonzero(~np.isfinite(edges))[0])
        raise InvalidArgumentError(
            f"bin_edges must be finite numbers; edge {position} is {edges[position]}"
        )
    falling = np.flatnonzero(np.diff(edges) < 0)
    if falling.size:
        position = int(falling[0])
        raise InvalidArgumentError(
            f"bin_edges must not decrease: edge {position + 1} ({edges[position + 1]:g} s) comes "
            f"before edge {position} ({edges[position]:g} s)"
        )
    return edges


def check_windows(
    windows: npt.ArrayLike | pd.DataFrame,
    labels: pd.Index | None = None,
    *,
    noun: str = "presentation",
) -> Floats:
    """Check that edges (rows, n_edges) or intervals (rows, n_bins, 2) are finite and in order."""
    edges = to_seconds(windows, f"{noun}s")
    if edges.ndim not in (2, 3):
        raise InvalidArgumentError(
            f"windows need the shape (n_presentations, n_edges), not {edges.shape}"
        )
    starts, stops = edges[:, :-1], edges[:, 1:]
    if edges.ndim == 3:
        starts, stops = edges[..., 0], edges[..., 1]
    is_wrong = ~(np.isfinite(starts) & np.isfinite(stops) & (starts <= stops))
    if not is_wrong.any():
        return edges
    row, column = (int(place) for place in np.argwhere(is_wrong)[0])
    if labels is None and isinstance(windows, pd.DataFrame):
        labels = windows.index
    which = f"at position {row}" if labels is None or counts_rows(labels) else labels[row]
    what = "lasts" if starts.shape[1] == 1 else f"has bin {column}"
    raise InvalidArgumentError(
        f"{noun} {which} {what} from {starts[row, column]:g} to {stops[row, column]:g} s: "
        "times must be finite, and none before the one it follows. Correct or leave out such "
        f"{noun}s ({is_wrong.any(axis=1).sum()} of {len(edges)})"
    )


def read_windows(presentations: pd.DataFrame) -> Floats:
    """Return start and stop [s] of the presentations of a stimulus table, checked."""
    require_columns(presentations, "start_time", "stop_time", what="the table of presentations")
    return check_windows(presentations[["start_time", "stop_time"]])


def compute_time_domain(
    bin_edges: npt.ArrayLike,
    onsets: Onsets,
    *,
    callback: TimeDomainCallback | None = None,
) -> Floats:
    """Compute the bin edges around every onset.

    Parameters
    ----------
    bin_edges
        Shape (n_bins + 1,) [s], relative to an onset.
    onsets
        Shape (n_presentations,) [s]: times, a Series, or a table with start_time. The index names
        presentations in errors.
    callback
        Called with the absolute edges, shape (n_presentations, n_bins + 1); returns changed ones.

    Returns
    -------
    ndarray of float64, shape (n_presentations, n_bins + 1)
        Absolute edges [s].

    Examples
    --------
    >>> compute_time_domain([0.0, 0.1, 0.2], onsets=[1.0, 5.0])
    array([[1. , 1.1, 1.2],
           [5. , 5.1, 5.2]])
    """
    edges = to_seconds(bin_edges, "bin_edges")
    starts = read_onsets(onsets)
    domain = starts.to_numpy()[:, None] + edges[None, :]
    changed = domain if callback is None else np.asarray(callback(domain.copy()), np.float64)
    if changed.shape != domain.shape:
        raise InvalidArgumentError(
            f"time_domain_callback must keep the shape {domain.shape} (presentations × edges); "
            f"it gave {changed.shape}"
        )
    return check_windows(changed, starts.index)


def read_bins(bin_edges: npt.ArrayLike) -> Bins:
    """Return edges in one row, the step from bin to bin in it, and the coordinates of the bins.

    Intervals, shape (n_bins, 2), stand one after the other in the row: every second bin is one.
    """
    given = to_seconds(bin_edges, "bin_edges")
    if given.ndim != 2 or given.shape[1] != 2:
        edges = check_bin_edges(given)
        return edges, 1, {TIME: (TIME, compute_bin_centres(edges))}
    row = given.ravel()
    if (row[1:] < row[:-1]).any():
        raise InvalidArgumentError(
            f"bin_edges of shape {given.shape} are intervals, and these overlap or are out of "
            "order: give them in order of time; spikehouse.spikes.count_events takes others"
        )
    starts, stops = given.T
    coords = {TIME: given.mean(axis=1), "window_start": starts, "window_stop": stops}
    return check_bin_edges(row), 2, {name: (TIME, values) for name, values in coords.items()}


def compute_bin_centres(bin_edges: Floats) -> Floats:
    """Compute the centres of bins.

    Parameters
    ----------
    bin_edges
        Shape (n_bins + 1,) [s].

    Returns
    -------
    ndarray of float64, shape (n_bins,)
        Half-way between the edges [s].

    Examples
    --------
    >>> compute_bin_centres(np.array([0.0, 0.5, 1.0]))
    array([0.25, 0.75])
    """
    return bin_edges[:-1] + np.diff(bin_edges) / 2


def warn_wide_bins(bin_edges: npt.ArrayLike, *, threshold: float, stacklevel: int = 3) -> None:
    """Warn where binarizing would lose spikes."""
    widest = float(np.diff(bin_edges).max())
    if widest > threshold:
        warnings.warn(
            f"binarizing bins of up to {widest:g} s says only whether there was a spike; "
            f"use bins of {threshold:g} s or less to lose none",
            stacklevel=stacklevel,
        )


def warn_overlaps(domain: Floats, *, stacklevel: int = 3) -> None:
    """Warn once where bins of a row, edges or intervals (rows, n_bins, 2), run into another row's.

    Rows and intervals may come in any order.
    """
    bins = domain if domain.ndim == 3 else domain[:, np.newaxis, [0, -1]]
    order = np.argsort(bins[..., 0], axis=1)
    starts, stops = (np.take_along_axis(bins[..., end], order, axis=1) for end in (0, 1))
    # a row's bins may overlap each other: what an earlier one of them has is taken from the later
    reach = np.maximum.accumulate(stops, axis=1)
    starts[:, 1:] = np.maximum(starts[:, 1:], reach[:, :-1])
    order = np.argsort(starts, axis=None)
    starts, stops = starts.ravel()[order], stops.ravel()[order]
    reach = np.maximum.accumulate(stops)
    shared = np.minimum(reach[:-1], stops[1:]) - starts[1:]
    # sums of seconds are rounded
    is_shared = shared > 1e-9
    if is_shared.any():
        n_rows = len(np.unique(order[1:][is_shared] // bins.shape[1]))
        warnings.warn(
            f"{n_rows} of {len(domain)} windows run into the next one, by up to "
            f"{shared.max():g} s: spikes there are counted in both (bin edges are seconds)",
            stacklevel=stacklevel,
        )


def count_spikes(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    domain: Floats,
    *,
    dtype: npt.DTypeLike | None = None,
    binarize: bool = False,
) -> npt.NDArray[Any]:
    """Count the spikes of units in every bin of every row.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units, in the order wanted.
    domain
        Shape (n_presentations, n_bins + 1); each row's edges [s] do not decrease. Rows may come
        in any order and overlap.
    dtype
        Type of the result. If None: int8 when binarized, else the smallest signed type that holds
        the largest count, int16 at least.
    binarize
        One where there is a spike, zero where there is none.

    Returns
    -------
    ndarray, shape (n_presentations, n_bins, n_units)
        Counts. The units vary slowest in memory.

    Notes
    -----
    A bin holds the spikes that ``numpy.searchsorted(side="left")`` finds between its edges. Small
    work is done that way, or by division where there are many even bins; large work by compiled
    loops (numba, imported only then); all with the same result. Time is linear in the spikes
    inside the rows and the bins; the compiled loops use all cores. Memory: the result and one
    unit's spikes a core.

    Examples
    --------
    >>> domain = compute_time_domain([0.0, 0.1, 0.2], onsets=[1.0, 2.0])
    >>> count_spikes({7: [1.05, 2.01, 2.15]}, [7], domain)[:, :, 0].tolist()
    [[1, 0], [1, 1]]
    """
    spike_times = get_spike_times(spikes_or_session)
    units = to_ids(unit_ids, "unit_id").tolist()
    domain = check_windows(domain)
    n_rows, n_edges = domain.shape
    chosen = np.dtype(dtype) if dtype is not None else np.dtype(np.int8 if binarize else np.int16)
    counts = np.zeros((len(units), n_rows, max(n_edges - 1, 0)), dtype=chosen)
    rows = compiled_rows(domain, len(units)) if chosen.isnative and chosen in _EXACT else None
    if rows is None:
        todo: Sequence[int] = range(len(units))
    else:
        todo = _count_compiled(counts, spike_times, units, rows, binarize=binarize)
    trains = ReadAhead(spike_times, [units[position] for position in todo])
    has_even_bins = len(todo) > 0 and _has_even_bins(domain)
    for turn, position in enumerate(todo):
        train = np.asarray(trains[turn])
        found = _count_by_division(train, domain) if has_even_bins else None
        if found is None:
            places = np.searchsorted(train, domain.ravel(), side="left").reshape(domain.shape)
            found = np.diff(places, axis=1)
        if binarize:
            counts[position] = found > 0
            continue
        largest = int(found.max(initial=0))
        if largest > _largest(counts.dtype):
            counts = _widen(counts, largest, may=dtype is None)
        counts[position] = found
    return np.moveaxis(counts, 0, -1)


def _has_even_bins(domain: Floats) -> bool:
    """Return whether dividing by the width of bins finds nearly every bin, and is worth it."""
    n_rows, n_edges = domain.shape
    if n_rows == 0 or n_edges < MANY_EDGES:
        return False
    widths = np.diff(domain, axis=1)
    even = (domain[:, -1] - domain[:, 0])[:, None] / (n_edges - 1)
    return bool((np.abs(widths - even) <= even / 4).all() and (even > 0).all())


def _count_by_division(train: Floats, domain: Floats) -> npt.NDArray[np.intp] | None:
    """Count by computing the bins of spikes; None where computed bins are too far off."""
    # Only the ends of rows are looked up. What division says is compared with the edges themselves,
    # so that the result is that of looking up every edge.
    n_rows, n_bins = domain.shape[0], domain.shape[1] - 1
    first, end = (np.searchsorted(train, domain[:, edge], side="left") for edge in (0, -1))
    n_inside = end - first
    rows = np.repeat(np.arange(n_rows), n_inside)
    # the k-th spike of a row stands k places after its first one
    in_row = np.arange(len(rows)) - np.repeat(np.cumsum(n_inside) - n_inside, n_inside)
    times = train[first[rows] + in_row]
    starts, stops = domain[rows, 0], domain[rows, -1]
    guess = ((times - starts) / (stops - starts) * n_bins).astype(np.intp)
    np.clip(guess, 0, n_bins - 1, out=guess)
    for _ in range(N_CORRECTIONS):
        is_before, is_after = times < domain[rows, guess], times >= domain[rows, guess + 1]
        if not (is_before.any() or is_after.any()):
            return np.bincount(rows * n_bins + guess, minlength=n_rows * n_bins).reshape(
                n_rows, n_bins
            )
        guess += is_after.astype(np.intp) - is_before.astype(np.intp)
    return None


def _count_compiled(
    counts: npt.NDArray[Any],
    spike_times: SpikeTimes,
    unit_ids: Sequence[int],
    rows: Rows,
    *,
    binarize: bool,
) -> list[int]:
    """Fill counts; return the units with more spikes in a bin than the dtype can hold."""
    from spikehouse.spikes import _kernels

    limit = counts.dtype.type(_largest(counts.dtype))
    targets = np.arange(len(rows.domain))

    def count(position: int, train: Floats) -> bool:
        return _kernels.count_unit(
            train, rows.domain, rows.windows, rows.slack, binarize, targets, limit, counts[position]
        )

    fits = run_units(spike_times, unit_ids, count)
    return [position for position, fitted in enumerate(fits) if not fitted]


def _largest(dtype: np.dtype[Any]) -> float:
    return np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else np.inf


def _widen(counts: npt.NDArray[Any], largest: int, *, may: bool) -> npt.NDArray[Any]:
    if not may:
        raise InvalidArgumentError(
            f"a bin holds {largest} spikes, more than dtype {counts.dtype} can hold; leave dtype "
            "out to have one chosen that fits"
        )
    # the smallest type of a negative number is signed
    return counts.astype(np.min_scalar_type(-largest - 1))
