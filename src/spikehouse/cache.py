"""The project cache: list sessions, download files, open a session."""

from __future__ import annotations

import contextlib
import tempfile
import weakref
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from pickle import dumps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spikehouse import catalogue
from spikehouse.catalogue import COUNTED_COLUMNS, SurveyTables, UnitFilter
from spikehouse.catalogue.tables import mask_unregistered
from spikehouse.errors import (
    CacheError,
    NotFoundError,
    SessionNotFoundError,
    copying,
    describe_choices,
)
from spikehouse.schema.addresses import BUCKET_URL, DANDI_URL
from spikehouse.survey.atlas import ANNOTATION_URL, STRUCTURES_URL, fetch_atlas
from spikehouse.survey.choose_sources import (
    DEFAULT_SOURCES,
    SourceChoice,
    default_manifest,
    find_options,
    make_sources,
    name_options,
)
from spikehouse.survey.file_kinds import PlannedFile
from spikehouse.survey.manifest import create_manifest, read_manifest
from spikehouse.survey.pictures import read_movie, read_scene
from spikehouse.survey.plan import FetchPlan, list_values, make_plan, to_whole_number
from spikehouse.survey.run_plan import run_plan
from spikehouse.survey.source import ShapedSource, as_source
from spikehouse.survey.sources.dandi import Dandi
from spikehouse.survey.sources.folder import Folder
from spikehouse.survey.sources.s3 import S3
from spikehouse.survey.sources.warehouse import DEFAULT_HOST, Warehouse
from spikehouse.survey.store import Store
from spikehouse.survey.upkeep import (
    Leftover,
    find_files_of_session,
    find_leftovers,
    import_files,
    list_files,
    remove_leftovers,
)
from spikehouse.survey.verify import verify_folder
from spikehouse.transfer.progress import Progress
from spikehouse.transfer.retry import HttpOptions

if TYPE_CHECKING:
    import xarray as xr

    from spikehouse.cohort import Cohort
    from spikehouse.explore import Explorer
    from spikehouse.session import EcephysSession
    from spikehouse.transfer.remote_bytes import RemoteBytes

__all__ = ["EcephysProjectCache"]

Cache = TypeVar("Cache", bound="EcephysProjectCache")

CHANNEL_COLUMNS_FOR_SESSIONS = [
    "ecephys_structure_id",
    "ecephys_structure_acronym",
    "anterior_posterior_ccf_coordinate",
    "dorsal_ventral_ccf_coordinate",
    "left_right_ccf_coordinate",
]


