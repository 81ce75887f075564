"""CSV tables and their Parquet copies: the same frame, or none."""

from __future__ import annotations

import errno
import io
import logging
import os
import string
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spikehouse.errors import InvalidFileError
from spikehouse.schema import Column, Table
from spikehouse.survey import VISUAL_CODING, parquet_cache
from spikehouse.survey.parquet_cache import read_copy, read_table
from spikehouse.survey.tables import check_table

FROZEN = Path(__file__).parents[2] / "parity" / "project_tables" / "folder"

TABLES: dict[str, Any] = {
    name: kind.table for name, kind in VISUAL_CODING.kinds.items() if kind.table is not None
}

THINGS = Table(
    name="things",
    index="id",
    columns=(
        Column("n", "int", ""),
        Column("x", "float", ""),
        Column("word", "str", ""),
        Column("flag", "bool", ""),
    ),
)
ANY = Table(name="things", index="id", columns=())
CSV = """id,n,x,word,flag,extra,maybe
3,1,0.1,a,True,é,True
1,2,,,False,,
2,3,-0.0,007,True,b,False
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "things.csv"
    path.write_text(CSV)
    return path


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "own" / "things.parquet"


@pytest.fixture
def refuse_csv(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the CSV was parsed")

    monkeypatch.setattr(parquet_cache, "parse_csv", refuse)
    return monkeypatch


def assert_same(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        ours, theirs, check_exact=True, check_column_type="exact", check_index_type="exact"
    )
    for name in theirs.columns:
        mine, other = ours[name].to_numpy(), theirs[name].to_numpy()
        if other.dtype == np.float64:
            # -0.0 and 0.0 are equal and not the same
            np.testing.assert_array_equal(np.signbit(mine), np.signbit(other))
        if other.dtype == object:
            assert [type(value) for value in mine] == [type(value) for value in other]


def test_read_table__gives_the_same_from_the_copy(
    path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_table(path, THINGS)
    assert_same(read_table(path, THINGS, copy=copy), expected)
    assert copy.exists()
    monkeypatch.setattr(parquet_cache, "parse_csv", None)
    again = read_table(path, THINGS, copy=copy)
    assert_same(again, expected)
    assert again["maybe"].tolist()[::2] == [True, False]
    # it may be changed, as any frame
    again.loc[1, "x"] = 5.0
    again["n"] += 1
    assert_same(read_table(path, THINGS, copy=copy), expected)


texts = st.text(string.ascii_letters + string.digits + " é,\"'-.", max_size=6)
numbers = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            numbers,
            st.integers(-(2**63), 2**63 - 1),
            texts,
            st.booleans(),
            st.sampled_from([True, False, None]),
            st.one_of(st.none(), st.integers(-5, 5)),
            st.one_of(texts, numbers, st.booleans(), st.none()),
        ),
        max_size=6,
    ),
    is_declared=st.booleans(),
)
@example(rows=[], is_declared=True)
@example(rows=[(0.1, 1, "NA", True, None, None, None)], is_declared=True)
def test_read_table__gives_the_same_from_the_copy_whatever_it_holds(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]], is_declared: bool
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    names = ["x", "n", "word", "flag", "maybe", "gaps", "any"]
    frame = pd.DataFrame(rows, columns=names, dtype=object)
    path, copy = folder / "things.csv", folder / "things.parquet"
    frame.to_csv(path, index_label="id")
    table = THINGS if is_declared else ANY
    expected = read_table(path, table)
    assert_same(read_table(path, table, copy=copy), expected)
    # from the copy if there is one: columns it could not give back leave it out
    assert_same(read_table(path, table, copy=copy), expected)
    found = read_copy(copy, path, table)
    # only columns of mixed kinds have none, and an empty table whose ids are objects in pandas 2
    is_mixed = any(parquet_cache._kind_of(expected[name]) == "" for name in expected)
    is_mixed |= expected.empty and expected.index.dtype == object
    assert (found is None) == is_mixed
    if found is not None:
        assert_same(found, expected)


@pytest.mark.parametrize("name", ["sessions", "probes", "channels", "units"])
def test_read_table__gives_the_same_of_the_released_tables(
    shared_folder: Path, tmp_path: Path, name: str, refuse_csv: pytest.MonkeyPatch
) -> None:
    refuse_csv.undo()
    facts = shared_folder / "facts"
    path = facts / f"{name}.csv"
    path = path if path.exists() else facts / f"{name}_head.csv"
    copy = tmp_path / f"{name}.parquet"
    table = TABLES[name]
    expected = read_table(path, table, copy=copy)
    refuse_csv.setattr(parquet_cache, "parse_csv", None)
    assert_same(read_table(path, table, copy=copy), expected)


@pytest.mark.usefixtures("refuse_csv")
def test_read_table__makes_no_copy_of_what_cannot_be_read(path: Path, copy: Path) -> None:
    with pytest.raises(AssertionError, match="the CSV was parsed"):
        read_table(path, THINGS, copy=copy)
    assert not copy.exists()


def test_read_table__reads_a_changed_csv_anew(path: Path, copy: Path) -> None:
    read_table(path, THINGS, copy=copy)
    path.write_text(CSV.replace("007", "008"))
    assert read_table(path, THINGS, copy=copy).loc[2, "word"] == "008"
    # the same length and another time
    os.utime(path, ns=(1, 1))
    path.write_text(CSV.replace("007", "009"))
    os.utime(path, ns=(2, 2))
    assert read_table(path, THINGS, copy=copy).loc[2, "word"] == "009"
    # an older time than before, as after copying an old file back
    path.write_text(CSV)
    os.utime(path, ns=(1, 1))
    assert read_table(path, THINGS, copy=copy).loc[2, "word"] == "007"


def test_read_table__uses_no_copy_of_another_format_or_dictionary(
    path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_table(path, ANY, copy=copy)["word"].tolist()[0] == "a"
    # declared now: what was guessed before does not count
    assert read_table(path, THINGS, copy=copy).loc[2, "word"] == "007"
    monkeypatch.setattr(parquet_cache, "FORMAT_VERSION", 99)
    assert read_copy(copy, path, THINGS) is None
    read_table(path, THINGS, copy=copy)
    assert read_copy(copy, path, THINGS) is not None


def test_read_table__makes_no_copy_of_a_csv_that_changed_meanwhile(
    path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = parquet_cache.parse_csv

    def change(path: Path, table: Table, *, origin: str) -> pd.DataFrame:
        frame = parse(path, table, origin=origin)
        path.write_text(CSV + "9,9,9,z,True,,\n")
        return frame

    monkeypatch.setattr(parquet_cache, "parse_csv", change)
    assert len(read_table(path, THINGS, copy=copy)) == 3
    assert not copy.exists()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"nonsense", b"[" * 100_000, b'{"origin": 1, "columns": 2}']
)
def test_read_table__makes_a_copy_with_a_damaged_sidecar_anew(
    path: Path, copy: Path, content: bytes
) -> None:
    expected = read_table(path, THINGS, copy=copy)
    sidecar = copy.with_suffix(".json")
    good = sidecar.read_bytes()
    for bad in (content, good.replace(b'"float64"', b'"int64"'), good.replace(b"things", b"other")):
        sidecar.write_bytes(bad)
        assert read_copy(copy, path, THINGS) is None
        assert_same(read_table(path, THINGS, copy=copy), expected)
        assert sidecar.read_bytes() == good
    sidecar.unlink()
    assert read_copy(copy, path, THINGS) is None


@pytest.mark.parametrize("content", [b"", b"PAR1", b"<html>not today</html>", bytes(500)])
def test_read_table__makes_a_damaged_copy_anew(
    path: Path, copy: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    expected = read_table(path, THINGS, copy=copy)
    good = copy.read_bytes()
    copy.write_bytes(content)
    with caplog.at_level(logging.WARNING, logger="spikehouse"):
        assert_same(read_table(path, THINGS, copy=copy), expected)
    assert "is damaged and will be made anew from things.csv" in caplog.text
    assert copy.read_bytes() == good
    assert path.read_text() == CSV


def test_read_table__never_gives_what_a_damaged_copy_says(
    path: Path, copy: Path, rng: np.random.Generator
) -> None:
    expected = read_table(path, THINGS, copy=copy)
    good = copy.read_bytes()
    n_refused = 0
    for place in rng.permutation(len(good))[:300]:
        damaged = bytearray(good)
        damaged[place] ^= int(rng.integers(1, 256))
        copy.write_bytes(
            bytes(damaged[: rng.integers(1, len(good))] if place % 7 == 0 else damaged)
        )
        found = read_copy(copy, path, THINGS)
        if found is None:
            n_refused += 1
        else:
            assert_same(found, expected)
    assert n_refused > 50


@pytest.mark.parametrize("name", sorted(path.name for path in FROZEN.glob("*.csv")))
def test_read_table__refuses_a_line_that_is_there_twice(tmp_path: Path, name: str) -> None:
    table = TABLES.get(name.removesuffix(".csv"), TABLES["type_metrics"])
    lines = (FROZEN / name).read_text().splitlines(keepends=True)
    path = tmp_path / name
    path.write_text("".join(lines))
    check_table(path, table=table)
    path.write_text("".join([*lines, lines[1]]))
    for read in (read_table, lambda path, table: check_table(path, table=table)):
        with pytest.raises(InvalidFileError, match=r"is not a table of .*: id \d+ occurs twice"):
            read(path, table)


def test_read_table__does_without_a_copy_where_none_can_be_written(
    path: Path, tmp_path: Path
) -> None:
    # a file where the folder should be: also root may not write there
    (tmp_path / "own").write_text("in the way")
    frame = read_table(path, THINGS, copy=tmp_path / "own" / "things.parquet")
    assert frame.index.tolist() == [3, 1, 2]
    assert not list(tmp_path.rglob("*.parquet*"))


def test_read_table__does_without_a_copy_when_the_disk_is_full(
    path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_disk(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill_disk)
    assert len(read_table(path, THINGS, copy=copy)) == 3
    assert not copy.exists()


def test_read_table__makes_no_copy_of_mixed_columns(
    path: Path, copy: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = read_table(path, THINGS).astype({"extra": object})
    frame.loc[1, "extra"] = 5
    with caplog.at_level(logging.INFO, logger="spikehouse"):
        monkeypatch.setattr(parquet_cache, "parse_csv", lambda *args, **kwargs: frame)
        read_table(path, THINGS, copy=copy)
    assert "things.csv gets no copy: it has columns of mixed kinds" in caplog.text
    assert not copy.exists()


def test_read_copy__reads_some_columns(path: Path, copy: Path) -> None:
    expected = read_table(path, THINGS, copy=copy)
    some = read_copy(copy, path, THINGS, columns=["word", "x", "not there"])
    assert some is not None
    assert sorted(some.columns) == ["word", "x"]
    assert some.index.equals(expected.index)
    assert isinstance(some["word"].dtype, pd.CategoricalDtype)
    words = some["word"].astype(expected["word"].dtype)
    pd.testing.assert_series_equal(words, expected["word"])
    pd.testing.assert_series_equal(some["x"], expected["x"])


def test_read_copy__of_nothing_is_none(path: Path, copy: Path) -> None:
    assert read_copy(copy, path, THINGS) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "No columns"), ("id,n\n1,2\n", "has no things column 'x', 'word', 'flag'")],
)
def test_check_table__says_what_is_wrong(path: Path, content: str, message: str) -> None:
    check_table(path, table=THINGS)
    path.write_text(content)
    with pytest.raises(InvalidFileError, match=message):
        check_table(path, table=THINGS)


def test_read_table__numbers_are_exact(path: Path, copy: Path, rng: np.random.Generator) -> None:
    values = rng.random(200) * 10.0 ** rng.integers(-300, 300, 200)
    buffer = io.StringIO()
    pd.DataFrame({"n": 1, "x": values, "word": "a", "flag": True}).to_csv(buffer, index_label="id")
    path.write_text(buffer.getvalue())
    for _ in range(2):
        np.testing.assert_array_equal(read_table(path, THINGS, copy=copy)["x"], values)


def test_read_table__pyarrow_that_does_not_work(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "things.parquet"
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    parquet_cache._can_use_parquet.cache_clear()
    try:
        frame = read_table(path, THINGS, copy=copy)
    finally:
        parquet_cache._can_use_parquet.cache_clear()
    assert frame.index.tolist() == [3, 1, 2]
    assert not copy.exists()
    assert "tables are read from CSV files, because pyarrow does not work" in caplog.text


def test_read_table__knows_a_copy_without_its_sidecar(
    path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole = parquet_cache.write_whole

    def stop(target: Path) -> Any:
        if target.suffix == ".json":
            raise KeyboardInterrupt
        return write_whole(target)

    old, new = "id,x\n1,1.5\n2,1.5\n", "id,x\n1,2.5\n2,2.5\n"
    path.write_text(old)
    os.utime(path, ns=(1, 1))
    read_table(path, ANY, copy=copy)
    # another version of equal shape: stopped between the copy and its sidecar
    path.write_text(new)
    os.utime(path, ns=(2, 2))
    with monkeypatch.context() as patch:
        patch.setattr(parquet_cache, "write_whole", stop)
        with pytest.raises(KeyboardInterrupt):
            read_table(path, ANY, copy=copy)
    path.write_text(old)
    os.utime(path, ns=(1, 1))
    assert read_table(path, ANY, copy=copy)["x"].tolist() == [1.5, 1.5]


def test_read_copy__is_of_one_path(tmp_path: Path, copy: Path) -> None:
    paths = [tmp_path / name / "things.csv" for name in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(CSV)
        os.utime(path, ns=(1, 1))
    read_table(paths[0], THINGS, copy=copy)
    assert read_copy(copy, paths[0], THINGS) is not None
    assert read_copy(copy, paths[1], THINGS) is None


def test_read_copy__fits_after_the_folder_was_moved(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    (old / "things.csv").write_text(CSV)
    read_table(old / "things.csv", THINGS, copy=old / "own" / "things.parquet")
    old.rename(new)
    assert read_copy(new / "own" / "things.parquet", new / "things.csv", THINGS) is not None
