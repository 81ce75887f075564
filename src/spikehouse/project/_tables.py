"""The tables of the data set, cached or downloaded."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from spikehouse import catalogue
from spikehouse.catalogue import COUNTED_COLUMNS, SurveyTables, UnitFilter
from spikehouse.errors import (
    InvalidArgumentError,
    NotFoundError,
    SessionNotFoundError,
    describe_choices,
    describe_value,
)
from spikehouse.labelled import to_id
from spikehouse.survey.store import Store

__all__ = ["ProjectTables"]


class ProjectTables:
    """Tables of the data set: sessions, probes, channels, units and their metrics.

    Parameters
    ----------
    store
        The cache folder and the sources it is filled from.

    Notes
    -----
    Every method returns a new table, which may be modified; the files are parsed once. All
    methods raise :class:`CacheError` if a file is missing and may not be downloaded or written,
    :class:`SourceError` if the source fails, and :class:`InvalidFileError` if a file of the
    folder is not the expected table.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

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
        """
        types = self._tables.sessions["session_type"].unique().tolist()
        if session_type not in types:
            choices = describe_choices(session_type, types)
            raise NotFoundError(f"there is no session type {session_type!r}: {choices}")
        metrics = self._store.read_type_metrics(session_type)
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


def to_whole_number(value: object, *, what: str) -> int:
    """Convert an id or number of any integral type, or a table of one row, to int."""
    # A float without a fraction is accepted, because the `frame` columns hold these; of a table of
    # one row the index is the id.
    if isinstance(value, pd.DataFrame):
        value = to_id(value, what.replace(" ", "_"))
    try:
        # bool is a subclass of int, but never an id
        if isinstance(value, bool | np.bool_):
            raise TypeError("a truth value")
        if isinstance(value, float | np.floating) and float(value).is_integer():
            return int(value)
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise InvalidArgumentError(
            f"{describe_value(value)} is not a {what}: give a whole number"
        ) from error


def _list_unique(
    get_table: Callable[..., pd.DataFrame], column: str, arguments: dict[str, Any]
) -> list[Any]:
    return get_table(**arguments)[column].unique().tolist()
