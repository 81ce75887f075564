"""Counts of all units in bins of 0.1 s and 1 s, kept in a file, so that every zoom is a slice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import threading
import zlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spikehouse.errors import InvalidFileError, SpikehouseError
from spikehouse.explore.recipes._bins import average_structures, check_stop, make_edges
from spikehouse.explore.recipes.population import population_span
from spikehouse.spikes import count_spikes
from spikehouse.spikes.trains import Selection, SpikeTimes
from spikehouse.transfer.disk import (
    explain_storage_errors,
    hold_lock,
    make_folder,
    write_whole,
)

if TYPE_CHECKING:
    from spikehouse.session import EcephysSession

log = logging.getLogger(__name__)

MAGIC = b"spikehouse counts 1\n"
SUFFIX = ".counts"
# the last bytes of the file are the length of the JSON in front of them
N_DIGITS = 16
# Bins of the levels in tenths of a second. Counts too large for the dtype are listed beside them.
STEPS: dict[int, np.dtype[Any]] = {1: np.dtype("<u1"), 10: np.dtype("<u2")}
# of which the counts are in memory at once
N_UNITS_A_BATCH = 24
# the last bin of a window may end after the recording
MARGIN = 1.05
MOST_BYTES = 2_000_000_000


class _Stopped(Exception):
    """The server closes."""


class _Stoppable(Selection):
    """Spike times that are read until the server closes."""

    # read by the one thread that counts, which nobody has to wait for: those of a pool are
    # waited for when Python ends
    is_thread_safe = False

    def __init__(self, source: SpikeTimes, go_on: Callable[[], None]) -> None:
        super().__init__(source, list(source))
        self._go_on = go_on

    def __getitem__(self, key: int) -> Any:  # noqa: ANN401 - as of the source
        self._go_on()
        return super().__getitem__(key)


class _Level(NamedTuple):
    """Counts (unit, bin), and the places in it of those that are larger than its dtype holds."""

    counts: npt.NDArray[Any]
    places: npt.NDArray[np.int64]
    values: npt.NDArray[np.int64]

    def sum_bins(
        self, rows: npt.NDArray[np.intp], first: int, last: int, n_each: int
    ) -> npt.NDArray[np.int64]:
        """Return the exact sums over every ``n_each`` of the bins [first, last) of units."""
        shape = len(rows), (last - first) // n_each, n_each
        chosen = self.counts[:, first:last][rows].reshape(shape)
        sums: npt.NDArray[np.int64] = chosen.sum(axis=2, dtype=np.int64)
        units, bins = np.divmod(self.places, self.counts.shape[1])
        row_of = np.full(len(self.counts), -1)
        row_of[rows] = np.arange(len(rows))
        large = (row_of[units] >= 0) & (bins >= first) & (bins < last)
        beyond = self.values[large] - np.iinfo(self.counts.dtype).max
        np.add.at(sums, (row_of[units[large]], (bins[large] - first) // n_each), beyond)
        return sums


class Pyramid:
    """The counts in a file, which raises InvalidFileError if it is damaged."""

    def __init__(self, path: Path) -> None:
        try:
            self._read(path)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise InvalidFileError(f"{path} holds no counts, or is damaged: {error}") from error

    def _read(self, path: Path) -> None:
        with path.open("rb") as file:
            if file.readline() != MAGIC:
                raise ValueError("another kind of file, or another version")
            end = file.seek(-N_DIGITS, 2)
            end -= int(file.read())
            file.seek(end)
            header = json.loads(file.read()[:-N_DIGITS])
            file.seek(len(MAGIC))
            check, left = 0, end - len(MAGIC)
            while block := file.read(min(left, 1 << 24)):
                check, left = zlib.crc32(block, check), left - len(block)
        if check != header["crc32"]:
            raise ValueError("its checksum is wrong")
        self.unit_ids: list[int] = header["unit_ids"]
        self._row_of = {unit_id: row for row, unit_id in enumerate(self.unit_ids)}
        self._levels = {
            int(step): _Level(*(_map(path, *array) for array in arrays))
            for step, arrays in header["levels"].items()
        }

    def answer(
        self, recipe: str, session: EcephysSession, arguments: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Return what a recipe would, or None where these counts do not tell."""
        if recipe == "population_counts":
            return self.count(**arguments)
        if recipe == "area_rates":
            found = self.count(**arguments)
            return found and average_structures(session.units, found)
        return None

    def count(
        self,
        *,
        unit_ids: Iterable[int] = (),
        span: tuple[float, float] = (0.0, 100.0),
        bin: float = 0.1,
    ) -> dict[str, Any] | None:
        """Return what the recipe `population_counts` would; None outside of what was counted."""
        chosen = list(unit_ids) or self.unit_ids
        if len(set(chosen) & self._row_of.keys()) < len(chosen):
            return None
        edges = make_edges(span, bin)
        first, second, *_, last = np.rint(edges[[0, 1, -1]] * 10).astype(np.int64).tolist()
        step = max(one for one in STEPS if (second - first) % one == 0)
        level = self._levels[step]
        if first < 0 or last > step * level.counts.shape[1]:
            return None
        rows = np.array([self._row_of[unit_id] for unit_id in chosen], dtype=np.intp)
        # edges are multiples of the width of bins, which is one of the level's
        counts = level.sum_bins(rows, first // step, last // step, (second - first) // step)
        return {
            "unit_ids": np.asarray(chosen, dtype=np.int64),
            "edges": edges,
            "counts": counts.astype(np.min_scalar_type(counts.max(initial=0))),
        }


def _map(path: Path, dtype: str, shape: list[int], offset: int) -> npt.NDArray[Any]:
    # an empty part of a file cannot be mapped
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", offset, tuple(shape))


def write_counts(
    session: EcephysSession,
    file: IO[bytes],
    progress: Callable[[int, int], None],
    go_on: Callable[[], None],
) -> None:
    """Count the spikes of all units into a file; ``go_on`` raises to stop between two units."""
    trains = _Stoppable(session.spike_times, go_on)
    unit_ids = list(trains)
    n_seconds = int(check_stop(population_span(session)) * MARGIN) + 1
    edges = np.arange(10 * n_seconds + 1)[None, :] / 10
    seconds: list[npt.NDArray[Any]] = []
    kept: dict[int, list[tuple[int, int]]] = {step: [] for step in STEPS}
    written = file.write(MAGIC)
    check = 0

    def put(array: npt.NDArray[Any]) -> tuple[str, list[int], int]:
        nonlocal check, written
        content, begin = array.tobytes(), written
        check = zlib.crc32(content, check)
        written += file.write(content)
        return array.dtype.str, list(array.shape), begin

    def saturate(counts: npt.NDArray[Any], step: int, first_row: int) -> npt.NDArray[Any]:
        most = np.iinfo(STEPS[step]).max
        large = np.flatnonzero(counts > most)
        kept[step] += zip(
            (large + first_row * counts.shape[1]).tolist(),
            counts.ravel()[large].tolist(),
            strict=True,
        )
        return np.asarray(np.minimum(counts, most), dtype=STEPS[step])

    begin = written
    for first in range(0, len(unit_ids), N_UNITS_A_BATCH):
        progress(first, len(unit_ids))
        batch = unit_ids[first : first + N_UNITS_A_BATCH]
        counts = np.ascontiguousarray(count_spikes(trains, batch, edges)[0].T)
        put(saturate(counts, 1, first))
        in_seconds = counts.reshape(len(batch), n_seconds, 10).sum(axis=2, dtype=np.int64)
        seconds.append(saturate(in_seconds, 10, first))
    tenths = STEPS[1].str, [len(unit_ids), 10 * n_seconds], begin
    levels = {
        1: [tenths],
        10: [put(np.concatenate([np.zeros((0, n_seconds), STEPS[10]), *seconds]))],
    }
    for step, large in kept.items():
        places = np.array(large, dtype="<i8").reshape(-1, 2)
        levels[step] += [put(places[:, 0]), put(places[:, 1])]
    header = json.dumps({"unit_ids": unit_ids, "levels": levels, "crc32": check}).encode()
    file.write(header + f"{len(header):{N_DIGITS}d}".encode())


class CountKeeper:
    """Builds the counts of a session in the background, and keeps them in a folder.

    ``place`` says where the session's data are, ``identity`` what tells that they have changed;
    with the same place and another identity the counts are of an earlier file and thrown away.
    ``use`` gives the session while it is counted, ``mode`` is that of a folder that is made.
    """

    def __init__(
        self,
        use: Callable[[], AbstractContextManager[EcephysSession]],
        folder: Path,
        *,
        place: str,
        identity: str,
        mode: int = 0o777,
    ) -> None:
        self._use = use
        names = (hashlib.sha256(text.encode()).hexdigest()[:16] for text in (place, identity))
        self._prefix, key = names
        self.path = folder / f"{self._prefix}-{key}{SUFFIX}"
        self._lock = folder / f"{self._prefix}.lock"
        self._mode = mode
        self.pyramid: Pyramid | None = None
        self._thread: threading.Thread | None = None
        # while somebody looks which state this has, and begins another
        self._looking = threading.Lock()
        self._is_closing = threading.Event()
        self._done, self._error = (0, 0), ""

    def status(self) -> dict[str, Any]:
        """Say how far the counts are: state, units done and in all, message."""
        with self._looking:
            if self._is_building():
                state = "building"
            elif self.pyramid is not None or self._open():
                state = "ready"
            else:
                state = "failed" if self._error else "absent"
        done, total = self._done
        return {"state": state, "done": done, "total": total, "message": self._error}

    def start(self) -> None:
        """Begin to build the counts unless they are there; again, if that failed before."""
        with self._looking:
            if self._is_building() or self.pyramid is not None or self._is_closing.is_set():
                return
            self._done, self._error = (0, 0), ""
            self._thread = threading.Thread(target=self._run, name="spikehouse-counts", daemon=True)
            self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the counts are there, or failed."""
        if self._thread is not None:
            self._thread.join(seconds)

    def stop(self) -> None:
        """Stop building before the next unit; nothing unfinished stays in the folder."""
        with self._looking:
            self._is_closing.set()

    def _is_building(self) -> bool:
        return self.pyramid is None and self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        try:
            folder = self.path.parent
            make_folder(folder.parent)
            with explain_storage_errors(folder):
                folder.mkdir(self._mode, exist_ok=True)
            with hold_lock(self._lock, is_stopped=self._is_closing.is_set):
                if not self._open():
                    with self._use() as session, write_whole(self.path) as file:
                        write_counts(session, file, self._report, self._go_on)
                    self.pyramid = Pyramid(self.path)
                self._tidy()
        except _Stopped:
            self._error = "stopped"
        except Exception as error:
            # the end of a thread: nobody else would hear of it, and the page would wait for ever
            is_told = isinstance(error, SpikehouseError | OSError)
            self._error = str(error) if is_told else f"counting failed: {error!r}"
            log.warning(
                "the counts of %s are not kept: %s",
                self.path.name,
                self._error,
                exc_info=None if is_told else error,
            )

    def _open(self) -> bool:
        """Open what is there; a damaged file is built again."""
        with contextlib.suppress(OSError):
            self.pyramid = Pyramid(self.path)
            # one of somebody else may not be touched
            self.path.touch()
        return self.pyramid is not None

    def _go_on(self) -> None:
        if self._is_closing.is_set():
            raise _Stopped

    def _report(self, done: int, total: int) -> None:
        self._go_on()
        self._done = done, total

    def _tidy(self) -> None:
        """Remove counts of earlier states of the file, and the oldest above the limit in all."""
        files = [(path.stat(), path) for path in self.path.parent.glob(f"*{SUFFIX}")]
        held = 0
        for facts, path in sorted(files, key=lambda one: -one[0].st_mtime):
            held += facts.st_size
            is_earlier = path.name.startswith(self._prefix) and path != self.path
            if is_earlier or (held > MOST_BYTES and path != self.path):
                # one that is open cannot be removed on Windows
                with contextlib.suppress(OSError):
                    path.unlink()
                    held -= facts.st_size
