"""The units table and what hangs on it: spike times, amplitudes, mean waveforms."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import NotFoundError, describe_choices
from spikehouse.io.hdf5 import Hdf5File, RowReader, column_names, reading

UNITS = "units"
RAGGED = ("spike_times", "spike_amplitudes", "waveform_mean")


def read_units(file: Hdf5File) -> pd.DataFrame:
    """Read one row a unit, without spikes and waveforms.

    Parameters
    ----------
    file
        An open session file.

    Returns
    -------
    DataFrame
        Index ``id``; the columns the file has, under the file's names.

    Raises
    ------
    InvalidFileError
        If the file has no units table.
    """
    group = file.group(UNITS)
    names = [name for name in column_names(group) if name not in RAGGED]
    return file.read_frame(group, columns=names)


def is_thread_safe(mapping: Mapping[int, Any]) -> bool:
    """Say whether threads may read from a mapping at the same time.

    Parameters
    ----------
    mapping
        A dictionary, a column of a file, or whatever an adapter handed over.

    Returns
    -------
    bool
        False where it is not known.
    """
    return isinstance(mapping, dict) or getattr(mapping, "is_thread_safe", False) is True


class RaggedColumn(Mapping[int, npt.NDArray[Any]]):
    """A ragged column of the units table, read a unit at a time when asked.

    A mapping from unit id to that unit's rows, which threads may share. Nothing is kept: asking
    twice reads twice (from the operating system's cache).

    Parameters
    ----------
    file
        An open session file.
    name
        ``"spike_times"``, ``"spike_amplitudes"`` or ``"waveform_mean"``.
    """

    is_thread_safe = True

    def __init__(self, file: Hdf5File, name: str) -> None:
        group = file.group(UNITS)
        self._file = file
        self._name = name
        self._rows = RowReader(file, group[name])
        self._row_of = {int(unit): row for row, unit in enumerate(group["id"][()])}
        ends = group[f"{name}_index"]
        with reading(ends):
            self._bounds = np.r_[0, ends[()].astype(np.int64)]

    def __len__(self) -> int:
        return len(self._row_of)

    def __iter__(self) -> Iterator[int]:
        return iter(self._row_of)

    def __contains__(self, unit_id: object) -> bool:
        return unit_id in self._row_of

    def __getitem__(self, unit_id: int) -> npt.NDArray[Any]:
        return self._rows.read(*self._span(unit_id))

    def _span(self, unit_id: int) -> tuple[int, int]:
        try:
            row = self._row_of[int(unit_id)]
        except (KeyError, TypeError, ValueError):
            raise NotFoundError(
                f"there is no unit {unit_id!r} in {self._file.path.name}: "
                f"{describe_choices(unit_id, self._row_of)}"
            ) from None
        return int(self._bounds[row]), int(self._bounds[row + 1])


class SpikeTimes(RaggedColumn):
    """Unit id → spike times [s], sorted, none negative.

    Files written before June 2020 hold spikes out of order, or at negative times where the clock
    had not started: they are sorted and dropped when read, with one warning for the file.

    Parameters
    ----------
    file
        An open session file.
    """

    def __init__(self, file: Hdf5File) -> None:
        super().__init__(file, "spike_times")
        self._warned = False
        self._warning = threading.Lock()
        # looking costs as much as reading: once a unit
        self._sound: set[int] = set()

    def __getitem__(self, unit_id: int) -> npt.NDArray[Any]:
        times = super().__getitem__(unit_id)
        if unit_id in self._sound:
            return times
        if times.size == 0 or (times[0] >= 0 and (times[1:] >= times[:-1]).all()):
            self._sound.add(int(unit_id))
            return times
        n_negative = int((times < 0).sum())
        self._warn(unit_id, n_negative)
        return np.sort(times[times >= 0])

    def _warn(self, unit_id: int, n_negative: int) -> None:
        with self._warning:
            if self._warned:
                return
            self._warned = True
        warnings.warn(
            f"{self._file.path.name} holds unsorted or negative spike times (first met in unit "
            f"{unit_id}, {n_negative} of them negative): sorted, and the negative ones dropped. "
            "Files released since June 2020 are free of this; fetch the session again",
            stacklevel=4,
        )


class Selection(Mapping[int, Any]):
    """A mapping cut down to some of its keys, in their order.

    Parameters
    ----------
    source
        The whole mapping.
    keys
        What is kept.
    """

    def __init__(self, source: Mapping[int, Any], keys: Sequence[int]) -> None:
        self._source = source
        self._keys = {int(key): None for key in keys}

    @property
    def is_thread_safe(self) -> bool:
        """Whether threads may read from it at the same time."""
        return is_thread_safe(self._source)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __getitem__(self, key: int) -> Any:  # noqa: ANN401 - whatever the source holds
        if key not in self._keys:
            raise NotFoundError(
                f"there is no unit {key!r} here (units that do not pass the session's filters "
                f"are left out): {describe_choices(key, self._keys)}"
            )
        return self._source[key]
