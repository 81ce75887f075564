"""The files of the simulated survey as the warehouse knows them: ids, types, paths."""

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

# The product the stimulus templates are attached to in the real warehouse.
ECEPHYS_PRODUCT_ID = 714914585
DOWNLOAD_PATH = "/api/v2/well_known_file_download/"
N_SCENES = 118
MOVIE_NUMBERS = (1, 3)

TableName = Literal["sessions", "probes", "channels", "units"]
FileKind = Literal["session", "lfp", "scene", "movie"]
# One decimal digit of a file's id each, so neither number may change.
_KIND_DIGITS: Mapping[FileKind, int] = {"session": 1, "lfp": 2, "scene": 3, "movie": 4}
FILE_TYPE_NAMES: Mapping[int, str] = {1: "EcephysNwb", 2: "EcephysLfpNwb", 3: "Stimulus"}


class ServedSurvey(Protocol):
    """What the warehouse needs of a survey; `spikehouse.demo.Survey` has it."""

    def read_table(self, name: TableName) -> pd.DataFrame:
        """Give one of the four tables.

        Parameters
        ----------
        name
            Which.

        Returns
        -------
        DataFrame
            The columns of that CSV file of a cache folder, ``id`` as index.
        """
        ...

    def list_analysed_units(self, session_id: int) -> list[int]:
        """List the units that `read_analysis_metrics` has.

        Parameters
        ----------
        session_id
            The session.

        Returns
        -------
        list of int
            Unit ids.
        """
        ...

    def read_analysis_metrics(self, session_id: int) -> pd.DataFrame:
        """Give the stimulus metrics of a session's units.

        Parameters
        ----------
        session_id
            The session.

        Returns
        -------
        DataFrame
            Index ``ecephys_unit_id``.
        """
        ...

    def session_file(self, session_id: int) -> Path:
        """Give the file of a session, making it when first asked for.

        Parameters
        ----------
        session_id
            The session.

        Returns
        -------
        Path
            An existing NWB file.
        """
        ...

    def lfp_file(self, probe_id: int) -> Path:
        """Give the LFP file of a probe, making it when first asked for.

        Parameters
        ----------
        probe_id
            The probe.

        Returns
        -------
        Path
            An existing NWB file.
        """
        ...

    def scene_file(self, number: int) -> Path:
        """Give the template of a natural scene.

        Parameters
        ----------
        number
            0 … 117.

        Returns
        -------
        Path
            An existing TIFF file.
        """
        ...

    def movie_file(self, number: int) -> Path:
        """Give the template of a natural movie.

        Parameters
        ----------
        number
            1 or 3.

        Returns
        -------
        Path
            An existing npy file.
        """
        ...


@dataclass(frozen=True)
class WellKnownFile:
    """A file that can be downloaded: what it is, and the session, probe or template it is of."""

    kind: FileKind
    number: int

    @property
    def id(self) -> int:
        """The id in the download link: ten times the number plus a digit for the kind."""
        return 10 * self.number + _KIND_DIGITS[self.kind]

    @property
    def path(self) -> str:
        """Where the file lies on the warehouse's own disks; the name tells templates apart."""
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
        """Give the file on this disk.

        Parameters
        ----------
        survey
            Where it comes from; session and LFP files are simulated when first asked for.

        Returns
        -------
        Path
            An existing file.
        """
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
    """List every file that can be downloaded.

    Parameters
    ----------
    sessions
        The survey's sessions, with columns ``id`` and ``has_nwb``.
    probes
        Its probes, with columns ``id`` and ``use_lfp_data``.

    Returns
    -------
    list of WellKnownFile
        Session files, LFP files, natural scenes, natural movies. A probe without LFP has none.
    """
    with_nwb = sessions.loc[sessions["has_nwb"].astype(bool), "id"]
    with_lfp = probes.loc[probes["use_lfp_data"].astype(bool), "id"]
    return [
        *(WellKnownFile("session", int(number)) for number in with_nwb),
        *(WellKnownFile("lfp", int(number)) for number in with_lfp),
        *(WellKnownFile("scene", number) for number in range(N_SCENES)),
        *(WellKnownFile("movie", number) for number in MOVIE_NUMBERS),
    ]
