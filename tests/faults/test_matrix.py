"""Every fault on every way to the bytes: right, or absent with a clear error."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pytest
from fault_matrix import (
    COLUMNS,
    FAULTS,
    FILES,
    TABLES,
    Column,
    Completes,
    Fails,
    Fault,
    Outcome,
    tabulate,
)
from fault_sources import (
    PROBES,
    SESSION_ID,
    SourceName,
    choose_options,
    cut_small,
    make_recording,
    make_source,
    serve_everything,
)
from print_matrix import read_page

from file_server import FileServer
from spikehouse.survey.file_kinds import VISUAL_CODING
from spikehouse.survey.manifest import create_manifest
from spikehouse.survey.source import Source
from spikehouse.survey.store import Store
from spikehouse.transfer.byte_ranges import PlanRules
from spikehouse.transfer.remote_bytes import RemoteBytes, StreamOptions
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.retry import HttpOptions

FILE = VISUAL_CODING.file
T = TypeVar("T")
DEADLINE_S = 15.0
OWN = ".spikehouse"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_small(monkeypatch.setattr)


@pytest.fixture(scope="session")
def versions() -> tuple[bytes, ...]:
    versions = tuple(make_recording(seed) for seed in (1, 2, 3))
    assert len(set(versions)) == 3
    assert {len(version) for version in versions} == {len(versions[0])}
    return versions


def open_server(fault: Fault | None, versions: tuple[bytes, ...]) -> FileServer:
    refused = fault is not None and fault.how == "refused"
    wait = (0.12 if fault.times else None) if fault is not None and refused else 0.0
    server = FileServer(listens_after_s=wait)
    serve_everything(server, versions)
    return server


def open_store(folder: Path, source: Source | None, options: HttpOptions | None = None) -> Store:
    manifest = create_manifest(folder / "manifest.json")
    sources = () if source is None else (source,)
    return Store(manifest, sources, options=options or choose_options(), progress=False)


def within_deadline(act: Callable[[], T]) -> T:
    """Do it in a thread that may be left behind: a test that waits for ever tells nothing."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(act())
        except BaseException as error:  # noqa: BLE001 - raised again below, in the test's own thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(DEADLINE_S)
    assert not thread.is_alive(), f"stuck: nothing has come of it in {DEADLINE_S} s"
    if errors:
        raise errors[0]
    return results[0]


def assert_fails(act: Callable[[], object], outcome: Fails) -> None:
    with pytest.raises(outcome.error) as caught:
        within_deadline(act)
    message = str(caught.value)
    assert re.search(outcome.message, message), message
    assert len(message) > 20, message


def assert_tried(fault: Fault, server: FileServer, kind: str) -> None:
    """Make sure that the fault has happened, and as often as the page says."""
    if fault.how != "answer":
        return
    assert server.n_wrong[kind] > 0
    assert fault.times is None or server.n_wrong[kind] == fault.times


def assert_asked_once(outcome: Fails, server: FileServer, kind: str) -> None:
    if outcome.said.startswith("error at once"):
        assert server.n_asked[kind] == 1


def list_unfinished(folder: Path) -> list[str]:
    """List what is neither the file, nor kept on purpose: everything ours is in one folder."""
    return sorted(
        path.name
        for path in folder.rglob("*")
        if path.is_file()
        and OWN not in path.parts
        and (path.suffix not in {".nwb", ".csv", ".json"} or ".part" in path.name)
    )


def cases(*columns: Column) -> list[Any]:
    return [
        pytest.param(fault, column, id=f"{column}-{fault.name}")
        for column in columns
        for fault in FAULTS
        if fault.outcome(column) is not None
    ]


def misbehave(server: FileServer, fault: Fault, kind: str) -> None:
    server.right = fault.before
    if fault.behaviour is not None:
        server.misbehave(fault.behaviour, kind=kind, after=fault.after, times=fault.times)


@pytest.mark.parametrize(("fault", "column"), cases(*FILES))
def test_file__is_right_or_absent(
    fault: Fault, column: SourceName, versions: tuple[bytes, ...], tmp_path: Path
) -> None:
    outcome = fault.outcome(column)
    options = options_for(fault, outcome)
    with open_server(fault, versions) as server:
        misbehave(server, fault, "file")
        store = open_store(
            tmp_path, make_source(column, server, options, tls=fault.how == "tls"), options
        )
        target = store.file("session", SESSION_ID)
        if isinstance(outcome, Completes):
            within_deadline(lambda: store.fetch(target))
            assert target.path.read_bytes() in versions
            if column == "dandi" or fault.behaviour is None or fault.behaviour.version == 0:
                assert target.path.read_bytes() == versions[0]
            assert_tried(fault, server, "file")
        else:
            assert_fails(lambda: store.fetch(target), outcome)
            assert_asked_once(outcome, server, "file")
            assert not target.path.exists()
            if fault.how != "answer":
                return
            # nothing is lost, and nothing of it spoils what comes later
            server.behave()
            patient = options_for(fault, None)
            store = open_store(tmp_path, make_source(column, server, patient), patient)
            within_deadline(lambda: store.fetch(target))
            assert target.path.read_bytes() == versions[0]
        assert list_unfinished(tmp_path) == []


