"""A session straight off a URL, over real sockets on loopback."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from file_server import Behaviour, FileServer
from spikehouse import EcephysSession
from spikehouse.errors import InvalidArgumentError, InvalidFileError, SourceError
from spikehouse.nwb.lfp import open_lfp
from spikehouse.transfer.http import ChangedError
from spikehouse.transfer.remote_bytes import RemoteBytes, StreamOptions
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.retry import HttpOptions

OPTIONS = StreamOptions(http=HttpOptions(retry_seconds=0.2, connections=4))


@contextlib.contextmanager
def serving(content: bytes) -> Iterator[FileServer]:
    with FileServer() as server:
        server.routes["/session.nwb"] = content
        yield server


@pytest.fixture
def server(session_path: Path) -> Iterator[FileServer]:
    with serving(session_path.read_bytes()) as running:
        yield running


def address(server: FileServer) -> str:
    return server.url("/session.nwb")


def open_remote(server: FileServer, cache: Path | None = None) -> RemoteBytes:
    return RemoteBytes(RemoteFile(address(server), "session.nwb"), options=OPTIONS, cache=cache)


def answers(session: EcephysSession) -> dict[str, object]:
    units = session.units.index.tolist()
    flashes = session.get_stimulus_table("flashes")
    ids = flashes.index.values
    counts = session.presentationwise_spike_counts(np.arange(-0.1, 0.5, 0.05), ids, units)
    return {
        "metadata": session.metadata,
        "units": session.units,
        "channels": session.channels,
        "presentations": session.stimulus_presentations,
        "counts": counts.values,
        "spikes": session.presentationwise_spike_times(ids, units),
        "statistics": session.conditionwise_spike_statistics(ids, units),
        "running": session.running_speed,
        "pupil": session.get_pupil_data(),
        "invalid": session.invalid_times,
        "optotagging": session.optogenetic_stimulation_epochs,
        "waveform": session.mean_waveforms[units[0]].values,
        "amplitudes": session.spike_amplitudes[units[-1]],
    }


def assert_same(left: dict[str, object], right: dict[str, object]) -> None:
    for name, value in left.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, right[name])
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, right[name])
        else:
            assert value == right[name], name


def test_streamed_session__gives_what_the_file_on_disk_gives(server, session_path, tmp_path):
    from_disk = answers(EcephysSession.from_nwb_path(session_path))
    streamed = EcephysSession.from_nwb_path(open_remote(server, tmp_path))
    assert_same(answers(streamed), from_disk)
    streamed.close()
    n_asked = len(server.requests)
    again = EcephysSession.from_nwb_path(open_remote(server, tmp_path))
    assert_same(answers(again), from_disk)
    assert len(server.requests) == n_asked


def test_streamed_session__everything_cached__works_offline(session_path, tmp_path):
    with serving(session_path.read_bytes()) as server:
        url = address(server)
        expected = answers(EcephysSession.from_nwb_path(open_remote(server, tmp_path)))
    remote = RemoteBytes(RemoteFile(url, "session.nwb"), options=OPTIONS, cache=tmp_path)
    assert_same(answers(EcephysSession.from_nwb_path(remote)), expected)
    assert remote.n_requests == 0


def test_streamed_session__spikes_of_many_units__few_requests(server):
    remote = open_remote(server)
    session = EcephysSession.from_nwb_path(remote)
    units = session.units.index.tolist()
    ids = session.get_stimulus_table("flashes").index.values
    before = remote.n_requests
    session.presentationwise_spike_times(ids, units)
    assert remote.n_requests - before < len(units)


def test_streamed_lfp__windows_far_apart__fetched_together(survey):
    probes = survey.read_table("probes")
    probe_id = int(probes.index[probes["has_lfp_data"]][0])
    path = survey.lfp_file(probe_id)
    with serving(path.read_bytes()) as server, open_lfp(path, probe_id) as on_disk:
        remote = RemoteBytes(RemoteFile(address(server), "lfp"), options=OPTIONS)
        with open_lfp(remote, probe_id) as lfp:
            rows = np.linspace(0, lfp.sizes["time"] - 1, 12).astype(int)
            before = len(server.requests)
            picked = lfp.isel(time=rows, channel=[0, 2]).to_numpy()
            np.testing.assert_array_equal(picked, on_disk.isel(time=rows, channel=[0, 2]))
            assert len(server.requests) - before <= 2 * len(rows)
            start = float(lfp["time"][100])
            second = lfp.sel(time=slice(start, start + 1.0))
            before = len(server.requests)
            np.testing.assert_array_equal(
                second.to_numpy(), on_disk.sel(time=slice(start, start + 1.0))
            )
            assert len(server.requests) - before <= 4


def test_streamed_session__server_fails_midway__usable_afterwards(server, session_path):
    session = EcephysSession.from_nwb_path(open_remote(server))
    unit = session.units.index[0]
    server.misbehave(Behaviour(status=503))
    with pytest.raises(
        SourceError, match=r"http://127.*/units/waveform_mean could not be downloaded: .*status 503"
    ):
        _ = session.mean_waveforms[unit]
    server.behave()
    expected = EcephysSession.from_nwb_path(session_path).mean_waveforms[unit]
    np.testing.assert_array_equal(session.mean_waveforms[unit].values, expected.values)


def test_streamed_session__server_fails_while_hdf5_reads__usable_afterwards(server):
    session = EcephysSession.from_nwb_path(
        RemoteBytes(
            RemoteFile(address(server), "session.nwb"),
            options=replace(OPTIONS, metadata_window=16 << 10, largest_window=16 << 10),
        )
    )
    server.misbehave(Behaviour(status=500))
    with pytest.raises(SourceError, match=r"http://127.*status 500"):
        _ = session.units
    server.behave()
    assert len(session.units) > 0


def test_streamed_session__file_changes_at_the_server__never_mixed(server):
    session = EcephysSession.from_nwb_path(open_remote(server))
    _ = session.units
    server.right = Behaviour(version=1)
    with pytest.raises(ChangedError, match="has changed at the server"):
        _ = session.mean_waveforms[session.units.index[0]]


def test_streamed_session__server_without_ranges__says_to_fetch(server):
    server.right = Behaviour(ranges="no")
    with pytest.raises(SourceError, match=r"serves no ranges .*: download it, and give its path"):
        EcephysSession.from_nwb_path(open_remote(server))


def test_streamed_session__not_hdf5__says_so():
    with serving(b"<html>" * 100) as server, pytest.raises(InvalidFileError, match="begins with"):
        EcephysSession.from_nwb_path(open_remote(server))


def test_streamed_session__nwbfile__refused(server):
    session = EcephysSession.from_nwb_path(open_remote(server))
    with pytest.raises(InvalidArgumentError, match="download the file and open it from disk"):
        _ = session.nwbfile


def test_streamed_session__closed__says_so(server):
    session = EcephysSession.from_nwb_path(open_remote(server))
    trains, units = session.spike_times, session.units
    session.close()
    with pytest.raises(InvalidArgumentError, match="was closed; open it again"):
        _ = trains[units.index[0]]


def test_streamed_session__repr__as_from_disk(server, session_path):
    streamed = EcephysSession.from_nwb_path(open_remote(server))
    assert repr(streamed) == repr(EcephysSession.from_nwb_path(session_path))


def test_remote_bytes__pickled__opened_again(server, session_path, tmp_path):
    remote = open_remote(server, tmp_path)
    copy = pickle.loads(pickle.dumps(remote))
    blocks = [bytearray(1000), bytearray(1000)]
    for file, block in zip((remote, copy), blocks, strict=True):
        file.read_into(5000, memoryview(block))
    assert blocks[0] == blocks[1] == session_path.read_bytes()[5000:6000]


@pytest.mark.parametrize("ending", ["", "session.close()", "del session", "raise SystemExit(0)"])
def test_streamed_session__interpreter_ends__no_crash(server, ending):
    code = f"""
        from spikehouse import EcephysSession
        from spikehouse.transfer.remote_bytes import RemoteBytes
        from spikehouse.transfer.remote_file import RemoteFile
        remote = RemoteBytes(RemoteFile({address(server)!r}, "s.nwb"))
        session = EcephysSession.from_nwb_path(remote)
        group = session.api.file.root["units"]
        print(len(session.probes) > 0)
        {ending}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "True", "")


