"""What a session answers where its file holds less than others, or holds it wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from spikehouse.session import EcephysSession

LEFT_RIGHT = "left_right_ccf_coordinate"
DORSAL_VENTRAL = "dorsal_ventral_ccf_coordinate"
REPEATS = "repeats the dorsal–ventral coordinate of its channels"


@pytest.fixture
def changed(session_path: Path, tmp_path: Path) -> Iterator[Callable[..., EcephysSession]]:
    """Give a function that changes a copy of a session file and opens it."""
    opened = []

    def change_and_open(change: Callable[[h5py.File], None], **options: Any) -> EcephysSession:
        path = tmp_path / "session_1.nwb"
        path.write_bytes(session_path.read_bytes())
        with h5py.File(path, "r+") as file:
            change(file)
        opened.append(EcephysSession.from_nwb_path(path, api_kwargs=options))
        return opened[-1]

    yield change_and_open
    for session in opened:
        session.close()


def remove(*paths: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        for path in paths:
            del file[path]

    return change


FACTS = ("specimen_name", "full_genotype", "sex", "session_type")


def test_metadata__without_subject(changed: Callable[..., EcephysSession]) -> None:
    session = changed(remove("general/subject", "general/stimulus"))
    metadata = session.metadata
    assert {name: metadata[name] for name in FACTS} == dict.fromkeys(FACTS)
    assert np.isnan(metadata["age_in_days"])
    assert metadata["num_units"] > 0
    assert "None" not in repr(session)
    assert "None" not in session._repr_html_()


def test_metadata__without_age(changed: Callable[..., EcephysSession]) -> None:
    def change(file: h5py.File) -> None:
        subject = file["general/subject"]
        for name in ("age_in_days", "age"):
            if name in subject.attrs:
                del subject.attrs[name]
            if name in subject:
                del subject[name]

    session = changed(change)
    assert np.isnan(session.age_in_days)
    assert session.specimen_name is not None


OPTIONAL = (
    "general/subject",
    "general/stimulus",
    "intervals/invalid_times",
    "processing/optotagging",
    "processing/eye_tracking",
    "processing/eye_tracking_rig_metadata",
    "processing/running",
)


@pytest.mark.parametrize("path", OPTIONAL)
def test_metadata__without_an_optional_part(
    changed: Callable[..., EcephysSession], path: str
) -> None:
    def change(file: h5py.File) -> None:
        if path in file:
            del file[path]

    session = changed(change)
    assert len(session.metadata) == 14
    assert len(session.invalid_times.columns) == 3
    assert "start_time" in session.optogenetic_stimulation_epochs


def test_metadata__of_an_adapter_that_knows_nothing() -> None:
    class Adapter:
        def get_metadata(self) -> dict[str, Any]:
            return {"sex": "M"}

    session = EcephysSession(Adapter())
    assert (session.sex, session.full_genotype) == ("M", None)
    assert np.isnan(session.age_in_days)


def test_get_pupil_data__says_once_that_there_is_no_eye_tracking(
    changed: Callable[..., EcephysSession],
) -> None:
    session = changed(
        remove(
            "processing/eye_tracking",
            "processing/raw_gaze_mapping",
            "processing/filtered_gaze_mapping",
            "processing/eye_tracking_rig_metadata",
        )
    )
    with pytest.warns(UserWarning, match="this session has no eye tracking") as caught:
        assert session.get_pupil_data() is None
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert session.get_pupil_data() is None
        assert session.get_screen_gaze_data() is None
    assert session.rig_geometry_data is None


def make_right(file: h5py.File) -> None:
    electrodes = file["general/extracellular_ephys/electrodes"]
    electrodes["z"][:] = electrodes["y"][:] + 1000


def test_channels__a_left_right_coordinate_that_repeats_another_is_unknown(
    changed: Callable[..., EcephysSession],
) -> None:
    session = changed(lambda file: None)
    with pytest.warns(UserWarning, match=REPEATS) as caught:
        channels = session.channels
    assert len(caught) == 1
    assert channels[LEFT_RIGHT].isna().all()
    assert channels[DORSAL_VENTRAL].notna().any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert session.units[LEFT_RIGHT].isna().all()


def test_channels__a_right_coordinate_stays(changed: Callable[..., EcephysSession]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        channels = changed(make_right).channels
    known = channels.dropna(subset=[DORSAL_VENTRAL])
    assert (known[LEFT_RIGHT] == known[DORSAL_VENTRAL] + 1000).all()


def test_channels__the_coordinate_of_a_cache(
    changed: Callable[..., EcephysSession], session_path: Path
) -> None:
    with EcephysSession.from_nwb_path(session_path) as opened:
        ids = opened.channels.index
    table = pd.DataFrame({LEFT_RIGHT: np.arange(len(ids)) / 2}, index=ids)
    session = changed(lambda file: None, external_channel_columns=lambda: table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(session.channels[LEFT_RIGHT], table[LEFT_RIGHT])
