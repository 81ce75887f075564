"""How much of a session each size of the survey simulates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spikehouse.errors import InvalidArgumentError, describe_choices

__all__ = ["SIZES", "Size", "SizeOptions", "get_size"]

Size = Literal["tiny", "small", "full"]


@dataclass(frozen=True)
class SizeOptions:
    """What is simulated of a session.

    Attributes
    ----------
    name
        The size.
    probe_letters
        Which of the probes A–F are there.
    n_units_range
        Fewest and most unit rows of a probe.
    n_visp_units
        Unit rows in VISp, on probe C; 0 leaves it to chance.
    n_other_units
        Unit rows of that probe in other structures.
    n_visp_passing
        How many of them pass the default filters at least.
    p_passing
        Share of the other units that pass them: about 40 % of all.
    start_s, gap_s, spontaneous_s
        Start of the first stimulus table row, the pause between blocks, and the three long
        spontaneous periods (first, after the gabors, in the middle) [s].
    n_gabors, n_flashes, n_static_gratings, n_dot_motion
        Presentations of those stimuli.
    n_drifting_gratings, n_drifting_blanks, n_static_blanks
        Gratings and the blank sweeps among them.
    n_scenes, n_scene_repeats
        Images shown (the blank comes on top), and how often each.
    feature_jitter
        Scatter of the image features from trial to trial. It is smaller where there are fewer
        units and repeats, so that images can be told apart about as well in every size.
    n_movie_one_frames, n_movie_three_frames
        Frames of the movies.
    n_movie_one_repeats, n_movie_three_repeats
        Repeats in each of a movie's two blocks.
    n_contrast_repeats, n_drifting_75_repeats
        Repeats of each contrast condition, and of each condition of the 75-repeats stimulus.
    n_optotagging
        Light pulses.
    running_hz, eye_hz
        Sampling rates of the wheel and of the eye camera [Hz].
    lfp_channel_step
        Every how many channels the LFP is kept.
    lfp_margin_s
        How much LFP is kept before the first and after the last flash [s]; None keeps all.
    waveform_dtype
        Of the mean waveforms in the file.
    """

    name: Size
    probe_letters: str
    n_units_range: tuple[int, int]
    n_visp_units: int
    n_other_units: int
    n_visp_passing: int
    p_passing: float
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
    feature_jitter: float
    n_movie_one_frames: int
    n_movie_three_frames: int
    n_movie_one_repeats: int
    n_movie_three_repeats: int
    n_contrast_repeats: int
    n_drifting_75_repeats: int
    n_dot_motion: int
    n_optotagging: int
    running_hz: float
    eye_hz: float
    lfp_channel_step: int
    lfp_margin_s: tuple[float, float] | None
    waveform_dtype: Literal["float32", "float64"]


SIZES: dict[Size, SizeOptions] = {
    "tiny": SizeOptions(
        name="tiny",
        probe_letters="AC",
        n_units_range=(20, 20),
        n_visp_units=11,
        n_other_units=9,
        n_visp_passing=6,
        p_passing=0.33,
        start_s=2.0,
        gap_s=0.5,
        spontaneous_s=(3.0, 3.0, 2.0),
        n_gabors=81,
        n_flashes=8,
        n_drifting_gratings=8,
        n_drifting_blanks=1,
        n_static_gratings=24,
        n_static_blanks=2,
        n_scenes=10,
        n_scene_repeats=2,
        feature_jitter=0.2,
        n_movie_one_frames=30,
        n_movie_three_frames=45,
        n_movie_one_repeats=1,
        n_movie_three_repeats=1,
        n_contrast_repeats=0,
        n_drifting_75_repeats=1,
        n_dot_motion=8,
        n_optotagging=8,
        running_hz=60.0,
        eye_hz=30.0,
        lfp_channel_step=16,
        lfp_margin_s=(2.0, 2.0),
        waveform_dtype="float32",
    ),
    "small": SizeOptions(
        name="small",
        probe_letters="ACD",
        n_units_range=(24, 26),
        n_visp_units=44,
        n_other_units=14,
        n_visp_passing=30,
        p_passing=0.26,
        start_s=5.0,
        gap_s=4.0,
        spontaneous_s=(20.0, 20.0, 15.0),
        n_gabors=972,
        n_flashes=44,
        n_drifting_gratings=120,
        n_drifting_blanks=6,
        n_static_gratings=360,
        n_static_blanks=12,
        n_scenes=118,
        n_scene_repeats=10,
        feature_jitter=0.2,
        n_movie_one_frames=150,
        n_movie_three_frames=300,
        n_movie_one_repeats=3,
        n_movie_three_repeats=2,
        n_contrast_repeats=2,
        n_drifting_75_repeats=12,
        n_dot_motion=66,
        n_optotagging=36,
        running_hz=30.0,
        eye_hz=15.0,
        lfp_channel_step=8,
        lfp_margin_s=(10.0, 20.0),
        waveform_dtype="float32",
    ),
    "full": SizeOptions(
        name="full",
        probe_letters="ABCDEF",
        n_units_range=(248, 332),
        n_visp_units=0,
        n_other_units=0,
        n_visp_passing=0,
        p_passing=0.405,
        start_s=27.0,
        gap_s=30.0,
        spontaneous_s=(60.0, 289.0, 301.0),
        n_gabors=3645,
        n_flashes=150,
        n_drifting_gratings=600,
        n_drifting_blanks=30,
        n_static_gratings=5880,
        n_static_blanks=120,
        n_scenes=118,
        n_scene_repeats=50,
        feature_jitter=0.45,
        n_movie_one_frames=900,
        n_movie_three_frames=3600,
        n_movie_one_repeats=10,
        n_movie_three_repeats=5,
        n_contrast_repeats=15,
        n_drifting_75_repeats=75,
        n_dot_motion=495,
        n_optotagging=180,
        running_hz=60.0,
        eye_hz=30.0,
        lfp_channel_step=4,
        lfp_margin_s=None,
        waveform_dtype="float64",
    ),
}


def get_size(name: str) -> SizeOptions:
    """Look up a size by its name.

    Parameters
    ----------
    name
        ``"tiny"``, ``"small"`` or ``"full"``.

    Returns
    -------
    SizeOptions
        What that size simulates.

    Raises
    ------
    InvalidArgumentError
        If there is no such size.
    """
    for size, options in SIZES.items():
        if size == name:
            return options
    raise InvalidArgumentError(
        f"size {name!r} is not a size of the demo survey: {describe_choices(name, SIZES)}"
    )
