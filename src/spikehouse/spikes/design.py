"""The design matrix of a decoder: presentations × units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, to_ids
from spikehouse.spikes.counting import check_windows, count_spikes


class HasSpikeTimes(Protocol):
    """An object with spike times by unit id, such as a session."""

    @property
    def spike_times(self) -> Mapping[int, npt.NDArray[np.float64]]:
        """Unit id → sorted times [s]."""
        ...


def design_matrix(
    session_or_spike_times: HasSpikeTimes | Mapping[int, npt.NDArray[np.float64]],
    presentations: pd.DataFrame,
    unit_ids: Ids,
) -> xr.DataArray:
    """Count every unit's spikes in every presentation.

    Parameters
    ----------
    session_or_spike_times
        A session, or unit id → sorted times [s].
    presentations
        Index stimulus_presentation_id; start_time, stop_time [s]: what ``get_stimulus_table``
        gives.
    unit_ids
        Ids of the units, in the order of the columns.

    Returns
    -------
    DataArray, shape (n_presentations, n_units)
        ``spike_counts`` (stimulus_presentation_id, unit_id) in [start, stop). Units and
        presentations without a spike are there, as zeros.

    Raises
    ------
    InvalidArgumentError
        If the table has no start_time and stop_time, or they are no window: not finite, or a stop
        before the start.
    NotFoundError
        If there is no such unit.

    Notes
    -----
    Listing every spike, grouping and pivoting, as the published tutorial does, loses silent units
    and silent presentations, and with them the alignment to the targets.
    """
    missing = {"start_time", "stop_time"} - set(presentations.columns)
    if missing:
        raise InvalidArgumentError(
            f"presentations has no column {', '.join(sorted(missing))}; give the table that "
            "session.get_stimulus_table(...) returns"
        )
    if isinstance(session_or_spike_times, Mapping):
        spike_times = session_or_spike_times
    else:
        spike_times = session_or_spike_times.spike_times
    units = to_ids(unit_ids, "unit_id")
    windows = check_windows(presentations[["start_time", "stop_time"]])
    counts = count_spikes(spike_times, units, windows)[:, 0, :]
    return xr.DataArray(
        np.ascontiguousarray(counts),
        dims=["stimulus_presentation_id", "unit_id"],
        coords={
            "stimulus_presentation_id": presentations.index.to_numpy(),
            "unit_id": units,
        },
        name="spike_counts",
        attrs={"units": "spikes", "window": "[start_time, stop_time)"},
    )
