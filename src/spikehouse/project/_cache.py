"""A cache folder, where it is filled from, and the sessions in it."""

from __future__ import annotations

import contextlib
import tempfile
import weakref
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import pandas as pd

from spikehouse.catalogue import UnitFilter
from spikehouse.errors import CacheError, SourceError
from spikehouse.project._files import ProjectFiles
from spikehouse.remote.folder import CacheFolder
from spikehouse.remote.http import HttpOptions
from spikehouse.remote.manifest import create_manifest, read_manifest
from spikehouse.remote.sources import Source
from spikehouse.remote.store import Store
from spikehouse.remote.warehouse import DEFAULT_HOST, Warehouse

if TYPE_CHECKING:
    from spikehouse.session import EcephysSession

__all__ = ["EcephysProjectCache"]

DEFAULT_MANIFEST = "ecephys_project_manifest.json"
CHANNEL_COLUMNS_FOR_SESSIONS = [
    "ecephys_structure_id",
    "ecephys_structure_acronym",
    "anterior_posterior_ccf_coordinate",
    "dorsal_ventral_ccf_coordinate",
    "left_right_ccf_coordinate",
]


class EcephysProjectCache(ProjectFiles):
    """A folder that holds the survey, or will.

    Tables and files come from the folder if they are there, and are fetched into it if they
    are not; the layout is AllenSDK's, and either library opens the other's folder.

    Parameters
    ----------
    fetch_api
        Where to fetch what is missing: the warehouse by default, or any object with the
        methods of :class:`spikehouse.remote.Source`.
    fetch_tries
        How often to try a download in all.
    stream_writer
        Accepted for the sake of existing code and ignored: one writer serves every source.
    manifest
        Path of the folder's ``manifest.json``, which is made if need be; by default
        ``ecephys_project_manifest.json`` in the working directory.
    version
        Version the manifest should have. Another one is opened all the same, with a notice.
    cache
        False keeps nothing: tables and files go to a temporary folder that is removed with
        this object.
    progress
        Whether to draw progress bars; None leaves it to ``SPIKEHOUSE_PROGRESS``.

    Raises
    ------
    CacheError
        If the manifest is none, or the folder cannot be made.
    """

    def __init__(
        self,
        fetch_api: Source | None = None,
        fetch_tries: int = 2,
        stream_writer: object = None,
        manifest: str | Path | None = None,
        version: str | None = None,
        cache: bool = True,
        *,
        progress: bool | None = None,
    ) -> None:
        del stream_writer
        source = fetch_api or Warehouse(fetch_tries=fetch_tries, progress=progress)
        self._resources = contextlib.ExitStack()
        # whoever forgets close() still leaves no server and no temporary folder behind
        weakref.finalize(self, self._resources.close)
        path = _expand(manifest)
        if not cache:
            scratch = tempfile.TemporaryDirectory(prefix="spikehouse-")
            path = Path(self._resources.enter_context(scratch)) / "manifest.json"
        if not path.exists():
            create_manifest(path)
        options = (
            source.options
            if isinstance(source, Warehouse)
            else HttpOptions(fetch_tries=fetch_tries)
        )
        folder = CacheFolder(read_manifest(path, version=version), options, progress)
        super().__init__(Store(folder, source))

    @classmethod
    def from_warehouse(
        cls,
        scheme: str | None = None,
        host: str | None = None,
        asynchronous: bool = False,
        manifest: str | Path | None = None,
        version: str | None = None,
        cache: bool = True,
        fetch_tries: int = 2,
        timeout: float = 1200,
    ) -> Self:
        """Fetch from the Institute's warehouse, or a server that speaks like it.

        Parameters
        ----------
        scheme
            ``"https"`` or ``"http"``; by default the first that works.
        host
            Its name, with ``:port`` if need be; by default ``api.brain-map.org``.
        asynchronous
            Accepted for the sake of existing code and ignored: it changed how AllenSDK
            downloads, never what.
        manifest, version, cache, fetch_tries
            As for the class itself.
        timeout
            Longest wait for a sign of life [s]; never more than 300 s before an answer begins
            and 60 s within a download. Total time is not limited.

        Returns
        -------
        EcephysProjectCache
            Nothing is fetched yet.

        Raises
        ------
        InvalidArgumentError
            If host or scheme cannot be meant.
        CacheError
            If the manifest is none, or the folder cannot be made.
        """
        del asynchronous
        source = Warehouse(host or DEFAULT_HOST, scheme, timeout=timeout, fetch_tries=fetch_tries)
        return cls(source, fetch_tries, None, manifest, version, cache)

    @classmethod
    def from_demo(
        cls,
        manifest: str | Path | None = None,
        *,
        size: Literal["tiny", "small", "full"] = "small",
        seed: int | None = None,
        folder: Path | None = None,
    ) -> Self:
        """Fetch from the simulated survey, over a server of its own on this machine.

        Parameters
        ----------
        manifest
            As for the class itself; by default a folder beside the simulated files.
        size
            How much is simulated.
        seed
            The survey's seed; its own default if not given.
        folder
            Where simulated files are kept; the user's cache folder by default.

        Returns
        -------
        EcephysProjectCache
            A context manager: leaving it, or :meth:`close`, stops the server.
        """
        from spikehouse.demo import DemoWarehouse, Survey

        survey = Survey(size=size, folder=folder, **({} if seed is None else {"seed": seed}))
        with contextlib.ExitStack() as resources:
            server = resources.enter_context(DemoWarehouse(survey))
            # its name tells size, seed and version apart: a cache never mixes two surveys
            path = manifest or survey.folder / "cache" / "manifest.json"
            project = cls.from_warehouse("http", server.address, manifest=path)
            project._resources.enter_context(resources.pop_all())
        return project

    @classmethod
    def fixed(cls, manifest: str | Path | None = None, version: str | None = None) -> Self:
        """Use what is in the folder and never the network.

        Parameters
        ----------
        manifest, version
            As for the class itself.

        Returns
        -------
        EcephysProjectCache
            What is missing from its folder raises :class:`CacheError`.

        Raises
        ------
        CacheError
            If there is no manifest.
        """
        path = _expand(manifest)
        if not path.exists():
            raise CacheError(
                f"there is no manifest {path}, and fixed() makes none because it fetches nothing: "
                "give the path of an existing one, or begin with "
                f"EcephysProjectCache.from_warehouse(manifest={str(path)!r})"
            )
        project = cls(manifest=path, version=version)
        project._store = Store(project._store.folder, None)
        return project

    @classmethod
    def from_s3(cls, manifest: str | Path | None = None) -> Self:
        """Fetch from the public bucket: not in this version.

        Parameters
        ----------
        manifest
            As for the class itself.

        Raises
        ------
        SourceError
            Always.
        """
        raise _explain_later("Amazon S3", manifest)

    @classmethod
    def from_dandi(cls, manifest: str | Path | None = None) -> Self:
        """Fetch from the DANDI archive: not in this version.

        Parameters
        ----------
        manifest
            As for the class itself.

        Raises
        ------
        SourceError
            Always.
        """
        raise _explain_later("the DANDI archive", manifest)

    @property
    def fetch_api(self) -> Source | None:
        """Where missing files come from; None when no network may be used."""
        return self._store.source

    @property
    def manifest_path(self) -> Path:
        """The manifest; its folder is the cache."""
        return self._store.folder.manifest.path

    def get_session_data(
        self, session_id: int, filter_by_validity: bool = True, **unit_filter_kwargs: object
    ) -> EcephysSession:
        """Open a session, fetching its file unless it is there.

        Parameters
        ----------
        session_id
            One of the index of :meth:`get_session_table`.
        filter_by_validity
            Keep only units of good quality.
        **unit_filter_kwargs
            As for :meth:`get_units`.

        Returns
        -------
        EcephysSession
            The session; its data are read when they are used.

        Raises
        ------
        SessionNotFoundError
            If there is no such session; nothing is downloaded then.
        TransferError
            If its file did not arrive whole.
        InvalidFileError
            If its file is not a session. It is never deleted for that.

        Notes
        -----
        Session files have 1.7 to 3.3 GB.
        """
        from spikehouse.session import EcephysSession

        filters = UnitFilter.from_arguments(filter_by_validity, **unit_filter_kwargs)
        session_id = self._require_session(session_id)
        path = self.fetch_session(session_id)
        probes = self._store.read_table("probes")
        probe_ids = probes.index[probes["ecephys_session_id"] == session_id]
        options: dict[str, Any] = {
            **asdict(filters),
            "probe_lfp_paths": {
                int(probe_id): partial(self.fetch_probe_lfp, probe_id) for probe_id in probe_ids
            },
            "external_channel_columns": partial(self._select_channel_columns, session_id),
            "additional_unit_metrics": partial(
                self.get_unit_analysis_metrics_for_session, session_id, annotate=False
            ),
        }
        return EcephysSession.from_nwb_path(path, api_kwargs=options)

    def close(self) -> None:
        """Stop the demo server and remove what ``cache=False`` left; files opened stay open."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _select_channel_columns(self, session_id: int) -> pd.DataFrame:
        channels = self._tables.annotated_channels
        of_session = channels["ecephys_session_id"] == session_id
        return channels.loc[of_session, CHANNEL_COLUMNS_FOR_SESSIONS]


def _expand(manifest: str | Path | None) -> Path:
    return Path(manifest or DEFAULT_MANIFEST).expanduser().absolute()


def _explain_later(place: str, manifest: str | Path | None) -> SourceError:
    return SourceError(
        f"fetching from {place} arrives in a later version; until then use "
        f"EcephysProjectCache.from_warehouse(manifest={str(_expand(manifest))!r})"
    )
