"""Parameters of all presentations of each stimulus, in order."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from spikehouse.demo.sessions import SizeOptions

Columns = dict[str, np.ndarray]
DEG, PIX = "deg", "pix"
SCREEN = "[1920.0, 1080.0]"
FRAME_S = 0.0166797
# Columns between stimulus_block and stimulus_index, as the released files order them.
GRATING = ("orientation", "temporal_frequency", "spatial_frequency", "contrast", "phase", "size")
IMAGE = ("orientation", "phase", "size", "opacity", "mask", "units", "color", "frame")
TAIL = ("opacity", "mask", "units", "color")
STIMULUS_COLUMNS: dict[str, tuple[str, ...]] = {
    "spontaneous": (),
    "gabors": ("x_position", "y_position", *GRATING, *TAIL),
    "flashes": tuple(name for name in (*GRATING, *TAIL) if name != "temporal_frequency"),
    "drifting_gratings": (*GRATING, *TAIL),
    "drifting_gratings_contrast": (*GRATING, *TAIL),
    "drifting_gratings_75_repeats": (*GRATING, *TAIL),
    "static_gratings": tuple(name for name in (*GRATING, *TAIL) if name != "temporal_frequency"),
    "natural_scenes": IMAGE,
    "natural_movie_one": IMAGE,
    "natural_movie_three": IMAGE,
    "natural_movie_one_more_repeats": IMAGE,
    "natural_movie_one_shuffled": IMAGE,
    "dot_motion": ("Speed", "Dir", "size", *TAIL),
}


@dataclass(frozen=True)
class Sequence:
    """The presentations of one stimulus over the whole session."""

    name: str
    # parameters as they are written to the file, one value per presentation
    columns: Columns
    # duration and period of a presentation in refreshes of the monitor (60 Hz)
    n_frames_on: int
    n_frames_period: int
    # number of presentations in each block
    splits: tuple[int, ...]
    # parameters that units respond to, as numbers; NaN where they do not apply
    shown: Columns = field(default_factory=dict)


def _draw_order(
    rng: np.random.Generator, n_conditions: int, n: int, n_blanks: int = 0
) -> np.ndarray:
    """Draw n conditions equally often and blanks (−1), in random order."""
    n_rounds = -(-n // n_conditions)
    rounds = [rng.permutation(n_conditions) for _ in range(n_rounds)]
    drawn = np.concatenate([*rounds, np.empty(0, dtype=np.int64)])[:n]
    return rng.permutation(np.concatenate([drawn, np.full(n_blanks, -1)])).astype(np.int64)


def _product(*values: tuple[float, ...]) -> np.ndarray:
    return np.array(list(itertools.product(*values)), dtype=float)


def _select_conditions(conditions: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return rows of a table of conditions, with NaN for blanks."""
    rows = conditions[np.maximum(order, 0)].copy()
    rows[order < 0] = np.nan
    return np.asarray(rows)


def _repeat(value: str, n: int) -> np.ndarray:
    return np.full(n, value, dtype=object)


def _format_numbers(values: np.ndarray) -> np.ndarray:
    """Format numbers as the released files do: as text, with N/A for missing ones."""
    unique, inverse = np.unique(values, return_inverse=True)
    words = np.array(["N/A" if np.isnan(v) else str(float(v)) for v in unique], dtype=object)
    return np.asarray(words[inverse])


def _add_common_columns(
    n: int,
    given: Columns,
    *,
    size: str,
    units: str = DEG,
    mask: str = "None",
    color: str = "[1.0, 1.0, 1.0]",
) -> Columns:
    common = {
        "size": _repeat(size, n),
        "opacity": np.ones(n, dtype=bool),
        "mask": _repeat(mask, n),
        "units": _repeat(units, n),
        "color": _repeat(color, n),
    }
    return {**common, **given}


def _format_pair(value: float) -> str:
    return f"[{value}, {value}]"


