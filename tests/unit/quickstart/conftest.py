"""A survey small enough to write down: two sessions, seven units, four images."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from spikehouse.report import Log
from spikehouse.spikes import align_spikes, compute_time_domain, count_spikes

UNIT_IDS = [11, 12, 13, 14, 15, 16, 21]
FLASHES = pd.DataFrame(
    {
        "start_time": np.arange(8) * 2.0,
        "stop_time": np.arange(8) * 2.0 + 0.25,
        "stimulus_name": "flashes",
        "color": [-1.0, 1.0] * 4,
    },
    index=pd.RangeIndex(8, name="stimulus_presentation_id"),
)


def scenes(n_repeats: int = 10) -> pd.DataFrame:
    frames = np.tile([-1.0, 0.0, 1.0, 2.0, 3.0], n_repeats)
    start = 20.0 + np.arange(frames.size) * 0.25
    return pd.DataFrame(
        {
            "start_time": start,
            "stop_time": start + 0.25,
            "stimulus_name": "natural_scenes",
            "frame": frames,
        },
        index=pd.RangeIndex(8, 8 + frames.size, name="stimulus_presentation_id"),
    )


def gratings() -> pd.DataFrame:
    table = scenes().rename(columns={"frame": "orientation"})
    table["orientation"] = [
        "null" if frame == -1 else frame * 45.0 for frame in table["orientation"]
    ]
    return table.assign(stimulus_name="drifting_gratings_75_repeats")


class FakeSession:
    """As much of a session as the quick start asks for."""

    def __init__(self, tables: dict[str, pd.DataFrame], session_type: str) -> None:
        self.ecephys_session_id = 7
        self.is_simulated = True
        self.session_type = session_type
        self.stimulus_names = list(tables)
        self.metadata = {
            "specimen_name": "mouse <7>",
            "num_units": 7,
            "stimulus_names": self.stimulus_names,
            "structure_acronyms": np.array(["VISp", "LGd"]),
        }
        self.units = pd.DataFrame(
            {
                "ecephys_structure_acronym": ["VISp"] * 6 + ["LGd"],
                "probe_description": "probeC",
                "probe_vertical_position": [100, 600, 200, 500, 300, 400, 50],
                "firing_rate": 5.0,
            },
            index=pd.Index(UNIT_IDS, name="unit_id"),
        )
        self.is_closed = False
        self._tables = tables
        self.spike_times = self._simulate()

    @property
    def structurewise_unit_counts(self):
        return self.units["ecephys_structure_acronym"].value_counts()

    def get_stimulus_table(self, name):
        return self._tables[name]

    def presentationwise_spike_counts(self, *, bin_edges, stimulus_presentation_ids, unit_ids):
        import xarray as xr

        onsets = self._starts(stimulus_presentation_ids)
        counts = count_spikes(
            self.spike_times, list(unit_ids), compute_time_domain(bin_edges, onsets)
        )
        return xr.DataArray(
            counts,
            coords={
                "stimulus_presentation_id": stimulus_presentation_ids,
                "time_relative_to_stimulus_onset": bin_edges[:-1] + np.diff(bin_edges) / 2,
                "unit_id": unit_ids,
            },
            dims=("stimulus_presentation_id", "time_relative_to_stimulus_onset", "unit_id"),
        )

    def presentationwise_spike_times(self, *, stimulus_presentation_ids, unit_ids):
        start = self._starts(stimulus_presentation_ids)
        shown = pd.DataFrame(
            {"start_time": start, "stop_time": start + 0.25}, index=stimulus_presentation_ids
        )
        return align_spikes(self.spike_times, list(unit_ids), shown)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_closed = True

    def _starts(self, ids):
        return pd.concat(list(self._tables.values()))["start_time"].loc[ids].to_numpy()

    def _simulate(self):
        rng = np.random.default_rng(7)
        table = pd.concat(list(self._tables.values()))
        code = np.arange(len(table)) % 5
        times = {}
        for number, unit_id in enumerate(UNIT_IDS):
            # each unit fires most for one of the five classes; the last of VISp never fires
            rates = np.where(code == number, 40.0, 4.0) * (unit_id != 16)
            n_spikes = rng.poisson(rates * 0.25)
            start = np.repeat(table["start_time"].to_numpy(), n_spikes)
            times[unit_id] = np.sort(start + rng.uniform(0, 0.25, start.size))
        return times


class FakeCache:
    """As much of a cache as the quick start asks for."""

    def __init__(self, session: FakeSession) -> None:
        self.session = session
        self.is_closed = False

    def get_all_session_types(self):
        return ["brain_observatory_1.1", "functional_connectivity"]

    def get_session_table(self):
        return pd.DataFrame(
            {
                "session_type": ["functional_connectivity", "brain_observatory_1.1"],
                "unit_count": [5, 7],
                "ecephys_structure_acronyms": [
                    np.array(["CA1", "VISp"], object),
                    np.array([np.nan, "LGd", "VISp"], object),
                ],
            },
            index=pd.Index([6, 7], name="id"),
        )

    def get_session_data(self, session_id):
        return self.session

    def get_natural_scene_template(self, number):
        rows = np.linspace(0, 255, 918).astype(np.uint8)
        return np.tile(rows[:, None], (1, 1174))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_closed = True


@pytest.fixture(autouse=True)
def _draw_quickly(monkeypatch):
    from spikehouse.report import page

    monkeypatch.setattr(page, "DPI", 40)


@pytest.fixture
def log() -> Log:
    return Log(io.StringIO())


@pytest.fixture
def session() -> FakeSession:
    return FakeSession({"flashes": FLASHES, "natural_scenes": scenes()}, "brain_observatory_1.1")


@pytest.fixture
def gratings_session() -> FakeSession:
    return FakeSession({"drifting_gratings_75_repeats": gratings()}, "functional_connectivity")


@pytest.fixture
def cache(session, monkeypatch) -> FakeCache:
    from spikehouse.quickstart import survey

    fake = FakeCache(session)
    monkeypatch.setattr(survey, "open_cache", lambda options: fake)
    return fake
