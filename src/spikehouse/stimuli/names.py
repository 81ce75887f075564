"""Old names of stimuli and parameters, and their current names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from spikehouse.errors import InvalidFileError

SPONTANEOUS = "spontaneous"
INVALID_PRESENTATION = "invalid_presentation"

STIMULUS_NAMES = {
    "": SPONTANEOUS,
    "missing": SPONTANEOUS,
    "Natural Images": "natural_scenes",
    "flash_250ms": "flashes",
    "gabor_20_deg_250ms": "gabors",
    "contrast_response": "drifting_gratings_contrast",
    "motion_stimulus": "dot_motion",
    "drifting_gratings_more_repeats": "drifting_gratings_75_repeats",
    "Natural_Images_Shuffled": "natural_scenes_shuffled",
    "Natural_Images_Sequential": "natural_scenes_sequential",
}

COLUMN_NAMES = {
    "Contrast": "contrast",
    "Ori": "orientation",
    "SF": "spatial_frequency",
    "TF": "temporal_frequency",
    "Phase": "phase",
    "Color": "color",
    "Image": "frame",
    "Pos_x": "x_position",
    "Pos_y": "y_position",
}

_NUMBER_WORDS = dict(
    enumerate(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], start=1)
)
_NUMBERED_MOVIE = re.compile(r"natural_movie_(\d|[a-z]+?)(_shuffled|_more_repeats)?$")
_UNNUMBERED_SHUFFLED = "natural_movie_shuffled"


def standard_stimulus_names(names: Iterable[str]) -> dict[str, str]:
    """Return the current name of every stimulus name in a file."""
    given = list(names)
    translated = {name: _translate(name) for name in given}
    if _UNNUMBERED_SHUFFLED in translated:
        number = _only_movie_number(translated.values())
        translated[_UNNUMBERED_SHUFFLED] = f"natural_movie_{number}_shuffled"
    return translated


def _translate(name: str) -> str:
    match = _NUMBERED_MOVIE.match(name)
    if match and match[1].isdecimal() and int(match[1]) in _NUMBER_WORDS:
        return f"natural_movie_{_NUMBER_WORDS[int(match[1])]}{match[2] or ''}"
    return STIMULUS_NAMES.get(name, name)


def _only_movie_number(names: Iterable[str]) -> str:
    matches = [_NUMBERED_MOVIE.match(name) for name in names if name != _UNNUMBERED_SHUFFLED]
    numbers = sorted({match[1] for match in matches if match})
    if len(numbers) == 1:
        return numbers[0]
    raise InvalidFileError(
        f"cannot tell which movie {_UNNUMBERED_SHUFFLED!r} shuffles; movies in the file: "
        f"{', '.join(numbers) or 'none'}"
    )
