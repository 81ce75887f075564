"""One small file per file of the cache."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from spikehouse.transfer.records import FileRecord, find_record, read_record, write_record

RECORD = FileRecord(7, 12345, "ab" * 32, "s3", "https://host/x", '"tag"', "2026-01-01T00:00:00Z")


def test_write_record__is_read_back(tmp_path: Path) -> None:
    records = tmp_path / ".spikehouse" / "records"
    path = tmp_path / "session_1" / "session_1.nwb"
    write_record(records, path, RECORD)
    assert read_record(records, path) == RECORD
    assert [place.name for place in records.iterdir()] == ["session_1__session_1.nwb.json"]


def test_read_record__is_none_where_there_is_none(tmp_path: Path) -> None:
    assert read_record(tmp_path / "records", tmp_path / "x") is None


def test_find_record__tells_files_of_one_name_apart(tmp_path: Path) -> None:
    records = tmp_path / "elsewhere" / "records"
    assert find_record(records, tmp_path / "a" / "x") != find_record(records, tmp_path / "b" / "x")


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"size": "7"}', "[" * 10_000, "\x00" * 50])
def test_read_record__ignores_nonsense(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = find_record(tmp_path, tmp_path / "x")
    place.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert read_record(tmp_path, tmp_path / "x") is None
    assert "is no record and is ignored" in caplog.text
