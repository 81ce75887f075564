"""A file that is closed while somebody reads from it."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import spikehouse
from spikehouse.demo import Survey
from spikehouse.errors import InvalidArgumentError
from spikehouse.nwb.lfp import open_lfp
from spikehouse.nwb.session_file import NwbSessionFile
from spikehouse.transfer.remote_bytes import RemoteBytes
from spikehouse.transfer.remote_file import RemoteFile

NWB = str(Path(spikehouse.__file__).parent / "nwb")
SESSION = 900000001
N_MOMENTS = 5


class Disk:
    """Stands for a server."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()

    def probe(self, remote: RemoteFile) -> RemoteFile:
        return replace(remote, size=len(self.content), etag='"1"')

    def read_range(self, remote: RemoteFile, start: int, stop: int) -> bytes:
        return self.content[start:stop]


def stream(path: Path) -> RemoteBytes:
    return RemoteBytes(RemoteFile("https://example.org/x.nwb", "x.nwb"), client=Disk(path))


@pytest.fixture(scope="module")
def lfp_path(survey: Survey) -> Path:
    return survey.lfp_file(int(survey.read_plan(SESSION).probes.index[0]))


READS: dict[str, Callable[[NwbSessionFile], Any]] = {
    "session id": lambda file: file.get_ecephys_session_id(),
    "start": lambda file: file.get_session_start_time(),
    "metadata": lambda file: file.get_metadata(),
    "rig": lambda file: file.get_rig_metadata(),
    "units": lambda file: file.get_units(),
    "channels": lambda file: file.get_channels(),
    "probes": lambda file: file.get_probes(),
    "presentations": lambda file: file.get_stimulus_presentations(),
    "running": lambda file: file.get_running_speed(),
    "spikes": lambda file: list(file.get_spike_times().values()),
    "amplitudes": lambda file: list(file.get_spike_amplitudes().values()),
    "waveforms": lambda file: list(file.get_mean_waveforms().values()),
    "pupil": lambda file: file.get_pupil_data(),
    "gaze": lambda file: file.get_screen_gaze_data(include_filtered_data=True),
    "invalid": lambda file: file.get_invalid_times(),
    "pulses": lambda file: file.get_optogenetic_stimulation(),
}


def is_called_by_hdf5(frame: FrameType | None) -> bool:
    """Tell whether HDF5's lock is held, without which no other thread closes a file."""
    while frame is not None:
        if frame.f_code.co_qualname.startswith("View."):
            return True
        frame = frame.f_back
    return False


class ClosingAt:
    """Trace the lines of io that a thread runs through, and close the file before one of them."""

    def __init__(self, close: Callable[[], None], moment: int | None) -> None:
        self.close, self.moment, self.n_lines = close, moment, 0

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(NWB) or is_called_by_hdf5(frame):
            return None
        if event == "line":
            if self.n_lines == self.moment:
                sys.settrace(None)
                self.close()
            self.n_lines += 1
        return self


def read(read: Callable[[], Any], close: Callable[[], None], moment: int | None) -> int:
    tracer = ClosingAt(close, moment)
    sys.settrace(tracer)
    try:
        read()
    finally:
        sys.settrace(None)
        close()
    return tracer.n_lines


def assert_told(start: Callable[[], tuple[Callable[[], Any], Callable[[], None]]]) -> None:
    """Close at moments from the first to the last: what was asked for, or the package's error."""
    n_lines = read(*start(), None)
    assert n_lines > 0
    n_told = 0
    for moment in np.linspace(0, n_lines - 1, N_MOMENTS, dtype=int):
        try:
            read(*start(), moment)
        except InvalidArgumentError as error:
            n_told += "was closed" in str(error)
            if "was closed" not in str(error):
                raise
    assert n_told > 0


@pytest.mark.parametrize("is_remote", [False, True], ids=["on disk", "remote"])
@pytest.mark.parametrize("name", READS)
def test_close__while_a_reader_is_anywhere__is_told_so(
    session_path: Path, name: str, is_remote: bool
) -> None:
    def start() -> tuple[Callable[[], Any], Callable[[], None]]:
        file = NwbSessionFile(stream(session_path) if is_remote else session_path)
        return lambda: READS[name](file), file.close

    assert_told(start)


@pytest.mark.parametrize("is_remote", [False, True], ids=["on disk", "remote"])
def test_close__while_lfp_is_read__is_told_so(lfp_path: Path, is_remote: bool) -> None:
    def start() -> tuple[Callable[[], Any], Callable[[], None]]:
        lfp = open_lfp(stream(lfp_path) if is_remote else lfp_path)
        return lambda: lfp.sel(time=slice(20, 30)).isel(channel=[0, 3]).values, lfp.close

    assert_told(start)


def test_read__collects_no_garbage_while_hdf5_waits_for_a_thread(session_path: Path) -> None:
    """A thread that did would wait for HDF5's lock if an object of h5py was among it."""
    n_collected = []

    class Busy(Disk):
        def read_range(self, remote: RemoteFile, start: int, stop: int) -> bytes:
            collected = gc.get_stats()[0]["collections"]
            garbage: list[list[Any]] = [[] for _ in range(10_000)]
            n_collected.append(gc.get_stats()[0]["collections"] - collected)
            del garbage
            return super().read_range(remote, start, stop)

    remote = RemoteFile("https://example.org/x.nwb", "x.nwb")
    file = NwbSessionFile(RemoteBytes(remote, client=Busy(session_path)))
    n_collected.clear()
    file.get_invalid_times()
    file.close()
    assert n_collected
    assert sum(n_collected) == 0
    assert gc.isenabled()


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="Windows reads with a lock held")
def test_close__just_before_bytes_are_read__never_reads_another_file(
    session_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").write_bytes(b"\xff" * session_path.stat().st_size)
    opened = []
    file = NwbSessionFile(session_path)
    unit, expected = next(iter(file.get_spike_times().items()))
    spikes = file.get_spike_times()
    preadv = os.preadv

    def close_first(descriptor: int, *args: Any) -> int:
        file.close()
        # takes the lowest number that is free
        opened.extend((tmp_path / "other").open("rb") for _ in range(4))
        return preadv(descriptor, *args)

    monkeypatch.setattr(os, "preadv", close_first)
    np.testing.assert_array_equal(spikes[unit], expected)
    with pytest.raises(InvalidArgumentError, match="was closed; open the session again"):
        spikes[unit]
    for other in opened:
        other.close()
