"""The simulated survey as a source in this process; files are simulated when first needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pandas as pd

from spikehouse.demo.survey import Survey
from spikehouse.transfer.progress import count_steps
from spikehouse.transfer.remote_file import LocalFile

__all__ = ["Demo"]


class Demo:
    """The simulated survey as a source of files and tables."""

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
        """Return the file of a session, which may still have to be simulated."""
        return self._file(
            f"session_{session_id}.nwb", partial(_simulate, self.survey.session_file, session_id)
        )

    def get_probe_lfp_data(self, probe_id: int) -> LocalFile:
        """Return the LFP file of a probe, which may still have to be simulated."""
        return self._file(
            f"probe_{probe_id}_lfp.nwb", partial(_simulate, self.survey.lfp_file, probe_id)
        )

    def get_natural_scene_template(self, number: int) -> LocalFile:
        """Return the file of a natural scene, which may still have to be drawn."""
        return self._file(f"natural_scene_{number}.tiff", partial(self.survey.scene_file, number))

    def get_natural_movie_template(self, number: int) -> LocalFile:
        """Return the file of a natural movie, which may still have to be drawn."""
        return self._file(f"natural_movie_{number}.npy", partial(self.survey.movie_file, number))

    def get_unit_analysis_metrics(
        self,
        unit_ids: Iterable[int] | None = None,
        ecephys_session_ids: Iterable[int] | None = None,
        session_types: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Return the analysis metrics of units."""
        types = self.get_sessions()["session_type"]
        if ecephys_session_ids is not None:
            types = types[types.index.isin(list(ecephys_session_ids))]
        if session_types is not None:
            types = types[types.isin(list(session_types))]
        table = pd.concat([self.survey.read_analysis_metrics(int(name)) for name in types.index])
        table = table if unit_ids is None else table[table.index.isin(list(unit_ids))]
        return table.dropna(axis="columns", how="all")

    def _file(self, name: str, provide: Callable[[], object]) -> LocalFile:
        path = self.survey.folder / name
        return LocalFile(path, name, source=self.name, provide=provide, is_immutable=True)


def _simulate(make: Callable[..., Path], number: int) -> None:
    with count_steps(f"simulating {number}") as progress:
        make(number, progress=progress)
