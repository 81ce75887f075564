"""Sources that have the methods of AllenSDK's, such as a lab's own."""

# Here and not in `compat`, because the cache adapts what a user passes as `fetch_api`.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spikehouse.errors import NotFoundError
from spikehouse.survey.file_kinds import PlannedFile
from spikehouse.survey.source import Source, write_csv
from spikehouse.transfer.remote_file import Content

__all__ = ["ShapedSource", "as_source"]

# kind of file → method, and the position of the id that it takes
_FILES = {
    "session": ("get_session_data", 0),
    "lfp": ("get_probe_lfp_data", 1),
    "scene": ("get_natural_scene_template", 0),
    "movie": ("get_natural_movie_template", 0),
}
_TABLES: dict[str, Callable[[Any, Any], pd.DataFrame]] = {
    "sessions": lambda api, _: api.get_sessions(),
    "probes": lambda api, _: api.get_probes(),
    "channels": lambda api, _: api.get_channels(),
    "units": lambda api, _: api.get_units(),
    "session_metrics": lambda api, ids: api.get_unit_analysis_metrics(
        ecephys_session_ids=list(ids)
    ),
    "type_metrics": lambda api, ids: api.get_unit_analysis_metrics(session_types=list(ids)),
}


@dataclass(frozen=True)
class ShapedSource:
    """A source over an object with AllenSDK's methods."""

    api: Any

    @property
    def name(self) -> str:
        """The object's name, or that of its class."""
        return str(getattr(self.api, "name", type(self.api).__name__))

    def locate(self, file: PlannedFile) -> Content:
        """Ask the object for a file."""
        if file.kind.name in _TABLES:
            return write_csv(self, file)
        if file.kind.name not in _FILES:
            raise NotFoundError(f"{self.name} has no files of the kind {file.kind.name}")
        method, position = _FILES[file.kind.name]
        content: Content = getattr(self.api, method)(file.ids[position])
        return content

    def read_table(self, file: PlannedFile) -> pd.DataFrame:
        """Ask the object for a table."""
        return _TABLES[file.kind.name](self.api, file.ids)


def as_source(source: Any) -> Source:  # noqa: ANN401 - also an object with AllenSDK's methods
    """Return the source itself, or one over an object with AllenSDK's methods."""
    return source if hasattr(source, "locate") else ShapedSource(source)
