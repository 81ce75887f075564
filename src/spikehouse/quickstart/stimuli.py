"""The choice of the stimulus to decode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from spikehouse.errors import NotFoundError

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
        """Return the text of each label for figures."""
        return {label: self._name(label) for label in labels}

    def _name(self, label: Any) -> str:  # noqa: ANN401 - a number or a word
        if self.has_images and label == BLANK:
            return "blank"
        return f"{label:g}" if not isinstance(label, str) else label


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
