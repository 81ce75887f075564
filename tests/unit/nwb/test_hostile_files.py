"""Session files that lie, and files damaged at random: a value or an error that says so, always."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import spikehouse
from spikehouse.demo import Survey
from spikehouse.errors import InvalidFileError
from spikehouse.nwb import NwbSessionFile
from spikehouse.nwb._check_size import LARGEST_STRING
from spikehouse.nwb.lfp import open_lfp, read_current_source_density

Change = Callable[[h5py.File], None]
TEXT = h5py.string_dtype()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.h5"
    with h5py.File(path, "w") as file:
        file["values"] = np.arange(10.0)
        file["table/id"] = np.arange(3)
    return path


@pytest.fixture
def changed(session_path: Path, tmp_path: Path) -> Callable[[Change], NwbSessionFile]:
    """Give a function that changes a copy of a session file and opens it."""

    def change_and_open(change: Change) -> NwbSessionFile:
        path = tmp_path / "session_1.nwb"
        path.write_bytes(session_path.read_bytes())
        with h5py.File(path, "r+") as file:
            change(file)
        return NwbSessionFile(path)

    return change_and_open


def replace(file: h5py.File, path: str, **kwargs: object) -> None:
    del file[path]
    file.create_dataset(path, **kwargs)


READERS: dict[str, Callable[[NwbSessionFile], object]] = {
    "identifier": NwbSessionFile.get_ecephys_session_id,
    "session_start_time": NwbSessionFile.get_session_start_time,
    "general/subject": NwbSessionFile.get_metadata,
    "general/stimulus": NwbSessionFile.get_metadata,
    "general/devices/probeA": NwbSessionFile.get_probes,
    "general/extracellular_ephys/probeA": NwbSessionFile.get_probes,
    "general/extracellular_ephys": NwbSessionFile.get_probes,
    "general/extracellular_ephys/electrodes": NwbSessionFile.get_channels,
    "general/extracellular_ephys/electrodes/id": NwbSessionFile.get_channels,
    "general/extracellular_ephys/electrodes/location": NwbSessionFile.get_channels,
    "units": NwbSessionFile.get_units,
    "units/snr": NwbSessionFile.get_units,
    "units/spike_times": NwbSessionFile.get_spike_times,
    "units/spike_times_index": NwbSessionFile.get_spike_times,
    "units/id": NwbSessionFile.get_spike_times,
    "units/spike_amplitudes": NwbSessionFile.get_spike_amplitudes,
    "units/waveform_mean_index": NwbSessionFile.get_mean_waveforms,
    "intervals": NwbSessionFile.get_stimulus_presentations,
    "intervals/flashes_presentations": NwbSessionFile.get_stimulus_presentations,
    "intervals/flashes_presentations/color": NwbSessionFile.get_stimulus_presentations,
    "intervals/invalid_times": NwbSessionFile.get_invalid_times,
    "processing/optotagging/optogenetic_stimulation": NwbSessionFile.get_optogenetic_stimulation,
    "processing/running": NwbSessionFile.get_running_speed,
    "processing/running/running_speed/data": NwbSessionFile.get_running_speed,
    "processing/eye_tracking": NwbSessionFile.get_pupil_data,
    "processing/eye_tracking/pupil_ellipse_fits/width": NwbSessionFile.get_pupil_data,
    "processing/raw_gaze_mapping/eye_area/data": NwbSessionFile.get_screen_gaze_data,
    "processing/eye_tracking_rig_metadata": NwbSessionFile.get_rig_metadata,
}


@pytest.mark.parametrize("path", READERS)
def test_read__external_link_anywhere_is_not_followed(
    changed: Callable[[Change], NwbSessionFile], secret: Path, path: str
) -> None:
    def link(file: h5py.File) -> None:
        if path in file:
            del file[path]
        file[path] = h5py.ExternalLink(str(secret), "/table")

    session = changed(link)
    with pytest.raises(InvalidFileError, match=r"is an external link to '/table' in .*secret\.h5"):
        READERS[path](session)
    session.close()


@pytest.mark.parametrize("name", ["data", "timestamps", "electrodes", None])
def test_open_lfp__external_link_is_not_followed(
    survey: Survey, tmp_path: Path, secret: Path, name: str | None
) -> None:
    probe_id = 910001000
    path = tmp_path / "probe_1_lfp.nwb"
    path.write_bytes(survey.lfp_file(probe_id).read_bytes())
    series = f"acquisition/probe_{probe_id}_lfp/probe_{probe_id}_lfp_data"
    with h5py.File(path, "r+") as file:
        linked = series if name is None else f"{series}/{name}"
        del file[linked]
        file[linked] = h5py.ExternalLink(str(secret), "/values")
        del file["processing/current_source_density"]
        file["processing/current_source_density"] = h5py.ExternalLink(str(secret), "/table")
    with pytest.raises(InvalidFileError, match=r"external link to '/values' in .*not followed"):
        open_lfp(path)
    with pytest.raises(InvalidFileError, match=r"external link to '/table' in .*not followed"):
        read_current_source_density(path)


def test_get_units__two_with_one_id(changed: Callable[[Change], NwbSessionFile]) -> None:
    def repeat(file: h5py.File) -> None:
        file["units/id"][1] = file["units/id"][0]

    session = changed(repeat)
    for read in (session.get_units, session.get_spike_times):
        with pytest.raises(InvalidFileError, match=r"has 1 repeated id, for example \d+: rows"):
            read()


def test_read_frame__two_rows_with_one_id(changed: Callable[[Change], NwbSessionFile]) -> None:
    def repeat(file: h5py.File) -> None:
        table = file.require_group("intervals/invalid_times")
        for name in list(table):
            del table[name]
        table["id"] = [5, 5]
        table["start_time"] = [1.0, 1.0]
        table["stop_time"] = [2.0, 2.0]
        table["tags"] = ["a", "a"]
        table.attrs["colnames"] = ["start_time", "stop_time", "tags"]

    with pytest.raises(
        InvalidFileError, match=r"invalid_times has 1 repeated id, for example 5: rows"
    ):
        changed(repeat).get_invalid_times()


def test_get_spike_times__ends_that_lie(changed: Callable[[Change], NwbSessionFile]) -> None:
    def beyond(file: h5py.File) -> None:
        ends = file["units/spike_times_index"][()].astype(np.uint64)
        ends[3] = 2**63 + 1
        replace(file, "units/spike_times_index", data=ends)

    with pytest.raises(InvalidFileError, match=r"spike_times_index has the end index \d+, but"):
        changed(beyond).get_spike_times()

    def backwards(file: h5py.File) -> None:
        file["units/spike_times_index"][3] = 0

    with pytest.raises(InvalidFileError, match="spike_times_index decreases: row 3 would end"):
        changed(backwards).get_spike_times()

    def fewer(file: h5py.File) -> None:
        replace(file, "units/spike_times_index", data=file["units/spike_times_index"][:-1])

    with pytest.raises(
        InvalidFileError, match=r"spike_times_index has \d+ end indices, for \d+ ids"
    ):
        changed(fewer).get_spike_times()


def test_get_spike_times__terabytes_declared(changed: Callable[[Change], NwbSessionFile]) -> None:
    def declare(file: h5py.File) -> None:
        replace(file, "units/spike_times", shape=(1 << 42,), dtype="f8", chunks=(1 << 20,))

    with pytest.raises(InvalidFileError, match=r"/units/spike_times declares \d+ bytes"):
        changed(declare).get_spike_times()


def test_get_invalid_times__ends_that_lie(changed: Callable[[Change], NwbSessionFile]) -> None:
    def beyond(file: h5py.File) -> None:
        table = file.require_group("intervals/invalid_times")
        table.attrs["colnames"] = ["start_time", "stop_time", "tags"]
        columns = {"id": [0], "start_time": [1.0], "stop_time": [2.0], "tags_index": [255]}
        for name, values in columns.items():
            table[name] = values
        table["tags"] = ["EcephysSession"]

    with pytest.raises(InvalidFileError, match="tags_index has the end index 255, but"):
        changed(beyond).get_invalid_times()


@pytest.mark.parametrize(
    ("path", "values", "message"),
    [
        ("units/spike_times", ["a"] * 5, "/units/spike_times should hold numbers, but .* text"),
        ("units/presence_ratio", ["a"], "/units/presence_ratio should hold numbers"),
        ("units/quality", [1.0], "/units/quality should hold text, but is of type float64"),
        ("units/snr", np.zeros(3), "/units has columns of different lengths"),
        ("units/id", [1.5], "ids should be whole numbers"),
    ],
)
def test_get_units__columns_of_another_kind(
    changed: Callable[[Change], NwbSessionFile], path: str, values: object, message: str
) -> None:
    def change(file: h5py.File) -> None:
        n_units = len(file["units/id"])
        given = list(values) * n_units if isinstance(values, list) else values
        is_text = isinstance(given, list) and isinstance(given[0], str)
        replace(file, path, data=given, dtype=TEXT if is_text else None)

    session = changed(change)
    with pytest.raises(InvalidFileError, match=message):
        (session.get_spike_times if path.endswith("spike_times") else session.get_units)()


def test_get_units__without_a_column_that_is_filtered_by(
    changed: Callable[[Change], NwbSessionFile],
) -> None:
    def remove(file: h5py.File) -> None:
        del file["units/isi_violations"]

    with pytest.raises(InvalidFileError, match="/units has no column 'isi_violations', so it is"):
        changed(remove).get_units()


def test_get_stimulus_presentations__times_as_text(
    changed: Callable[[Change], NwbSessionFile],
) -> None:
    path = "intervals/flashes_presentations/start_time"

    def change(file: h5py.File) -> None:
        replace(file, path, data=["1.0"] * len(file[path]), dtype=TEXT)

    with pytest.raises(InvalidFileError, match=f"{path} should hold numbers, but is of type text"):
        changed(change).get_stimulus_presentations()

    def remove(file: h5py.File) -> None:
        del file[path]

    with pytest.raises(InvalidFileError, match="flashes_presentations has no column 'start_time'"):
        changed(remove).get_stimulus_presentations()


def test_get_channels__references_instead_of_places(
    changed: Callable[[Change], NwbSessionFile],
) -> None:
    path = "general/extracellular_ephys/electrodes/location"

    def change(file: h5py.File) -> None:
        n_rows = len(file[path])
        replace(file, path, data=[file["units"].ref] * n_rows, dtype=h5py.ref_dtype)

    with pytest.raises(InvalidFileError, match=f"{path} should hold text, but .* Reference"):
        changed(change).get_channels()


def test_read__names_in_a_file_are_no_paths_and_no_formats(
    changed: Callable[[Change], NwbSessionFile],
) -> None:
    # every name that is followed is one that the group lists
    def change(file: h5py.File) -> None:
        names = [*file["units"].attrs["colnames"], "../identifier", "/identifier", "{0.file}", "%s"]
        file["units"].attrs["colnames"] = np.array(names, dtype=object)
        file["units"].attrs["unit"] = "{0.__class__}%n"
        file["general/devices/probeA"].attrs["sampling_rate"] = "%(secret)s{0}"

    session = changed(change)
    assert not {"../identifier", "/identifier", "{0.file}", "%s"} & set(session.get_units())
    with pytest.raises(InvalidFileError, match=re.escape("is '%(secret)s{0}', where a number")):
        session.get_probes()


def test_get_ecephys_session_id__a_number_of_a_million_digits(
    changed: Callable[[Change], NwbSessionFile],
) -> None:
    def change(file: h5py.File) -> None:
        replace(file, "identifier", data="1" * 1_000_000)

    with pytest.raises(
        InvalidFileError, match=r"/identifier is '1{64}…', where a number was expected"
    ):
        changed(change).get_ecephys_session_id()


def find_references(path: Path, name: str) -> tuple[int, int]:
    with h5py.File(path, "r") as file:
        return file[name].id.get_offset(), file[name].size


@pytest.mark.parametrize("name", ["units/quality", "identifier"])
def test_read__a_string_of_four_gigabytes(
    changed: Callable[[Change], NwbSessionFile], tmp_path: Path, name: str
) -> None:
    changed(lambda file: None).close()
    path = tmp_path / "session_1.nwb"
    offset, _ = find_references(path, name)
    with path.open("r+b") as handle:
        handle.seek(offset)
        handle.write(b"\xff\xff\xff\xff")
    session = NwbSessionFile(path)
    read = session.get_units if name.startswith("units") else session.get_ecephys_session_id
    with pytest.raises(
        InvalidFileError, match=f"{name} cannot be read .it has a string of 4294967295 bytes"
    ):
        read()


@pytest.mark.parametrize("n_bytes", [LARGEST_STRING + 100_000, 80 << 20])
def test_read__a_text_of_megabytes_in_an_attribute(
    changed: Callable[[Change], NwbSessionFile], n_bytes: int
) -> None:
    def change(file: h5py.File) -> None:
        file["general/extracellular_ephys/probeA"].attrs["location"] = "a" * n_bytes

    # seen before the library makes room for it
    with pytest.raises(InvalidFileError, match="its string heap is damaged"):
        changed(change).get_probes()


@pytest.mark.parametrize("chunks", [None, (64,)], ids=["contiguous", "chunked"])
def test_read__many_references_to_one_long_text(
    changed: Callable[[Change], NwbSessionFile], tmp_path: Path, chunks: tuple[int] | None
) -> None:
    name = "general/extracellular_ephys/electrodes/location"
    spans = []

    def change(file: h5py.File) -> None:
        texts = ["a" * 1_000_000, *[""] * (len(file[name]) - 1)]
        replace(file, name, data=texts, dtype=TEXT, chunks=chunks)
        if chunks is None:
            spans.append((file[name].id.get_offset(), 16 * len(texts)))
        else:
            infos = map(file[name].id.get_chunk_info, range(file[name].id.get_num_chunks()))
            spans.extend((info.byte_offset, info.size) for info in infos)

    changed(change).close()
    path = tmp_path / "session_1.nwb"
    content = bytearray(path.read_bytes())
    first = bytes(content[spans[0][0] : spans[0][0] + 16])
    for start, size in spans:
        content[start : start + size] = first * (size // 16)
    path.write_bytes(content)
    with pytest.raises(
        InvalidFileError, match=r"location cannot be read \(it has strings of \d+ b"
    ):
        NwbSessionFile(path).get_channels()


def test_read__a_chunk_that_unpacks_to_more_than_it_declares(
    changed: Callable[[Change], NwbSessionFile],
) -> None:
    def change(file: h5py.File) -> None:
        n_units = len(file["units/id"])
        replace(file, "units/snr", shape=n_units, dtype="f8", chunks=(n_units,), compression=9)
        file["units/snr"].id.write_direct_chunk((0,), zlib.compress(bytes(100 << 20), 9))

    with pytest.raises(InvalidFileError, match=r"\d+ compressed bytes at \d+ unpack to more than"):
        changed(change).get_units()


@pytest.mark.parametrize("kind", ["hard", "soft", "columns"])
def test_get_stimulus_presentations__one_table_under_many_names(
    changed: Callable[[Change], NwbSessionFile], kind: str
) -> None:
    def change(file: h5py.File) -> None:
        flashes = file["intervals/flashes_presentations"]
        for number in range(8000 if kind == "hard" else 1000):
            name = f"intervals/t{number}_presentations"
            if kind == "columns":
                for column, values in flashes.items():
                    file[f"{name}/{column}"] = values
            else:
                file[name] = flashes if kind == "hard" else h5py.SoftLink(flashes.name)

    session = changed(change)
    begin = time.process_time()
    with pytest.raises(InvalidFileError, match=r"ha(s|ve) several names in the file"):
        session.get_stimulus_presentations()
    assert time.process_time() - begin < 4


FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "read_pickle", "to_pickle"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "yaml"}
# what runs the code that a user, not a file, gave it: a notebook's own, and the function that a
# worker gets from the user's process, over Dask, which unpickles all that it is sent
ALLOWED = {
    ("compat/running.py", "exec"),
    ("compat/running.py", "compile"),
    # the text of the user's function is parsed, and the modules that it imports are imported
    ("cohort/_describe.py", "compile"),
    ("cohort/_describe.py", "__import__"),
    ("cohort/_functions.py", "cloudpickle"),
    ("cohort/_task.py", "pickle"),
}


def find_forbidden(source: str) -> set[str]:
    """Name what could turn bytes into code."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & FORBIDDEN_MODULES
        elif isinstance(node, ast.ImportFrom) and node.module:
            # writing bytes is harmless
            if not {alias.name for alias in node.names} <= {"dumps", "Pickler"}:
                found |= {node.module.split(".")[0]} & FORBIDDEN_MODULES
        elif isinstance(node, ast.Call):
            called = node.func
            is_method = isinstance(called, ast.Attribute)
            name = called.attr if is_method else getattr(called, "id", "")
            # a method called compile makes patterns; pandas has a method eval that runs code
            if name in FORBIDDEN_CALLS and not (is_method and name == "compile"):
                found.add(name)
            found |= {
                "allow_pickle"
                for word in node.keywords
                if word.arg == "allow_pickle"
                and not (isinstance(word.value, ast.Constant) and word.value.value is False)
            }
            numpy_load = (
                is_method and name == "load" and ast.unparse(called.value) in ("np", "numpy")
            )
            if numpy_load and not any(word.arg == "allow_pickle" for word in node.keywords):
                found.add("load")
    return found


