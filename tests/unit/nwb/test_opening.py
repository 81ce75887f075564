"""What a session can be opened from, and files of other writers that hold the same."""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
import pytest
from tests.unit.transfer.ranged import RangedFile

from spikehouse.errors import InvalidArgumentError, InvalidFileError, NotFoundError, SourceError
from spikehouse.nwb import _byte_readers
from spikehouse.nwb.hdf5 import Hdf5File
from spikehouse.session import EcephysSession
from spikehouse.transfer.remote_bytes import RemoteBytes
from spikehouse.transfer.remote_file import RemoteFile

if TYPE_CHECKING:
    from tests.unit.conftest import StandIn

Rewrite = Callable[[Path, Path], None]


@pytest.fixture(scope="module")
def expected(session_path: Path) -> dict[str, Any]:
    with EcephysSession.from_nwb_path(session_path) as session:
        return read_everything(session)


def read_everything(session: EcephysSession) -> dict[str, Any]:
    units = session.units.index
    unit = units[0]
    return {
        "metadata": pd.Series(session.metadata),
        "rig": session.rig_geometry_data,
        "probes": session.probes,
        "channels": session.channels,
        "units": session.units,
        "presentations": session.stimulus_presentations,
        "conditions": session.stimulus_conditions,
        "invalid": session.invalid_times,
        "pulses": session.optogenetic_stimulation_epochs,
        "running": session.running_speed,
        "pupil": session.get_pupil_data(),
        "gaze": session.get_screen_gaze_data(include_filtered_data=True),
        "spikes": pd.Series(session.spike_times[unit]),
        "amplitudes": pd.Series(session.spike_amplitudes[unit]),
        "waveform": session.mean_waveforms[unit].to_pandas(),
        "counts": session.conditionwise_spike_statistics(range(10), units),
    }


def check_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for name, table in expected.items():
        check = pd.testing.assert_frame_equal
        (check if isinstance(table, pd.DataFrame) else pd.testing.assert_series_equal)(
            found[name], table
        )


def put_behind_user_block(old: Path, new: Path) -> None:
    with h5py.File(old) as source, h5py.File(new, "w", userblock_size=1024) as file:
        for name in source:
            source.copy(name, file)


def turn_bytes(old: Path, new: Path) -> None:
    """Write every number of a file in the other byte order."""
    new.write_bytes(old.read_bytes())
    with h5py.File(new, "r+") as file:
        numbers: list[str] = []

        def note(name: str, item: h5py.HLObject) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf":
                numbers.append(name)

        file.visititems(note)
        for name in numbers:
            attributes = dict(file[name].attrs)
            values = file[name][()]
            del file[name]
            turned = file.create_dataset(name, data=values, dtype=values.dtype.newbyteorder(">"))
            turned.attrs.update(attributes)
        assert len(numbers) > 50


def add_columns(old: Path, new: Path) -> None:
    """Add the columns to the units that pynwb's own table of units has, and others add."""
    new.write_bytes(old.read_bytes())
    with h5py.File(new, "r+") as file:
        units = file["units"]
        n_units = len(units["id"])
        group = file["general/extracellular_ephys/probeA"]
        references = [group.ref] * n_units
        units.create_dataset("electrode_group", data=references, dtype=h5py.ref_dtype)
        ends = np.arange(n_units) + 1
        units["obs_intervals"], units["obs_intervals_index"] = np.zeros((n_units, 2)), ends
        units["waveform_sd"] = np.zeros((n_units, 82))
        units["pairs"] = np.zeros(n_units, "f4,f4")
        units["waveforms"], units["waveforms_index"] = np.zeros(n_units), ends
        units["waveforms_index_index"] = ends
        new_names = ["electrode_group", "obs_intervals", "waveform_sd", "pairs", "waveforms"]
        names = [*units.attrs["colnames"], *new_names]
        units.attrs["colnames"] = np.array(names, dtype=object)


