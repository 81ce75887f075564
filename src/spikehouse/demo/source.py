"""The simulated survey as a source: files are simulated when first asked for, no server needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from spikehouse.demo.survey import Survey
from spikehouse.remote.progress import count_steps
from spikehouse.remote.protocol import LocalFile

__all__ = ["Demo"]


class Demo:
    """The simulated survey.

    Parameters
    ----------
    survey
        What is simulated, and where its files are kept.
    """

    name = "demo"

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def get_sessions(self) -> pd.DataFrame:
        """Return the table of sessions."""
        return self.survey.read_table("sessions")

    def get_probes(self) -> pd.DataFrame:
        """Return the table of probes."""
        return self.survey.read_table("probes")

    def get_channels(self) -> pd.DataFrame:
        """Return the table of channels."""
        return self.survey.read_table("channels")

    def get_units(self) -> pd.DataFrame:
        """Return the table of units, unfiltered."""
        return self.survey.read_table("units")

    def get_session_data(self, session_id: int) -> LocalFile:
        """Simulate the file of a session unless it is there."""
        return _provide(f"session {session_id}", self.survey.session_file, session_id)

    def get_probe_lfp_data(self, probe_id: int) -> LocalFile:
        """Simulate the LFP file of a probe unless it is there."""
        return _provide(f"LFP of probe {probe_id}", self.survey.lfp_file, probe_id)

    def get_natural_scene_template(self, number: int) -> LocalFile:
        """Draw an image unless it is there."""
        return _local(f"natural scene {number}", self.survey.scene_file(number))

    def get_natural_movie_template(self, number: int) -> LocalFile:
        """Draw a movie unless it is there."""
        return _local(f"natural movie {number}", self.survey.movie_file(number))

    def get_unit_analysis_metrics(
        self,
        unit_ids: Iterable[int] | None = None,
        ecephys_session_ids: Iterable[int] | None = None,
        session_types: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Return the analysis metrics of some units."""
        types = self.get_sessions()["session_type"]
        if ecephys_session_ids is not None:
            types = types[types.index.isin(list(ecephys_session_ids))]
        if session_types is not None:
            types = types[types.isin(list(session_types))]
        table = pd.concat([self.survey.read_analysis_metrics(int(name)) for name in types.index])
        table = table if unit_ids is None else table[table.index.isin(list(unit_ids))]
        return table.dropna(axis="columns", how="all")


def _provide(name: str, make: Callable[..., Path], number: int) -> LocalFile:
    with count_steps(f"simulating {name}") as progress:
        return _local(name, make(number, progress=progress))


def _local(name: str, path: Path) -> LocalFile:
    return LocalFile(path, name, source=Demo.name, is_immutable=True)
