"""A cache folder, where it is filled from, and the sessions in it."""

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
from spikehouse.remote.cache.folder import CacheFolder
from spikehouse.remote.cache.store import Store
from spikehouse.remote.http.client import HttpOptions
from spikehouse.remote.manifest import create_manifest, read_manifest
from spikehouse.remote.protocol import Source
from spikehouse.remote.sources import dandi, s3
from spikehouse.remote.sources.folder import Folder
from spikehouse.remote.sources.warehouse import DEFAULT_HOST, Warehouse

__all__ = ["EcephysProjectCache"]

Cache = TypeVar("Cache", bound="EcephysProjectCache")


class EcephysProjectCache(ProjectSessions):
    """A folder that holds the survey, or will.

    Tables and files come from the folder if they are there, and are fetched into it if they
    are not; the layout is AllenSDK's, and either library opens the other's folder.

    Parameters
    ----------
    fetch_api
        Where to fetch what is missing: any object with the methods of
        :class:`spikehouse.remote.Source`. By default the public bucket on S3, then the DANDI
        Archive, then the Institute's warehouse, as :meth:`from_sources` has it.
    fetch_tries
        How often to try what a further try seldom mends, such as a host that nobody answers for.
        What passes (a busy server, a broken connection) is tried again for a minute in any case.
    stream_writer
        Accepted for the sake of existing code and ignored: one writer serves every source.
    manifest
        Path of the folder's ``manifest.json``, which is made if need be. By default that of the
        folder which the command ``spikehouse`` uses, too: the one that the environment variable
        ``SPIKEHOUSE_CACHE`` names, else ``visual-coding`` in spikehouse's folder of your user's
        caches. An ``ecephys_project_manifest.json`` in the working directory, where AllenSDK
        keeps one, goes first.
    version
        Version the manifest should have. Another one is opened all the same, with a notice.
    cache
        False keeps nothing: tables and files go to a temporary folder that is removed with
        this object.
    sources
        Several of them, or their names, in order of preference; instead of ``fetch_api``.
    progress
        Whether to draw progress bars; None leaves it to ``SPIKEHOUSE_PROGRESS``.

    Raises
    ------
    CacheError
        If the manifest is none, or the folder cannot be made.
    InvalidArgumentError
        If there is no such source.

    Notes
    -----
    A cache pickles as its arguments. One that keeps nothing gets a temporary folder of its own.
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
        # whoever forgets close() still leaves no server and no temporary folder behind
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
        """Fetch from the first source that delivers.

        Parameters
        ----------
        sources
            In order of preference: "s3", "dandi", "warehouse", paths of folders, or sources of
            your own. Where one fails, the next goes on from the bytes that are there.
        manifest, version, cache, fetch_tries, progress
            As for the class itself.

        Returns
        -------
        EcephysProjectCache
            Nothing is fetched yet.

        Raises
        ------
        InvalidArgumentError
            If there is no such source, none at all, or one twice.
        CacheError
            If the manifest is none, or a folder is not there or cannot be made.
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
        """Fetch from the public bucket on Amazon S3: no account, and one request a table.

        Parameters
        ----------
        manifest, version, cache, fetch_tries
            As for the class itself.
        base_url
            Where the folder begins in another bucket, or on a server on this machine.
        progress
            As for the class itself.

        Returns
        -------
        EcephysProjectCache
            Nothing is fetched yet.

        Raises
        ------
        InvalidArgumentError
            If ``base_url`` is no such address.
        CacheError
            If the manifest is none, or the folder cannot be made.
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
        """Fetch from the DANDI Archive, which publishes the digest of every file.

        Parameters
        ----------
        manifest, version, cache, fetch_tries
            As for the class itself.
        tables
            Who has the tables, which the archive does not: the public bucket by default.
        base_url
            The interface of another archive, or of a server on this machine.
        progress
            As for the class itself.

        Returns
        -------
        EcephysProjectCache
            Nothing is fetched yet. Images and movies are not there.

        Raises
        ------
        InvalidArgumentError
            If ``base_url`` is no such address.
        CacheError
            If the manifest is none, or the folder cannot be made.
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
        """Copy from another folder: AllenSDK's cache, ours, or the bucket mounted as a disk.

        Parameters
        ----------
        folder
            Where the files are; nothing in it is changed.
        manifest, version, cache, progress
            As for the class itself.

        Returns
        -------
        EcephysProjectCache
            Nothing is copied yet.

        Raises
        ------
        CacheError
            If there is no such folder, the manifest is none, or the folder cannot be made.

        Notes
        -----
        To use a folder where it is, give its manifest to the class itself or to :meth:`fixed`.
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
        """Fetch from the Institute's warehouse, or a server that speaks like it.

        Parameters
        ----------
        scheme
            ``"https"`` or ``"http"``; by default https, and http for a server on this machine.
        host
            Its name, with ``:port`` if need be; by default ``api.brain-map.org``.
        asynchronous
            Accepted for the sake of existing code and ignored: it changed how AllenSDK
            downloads, never what.
        manifest, version, cache, fetch_tries
            As for the class itself.
        timeout
            Longest wait for an answer to begin [s]; by default 30, or what the variable
            ``SPIKEHOUSE_TIMEOUT`` says. Total time is not limited.

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
        """Take files from the simulated survey; they are simulated when first asked for.

        Parameters
        ----------
        manifest
            As for the class itself; by default in a folder beside the simulated files, which
            then lie on the disk once, under two names.
        size
            How much is simulated.
        seed
            The survey's seed; its own default if not given.
        folder
            Where simulated files are kept; the user's cache folder by default.

        Returns
        -------
        EcephysProjectCache
            Nothing is simulated yet.
        """
        from spikehouse.demo import Survey
        from spikehouse.demo.source import Demo

        survey = Survey(size=size, folder=folder, **({} if seed is None else {"seed": seed}))
        # a folder for each size, seed and version: a cache never mixes two surveys
        return cls(Demo(survey), manifest=manifest or survey.folder / "cache" / "manifest.json")

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
        path = default_manifest() if manifest is None else _expand(manifest)
        if not path.exists():
            raise CacheError(
                f"there is no manifest {path}, and fixed() makes none because it fetches nothing: "
                "give the path of an existing one, or begin with "
                f"EcephysProjectCache.from_warehouse(manifest={str(path)!r})"
            )
        project = cls(manifest=path, version=version)
        project._store = Store(project._store.folder, ())
        return project

    @property
    def fetch_api(self) -> Source | None:
        """Where missing files come from; None when no network may be used."""
        return self._store.source

    @property
    def manifest_path(self) -> Path:
        """The manifest; its folder is the cache."""
        return self._store.folder.manifest.path

    def close(self) -> None:
        """Remove what ``cache=False`` left; files opened stay open."""
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
