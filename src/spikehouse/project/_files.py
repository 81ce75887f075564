"""The files of the data set, cached or downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikehouse.errors import NotFoundError, describe_choices
from spikehouse.project._tables import ProjectTables, to_whole_number

__all__ = ["ProjectFiles"]

N_SCENES = 118


class ProjectFiles(ProjectTables):
    """Tables and files of the data set: sessions, LFP, images, movies.

    Notes
    -----
    A cached file is used as it is and never downloaded again. Downloads raise
    :class:`CacheError` if the folder cannot be written to or nothing may be downloaded,
    :class:`SourceError` if the source fails, :class:`TransferError` if a file did not arrive
    completely and :class:`InvalidFileError` if it is not a file of the expected type.
    """

    def fetch_session(self, session_id: int) -> Path:
        """Download the file of a session unless it is cached.

        Parameters
        ----------
        session_id
            Id of the session, from the index of :meth:`get_session_table`.

        Returns
        -------
        Path
            Path of the NWB file.

        Raises
        ------
        SessionNotFoundError
            If the session does not exist.
        NotFoundError
            If the file of the session was not released.
        """
        return self._store.fetch_session(self._require_session(session_id))

    def fetch_probe_lfp(self, probe_id: int) -> Path:
        """Download the LFP file of a probe unless it is cached.

        Parameters
        ----------
        probe_id
            Id of the probe, from the index of :meth:`get_probes`.

        Returns
        -------
        Path
            Path of the NWB file.

        Raises
        ------
        NotFoundError
            If the probe does not exist, or its LFP was not released.
        """
        session_id = self._require_lfp(probe_id)
        return self._store.fetch_lfp(session_id, to_whole_number(probe_id, what="probe id"))

    def get_natural_scene_template(self, number: int) -> NDArray[np.uint8]:
        """Read a natural scene, downloading it unless it is cached.

        Parameters
        ----------
        number
            Number of the image, 0 to 117, as in the column ``frame`` of the stimulus table.

        Returns
        -------
        ndarray
            Grey values 0 to 255, shape (918, 1174).

        Raises
        ------
        NotFoundError
            If the image does not exist.
        InvalidArgumentError
            If ``number`` is not a whole number.
        """
        index = to_whole_number(number, what="natural scene")
        if not 0 <= index < N_SCENES:
            blank = "; -1 is the blank sweep, which has no image" if index == -1 else ""
            raise NotFoundError(
                f"there is no natural scene {index}: they are numbered 0 to {N_SCENES - 1}{blank}"
            )
        return self._store.read_scene(index)

    def get_natural_movie_template(self, number: int) -> NDArray[Any]:
        """Open a natural movie, downloading it unless it is cached.

        Parameters
        ----------
        number
            Number of the movie: 1 for natural_movie_one, 3 for natural_movie_three.

        Returns
        -------
        ndarray
            Grey values 0 to 255, shape (frames, 304, 608), memory-mapped.

        Raises
        ------
        NotFoundError
            If the movie does not exist.
        InvalidArgumentError
            If ``number`` is not a whole number.
        """
        return self._store.read_movie(to_whole_number(number, what="natural movie"))

    def _require_lfp(self, probe_id: int) -> int:
        """Check that a probe has LFP, and return its session."""
        number = to_whole_number(probe_id, what="probe id")
        probes = self._store.read_table("probes")
        if number not in probes.index:
            choices = describe_choices(number, probes.index.tolist())
            raise NotFoundError(f"there is no probe {number}: {choices}")
        if not probes["has_lfp_data"].loc[number]:
            raise NotFoundError(f"probe {number} has no LFP: none was processed for it")
        return int(probes["ecephys_session_id"].loc[number])
