"""Bins of the population: shared by its recipes and by the counts that are kept for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis import HIERARCHY_SCORES
from spikehouse.errors import InvalidArgumentError, InvalidFileError

# two days
LONGEST_RECORDING_S = 172_800


def check_stop(whole: dict[str, Any]) -> float:
    """Return when a recording stops [s], unless no recording is that long."""
    stop, blocks = float(whole["stop"]), whole["blocks"]
    if stop <= LONGEST_RECORDING_S:
        return stop
    names = blocks["stimulus_name"][blocks["stop_time"] == stop].tolist()
    what = f"stimulus {names[0]!r}" if names else "the recording"
    raise InvalidFileError(
        f"{what} stops at {stop:g} s, and at most {LONGEST_RECORDING_S:,} s (2 days) are counted: "
        "its times must be in seconds; correct them in the file"
    )


def make_edges(span: tuple[float, float], bin: float) -> npt.NDArray[np.float64]:
    """Return the edges of bins that cover a window, all of them at whole tenths of a second."""
    start, stop = span
    step = round(bin * 10)
    if step < 1 or abs(step - bin * 10) > 1e-6:
        raise InvalidArgumentError(f"bin={bin:g} s; valid: multiples of 0.1 s, such as 0.1 or 5")
    if not start < stop:
        raise InvalidArgumentError(
            f"span=({start:g}, {stop:g}) s is empty; valid: a start before the stop"
        )
    first = int(np.floor(round(start * 10, 6) / step))
    last = int(np.ceil(round(stop * 10, 6) / step))
    # divided, so that every edge is the number nearest to its tenth
    return np.arange(first, last + 1) * step / 10


def average_structures(units: pd.DataFrame, found: dict[str, Any]) -> dict[str, Any]:
    """Average the counts of units over those of each structure."""
    structure = units.get("ecephys_structure_acronym", pd.Series(dtype=object))
    structure = structure.reindex(found["unit_ids"])
    numbers = structure.value_counts()
    ranked = [name for name in HIERARCHY_SCORES if name in numbers]
    names = [*ranked, *sorted(name for name in numbers.index if name not in HIERARCHY_SCORES)]
    edges = found["edges"]
    rates = [found["counts"][(structure == name).to_numpy()].mean(axis=0) for name in names]
    return {
        "structures": names,
        "n_units": np.array([numbers[name] for name in names], dtype=np.int64),
        "edges": edges,
        "rates": np.array(rates).reshape(len(names), len(edges) - 1) / np.diff(edges),
    }
