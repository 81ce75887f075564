"""The first steps: list the sessions, choose one, open it, select units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import (
    InvalidFileError,
    NotFoundError,
    SessionNotFoundError,
    describe_choices,
)
from spikehouse.quickstart.log import Log
from spikehouse.quickstart.options import QuickstartOptions

if TYPE_CHECKING:
    from spikehouse.cache import EcephysProjectCache
    from spikehouse.session import EcephysSession

SCENES_TYPE = "brain_observatory_1.1"
SHOWN_COLUMNS = (
    "session_type",
    "age_in_days",
    "sex",
    "full_genotype",
    "unit_count",
    "channel_count",
    "probe_count",
)
SHOWN_UNIT_COLUMNS = (
    "ecephys_structure_acronym",
    "probe_description",
    "probe_vertical_position",
    "firing_rate",
    "snr",
)


@dataclass(frozen=True)
class Recording:
    """An open session and the selected units."""

    session: EcephysSession
    session_id: int
    file: str
    area: str
    units: pd.DataFrame
    unit_rule: str
    read_template: Callable[[int], npt.NDArray[Any]] | None

    @property
    def title(self) -> str:
        """Area and session, for the titles of figures."""
        simulated = " (simulated)" if self.session.is_simulated else ""
        return f"{self.area}, session {self.session_id}{simulated}"


def open_cache(options: QuickstartOptions) -> EcephysProjectCache:
    """Open the cache of the chosen source."""
    from spikehouse.cache import EcephysProjectCache
    from spikehouse.survey.manifest import find_manifest

    manifest = None if options.cache is None else find_manifest(options.cache)
    if options.source == "demo":
        return EcephysProjectCache.from_demo(manifest=manifest, size=options.size)
    if options.source == "dandi":
        # DANDI has no images; they come from the bucket
        return EcephysProjectCache.from_sources(["dandi", "s3"], manifest=manifest)
    if options.host is None:
        return EcephysProjectCache.from_sources(options.source, manifest=manifest)
    if options.source == "s3":
        return EcephysProjectCache.from_s3(manifest, base_url=f"http://{options.host}/")
    return EcephysProjectCache.from_warehouse("http", options.host, manifest=manifest)


def show_sessions(log: Log, cache: EcephysProjectCache) -> pd.DataFrame:
    """List the session types and the sessions."""
    sessions = cache.get_session_table()
    counts = sessions["session_type"].value_counts()
    log.fields({str(kind): f"{counts[kind]} sessions" for kind in cache.get_all_session_types()})
    columns = [name for name in SHOWN_COLUMNS if name in sessions.columns]
    log.table(sessions[columns], f"{len(sessions)} sessions")
    log.say(
        "unit_count includes units whose channel lies in no structure; an open session leaves them "
        "out, so its num_units may be smaller."
    )
    log.origin(
        "session types, session table, counts",
        file="sessions.csv, probes.csv, channels.csv, units.csv",
        rows="all sessions",
        units=describe_unit_rule(is_in_brain=False),
        function="EcephysProjectCache.get_all_session_types(), .get_session_table()",
    )
    return sessions


def pick_session(log: Log, sessions: pd.DataFrame, options: QuickstartOptions) -> int:
    """Return the id of the session to use."""
    if options.session_id is not None:
        if options.session_id not in sessions.index:
            ids = [int(i) for i in sessions.index]
            raise SessionNotFoundError(
                f"there is no session {options.session_id} in {options.source}: "
                f"{describe_choices(options.session_id, ids)}"
            )
        log.say(f"Session {options.session_id}, as chosen.")
        return options.session_id
    with_area = sessions[[_has(areas, options.area) for areas in _areas_of(sessions)]]
    with_scenes = with_area[with_area["session_type"] == SCENES_TYPE]
    chosen = with_scenes if len(with_scenes) else with_area
    if chosen.empty:
        areas = sorted({a for row in _areas_of(sessions) for a in row if isinstance(a, str)})
        raise NotFoundError(
            f"no session has channels in {options.area!r}: {describe_choices(options.area, areas)}"
        )
    kind = chosen["session_type"].iloc[0]
    session_id = int(chosen.index[0])
    log.say(f"Session {session_id}: the first of type {kind} with channels in {options.area}.")
    return session_id


def describe_unit_rule(area: str | None = None, *, is_in_brain: bool = True) -> str:
    """Describe the units that the default filters keep."""
    from spikehouse.catalogue.filters import UnitFilter

    limits = UnitFilter()
    where = f"in {area}, with" if area else "with"
    return (
        f"units {where} quality good, amplitude_cutoff ≤ {limits.amplitude_cutoff_maximum:g}, "
        f"presence_ratio ≥ {limits.presence_ratio_minimum:g}, "
        f"isi_violations ≤ {limits.isi_violations_maximum:g}, "
        + ("inside the brain" if is_in_brain else "inside and outside the brain")
    )


def open_file(log: Log, path: Path) -> EcephysSession:
    """Open a session file without a cache."""
    from spikehouse.session import EcephysSession

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InvalidFileError(f"{path} {what}; a session file (.nwb) is needed")
    session = EcephysSession.from_nwb_path(path)
    log.say(f"{path}: {path.stat().st_size / 1e6:,.1f} MB, opened in place.")
    log.notice(
        "A single file has no session table to choose from, and does not contain the images that "
        "were shown."
    )
    return session


def show_session(log: Log, session: EcephysSession, *, file: str) -> None:
    """List the metadata of a session."""
    metadata = session.metadata
    log.fields({name: _as_text(value) for name, value in metadata.items()})
    if session.is_simulated:
        log.notice("This session is simulated, not recorded from an animal.")
    log.origin(
        "metadata",
        file=file,
        rows="the session's own attributes; counts of its tables",
        units=describe_unit_rule(),
        function="EcephysSession.metadata",
    )


def select_units(log: Log, session: EcephysSession, area: str, *, file: str) -> pd.DataFrame:
    """Return the units of one structure, from the top of the probe downwards."""
    counts = session.structurewise_unit_counts
    log.table(counts.rename("units").to_frame().rename_axis("structure"), "units per structure")
    if area not in counts.index:
        listed = ", ".join(f"{name} ({count})" for name, count in counts.items())
        closest = describe_choices(area, [str(name) for name in counts.index])
        hint = f"{closest.partition('? ')[0]}? " if "did you mean" in closest else ""
        raise NotFoundError(
            f"session {session.ecephys_session_id} has no units in {area!r}; {hint}"
            f"Areas with units: {listed}. Choose one with --area"
        )
    units = session.units
    units = units[units["ecephys_structure_acronym"] == area]
    units = units.sort_values("probe_vertical_position", ascending=False, kind="stable")
    columns = [name for name in SHOWN_UNIT_COLUMNS if name in units.columns]
    log.table(units[columns], f"the {len(units)} units in {area}, uppermost first", max_rows=8)
    log.headline(f"units in {area}", f"{len(units)}")
    log.origin(
        "units per structure, units of the area",
        file=file,
        rows="all rows of the units table that pass",
        units=describe_unit_rule(),
        function="EcephysSession.structurewise_unit_counts, .units",
    )
    return units


def _areas_of(sessions: pd.DataFrame) -> list[Iterable[object]]:
    return [list(areas) for areas in sessions["ecephys_structure_acronyms"]]


def _has(areas: Iterable[object], area: str) -> bool:
    return any(isinstance(name, str) and name == area for name in areas)


def _as_text(value: object) -> str:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        # channels outside the brain lie in no structure
        return ", ".join("(none)" if pd.isna(item) else str(item) for item in value)
    return str(value)
