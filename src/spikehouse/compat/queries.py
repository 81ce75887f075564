"""Ask the sources of the survey with AllenSDK's methods, and the warehouse in its own language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import pandas as pd

from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices
from spikehouse.survey import VISUAL_CODING, Source, Warehouse
from spikehouse.transfer.remote_file import Content

Answer = TypeVar("Answer")

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_PREFIX = "criteria="


class RmaEngine:
    """Send queries in the warehouse's query language (RMA)."""

    def __init__(self, scheme: str, host: str, *, page_size: int = 5000) -> None:
        self.scheme = scheme
        self.host = host
        self._warehouse = Warehouse(host, scheme, page_rows=page_size)

    def get_rma_list(self, query: str) -> list[dict[str, Any]]:
        """Return all rows of the answer to a query as dictionaries."""
        return [dict(row) for row in self._warehouse.query(query.removeprefix(_PREFIX))]

    def get_rma_tabular(self, query: str, try_infer_dtypes: bool = True) -> pd.DataFrame:
        """Return all rows of the answer to a query as a table."""
        table = pd.DataFrame(self.get_rma_list(query))
        return table.apply(_as_numbers) if try_infer_dtypes and not table.empty else table


def build_and_execute(
    query: str, base: None = None, engine: Callable[[str], Answer] | None = None, **values: object
) -> Answer:
    """Fill in the ``{{name}}`` placeholders of a query and send it."""
    if base is not None or engine is None:
        raise InvalidArgumentError(
            "build_and_execute needs an engine and takes no base: "
            "build_and_execute(query, engine=rma_engine.get_rma_tabular, session_id=...)"
        )
    if "{%" in query or "{#" in query:
        raise InvalidArgumentError(
            "the query holds a template command ({% … %}); only placeholders such as "
            "{{session_id}} are supported: write the query out"
        )

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            raise InvalidArgumentError(
                f"the query has the placeholder {{{{{name}}}}}, for which no value was passed: "
                f"{describe_choices(name, values)}"
            )
        return str(values[name])

    return engine(_PLACEHOLDER.sub(fill, query))


def _as_numbers(column: pd.Series) -> pd.Series:
    try:
        return pd.to_numeric(column)
    except (ValueError, TypeError):
        return column


class FetchApi:
    """AllenSDK's methods on top of a source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.name = source.name

    def get_sessions(self) -> pd.DataFrame:
        """Return the table of sessions."""
        return self._read("sessions")

    def get_probes(self) -> pd.DataFrame:
        """Return the table of probes."""
        return self._read("probes")

    def get_channels(self) -> pd.DataFrame:
        """Return the table of channels."""
        return self._read("channels")

    def get_units(self) -> pd.DataFrame:
        """Return the table of units, unfiltered."""
        return self._read("units")

    def get_unit_analysis_metrics(
        self,
        unit_ids: Iterable[int] | None = None,
        ecephys_session_ids: Iterable[int] | None = None,
        session_types: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Return the analysis metrics of some units; None does not restrict."""
        types: Sequence[object] = VISUAL_CODING.kinds["type_metrics"].choices["session_type"]
        if session_types is not None:
            types = [session_types] if isinstance(session_types, str) else [*session_types]
        wanted = None if unit_ids is None else [*unit_ids]
        if ecephys_session_ids is not None:
            session_ids = [*ecephys_session_ids]
            sessions = self.get_sessions()
            of_sessions = {*sessions["session_type"][sessions.index.isin(session_ids)]}
            types = [name for name in types if name in of_sessions]
            found = self._list_units(session_ids)
            wanted = [*(found if wanted is None else found[found.isin(wanted)])]
        frames = [self._read("type_metrics", name) for name in types]
        if wanted is not None:
            frames = [frame[frame.index.isin(wanted)] for frame in frames]
        filled = [frame for frame in frames if len(frame)]
        if len(filled) < 2:
            empty = pd.DataFrame(index=pd.Index([], name="ecephys_unit_id", dtype="int64"))
            return (filled or frames[:1] or [empty])[0]
        return pd.concat(filled)

    def get_session_data(self, session_id: int) -> Content:
        """Locate the file of a session."""
        return self._locate("session", session_id)

    def get_probe_lfp_data(self, probe_id: int) -> Content:
        """Locate the LFP file of a probe."""
        probes = self.get_probes()
        if probe_id not in probes.index:
            choices = describe_choices(probe_id, probes.index.tolist())
            raise NotFoundError(f"{self.name} has no probe {probe_id}: {choices}")
        if not probes["has_lfp_data"].loc[probe_id]:
            raise NotFoundError(f"{self.name} has no LFP of probe {probe_id}: none was released")
        return self._locate("lfp", int(probes["ecephys_session_id"].loc[probe_id]), probe_id)

    def get_natural_scene_template(self, number: int) -> Content:
        """Locate the TIFF of an image."""
        return self._locate("scene", number)

    def get_natural_movie_template(self, number: int) -> Content:
        """Locate the NPY file of a movie."""
        return self._locate("movie", number)

    def _locate(self, name: str, *ids: object) -> Content:
        return self.source.locate(VISUAL_CODING.file(name, *ids))

    def _read(self, name: str, *ids: object) -> pd.DataFrame:
        return self.source.read_table(VISUAL_CODING.file(name, *ids))

    def _list_units(self, session_ids: list[int]) -> pd.Index[int]:
        probes, channels, units = self.get_probes(), self.get_channels(), self.get_units()
        probe_ids = probes.index[probes["ecephys_session_id"].isin(session_ids)]
        channel_ids = channels.index[channels["ecephys_probe_id"].isin(probe_ids)]
        return units.index[units["ecephys_channel_id"].isin(channel_ids)]
