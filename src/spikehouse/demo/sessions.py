"""The twelve sessions, how much of each the sizes of the survey simulate, and random streams."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from spikehouse.errors import InvalidArgumentError, SessionNotFoundError, describe_choices

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
    # whether drifting gratings of several contrasts were shown
    has_contrast: bool
    has_nwb: bool = True
    published_at: str = "2019-10-03T00:00:00Z"
    rig: str = "NP.1"
    has_eye_tracking: bool = True
    has_invalid_times: bool = False
    # empty if all probes have LFP
    probe_without_lfp: str = ""


def _make(
    number: int,
    line: str,
    sex: Literal["M", "F"],
    age_in_days: float,
    start_time: str,
    date_of_acquisition: str,
    **special: Any,  # noqa: ANN401 - the last fields of SessionFacts
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
        **{"has_contrast": not is_first_set, **special},
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


Size = Literal["tiny", "small", "full"]


@dataclass(frozen=True)
class SizeOptions:
    """How much of a session is simulated."""

    name: Size
    probe_letters: str
    # fewest and most units of a probe
    n_units_range: tuple[int, int]
    # units of probe C in VISp (0: by chance), elsewhere, and in VISp with passing quality
    n_visp_units: int
    n_other_units: int
    n_visp_passing: int
    # share of the other units that pass the default filters; about 40 % of all do
    p_passing: float
    # first stimulus, pause between blocks, and the three long spontaneous periods
    start_s: float
    gap_s: float
    spontaneous_s: tuple[float, float, float]
    n_gabors: int
    n_flashes: int
    n_drifting_gratings: int
    n_drifting_blanks: int
    n_static_gratings: int
    n_static_blanks: int
    n_scenes: int
    n_scene_repeats: int
    # of the image features from trial to trial: smaller where there are fewer units and repeats, so
    # that images can be decoded about as well in every size
    feature_jitter: float
    n_movie_one_frames: int
    n_movie_three_frames: int
    # in each of the two blocks of a movie
    n_movie_one_repeats: int
    n_movie_three_repeats: int
    # of each condition
    n_contrast_repeats: int
    n_drifting_75_repeats: int
    n_dot_motion: int
    n_optotagging: int
    running_hz: float
    eye_hz: float
    # the LFP has one of so many channels
    lfp_channel_step: int
    # LFP before the first and after the last flash; None for all
    lfp_margin_s: tuple[float, float] | None
    waveform_dtype: Literal["float32", "float64"]


_TABLE: dict[str, tuple[Any, Any, Any]] = {
    "name": ("tiny", "small", "full"),
    "probe_letters": ("AC", "ACD", "ABCDEF"),
    "n_units_range": ((20, 20), (24, 26), (248, 332)),
    "n_visp_units": (11, 44, 0),
    "n_other_units": (9, 14, 0),
    "n_visp_passing": (6, 30, 0),
    "p_passing": (0.33, 0.26, 0.405),
    "start_s": (2.0, 5.0, 27.0),
    "gap_s": (0.5, 4.0, 30.0),
    "spontaneous_s": ((3.0, 3.0, 2.0), (20.0, 20.0, 15.0), (60.0, 289.0, 301.0)),
    "n_gabors": (81, 972, 3645),
    "n_flashes": (8, 44, 150),
    "n_drifting_gratings": (8, 120, 600),
    "n_drifting_blanks": (1, 6, 30),
    "n_static_gratings": (24, 360, 5880),
    "n_static_blanks": (2, 12, 120),
    "n_scenes": (10, 118, 118),
    "n_scene_repeats": (2, 10, 50),
    "feature_jitter": (0.2, 0.2, 0.45),
    "n_movie_one_frames": (30, 150, 900),
    "n_movie_three_frames": (45, 300, 3600),
    "n_movie_one_repeats": (1, 3, 10),
    "n_movie_three_repeats": (1, 2, 5),
    "n_contrast_repeats": (0, 2, 15),
    "n_drifting_75_repeats": (1, 12, 75),
    "n_dot_motion": (8, 66, 495),
    "n_optotagging": (8, 36, 180),
    "running_hz": (60.0, 30.0, 60.0),
    "eye_hz": (30.0, 15.0, 30.0),
    "lfp_channel_step": (16, 8, 4),
    "lfp_margin_s": ((2.0, 2.0), (10.0, 20.0), None),
    "waveform_dtype": ("float32", "float32", "float64"),
}
SIZES: dict[str, SizeOptions] = {
    values[0]: SizeOptions(**dict(zip(_TABLE, values, strict=True)))
    for values in zip(*_TABLE.values(), strict=True)
}


def get_size(name: str) -> SizeOptions:
    """Return the options of a size, or raise InvalidArgumentError."""
    if name not in SIZES:
        raise InvalidArgumentError(
            f"size {name!r} is not a size of the demo survey: {describe_choices(name, SIZES)}"
        )
    return SIZES[name]
