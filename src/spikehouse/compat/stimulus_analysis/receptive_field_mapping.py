"""AllenSDK's analysis of receptive fields."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis.receptive_fields import (
    compute_receptive_field_maps,
    compute_receptive_field_metrics,
)
from spikehouse.compat.stimulus_analysis.base import StimulusAnalysis, list_metrics, list_values
from spikehouse.errors import NotFoundError, describe_choices

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ReceptiveFieldMapping(StimulusAnalysis):
    """The receptive fields of units, and their metrics."""

    # p_value_rf is computed as in AllenSDK, from 1000 resamplings with replacement. AllenSDK uses
    # numpy's global generator: numpy.random.seed(n) there and seed=n here give the same p-values.
    # session.analyze("gabors") has a permutation test instead.

    name = "Receptive Field Mapping"
    _section = "receptive_field_mapping"
    _keys = ("receptive_field_mapping", "gabor", "gabors")
    # positions along y [degrees from the centre of the screen]
    elevations, number_elevations = list_values("_col_pos_y")
    # positions along x [degrees from the centre of the screen]
    azimuths, number_azimuths = list_values("_col_pos_x")
    METRICS_COLUMNS = list_metrics(
        "rf",
        "azimuth elevation width height area p_value on_screen firing_rate fano time_to_peak "
        "lifetime_sparseness run_mod run_pval",
    )

    def __init__(
        self,
        ecephys_session: Any,  # noqa: ANN401 - see the base
        col_pos_x: str = "x_position",
        col_pos_y: str = "y_position",
        trial_duration: float | None = 0.25,
        minimum_spike_count: float = 10.0,
        mask_threshold: float = 0.5,
        *,
        seed: int = 0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(ecephys_session, trial_duration, **kwargs)
        self._col_pos_x, self._col_pos_y = col_pos_x, col_pos_y
        self._columns = {"x_position": col_pos_x, "y_position": col_pos_y}
        self._minimum_spike_count = minimum_spike_count
        self._mask_threshold = mask_threshold
        self._seed = seed

    def _is_known(self, shown: str) -> bool:
        return shown.startswith(tuple(self.known_stimulus_keys()))

    @cached_property
    def receptive_fields(self) -> xr.Dataset:
        """Sums of spikes, ``spike_counts`` (y position, x position, unit_id)."""
        # row 0 is the top of the screen; integers, unless a position was never shown (NaN)
        means = compute_receptive_field_maps(self._responses)
        x, y = (
            self._responses.presentations[name].to_numpy(dtype=np.float64)
            for name in ("x_position", "y_position")
        )
        is_row = y == means["y_position"].to_numpy()[:, None]
        is_column = x == means["x_position"].to_numpy()[:, None]
        n_shown = is_row.astype(np.int64) @ is_column.astype(np.int64).T
        values = means.transpose("unit_id", "y_position", "x_position").to_numpy()
        sums = np.rint(values * n_shown)
        if (n_shown > 0).all():
            sums = sums.astype(np.int64)
        dims = (self._col_pos_y, self._col_pos_x, "unit_id")
        coords = {
            dims[0]: means["y_position"].to_numpy(),
            dims[1]: means["x_position"].to_numpy(),
            "unit_id": means["unit_id"].to_numpy(),
        }
        fields = xr.Dataset({"spike_counts": (dims, sums.transpose(1, 2, 0))}, coords)
        return fields.sortby("unit_id")

    def get_receptive_field(self, unit_id: int) -> npt.NDArray[Any]:
        """Return the map of a unit (elevations, azimuths), row 0 at the top of the screen."""
        if unit_id not in self.unit_ids:
            raise NotFoundError(
                f"there is no unit {unit_id!r} here: "
                f"{describe_choices(unit_id, self.unit_ids.tolist())}"
            )
        return np.asarray(self.receptive_fields["spike_counts"].sel(unit_id=unit_id))

    def _compute_metrics(self) -> pd.DataFrame:
        return compute_receptive_field_metrics(
            self._responses,
            definition="published",
            seed=self._seed,
            minimum_spike_count=self._minimum_spike_count,
            mask_threshold=self._mask_threshold,
        )

    def plot_rf(self, unit_id: int) -> Axes:
        """Draw the map of a unit on pyplot's current axes."""
        import matplotlib.pyplot as plt

        from spikehouse.plots import plot_receptive_field

        names = {self._col_pos_y: "elevation", self._col_pos_x: "azimuth"}
        field = self.receptive_fields["spike_counts"].sel(unit_id=unit_id).rename(names)
        return plot_receptive_field(
            field.sortby("elevation"), ax=plt.gca(), response_label="spikes",
            title=f"unit {unit_id}",
        )  # fmt: skip

    def _find_panel(self, stimulus_condition_id: int) -> tuple[int, int, int] | None:
        shown = self.stimulus_conditions.loc[stimulus_condition_id]
        below = np.flatnonzero(self.elevations == shown[self._col_pos_y])
        column = np.flatnonzero(self.azimuths == shown[self._col_pos_x])
        if not len(below) == len(column) == 1:
            return None
        row = self.number_elevations - 1 - below[0]
        n_columns = self.number_azimuths
        return self.number_elevations, n_columns, int(row * n_columns + column[0] + 1)
