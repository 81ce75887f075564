"""Simulate the spikes of the units of a session, in threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from spikehouse.demo.behavior import Running, draw_arousal, draw_running
from spikehouse.demo.neurons import draw_events, make_image_features
from spikehouse.demo.plan import SessionPlan
from spikehouse.demo.rates import RateModel, Unit, make_grid, make_movie_features, make_rate_model
from spikehouse.demo.rhythms import Rhythms, draw_rhythms
from spikehouse.demo.spiketrains import draw_amplitudes, draw_spike_times, make_waveform
from spikehouse.demo.timeline import Timeline, make_timeline

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
    """The plan of a session, its stimuli and behavior, and the parameters and ids of its units."""

    plan: SessionPlan
    timeline: Timeline
    running: Running
    arousal: np.ndarray
    model: RateModel
    # the times of events of each assembly
    events: list[np.ndarray]
    rhythms: Rhythms
    units: list[tuple[Unit, int]]

    def iterate_spike_times(self) -> Iterator[np.ndarray]:
        """Yield the spike times [s] of each unit."""
        laser = self.timeline.laser
        shared = {"model": self.model, "events": self.events, "rhythms": self.rhythms}
        options = {**self._seeds, **shared, "laser": laser}
        return map_in_order(lambda item: draw_spike_times(*item, **options), self.units)

    def iterate_amplitudes(self, n_spikes: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield the spike amplitudes [V] of each unit, given their numbers of spikes."""
        items = [(*item, n) for item, n in zip(self.units, n_spikes, strict=True)]
        return map_in_order(lambda item: draw_amplitudes(*item, **self._seeds), items)

    def iterate_waveforms(self) -> Iterator[np.ndarray]:
        """Yield the mean waveform [µV] of each unit: (384, 82)."""
        dtype = self.plan.size.waveform_dtype
        return map_in_order(
            lambda item: make_waveform(*item, **self._seeds).astype(dtype), self.units
        )

    @property
    def _seeds(self) -> dict[str, Any]:
        return {"seed": self.plan.seed, "session_id": self.plan.facts.id}


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
    rows = plan.units.to_dict("records")
    units: list[tuple[Unit, int]] = [
        ({str(key): value for key, value in row.items()}, int(unit_id))
        for row, unit_id in zip(rows, plan.units.index, strict=True)
    ]
    events = draw_events(seed, session_id, timeline.duration_s)
    rhythms = draw_rhythms(seed, session_id, timeline.duration_s, running)
    return Simulation(plan, timeline, running, arousal, model, events, rhythms, units)
