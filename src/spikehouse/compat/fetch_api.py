"""A source with the methods of AllenSDK's sources, as ``cache.fetch_api`` has them there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from spikehouse.errors import NotFoundError, describe_choices
from spikehouse.survey import VISUAL_CODING, Source
from spikehouse.transfer.remote_file import Content

__all__ = ["FetchApi"]


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
