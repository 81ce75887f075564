"""Our answers against AllenSDK 2.16.2's, frozen by freeze_session.py.

Where AllenSDK is wrong the difference is named here and in docs/differences-from-allensdk.md.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spikehouse.session import EcephysSession

FROZEN = Path(__file__).parent / "frozen"

pytestmark = [
    pytest.mark.filterwarnings("ignore:spikes are missing or wrong:UserWarning"),
    pytest.mark.filterwarnings("ignore:.* windows run into the next one:UserWarning"),
]

# what we have and AllenSDK does not: the structure without a cache, and a column it forgets
OURS_ONLY = {"ecephys_structure_acronym", "ecephys_structure_id", "waveform_halfwidth"}
# strings there, numbers and tuples here
PARSED = {"phase", "size", "spatial_frequency"}


@pytest.fixture(scope="module")
def frozen() -> dict[str, Any]:
    text = gzip.decompress((FROZEN / "session_999000001.json.gz").read_bytes())
    answers: dict[str, Any] = json.loads(text)
    return answers


@pytest.fixture(scope="module")
def session(shared_session_path: Path) -> EcephysSession:
    return EcephysSession.from_nwb_path(shared_session_path)


def plain(value: Any) -> Any:
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return value


def assert_same(ours: np.ndarray, theirs: dict[str, Any], *, parsed: bool = False) -> None:
    assert list(ours.shape) == theirs["shape"]
    if "sha256" in theirs:
        same_type = np.ascontiguousarray(ours).astype(theirs["dtype"])
        assert hashlib.sha256(same_type.tobytes()).hexdigest() == theirs["sha256"]
        return
    expected = theirs["values"]
    if parsed:
        expected = [plain(parse(v)) for v in expected]
    assert [plain(v) for v in ours.ravel()] == expected


def parse(value: Any) -> Any:
    try:
        return ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError):
        return value


def assert_same_frame(ours: pd.DataFrame, theirs: dict[str, Any]) -> None:
    assert ours.index.name == theirs["index_name"]
    assert_same(ours.index.to_numpy(), theirs["index"])
    assert set(ours.columns) - OURS_ONLY == set(theirs["columns"])
    for name, column in theirs["columns"].items():
        assert_same(ours[name].to_numpy(), column, parsed=name in PARSED)


@pytest.mark.parametrize(
    "member",
    [
        "units",
        "channels",
        "probes",
        "stimulus_presentations",
        "stimulus_conditions",
        "invalid_times",
        "optogenetic_stimulation_epochs",
        "rig_geometry_data",
    ],
)
def test_session__table_equals_allensdk(
    session: EcephysSession, frozen: dict[str, Any], member: str
) -> None:
    assert_same_frame(getattr(session, member), frozen[member])


def test_session__start_time_and_names(session: EcephysSession, frozen: dict[str, Any]) -> None:
    assert session.session_start_time.isoformat() == frozen["session_start_time"]
    assert session.stimulus_names == frozen["stimulus_names"]


def test_spike_times__equal_allensdk(session: EcephysSession, frozen: dict[str, Any]) -> None:
    for unit_id, times in frozen["spike_times"].items():
        assert_same(session.spike_times[int(unit_id)], times)


def test_get_stimulus_table__equals_allensdk(
    session: EcephysSession, frozen: dict[str, Any]
) -> None:
    for name, table in frozen["stimulus_tables"].items():
        assert_same_frame(session.get_stimulus_table(name), table)


def test_presentationwise_spike_counts__equal_allensdk(
    session: EcephysSession, frozen: dict[str, Any]
) -> None:
    edges = np.arange(-0.05, 0.25, 0.01) + 0.000123456789
    for name, expected in frozen["spike_counts"].items():
        table = session.get_stimulus_table(name)
        counts = session.presentationwise_spike_counts(
            edges, table.index.values[:20], session.units.index.values[:10]
        )
        assert counts.dtype == np.uint16
        assert_same(counts.values, expected)


def test_presentationwise_spike_times__equal_allensdk_but_for_the_edges(
    session: EcephysSession, frozen: dict[str, Any]
) -> None:
    """AllenSDK drops a spike exactly at start and keeps one exactly at stop; we do the reverse."""
    for name, expected in frozen["spike_rows"].items():
        table = session.get_stimulus_table(name)
        ours = session.presentationwise_spike_times(
            table.index.values, session.units.index.values[:10]
        )
        stops = table["stop_time"].to_numpy()
        starts = table["start_time"].to_numpy()
        on_start = np.isin(ours.index, starts) & (
            ours["time_since_stimulus_presentation_onset"] == 0
        )
        inner = ours[~on_start]
        n_theirs = expected["index"]["shape"][0]
        n_on_stop = n_theirs - len(inner)
        counted = sum(
            int(np.isin(session.spike_times[unit], stops).sum())
            for unit in session.units.index[:10]
        )
        assert 0 <= n_on_stop <= counted
        if "values" in expected["index"] and n_on_stop == 0:
            assert_same(inner.index.to_numpy(), expected["index"])
