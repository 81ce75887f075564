"""Look values up in a long increasing HDF5 dataset, reading only the blocks that decide."""

from __future__ import annotations

import itertools
import threading
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt

from spikehouse.errors import InvalidFileError
from spikehouse.io._guard import reopen
from spikehouse.io._stored import reading
from spikehouse.io.hdf5 import Hdf5File

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]
Side = Literal["left", "right"]

ITEM = np.dtype(np.float64).itemsize
# values read in one go: two pages of memory, 0.8 s of LFP
BLOCK = 1024
# how much is read in one go at most, so that reading everything takes no second copy
PIECE = 1024 * BLOCK
# blocks read before the first search, evenly spaced: what the order is checked on
N_SPREAD = 9
# once this part of the blocks was read one by one, the whole dataset costs hardly more
LARGEST_PART = 1 / 8
# searches by proportion settle an even axis in two rounds; after so many they halve instead
N_PROPORTIONAL = 4


class SortedDataset:
    """A one-dimensional dataset of increasing float64, searched in the file.

    Parameters
    ----------
    file
        The open file; it stays open as long as this is used.
    name
        Path of the dataset from the root.

    Notes
    -----
    Blocks of 8 kB are read where they are needed, and kept. When they become an eighth of the
    dataset, all of it is read once and kept instead.

    That the values increase strictly is checked on nine blocks spread over the dataset, on every
    block read after that, and between them. What was not read is taken to lie between its
    neighbours: values out of order within it are not detected. Where the check fails,
    :meth:`search` gives None, and the caller has to work on :meth:`read_all`.
    """

    def __init__(self, file: Hdf5File, name: str) -> None:
        self._file = file
        self._name = name
        # of the version that was opened: the file may be gone when it is asked for
        self._identity = (*file.identity, name)
        dataset = reopen(file.root, name)
        self.length: int = dataset.shape[0]
        # None where the dataset is chunked; a file without a user block, so from its first byte
        self._offset: int | None = dataset.id.get_offset()
        self._lock = threading.RLock()
        self._blocks: dict[int, Floats] = {}
        # of the blocks read so far: which, and their first and last values
        self._numbers: Positions = np.empty(0, dtype=np.int64)
        self._firsts: Floats = np.empty(0)
        self._lasts: Floats = np.empty(0)
        self._whole: Floats | None = None
        self._increases: bool | None = None

    @staticmethod
    def fits(dataset: h5py.Dataset) -> bool:
        """Tell whether a dataset is worth searching in the file.

        Parameters
        ----------
        dataset
            Any dataset.

        Returns
        -------
        bool
            Whether it is float64, one-dimensional, longer than a few hundred kB, and stored so
            that a block can be read without much of the rest.
        """
        chunk = dataset.chunks[0] if dataset.chunks else 0
        return bool(
            dataset.ndim == 1
            and dataset.dtype == np.dtype("=f8")
            and dataset.shape[0] > 4 * N_SPREAD * BLOCK
            # HDF5 keeps a megabyte of chunks: larger ones would be unpacked for every block
            and chunk <= 64 * BLOCK
        )

    def __reduce__(self) -> tuple[type[SortedDataset], tuple[Hdf5File, str]]:
        return SortedDataset, (self._file, self._name)

    def __deepcopy__(self, memo: dict[int, Any]) -> SortedDataset:
        # nothing here can change, and an open file cannot be copied
        return self

    @property
    def increases(self) -> bool:
        """Whether the values increase strictly, as far as they were read; reads the spread."""
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
        """Read the whole dataset, once.

        Returns
        -------
        ndarray
            All values, in the order of the file; not to be changed.
        """
        with self._lock:
            if self._whole is None:
                whole = self.read(0, self.length)
                self._increases = bool((whole[1:] > whole[:-1]).all())
                self._blocks, self._whole = {}, whole
            return self._whole

    def read(self, start: int, stop: int) -> Floats:
        """Read a run of values.

        Parameters
        ----------
        start
            First position.
        stop
            The position after the last.

        Returns
        -------
        ndarray
            The values.

        Raises
        ------
        InvalidFileError
            If the file ends before them or cannot be read.
        """
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
                "compare its size with the source's and fetch it again"
            )
        return np.frombuffer(found, dtype=np.float64)

    def take(self, positions: npt.ArrayLike) -> Floats:
        """Read the values at positions.

        Parameters
        ----------
        positions
            Positions from the start, any order, of one dimension.

        Returns
        -------
        ndarray
            One value for each.
        """
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
        """Find where values belong, as ``numpy.searchsorted`` does.

        Parameters
        ----------
        values
            What is looked for, of one dimension; NaN comes after everything.
        side
            "left": how many values of the dataset are smaller; "right": smaller or equal.

        Returns
        -------
        ndarray or None
            A position for each value, from 0 to the length. None if the dataset was found not
            to increase.
        """
        wanted = np.asarray(values, dtype=np.float64)
        unique, places = np.unique(wanted, return_inverse=True)
        with self._lock:
            found = self._search(unique, side) if self.increases else None
        return None if found is None else found[places.reshape(wanted.shape)]

    def same_as(self, other: SortedDataset) -> bool:
        """Tell whether another dataset holds the same values.

        Parameters
        ----------
        other
            The other.

        Returns
        -------
        bool
            Whether all values are equal. Of two datasets that are not the same one of the same
            file, nine blocks are read first, and the rest if those agree.
        """
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
        # every round reads a block of every gap that is still in question
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
        """Answer what the blocks read so far can; give the rows they cannot."""
        # the last block that starts before a value: the value is in it or right behind it
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
        """Say in which unread block each value should be, by proportion or in the middle."""
        places = np.searchsorted(self._firsts, wanted, side) - 1
        low, high = self._numbers[places] + 1, self._numbers[places + 1] - 1
        left, right = self._lasts[places], self._firsts[places + 1]
        part = np.full(len(wanted), 0.5) if halves else (wanted - left) / (right - left)
        guessed = low + (part * (high - low + 1)).astype(np.int64)
        return np.unique(np.clip(guessed, low, high))

    def _learn(self, wanted: Positions) -> None:
        """Read blocks that are not known yet, and check that they fit among the others."""
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
            self._file.prefetch(
                (begin + ITEM * start, begin + ITEM * stop) for start, stop in bounds
            )
        for run, (start, stop) in zip(runs, bounds, strict=True):
            values = self.read(start, min(stop, self.length))
            if not (values[1:] > values[:-1]).all():
                self._increases = False
            for number in run.tolist():
                self._blocks[number] = values[number * BLOCK - start :][:BLOCK]
