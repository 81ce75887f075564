"""Sessions, probes, channels and units, joined and counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spikehouse.catalogue.filters import LISTED_UNITS, UnitFilter, mask_units
from spikehouse.catalogue.joins import Joined, join
from spikehouse.schema.cache_tables import UNIT_RENAMES

NOT_REGISTERED = -1000
CCF_COLUMNS = (
    "anterior_posterior_ccf_coordinate",
    "dorsal_ventral_ccf_coordinate",
    "left_right_ccf_coordinate",
)
SESSION_COLUMNS_HIDDEN = ("has_nwb", "isi_experiment_id", "date_of_acquisition")
_HIDDEN_BELOW_SESSIONS = (
    "air_channel_index", "surface_channel_index", "date_of_acquisition", "published_at",
    "specimen_id", "session_type", "isi_experiment_id", "age_in_days", "sex", "genotype", "has_nwb",
    "lfp_temporal_subsampling_factor",
)  # fmt: skip
PROBE_COLUMNS_HIDDEN = _HIDDEN_BELOW_SESSIONS
# "name" is among them, so the promised rename to probe_name shows only with another `suppress`
CHANNEL_COLUMNS_HIDDEN = (*_HIDDEN_BELOW_SESSIONS, "name")
UNIT_COLUMNS_HIDDEN = (
    "air_channel_index", "surface_channel_index", "has_nwb", "lfp_temporal_subsampling_factor",
    "epoch_name_quality_metrics", "epoch_name_waveform_metrics", "isi_experiment_id",
)  # fmt: skip

# the only columns of the two long tables that list_sessions and list_probes need
COUNTED_COLUMNS: Mapping[Literal["channels", "units"], tuple[str, ...]] = {
    "channels": ("ecephys_probe_id", "ecephys_structure_acronym"),
    "units": (
        "ecephys_channel_id", "amplitude_cutoff", "presence_ratio", "isi_violations", "quality",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class SurveyTables:
    """The four tables of a survey, with ``id`` as index, and their joins."""

    sessions: pd.DataFrame
    probes: pd.DataFrame
    channels: pd.DataFrame
    units: pd.DataFrame

    @cached_property
    def joined_probes(self) -> Joined:
        """Probes joined with their session; the LFP rate is that of the released files."""
        probes = self.probes
        rate, factor = "lfp_sampling_rate", "lfp_temporal_subsampling_factor"
        if {rate, factor} <= set(probes.columns):
            probes = probes.assign(**{rate: probes[rate] / probes[factor]})
        return join(
            Joined.of(probes),
            Joined.of(self.sessions),
            key="ecephys_session_id",
            suffixes=("_probe", "_session"),
        )

    @cached_property
    def joined_channels(self) -> Joined:
        """Channels joined with their probe and session; unregistered coordinates are NaN."""
        return join(
            Joined.of(mask_unregistered(self.channels)),
            self.joined_probes,
            key="ecephys_probe_id",
            suffixes=("_channel", "_probe"),
        )

    @cached_property
    def brain_channel_ids(self) -> pd.Index:
        """Ids of the channels inside a brain structure."""
        return self.channels.index[self.channels["ecephys_structure_id"].notna()]

    def select_units(self, filters: UnitFilter) -> NDArray[np.intp]:
        """Return the row numbers of the units that meet every limit."""
        brain = self.brain_channel_ids if filters.filter_out_of_brain_units else None
        return np.flatnonzero(mask_units(self.units, filters=filters, brain_channel_ids=brain))


def list_sessions(tables: SurveyTables, *, suppress: Iterable[str] | None = None) -> pd.DataFrame:
    """Return the table of sessions, with counts and structures; ``suppress`` hides columns."""
    key = "ecephys_session_id"
    ids = tables.sessions.index
    sessions = tables.sessions.assign(
        unit_count=_count(ids, _place_units(tables, key)),
        channel_count=_count(ids, tables.joined_channels.read(key)),
        probe_count=_count(ids, tables.joined_probes.read(key)),
        ecephys_structure_acronyms=_collect_structures(ids, tables.joined_channels, key=key),
    )
    sessions = _suppress(sessions, suppress, SESSION_COLUMNS_HIDDEN)
    return sessions.rename(columns={"genotype": "full_genotype"})


def list_probes(tables: SurveyTables, *, suppress: Iterable[str] | None = None) -> pd.DataFrame:
    """Return the table of probes; ``lfp_sampling_rate`` [Hz] is that of the released LFP."""
    key = "ecephys_probe_id"
    probes = tables.joined_probes.to_frame()
    probes = probes.assign(
        unit_count=_count(probes.index, _place_units(tables, key)),
        channel_count=_count(probes.index, tables.joined_channels.read(key)),
        ecephys_structure_acronyms=_collect_structures(
            probes.index, tables.joined_channels, key=key
        ),
    )
    return _suppress(probes, suppress, PROBE_COLUMNS_HIDDEN)


def list_channels(tables: SurveyTables, *, suppress: Iterable[str] | None = None) -> pd.DataFrame:
    """Return the table of channels; positions and CCF coordinates [µm] may be NaN."""
    hidden = CHANNEL_COLUMNS_HIDDEN if suppress is None else tuple(suppress)
    units = tables.units["ecephys_channel_id"].iloc[tables.select_units(LISTED_UNITS)]
    channels = tables.joined_channels.to_frame(hidden=hidden)
    if "unit_count" not in hidden:
        channels = channels.assign(unit_count=_count(channels.index, units))
    return channels.rename(columns={"name": "probe_name"})


def list_units(
    tables: SurveyTables,
    *,
    filters: UnitFilter | None = None,
    suppress: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Return the units that meet the limits, with their channel, probe and session."""
    filters = filters or LISTED_UNITS
    units = tables.units
    if filters.filter_by_validity:
        units = units.drop(columns="quality", errors="ignore")
    kept = Joined.of(units, renames=UNIT_RENAMES).take(tables.select_units(filters))
    joined = join(
        kept, tables.joined_channels, key="ecephys_channel_id", suffixes=("_unit", "_channel")
    )
    return joined.to_frame(hidden=UNIT_COLUMNS_HIDDEN if suppress is None else tuple(suppress))


