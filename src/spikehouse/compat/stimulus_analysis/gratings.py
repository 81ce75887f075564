"""AllenSDK's analyses of drifting and static gratings."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.gratings import (
    compute_drifting_gratings_metrics,
    compute_static_gratings_metrics,
)
from spikehouse.compat.stimulus_analysis.base import StimulusAnalysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DriftingGratings", "StaticGratings"]

_CONTRAST = "drifting_gratings_contrast"


class DriftingGratings(StimulusAnalysis):
    """The metrics of drifting gratings, with C50 (contrast at half of the maximal response)."""

    _section: ClassVar[str] = "drifting_gratings"

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
    def name(self) -> str:
        """AllenSDK's name of the stimulus."""
        return "Drifting Gratings"

    @classmethod
    def known_stimulus_keys(cls) -> list[str]:
        """List the names of the stimulus, in any capitals."""
        return ["drifting_gratings", "drifting_gratings_75_repeats"]

    @property
    def null_condition(self) -> pd.Index[int]:
        """Ids of the conditions that are blank sweeps."""
        return self._find_blanks(self._col_tf)

    @cached_property
    def orivals(self) -> npt.NDArray[Any]:
        """Directions [degrees], increasing."""
        return np.asarray(self._list_values(self._col_ori))

    @property
    def number_ori(self) -> int:
        """Number of directions."""
        return len(self.orivals)

    @cached_property
    def tfvals(self) -> npt.NDArray[Any]:
        """Temporal frequencies [Hz], increasing."""
        return np.asarray(self._list_values(self._col_tf))

    @property
    def number_tf(self) -> int:
        """Number of temporal frequencies."""
        return len(self.tfvals)

    @cached_property
    def contrastvals(self) -> npt.NDArray[Any]:
        """Contrasts, increasing."""
        return np.asarray(self._list_values(self._col_contrast))

    @property
    def number_contrast(self) -> int:
        """Number of contrasts."""
        return len(self.contrastvals)

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

    @property
    def METRICS_COLUMNS(self) -> list[tuple[str, type]]:
        """Names and types of the metrics."""
        return [
            ("pref_ori_dg", np.float64),
            ("pref_ori_multi_dg", bool),
            ("pref_tf_dg", np.float64),
            ("pref_tf_multi_dg", bool),
            ("c50_dg", np.float64),
            ("f1_f0_dg", np.float64),
            ("mod_idx_dg", np.float64),
            ("g_osi_dg", np.float64),
            ("g_dsi_dg", np.float64),
            ("firing_rate_dg", np.float64),
            ("fano_dg", np.float64),
            ("lifetime_sparseness_dg", np.float64),
            ("run_pval_dg", np.float64),
            ("run_mod_dg", np.float64),
        ]

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
        from spikehouse.compat.stimulus_analysis.figures import draw_gratings

        return draw_gratings(self, unit_id, angle=self._col_ori, rings=self._col_tf, period=360.0)

    def plot_response_summary(self, unit_id: int, bar_thickness: float = 0.25) -> None:  # noqa: ARG002
        """Draw the mean count against temporal frequency and direction."""
        from spikehouse.compat.stimulus_analysis.figures import draw_tuning

        draw_tuning(
            self,
            unit_id,
            {self._col_tf: "temporal frequency (Hz)", self._col_ori: "direction (°)"},
        )


class StaticGratings(StimulusAnalysis):
    """The metrics of static gratings."""

    _section: ClassVar[str] = "static_gratings"

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
    def name(self) -> str:
        """AllenSDK's name of the stimulus."""
        return "Static Gratings"

    @classmethod
    def known_stimulus_keys(cls) -> list[str]:
        """List the names of the stimulus, in any capitals."""
        return ["static_gratings"]

    @property
    def null_condition(self) -> pd.Index[int]:
        """Ids of the conditions that are blank sweeps."""
        return self._find_blanks(self._col_sf)

    @cached_property
    def orivals(self) -> npt.NDArray[Any]:
        """Orientations [degrees], increasing."""
        return np.asarray(self._list_values(self._col_ori))

    @property
    def number_ori(self) -> int:
        """Number of orientations."""
        return len(self.orivals)

    @cached_property
    def sfvals(self) -> npt.NDArray[Any]:
        """Spatial frequencies [cycles/degree], increasing."""
        return np.asarray(self._list_values(self._col_sf))

    @property
    def number_sf(self) -> int:
        """Number of spatial frequencies."""
        return len(self.sfvals)

    @cached_property
    def phasevals(self) -> npt.NDArray[Any]:
        """Phases [cycles], increasing."""
        return np.asarray(self._list_values(self._col_phase))

    @property
    def number_phase(self) -> int:
        """Number of phases."""
        return len(self.phasevals)

    @property
    def METRICS_COLUMNS(self) -> list[tuple[str, type]]:
        """Names and types of the metrics."""
        return [
            ("pref_sf_sg", np.float64),
            ("pref_sf_multi_sg", bool),
            ("pref_ori_sg", np.float64),
            ("pref_ori_multi_sg", bool),
            ("pref_phase_sg", np.float64),
            ("pref_phase_multi_sg", bool),
            ("g_osi_sg", np.float64),
            ("time_to_peak_sg", np.float64),
            ("firing_rate_sg", np.float64),
            ("fano_sg", np.float64),
            ("lifetime_sparseness_sg", np.float64),
            ("run_pval_sg", np.float64),
            ("run_mod_sg", np.float64),
        ]

    def _compute_metrics(self) -> pd.DataFrame:
        return compute_static_gratings_metrics(self._responses, definition="published")

    def _find_panel(self, stimulus_condition_id: int) -> tuple[int, int, int] | None:
        shown = self.stimulus_conditions.loc[stimulus_condition_id]
        return _place(self.sfvals == shown[self._col_sf], self.orivals == shown[self._col_ori])

    def make_fan_plot(self, unit_id: int) -> Axes:
        """Draw the mean spike count of every orientation and spatial frequency as a fan plot."""
        from spikehouse.compat.stimulus_analysis.figures import draw_gratings

        return draw_gratings(self, unit_id, angle=self._col_ori, rings=self._col_sf, period=180.0)

    def plot_response_summary(self, unit_id: int, bar_thickness: float = 0.25) -> None:  # noqa: ARG002
        """Draw the mean count against spatial frequency and orientation."""
        from spikehouse.compat.stimulus_analysis.figures import draw_tuning

        draw_tuning(
            self,
            unit_id,
            {self._col_sf: "spatial frequency (cycles/°)", self._col_ori: "orientation (°)"},
        )


def _place(
    is_row: npt.NDArray[np.bool_], is_column: npt.NDArray[np.bool_]
) -> tuple[int, int, int] | None:
    """Return rows, columns and number (from 1) of a panel; None if it is not unique."""
    row, column = np.flatnonzero(is_row), np.flatnonzero(is_column)
    if not len(row) == len(column) == 1:
        return None
    return len(is_row), len(is_column), int(row[0] * len(is_column) + column[0] + 1)
