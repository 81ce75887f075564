"""The first steps: list the sessions, choose and open one, select its units and a stimulus."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
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
from spikehouse.quickstart.options import QuickstartOptions
from spikehouse.report import Log

if TYPE_CHECKING:
    from spikehouse.cache import EcephysProjectCache
    from spikehouse.session import EcephysSession

SCENES_TYPE = "brain_observatory_1.1"
SHOWN_COLUMNS = (
    "session_type", "age_in_days", "sex", "full_genotype", "unit_count", "channel_count",
    "probe_count",
)  # fmt: skip
SHOWN_UNIT_COLUMNS = (
    "ecephys_structure_acronym", "probe_description", "probe_vertical_position", "firing_rate",
    "snr",
)  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """An open session and the selected units."""

    session: EcephysSession
    session_id: int | None
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
    recorded = [list(areas) for areas in sessions["ecephys_structure_acronyms"]]
    with_area = sessions[[options.area in areas for areas in recorded]]
    with_scenes = with_area[with_area["session_type"] == SCENES_TYPE]
    chosen = with_scenes if len(with_scenes) else with_area
    if chosen.empty:
        areas = sorted({a for areas in recorded for a in areas if isinstance(a, str)})
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


def _as_text(value: object) -> str:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        # channels outside the brain lie in no structure
        return ", ".join("(none)" if pd.isna(item) else str(item) for item in value)
    return str(value)


if TYPE_CHECKING:
    from spikehouse.session import EcephysSession

BLANK = -1


@dataclass(frozen=True)
class Decodable:
    """A stimulus and the parameter to decode."""

    stimulus_name: str
    parameter: str
    title: str
    class_name: str
    short_name: str
    has_images: bool = False
    duration: float = 0.25

    def names(self, labels: Iterable[Any]) -> dict[Any, str]:
        """Return the text of each label, a number or a word, for figures."""
        names = {n: n if isinstance(n, str) else f"{n:g}" for n in labels}
        return names | ({BLANK: "blank"} if self.has_images and BLANK in names else {})


DECODABLE = (
    Decodable("natural_scenes", "frame", "natural scenes", "image", "image", has_images=True),
    Decodable(
        "drifting_gratings", "orientation", "drifting gratings", "direction (°)", "direction"
    ),
    Decodable(
        "drifting_gratings_75_repeats",
        "orientation",
        "drifting gratings (75 repeats)",
        "direction (°)",
        "direction",
    ),
    Decodable(
        "static_gratings", "orientation", "static gratings", "orientation (°)", "orientation"
    ),
)


def choose_stimulus(session: EcephysSession) -> Decodable:
    """Return natural scenes if they were shown, otherwise the first kind of gratings."""
    shown = set(session.stimulus_names)
    for stimulus in DECODABLE:
        if stimulus.stimulus_name in shown:
            return stimulus
    wanted = ", ".join(stimulus.stimulus_name for stimulus in DECODABLE)
    raise NotFoundError(
        f"session {session.ecephys_session_id} has none of the stimuli that can be decoded "
        f"({wanted}); it has {', '.join(sorted(map(str, shown)))}"
    )


def list_presentations(
    session: EcephysSession, stimulus: Decodable
) -> tuple[pd.DataFrame, Decodable, int]:
    """Return the presentations with a value, the stimulus, and the number left out."""
    table = session.get_stimulus_table(stimulus.stimulus_name)
    values = pd.to_numeric(table[stimulus.parameter], errors="coerce")
    is_known = values.notna()
    known = table[is_known].assign(**{stimulus.parameter: values[is_known].astype(float)})
    if (known[stimulus.parameter] % 1 == 0).all():
        known = known.astype({stimulus.parameter: int})
    duration = float((known["stop_time"] - known["start_time"]).median())
    return known, replace(stimulus, duration=duration), int((~is_known).sum())