@pytest.mark.parametrize(("fault", "column"), cases(*TABLES))
def test_table__is_right_or_absent(
    fault: Fault, column: Column, versions: tuple[bytes, ...], tmp_path: Path
) -> None:
    outcome = fault.outcome(column)
    name: SourceName = "warehouse" if column == "warehouse table" else "s3"
    options = options_for(fault, outcome)
    with open_server(fault, versions) as server:
        kind: str = "query" if name == "warehouse" else "table"
        misbehave(server, fault, kind)
        store = open_store(
            tmp_path, make_source(name, server, options, tls=fault.how == "tls"), options
        )
        if isinstance(outcome, Completes):
            table = within_deadline(lambda: store.read_table("probes"))
            assert_tried(fault, server, kind)
        else:
            assert_fails(lambda: store.read_table("probes"), outcome)
            assert_asked_once(outcome, server, kind)
            assert not (tmp_path / "probes.csv").exists()
            if fault.how != "answer":
                return
            server.behave()
            patient = options_for(fault, None)
            store = open_store(tmp_path, make_source(name, server, patient), patient)
            table = within_deadline(lambda: store.read_table("probes"))
        assert_is_probes(table)
        assert list_unfinished(tmp_path) == []
    # and it is there for good: without a network, too
    assert_is_probes(open_store(tmp_path, None).read_table("probes"))


@pytest.mark.parametrize(("fault", "column"), cases("streaming"))
def test_stream__is_right_or_an_error(
    fault: Fault, column: Column, versions: tuple[bytes, ...], tmp_path: Path
) -> None:
    outcome = fault.outcome(column)
    with open_server(fault, versions) as server:
        misbehave(server, fault, "file")
        options = options_for(fault, outcome)
        source = make_source("s3", server, options, tls=fault.how == "tls")
        remote = source.locate(FILE("session", SESSION_ID))
        assert isinstance(remote, RemoteFile)
        if isinstance(outcome, Completes):
            within_deadline(lambda: read_all(remote, tmp_path, versions[0], options))
            assert_tried(fault, server, "file")
        else:
            assert_fails(lambda: read_all(remote, tmp_path, versions[0], options), outcome)
            assert_asked_once(outcome, server, "file")
        if fault.how != "answer":
            return
        # what was kept of it on the disk is right, too
        server.behave()
        patient = options_for(fault, None)
        within_deadline(lambda: read_all(remote, tmp_path, versions[0], patient))


def read_all(remote: RemoteFile, cache: Path, expected: bytes, http: HttpOptions) -> None:
    """Read a remote file piece by piece, from its end to its beginning, comparing each."""
    rules = PlanRules(largest_request=512 << 10, smallest_part=64 << 10)
    options = StreamOptions(http=http, rules=rules)
    stream = RemoteBytes(remote, options=options, cache=cache)
    try:
        for start in range(0, stream.size, 600_000)[::-1]:
            piece = bytearray(min(600_000, stream.size - start))
            assert stream.read_into(start, memoryview(piece)) == len(piece)
            assert bytes(piece) == expected[start : start + len(piece)]
        assert stream.size == len(expected)
    finally:
        stream.close()


def assert_is_probes(table: pd.DataFrame) -> None:
    assert table.index.tolist() == [row["id"] for row in PROBES]
    for column in ("air_channel_index", "name", "sampling_rate"):
        assert table[column].tolist() == [row[column] for row in PROBES]
    assert table["has_lfp_data"].all()


def options_for(fault: Fault, outcome: Outcome | None) -> HttpOptions:
    options = choose_options()
    if isinstance(outcome, Fails):
        return options
    # what passes is waited for, however slow this machine is
    options = replace(options, retry_seconds=10.0)
    # long enough between tries for the server to come up
    is_coming = fault.how == "refused" and fault.times is not None
    return replace(options, backoff=0.5, longest_wait=1.0) if is_coming else options


def test_matrix__names_are_unique() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    assert all(any(fault.outcome(column) for column in COLUMNS) for fault in FAULTS)


def test_matrix__page_shows_what_is_tested() -> None:
    _, shown, _ = read_page()
    assert shown == tabulate(), "run python tests/faults/print_matrix.py --write"
