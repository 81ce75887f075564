"""Search a long increasing HDF5 dataset by reading only the blocks that are needed."""

from __future__ import annotations

import itertools
import threading
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt

from spikehouse.errors import InvalidFileError
from spikehouse.nwb._check_size import reading
from spikehouse.nwb._safe_open import reopen
from spikehouse.nwb.hdf5 import Hdf5File

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]
Side = Literal["left", "right"]

ITEM = np.dtype(np.float64).itemsize
# values read in one go: two pages of memory, 0.8 s of LFP
BLOCK = 1024
# values per read at most, so that reading everything needs no second copy
PIECE = 1024 * BLOCK
# evenly spaced blocks that are read before the first search, to check that values increase
N_SPREAD = 9
# once this part of the blocks was read, reading the whole dataset costs hardly more
LARGEST_PART = 1 / 8
# interpolation search finds a place on an even axis in two rounds; after this many, bisect
N_PROPORTIONAL = 4


class SortedDataset:
    """A one-dimensional dataset of increasing float64 that is searched in the file."""

    # Blocks of 8 kB are read when they are needed, and kept. When they add up to an eighth of the
    # dataset, all of it is read and kept instead.
    #
    # Invariants, under the lock: _numbers holds the numbers of the blocks in _blocks in increasing
    # order, _firsts and _lasts their first and last values. After ``increases`` was first asked,
    # the first and the last block are among them, so that every value belongs into a block or
    # between two. _increases is False as soon as any values that were read are found not to
    # increase strictly, within a block or from one to the next. Values in blocks that were never
    # read are assumed to lie between their neighbours: disorder within them goes unnoticed. If
    # _increases is False, ``search`` returns None and the caller has to use ``read_all``.

    def __init__(self, file: Hdf5File, name: str) -> None:
        self._file = file
        self._name = name
        # taken now, because the file may be gone or changed later
        self._identity = (*file.reader.identity, name)
        dataset = reopen(file.root, name)
        self.length: int = dataset.shape[0]
        # from the first byte of the file, user block included; None if the dataset is chunked
        self._offset: int | None = dataset.id.get_offset()
        self._lock = threading.RLock()
        self._blocks: dict[int, Floats] = {}
        # numbers, first and last values of the blocks read so far
        self._numbers: Positions = np.empty(0, dtype=np.int64)
        self._firsts: Floats = np.empty(0)
        self._lasts: Floats = np.empty(0)
        self._whole: Floats | None = None
        self._increases: bool | None = None

    @staticmethod
    def fits(dataset: h5py.Dataset) -> bool:
        """Check whether a dataset is long enough to search it in the file, and stored for it."""
        chunk = dataset.chunks[0] if dataset.chunks else 0
        return bool(
            dataset.ndim == 1
            and dataset.dtype == np.dtype("=f8")
            and dataset.shape[0] > 4 * N_SPREAD * BLOCK
            # HDF5 caches a megabyte of chunks: larger ones would be unpacked again for every block
            and chunk <= 64 * BLOCK
        )

    def __reduce__(self) -> tuple[type[SortedDataset], tuple[Hdf5File, str]]:
        return SortedDataset, (self._file, self._name)

    def __deepcopy__(self, memo: dict[int, Any]) -> SortedDataset:
        # immutable, and an open file cannot be copied
        return self

    @property
    def increases(self) -> bool:
        """Whether the values read so far increase strictly; reads at least nine spread blocks."""
        with self._lock:
            if self._increases is None:
                self._increases = True
                spread = np.linspace(0, self._n_blocks - 1, N_SPREAD).astype(np.int64)
                self._learn(spread)
            return self._increases

    @property
    def _n_blocks(self) -> int:
        return -(-self.length // BLOCK)

    def read_all(self) -> Floats:
        """Read the whole dataset and keep it; the array must not be changed."""
        with self._lock:
            if self._whole is None:
                whole = self.read(0, self.length)
                self._increases = bool((whole[1:] > whole[:-1]).all())
                self._blocks, self._whole = {}, whole
            return self._whole

    def read(self, start: int, stop: int) -> Floats:
        """Read consecutive values."""
        if self._whole is not None:
            return self._whole[start:stop]
        values = np.empty(stop - start)
        with self._file.closing_told():
            for first in range(start, stop, PIECE):
                last = min(first + PIECE, stop)
                values[first - start : last - start] = self._read_piece(first, last)
        return values

    def _read_piece(self, start: int, stop: int) -> Floats:
        if self._offset is None:
            dataset = reopen(self._file.root, self._name)
            with reading(dataset):
                return np.asarray(dataset[start:stop])
        asked = (stop - start) * ITEM
        found = self._file.read_bytes(self._offset + start * ITEM, asked)
        if len(found) != asked:
            raise InvalidFileError(
                f"{self._file.path}: {self._name} cannot be read: the file ends {len(found)} bytes "
                f"into the {asked} of samples {start} to {stop - 1}. It may have been cut short; "
                "compare its size with the source's and download it again"
            )
        return np.frombuffer(found, dtype=np.float64)

    def take(self, positions: npt.ArrayLike) -> Floats:
        """Read the values at positions."""
        wanted = np.asarray(positions, dtype=np.int64)
        blocks, places = np.unique(wanted // BLOCK, return_inverse=True)
        with self._lock:
            if self._whole is None:
                self._learn(blocks)
            if self._whole is not None:
                return self._whole[wanted]
            stored = np.zeros((len(blocks), BLOCK))
            for row, block in enumerate(blocks.tolist()):
                stored[row, : len(self._blocks[block])] = self._blocks[block]
        return np.asarray(stored[places.reshape(wanted.shape), wanted % BLOCK])

    def search(self, values: npt.ArrayLike, side: Side) -> Positions | None:
        """Search like ``numpy.searchsorted``; return None if the values do not increase."""
        wanted = np.asarray(values, dtype=np.float64)
        unique, places = np.unique(wanted, return_inverse=True)
        with self._lock:
            found = self._search(unique, side) if self.increases else None
        return None if found is None else found[places.reshape(wanted.shape)]

    def same_as(self, other: SortedDataset) -> bool:
        """Check whether another dataset holds the same values; compares samples of both first."""
        if self._identity == other._identity:
            return True
        if self.length != other.length:
            return False
        if not np.array_equal(self._spread_values(), other._spread_values(), equal_nan=True):
            return False
        return np.array_equal(self.read_all(), other.read_all(), equal_nan=True)

    def _spread_values(self) -> Floats:
        return self.take(np.linspace(0, self.length - 1, N_SPREAD).astype(np.int64))

    def _search(self, wanted: Floats, side: Side) -> Positions | None:
        found = np.zeros(len(wanted), dtype=np.int64)
        rows = np.arange(len(wanted))
        # every round reads one block in each gap where a value may lie
        for n_rounds in itertools.count():
            if not self._increases:
                return None
            if self._whole is not None:
                return np.searchsorted(self._whole, wanted, side).astype(np.int64)
            rows = self._settle(wanted, found, rows, side)
            if not rows.size:
                return found
            self._learn(self._guess(wanted[rows], side, halves=n_rounds >= N_PROPORTIONAL))
        raise AssertionError("counting ends")

    def _settle(self, wanted: Floats, found: Positions, rows: Positions, side: Side) -> Positions:
        """Fill in the positions that the known blocks determine; return the remaining rows."""
        # the last known block that starts before a value: the value is in it or after it
        places = np.searchsorted(self._firsts, wanted[rows], side) - 1
        is_open = np.zeros(len(rows), dtype=bool)
        for place in np.unique(places[places >= 0]).tolist():
            is_here = places == place
            number = int(self._numbers[place])
            block = self._blocks[number]
            within = np.searchsorted(block, wanted[rows[is_here]], side)
            found[rows[is_here]] = number * BLOCK + within
            is_last = place == len(self._numbers) - 1
            if not is_last and self._numbers[place + 1] > number + 1:
                is_open[is_here] = within == len(block)
        return rows[is_open]

    def _guess(self, wanted: Floats, side: Side, *, halves: bool) -> Positions:
        """Guess the unread block of each value by interpolation or, if ``halves``, bisection."""
        places = np.searchsorted(self._firsts, wanted, side) - 1
        low, high = self._numbers[places] + 1, self._numbers[places + 1] - 1
        left, right = self._lasts[places], self._firsts[places + 1]
        part = np.full(len(wanted), 0.5) if halves else (wanted - left) / (right - left)
        guessed = low + (part * (high - low + 1)).astype(np.int64)
        return np.unique(np.clip(guessed, low, high))

    def _learn(self, wanted: Positions) -> None:
        """Read blocks that are not known yet, and check that they are in order with the others."""
        places = np.searchsorted(self._numbers, wanted)
        is_new = np.append(self._numbers, -1)[places] != wanted
        new, places = wanted[is_new], places[is_new]
        if not new.size:
            return
        n_known = len(self._numbers) + len(new)
        if n_known > max(LARGEST_PART * self._n_blocks, N_SPREAD):
            self.read_all()
            return
        self._read_blocks(np.split(new, np.flatnonzero(np.diff(new) > 1) + 1))
        ends = np.array([self._blocks[number][[0, -1]] for number in new.tolist()])
        self._numbers = np.insert(self._numbers, places, new)
        self._firsts = np.insert(self._firsts, places, ends[:, 0])
        self._lasts = np.insert(self._lasts, places, ends[:, 1])
        if not (self._firsts[1:] > self._lasts[:-1]).all():
            self._increases = False

    def _read_blocks(self, runs: list[Positions]) -> None:
        bounds = [(int(run[0]) * BLOCK, int(run[-1] + 1) * BLOCK) for run in runs]
        if self._offset is not None:
            begin = self._offset
            self._file.reader.prefetch(
                (begin + ITEM * start, begin + ITEM * stop) for start, stop in bounds
            )
        for run, (start, stop) in zip(runs, bounds, strict=True):
            values = self.read(start, min(stop, self.length))
            if not (values[1:] > values[:-1]).all():
                self._increases = False
            for number in run.tolist():
                self._blocks[number] = values[number * BLOCK - start :][:BLOCK]
