"""The files of a survey, from a folder or from wherever it is filled."""

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
    """The survey's tables and its files: sessions, LFP, images, movies.

    Notes
    -----
    What is in the folder is used as it is and never fetched again. Fetching raises
    :class:`CacheError` if the folder cannot be written to or nothing may be fetched,
    :class:`SourceError` if the source does not deliver, :class:`TransferError` if a file did
    not arrive whole and :class:`InvalidFileError` if it is not what it should be.
    """

    def fetch_session(self, session_id: int) -> Path:
        """Fetch the file of a session unless it is there.

        Parameters
        ----------
        session_id
            One of the index of :meth:`get_session_table`.

        Returns
        -------
        Path
            The NWB file.

        Raises
        ------
        SessionNotFoundError
            If there is no such session.
        NotFoundError
            If its file was not released.
        """
        return self._store.fetch_session(self._require_session(session_id))

    def fetch_probe_lfp(self, probe_id: int) -> Path:
        """Fetch the LFP file of a probe unless it is there.

        Parameters
        ----------
        probe_id
            One of the index of :meth:`get_probes`.

        Returns
        -------
        Path
            The NWB file.

        Raises
        ------
        NotFoundError
            If there is no such probe, or no LFP of it was released.
        """
        session_id = self._require_lfp(probe_id)
        return self._store.fetch_lfp(session_id, to_whole_number(probe_id, what="probe id"))

    def get_natural_scene_template(self, number: int) -> NDArray[np.uint8]:
        """Read an image of the natural scenes, fetching it unless it is there.

        Parameters
        ----------
        number
            0 to 117, as in the column ``frame`` of the stimulus table.

        Returns
        -------
        ndarray
            Shape (918, 1174), grey values 0 to 255.

        Raises
        ------
        NotFoundError
            If there is no such image.
        InvalidArgumentError
            If the number is not whole.
        """
        index = to_whole_number(number, what="natural scene")
        if not 0 <= index < N_SCENES:
            blank = "; -1 is the blank sweep, which has no image" if index == -1 else ""
            raise NotFoundError(
                f"there is no natural scene {index}: they are numbered 0 to {N_SCENES - 1}{blank}"
            )
        return self._store.read_scene(index)

    def get_natural_movie_template(self, number: int) -> NDArray[Any]:
        """Open a movie, fetching it unless it is there.

        Parameters
        ----------
        number
            1 for natural_movie_one, 3 for natural_movie_three.

        Returns
        -------
        ndarray
            Shape (frames, 304, 608), grey values 0 to 255; frames are read when they are used.

        Raises
        ------
        NotFoundError
            If there is no such movie.
        InvalidArgumentError
            If the number is not whole.
        """
        return self._store.read_movie(to_whole_number(number, what="natural movie"))

    def _require_lfp(self, probe_id: int) -> int:
        """Make sure that a probe has LFP; gives its session."""
        number = to_whole_number(probe_id, what="probe id")
        probes = self._store.read_table("probes")
        if number not in probes.index:
            choices = describe_choices(number, probes.index.tolist())
            raise NotFoundError(f"there is no probe {number}: {choices}")
        if not probes["has_lfp_data"].loc[number]:
            raise NotFoundError(f"probe {number} has no LFP: none was processed for it")
        return int(probes["ecephys_session_id"].loc[number])
