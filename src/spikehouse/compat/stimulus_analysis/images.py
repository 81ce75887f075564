"""AllenSDK's analyses of natural scenes, natural movies and flashes."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.images import (
    compute_flashes_metrics,
    compute_natural_movies_metrics,
    compute_natural_scenes_metrics,
)
from spikehouse.compat.stimulus_analysis.base import StimulusAnalysis, list_metrics, list_values


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
    _keys = ("flash", "flashes")
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

    def _is_known(self, shown: str) -> bool:
        return shown.startswith(tuple(self.known_stimulus_keys()))

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
