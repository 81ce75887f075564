"""AllenSDK's classes of stimulus analysis, one for each kind of stimulus."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis.gratings import (
    compute_dot_motion_metrics,
    compute_drifting_gratings_metrics,
    compute_static_gratings_metrics,
)
from spikehouse.analysis.images import (
    compute_flashes_metrics,
    compute_natural_movies_metrics,
    compute_natural_scenes_metrics,
)
from spikehouse.analysis.receptive_fields import (
    compute_receptive_field_maps,
    compute_receptive_field_metrics,
)
from spikehouse.compat.stimulus_analysis.base import StimulusAnalysis, list_metrics, list_values
from spikehouse.errors import NotFoundError, describe_choices

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
            unit_id, {self._col_tf: "temporal frequency (Hz)", self._col_ori: "direction (°)"}
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


class NaturalScenes(StimulusAnalysis):
    """The metrics of natural scenes."""

    name = "Natural Scenes"
    _section = "natural_scenes"
    _keys = ("natural_scenes", "Natural_Images", "Natural Images")
    METRICS_COLUMNS = list_metrics(
        "ns",
        "pref_image pref_images_multi image_selectivity firing_rate fano time_to_peak "
        "lifetime_sparseness run_pval run_mod",
    )

    def __init__(
        self,
        ecephys_session: Any,  # noqa: ANN401 - see the base
        col_image: str = "frame",
        trial_duration: float | None = 0.25,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(ecephys_session, trial_duration, **kwargs)
        self._col_image = col_image
        self._columns = {"frame": col_image}

    @property
    def null_condition(self) -> pd.Index[int]:
        """Ids of the conditions that are blank sweeps."""
        conditions = self.stimulus_conditions
        return conditions.index[conditions[self._col_image] == -1]

    @cached_property
    def images(self) -> npt.NDArray[np.int64]:
        """Numbers of the images, increasing; −1 is the blank sweep."""
        return np.asarray(self._list_values(self._col_image)).astype(np.int64)

    @property
    def images_nonblank(self) -> npt.NDArray[np.int64]:
        """Numbers of the images without the blank sweep."""
        return self.images[self.images >= 0]

    @property
    def frames(self) -> npt.NDArray[np.int64]:
        """The same as ``images``."""
        return self.images

    @property
    def number_images(self) -> int:
        """Number of images, with the blank sweep."""
        return len(self.images)

    @property
    def number_nonblank(self) -> int:
        """Number of images without the blank sweep."""
        return len(self.images_nonblank)

    def _compute_metrics(self) -> pd.DataFrame:
        return compute_natural_scenes_metrics(self._responses, definition="published")


class NaturalMovies(StimulusAnalysis):
    """The metrics of one natural movie, by default the first that was shown."""

    name = "Natural Movies"
    _section = "natural_movies"
    _keys = (
        "natural_movies",
        "natural_movie_1",
        "natural_movie_3",
        "natural_movie_one",
        "natural_movie_three",
        "natural_movie_one_more_repeats",
        "natural_movie_one_shuffled",
    )
    METRICS_COLUMNS = list_metrics("nm", "fano firing_rate lifetime_sparseness run_pval run_mod")

    def __init__(
        self,
        ecephys_session: Any,  # noqa: ANN401 - see the base
        trial_duration: float | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(
            ecephys_session, 1 / 30 if trial_duration is None else trial_duration, **kwargs
        )

    def _compute_metrics(self) -> pd.DataFrame:
        return compute_natural_movies_metrics(self._responses, definition="published")


class Flashes(StimulusAnalysis):
    """The metrics of full-field flashes."""

    name = "Flashes"
    _section = "flashes"
    _keys, _are_prefixes = ("flash", "flashes"), True
    # colors: −1 is dark, 1 bright
    colors, number_colors = list_values("_col_color")
    METRICS_COLUMNS = list_metrics(
        "fl",
        "on_off_ratio sustained_idx firing_rate time_to_peak fano lifetime_sparseness "
        "run_pval run_mod",
    )

    def __init__(
        self,
        ecephys_session: Any,  # noqa: ANN401 - see the base
        col_color: str = "color",
        trial_duration: float | None = 0.25,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(ecephys_session, trial_duration, **kwargs)
        self._col_color = col_color
        self._columns = {"color": col_color}

    def _compute_metrics(self) -> pd.DataFrame:
        return compute_flashes_metrics(
            self._responses, definition="published", bin_width=self._psth_resolution
        )

    def _find_panel(self, stimulus_condition_id: int) -> tuple[int, int, int] | None:
        shown = self.stimulus_conditions.loc[stimulus_condition_id]
        row = np.flatnonzero(self.colors == shown[self._col_color])
        return (self.number_colors, 1, int(row[0]) + 1) if len(row) == 1 else None

    def plot_response(self, unit_id: int) -> None:
        """Raise NotImplementedError, with what to use instead."""
        raise NotImplementedError(
            "plot_response is not offered: draw conditionwise_psth.sel(unit_id="
            f"{unit_id}) with its own .plot.line(x='time_relative_to_stimulus_onset'), or the "
            "spikes with plot_conditionwise_raster"
        )


class ReceptiveFieldMapping(StimulusAnalysis):
    """The receptive fields of units, and their metrics."""

    # p_value_rf is computed as in AllenSDK, from 1000 resamplings with replacement. AllenSDK uses
    # numpy's global generator: numpy.random.seed(n) there and seed=n here give the same p-values.
    # session.analyze("gabors") has a permutation test instead.

    name = "Receptive Field Mapping"
    _section = "receptive_field_mapping"
    _keys, _are_prefixes = ("receptive_field_mapping", "gabor", "gabors"), True
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
