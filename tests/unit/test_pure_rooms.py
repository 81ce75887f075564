"""The rooms that compute on arrays load neither a file reader nor a network client."""

from __future__ import annotations

import subprocess
import sys

import pytest

OUTSIDE = (
    "h5py",
    "urllib3",
    "spikehouse.nwb",
    "spikehouse.survey",
    "spikehouse.transfer",
    "spikehouse.session",
)
COUNT = """
import numpy as np
from spikehouse.spikes import _kernels, count_spikes
domain = np.arange(20_000.0)[:, None] + np.linspace(0, 0.5, 11)
counts = count_spikes({7: np.arange(0.025, 20_000, 0.1)}, [7], domain)
assert counts.shape == (20_000, 10, 1) and counts.sum() == 100_000, (counts.shape, counts.sum())
"""


def find_loaded(code: str) -> str:
    show = f"\nimport sys\nprint([name for name in {OUTSIDE} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code + show], check=True, capture_output=True, text=True
    )
    return found.stdout.strip()


@pytest.mark.parametrize("room", ["spikes", "lfp", "stimuli", "analysis", "decoding", "plots"])
def test_import__a_pure_room_loads_no_file_reader_and_no_network(room: str) -> None:
    assert find_loaded(f"import spikehouse.{room}") == "[]"


def test_count_spikes__compiled_on_arrays_loads_no_file_reader_and_no_network() -> None:
    assert find_loaded(COUNT) == "[]"


def test_import__a_session_loads_them() -> None:
    # the list above would otherwise pass with a misspelt name
    expected = [name for name in OUTSIDE if name != "urllib3"]
    loaded = find_loaded("import spikehouse.session, spikehouse.survey")
    assert [name for name in expected if repr(name) not in loaded] == []
