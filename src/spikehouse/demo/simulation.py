"""Simulate the spikes of the units of a session, in threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np

from spikehouse.demo.behavior import Running, draw_arousal, draw_running
from spikehouse.demo.grid import make_grid, make_movie_features
from spikehouse.demo.neurons import make_image_features
from spikehouse.demo.plan import SessionPlan
from spikehouse.demo.rates import RateModel, Unit, make_rate_model
from spikehouse.demo.spiketrains import draw_amplitudes, draw_spike_times, make_waveform
from spikehouse.demo.timeline import Timeline, make_timeline

__all__ = ["Simulation", "map_in_order", "start_simulation"]

T = TypeVar("T")
R = TypeVar("R")
# Results per thread that are computed ahead; limits memory.
N_AHEAD = 4
MAX_THREADS = 8


def map_in_order(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Apply a function in threads and yield the results in order, computing only a few ahead."""
    n_threads = min(MAX_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(n_threads) as pool:
        left = iter(items)
        waiting = [pool.submit(function, item) for item in islice(left, N_AHEAD * n_threads)]
        while waiting:
            yield waiting.pop(0).result()
            waiting.extend(pool.submit(function, item) for item in islice(left, 1))


@dataclass(frozen=True)
class Simulation:
    """The plan of a session, its stimuli and behavior, and the parameters of its units by id."""

    plan: SessionPlan
    timeline: Timeline
    running: Running
    arousal: np.ndarray
    model: RateModel
    units: list[tuple[int, Unit]]

    def iterate_spike_times(self) -> Iterator[np.ndarray]:
        """Yield the spike times [s] of each unit."""
        seed, session_id = self.plan.seed, self.plan.facts.id

        def draw(item: tuple[int, Unit]) -> np.ndarray:
            return draw_spike_times(
                item[1],
                item[0],
                seed=seed,
                session_id=session_id,
                model=self.model,
                laser=self.timeline.laser,
            )

        return map_in_order(draw, self.units)

    def iterate_amplitudes(self, n_spikes: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield the spike amplitudes [V] of each unit, given their numbers of spikes."""
        seed, session_id = self.plan.seed, self.plan.facts.id

        def draw(item: tuple[tuple[int, Unit], int]) -> np.ndarray:
            (unit_id, unit), n = item
            return draw_amplitudes(unit, unit_id, n, seed=seed, session_id=session_id)

        return map_in_order(draw, list(zip(self.units, n_spikes, strict=True)))

    def iterate_waveforms(self) -> Iterator[np.ndarray]:
        """Yield the mean waveform [µV] of each unit: (384, 82)."""
        seed, session_id = self.plan.seed, self.plan.facts.id
        dtype = self.plan.size.waveform_dtype

        def draw(item: tuple[int, Unit]) -> np.ndarray:
            wave = make_waveform(item[1], item[0], seed=seed, session_id=session_id)
            return wave.astype(dtype)

        return map_in_order(draw, self.units)


def start_simulation(plan: SessionPlan) -> Simulation:
    """Prepare the simulation of a session; spikes are drawn when they are iterated."""
    seed, session_id = plan.seed, plan.facts.id
    timeline = make_timeline(plan)
    running = draw_running(seed, session_id, timeline.duration_s, plan.size.running_hz)
    arousal = draw_arousal(seed, session_id, timeline.duration_s)
    grid = make_grid(
        seed,
        session_id,
        timeline,
        running,
        arousal,
        make_image_features(seed),
        feature_jitter=plan.size.feature_jitter,
    )
    model = make_rate_model(
        grid, timeline, lambda movie, n_frames: make_movie_features(seed, n_frames, movie)
    )
    ids = [int(unit_id) for unit_id in plan.units.index]
    rows = [
        {str(key): value for key, value in row.items()} for row in plan.units.to_dict("records")
    ]
    units: list[tuple[int, Unit]] = list(zip(ids, rows, strict=True))
    return Simulation(plan, timeline, running, arousal, model, units)