@pytest.fixture(params=[put_behind_user_block, turn_bytes, add_columns], ids=lambda f: f.__name__)
def rewritten(session_path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    new = tmp_path / session_path.name
    request.param(session_path, new)
    return new


def test_from_nwb_path__the_same_from_other_writers(
    rewritten: Path, expected: dict[str, Any]
) -> None:
    with EcephysSession.from_nwb_path(rewritten) as session:
        check_equal(read_everything(session), expected)


def test_from_nwb_path__the_same_from_an_address(
    rewritten: Path, expected: dict[str, Any], server: StandIn
) -> None:
    remote = RangedFile(server, body=rewritten.read_bytes(), path="/data/session.nwb")
    with EcephysSession.from_nwb_path(server.url("/data/session.nwb?version=1")) as session:
        assert session.api.file.path.name == "session.nwb"
        check_equal(read_everything(session), expected)
        with pickle.loads(pickle.dumps(session)) as again:
            pd.testing.assert_frame_equal(again.units, session.units)
    assert 0 < len(remote.asked) < 200


@pytest.fixture(params=["path", "text", "home", "open", "text file", "h5py", "changed"])
def given(
    session_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Any]:
    kind = request.param
    if kind in ("path", "text"):
        yield session_path if kind == "path" else str(session_path)
    elif kind == "home":
        monkeypatch.setenv("HOME", str(session_path.parent))
        yield f"~/{session_path.name}"
    elif kind in ("open", "text file"):
        with session_path.open("rb" if kind == "open" else "r") as file:
            yield file
    elif kind == "h5py":
        with h5py.File(session_path) as file:
            yield file
    else:
        copied = tmp_path / session_path.name
        copied.write_bytes(session_path.read_bytes())
        with h5py.File(copied, "r+") as file:
            file["scratch"] = np.arange(10)
            yield file


def test_from_nwb_path__whatever_names_a_file(given: Any, expected: dict[str, Any]) -> None:
    with EcephysSession.from_nwb_path(given) as session:
        check_equal(read_everything(session), expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (io.BytesIO(b"abc"), "BytesIO object.* has no path on this machine.*Write what is in mem"),
        (791319847, r"of type int: pass the path.*by its id with EcephysProjectCache\(\)\.get_ses"),
        (None, "of type NoneType: pass the path"),
        (pd.Series([1, 2]), "of type Series: pass the path"),
        (b"session.nwb", "of type bytes: pass the path"),
        (
            Path("https://example.org/a.nwb"),
            "'https:/example.org/a.nwb' is an address with a missing slash",
        ),
        ("s3://another-bucket/a.nwb", "'s3://another-bucket/a.nwb' cannot be streamed: pass"),
        ("gs://allen/a.nwb", "'gs://allen/a.nwb' cannot be streamed: pass"),
    ],
)
def test_from_nwb_path__says_what_to_pass(given: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        EcephysSession.from_nwb_path(given)
    assert "\n" not in str(caught.value)


def test_from_nwb_path__h5py_files_without_a_path(session_path: Path) -> None:
    with (
        h5py.File(io.BytesIO(session_path.read_bytes())) as file,
        pytest.raises(InvalidArgumentError, match="has no path on this machine"),
    ):
        EcephysSession.from_nwb_path(file)
    file = h5py.File(session_path)
    file.close()
    with pytest.raises(InvalidArgumentError, match=r"the h5py\.File is closed: pass the path"):
        EcephysSession.from_nwb_path(file)


def test_from_nwb_path__a_folder(session_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="is a folder: pass the session file in it"):
        EcephysSession.from_nwb_path(session_path.parent)


def test_from_nwb_path__an_address_of_the_public_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreachable(RemoteBytes):
        def __init__(self, remote: RemoteFile) -> None:
            raise SourceError(f"no answer from {remote.url}, asked for {remote.name}")

    monkeypatch.setattr(_byte_readers, "RemoteBytes", Unreachable)
    host = r"https://allen-brain-observatory\.s3\.us-west-2\.amazonaws\.com"
    message = rf"{host}/visual%20coding/session_1\.nwb, asked for session_1\.nwb$"
    with pytest.raises(SourceError, match=message):
        EcephysSession.from_nwb_path("s3://allen-brain-observatory/visual coding/session_1.nwb")


@pytest.mark.parametrize("block", [512, 1024, 1 << 20])
def test_hdf5_file__user_blocks(tmp_path: Path, block: int) -> None:
    path = tmp_path / "file.h5"
    with h5py.File(path, "w", userblock_size=block) as file:
        file["values"] = np.arange(9.0)
    opened = Hdf5File(path)
    np.testing.assert_array_equal(opened.read_array("values"), np.arange(9.0))
    opened.close()


def test_from_nwb_path__other_packages_open_the_file_beside_it(
    session_path: Path, expected: dict[str, Any]
) -> None:
    pynwb = pytest.importorskip("pynwb", reason="pynwb is not installed (extra nwb)")
    with EcephysSession.from_nwb_path(session_path) as session:
        with h5py.File(session_path) as file:
            assert file["identifier"][()].decode() == str(session.ecephys_session_id)
        with (
            pytest.warns(),
            pynwb.NWBHDF5IO(str(session_path), "r", load_namespaces=True) as reader,
        ):
            assert reader.read().identifier == str(session.ecephys_session_id)
        check_equal(read_everything(session), expected)


@pytest.mark.parametrize("locking", [None, True, False])
def test_from_nwb_path__the_file_is_open_already(session_path: Path, locking: bool | None) -> None:
    with (
        h5py.File(session_path, locking=locking),
        EcephysSession.from_nwb_path(session_path) as session,
    ):
        assert session.num_probes == 2


def test_from_nwb_path__takes_no_lock(session_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="locks of POSIX")
    with session_path.open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with EcephysSession.from_nwb_path(session_path) as session:
            assert session.num_probes == 2


def test_ids__a_table_is_named_in_one_line(session_path: Path) -> None:
    with EcephysSession.from_nwb_path(session_path) as session:
        ids = session.units.index.to_series()
        reads: list[Callable[[Any], Any]] = [
            session.spike_times.__getitem__,
            session.mean_waveforms.__getitem__,
            session.api.get_spike_times().__getitem__,
            session.api.get_lfp,
            session.api.get_current_source_density,
        ]
        for read in reads:
            for given in (ids, session.units, ids.to_numpy()):
                message = re.escape(f" a {type(given).__name__} of shape {given.shape} ")
                with pytest.raises(NotFoundError, match=message) as caught:
                    read(given)
                assert "\n" not in str(caught.value)
