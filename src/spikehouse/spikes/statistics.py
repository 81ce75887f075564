"""Spikes of presentations and of conditions: the design matrix, mean and variability."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.labelled import Ids, name_events, read_onsets, to_ids
from spikehouse.schema import require_columns
from spikehouse.spikes.counting import count_spikes, read_windows
from spikehouse.spikes.trains import Spikes


def compute_condition_statistics(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    presentations: pd.DataFrame,
    *,
    use_rates: bool = False,
) -> pd.DataFrame:
    """Summarise the spikes of every unit over the presentations of every condition.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units.
    presentations
        start_time, stop_time [s] and stimulus_condition_id of each presentation; a spike belongs
        to [start, stop). Any order; presentations may overlap. One whose condition is NaN is left
        out. Rates are divided by the column ``duration`` [s]; by stop − start without it.
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

    Notes
    -----
    Every unit's spikes are counted once; then conditions with equally many presentations are
    summarised together. Memory: 8 bytes a presentation and unit, a few times over.

    Examples
    --------
    >>> shown = pd.DataFrame(
    ...     {"start_time": [0, 1, 2], "stop_time": [1, 2, 3], "stimulus_condition_id": [4, 4, 5]}
    ... )
    >>> statistics = compute_condition_statistics({7: [0.1, 0.7, 1.2]}, [7], shown)
    >>> statistics[["spike_count", "spike_mean"]]
                                   spike_count  spike_mean
    unit_id stimulus_condition_id
    7       4                                3         1.5
            5                                0         0.0
    """
    require_columns(presentations, "stimulus_condition_id", what="the table of presentations")
    shown = presentations[presentations["stimulus_condition_id"].notna()]
    domain = read_windows(shown)
    conditions = to_ids(shown["stimulus_condition_id"], "stimulus_condition_id")
    seconds = domain[:, 1] - domain[:, 0]
    if "duration" in shown:
        seconds = shown["duration"].to_numpy(dtype=np.float64)
    order = np.argsort(conditions, kind="stable")
    ids, first, sizes = np.unique(conditions[order], return_index=True, return_counts=True)
    units = to_ids(unit_ids, "unit_id")
    unit_order = np.argsort(units, kind="stable")
    # counted in the order given, mostly that of time, which searches fastest; sorted afterwards
    counts = count_spikes(spikes_or_session, units[unit_order], domain)[:, 0, :].T[:, order]
    values = counts.astype(np.float64)
    if use_rates:
        with np.errstate(divide="ignore", invalid="ignore"):
            values /= seconds[order]
    index = pd.MultiIndex.from_product(
        [ids, units[unit_order]], names=["stimulus_condition_id", "unit_id"]
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
    values: npt.NDArray[np.float64], first: npt.NDArray[np.intp], sizes: npt.NDArray[np.intp]
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


def compute_design_matrix(
    spikes_or_session: Spikes, unit_ids: Ids, presentations: pd.DataFrame
) -> xr.DataArray:
    """Count every unit's spikes in every presentation.

    Parameters
    ----------
    spikes_or_session, unit_ids
        Unit id → sorted times [s], or a session; and the ids of the units, in the order wanted.
    presentations
        Index stimulus_presentation_id; start_time, stop_time [s]: a table of
        ``session.get_stimulus_table``, or of any other events.

    Returns
    -------
    DataArray, shape (n_presentations, n_units)
        ``spike_counts`` (stimulus_presentation_id, or the name that the index has; unit_id) in
        [start, stop). Units and presentations without a spike are there, as zeros.

    Notes
    -----
    For another window around the onsets, see :func:`spikehouse.spikes.count_events`.

    Listing every spike, grouping and pivoting, as the published tutorial does, loses silent units
    and silent presentations, and with them the alignment to the targets.

    Examples
    --------
    >>> scenes = session.get_stimulus_table("natural_scenes")
    >>> design = compute_design_matrix(session, session.units.index, scenes)
    >>> dict(design.sizes)
    {'stimulus_presentation_id': 22, 'unit_id': 16}
    """
    units = to_ids(unit_ids, "unit_id")
    counts = count_spikes(spikes_or_session, units, read_windows(presentations))[:, 0, :]
    labels = read_onsets(presentations).index
    event = name_events(labels, "stimulus_presentation_id", ["unit_id"])
    return xr.DataArray(
        np.ascontiguousarray(counts),
        dims=[event, "unit_id"],
        coords={event: labels.to_numpy(), "unit_id": units},
        name="spike_counts",
        attrs={"units": "spikes", "window": "[start_time, stop_time)"},
    )
