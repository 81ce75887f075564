"""The design matrix of a decoder: presentations × units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from spikehouse.labelled import Ids, to_ids
from spikehouse.spikes.counting import count_spikes, read_windows
from spikehouse.spikes.trains import Spikes


def compute_design_matrix(
    spikes_or_session: Spikes,
    unit_ids: Ids,
    presentations: pd.DataFrame,
) -> xr.DataArray:
    """Count every unit's spikes in every presentation.

    Parameters
    ----------
    spikes_or_session
        Unit id → sorted times [s], or a session.
    unit_ids
        Ids of the units, in the order of the columns.
    presentations
        Index stimulus_presentation_id; start_time, stop_time [s]: a table of
        ``session.get_stimulus_table``.

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
    units = to_ids(unit_ids, "unit_id")
    counts = count_spikes(spikes_or_session, units, read_windows(presentations))[:, 0, :]
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
