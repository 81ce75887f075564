"""The real warehouse: run with SPIKEHOUSE_NETWORK=1 on a machine with internet."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from spikehouse import EcephysProjectCache

pytestmark = [
    pytest.mark.network,
    pytest.mark.enable_socket,
    pytest.mark.allow_hosts(None),
    pytest.mark.skipif(
        os.environ.get("SPIKEHOUSE_NETWORK") != "1",
        reason="reaches the internet; set SPIKEHOUSE_NETWORK=1",
    ),
]


def test_warehouse__prints_the_published_numbers(tmp_path: Path) -> None:
    cache = EcephysProjectCache.from_warehouse(manifest=str(tmp_path / "manifest.json"))
    sessions = cache.get_session_table()
    assert sessions["session_type"].value_counts().to_dict() == {
        "brain_observatory_1.1": 32,
        "functional_connectivity": 26,
    }
    assert sessions.loc[791319847, ["unit_count", "channel_count"]].tolist() == [555, 2229]
    assert len(cache.get_probes()) == 332
    assert len(cache.get_channels()) == 123_224
    assert len(cache.get_units()) == 40_010
    unlimited = cache.get_units(
        amplitude_cutoff_maximum=np.inf,
        presence_ratio_minimum=-np.inf,
        isi_violations_maximum=np.inf,
    )
    assert len(unlimited) == 99_180
    assert cache.get_natural_scene_template(0).shape == (918, 1174)
