"""The spikes of small sessions, without files around them."""

from __future__ import annotations

import pytest

from spikehouse.demo.plan import draw_plan
from spikehouse.demo.sessions import get_size
from spikehouse.demo.simulation import start_simulation

SEED = 20191003


class Recording:
    """The spikes of a small session, without a file around them."""

    def __init__(self, session_id: int) -> None:
        plan = draw_plan(SEED, session_id, get_size("small"))
        self.simulation = start_simulation(plan)
        self.units = plan.units
        self.timeline = self.simulation.timeline
        times = self.simulation.iterate_spike_times()
        self.spikes = dict(zip(plan.units.index.tolist(), times, strict=True))

    def rows(self, stimulus):
        shown = self.timeline.presentations
        return shown[shown["name"] == stimulus]

    def count(self, unit_id, start, stop):
        times = self.spikes[unit_id]
        return times.searchsorted(stop) - times.searchsorted(start)


@pytest.fixture(scope="session")
def small() -> Recording:
    """Give session 900000001: wild type, brain_observatory_1.1."""
    return Recording(900000001)


@pytest.fixture(scope="session")
def small_pvalb() -> Recording:
    return Recording(900000003)


@pytest.fixture(scope="session")
def first_set(small, small_pvalb) -> list[Recording]:
    """Give the eight sessions of the type brain_observatory_1.1."""
    others = [Recording(900000000 + number) for number in (2, 4, 5, 6, 7, 8)]
    return [small, small_pvalb, *others]
