"""Mean and variability of the spikes that conditions evoke."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, align, to_ids
from spikehouse.spikes.counting import check_windows, count_spikes


def compute_condition_statistics(
    spike_times: Mapping[int, npt.NDArray[np.float64]],
    unit_ids: Ids,
    *,
    start_time: npt.ArrayLike,
    stop_time: npt.ArrayLike,
    condition_ids: npt.ArrayLike,
    duration: npt.ArrayLike | None = None,
    use_rates: bool = False,
) -> pd.DataFrame:
    """Summarise the spikes of every unit over the presentations of every condition.

    Parameters
    ----------
    spike_times
        Unit id → sorted times [s].
    unit_ids
        Ids of the units.
    start_time, stop_time
        Shape (n_presentations,) [s]; a spike belongs to [start, stop). Any order; presentations
        may overlap.
    condition_ids
        Shape (n_presentations,); a presentation whose id is NaN is left out.
    duration
        Shape (n_presentations,) [s], what rates are divided by; stop − start if None.
    use_rates
        Summarise rates [spikes/s] instead of counts.

    Returns
    -------
    DataFrame
        Index (unit_id, stimulus_condition_id), sorted by condition, then unit; spike_count (the
        sum; not with rates), stimulus_presentation_count, spike_mean, spike_std (n − 1 in the
        denominator), spike_sem. A unit that never fired has its rows, with zeros. A condition
        with one presentation has no spike_std and spike_sem: NaN. A rate over no time is NaN or
        infinite.

    Raises
    ------
    InvalidArgumentError
        If the arrays of presentations differ in length or in their labels, a condition id is no
        whole number, or a presentation's times are not finite or it stops before it starts.

    Notes
    -----
    Every unit's spikes are counted once; then conditions with equally many presentations are
    summarised together. Memory: 8 bytes a presentation and unit, a few times over.
    """
    start_time, stop_time, condition_ids, duration = align(
        start_time=start_time, stop_time=stop_time, condition_ids=condition_ids, duration=duration
    )
    starts, stops = np.asarray(start_time, np.float64), np.asarray(stop_time, np.float64)
    conditions = np.asarray(condition_ids)
    seconds = None if duration is None else np.asarray(duration, np.float64)
    _check_lengths(
        start_time=starts, stop_time=stops, condition_ids=conditions,
        duration=starts if seconds is None else seconds,
    )  # fmt: skip
    kept = ~pd.isna(conditions)
    names = start_time.index if isinstance(start_time, pd.Series) else None
    windows = pd.DataFrame({"start_time": starts, "stop_time": stops}, index=names)[kept]
    domain, conditions = check_windows(windows), conditions[kept]
    seconds = domain[:, 1] - domain[:, 0] if seconds is None else seconds[kept]
    order = np.argsort(conditions, kind="stable")
    ids, first, sizes = np.unique(conditions[order], return_index=True, return_counts=True)
    units = to_ids(unit_ids, "unit_id")
    unit_order = np.argsort(units, kind="stable")
    # counted in the order given, mostly that of time, which searches fastest; sorted afterwards
    counts = count_spikes(spike_times, units[unit_order], domain)[:, 0, :].T[:, order]
    values = counts.astype(np.float64)
    if use_rates:
        with np.errstate(divide="ignore", invalid="ignore"):
            values /= seconds[order]
    index = pd.MultiIndex.from_product(
        [to_ids(ids, "stimulus_condition_id"), units[unit_order]],
        names=["stimulus_condition_id", "unit_id"],
    ).swaplevel()
    mean, deviation = _summarise(values, first, sizes)
    columns: dict[str, npt.NDArray[np.generic]] = {}
    if not use_rates:
        sums = np.add.reduceat(counts.astype(np.int64), first, axis=1)
        columns["spike_count"] = sums.T.ravel()
    columns["stimulus_presentation_count"] = np.repeat(sizes, len(units))
    columns["spike_mean"], columns["spike_std"] = mean.ravel(), deviation.ravel()
    columns["spike_sem"] = (deviation / np.sqrt(sizes)[:, None]).ravel()
    return pd.DataFrame(columns, index=index)


def _summarise(
    values: npt.NDArray[np.float64],
    first: npt.NDArray[np.intp],
    sizes: npt.NDArray[np.intp],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Compute mean and standard deviation of runs of columns, each (n_runs, n_units)."""
    # Runs of one length are reduced together, along memory: numpy then adds in the same order as
    # for each by itself, and the last digit is that of np.mean and np.std.
    mean = np.empty((len(sizes), len(values)))
    deviation = np.full_like(mean, np.nan)
    for size in np.unique(sizes):
        runs = np.flatnonzero(sizes == size)
        block = values[:, first[runs][:, None] + np.arange(size)]
        mean[runs] = block.mean(axis=-1).T
        if size > 1:
            with np.errstate(invalid="ignore"):  # rates over no time
                deviation[runs] = block.std(axis=-1, ddof=1).T
    return mean, deviation


def _check_lengths(**arrays: npt.NDArray[np.generic]) -> None:
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1 or any(array.ndim != 1 for array in arrays.values()):
        described = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise InvalidArgumentError(
            f"the presentations need arrays of one dimension and equal length, not {described}"
        )
