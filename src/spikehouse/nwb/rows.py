"""Read consecutive rows of a numeric dataset."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt

from spikehouse.nwb._kinds import is_plain
from spikehouse.nwb._stored import reading

if TYPE_CHECKING:
    from spikehouse.nwb.hdf5 import Hdf5File


class RowReader:
    """Read consecutive rows of one dataset from any thread."""

    # Contiguous datasets, as in the released files, are read without HDF5, whose lock lets only
    # one thread read at a time.

    def __init__(self, file: Hdf5File, dataset: h5py.Dataset) -> None:
        self._file = file
        self._dataset = dataset
        self._dtype = dataset.dtype
        self._row_shape = dataset.shape[1:]
        self.row_bytes = self._dtype.itemsize * math.prod(self._row_shape)
        self._offset: int | None = dataset.id.get_offset() if is_plain(dataset) else None

    def prefetch(self, spans: Iterable[tuple[int, int]]) -> None:
        """Begin to download rows [start, stop) of a remote file."""
        if self._offset is not None:
            offset, length = self._offset, self.row_bytes
            self._file.prefetch((offset + a * length, offset + b * length) for a, b in spans)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read rows [start, stop)."""
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
    # pandas and compiled loops take only the machine's byte order
    return values.astype(values.dtype.newbyteorder("="), copy=False)