def _make_gabors(rng: np.random.Generator, size: SizeOptions) -> Sequence:
    grid = tuple(float(v) for v in range(-40, 41, 10))
    # positions vary fastest, so that a short run also covers the whole grid
    rows = []
    for _ in range(-(-size.n_gabors // 243)):
        turns = np.argsort(rng.random((81, 3)), axis=1)
        for turn in range(3):
            place = rng.permutation(81)
            rows.append(np.column_stack([_product(grid, grid), turns[:, turn] * 45.0])[place])
    table = np.concatenate(rows)[: size.n_gabors]
    n = len(table)
    shown = {"x": table[:, 0], "y": table[:, 1], "orientation": table[:, 2]}
    columns = {
        "x_position": table[:, 0],
        "y_position": table[:, 1],
        "orientation": table[:, 2],
        "temporal_frequency": np.full(n, 4.0),
        "spatial_frequency": _repeat("0.08", n),
        "contrast": np.full(n, 0.8),
        "phase": _repeat(_format_pair(3644.93333333), n),
    }
    columns = _add_common_columns(n, columns, size=_format_pair(20.0), mask="circle")
    return Sequence("gabors", columns, 14, 15, (n,), shown)


def _make_flashes(rng: np.random.Generator, size: SizeOptions) -> Sequence:
    color = np.where(_draw_order(rng, 2, size.n_flashes) == 0, 1.0, -1.0)
    n = color.size
    columns = {
        "orientation": np.zeros(n),
        "spatial_frequency": _repeat(_format_pair(0.0), n),
        "contrast": np.full(n, 0.8),
        "phase": _repeat(_format_pair(0.0), n),
        "color": _format_numbers(color),
    }
    columns = _add_common_columns(n, columns, size=_format_pair(300.0))
    return Sequence("flashes", columns, 15, 120, (n,), {"color": color})


def _make_drifting(
    name: str, table: np.ndarray, splits: tuple[int, ...], *, frames: tuple[int, int], phase: float
) -> Sequence:
    """Make drifting gratings from rows of orientation, temporal frequency and contrast."""
    n = len(table)
    blank = np.isnan(table[:, 0])
    columns = {
        "orientation": table[:, 0],
        "temporal_frequency": table[:, 1],
        "spatial_frequency": np.where(blank, "N/A", "0.04").astype(object),
        "contrast": table[:, 2],
        "phase": _repeat(_format_pair(phase), n),
    }
    shown = {"direction": table[:, 0], "tf": table[:, 1], "contrast": table[:, 2]}
    columns = _add_common_columns(n, columns, size=_format_pair(250.0))
    return Sequence(name, columns, frames[0], frames[1], splits, shown)


def _split(n: int, *weights: float) -> tuple[int, ...]:
    ends = np.rint(n * np.cumsum(weights) / np.sum(weights)).astype(int)
    return tuple(int(v) for v in np.diff(ends, prepend=0))


def _make_drifting_gratings(rng: np.random.Generator, size: SizeOptions) -> Sequence:
    directions = tuple(float(v) for v in range(0, 360, 45))
    conditions = _product(directions, (1.0, 2.0, 4.0, 8.0, 15.0), (0.8,))
    order = _draw_order(rng, 40, size.n_drifting_gratings, size.n_drifting_blanks)
    splits = _split(order.size, 200, 200, 230)
    table = _select_conditions(conditions, order)
    return _make_drifting(
        "drifting_gratings", table, splits, frames=(120, 180), phase=5308.98333333
    )


def _make_contrast(rng: np.random.Generator, size: SizeOptions) -> Sequence:
    contrasts = (0.01, 0.02, 0.04, 0.08, 0.13, 0.2, 0.35, 0.6, 1.0)
    conditions = _product((0.0, 45.0, 90.0, 135.0), (2.0,), contrasts)
    n = max(36 * size.n_contrast_repeats, 9)
    table = _select_conditions(conditions, _draw_order(rng, 36, n))
    name = "drifting_gratings_contrast"
    return _make_drifting(name, table, (n,), frames=(30, 60), phase=1250.5)


def _make_drifting_75(rng: np.random.Generator, size: SizeOptions) -> Sequence:
    conditions = _product((0.0, 45.0, 90.0, 135.0), (1.0, 2.0), (0.8,))
    table = _select_conditions(conditions, _draw_order(rng, 8, 8 * size.n_drifting_75_repeats))
    splits = _split(len(table), 1, 1)
    name = "drifting_gratings_75_repeats"
    return _make_drifting(name, table, splits, frames=(120, 180), phase=4791.96666667)


def _make_static_gratings(rng: np.random.Generator, size: SizeOptions) -> Sequence:
    orientations = tuple(float(v) for v in range(0, 180, 30))
    frequencies = (0.02, 0.04, 0.08, 0.16, 0.32)
    conditions = _product(orientations, frequencies, (0.0, 0.25, 0.5, 0.75))
    order = _draw_order(rng, 120, size.n_static_gratings, size.n_static_blanks)
    table = _select_conditions(conditions, order)
    n = len(table)
    columns = {
        "orientation": table[:, 0],
        "spatial_frequency": _format_numbers(table[:, 1]),
        "contrast": np.where(order < 0, np.nan, 0.8),
        "phase": _format_numbers(table[:, 2]),
    }
    shown = {"orientation": table[:, 0], "sf": table[:, 1], "phase": table[:, 2]}
    columns = _add_common_columns(n, columns, size=_format_pair(250.0))
    return Sequence("static_gratings", columns, 15, 15, _split(n, 480, 480, 540), shown)


def _make_images(
    name: str, frame: np.ndarray, n_frames: int, splits: tuple[int, ...], size: str
) -> Sequence:
    n = frame.size
    columns = {
        "orientation": np.zeros(n),
        "phase": _repeat(_format_pair(0.0), n),
        "frame": frame.astype(float),
    }
    columns = _add_common_columns(n, columns, size=size, units=PIX)
    return Sequence(name, columns, n_frames, n_frames, splits, {"frame": frame.astype(float)})


def _make_scenes(rng: np.random.Generator, size: SizeOptions) -> Sequence:
    n_conditions = size.n_scenes + 1
    frame = _draw_order(rng, n_conditions, n_conditions * size.n_scene_repeats) - 1
    splits = _split(frame.size, 480, 480, 528)
    return _make_images("natural_scenes", frame, 15, splits, "[1174.0, 918.0]")


def _make_movie(name: str, n_frames: int, n_repeats: int, n_blocks: int = 2) -> Sequence:
    frame = np.tile(np.arange(n_frames), n_repeats * n_blocks)
    return _make_images(name, frame, 2, (n_frames * n_repeats,) * n_blocks, SCREEN)


def _make_shuffled(rng: np.random.Generator, size: SizeOptions) -> Sequence:
    n_frames = size.n_movie_one_frames
    frame = np.concatenate([rng.permutation(n_frames) for _ in range(2 * size.n_movie_one_repeats)])
    return _make_images("natural_movie_one_shuffled", frame, 2, (frame.size,), SCREEN)


def _make_dots(rng: np.random.Generator, size: SizeOptions) -> Sequence:
    speeds = (0.001, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04)
    conditions = _product((0.0, 45.0, 90.0, 135.0), speeds)
    n_blanks = size.n_dot_motion // 33
    table = _select_conditions(
        conditions, _draw_order(rng, 32, size.n_dot_motion - n_blanks, n_blanks)
    )
    n = len(table)
    columns = {"Dir": table[:, 0], "Speed": table[:, 1]}
    shown = {"direction": table[:, 0], "speed": table[:, 1]}
    columns = _add_common_columns(n, columns, size=SCREEN, units=PIX)
    return Sequence("dot_motion", columns, 60, 90, (n,), shown)


def make_sequences(
    make_rng: Callable[[str], np.random.Generator], size: SizeOptions, *, names: tuple[str, ...]
) -> dict[str, Sequence]:
    """Draw the presentations of stimuli; each has a random generator of its own."""
    one, three = size.n_movie_one_frames, size.n_movie_three_frames
    repeats = size.n_movie_one_repeats
    makers: dict[str, Callable[[np.random.Generator], Sequence]] = {
        "gabors": lambda rng: _make_gabors(rng, size),
        "flashes": lambda rng: _make_flashes(rng, size),
        "drifting_gratings": lambda rng: _make_drifting_gratings(rng, size),
        "drifting_gratings_contrast": lambda rng: _make_contrast(rng, size),
        "drifting_gratings_75_repeats": lambda rng: _make_drifting_75(rng, size),
        "static_gratings": lambda rng: _make_static_gratings(rng, size),
        "natural_scenes": lambda rng: _make_scenes(rng, size),
        "natural_movie_one": lambda _: _make_movie("natural_movie_one", one, repeats),
        "natural_movie_three": lambda _: _make_movie(
            "natural_movie_three", three, size.n_movie_three_repeats
        ),
        "natural_movie_one_more_repeats": lambda _: _make_movie(
            "natural_movie_one_more_repeats", one, 3 * repeats
        ),
        "natural_movie_one_shuffled": lambda rng: _make_shuffled(rng, size),
        "dot_motion": lambda rng: _make_dots(rng, size),
    }
    return {name: makers[name](make_rng(name)) for name in names}
