"""Mean counts without the counts of every presentation, and spikes as flat arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, align, to_ids
from spikehouse.spikes._engine import compiled_rows, run_units
from spikehouse.spikes.counting import check_windows
from spikehouse.spikes.trains import ReadAhead, Spikes, get_spike_times

Floats = npt.NDArray[np.float64]


def compute_mean_counts(
    spikes_or_session: Spikes, unit_ids: Ids, domain: Floats, *, groups: npt.ArrayLike | None = None
) -> Floats:
    """Average the spike counts of units over presentations, in every bin.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units, in the order wanted.
    domain
        Shape (n_presentations, n_bins + 1); each row's edges [s] do not decrease. Rows may come
        in any order and overlap.
    groups
        Shape (n_presentations,): the number of each presentation's group, from 0; the return
        inverse of ``np.unique(condition_ids, return_inverse=True)``, for one.

    Returns
    -------
    ndarray of float64, shape (n_bins, n_units) or (n_groups, n_bins, n_units)
        Spikes a presentation and bin [a, b), what ``count_spikes(...).mean(axis=0)`` gives, of
        every group where there are groups. ``n_groups`` is the largest number + 1; a group
        without presentations is NaN. The units vary slowest in memory.

    Notes
    -----
    The counts of all presentations are never in memory: only the result, and one unit's spikes
    and sums a core. Sums are of integers, so the order of presentations does not matter. Time is
    linear in the spikes inside the rows, and the rows.

    Examples
    --------
    >>> domain = compute_time_domain([0.0, 0.1, 0.2], onsets=[1.0, 2.0])
    >>> compute_mean_counts({7: [1.05, 2.01, 2.15]}, [7], domain)  # bins × units
    array([[1. ],
           [0.5]])
    """
    domain, groups = align(domain=domain, groups=groups)
    domain = check_windows(domain)
    spike_times = get_spike_times(spikes_or_session)
    units = to_ids(unit_ids, "unit_id").tolist()
    targets = _check_groups(groups, len(domain))
    n_groups = 1 if groups is None else int(targets.max(initial=-1)) + 1
    means = np.empty((len(units), n_groups, max(domain.shape[1] - 1, 0)))
    in_group = np.bincount(targets, minlength=n_groups).astype(np.float64)[:, None]
    in_group[in_group == 0] = np.nan
    rows = compiled_rows(domain, len(units))
    if rows is None:
        trains = ReadAhead(spike_times, units)
        for position in range(len(units)):
            places = np.searchsorted(trains[position], domain.ravel()).reshape(domain.shape)
            sums = np.zeros(means.shape[1:], dtype=np.int64)
            np.add.at(sums, targets, np.diff(places, axis=1))
            means[position] = sums / in_group
    else:
        from spikehouse.spikes import _kernels

        limit = np.iinfo(np.int64).max

        def average(position: int, train: npt.NDArray[np.float64]) -> None:
            sums = np.zeros(means.shape[1:], dtype=np.int64)
            _kernels.count_unit(
                train, rows.domain, rows.windows, rows.slack, False, targets, limit, sums
            )
            means[position] = sums / in_group

        run_units(spike_times, units, average)
    moved = np.moveaxis(means, 0, -1)
    return moved[0] if groups is None else moved


def _check_groups(groups: npt.ArrayLike | None, n_rows: int) -> npt.NDArray[np.int64]:
    if groups is None:
        return np.zeros(n_rows, dtype=np.int64)
    given = np.asarray(groups)
    if given.shape != (n_rows,):
        raise InvalidArgumentError(
            f"groups needs one number a presentation, shape ({n_rows},), not {given.shape}"
        )
    if n_rows and not np.issubdtype(given.dtype, np.integer):
        raise InvalidArgumentError(
            f"groups must hold integers, not {given.dtype}; number the groups from 0 with "
            "np.unique(..., return_inverse=True)"
        )
    targets = np.ascontiguousarray(given, dtype=np.int64)
    if targets.min(initial=0) < 0:
        raise InvalidArgumentError(
            f"groups must be numbered from 0; the smallest is {targets.min()}: leave out the "
            "presentations that belong to none"
        )
    return targets


def concatenate_spikes(
    spikes_or_session: Spikes, unit_ids: Ids
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Concatenate the spikes of units, for code that takes flat arrays.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units, in the order wanted.

    Returns
    -------
    times : ndarray of float64, shape (n_spikes,)
        The spikes of the first unit, then of the second, … [s].
    offsets : ndarray of int64, shape (n_units + 1,)
        Those of unit ``i`` are ``times[offsets[i]:offsets[i + 1]]``.

    Notes
    -----
    Every unit is read once. Memory: for a moment twice the result, 8 bytes a spike.

    Examples
    --------
    >>> times, bounds = concatenate_spikes({7: [0.1, 0.7], 8: [0.3]}, [8, 7])
    >>> times[bounds[1] : bounds[2]]  # of unit 7
    array([0.1, 0.7])
    """
    units = to_ids(unit_ids, "unit_id").tolist()
    ahead = ReadAhead(get_spike_times(spikes_or_session), units)
    trains = [np.asarray(ahead[position], dtype=np.float64) for position in range(len(units))]
    offsets = np.zeros(len(trains) + 1, dtype=np.int64)
    np.cumsum([len(train) for train in trains], out=offsets[1:])
    times = np.concatenate(trains) if trains else np.empty(0, dtype=np.float64)
    return times, offsets
