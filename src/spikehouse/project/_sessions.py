"""Open a session of the data set, from its file or streamed from a server."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from spikehouse.catalogue import UnitFilter
from spikehouse.catalogue.tables import mask_unregistered
from spikehouse.project._fetching import ProjectFetching

if TYPE_CHECKING:
    from spikehouse.session import EcephysSession
    from spikehouse.transfer.remote_bytes import RemoteBytes

__all__ = ["ProjectSessions"]

CHANNEL_COLUMNS_FOR_SESSIONS = [
    "ecephys_structure_id",
    "ecephys_structure_acronym",
    "anterior_posterior_ccf_coordinate",
    "dorsal_ventral_ccf_coordinate",
    "left_right_ccf_coordinate",
]


class ProjectSessions(ProjectFetching):
    """Tables, files and sessions of the data set."""

    def get_session_data(
        self,
        session_id: int,
        filter_by_validity: bool = True,
        *,
        stream: bool = False,
        **unit_filter_kwargs: object,
    ) -> EcephysSession:
        """Open a session, downloading its file if necessary.

        Parameters
        ----------
        session_id
            Id of the session, from the index of :meth:`get_session_table`.
        filter_by_validity
            Whether to keep only units of good quality.
        stream
            False downloads the file of the session unless it is cached. True reads only the
            bytes that are needed from the server, unless the file is cached; the same holds for
            the LFP of its probes.
        **unit_filter_kwargs
            Filters of :meth:`get_units`.

        Returns
        -------
        EcephysSession
            The session; its data are read when they are used.

        Raises
        ------
        SessionNotFoundError
            If the session does not exist; nothing is downloaded then.
        SourceError
            If no source can deliver the file, or, with ``stream``, serve byte ranges of it.
        TransferError
            If the file did not arrive completely.
        InvalidFileError
            If the file is not a session file; a cached file is not deleted for that.

        Notes
        -----
        Session files have 1.7 to 3.3 GB. Streamed bytes are kept in the cache folder up to a
        limit, so that they are downloaded once.
        """
        filters = UnitFilter.from_arguments(filter_by_validity, **unit_filter_kwargs)
        session_id = self._require_session(session_id)
        file: Path | RemoteBytes
        if stream:
            file = self._store.stream(self._store.target_session(session_id))
        else:
            file = self.fetch_session(session_id)
        open_lfp = self._stream_probe_lfp if stream else self.fetch_probe_lfp
        options: dict[str, Any] = {
            **asdict(filters),
            "probe_lfp_paths": {
                probe_id: partial(open_lfp, probe_id) for probe_id in self._list_probes(session_id)
            },
            "external_channel_columns": partial(self._select_channel_columns, session_id),
            "additional_unit_metrics": partial(
                self.get_unit_analysis_metrics_for_session, session_id, annotate=False
            ),
        }
        return self._open_session(file, options)

    def _open_session(self, file: Path | RemoteBytes, options: dict[str, Any]) -> EcephysSession:
        from spikehouse.session import EcephysSession

        return EcephysSession.from_nwb_path(file, api_kwargs=options)

    def _stream_probe_lfp(self, probe_id: int) -> Path | RemoteBytes:
        session_id = self._require_lfp(probe_id)
        return self._store.stream(self._store.target_lfp(session_id, probe_id))

    def _list_probes(self, session_id: int) -> list[int]:
        probes = self._store.read_table("probes")
        return [int(value) for value in probes.index[probes["ecephys_session_id"] == session_id]]

    def _select_channel_columns(self, session_id: int) -> pd.DataFrame:
        # needs the table of channels alone; the table of units has 51 MB
        channels = self._store.read_table("channels")
        of_session = channels["ecephys_probe_id"].isin(self._list_probes(session_id))
        return mask_unregistered(channels[of_session])[CHANNEL_COLUMNS_FOR_SESSIONS]
