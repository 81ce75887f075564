"""Runs of rows of a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt

from spikehouse.io._kinds import is_plain
from spikehouse.io._stored import reading

if TYPE_CHECKING:
    from spikehouse.io.hdf5 import Hdf5File


class RowReader:
    """Runs of rows of one dataset, from any thread.

    Parameters
    ----------
    file
        The open file.
    dataset
        A dataset of numbers, of one dimension or more.

    Notes
    -----
    Where the rows lie one after the other in the file, as they do in released ones, their bytes
    are read without HDF5, which would let one thread read at a time; else HDF5 reads them.
    """

    def __init__(self, file: Hdf5File, dataset: h5py.Dataset) -> None:
        self._file = file
        self._dataset = dataset
        self._dtype = dataset.dtype
        self._row_shape = dataset.shape[1:]
        self.row_bytes = self._dtype.itemsize * math.prod(self._row_shape)
        self._offset: int | None = dataset.id.get_offset() if is_plain(dataset) else None

    def prefetch(self, spans: Iterable[tuple[int, int]]) -> None:
        """Begin to fetch runs of rows; nothing to do for a file on disk.

        Parameters
        ----------
        spans
            First row and the one after the last of each.
        """
        if self._offset is not None:
            offset, length = self._offset, self.row_bytes
            self._file.prefetch((offset + a * length, offset + b * length) for a, b in spans)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read rows.

        Parameters
        ----------
        start, stop
            First row and the one after the last; both within the dataset.

        Returns
        -------
        ndarray, shape (stop - start, …)
            Their values.

        Raises
        ------
        InvalidFileError
            If they cannot be read, or the file ends before them.
        InvalidArgumentError
            If the file was closed.
        """
        with self._file.closing_told(), reading(self._dataset):
            if self._offset is None:
                return _native(np.asarray(self._dataset[start:stop]))
            values = np.empty((stop - start, *self._row_shape), dtype=self._dtype)
            if values.size:
                self._fill(values, self._offset + start * self.row_bytes)
            return _native(values)

    def _fill(self, values: npt.NDArray[Any], first: int) -> None:
        n_read = self._file.read_into(first, memoryview(values.data).cast("B"))
        if n_read < values.nbytes:
            raise OSError(f"the file ends {values.nbytes - n_read} bytes too soon")


def read_whole(dataset: h5py.Dataset) -> npt.NDArray[Any]:
    """Read all values of a dataset of numbers, in this machine's byte order."""
    with reading(dataset):
        return _native(np.asarray(dataset[()]))


def _native(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # pandas and compiled loops take no other byte order
    return values.astype(values.dtype.newbyteorder("="), copy=False)