class EcephysProjectCache:
    """Cache folder of the Neuropixels data set: tables, files and sessions.

    Tables and files are read from the folder, and downloaded into it when they are missing. The
    layout is that of AllenSDK: either library opens the folder of the other.

    Parameters
    ----------
    fetch_api
        Source of missing files: a :class:`spikehouse.survey.Source`, or an object with the methods
        of AllenSDK's sources (``get_sessions``, ``get_session_data``, …). By default the public
        bucket on S3, then the DANDI Archive, then the Allen Institute's warehouse, as in
        :meth:`from_sources`.
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

    Examples
    --------
    >>> cache = EcephysProjectCache.from_demo("demo/manifest.json", size="tiny")
    >>> session = cache.get_session_data(900000001)
    >>> session.num_units
    16
    """

    def __init__(
        self,
        fetch_api: object = None,
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
            [as_source(fetch_api)] if fetch_api is not None else chosen,
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
        self._store = Store(
            read_manifest(path, version=version),
            clients,
            options=find_options(clients, fetch_tries=fetch_tries),
            progress=progress,
        )
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
            In order of preference: "s3", "dandi", "warehouse", paths of folders, or sources as in
            ``fetch_api``. If a source fails, the next one
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
        base_url: str = BUCKET_URL,
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
        source = S3(base_url, options=HttpOptions(fetch_tries=fetch_tries))
        return cls(source, fetch_tries, None, manifest, version, cache, progress=progress)

    @classmethod
    def from_dandi(
        cls,
        manifest: str | Path | None = None,
        version: str | None = None,
        cache: bool = True,
        fetch_tries: int = 2,
        *,
        tables: SourceChoice | None = None,
        base_url: str = DANDI_URL,
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
        source = Dandi(base_url, tables=tables, options=options)
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

        Examples
        --------
        >>> folder = cache.manifest_path.parent  # such as a disk that a colleague shares
        >>> with EcephysProjectCache.from_folder(folder, "own/manifest.json") as own:
        ...     len(own.get_session_table())
        12
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
            A cache that raises :class:`~spikehouse.errors.CacheError` for files missing from its
            folder.

        Raises
        ------
        CacheError
            If the manifest does not exist or is not valid.

        Examples
        --------
        >>> with EcephysProjectCache.fixed(cache.manifest_path) as offline:
        ...     len(offline.get_session_table())
        12
        """
        path = default_manifest() if manifest is None else _expand(manifest)
        if not path.exists():
            raise CacheError(
                f"there is no manifest {path}, and fixed() creates none because it downloads "
                "nothing: pass the path of an existing manifest, or start with "
                f"EcephysProjectCache.from_warehouse(manifest={str(path)!r})"
            )
        project = cls(manifest=path, version=version)
        project._store.sources = ()
        return project

    @property
    def fetch_api(self) -> Any:  # noqa: ANN401 - a source, or what was given as one
        """The preferred source of missing files; None if nothing may be downloaded."""
        source = self._store.sources[0] if self._store.sources else None
        return source.api if isinstance(source, ShapedSource) else source

    @property
    def manifest_path(self) -> Path:
        """Path of the manifest; its folder is the cache folder."""
        return self._store.manifest.path

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

    # --- tables

    def get_session_table(self, suppress: Iterable[str] | None = None) -> pd.DataFrame:
        """Return the table of sessions.

        Parameters
        ----------
        suppress
            Columns to leave out; default: has_nwb, isi_experiment_id, date_of_acquisition.

        Returns
        -------
        DataFrame
            Index ``id``; columns published_at, specimen_id, session_type, age_in_days, sex,
            full_genotype, unit_count, channel_count, probe_count, ecephys_structure_acronyms
            (an array, with NaN for channels outside the brain). The units are those of
            :meth:`get_units` with its default filters; they include units outside the brain,
            which an open session leaves out.

        Examples
        --------
        >>> cache.get_session_table()["session_type"].value_counts().to_dict()
        {'brain_observatory_1.1': 8, 'functional_connectivity': 4}
        """
        return catalogue.list_sessions(self._counted_tables, suppress=suppress)

    def get_probes(self, suppress: Iterable[str] | None = None) -> pd.DataFrame:
        """Return the table of probes.

        Parameters
        ----------
        suppress
            Columns to leave out; default: those of the session and the channel indices.

        Returns
        -------
        DataFrame
            Index ``id``; one row per probe, with the counts of its units and channels.
            ``lfp_sampling_rate`` [Hz] is the rate of the released LFP.

        Examples
        --------
        >>> cache.get_probes()[["ecephys_session_id", "name", "unit_count"]].head(2)
                   ecephys_session_id    name  unit_count
        id
        910001000           900000001  probeA           7
        910001004           900000001  probeC           9
        """
        return catalogue.list_probes(self._counted_tables, suppress=suppress)

    def get_channels(self, suppress: Iterable[str] | None = None) -> pd.DataFrame:
        """Return the table of channels.

        Parameters
        ----------
        suppress
            Columns to leave out; default: those of the session and the name of the probe.

        Returns
        -------
        DataFrame
            Index ``id``; positions and CCF coordinates [µm], NaN if the channel was not
            registered.

        Examples
        --------
        >>> cache.get_channels()["ecephys_structure_acronym"].value_counts().head(3).to_dict()
        {'CA1': 1281, 'DG': 1267, 'VISp': 1193}
        """
        return catalogue.list_channels(self._tables, suppress=suppress)

    def get_units(
        self,
        suppress: Iterable[str] | None = None,
        filter_by_validity: bool = True,
        **unit_filter_kwargs: object,
    ) -> pd.DataFrame:
        """Return the table of units with their channel, probe and session.

        Parameters
        ----------
        suppress
            Columns to leave out; default: a few that are for internal use of the Allen Institute.
        filter_by_validity
            Whether to keep only units of quality "good", and drop the column ``quality``.
        **unit_filter_kwargs
            ``amplitude_cutoff_maximum`` (0.1), ``presence_ratio_minimum`` (0.95),
            ``isi_violations_maximum`` (0.5), None for no limit; and
            ``filter_out_of_brain_units`` (False, as in the published counts; an open session
            leaves out units whose channel was not assigned to a structure).

        Returns
        -------
        DataFrame
            Index ``id``; one row per unit.

        Raises
        ------
        InvalidArgumentError
            If a filter does not exist, or a limit is not a number.

        Examples
        --------
        >>> len(cache.get_units()), len(cache.get_units(amplitude_cutoff_maximum=None))
        (194, 313)
        """
        given = {"filter_out_of_brain_units": False, **unit_filter_kwargs}
        filters = UnitFilter.from_arguments(filter_by_validity, **given)
        return catalogue.list_units(self._tables, filters=filters, suppress=suppress)

    def get_unit_analysis_metrics_for_session(
        self,
        session_id: int,
        annotate: bool = True,
        filter_by_validity: bool = True,
        **unit_filter_kwargs: object,
    ) -> pd.DataFrame:
        """Return the published analysis metrics of the units of a session.

        Parameters
        ----------
        session_id
            Id of the session, from the index of :meth:`get_session_table`.
        annotate
            Whether to add the columns of :meth:`get_units`, and leave out units that are not in
            that table.
        filter_by_validity
            Whether to keep only units of good quality; ignored without ``annotate``.
        **unit_filter_kwargs
            Filters of :meth:`get_units`; ignored without ``annotate``.

        Returns
        -------
        DataFrame
            Index ``ecephys_unit_id``; one column per metric.

        Raises
        ------
        SessionNotFoundError
            If the session does not exist.
        InvalidArgumentError
            If a filter does not exist, or a limit is not a number.

        Examples
        --------
        >>> metrics = cache.get_unit_analysis_metrics_for_session(900000001)
        >>> metrics[["ecephys_structure_acronym", "pref_ori_dg"]].head(3)
                        ecephys_structure_acronym  pref_ori_dg
        ecephys_unit_id
        950100278                              LP        270.0
        950100301                           VISam         90.0
        950100383                              LP        135.0
        """
        session_id = self._require_session(session_id)
        metrics = self._store.read_session_metrics(session_id)
        metrics = catalogue.tidy_metrics(metrics, origin=f"metrics of session {session_id}")
        if not annotate:
            return metrics.copy()
        units = self.get_units(None, filter_by_validity, **unit_filter_kwargs)
        units = units[units["ecephys_session_id"] == session_id]
        return catalogue.annotate_metrics(units, metrics)

    def get_unit_analysis_metrics_by_session_type(
        self,
        session_type: str,
        annotate: bool = True,
        filter_by_validity: bool = True,
        **unit_filter_kwargs: object,
    ) -> pd.DataFrame:
        """Return the published analysis metrics of the units of a session type.

        Parameters
        ----------
        session_type
            Session type, one of :meth:`get_all_session_types`.
        annotate
            Whether to add the columns of :meth:`get_units`, and leave out units that are not in
            that table.
        filter_by_validity
            Whether to keep only units of good quality; ignored without ``annotate``.
        **unit_filter_kwargs
            Filters of :meth:`get_units`; ignored without ``annotate``.

        Returns
        -------
        DataFrame
            Index ``ecephys_unit_id``; one column per metric.

        Raises
        ------
        NotFoundError
            If the session type does not exist.
        InvalidArgumentError
            If a filter does not exist, or a limit is not a number.

        Examples
        --------
        >>> metrics = cache.get_unit_analysis_metrics_by_session_type("functional_connectivity")
        >>> metrics["ecephys_session_id"].nunique()
        4
        """
        types = self._tables.sessions["session_type"].unique().tolist()
        if session_type not in types:
            choices = describe_choices(session_type, types)
            raise NotFoundError(f"there is no session type {session_type!r}: {choices}")
        metrics = self._store.read_table("type_metrics", session_type)
        metrics = catalogue.tidy_metrics(metrics, origin=f"metrics of {session_type}")
        if not annotate:
            return metrics.copy()
        units = self.get_units(None, filter_by_validity, **unit_filter_kwargs)
        return catalogue.annotate_metrics(units, metrics)

    def get_all_session_types(self, **session_kwargs: Any) -> list[str]:  # noqa: ANN401
        """List the session types.

        Parameters
        ----------
        **session_kwargs
            Arguments of :meth:`get_session_table`.

        Returns
        -------
        list of str
            Unique values in order of first appearance.

        Examples
        --------
        >>> cache.get_all_session_types()
        ['brain_observatory_1.1', 'functional_connectivity']
        """
        return _list_unique(self.get_session_table, "session_type", session_kwargs)

    def get_all_full_genotypes(self, **session_kwargs: Any) -> list[str]:  # noqa: ANN401
        """List the genotypes of the mice.

        Parameters
        ----------
        **session_kwargs
            Arguments of :meth:`get_session_table`.

        Returns
        -------
        list of str
            Unique values in order of first appearance.

        Examples
        --------
        >>> cache.get_all_full_genotypes()[:2]
        ['wt/wt', 'Sst-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt']
        """
        return _list_unique(self.get_session_table, "full_genotype", session_kwargs)

    def get_structure_acronyms(self, **channel_kwargs: Any) -> list[Any]:  # noqa: ANN401
        """List the structures that were recorded from.

        Parameters
        ----------
        **channel_kwargs
            Arguments of :meth:`get_channels`.

        Returns
        -------
        list
            Unique acronyms in order of first appearance, and NaN for channels outside the brain.

        Examples
        --------
        >>> cache.get_structure_acronyms()
        ['TH', 'LP', 'DG', 'CA1', 'VISam', nan, 'LGd', 'CA3', 'VISp']
        """
        return _list_unique(self.get_channels, "ecephys_structure_acronym", channel_kwargs)

    def get_all_ages(self, **session_kwargs: Any) -> list[float]:  # noqa: ANN401
        """List the ages of the mice [day].

        Parameters
        ----------
        **session_kwargs
            Arguments of :meth:`get_session_table`.

        Returns
        -------
        list of float
            Unique ages in order of first appearance.

        Examples
        --------
        >>> cache.get_all_ages()[:3]
        [118.0, 122.0, 98.0]
        """
        return _list_unique(self.get_session_table, "age_in_days", session_kwargs)

    def get_all_sexes(self, **session_kwargs: Any) -> list[str]:  # noqa: ANN401
        """List the sexes of the mice.

        Parameters
        ----------
        **session_kwargs
            Arguments of :meth:`get_session_table`.

        Returns
        -------
        list of str
            Unique values in order of first appearance.

        Examples
        --------
        >>> cache.get_all_sexes()
        ['M', 'F']
        """
        return _list_unique(self.get_session_table, "sex", session_kwargs)

    @cached_property
    def _tables(self) -> SurveyTables:
        read = self._store.read_table
        return SurveyTables(
            sessions=read("sessions"),
            probes=read("probes"),
            channels=read("channels"),
            units=read("units"),
        )

    @property
    def _counted_tables(self) -> SurveyTables:
        # a few columns come from the disk in a fraction of the time of all
        return self._tables if "_tables" in self.__dict__ else self._some_columns

    @cached_property
    def _some_columns(self) -> SurveyTables:
        store = self._store
        return SurveyTables(
            sessions=store.read_table("sessions"),
            probes=store.read_table("probes"),
            channels=store.read_columns("channels", COUNTED_COLUMNS["channels"]),
            units=store.read_columns("units", COUNTED_COLUMNS["units"]),
        )

    def _require_session(self, session_id: object) -> int:
        """Check that a session exists, before anything is downloaded for it."""
        number = to_whole_number(session_id, what="session id")
        sessions = self._store.read_table("sessions")
        if number not in sessions.index:
            raise SessionNotFoundError(
                f"there is no session {number}: {describe_choices(number, sessions.index.tolist())}"
            )
        return number

    # --- files

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

        Examples
        --------
        >>> cache.fetch_session(900000001).name
        'session_900000001.nwb'
        """
        return self._store.fetch(self._session_file(session_id))

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

        Examples
        --------
        >>> cache.fetch_probe_lfp(910001000).name
        'probe_910001000_lfp.nwb'
        """
        return self._store.fetch(self._lfp_file(probe_id))

    def get_atlas(
        self,
        *,
        annotation_url: str = ANNOTATION_URL,
        structures_url: str = STRUCTURES_URL,
    ) -> xr.Dataset:
        """Read the atlas of the mouse brain (CCFv3), downloading it unless it is cached.

        Parameters
        ----------
        annotation_url, structures_url
            Addresses of the annotation (NRRD) and of the table of structures (CSV). The defaults
            are the Allen Institute's, with voxels of 25 µm. What is in the folder stays in use.

        Returns
        -------
        Dataset
            ``structure_id`` at [anterior_posterior, dorsal_ventral, left_right], centres of voxels
            in µm, 0 outside the brain; ``acronym`` and ``is_cortex`` of each structure.

        Raises
        ------
        InvalidFileError
            If a file is damaged, or is not of this atlas. A downloaded file is then not kept; one
            that was in the folder is, and the message says which to delete.
        """
        return fetch_atlas(self._store, annotation_url, structures_url)

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

        Examples
        --------
        >>> cache.get_natural_scene_template(5).shape
        (918, 1174)
        """
        index = to_whole_number(number, what="natural scene")
        n_scenes = len(self._store.manifest.files.kinds["scene"].choices["number"])
        if not 0 <= index < n_scenes:
            blank = "; -1 is the blank sweep, which has no image" if index == -1 else ""
            raise NotFoundError(
                f"there is no natural scene {index}: they are numbered 0 to {n_scenes - 1}{blank}"
            )
        return read_scene(self._store.fetch(self._store.file("scene", index)))

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

        Examples
        --------
        >>> cache.get_natural_movie_template(1).shape
        (30, 304, 608)
        """
        index = to_whole_number(number, what="natural movie")
        return read_movie(self._store.fetch(self._store.file("movie", index)))

    def _session_file(self, session_id: object) -> PlannedFile:
        return self._store.file("session", self._require_session(session_id))

    def _lfp_file(self, probe_id: object) -> PlannedFile:
        """Return the LFP file of a probe that has one."""
        number = to_whole_number(probe_id, what="probe id")
        probes = self._store.read_table("probes")
        if number not in probes.index:
            choices = describe_choices(number, probes.index.tolist())
            raise NotFoundError(f"there is no probe {number}: {choices}")
        if not probes["has_lfp_data"].loc[number]:
            raise NotFoundError(f"probe {number} has no LFP: none was processed for it")
        return self._store.file("lfp", int(probes["ecephys_session_id"].loc[number]), number)

    # --- many files

    def plan(
        self,
        session_ids: int | Iterable[int] | None = None,
        *,
        lfp: bool | str | int | Iterable[str | int] = False,
        scenes: bool | int | Iterable[int] = False,
        movies: bool | int | Iterable[int] = False,
        tables: bool = True,
    ) -> FetchPlan:
        """Plan a download: list the files, their sources and their sizes.

        Parameters
        ----------
        session_ids
            Ids of the sessions whose files to download, from the index of
            :meth:`get_session_table`; none by default. All of them have 146.5 GB.
        lfp
            Probes whose LFP files to download (0.9 to 2.7 GB each): True for all probes of the
            sessions, or names ("probeC", in each session) and probe ids. Probe ids need no
            sessions.
        scenes
            Natural scenes: True for all 118 images, or their numbers.
        movies
            Natural movies: True for both, or their numbers (1, 3).
        tables
            Whether to include the tables of sessions, probes, channels and units.

        Returns
        -------
        FetchPlan
            The plan, for :meth:`fetch`; it prints as a table. None of it is downloaded yet.

        Raises
        ------
        SessionNotFoundError
            If a session does not exist.
        NotFoundError
            If a probe, image or movie does not exist, or a probe given by name or id has no LFP.
            With ``lfp=True`` probes without LFP are left out, with a note in the plan.
        InvalidArgumentError
            If an id is not a whole number, or probe names are given without sessions.

        Notes
        -----
        The sources are asked for the length of each missing file, several at once. A file that
        no source has is in the plan with the reason. The tables of sessions and probes are
        downloaded if they are needed to look up ids.

        Examples
        --------
        >>> plan = cache.plan(900000001, lfp="probeA", tables=False)
        >>> [item.file for item in plan.items]
        ['session_900000001/session_900000001.nwb', 'session_900000001/probe_910001000_lfp.nwb']
        """
        sessions = [] if session_ids is None else list_values(session_ids, what="session id")
        numbers = list(dict.fromkeys(self._require_session(value) for value in sessions))
        return make_plan(self._store, numbers, lfp, scenes, movies, tables)

    def fetch(self, plan: FetchPlan) -> list[Path]:
        """Download the missing files of a plan.

        Parameters
        ----------
        plan
            Plan that :meth:`plan` of this cache returned.

        Returns
        -------
        list of Path
            Paths of all files of the plan, in its order.

        Raises
        ------
        TransferError
            If some files could not be downloaded; the message lists each with the reason. All
            others are cached, and another call resumes from the bytes that have arrived.
        CacheError
            If the disk has too little free space for the whole plan; nothing is downloaded.
        InvalidArgumentError
            If the argument is not a plan, or is a plan for another cache folder.

        Notes
        -----
        Four files are downloaded at once (eight if they are small), each from the first source
        that has it. Ctrl-C stops within a second and keeps the bytes that have arrived. Every
        file is checked (length, published digest if there is one, structure) before it gets its
        name.

        Examples
        --------
        >>> plan = cache.plan(900000001, tables=False)
        >>> [path.name for path in cache.fetch(plan)]
        ['session_900000001.nwb']
        """
        return run_plan(self._store, plan)

    def verify(self, *, repair: bool = False, published: bool = False) -> pd.DataFrame:
        """Verify the cached files against the digests recorded when they were downloaded.

        Parameters
        ----------
        repair
            Whether to download bad files again. A file is replaced when the new one is complete;
            a changed but structurally intact file, or one that was not downloaded by this
            package, is kept beside it as ``<name>.bad-<n>``.
        published
            Whether to ask the sources for published digests of files without a record (DANDI
            has them).

        Returns
        -------
        DataFrame
            One row per file; columns file, n_bytes, state, reason, advice. States are "ok",
            "no record", "changed", "cut short", "not HDF5", "damaged", "unreadable", and with
            ``repair`` "repaired". A file that could not be repaired keeps its state and place,
            and its advice gives the reason.

        Notes
        -----
        Reads every file with a record once. Without ``repair`` nothing is changed. A table that
        was read before stays in memory: create the cache object again after a repair.

        Examples
        --------
        >>> cache.verify().set_index("file").loc["sessions.csv", "state"]
        'ok'
        """
        return verify_folder(self._store, repair=repair, published=published)

    def adopt(self, folder: str | Path) -> pd.DataFrame:
        """Import files that are on this machine already into the cache folder.

        Parameters
        ----------
        folder
            Folder with files named as in a cache folder (also AllenSDK's) or as on DANDI; or the
            cache folder itself, to record the digests of files that were put there otherwise.

        Returns
        -------
        DataFrame
            One row per file; columns origin, path, outcome ("linked", "copied", "recorded",
            "there already", "refused"), reason.

        Raises
        ------
        CacheError
            If ``folder`` does not exist, or the cache folder cannot be written to.

        Notes
        -----
        On the same disk files are hard-linked, otherwise copied and checked. Nothing in the
        other folder is changed, and no cached file is replaced.

        Examples
        --------
        >>> other = EcephysProjectCache.from_demo("other/manifest.json", size="tiny")
        >>> adopted = other.adopt(cache.manifest_path.parent)
        >>> adopted.set_index(adopted["path"].map(lambda path: path.name))["outcome"]["units.csv"]
        'copied'
        """
        rows = []
        progress = Progress(self._store.progress)
        with progress, progress.file("adopting", None) as bar:
            for found in import_files(self._store, Path(folder), bar=bar):
                rows.append((found.origin, found.path, found.outcome, found.reason))
        return pd.DataFrame(rows, columns=["origin", "path", "outcome", "reason"])

    def list_files(self) -> pd.DataFrame:
        """List the files in the cache folder.

        Returns
        -------
        DataFrame
            One row per file; columns file, n_bytes, kind ("session", "lfp", "scene", "movie",
            "table"; "part", "streamed", "repair", "replaced" for leftovers), source, fetched_at.
            The last two are empty without a record.

        Examples
        --------
        >>> cache.list_files().set_index("file").loc["sessions.csv", "kind"]
        'table'
        """
        return list_files(self._store)

    def list_leftovers(
        self, session_ids: Iterable[int] = (), *, recent: bool = False
    ) -> list[Leftover]:
        """List what may be removed from the cache folder.

        Parameters
        ----------
        session_ids
            Ids of sessions whose files to list as well.
        recent
            Whether to list also unfinished downloads of the last 24 hours.

        Returns
        -------
        list of Leftover
            Unfinished downloads, streamed bytes, files that a repair replaced, and the files of
            ``session_ids``.

        Raises
        ------
        NotFoundError
            If a session of ``session_ids`` has no cached file.

        Examples
        --------
        >>> cache.list_leftovers()  # no download was broken off
        []
        """
        found = [part for part in find_leftovers(self._store) if recent or not part.is_recent]
        return [*found, *find_files_of_session(self._store, session_ids)]

    def remove_leftovers(self, leftovers: Iterable[Leftover]) -> int:
        """Remove leftovers from the cache folder.

        Parameters
        ----------
        leftovers
            What to remove, as :meth:`list_leftovers` returned it.

        Returns
        -------
        int
            Number of freed bytes.

        Raises
        ------
        CacheError
            If a file cannot be removed, or lies outside the folder; in the latter case nothing
            is removed.

        Examples
        --------
        >>> cache.remove_leftovers(cache.list_leftovers())
        0
        """
        return remove_leftovers(self._store, leftovers)

    # --- sessions

    def cohort(
        self,
        *,
        session_ids: int | Iterable[int] | None = None,
        session_type: str | None = None,
        genotype: str | None = None,
        sex: str | None = None,
        structure: str | Iterable[str] | None = None,
        **unit_filter_kwargs: object,
    ) -> Cohort:
        """Select sessions, to compute a function for each of them.

        Parameters
        ----------
        session_ids, session_type, genotype, sex, structure
            Conditions that sessions must meet, see :class:`spikehouse.cohort.Cohort`.
        **unit_filter_kwargs
            Filters of units, as in :meth:`get_session_data`.

        Returns
        -------
        Cohort
            The selection; no file of a session is downloaded yet.

        Raises
        ------
        SessionNotFoundError
            If a session does not exist.
        NotFoundError
            If no session meets the conditions; the message lists what is valid.

        Examples
        --------
        >>> cohort = cache.cohort(genotype="Sst", structure="VISp")
        >>> cohort.sessions.index.tolist(), len(cohort.units)
        ([900000002, 900000008], 12)
        """
        from spikehouse.cohort import Cohort

        return Cohort(
            self,
            session_ids=session_ids,
            session_type=session_type,
            genotype=genotype,
            sex=sex,
            structure=structure,
            **unit_filter_kwargs,
        )

    def explore(self, **options: Any) -> Explorer:  # noqa: ANN401 - those of explore
        """Show the survey in the browser, served by a thread of this process.

        Parameters
        ----------
        **options
            Those of :func:`spikehouse.explore.explore`.

        Returns
        -------
        Explorer
            The running server: open its ``url``, or click on the link that a notebook shows.
        """
        from spikehouse.explore import explore

        return explore(cache=self, **options)

    def is_cached(self, session_id: int) -> bool:
        """Return whether the file of a session is in the cache folder.

        Parameters
        ----------
        session_id
            Id of the session, from the index of :meth:`get_session_table`.

        Returns
        -------
        bool
            True if the whole file is there.

        Examples
        --------
        >>> cache.is_cached(900000001)
        True
        """
        return self._session_file(session_id).path.exists()

    def command_options(self) -> dict[str, Any] | None:
        """Return the options with which the command ``spikehouse`` opens this cache again.

        Returns
        -------
        dict or None
            Values of the options source, cache, host, size and offline; None if no options
            describe its sources.

        Examples
        --------
        >>> cache.command_options()["source"]
        ['demo']
        """
        options = name_options(self._store.sources)
        return None if options is None else {**options, "cache": str(self.manifest_path)}

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

        Examples
        --------
        >>> with cache.get_session_data(900000001, amplitude_cutoff_maximum=None) as unfiltered:
        ...     unfiltered.num_units, session.num_units
        (23, 16)
        """
        filters = UnitFilter.from_arguments(filter_by_validity, **unit_filter_kwargs)
        file = self._session_file(session_id)
        session_id = int(file.ids[0])
        find: Callable[[PlannedFile], Path | RemoteBytes]
        find = self._store.stream if stream else self._store.fetch
        options: dict[str, Any] = {
            **asdict(filters),
            "probe_lfp_paths": {
                probe_id: partial(self._find_lfp, probe_id, stream=stream)
                for probe_id in self._list_probes(session_id)
            },
            "external_channel_columns": partial(self._select_channel_columns, session_id),
            "additional_unit_metrics": partial(
                self.get_unit_analysis_metrics_for_session, session_id, annotate=False
            ),
        }
        return self._open_session(find(file), options)

    def _open_session(self, file: Path | RemoteBytes, options: dict[str, Any]) -> EcephysSession:
        from spikehouse.session import EcephysSession

        return EcephysSession.from_nwb_path(file, api_kwargs=options)

    def _find_lfp(self, probe_id: int, *, stream: bool) -> Path | RemoteBytes:
        file = self._lfp_file(probe_id)
        return self._store.stream(file) if stream else self._store.fetch(file)

    def _list_probes(self, session_id: int) -> list[int]:
        probes = self._store.read_table("probes")
        return [int(value) for value in probes.index[probes["ecephys_session_id"] == session_id]]

    def _select_channel_columns(self, session_id: int) -> pd.DataFrame:
        # needs the table of channels alone; the table of units has 51 MB
        channels = self._store.read_table("channels")
        of_session = channels["ecephys_probe_id"].isin(self._list_probes(session_id))
        return mask_unregistered(channels[of_session])[CHANNEL_COLUMNS_FOR_SESSIONS]


def _open_again(cls: type[Cache], sources: tuple[Any, ...], arguments: dict[str, Any]) -> Cache:
    if not sources:
        return cls.fixed(arguments["manifest"], arguments["version"])
    return cls(sources=sources, **arguments)


def _expand(manifest: str | Path) -> Path:
    return Path(manifest).expanduser().absolute()


def _list_unique(
    get_table: Callable[..., pd.DataFrame], column: str, arguments: dict[str, Any]
) -> list[Any]:
    return get_table(**arguments)[column].unique().tolist()