def mask_unregistered(channels: pd.DataFrame) -> pd.DataFrame:
    """Return the channels with CCF coordinates as floats, NaN where not registered."""
    masked = {}
    for name in [name for name in CCF_COLUMNS if name in channels.columns]:
        values = channels[name].astype(np.float64)
        masked[name] = values.mask(values == NOT_REGISTERED)
    return channels.assign(**masked)


def _place_units(tables: SurveyTables, key: str) -> NDArray[Any]:
    """Return the probe or session id of every well isolated unit."""
    channel_ids = tables.units["ecephys_channel_id"].to_numpy()[tables.select_units(LISTED_UNITS)]
    rows = tables.joined_channels.index.get_indexer(pd.Index(channel_ids))
    return np.asarray(tables.joined_channels.read(key))[rows[rows >= 0]]


def _count(owner_ids: pd.Index, found: NDArray[Any] | pd.Series[Any]) -> pd.Series[int]:
    counts = pd.Series(found).value_counts().reindex(owner_ids, fill_value=0)
    return counts.astype(np.int64)


def _collect_structures(owner_ids: pd.Index, channels: Joined, *, key: str) -> pd.Series[Any]:
    # factorized first: grouping every channel by its acronym takes ten times as long
    owners, ids = pd.factorize(np.asarray(channels.read(key)))
    words, acronyms = pd.factorize(channels.read("ecephys_structure_acronym"))
    names = np.append(np.asarray(acronyms, dtype=object), np.nan)
    # no acronym is -1, which finds the NaN at the end
    pairs = pd.unique(owners * len(names) + words % len(names))
    owners, words = np.divmod(pairs, len(names))
    found = {owner: names[words[owners == code]] for code, owner in enumerate(ids)}
    nothing = np.empty(0, dtype=object)
    values = np.empty(len(owner_ids), dtype=object)
    for row, owner in enumerate(owner_ids):
        values[row] = found.get(owner, nothing)
    return pd.Series(values, index=owner_ids)


def _suppress(
    frame: pd.DataFrame, asked: Iterable[str] | None, default: tuple[str, ...]
) -> pd.DataFrame:
    names = default if asked is None else tuple(asked)
    return frame.drop(columns=list(names), errors="ignore")
