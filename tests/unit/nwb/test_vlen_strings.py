"""Reading string columns straight from the heap must give what the HDF5 library gives."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikehouse.nwb import _vlen_strings


def write(path: Path, columns: list[list[str]]) -> None:
    with h5py.File(path, "w") as file:
        for number, column in enumerate(columns):
            file.create_dataset(
                f"c{number}", data=np.array(column, dtype=object), dtype=h5py.string_dtype()
            )


def read(path: Path, name: str) -> list[str]:
    with h5py.File(path, "r") as file, path.open("rb") as handle:

        def read_bytes(offset: int, length: int) -> bytes:
            handle.seek(offset)
            return handle.read(length)

        codes, values = _vlen_strings.read_factorized(file[name], read_bytes)
    assert len(set(values)) == len(values)
    return list(values[codes])


@pytest.mark.parametrize(
    "column",
    [
        ["natural_movie_one"] * 5000,
        ["[0.0, 0.0]", "", "null", "[3644.93333333, 3644.93333333]"] * 300,
        ["flashes"] * 100 + ["gabors"] * 3000 + ["natural_movie_one_shuffled"] * 2000,
    ],
    ids=["constant", "mixed", "runs"],
)
def test_read_factorized__the_library_is_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: list[str]
) -> None:
    monkeypatch.setattr(_vlen_strings, "_read_by_library", None)
    path = tmp_path / "strings.h5"
    write(path, [["other"] * 50, column, ["after"] * 80])
    assert read(path, "c1") == column


@pytest.mark.parametrize(
    "column",
    [["µ" * (n % 40) for n in range(2000)], ["a" * 70_000, "b"] * 40],
    ids=["lengths", "larger than a collection"],
)
def test_read_factorized__unusual_columns(tmp_path: Path, column: list[str]) -> None:
    path = tmp_path / "strings.h5"
    write(path, [["other"] * 50, column, ["after"] * 80])
    assert read(path, "c1") == column


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20),
        min_size=64,
        max_size=300,
    )
)
def test_read_factorized__equals_library(tmp_path: Path, column: list[str]) -> None:
    path = tmp_path / "strings.h5"
    write(path, [column, column[::-1]])
    assert read(path, "c0") == column
    assert read(path, "c1") == column[::-1]


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_read_factorized__a_damaged_heap_is_not_handed_to_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    # it would read for ever
    monkeypatch.setattr(_vlen_strings, "_read_by_library", None)
    path = tmp_path / "strings.h5"
    write(path, [["gabors"] * 200 + ["flashes"] * 100])
    content = path.read_bytes()
    rng = np.random.default_rng(kept)
    start = content.index(b"GCOL")
    size = int.from_bytes(content[start + 8 : start + 16], "little")
    n_refused = 0
    for place in rng.integers(start, start + size, 40).tolist():
        hole = bytearray(content)
        hole[place : place + 16] = bytes(16)
        path.write_bytes(hole)
        with h5py.File(path, "r") as file:

            def read_bytes(offset: int, length: int, hole: bytearray = hole) -> bytes:
                return bytes(hole[offset : offset + length])

            try:
                codes, values = _vlen_strings.read_factorized(file["c0"], read_bytes)
            except ValueError:
                n_refused += 1
            else:
                assert len(codes) == 300
                assert len(values) < 40
    assert n_refused > 5


def test_check_collection__every_hole_ends(tmp_path: Path) -> None:
    path = tmp_path / "strings.h5"
    write(path, [["gabors" * (n % 9) for n in range(100)]])
    content = path.read_bytes()
    start = content.index(b"GCOL")
    size = int.from_bytes(content[start + 8 : start + 16], "little")
    _vlen_strings.check_collection(lambda offset, length: content[offset : offset + length], start)
    n_refused = 0
    for place in range(start + 16, start + size - 16, 8):
        hole = content[:place] + bytes(16) + content[place + 16 :]
        try:
            _vlen_strings.check_collection(lambda a, n, hole=hole: hole[a : a + n], start)
        except ValueError:
            n_refused += 1
    assert n_refused > 100


def test_read_factorized__compressed_column(tmp_path: Path) -> None:
    path = tmp_path / "strings.h5"
    column = np.array(["flashes", "gabors"] * 100, dtype=object)
    with h5py.File(path, "w") as file:
        file.create_dataset("c0", data=column, dtype=h5py.string_dtype(), compression="gzip")
    assert read(path, "c0") == list(column)
