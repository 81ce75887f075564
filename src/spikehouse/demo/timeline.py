"""Times of stimulus blocks, spontaneous periods and light pulses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spikehouse.demo.plan import SessionPlan
from spikehouse.demo.sessions import make_rng
from spikehouse.demo.stimuli import FRAME_S, Sequence, make_sequences

# The name of a stimulus stands for its next block, a number for a spontaneous period (an index of
# SizeOptions.spontaneous_s), "gap" for a pause between blocks.
Step = str | int
BRAIN_OBSERVATORY: tuple[Step, ...] = (
    0, "gabors", 1, "flashes", "gap", "drifting_gratings", "gap", "natural_movie_three", "gap",
    "natural_movie_one", "gap", "drifting_gratings", 2, "natural_movie_three", "gap",
    "drifting_gratings", "gap", "static_gratings", "gap", "natural_scenes", "gap",
    "natural_scenes", "gap", "static_gratings", "gap", "natural_movie_one", "gap",
    "natural_scenes", "gap", "static_gratings", "gap",
)  # fmt: skip
CONTRAST: tuple[Step, ...] = ("drifting_gratings_contrast", "gap")
FUNCTIONAL_CONNECTIVITY: tuple[Step, ...] = (
    0, "gabors", 1, "flashes", "gap", "drifting_gratings_contrast", "gap",
    "natural_movie_one_more_repeats", "gap", "drifting_gratings_75_repeats", 2,
    "natural_movie_one_shuffled", "gap", "drifting_gratings_75_repeats", "gap",
    "natural_movie_one_more_repeats", "gap", "dot_motion", 2,
)  # fmt: skip
# Frames are late by a few microseconds, each by a different time.
JITTER_S = 6e-6
# From the last light pulse to the end of the recording.
TAIL_S = 3.0
LASER_PERIOD_S = 2.0


@dataclass(frozen=True)
class Timeline:
    """Stimuli and light pulses of a session, on the clock of its recording [s]."""

    # name, start_time, stop_time, stimulus_block (NaN for spontaneous), and row, the position
    # among the presentations of the stimulus; in order of time
    presentations: pd.DataFrame
    # stimulus → parameters, in the order of those rows
    sequences: dict[str, Sequence]
    # start_time, stop_time, duration, level, condition, stimulus_name
    laser: pd.DataFrame
    # the recording begins at 0
    duration_s: float


def make_timeline(plan: SessionPlan) -> Timeline:
    """Place the stimulus blocks, spontaneous periods and light pulses in time."""
    facts, size = plan.facts, plan.size
    is_first_set = facts.session_type == "brain_observatory_1.1"
    steps = BRAIN_OBSERVATORY if is_first_set else FUNCTIONAL_CONNECTIVITY
    if is_first_set and facts.has_contrast:
        steps = (*steps, *CONTRAST)
    names = tuple(dict.fromkeys(s for s in steps if isinstance(s, str) and s != "gap"))
    sequences = make_sequences(
        lambda name: make_rng(plan.seed, facts.id, "stimulus", name), size, names=names
    )
    rng = make_rng(plan.seed, facts.id, "timeline")
    blocks = list(_place_blocks(rng, plan, steps, sequences))
    presentations = pd.concat(blocks, ignore_index=True)
    end = float(presentations["stop_time"].iloc[-1])
    laser = _make_laser(make_rng(plan.seed, facts.id, "laser"), end, size.n_optotagging)
    duration = float(laser["stop_time"].max()) + TAIL_S
    return Timeline(presentations, sequences, laser, duration)


def _place_blocks(
    rng: np.random.Generator,
    plan: SessionPlan,
    steps: tuple[Step, ...],
    sequences: dict[str, Sequence],
) -> Iterator[pd.DataFrame]:
    size = plan.size
    clock = size.start_s
    done: dict[str, tuple[int, int]] = dict.fromkeys([*sequences, "spontaneous"], (0, 0))
    block = 0
    for step in steps:
        if isinstance(step, int) or step == "gap":
            length = size.spontaneous_s[step] if isinstance(step, int) else size.gap_s
            n_rows, _ = done["spontaneous"]
            done["spontaneous"] = (n_rows + 1, 0)
            start, stop = np.array([clock]), np.array([clock + length])
            yield _make_block("spontaneous", start, stop, np.nan, np.array([n_rows]))
            clock += length
            continue
        sequence = sequences[step]
        first, n_blocks = done[step]
        n = sequence.splits[n_blocks]
        start, stop, clock = _draw_times(rng, sequence, n, clock)
        yield _make_block(step, start, stop, float(block), np.arange(first, first + n))
        done[step] = (first + n, n_blocks + 1)
        block += 1


def _draw_times(
    rng: np.random.Generator, sequence: Sequence, n: int, clock: float
) -> tuple[np.ndarray, np.ndarray, float]:
    period = sequence.n_frames_period * FRAME_S + np.abs(rng.normal(0, JITTER_S, size=n))
    edges = clock + np.concatenate([[0.0], np.cumsum(period)])
    gap = (sequence.n_frames_period - sequence.n_frames_on) * FRAME_S
    stop = edges[1:] - gap
    # a block has no pause after its last presentation
    return edges[:-1], stop, float(stop[-1])


def _make_block(
    name: str, start: np.ndarray, stop: np.ndarray, block: float, rows: np.ndarray
) -> pd.DataFrame:
    return pd.DataFrame(
        {"name": name, "start_time": start, "stop_time": stop, "stimulus_block": block, "row": rows}
    )


def _make_laser(rng: np.random.Generator, end: float, n_pulses: int) -> pd.DataFrame:
    """Draw the light pulses: short and longer pulses, trains and slow ramps at three levels."""
    kinds = (
        ("a single square pulse", "pulse", 0.005),
        ("a single square pulse", "pulse", 0.01),
        ("2.5 ms pulses at 10 Hz", "fast_pulses", 1.0),
        ("half-period of a cosine wave", "raised_cosine", 1.0),
    )
    conditions = [(kind, level) for kind in kinds for level in (1.3, 1.7, 2.0)]
    order = np.concatenate([rng.permutation(len(conditions)) for _ in range(n_pulses // 12 + 1)])
    rows = []
    for index, which in enumerate(order[:n_pulses]):
        (condition, name, duration), level = conditions[which]
        start = end + 1.0 + LASER_PERIOD_S * index + float(rng.uniform(0, 0.25))
        rows.append((start, condition, level, start + duration, name, duration))
    columns = ["start_time", "condition", "level", "stop_time", "stimulus_name", "duration"]
    return pd.DataFrame(rows, columns=columns)
