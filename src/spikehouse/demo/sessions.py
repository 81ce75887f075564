"""The twelve sessions: who was recorded, when, and what is special about each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spikehouse.errors import SessionNotFoundError, describe_choices

__all__ = ["SESSIONS", "SessionFacts", "get_session_facts"]

SessionType = Literal["brain_observatory_1.1", "functional_connectivity"]
AI32 = "Ai32(RCL-ChR2(H134R)_EYFP)/wt"


@dataclass(frozen=True)
class SessionFacts:
    """What is fixed about a session, whatever the size and the seed.

    Attributes
    ----------
    id
        The session.
    session_type
        Which of the two stimulus sets was shown.
    genotype
        Full genotype.
    sex, age_in_days, specimen_id, isi_experiment_id, subject_id
        Of the animal.
    specimen_name
        Its name, made of driver, reporter and tag number.
    start_time
        Local start of the recording, ISO 8601 with its offset from UTC.
    date_of_acquisition
        When the recording was registered (UTC).
    rig
        Where it was made.
    has_contrast
        Whether drifting gratings of several contrasts were shown.
    has_eye_tracking
        Whether there is eye tracking.
    has_invalid_times
        Whether intervals are marked invalid.
    probe_without_lfp
        The probe whose LFP was lost, or an empty string.
    """

    id: int
    session_type: SessionType
    genotype: str
    sex: Literal["M", "F"]
    age_in_days: float
    specimen_id: int
    isi_experiment_id: int
    subject_id: int
    specimen_name: str
    start_time: str
    date_of_acquisition: str
    rig: str = "NP.1"
    has_contrast: bool = False
    has_eye_tracking: bool = True
    has_invalid_times: bool = False
    probe_without_lfp: str = ""

    @property
    def driver(self) -> str:
        """The Cre line, such as ``"Pvalb"``; empty for wild type."""
        return self.genotype.split("-IRES")[0] if "-IRES" in self.genotype else ""


def _make(
    number: int,
    line: str,
    animal: tuple[Literal["M", "F"], float],
    start_time: str,
    acquired: str,
    *,
    rig: str = "NP.1",
    has_contrast: bool = False,
    has_eye_tracking: bool = True,
    has_invalid_times: bool = False,
    probe_without_lfp: str = "",
) -> SessionFacts:
    genotype = f"{line}-IRES-Cre/wt;{AI32}" if line else "wt/wt"
    tag = 401_317 + 2_153 * number
    is_first_set = number <= 8
    return SessionFacts(
        id=900_000_000 + number,
        session_type="brain_observatory_1.1" if is_first_set else "functional_connectivity",
        genotype=genotype,
        sex=animal[0],
        age_in_days=animal[1],
        specimen_id=901_000_400 + 1_317 * number,
        isi_experiment_id=902_000_100 + 2_091 * number,
        subject_id=901_000_390 + 1_317 * number,
        specimen_name=f"{line}-IRES-Cre;Ai32-{tag}" if line else f"C57BL/6J-{tag}",
        start_time=start_time,
        date_of_acquisition=acquired,
        rig=rig,
        has_contrast=has_contrast or not is_first_set,
        has_eye_tracking=has_eye_tracking,
        has_invalid_times=has_invalid_times,
        probe_without_lfp=probe_without_lfp,
    )


_ALL = (
    _make(1, "", ("M", 118.0), "2019-01-08T13:55:01-08:00", "2019-01-09T00:26:20Z"),
    _make(
        2,
        "Sst",
        ("M", 122.0),
        "2019-01-15T14:10:23-08:00",
        "2019-01-16T00:31:02Z",
        has_invalid_times=True,
    ),
    _make(
        3,
        "Pvalb",
        ("F", 98.0),
        "2019-01-22T13:41:37-08:00",
        "2019-01-23T00:12:45Z",
        probe_without_lfp="probeA",
    ),
    _make(
        4,
        "",
        ("M", 131.0),
        "2019-02-05T14:02:12-08:00",
        "2019-02-06T00:35:51Z",
        rig="NP.0",
        has_eye_tracking=False,
    ),
    _make(5, "Vip", ("F", 110.0), "2019-02-12T13:50:44-08:00", "2019-02-13T00:20:17Z"),
    _make(
        6,
        "Pvalb",
        ("M", 116.0),
        "2019-03-12T14:21:08-07:00",
        "2019-03-12T23:55:40Z",
        has_contrast=True,
    ),
    _make(7, "", ("F", 126.0), "2019-03-26T13:35:59-07:00", "2019-03-26T23:10:03Z", rig="NP.0"),
    _make(
        8,
        "Sst",
        ("M", 119.0),
        "2019-04-09T14:05:30-07:00",
        "2019-04-09T23:41:29Z",
        has_contrast=True,
    ),
    _make(9, "", ("M", 108.0), "2019-04-23T13:48:16-07:00", "2019-04-23T23:22:38Z"),
    _make(10, "Pvalb", ("M", 103.0), "2019-05-14T14:15:52-07:00", "2019-05-14T23:50:11Z"),
    _make(11, "Vip", ("M", 135.0), "2019-06-04T13:58:27-07:00", "2019-06-04T23:33:56Z", rig="NP.0"),
    _make(12, "", ("F", 141.0), "2019-06-18T14:08:41-07:00", "2019-06-18T23:44:25Z"),
)
SESSIONS: dict[int, SessionFacts] = {facts.id: facts for facts in _ALL}


def get_session_facts(session_id: int) -> SessionFacts:
    """Look up a session.

    Parameters
    ----------
    session_id
        One of 900000001 … 900000012.

    Returns
    -------
    SessionFacts
        What is fixed about it.

    Raises
    ------
    SessionNotFoundError
        If the demo survey has no such session.
    """
    facts = SESSIONS.get(int(session_id))
    if facts is None:
        raise SessionNotFoundError(
            f"the demo survey has no session {session_id}: {describe_choices(session_id, SESSIONS)}"
        )
    return facts
