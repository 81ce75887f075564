"""The real warehouse: run with SPIKEHOUSE_NETWORK=1 on a machine with internet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikehouse import EcephysProjectCache
from spikehouse.errors import NotFoundError
from spikehouse.survey import VISUAL_CODING, Warehouse
from spikehouse.transfer.http import HttpClient

FILE = VISUAL_CODING.file


@pytest.fixture(scope="module")
def warehouse() -> Warehouse:
    return Warehouse()


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


@pytest.mark.parametrize(
    ("session_id", "file_id"), [(791319847, 1026124645), (715093703, 1026124469)]
)
def test_locate__is_the_well_known_file(
    warehouse: Warehouse, session_id: int, file_id: int
) -> None:
    found = warehouse.locate(FILE("session", session_id))
    assert found.url.endswith(f"//api.brain-map.org/api/v2/well_known_file_download/{file_id}")


def test_locate__has_the_published_size(warehouse: Warehouse) -> None:
    # the server does not promise to say a length
    size = HttpClient().probe(warehouse.locate(FILE("session", 791319847))).size
    assert size in (None, 2_317_463_664)


@pytest.mark.parametrize("probe_id", [846401838, 832810584, 773463023])
def test_locate__of_lfp_of_three_probes_was_not_released(
    warehouse: Warehouse, probe_id: int
) -> None:
    with pytest.raises(NotFoundError, match=f"no file for LFP of probe {probe_id}"):
        warehouse.locate(FILE("lfp", 1, probe_id))
