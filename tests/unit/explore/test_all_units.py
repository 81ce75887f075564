"""A session under a key that ends in -all has the units that its filters leave out."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from spikehouse import EcephysProjectCache, EcephysSession
from spikehouse.explore._answers import decode
from spikehouse.explore._sessions import Sessions


@pytest.fixture
def sessions(session_path: Path, tmp_path: Path) -> Sessions:
    manifest = tmp_path / "manifest.json"
    found = Sessions(lambda: EcephysProjectCache.from_demo(manifest, size="tiny"))
    found.add(session_path)
    return found


@pytest.mark.parametrize("key", ["file-1", "900000001"])
def test_key_all__has_every_unit_of_the_file_and_says_so(serve, sessions, key) -> None:
    client = serve(sessions)
    filters = decode(client.get(f"/api/s/{key}/unit_filters").content)["filters"]
    listed = decode(client.get(f"/api/s/{key}-all/units").content)["units"]
    assert len(listed) == filters["remaining_count"].iloc[0] > filters["remaining_count"].iloc[-1]
    facts = client.get(f"/api/s/{key}-all/facts").json()
    assert facts["title"] == "900000001, all units"
    assert facts["n_units"] == len(listed)


@pytest.mark.parametrize("key", ["file-1", "900000001"])
def test_key_all__its_code_opens_the_same_units(serve, sessions, key) -> None:
    code = serve(sessions).get(f"/code/s/{key}-all/units").text
    found: dict = {}
    exec(code.replace("answer = units(session)", ""), found)
    units = found["session"].units
    expected = decode(serve(sessions).get(f"/api/s/{key}-all/units").content)["units"]
    pd.testing.assert_index_equal(units.index, expected.index, check_names=False, exact=False)


def test_key_all__of_what_is_not_there_or_was_opened_in_python(
    serve, sessions, session_path
) -> None:
    client = serve(sessions)
    for key in ("file-9-all", "17-all", "-all"):
        assert client.get(f"/api/s/{key}/units").status_code == 404
    key = sessions.add(EcephysSession.from_nwb_path(session_path))
    answer = client.get(f"/api/s/{key}-all/units")
    assert answer.status_code == 404
    assert "was opened in Python" in answer.json()["message"]


def test_key_all__has_counts_of_its_own(serve, sessions) -> None:
    client = serve(sessions)
    for key in ("file-1", "file-1-all"):
        assert client.get(f"/api/s/{key}/facts").status_code == 200
    assert sessions.identify("file-1") != sessions.identify("file-1-all")
    assert sessions.find_folder("900000001-all") == sessions.find_folder("900000001")
