"""How much of a session each size of the survey simulates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from spikehouse.errors import InvalidArgumentError, describe_choices

__all__ = ["SIZES", "Size", "SizeOptions", "get_size"]

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
