"""The files of the simulated survey as in the warehouse: ids, types, paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import pandas as pd

__all__ = [
    "DOWNLOAD_PATH",
    "ECEPHYS_PRODUCT_ID",
    "FILE_TYPE_NAMES",
    "FileKind",
    "ServedSurvey",
    "WellKnownFile",
    "list_files",
]

# Id of the product that the stimulus templates are attached to in the real warehouse.
ECEPHYS_PRODUCT_ID = 714914585
DOWNLOAD_PATH = "/api/v2/well_known_file_download/"
N_SCENES = 118
MOVIE_NUMBERS = (1, 3)

TableName = Literal["sessions", "probes", "channels", "units"]
FileKind = Literal["session", "lfp", "scene", "movie"]
# The last digit of file ids, so these numbers may not change.
_KIND_DIGITS: Mapping[FileKind, int] = {"session": 1, "lfp": 2, "scene": 3, "movie": 4}
FILE_TYPE_NAMES: Mapping[int, str] = {1: "EcephysNwb", 2: "EcephysLfpNwb", 3: "Stimulus"}


class ServedSurvey(Protocol):
    """The methods of a survey that the warehouse needs; `spikehouse.demo.Survey` has them."""

    def read_table(self, name: TableName) -> pd.DataFrame:
        """Return one of the four tables."""
        ...

    def list_analysed_units(self, session_id: int) -> list[int]:
        """List the units in `read_analysis_metrics`."""
        ...

    def read_analysis_metrics(self, session_id: int) -> pd.DataFrame:
        """Return the stimulus metrics of a session's units."""
        ...

    def session_file(self, session_id: int) -> Path:
        """Return the file of a session, which is simulated first if necessary."""
        ...

    def lfp_file(self, probe_id: int) -> Path:
        """Return the LFP file of a probe, which is simulated first if necessary."""
        ...

    def scene_file(self, number: int) -> Path:
        """Return the template of a natural scene."""
        ...

    def movie_file(self, number: int) -> Path:
        """Return the template of a natural movie."""
        ...


@dataclass(frozen=True)
class WellKnownFile:
    """A file that can be downloaded: its type, and the number of its session, probe or template."""

    kind: FileKind
    number: int

    @property
    def id(self) -> int:
        """The id in the download link: ten times the number plus a digit for the kind."""
        return 10 * self.number + _KIND_DIGITS[self.kind]

    @property
    def path(self) -> str:
        """The path in the warehouse, whose name distinguishes the templates."""
        match self.kind:
            case "session":
                return f"/demo/sessions/ecephys_session_{self.number}.nwb"
            case "lfp":
                return f"/demo/probes/probe_{self.number}_lfp.nwb"
            case "scene":
                return f"/demo/natural_scenes/{self.number}.tiff"
            case "movie":
                return f"/demo/natural_movies/natural_movie_{self.number}.npy"

    def make(self, survey: ServedSurvey) -> Path:
        """Return the path of the file on this machine, which is simulated first if necessary."""
        match self.kind:
            case "session":
                return survey.session_file(self.number)
            case "lfp":
                return survey.lfp_file(self.number)
            case "scene":
                return survey.scene_file(self.number)
            case "movie":
                return survey.movie_file(self.number)


def list_files(sessions: pd.DataFrame, probes: pd.DataFrame) -> list[WellKnownFile]:
    """List all files that can be downloaded."""
    with_nwb = sessions.loc[sessions["has_nwb"].astype(bool), "id"]
    with_lfp = probes.loc[probes["use_lfp_data"].astype(bool), "id"]
    return [
        *(WellKnownFile("session", int(number)) for number in with_nwb),
        *(WellKnownFile("lfp", int(number)) for number in with_lfp),
        *(WellKnownFile("scene", number) for number in range(N_SCENES)),
        *(WellKnownFile("movie", number) for number in MOVIE_NUMBERS),
    ]
