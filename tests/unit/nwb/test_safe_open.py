"""What a hostile file must not get: paths out of it, and memory for what it does not hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikehouse.errors import InvalidFileError
from spikehouse.nwb._check_size import FLOOR_BYTES, one_budget
from spikehouse.nwb._safe_open import (
    describe_members,
    find,
    find_dataset,
    list_names,
    member,
    reopen,
)
from spikehouse.nwb._validate_columns import (
    LARGEST_ATTRIBUTE,
    LARGEST_STRING,
    MOST_TEXTS,
    check_column,
    check_ends,
    check_numbers,
    check_table,
    check_unique,
    is_plain,
    read_attribute,
    read_names,
    read_number,
    read_value,
)

Opener = Callable[[Callable[[h5py.File], None]], h5py.File]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Give a function that writes a file and opens it for reading."""
    files = []

    def write_and_open(write: Callable[[h5py.File], None]) -> h5py.File:
        path = tmp_path / "hostile.nwb"
        with h5py.File(path, "w") as file:
            write(file)
        files.append(h5py.File(path, "r"))
        return files[-1]

    yield write_and_open
    for file in files:
        file.close()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Give another file, which nobody may be led to."""
    path = tmp_path / "secret.h5"
    with h5py.File(path, "w") as file:
        file["group/values"] = np.arange(10.0)
    return path


def test_find__what_h5py_finds(opened: Opener) -> None:
    def write(file: h5py.File) -> None:
        file["a/b/values"] = np.arange(3)
        file["a/soft"] = h5py.SoftLink("b")
        file["absolute"] = h5py.SoftLink("/a/soft/values")
        file["twice"] = h5py.SoftLink("absolute")
        file["dangling"] = h5py.SoftLink("/nowhere")
        file["a/hard"] = file["a/b"]

    file = opened(write)
    for path in ("a/b/values", "/a/b/values", "a//./soft/values", "absolute", "twice", "a/hard"):
        assert find(file, path) == file[path], path
    assert find(file["a"], "/absolute") == file["absolute"]
    assert find(file, "") == file["/"]
    for path in ("dangling", "a/none", "absolute/below", "none/none"):
        assert find(file, path) is None, path


def test_find__external_link_is_not_followed(opened: Opener, secret: Path) -> None:
    def write(file: h5py.File) -> None:
        file["units"] = h5py.ExternalLink(str(secret), "/group")
        file["a"] = h5py.SoftLink("/units")

    file = opened(write)
    message = (
        f"{file.filename}: /units is an external link to '/group' in {str(secret)!r}; it was not "
        "followed"
    )
    for path in ("units", "units/values", "a", "/a/values"):
        with pytest.raises(InvalidFileError, match=re.escape(message)):
            find(file, path)
    with pytest.raises(InvalidFileError, match="was not followed"):
        member(file, "units")


def test_find__soft_links_in_circles(opened: Opener) -> None:
    def write(file: h5py.File) -> None:
        file["a"] = h5py.SoftLink("/b")
        file["b"] = h5py.SoftLink("/a")
        file["c"] = h5py.SoftLink("c/c")

    file = opened(write)
    with pytest.raises(
        InvalidFileError, match=r"/[ab] is a soft link to '/[ab]', link number 17 of"
    ):
        find(file, "a")
    with pytest.raises(InvalidFileError, match="the links are circular and were not followed"):
        find(file, "c")


def test_find__hard_links_in_circles_end_with_the_path(opened: Opener) -> None:
    def write(file: h5py.File) -> None:
        file.create_group("a")
        file["a/a"] = file["a"]

    file = opened(write)
    assert find(file, "a/" * 1000) == file["a"]


def test_find__values_in_another_file(opened: Opener, tmp_path: Path) -> None:
    outside = tmp_path / "passwords"
    outside.write_bytes(b"secret00" * 4)

    def write(file: h5py.File) -> None:
        file.create_dataset("values", shape=(4,), dtype="f8", external=[(outside, 0, 32)])

    with pytest.raises(InvalidFileError, match=r"/values keeps its values in the file .*passwords"):
        find(opened(write), "values")


def test_find__virtual_dataset(opened: Opener, secret: Path) -> None:
    def write(file: h5py.File) -> None:
        layout = h5py.VirtualLayout(shape=(10,), dtype="f8")
        layout[:] = h5py.VirtualSource(str(secret), "group/values", shape=(10,))
        file.create_virtual_dataset("values", layout)

    message = rf"/values is a virtual dataset assembled from '{re.escape(str(secret))}'; it was"
    with pytest.raises(InvalidFileError, match=message):
        find(opened(write), "values")


def test_list_names__those_that_are_no_utf8_are_left_out(opened: Opener) -> None:
    def write(file: h5py.File) -> None:
        file.id.links.create_soft(b"\xff\xfe", b"a")
        file["a/b"] = 1

    file = opened(write)
    assert list_names(file) == ["a"]
    assert describe_members(file) == "a"


def test_member__missing(opened: Opener) -> None:
    def write(file: h5py.File) -> None:
        file["table/id"] = [1]

    file = opened(write)
    message = r"/table has no dataset 'start_time'; the group holds id"
    with pytest.raises(InvalidFileError, match=message):
        member(file["table"], "start_time")
    with pytest.raises(InvalidFileError, match=": / has no dataset 'table'"):
        member(file, "table")


@pytest.mark.parametrize("chunks", [None, (1 << 20,)], ids=["contiguous", "chunked"])
def test_find_dataset__terabytes_declared_and_nothing_stored(
    opened: Opener, chunks: tuple[int] | None
) -> None:
    def write(file: h5py.File) -> None:
        file.create_dataset("values", shape=(1 << 40,), dtype="f8", chunks=chunks)

    message = r"/values declares 8796093022208 bytes.*the file holds (0|8796093022208): it is not"
    file = opened(write)
    with pytest.raises(InvalidFileError, match=message):
        find_dataset(file, "values")
    # the way to it is sound
    assert reopen(file, "values").shape == (1 << 40,)


def test_find_dataset__one_chunk_of_a_gigabyte(opened: Opener) -> None:
    def write(file: h5py.File) -> None:
        file.create_dataset(
            "values", shape=(10,), maxshape=(None,), dtype="f8", chunks=(1 << 27,), compression=1
        )

    with pytest.raises(InvalidFileError, match="/values declares 1073741824 bytes"):
        find_dataset(opened(write), "values")


def test_find_dataset__beyond_the_end_of_the_file(opened: Opener, tmp_path: Path) -> None:
    n_values = FLOOR_BYTES // 8 + 1

    def write(file: h5py.File) -> None:
        dataset = file.create_dataset("values", shape=(n_values,), dtype="f8")
        dataset[-1] = 1.0
        write.offset = dataset.id.get_offset()  # type: ignore[attr-defined]

    opened(write).close()
    path = tmp_path / "hostile.nwb"
    offset = write.offset  # type: ignore[attr-defined]
    # the position and the length stand in the header one after the other
    whole = path.read_bytes()
    stored = offset.to_bytes(8, "little") + (8 * n_values).to_bytes(8, "little")
    assert whole.count(stored) == 1
    path.write_bytes(whole.replace(stored, (1 << 30).to_bytes(8, "little") + stored[8:]))
    with (
        h5py.File(path, "r") as file,
        # newer versions of HDF5 see it themselves, when it is opened
        pytest.raises(InvalidFileError, match=r"/values cannot be (opened|read).*(corrupt|cut sh)"),
    ):
        find_dataset(file, "values")


@pytest.mark.parametrize("is_bomb", [False, True])
def test_find_dataset__compressed_to_a_hundredth_passes_and_beyond_is_refused(
    opened: Opener, is_bomb: bool
) -> None:
    # of zeros deflate makes a thousandth
    n_values = 3 * FLOOR_BYTES
    values = np.zeros(n_values, np.uint8)
    if not is_bomb:
        values[::300] = np.arange(-(-n_values // 300)) % 251

    def write(file: h5py.File) -> None:
        file.create_dataset("values", data=values, chunks=(1 << 22,), compression=1)

    file = opened(write)
    stored = file["values"].id.get_storage_size()
    assert n_values / stored > (200 if is_bomb else 50)
    if not is_bomb:
        assert find_dataset(file, "values").shape == (n_values,)
        return
    message = rf"/values declares {n_values} bytes .* the file holds {stored}: .* 67108864 .* 100"
    with pytest.raises(InvalidFileError, match=message):
        find_dataset(file, "values")


def test_find_dataset__compressed_twice(opened: Opener) -> None:
    def write(file: h5py.File) -> None:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((1024,))
        plan.set_deflate(9)
        plan.set_deflate(9)
        space = h5py.h5s.create_simple((1024,))
        h5py.h5d.create(file.id, b"values", h5py.h5t.NATIVE_DOUBLE, space, plan)

    with pytest.raises(
        InvalidFileError, match="/values is compressed twice, which is not supported"
    ):
        find_dataset(opened(write), "values")


def test_one_budget__the_same_values_under_many_names(opened: Opener) -> None:
    def write(file: h5py.File) -> None:
        file["values"] = np.arange(100_000.0)
        file["more"] = np.arange(100_000.0)
        for number in range(2):
            file[f"link{number}"] = file["values"]

    file = opened(write)
    with one_budget():
        for name in ("values", "more"):
            find_dataset(file, name)
    # each by itself is read as often as anybody likes
    for name in file:
        find_dataset(file, name)
    with one_budget():
        for number in range(2):
            find_dataset(file, f"link{number}")
        message = "/values .*: several datasets share the same stored values"
        with pytest.raises(InvalidFileError, match=message):
            find_dataset(file, "values")


def test_one_budget__many_small_bombs(opened: Opener) -> None:
    def write(file: h5py.File) -> None:
        for number in range(4):
            file.create_dataset(f"b{number}", shape=(3 << 20,), dtype="f8", chunks=(1 << 17,))

    file = opened(write)
    with one_budget():
        for number in range(2):
            find_dataset(file, f"b{number}")
        with pytest.raises(InvalidFileError, match="/b2 declares 25165824 bytes"):
            find_dataset(file, "b2")


def test_find_dataset__null_dataspace(opened: Opener) -> None:
    def write(file: h5py.File) -> None:
        file["values"] = h5py.Empty("f8")

    with pytest.raises(InvalidFileError, match="/values has no values: its dataspace is null"):
        find_dataset(opened(write), "values")


def test_check_numbers__what_is_none(opened: Opener) -> None:
    def write(file: h5py.File) -> None:
        file["text"] = ["a"]
        file["fixed"] = np.array([b"a"])
        file["pairs"] = np.zeros(2, [("a", "f8"), ("b", "i4")])
        file["complex"] = np.zeros(2, complex)
        file.create_dataset("reference", data=[file.ref], dtype=h5py.ref_dtype)
        file.create_dataset("lists", shape=(2,), dtype=h5py.vlen_dtype(np.int32))
        file["numbers"] = np.zeros((2, 3))
        file["booleans"] = [True]

    file = opened(write)
    expected = {
        "text": "text",
        "fixed": "text",
        "pairs": r"\[\('a'",
        "complex": "complex128",
        "reference": "Reference",
        "lists": "variable-length lists of int32",
    }
    for name, shown in expected.items():
        with pytest.raises(
            InvalidFileError, match=f"/{name} should hold numbers, but is of type {shown}"
        ):
            check_numbers(file[name])
    check_numbers(file["booleans"])
    with pytest.raises(
        InvalidFileError, match=r"/numbers has shape \(2, 3\), where 1 dimension was"
    ):
        check_numbers(file["numbers"], n_dimensions=1)
    with pytest.raises(InvalidFileError, match="/text should hold numbers, but is of type text"):
        check_column(file["text"], "start_time")
    with pytest.raises(InvalidFileError, match="/booleans should hold text, but is of type bool"):
        check_column(file["booleans"], "stimulus_name")
    for name in ("pairs", "reference", "numbers"):
        assert check_column(file[name], "contrast") == "neither"
    assert check_column(file["text"], "contrast") == "text"


def test_is_plain__bytes_that_need_converting(opened: Opener) -> None:
    def write(file: h5py.File) -> None:
        file["plain"] = np.arange(3, dtype=np.int32)
        file["big_endian"] = np.arange(3, dtype=">i4")
        of_24_bits = h5py.h5t.NATIVE_INT32.copy()
        of_24_bits.set_precision(24)
        of_24_bits.set_offset(8)
        h5py.h5d.create(file.id, b"shifted", of_24_bits, h5py.h5s.create_simple((3,)))
        file["shifted"][...] = [1, -2, 3]
        three_bytes = h5py.h5t.NATIVE_INT32.copy()
        three_bytes.set_size(3)
        h5py.h5d.create(file.id, b"three", three_bytes, h5py.h5s.create_simple((3,)))

    file = opened(write)
    assert is_plain(file["plain"])
    assert is_plain(file["big_endian"])
    assert file["shifted"][()].tolist() == [1, -2, 3]
    assert not is_plain(file["shifted"])
    with pytest.raises(InvalidFileError, match=r"/three cannot be read .*i3"):
        check_numbers(file["three"])


@pytest.fixture(scope="module")
def some_dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[h5py.Dataset]:
    with h5py.File(tmp_path_factory.mktemp("guard") / "file.h5", "w") as file:
        file["units/spike_times_index"] = [1]
        yield file["units/spike_times_index"]


@given(st.lists(st.integers(-2, 8), max_size=6).map(sorted), st.integers(0, 8) | st.none())
def test_check_ends__accepts_what_cuts_the_rows(
    some_dataset: h5py.Dataset, ends: list[int], length: int | None
) -> None:
    last = max([0, *ends])
    length = last if length is None else length
    is_sound = min([0, *ends]) == 0 and last == length
    values = np.array(ends, dtype=np.int64)
    if is_sound:
        assert check_ends(some_dataset, values, length).tolist() == [0, *ends]
    else:
        with pytest.raises(InvalidFileError, match="/units/spike_times_index"):
            check_ends(some_dataset, values, length)


def test_check_ends__messages(some_dataset: h5py.Dataset) -> None:
    def check(ends: list[float], dtype: str, n_runs: int | None = None) -> None:
        check_ends(some_dataset, np.array(ends, dtype=dtype), 10, n_runs=n_runs)

    with pytest.raises(InvalidFileError, match="has the end index 18446744073709551615, but"):
        check([2**64 - 1], "u8")
    with pytest.raises(InvalidFileError, match="row 1 would end at 3, before it begins at 5"):
        check([5, 3, 9], "u1")
    with pytest.raises(InvalidFileError, match="row 0 would end at -1, before it begins at 0"):
        check([-1], "i8")
    with pytest.raises(InvalidFileError, match="should be whole numbers in one dimension, but is"):
        check([1.0], "f8")
    with pytest.raises(InvalidFileError, match="ends at 3, but there are 10 values: the last 7 be"):
        check([1, 3], "u1")
    with pytest.raises(InvalidFileError, match="has 2 end indices, for 3 ids"):
        check([1, 2], "u1", 3)


def test_check_unique__messages(some_dataset: h5py.Dataset) -> None:
    assert check_unique(some_dataset, np.array([3, 1], np.uint8)).tolist() == [
        3,
        1,
    ]
    with pytest.raises(InvalidFileError, match="has 1 repeated id, for example 7: rows cannot be"):
        check_unique(some_dataset, np.array([7, 1, 7]))
    with pytest.raises(InvalidFileError, match="ids should be whole numbers in one dimension"):
        check_unique(some_dataset, np.array([1.5]))


def test_check_table__messages(some_dataset: h5py.Dataset) -> None:
    group = some_dataset.parent
    with pytest.raises(
        InvalidFileError, match="/units has no column 'id', so it is not the expected table"
    ):
        check_table(group, {"a": [1]})
    with pytest.raises(InvalidFileError, match=r"columns of different lengths: \{'id': 1, 'a': 2"):
        check_table(group, {"id": np.arange(1), "a": np.arange(2)})
    with pytest.raises(
        InvalidFileError, match=r"start_time_index makes 'start_time' a ragged column"
    ):
        check_table(group, {"id": np.arange(1), "start_time": [np.arange(2)]})
    check_table(group, {"id": np.arange(1), "tags": [np.arange(2)]})


def test_read_attribute__kinds(opened: Opener) -> None:
    def write(file: h5py.File) -> None:
        file.attrs["word"] = "µV"
        file.attrs["bytes"] = np.bytes_(b"mm")
        file.attrs["number"] = np.float32(1.5)
        file.attrs["yes"] = True
        file.attrs["one"] = [7]
        file.attrs["many"] = np.arange(3)
        file.attrs["empty"] = h5py.Empty("f8")
        file.attrs["nan"] = np.nan
        file.attrs.create("reference", file.ref, dtype=h5py.ref_dtype)
        file.attrs["words"] = ["a", "b"]
        file.attrs["large"] = np.zeros(LARGEST_ATTRIBUTE + 1, np.uint8)
        file.attrs["long list"] = ["a"] * (MOST_TEXTS + 1)

    file = opened(write)
    expected = {"word": "µV", "bytes": "mm", "number": 1.5, "yes": True, "one": 7, "none": None}
    assert {name: read_attribute(file, name) for name in expected} == expected
    with pytest.raises(InvalidFileError, match=r"'many' has shape \(3,\), where one value was"):
        read_attribute(file, "many")
    for name in ("empty", "reference", "large", "long list"):
        with pytest.raises(InvalidFileError, match=f"the attribute '{name}' holds"):
            read_attribute(file, name)
    for name, shown in {"word": "'µV'", "none": "None", "nan": "nan"}.items():
        message = f"the attribute '{name}' is {shown}, where a number was expected"
        with pytest.raises(InvalidFileError, match=message):
            read_number(file, name)
    assert read_number(file, "yes") == 1
    assert read_names(file, "words") == ["a", "b"]
    assert read_names(file, "none") is None
    with pytest.raises(
        InvalidFileError, match="the attribute 'many' should hold text, but is of type int64"
    ):
        read_names(file, "many")


def test_read_value__kinds(opened: Opener) -> None:
    def write(file: h5py.File) -> None:
        file["word"] = "µV"
        file["number"] = 3
        file["many"] = ["a", "b"]
        file["long"] = "a" * (LARGEST_STRING + 1)

    file = opened(write)
    assert [read_value(file[name]) for name in ("word", "number")] == ["µV", 3]
    with pytest.raises(InvalidFileError, match=r"/many should hold one text or number.*\(2,\)"):
        read_value(file["many"])
    with pytest.raises(InvalidFileError, match="/long has a string of 1048577 bytes; at most"):
        read_value(file["long"])