FORKING = """
import multiprocessing, sys, threading, warnings, zlib
from spikehouse import EcephysSession
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.remote_bytes import RemoteBytes, StreamOptions

warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, from Python 3.12 on
# keeps little of what it read
options = StreamOptions(memory_bytes=1 << 16, metadata_window=1 << 12, largest_window=1 << 14)
remote = RemoteBytes(RemoteFile(sys.argv[1], "x"), options=options)
session = EcephysSession.from_nwb_path(remote)
units = session.units.index.tolist()

def digest():
    checksum = len(session.stimulus_presentations)
    for unit in units:
        checksum = zlib.crc32(session.spike_times[unit].tobytes(), checksum)
    return checksum

def answer(queue):
    queue.put(digest())

expected = digest()
stopped = threading.Event()
times = session.spike_times

def read_on():
    place = 0
    while not stopped.is_set():
        times[units[place % len(units)]]
        place += 1

n_threads = {"idle": 0, "reading": 2}[sys.argv[2]]
threads = [threading.Thread(target=read_on, daemon=True) for _ in range(n_threads)]
for thread in threads:
    thread.start()
fork = multiprocessing.get_context("fork")
queue = fork.Queue()
children = [fork.Process(target=answer, args=(queue,)) for _ in range(6)]
for child in children:
    child.start()
found = [queue.get(timeout=20) for _ in children]
for child in children:
    child.join()
stopped.set()
for thread in threads:
    thread.join()
assert [child.exitcode for child in children] == [0] * 6
assert [*found, digest()] == [expected] * 7
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on this system")
@pytest.mark.parametrize("parent", ["idle", "reading"])
def test_streamed_session__in_forked_processes__reads_on(server, parent):
    subprocess.run(
        [sys.executable, "-c", FORKING, address(server), parent], check=True, timeout=100
    )
