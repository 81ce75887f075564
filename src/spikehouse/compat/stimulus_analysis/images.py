"""AllenSDK's analyses of natural scenes, natural movies and flashes."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.flashes import compute_flashes_metrics
from spikehouse.analysis.movies import compute_natural_movies_metrics
from spikehouse.analysis.scenes import compute_natural_scenes_metrics
from spikehouse.compat.stimulus_analysis.base import StimulusAnalysis

__all__ = ["Flashes", "NaturalMovies", "NaturalScenes"]


class NaturalScenes(StimulusAnalysis):
    """The metrics of natural scenes."""

    _section: ClassVar[str] = "natural_scenes"

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
    def name(self) -> str:
        """AllenSDK's name of the stimulus."""
        return "Natural Scenes"

    @classmethod
    def known_stimulus_keys(cls) -> list[str]:
        """List the names of the stimulus, in any capitals."""
        return ["natural_scenes", "Natural_Images", "Natural Images"]

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

    @property
    def METRICS_COLUMNS(self) -> list[tuple[str, type]]:
        """Names and types of the metrics."""
        return [
            ("pref_image_ns", np.int64),
            ("pref_images_multi_ns", bool),
            ("image_selectivity_ns", np.float64),
            ("firing_rate_ns", np.float64),
            ("fano_ns", np.float64),
            ("time_to_peak_ns", np.float64),
            ("lifetime_sparseness_ns", np.float64),
            ("run_pval_ns", np.float64),
            ("run_mod_ns", np.float64),
        ]

    def _compute_metrics(self) -> pd.DataFrame:
        return compute_natural_scenes_metrics(self._responses, definition="published")


class NaturalMovies(StimulusAnalysis):
    """The metrics of one natural movie, by default the first that was shown."""

    _section: ClassVar[str] = "natural_movies"

    def __init__(
        self,
        ecephys_session: Any,  # noqa: ANN401 - see the base
        trial_duration: float | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(
            ecephys_session, 1 / 30 if trial_duration is None else trial_duration, **kwargs
        )

    @property
    def name(self) -> str:
        """AllenSDK's name of the stimulus."""
        return "Natural Movies"

    @classmethod
    def known_stimulus_keys(cls) -> list[str]:
        """List the names of the stimulus, in any capitals."""
        return [
            "natural_movies",
            "natural_movie_1",
            "natural_movie_3",
            "natural_movie_one",
            "natural_movie_three",
            "natural_movie_one_more_repeats",
            "natural_movie_one_shuffled",
        ]

    @property
    def METRICS_COLUMNS(self) -> list[tuple[str, type]]:
        """Names and types of the metrics."""
        names = ("fano", "firing_rate", "lifetime_sparseness", "run_pval", "run_mod")
        return [(f"{name}_nm", np.float64) for name in names]

    def _compute_metrics(self) -> pd.DataFrame:
        return compute_natural_movies_metrics(self._responses, definition="published")


class Flashes(StimulusAnalysis):
    """The metrics of full-field flashes."""

    _section: ClassVar[str] = "flashes"

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

    @property
    def name(self) -> str:
        """AllenSDK's name of the stimulus."""
        return "Flashes"

    @classmethod
    def known_stimulus_keys(cls) -> list[str]:
        """List the prefixes of the stimulus' names, in any capitals."""
        return ["flash", "flashes"]

    def _is_known(self, shown: str) -> bool:
        return shown.startswith(tuple(self.known_stimulus_keys()))

    @cached_property
    def colors(self) -> npt.NDArray[Any]:
        """Colors, increasing: −1 is dark, 1 bright."""
        return np.asarray(self._list_values(self._col_color))

    @property
    def number_colors(self) -> int:
        """Number of colors."""
        return len(self.colors)

    @property
    def METRICS_COLUMNS(self) -> list[tuple[str, type]]:
        """Names and types of the metrics."""
        return [
            ("on_off_ratio_fl", np.float64),
            ("sustained_idx_fl", np.float64),
            ("firing_rate_fl", np.float64),
            ("time_to_peak_fl", np.float64),
            ("fano_fl", np.float64),
            ("lifetime_sparseness_fl", np.float64),
            ("run_pval_fl", np.float64),
            ("run_mod_fl", np.float64),
        ]

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
