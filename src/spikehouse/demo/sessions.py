"""The twelve sessions: animals, dates, special cases, and the random streams of their parts."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spikehouse.errors import SessionNotFoundError, describe_choices

__all__ = ["SESSIONS", "SessionFacts", "get_session_facts", "make_rng"]

SessionType = Literal["brain_observatory_1.1", "functional_connectivity"]
AI32 = "Ai32(RCL-ChR2(H134R)_EYFP)/wt"


@dataclass(frozen=True)
class SessionFacts:
    """Properties of a session that do not depend on size and seed."""

    id: int
    session_type: SessionType
    genotype: str
    sex: Literal["M", "F"]
    age_in_days: float
    specimen_id: int
    isi_experiment_id: int
    subject_id: int
    # driver, reporter and tag number of the animal
    specimen_name: str
    # local time with its offset from UTC
    start_time: str
    # UTC
    date_of_acquisition: str
    rig: str
    # whether drifting gratings of several contrasts were shown
    has_contrast: bool
    has_eye_tracking: bool
    has_invalid_times: bool
    # empty if all probes have LFP
    probe_without_lfp: str


def _make(
    number: int,
    line: str,
    sex: Literal["M", "F"],
    age_in_days: float,
    start_time: str,
    date_of_acquisition: str,
    *,
    rig: str = "NP.1",
    has_contrast: bool = False,
    has_eye_tracking: bool = True,
    has_invalid_times: bool = False,
    probe_without_lfp: str = "",
) -> SessionFacts:
    tag = 401_317 + 2_153 * number
    is_first_set = number <= 8
    return SessionFacts(
        id=900_000_000 + number,
        session_type="brain_observatory_1.1" if is_first_set else "functional_connectivity",
        genotype=f"{line}-IRES-Cre/wt;{AI32}" if line else "wt/wt",
        sex=sex,
        age_in_days=age_in_days,
        specimen_id=901_000_400 + 1_317 * number,
        isi_experiment_id=902_000_100 + 2_091 * number,
        subject_id=901_000_390 + 1_317 * number,
        specimen_name=f"{line}-IRES-Cre;Ai32-{tag}" if line else f"C57BL/6J-{tag}",
        start_time=start_time,
        date_of_acquisition=date_of_acquisition,
        rig=rig,
        has_contrast=has_contrast or not is_first_set,
        has_eye_tracking=has_eye_tracking,
        has_invalid_times=has_invalid_times,
        probe_without_lfp=probe_without_lfp,
    )


# fmt: off
_ALL = (
    _make(1, "", "M", 118.0, "2019-01-08T13:55:01-08:00", "2019-01-09T00:26:20Z"),
    _make(2, "Sst", "M", 122.0, "2019-01-15T14:10:23-08:00", "2019-01-16T00:31:02Z",
          has_invalid_times=True),
    _make(3, "Pvalb", "F", 98.0, "2019-01-22T13:41:37-08:00", "2019-01-23T00:12:45Z",
          probe_without_lfp="probeA"),
    _make(4, "", "M", 131.0, "2019-02-05T14:02:12-08:00", "2019-02-06T00:35:51Z",
          rig="NP.0", has_eye_tracking=False),
    _make(5, "Vip", "F", 110.0, "2019-02-12T13:50:44-08:00", "2019-02-13T00:20:17Z"),
    _make(6, "Pvalb", "M", 116.0, "2019-03-12T14:21:08-07:00", "2019-03-12T23:55:40Z",
          has_contrast=True),
    _make(7, "", "F", 126.0, "2019-03-26T13:35:59-07:00", "2019-03-26T23:10:03Z", rig="NP.0"),
    _make(8, "Sst", "M", 119.0, "2019-04-09T14:05:30-07:00", "2019-04-09T23:41:29Z",
          has_contrast=True),
    _make(9, "", "M", 108.0, "2019-04-23T13:48:16-07:00", "2019-04-23T23:22:38Z"),
    _make(10, "Pvalb", "M", 103.0, "2019-05-14T14:15:52-07:00", "2019-05-14T23:50:11Z"),
    _make(11, "Vip", "M", 135.0, "2019-06-04T13:58:27-07:00", "2019-06-04T23:33:56Z", rig="NP.0"),
    _make(12, "", "F", 141.0, "2019-06-18T14:08:41-07:00", "2019-06-18T23:44:25Z"),
)
# fmt: on
SESSIONS: dict[int, SessionFacts] = {facts.id: facts for facts in _ALL}


def get_session_facts(session_id: int) -> SessionFacts:
    """Return the properties of a session, or raise SessionNotFoundError."""
    facts = SESSIONS.get(int(session_id))
    if facts is None:
        raise SessionNotFoundError(
            f"the demo survey has no session {session_id}: {describe_choices(session_id, SESSIONS)}"
        )
    return facts


def make_rng(seed: int, *keys: int | str) -> np.random.Generator:
    """Return the random generator for a purpose, such as a session id and ``"running"``."""
    # equal keys give equal numbers, whatever else was drawn before and in which thread
    words = [zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))
