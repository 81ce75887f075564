"""AllenSDK's analyses of drifting and static gratings, and of moving dots."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.gratings import (
    compute_dot_motion_metrics,
    compute_drifting_gratings_metrics,
    compute_static_gratings_metrics,
)
from spikehouse.compat.stimulus_analysis.base import StimulusAnalysis, list_metrics, list_values

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CONTRAST = "drifting_gratings_contrast"


class DriftingGratings(StimulusAnalysis):
    """The metrics of drifting gratings, with C50 (contrast at half of the maximal response)."""

    name = "Drifting Gratings"
    _section = "drifting_gratings"
    _keys = ("drifting_gratings", "drifting_gratings_75_repeats")
    # directions [degrees]
    orivals, number_ori = list_values("_col_ori")
    # temporal frequencies [Hz]
    tfvals, number_tf = list_values("_col_tf")
    # contrasts
    contrastvals, number_contrast = list_values("_col_contrast")
    METRICS_COLUMNS = list_metrics(
        "dg",
        "pref_ori pref_ori_multi pref_tf pref_tf_multi c50 f1_f0 mod_idx g_osi g_dsi "
        "firing_rate fano lifetime_sparseness run_pval run_mod",
    )

    def __init__(
        self,
        ecephys_session: Any,  # noqa: ANN401 - see the base
        col_ori: str = "orientation",
        col_tf: str = "temporal_frequency",
        col_contrast: str = "contrast",
        trial_duration: float | None = 2.0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(ecephys_session, trial_duration, **kwargs)
        self._col_ori, self._col_tf, self._col_contrast = col_ori, col_tf, col_contrast
        self._columns = {"orientation": col_ori, "temporal_frequency": col_tf}

    @property
    def null_condition(self) -> pd.Index[int]:
        """Ids of the conditions that are blank sweeps."""
        return self._find_blanks(self._col_tf)

    @cached_property
    def stim_table_contrast(self) -> pd.DataFrame:
        """The presentations that vary the contrast; no rows where it was not varied."""
        table = self.ecephys_session.stimulus_presentations
        return table[table["stimulus_name"] == _CONTRAST]

    @cached_property
    def stimulus_conditions_contrast(self) -> pd.DataFrame:
        """The conditions of ``stim_table_contrast``."""
        conditions = self.ecephys_session.stimulus_conditions
        shown = self.stim_table_contrast["stimulus_condition_id"].unique()
        return conditions[conditions.index.isin(shown)]

    @cached_property
    def conditionwise_statistics_contrast(self) -> pd.DataFrame:
        """Spikes by unit and condition of ``stim_table_contrast``."""
        return self.ecephys_session.conditionwise_spike_statistics(
            self.stim_table_contrast.index.to_numpy(), self.unit_ids
        )

    def _compute_metrics(self) -> pd.DataFrame:
        contrast = None
        if _CONTRAST in self.ecephys_session.stimulus_names:
            columns = {"orientation": self._col_ori, "contrast": self._col_contrast}
            contrast = self._gather([_CONTRAST], columns)
        return compute_drifting_gratings_metrics(
            self._responses, contrast=contrast, definition="published"
        )

    def _find_panel(self, stimulus_condition_id: int) -> tuple[int, int, int] | None:
        shown = self.stimulus_conditions.loc[stimulus_condition_id]
        return _place(self.tfvals == shown[self._col_tf], self.orivals == shown[self._col_ori])

    def make_star_plot(self, unit_id: int) -> Axes:
        """Draw the mean spike count of every direction and temporal frequency as a star plot."""
        return self._draw_gratings(unit_id, angle=self._col_ori, rings=self._col_tf, period=360.0)

    def plot_response_summary(self, unit_id: int, bar_thickness: float = 0.25) -> None:  # noqa: ARG002
        """Draw the mean count against temporal frequency and direction."""
        self._draw_tuning(
            unit_id,
            {self._col_tf: "temporal frequency (Hz)", self._col_ori: "direction (°)"},
        )


class StaticGratings(StimulusAnalysis):
    """The metrics of static gratings."""

    name = "Static Gratings"
    _section = "static_gratings"
    _keys = ("static_gratings",)
    # orientations [degrees]
    orivals, number_ori = list_values("_col_ori")
    # spatial frequencies [cycles/degree]
    sfvals, number_sf = list_values("_col_sf")
    # phases [cycles]
    phasevals, number_phase = list_values("_col_phase")
    METRICS_COLUMNS = list_metrics(
        "sg",
        "pref_sf pref_sf_multi pref_ori pref_ori_multi pref_phase pref_phase_multi g_osi "
        "time_to_peak firing_rate fano lifetime_sparseness run_pval run_mod",
    )

    def __init__(
        self,
        ecephys_session: Any,  # noqa: ANN401 - see the base
        col_ori: str = "orientation",
        col_sf: str = "spatial_frequency",
        col_phase: str = "phase",
        trial_duration: float | None = 0.25,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(ecephys_session, trial_duration, **kwargs)
        self._col_ori, self._col_sf, self._col_phase = col_ori, col_sf, col_phase
        self._columns = {"orientation": col_ori, "spatial_frequency": col_sf, "phase": col_phase}

    @property
    def null_condition(self) -> pd.Index[int]:
        """Ids of the conditions that are blank sweeps."""
        return self._find_blanks(self._col_sf)

    def _compute_metrics(self) -> pd.DataFrame:
        return compute_static_gratings_metrics(self._responses, definition="published")

    def _find_panel(self, stimulus_condition_id: int) -> tuple[int, int, int] | None:
        shown = self.stimulus_conditions.loc[stimulus_condition_id]
        return _place(self.sfvals == shown[self._col_sf], self.orivals == shown[self._col_ori])

    def make_fan_plot(self, unit_id: int) -> Axes:
        """Draw the mean spike count of every orientation and spatial frequency as a fan plot."""
        return self._draw_gratings(unit_id, angle=self._col_ori, rings=self._col_sf, period=180.0)

    def plot_response_summary(self, unit_id: int, bar_thickness: float = 0.25) -> None:  # noqa: ARG002
        """Draw the mean count against spatial frequency and orientation."""
        self._draw_tuning(
            unit_id,
            {self._col_sf: "spatial frequency (cycles/°)", self._col_ori: "orientation (°)"},
        )


class DotMotion(StimulusAnalysis):
    """The metrics of moving dots."""

    name = "Dot Motion"
    _section = "dot_motion"
    _keys = ("motion_stimulus", "dot_motion")
    # directions [degrees]
    directions, number_directions = list_values("_col_dir")
    # speeds, in the unit of the file
    speeds, number_speeds = list_values("_col_speed")
    METRICS_COLUMNS = list_metrics(
        "dm",
        "pref_speed pref_speed_multi pref_dir pref_dir_multi firing_rate fano time_to_peak "
        "lifetime_sparseness run_mod run_pval",
    )

    def __init__(
        self,
        ecephys_session: Any,  # noqa: ANN401 - see the base
        col_dir: str = "Dir",
        col_speeds: str = "Speed",
        trial_duration: float | None = 1.0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(ecephys_session, trial_duration, **kwargs)
        self._col_dir, self._col_speed = col_dir, col_speeds
        self._columns = {"Dir": col_dir, "Speed": col_speeds}

    def _compute_metrics(self) -> pd.DataFrame:
        return compute_dot_motion_metrics(self._responses, definition="published")


def _place(
    is_row: npt.NDArray[np.bool_], is_column: npt.NDArray[np.bool_]
) -> tuple[int, int, int] | None:
    """Return rows, columns and number (from 1) of a panel; None if it is not unique."""
    row, column = np.flatnonzero(is_row), np.flatnonzero(is_column)
    if not len(row) == len(column) == 1:
        return None
    return len(is_row), len(is_column), int(row[0] * len(is_column) + column[0] + 1)
