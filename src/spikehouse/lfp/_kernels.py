"""Compiled loops over windows; imported only where one is about to run."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikehouse.spikes.compiling import compiled

Floats = npt.NDArray[np.float64]


@compiled
def add_windows(
    values: npt.NDArray[np.float32],
    places: npt.NDArray[np.int64],
    owners: npt.NDArray[np.int32],
    is_whole: npt.NDArray[np.bool_],
    sums: Floats,
    squares: Floats,
    counts: npt.NDArray[Any],
) -> None:
    """Add the windows that begin at ``places``, and their squares, to those of their owners."""
    n_samples, n_channels = sums.shape[1:]
    for event in range(len(places)):
        owner, place = owners[event], places[event]
        for channel in range(n_channels):
            counts[owner, channel] += is_whole[event, channel]
        if is_whole[event].all():
            for sample in range(n_samples):
                for channel in range(n_channels):
                    value = np.float64(values[place + sample, channel])
                    sums[owner, sample, channel] += value
                    squares[owner, sample, channel] += value * value
        elif is_whole[event].any():
            for sample in range(n_samples):
                for channel in range(n_channels):
                    if is_whole[event, channel]:
                        value = np.float64(values[place + sample, channel])
                        sums[owner, sample, channel] += value
                        squares[owner, sample, channel] += value * value