def test_package__turns_no_bytes_into_code() -> None:
    root = Path(spikehouse.__file__).parent
    found = {
        (path.relative_to(root).as_posix(), name)
        for path in sorted(root.rglob("*.py"))
        for name in find_forbidden(path.read_text(encoding="utf-8"))
    }
    assert found - ALLOWED == set()


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "from pickle import dumps, loads",
        "import yaml",
        "eval('1')",
        "import numpy as np\nnp.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=given)",
        "pd.read_pickle(path)",
        "frame.query('a').eval('b')",
        "__import__('os')",
    ],
)
def test_find_forbidden__finds(source: str) -> None:
    assert find_forbidden(source)


def test_find_forbidden__lets_pass() -> None:
    passing = ("re.compile('a')", "ast.literal_eval('1')", "np.load(p, allow_pickle=False)")
    for source in (*passing, "from pickle import dumps"):
        assert not find_forbidden(source)


FUZZ = Path(__file__).with_name("fuzz_session.py")


@pytest.mark.parametrize(
    ("kind", "n_seeds"),
    [("cut", 3), ("values", 6), ("any", 6), ("holes", 8), ("any of lfp", 6)],
)
@pytest.mark.skipif(sys.platform == "win32", reason="limits of memory and time are POSIX's")
def test_read__damaged_at_random(
    survey: Survey, session_path: Path, tmp_path: Path, kind: str, n_seeds: int
) -> None:
    # in a process of its own: what runs wild there is stopped there
    kind, _, of_lfp = kind.partition(" of ")
    path = survey.lfp_file(910001000) if of_lfp else session_path
    ran = subprocess.run(
        [sys.executable, str(FUZZ), str(path), str(tmp_path), kind, "0", str(n_seeds)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert f"{n_seeds} files" in ran.stdout
