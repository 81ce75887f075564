"""What is fetched of a remote HDF5 file, and in which order; no sockets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from spikehouse.errors import InvalidArgumentError, NotFoundError, SourceError
from spikehouse.nwb._remote import data_ranges, header_ranges, heap_ranges, plan_tables
from spikehouse.nwb.hdf5 import Hdf5File, RowReader
from spikehouse.nwb.units import RaggedColumn
from spikehouse.spikes import trains as trains_module
from spikehouse.spikes.trains import ReadAhead, Selection
from spikehouse.transfer.byte_ranges import PlanRules
from spikehouse.transfer.remote_bytes import RemoteBytes, StreamOptions
from spikehouse.transfer.remote_file import RemoteFile

TEXT = h5py.string_dtype()
N_UNITS = 12
PER_UNIT = 5000
OPTIONS = StreamOptions(
    rules=PlanRules(page=1 << 10, free_gap=1 << 11), metadata_window=1 << 12, largest_window=1 << 14
)


class Server:
    """Hands out ranges of a file on disk and counts them."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.asked: list[tuple[int, int]] = []
        self.error: Exception | None = None

    def probe(self, remote: RemoteFile) -> RemoteFile:
        return replace(remote, size=len(self.content), etag='"1"')

    def read_range(self, remote: RemoteFile, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        if self.error is not None:
            raise self.error
        return self.content[start:stop]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "session_1.nwb"
    rng = np.random.default_rng(3)
    with h5py.File(path, "w") as file:
        table = file.create_group("intervals/flashes_presentations")
        table.attrs["colnames"] = np.array(["start_time", "color", "tags"], dtype=object)
        for name in ("start_time", "stop_time"):
            table[name] = np.arange(2000.0)
        names = np.array(["on", "off"] * 1000, dtype=object)
        table.create_dataset("color", data=names, dtype=TEXT)
        table["id"] = np.arange(2000)
        units = file.create_group("units")
        units["id"] = np.arange(N_UNITS) + 10
        units["spike_times"] = np.sort(rng.random((N_UNITS, PER_UNIT))).ravel()
        units["spike_times_index"] = np.arange(1, N_UNITS + 1) * PER_UNIT
        data = rng.random((4000, 8)).astype(np.float32)
        file.create_dataset("chunked", data=data, chunks=(500, 8), compression="gzip")
        file.create_dataset("grid", data=data, chunks=(500, 4))
        file["flags"] = np.array([True, False])
    return path


@pytest.fixture
def server(path: Path) -> Server:
    return Server(path)


@pytest.fixture
def remote(server: Server) -> Hdf5File:
    return Hdf5File(
        RemoteBytes(RemoteFile("https://h/s.nwb", "s.nwb"), options=OPTIONS, client=server)
    )


def covered(asked: list[tuple[int, int]], start: int, stop: int) -> bool:
    return set(range(start, stop)) <= {byte for a, b in asked for byte in range(a, b)}


def test_read_array__remote__as_from_disk(path: Path, remote: Hdf5File) -> None:
    local = Hdf5File(path)
    for name in ("units/spike_times", "chunked", "grid", "flags", "units/id"):
        found, expected = remote.read_array(name), local.read_array(name)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype


def test_read_table__remote__as_from_disk(path: Path, remote: Hdf5File) -> None:
    place = "intervals/flashes_presentations"
    local = Hdf5File(path)
    expected = local.read_table(local.group(place))
    found = remote.read_table(remote.group(place))
    assert list(found) == list(expected)
    assert list(found["color"]) == list(expected["color"])
    np.testing.assert_array_equal(found["start_time"], expected["start_time"])


def test_header_spans__where_the_library_finds_the_objects(path: Path) -> None:
    with h5py.File(path) as file:
        expected = {h5py.h5o.get_info(file[f"units/{name}"].id).addr for name in file["units"]}
        assert {start for start, _ in header_ranges([file["units"]])} == expected


def test_data_spans__chunks_of_the_rows_only(path: Path) -> None:
    with h5py.File(path) as file:
        assert len(data_ranges(file["chunked"], 600, 1100)) == 2
        assert data_ranges(file["grid"], 0, 10) == []
        (span,) = data_ranges(file["units/spike_times"], 3, 5)
        assert span[0] == file["units/spike_times"].id.get_offset() + 24
        assert span[1] - span[0] == 16
        assert data_ranges(file["units/spike_times"], 5, 5) == []


def test_plan_tables__references_and_the_strings_they_point_at(path: Path, server: Server) -> None:
    with h5py.File(path) as file:
        group = file["intervals/flashes_presentations"]
        columns, references = plan_tables([(group, ["start_time", "color"])])
        ((start, stop),) = references
        assert start == group["color"].id.get_offset()
        assert (start, stop) in columns
        heaps = heap_ranges(server.content[start:stop], 0)
        assert heaps
        assert all(server.content[a : a + 4] == b"GCOL" for a, _ in heaps)


def test_prefetch_tables__then_read__no_further_request(server: Server, remote: Hdf5File) -> None:
    group = remote.group("intervals/flashes_presentations")
    remote.prefetch_tables([(group, ["start_time", "stop_time", "color", "id"])])
    while remote.reader._in_flight:
        pass
    n_asked = len(server.asked)
    remote.read_table(group, columns=["start_time", "stop_time", "color"])
    assert len(server.asked) == n_asked


def test_prefetch__file_on_disk__nothing_to_do(path: Path) -> None:
    local = Hdf5File(path)
    local.reader.prefetch([(0, 10)])
    local.prefetch_members(local.root)
    local.prefetch_tables([(local.group("units"), ["id"])])
    local.prefetch_rows(local.root["chunked"], (0, 10))
    column = RaggedColumn(local, "spike_times")
    column.prefetch([10])
    assert column.plan_batches([10, 11], most_bytes=1) == []


def test_plan_batches__as_many_units_as_fit(remote: Hdf5File) -> None:
    column = RaggedColumn(remote, "spike_times")
    units = [15, 12, 11, 10, 21]
    assert column.plan_batches(units, most_bytes=16 * PER_UNIT) == [[15, 12], [11, 10], [21]]
    assert column.plan_batches(units[:2], most_bytes=1) == [[15], [12]]
    with pytest.raises(NotFoundError, match="no unit 99"):
        column.plan_batches([99], most_bytes=1)


def test_prefetch__neighbouring_units__one_range(server: Server, remote: Hdf5File) -> None:
    column = RaggedColumn(remote, "spike_times")
    n_asked = len(server.asked)
    column.prefetch([10, 11, 12, 20])
    trains = [column[unit] for unit in (10, 11, 12, 20)]
    assert [len(train) for train in trains] == [PER_UNIT] * 4
    assert len(server.asked) - n_asked == 2


def test_read_ahead__each_unit_once_and_in_batches(
    server: Server, remote: Hdf5File, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trains_module, "AHEAD_BYTES", 3 * 8 * PER_UNIT)
    begun: list[list[int]] = []
    column = RaggedColumn(remote, "spike_times")
    prefetch = column.prefetch
    monkeypatch.setattr(column, "prefetch", lambda ids: (begun.append(list(ids)), prefetch(ids)))
    units = list(range(10, 20))
    ahead = ReadAhead(Selection(column, units), units)
    first = ahead[0]
    assert begun == [[10, 11, 12], [13, 14, 15]]
    rest = [ahead[place] for place in range(1, len(units))]
    assert [unit for batch in begun for unit in batch] == units
    local = RaggedColumn(Hdf5File(path), "spike_times")
    np.testing.assert_array_equal(
        np.concatenate([first, *rest]), np.concatenate([local[unit] for unit in units])
    )


@pytest.mark.parametrize("make", [dict, lambda trains: Selection(trains, list(trains))])
def test_read_ahead__a_dictionary__is_the_dictionary(make: Callable[..., object]) -> None:
    trains = {3: np.array([1.0]), 5: np.array([2.0])}
    ahead = ReadAhead(make(trains), [5, 3])
    assert (len(ahead), ahead[0][0], ahead[1][0]) == (2, 2.0, 1.0)


def test_row_reader__bytes_do_not_come__names_dataset_and_address(
    server: Server, remote: Hdf5File
) -> None:
    reader = RowReader(remote, remote.root["units/spike_times"])
    server.error = SourceError("https://h/s.nwb answers with status 500")
    with pytest.raises(
        SourceError, match=r"https://h/s.nwb: /units/spike_times could not be downloaded"
    ):
        reader.read(20_000, 30_000)
    server.error = None
    assert len(reader.read(20_000, 30_000)) == 10_000


def test_hdf5_file__remote__says_what_it_was_opened_from(remote: Hdf5File) -> None:
    assert remote.is_remote
    assert remote.source is remote.reader
    assert remote.reader.identity[:2] == ("https://h/s.nwb", '"1"')
    assert str(remote.path) == "s.nwb"
    remote.close()
    assert not remote.is_open
    with pytest.raises(InvalidArgumentError, match="closed"):
        _ = remote.root
