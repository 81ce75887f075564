"""The known faults of the released recordings, and where a session and a plan say them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from spikehouse.errors import InvalidArgumentError, NotFoundError
from spikehouse.schema import list_data_notes
from spikehouse.schema.cache_tables import PROBES, SESSIONS
from spikehouse.session import EcephysSession
from spikehouse.survey.manifest import create_manifest, read_manifest
from spikehouse.survey.parquet_cache import read_table
from spikehouse.survey.plan import inspect_file
from spikehouse.survey.store import Store

NO_LFP_FILE = (839557629, 846401838)
COLUMNS = ["probe_id", "note", "source"]


class Recording:
    """An adapter that knows its id and has the LFP of no probe."""

    def __init__(self, session_id: int) -> None:
        self.session_id = session_id

    def get_ecephys_session_id(self) -> int:
        return self.session_id

    def get_lfp(self, probe_id: int) -> None:
        raise NotFoundError(f"there is no LFP file of probe {probe_id}")

    get_current_source_density = get_lfp


def test_list_data_notes__of_all_sessions_of_some_and_of_none() -> None:
    notes = list_data_notes()
    assert notes.columns.tolist() == ["session_id", *COLUMNS]
    assert notes["source"].ne("").all()
    assert notes["note"].str.contains("LFP").sum() == 6
    general = notes[notes["session_id"].isna()]
    assert general["note"].str.contains("repeats the dorsal–ventral coordinate").tolist() == [True]
    some = list_data_notes([732592105, 839557629, 791319847])
    assert some["session_id"].tolist() == [839557629, 732592105]
    assert some["probe_id"].tolist() == [846401838, pd.NA]
    assert list_data_notes(839557629).equals(some[:1])
    assert list_data_notes([]).dtypes.equals(notes.dtypes)


def test_list_data_notes__of_what_is_no_id() -> None:
    with pytest.raises(
        InvalidArgumentError, match="session_ids is '732592105'; give whole numbers"
    ):
        list_data_notes("732592105")


def test_notes__of_a_session_and_in_its_repr() -> None:
    session = EcephysSession(Recording(NO_LFP_FILE[0]))
    assert session.notes.columns.tolist() == COLUMNS
    assert session.notes["probe_id"].tolist() == [NO_LFP_FILE[1]]
    assert "known faults   probe 846401838: its LFP file does not exist" in repr(session)
    assert "probe 846401838: its LFP file does not exist" in session._repr_html_()
    assert "known faults   no channel of this session is in CA1" in repr(
        EcephysSession(Recording(732592105))
    )


def test_notes__none_are_known_of_the_demo_or_of_a_session_without_id(session_path: Path) -> None:
    with EcephysSession.from_nwb_path(session_path) as session:
        assert session.notes.columns.tolist() == COLUMNS
        assert session.notes.empty
        assert "known faults" not in repr(session)
    assert EcephysSession(object()).notes.empty  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["get_lfp", "get_current_source_density"])
def test_get_lfp__of_a_missing_file_says_what_is_known(method: str) -> None:
    session_id, probe_id = NO_LFP_FILE
    session = EcephysSession(Recording(session_id))
    with pytest.raises(
        NotFoundError,
        match=f"no LFP file of probe {probe_id}. Known of probe {probe_id}: its LFP file does not "
        r"exist \(.*issues/2260\)",
    ):
        getattr(session, method)(probe_id)
    with pytest.raises(NotFoundError) as other:
        getattr(session, method)(probe_id + 1)
    assert other.value.message == f"there is no LFP file of probe {probe_id + 1}"


def test_plan__of_a_missing_lfp_file_says_what_is_known_once(tmp_path: Path) -> None:
    class Bucket:
        name = "bucket"

        def locate(self, file: object) -> None:
            raise NotFoundError("bucket has no such file.")

    create_manifest(tmp_path / "manifest.json")
    store = Store(read_manifest(tmp_path / "manifest.json"), [Bucket()])
    problem = inspect_file(store, store.file("lfp", *NO_LFP_FILE)).problem
    assert problem.startswith("bucket has no such file. Known of probe 846401838: its LFP file")
    assert inspect_file(store, store.file("lfp", NO_LFP_FILE[0], 1)).problem == (
        "bucket has no such file."
    )
    assert inspect_file(store, store.file("session", NO_LFP_FILE[1])).problem == (
        "bucket has no such file."
    )
    session = EcephysSession(Recording(NO_LFP_FILE[0]))
    session.api.get_lfp = lambda probe_id: store.fetch(store.file("lfp", *NO_LFP_FILE))  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(NotFoundError) as missing:
        session.get_lfp(NO_LFP_FILE[1])
    assert missing.value.message == problem


def test_list_data_notes__sessions_and_probes_are_those_of_the_survey(shared_folder: Path) -> None:
    sessions = read_table(shared_folder / "facts" / "sessions.csv", SESSIONS)
    probes = read_table(shared_folder / "facts" / "probes.csv", PROBES)
    notes = list_data_notes().dropna(subset="session_id")
    assert set(notes["session_id"]) <= set(sessions.index)
    of_probes = notes.dropna(subset="probe_id")
    found = probes["ecephys_session_id"].loc[of_probes["probe_id"].astype(int)]
    assert found.tolist() == of_probes["session_id"].tolist()
