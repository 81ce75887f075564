"""AllenSDK's analysis of moving dots."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.dots import compute_dot_motion_metrics
from spikehouse.compat.stimulus_analysis.base import StimulusAnalysis

__all__ = ["DotMotion"]


class DotMotion(StimulusAnalysis):
    """The metrics of moving dots."""

    _section: ClassVar[str] = "dot_motion"

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

    @property
    def name(self) -> str:
        """AllenSDK's name of the stimulus."""
        return "Dot Motion"

    @classmethod
    def known_stimulus_keys(cls) -> list[str]:
        """List the names of the stimulus, in any capitals."""
        return ["motion_stimulus", "dot_motion"]

    @cached_property
    def directions(self) -> npt.NDArray[Any]:
        """Directions [degrees], increasing."""
        return np.asarray(self._list_values(self._col_dir))

    @property
    def number_directions(self) -> int:
        """Number of directions."""
        return len(self.directions)

    @cached_property
    def speeds(self) -> npt.NDArray[Any]:
        """Speeds, increasing, in the unit of the file."""
        return np.asarray(self._list_values(self._col_speed))

    @property
    def number_speeds(self) -> int:
        """Number of speeds."""
        return len(self.speeds)

    @property
    def METRICS_COLUMNS(self) -> list[tuple[str, type]]:
        """Names and types of the metrics."""
        return [
            ("pref_speed_dm", np.float64),
            ("pref_speed_multi_dm", bool),
            ("pref_dir_dm", np.float64),
            ("pref_dir_multi_dm", bool),
            ("firing_rate_dm", np.float64),
            ("fano_dm", np.float64),
            ("time_to_peak_dm", np.float64),
            ("lifetime_sparseness_dm", np.float64),
            ("run_mod_dm", np.float64),
            ("run_pval_dm", np.float64),
        ]

    def _compute_metrics(self) -> pd.DataFrame:
        return compute_dot_motion_metrics(self._responses, definition="published")
