"""The project cache: constructors for every source."""

from __future__ import annotations

import contextlib
import tempfile
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from pickle import dumps
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from spikehouse.errors import CacheError, copying
from spikehouse.project._sessions import ProjectSessions
from spikehouse.project._sources import (
    DEFAULT_SOURCES,
    SourceChoice,
    default_manifest,
    find_options,
    make_sources,
)
from spikehouse.survey.folder import CacheFolder
from spikehouse.survey.manifest import create_manifest, read_manifest
from spikehouse.survey.protocol import Source
from spikehouse.survey.sources import dandi, s3
from spikehouse.survey.sources.folder import Folder
from spikehouse.survey.sources.warehouse import DEFAULT_HOST, Warehouse
from spikehouse.survey.store import Store
from spikehouse.transfer.retry import HttpOptions

__all__ = ["EcephysProjectCache"]

Cache = TypeVar("Cache", bound="EcephysProjectCache")


class EcephysProjectCache(ProjectSessions):
    """Cache folder of the Neuropixels data set: tables, files and sessions.

    Tables and files are read from the folder, and downloaded into it when they are missing. The
    layout is that of AllenSDK: either library opens the folder of the other.

    Parameters
    ----------
    fetch_api
        Source of missing files: any object with the methods of
        :class:`spikehouse.survey.Source`. By default the public bucket on S3, then the DANDI
        Archive, then the Allen Institute's warehouse, as in :meth:`from_sources`.
    fetch_tries
        Number of tries after failures that seldom pass, such as an unreachable host. Failures
        that pass (a busy server, a broken connection) are retried for a minute in any case.
    stream_writer
        Ignored; accepted for compatibility with existing code.
    manifest
        Path of the ``manifest.json`` of the folder, which is created if necessary. By default
        ``ecephys_project_manifest.json`` in the working directory if it exists (AllenSDK's
        default), else the manifest in the folder that the environment variable
        ``SPIKEHOUSE_CACHE`` names, else in ``visual-coding`` in spikehouse's folder of your
        user's cache folder. The command ``spikehouse`` uses the same default.
    version
        Expected version of the manifest; another version gives a warning.
    cache
        False puts tables and files into a temporary folder that is deleted with this object.
    sources
        Several sources, or their names, in order of preference; replaces ``fetch_api``.
    progress
        Whether to draw progress bars; None leaves it to ``SPIKEHOUSE_PROGRESS``.

    Raises
    ------
    CacheError
        If the manifest file is not valid, or the folder cannot be created.
    InvalidArgumentError
        If a source is not known.

    Notes
    -----
    Pickling stores the arguments. A cache with ``cache=False`` gets a new temporary folder.
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
        sources: Iterable[SourceChoice] | None = None,
        progress: bool | None = None,
    ) -> None:
        del stream_writer
        chosen: Iterable[SourceChoice] = DEFAULT_SOURCES if sources is None else sources
        clients = make_sources(
            [fetch_api] if fetch_api is not None else chosen,
            fetch_tries=fetch_tries,
            progress=progress,
        )
        self._resources = contextlib.ExitStack()
        # removes the temporary folder also if close() is not called
        weakref.finalize(self, self._resources.close)
        path = default_manifest(clients) if manifest is None else _expand(manifest)
        if not cache:
            scratch = tempfile.TemporaryDirectory(prefix="spikehouse-")
            path = Path(self._resources.enter_context(scratch)) / "manifest.json"
        if not path.exists():
            create_manifest(path)
        options = find_options(clients, fetch_tries=fetch_tries)
        folder = CacheFolder(read_manifest(path, version=version), options, progress)
        super().__init__(Store(folder, clients))
        self._arguments: dict[str, Any] = {
            "fetch_tries": fetch_tries,
            "manifest": path if cache else None,
            "version": version,
            "cache": cache,
            "progress": progress,
        }

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[Any, ...]]:
        with copying("this cache", self.fetch_api):
            dumps(self._store.sources)
        return _open_again, (type(self), self._store.sources, self._arguments)

    @classmethod
    def from_sources(
        cls,
        sources: SourceChoice | Iterable[SourceChoice] = DEFAULT_SOURCES,
        manifest: str | Path | None = None,
        version: str | None = None,
        cache: bool = True,
        fetch_tries: int = 2,
        *,
        progress: bool | None = None,
    ) -> Self:
        """Use several sources in order of preference.

        Parameters
        ----------
        sources
            In order of preference: "s3", "dandi", "warehouse", paths of folders, or objects with
            the methods of :class:`spikehouse.survey.Source`. If a source fails, the next one
            resumes from the bytes that have arrived.
        manifest, version, cache, fetch_tries, progress
            See :class:`EcephysProjectCache`.

        Returns
        -------
        EcephysProjectCache
            The cache; nothing is downloaded yet.

        Raises
        ------
        InvalidArgumentError
            If a source is not known or is given twice, or if none is given.
        CacheError
            If the manifest file is not valid, a source folder does not exist, or the cache
            folder cannot be created.
        """
        clients = make_sources(sources, fetch_tries=fetch_tries, progress=progress)
        return cls(
            None, fetch_tries, None, manifest, version, cache, sources=clients, progress=progress
        )

    @classmethod
    def from_s3(
        cls,
        manifest: str | Path | None = None,
        version: str | None = None,
        cache: bool = True,
        fetch_tries: int = 2,
        *,
        base_url: str = s3.DEFAULT_URL,
        progress: bool | None = None,
    ) -> Self:
        """Use the public bucket on Amazon S3, which needs no account.

        Parameters
        ----------
        manifest, version, cache, fetch_tries
            See :class:`EcephysProjectCache`.
        base_url
            URL of the data set in another bucket, or on a server on this machine.
        progress
            See :class:`EcephysProjectCache`.

        Returns
        -------
        EcephysProjectCache
            The cache; nothing is downloaded yet.

        Raises
        ------
        InvalidArgumentError
            If ``base_url`` is not a valid URL.
        CacheError
            If the manifest file is not valid, or the folder cannot be created.
        """
        source = s3.S3(base_url, options=HttpOptions(fetch_tries=fetch_tries))
        return cls(source, fetch_tries, None, manifest, version, cache, progress=progress)

    @classmethod
    def from_dandi(
        cls,
        manifest: str | Path | None = None,
        version: str | None = None,
        cache: bool = True,
        fetch_tries: int = 2,
        *,
        tables: Source | None = None,
        base_url: str = dandi.DEFAULT_URL,
        progress: bool | None = None,
    ) -> Self:
        """Use the DANDI Archive, which publishes the SHA-256 digest of every file.

        Parameters
        ----------
        manifest, version, cache, fetch_tries
            See :class:`EcephysProjectCache`.
        tables
            Source of the tables, which the archive does not have; default: the public bucket.
        base_url
            URL of the REST API of another archive, or of a server on this machine.
        progress
            See :class:`EcephysProjectCache`.

        Returns
        -------
        EcephysProjectCache
            The cache, without images and movies; nothing is downloaded yet.

        Raises
        ------
        InvalidArgumentError
            If ``base_url`` is not a valid URL.
        CacheError
            If the manifest file is not valid, or the folder cannot be created.
        """
        options = HttpOptions(fetch_tries=fetch_tries)
        source = dandi.Dandi(base_url, tables=tables, options=options)
        return cls(source, fetch_tries, None, manifest, version, cache, progress=progress)

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        manifest: str | Path | None = None,
        version: str | None = None,
        cache: bool = True,
        *,
        progress: bool | None = None,
    ) -> Self:
        """Copy files from another cache folder, or from the bucket mounted as a disk.

        Parameters
        ----------
        folder
            Folder to copy from, also one of AllenSDK; nothing in it is changed.
        manifest, version, cache, progress
            See :class:`EcephysProjectCache`.

        Returns
        -------
        EcephysProjectCache
            The cache; nothing is copied yet.

        Raises
        ------
        CacheError
            If ``folder`` does not exist, the manifest file is not valid, or the cache folder
            cannot be created.

        Notes
        -----
        To use a folder in place, pass its manifest to :class:`EcephysProjectCache` or
        :meth:`fixed`.
        """
        source = Folder(folder)
        return cls(source, 1, None, manifest, version, cache, progress=progress)

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
        timeout: float | None = None,
    ) -> Self:
        """Use the Allen Institute's data warehouse, or a server with the same interface.

        Parameters
        ----------
        scheme
            ``"https"`` or ``"http"``; default: https, and http for a server on this machine.
        host
            Name of the host, with ``:port`` if necessary; default: ``api.brain-map.org``.
        asynchronous
            Ignored; accepted for compatibility with existing code.
        manifest, version, cache, fetch_tries
            See :class:`EcephysProjectCache`.
        timeout
            Longest wait for an answer to begin [s]; default: the environment variable
            ``SPIKEHOUSE_TIMEOUT``, or 30. The total time is not limited.

        Returns
        -------
        EcephysProjectCache
            The cache; nothing is downloaded yet.

        Raises
        ------
        InvalidArgumentError
            If the host or scheme is not valid.
        CacheError
            If the manifest file is not valid, or the folder cannot be created.
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
        """Use the simulated data set, whose files are simulated when they are first needed.

        Parameters
        ----------
        manifest
            Path of the manifest; by default in a folder beside the simulated files, which are
            then hard-linked instead of copied.
        size
            Size of the simulated data set.
        seed
            Seed of the simulation; default: the seed of the published demo.
        folder
            Folder of the simulated files; default: the user's cache folder.

        Returns
        -------
        EcephysProjectCache
            The cache; nothing is simulated yet.
        """
        from spikehouse.demo import Survey
        from spikehouse.demo.source import Demo

        survey = Survey(size=size, folder=folder, **({} if seed is None else {"seed": seed}))
        # a folder for each size, seed and version: a cache never mixes two data sets
        return cls(Demo(survey), manifest=manifest or survey.folder / "cache" / "manifest.json")

    @classmethod
    def fixed(cls, manifest: str | Path | None = None, version: str | None = None) -> Self:
        """Use the files in the folder and never the network.

        Parameters
        ----------
        manifest, version
            See :class:`EcephysProjectCache`.

        Returns
        -------
        EcephysProjectCache
            A cache that raises :class:`CacheError` for files missing from its folder.

        Raises
        ------
        CacheError
            If the manifest does not exist or is not valid.
        """
        path = default_manifest() if manifest is None else _expand(manifest)
        if not path.exists():
            raise CacheError(
                f"there is no manifest {path}, and fixed() creates none because it downloads "
                "nothing: pass the path of an existing manifest, or start with "
                f"EcephysProjectCache.from_warehouse(manifest={str(path)!r})"
            )
        project = cls(manifest=path, version=version)
        project._store = Store(project._store.folder, ())
        return project

    @property
    def fetch_api(self) -> Source | None:
        """The preferred source of missing files; None if nothing may be downloaded."""
        return self._store.source

    @property
    def manifest_path(self) -> Path:
        """Path of the manifest; its folder is the cache folder."""
        return self._store.folder.manifest.path

    def close(self) -> None:
        """Delete the temporary folder of ``cache=False``; open files stay usable."""
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


def _open_again(cls: type[Cache], sources: tuple[Source, ...], arguments: dict[str, Any]) -> Cache:
    if not sources:
        return cls.fixed(arguments["manifest"], arguments["version"])
    return cls(sources=sources, **arguments)


def _expand(manifest: str | Path) -> Path:
    return Path(manifest).expanduser().absolute()
