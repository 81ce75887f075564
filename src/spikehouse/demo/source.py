"""The simulated survey as a source in this process; files are simulated when first needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from spikehouse.demo.survey import Survey
from spikehouse.errors import NotFoundError
from spikehouse.survey.file_kinds import PlannedFile
from spikehouse.survey.source import write_csv
from spikehouse.transfer.progress import count_steps
from spikehouse.transfer.remote_file import Content, LocalFile


class Demo:
    """The simulated survey as a source of files and tables."""

    name = "demo"

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    @property
    def command_options(self) -> dict[str, str] | None:
        """The options of the command for this survey; None for another seed or folder."""
        usual = Survey(size=self.survey.size)
        return {"size": self.survey.size} if usual.folder == self.survey.folder else None

    def locate(self, file: PlannedFile) -> Content:
        """Return a file, which may still have to be simulated."""
        if file.kind.table is not None:
            return write_csv(self, file)
        survey, number = self.survey, int(file.ids[-1])
        # how the survey names its files, and what makes them
        provide: Callable[[], object]
        match file.kind.name:
            case "session":
                provide = partial(_simulate, survey.session_file, number)
                name = f"session_{number}.nwb"
            case "lfp":
                name, provide = (
                    f"probe_{number}_lfp.nwb",
                    partial(_simulate, survey.lfp_file, number),
                )
            case "scene":
                name, provide = f"natural_scene_{number}.tiff", partial(survey.scene_file, number)
            case "movie":
                name, provide = f"natural_movie_{number}.npy", partial(survey.movie_file, number)
            case _:
                raise NotFoundError(f"the simulated survey has no {file.name}")
        path = survey.folder / name
        return LocalFile(path, name, source=self.name, provide=provide, is_immutable=True)

    def read_table(self, file: PlannedFile) -> pd.DataFrame:
        """Return a table; of metrics those columns that hold any."""
        if file.kind.name in ("sessions", "probes", "channels", "units"):
            return self.survey.read_table(file.kind.name)  # type: ignore[arg-type]  # these four
        sessions = self.survey.read_table("sessions")
        key = sessions.index if file.kind.name == "session_metrics" else sessions["session_type"]
        session_ids = sessions.index[key == file.ids[0]]
        table = pd.concat([self.survey.read_analysis_metrics(int(name)) for name in session_ids])
        return table.dropna(axis="columns", how="all")


def _simulate(make: Callable[..., Path], number: int) -> None:
    with count_steps(f"simulating {number}") as progress:
        make(number, progress=progress)
