"""Sessions, probes, channels and units, joined and counted."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from spikehouse.catalogue.filters import LISTED_UNITS, UnitFilter, filter_units
from spikehouse.schema.cache_tables import UNIT_RENAMES

__all__ = ["SurveyTables", "list_channels", "list_probes", "list_sessions", "list_units"]

NOT_REGISTERED = -1000
CCF_COLUMNS = (
    "anterior_posterior_ccf_coordinate",
    "dorsal_ventral_ccf_coordinate",
    "left_right_ccf_coordinate",
)
SESSION_COLUMNS_HIDDEN = ("has_nwb", "isi_experiment_id", "date_of_acquisition")
_HIDDEN_BELOW_SESSIONS = (
    "air_channel_index",
    "surface_channel_index",
    "date_of_acquisition",
    "published_at",
    "specimen_id",
    "session_type",
    "isi_experiment_id",
    "age_in_days",
    "sex",
    "genotype",
    "has_nwb",
    "lfp_temporal_subsampling_factor",
)
PROBE_COLUMNS_HIDDEN = _HIDDEN_BELOW_SESSIONS
# "name" is among them, so the promised rename to probe_name shows only with another `suppress`
CHANNEL_COLUMNS_HIDDEN = (*_HIDDEN_BELOW_SESSIONS, "name")
UNIT_COLUMNS_HIDDEN = (
    "air_channel_index",
    "surface_channel_index",
    "has_nwb",
    "lfp_temporal_subsampling_factor",
    "epoch_name_quality_metrics",
    "epoch_name_waveform_metrics",
    "isi_experiment_id",
)


@dataclass(frozen=True)
class SurveyTables:
    """The four tables of a survey as they lie in the cache folder, and their joins.

    Attributes
    ----------
    sessions, probes, channels, units
        Index ``id``, columns as in :mod:`spikehouse.schema.cache_tables`. They are never
        changed.

    Notes
    -----
    Joins that every listing needs are made once and kept: about 40 MB for the whole survey.
    """

    sessions: pd.DataFrame
    probes: pd.DataFrame
    channels: pd.DataFrame
    units: pd.DataFrame

    @cached_property
    def annotated_probes(self) -> pd.DataFrame:
        """Probes joined with their session; the LFP rate is the one of the released files."""
        probes = self.probes
        rate, factor = "lfp_sampling_rate", "lfp_temporal_subsampling_factor"
        if {rate, factor} <= set(probes.columns):
            probes = probes.assign(**{rate: probes[rate] / probes[factor]})
        return join_parents(
            probes, self.sessions, key="ecephys_session_id", suffixes=("_probe", "_session")
        )

    @cached_property
    def annotated_channels(self) -> pd.DataFrame:
        """Channels joined with their probe and session; unregistered coordinates are NaN."""
        return join_parents(
            mask_unregistered(self.channels),
            self.annotated_probes,
            key="ecephys_probe_id",
            suffixes=("_channel", "_probe"),
        )

    @cached_property
    def brain_channel_ids(self) -> pd.Index:
        """Ids of the channels that lie in a structure."""
        return self.channels.index[self.channels["ecephys_structure_id"].notna()]

    def select_units(self, filters: UnitFilter) -> pd.DataFrame:
        """Filter the units and give their columns the names users know.

        Parameters
        ----------
        filters
            The limits a unit must keep.

        Returns
        -------
        DataFrame
            Index ``id``; see :func:`spikehouse.catalogue.filters.filter_units`.
        """
        kept = filter_units(self.units, filters=filters, brain_channel_ids=self.brain_channel_ids)
        return kept.rename(columns=dict(UNIT_RENAMES))


def list_sessions(tables: SurveyTables, *, suppress: Iterable[str] | None = None) -> pd.DataFrame:
    """List the sessions with what was recorded in them.

    Parameters
    ----------
    tables
        The survey.
    suppress
        Columns to leave out; by default has_nwb, isi_experiment_id and date_of_acquisition.

    Returns
    -------
    DataFrame
        Index ``id``. ``unit_count`` holds the units within the default limits;
        ``ecephys_structure_acronyms`` an array, with NaN for channels outside the brain.
    """
    channels = tables.annotated_channels
    units = _place_units(tables)
    sessions = tables.sessions.assign(
        unit_count=_count(tables.sessions, units["ecephys_session_id"]),
        channel_count=_count(tables.sessions, channels["ecephys_session_id"]),
        probe_count=_count(tables.sessions, tables.annotated_probes["ecephys_session_id"]),
        ecephys_structure_acronyms=_collect_structures(
            tables.sessions, channels, key="ecephys_session_id"
        ),
    )
    sessions = _suppress(sessions, suppress, SESSION_COLUMNS_HIDDEN)
    return sessions.rename(columns={"genotype": "full_genotype"})


def list_probes(tables: SurveyTables, *, suppress: Iterable[str] | None = None) -> pd.DataFrame:
    """List the probes with what was recorded on them.

    Parameters
    ----------
    tables
        The survey.
    suppress
        Columns to leave out; by default those of the session and the channel indices.

    Returns
    -------
    DataFrame
        Index ``id``; ``lfp_sampling_rate`` [Hz] is the rate of the released LFP.
    """
    channels = tables.annotated_channels
    probes = tables.annotated_probes
    probes = probes.assign(
        unit_count=_count(probes, _place_units(tables)["ecephys_probe_id"]),
        channel_count=_count(probes, channels["ecephys_probe_id"]),
        ecephys_structure_acronyms=_collect_structures(probes, channels, key="ecephys_probe_id"),
    )
    return _suppress(probes, suppress, PROBE_COLUMNS_HIDDEN)


def list_channels(tables: SurveyTables, *, suppress: Iterable[str] | None = None) -> pd.DataFrame:
    """List the channels of every probe.

    Parameters
    ----------
    tables
        The survey.
    suppress
        Columns to leave out; by default those of the session and the name of the probe.

    Returns
    -------
    DataFrame
        Index ``id``; positions on the probe and CCF coordinates in µm, NaN where the channel
        was not registered.
    """
    units = tables.select_units(LISTED_UNITS)
    channels = tables.annotated_channels
    channels = channels.assign(unit_count=_count(channels, units["ecephys_channel_id"]))
    channels = _suppress(channels, suppress, CHANNEL_COLUMNS_HIDDEN)
    return channels.rename(columns={"name": "probe_name"})


def list_units(
    tables: SurveyTables,
    *,
    filters: UnitFilter | None = None,
    suppress: Iterable[str] | None = None,
) -> pd.DataFrame:
    """List the units with their channel, probe and session.

    Parameters
    ----------
    tables
        The survey.
    filters
        The limits a unit must keep; the usual ones by default.
    suppress
        Columns to leave out; by default a few that only matter inside the Institute.

    Returns
    -------
    DataFrame
        Index ``id``. Units are filtered first and joined after.
    """
    units = join_parents(
        tables.select_units(filters or LISTED_UNITS),
        tables.annotated_channels,
        key="ecephys_channel_id",
        suffixes=("_unit", "_channel"),
    )
    return _suppress(units, suppress, UNIT_COLUMNS_HIDDEN)


def join_parents(
    children: pd.DataFrame, parents: pd.DataFrame, *, key: str, suffixes: tuple[str, str]
) -> pd.DataFrame:
    """Give every row the columns of the row it belongs to.

    Parameters
    ----------
    children
        Rows to complete.
    parents
        What they belong to, by index.
    key
        The column of ``children`` that holds the parent's id.
    suffixes
        For columns that both have.

    Returns
    -------
    DataFrame
        Rows without a parent are left out. Rows of one parent stand together, parents in the
        order in which the children name them first: the order of existing notebooks, whatever
        the version of pandas.
    """
    merged = children.merge(parents, how="inner", left_on=key, right_index=True, suffixes=suffixes)
    codes, _ = pd.factorize(merged[key])
    if (np.diff(codes) >= 0).all():
        return merged
    return merged.iloc[np.argsort(codes, kind="stable")]


def mask_unregistered(channels: pd.DataFrame) -> pd.DataFrame:
    """Say NaN where a coordinate was not measured.

    Parameters
    ----------
    channels
        With the three CCF coordinates [µm].

    Returns
    -------
    DataFrame
        The same, the coordinates as floats; -1000, which the tables write for "not
        registered", is NaN.
    """
    masked = {}
    for name in CCF_COLUMNS:
        values = channels[name].astype(np.float64)
        masked[name] = values.mask(values == NOT_REGISTERED)
    return channels.assign(**masked)


def _place_units(tables: SurveyTables) -> pd.DataFrame:
    """Say on which probe and in which session each well isolated unit was recorded."""
    units = tables.select_units(LISTED_UNITS)
    places = tables.annotated_channels[["ecephys_probe_id", "ecephys_session_id"]]
    return places.reindex(units["ecephys_channel_id"].to_numpy()).dropna()


def _count(owners: pd.DataFrame, owner_ids: pd.Series[Any]) -> pd.Series[int]:
    counts = owner_ids.value_counts().reindex(owners.index, fill_value=0)
    return counts.astype(np.int64)


def _collect_structures(
    owners: pd.DataFrame, channels: pd.DataFrame, *, key: str
) -> pd.Series[Any]:
    # first the few distinct pairs: grouping every channel would take ten times as long
    pairs = channels[[key, "ecephys_structure_acronym"]].drop_duplicates()
    acronyms = pairs["ecephys_structure_acronym"].astype(object)
    found: dict[Hashable, Any] = {
        owner: group.to_numpy() for owner, group in acronyms.groupby(pairs[key], sort=False)
    }
    nothing = np.empty(0, dtype=object)
    values = np.empty(len(owners), dtype=object)
    for row, owner in enumerate(owners.index):
        values[row] = found.get(owner, nothing)
    return pd.Series(values, index=owners.index)


def _suppress(
    frame: pd.DataFrame, asked: Iterable[str] | None, default: tuple[str, ...]
) -> pd.DataFrame:
    names = default if asked is None else tuple(asked)
    return frame.drop(columns=list(names), errors="ignore")
