"""Read the units table, and by unit spike times, amplitudes and mean waveforms."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import NotFoundError, describe_choices, describe_value
from spikehouse.nwb._safe_open import member
from spikehouse.nwb._validate_columns import check_ends, check_numbers, check_unique
from spikehouse.nwb.hdf5 import Hdf5File, RowReader, column_names, read_whole

UNITS = "units"
RAGGED = ("spike_times", "spike_amplitudes", "waveform_mean")


def read_units(file: Hdf5File) -> pd.DataFrame:
    """Read the units table without spikes and waveforms."""
    group = file.group(UNITS)
    file.prefetch_members(group)
    names = [name for name in column_names(group) if name not in RAGGED]
    return file.read_frame(group, columns=names)


class RaggedColumn(Mapping[int, npt.NDArray[Any]]):
    """A ragged column of the units table as a mapping from unit id to its rows; thread-safe."""

    # nothing is kept: reading a unit twice reads from the operating system's cache

    is_thread_safe = True

    def __init__(self, file: Hdf5File, name: str) -> None:
        group = file.group(UNITS)
        self._file = file
        self._name = name
        values, ids, ends = (member(group, n) for n in (name, "id", f"{name}_index"))
        check_numbers(values)
        self._rows = RowReader(file, values)
        units = check_unique(ids, read_whole(ids))
        self._row_of = {unit: row for row, unit in enumerate(units.tolist())}
        self._bounds = check_ends(ends, read_whole(ends), len(values), n_runs=len(units))

    def __reduce__(self) -> tuple[type[RaggedColumn], tuple[Any, ...]]:
        return RaggedColumn, (self._file, self._name)

    def copy(self) -> dict[int, npt.NDArray[Any]]:
        """Read all units into a dictionary."""
        return dict(self)

    def __len__(self) -> int:
        return len(self._row_of)

    def __iter__(self) -> Iterator[int]:
        return iter(self._row_of)

    def __contains__(self, unit_id: object) -> bool:
        return unit_id in self._row_of

    def __getitem__(self, unit_id: int) -> npt.NDArray[Any]:
        return self._rows.read(*self._span(unit_id))

    def plan_batches(self, unit_ids: Sequence[int], *, most_bytes: int) -> list[list[int]]:
        """Split units into batches of at most this size; no batches for a file on disk."""
        if not self._file.is_remote:
            return []
        batches: list[list[int]] = []
        held = most_bytes
        for unit_id in unit_ids:
            start, stop = self._span(unit_id)
            n_bytes = (stop - start) * self._rows.row_bytes
            if held + n_bytes > most_bytes:
                batches.append([])
                held = 0
            batches[-1].append(unit_id)
            held += n_bytes
        return batches

    def prefetch(self, unit_ids: Sequence[int]) -> None:
        """Begin to download the rows of units of a remote file."""
        self._rows.prefetch([self._span(unit_id) for unit_id in unit_ids])

    def _span(self, unit_id: int) -> tuple[int, int]:
        try:
            row = self._row_of[int(unit_id)]
        except (KeyError, TypeError, ValueError):
            raise NotFoundError(
                f"there is no unit {describe_value(unit_id)} in {self._file.path.name}: "
                f"{describe_choices(unit_id, self._row_of)}"
            ) from None
        return int(self._bounds[row]), int(self._bounds[row + 1])


class SpikeTimes(RaggedColumn):
    """The spike times [s] by unit id, sorted and without negative ones."""

    # Files written before June 2020 hold unsorted spike times, and negative ones from before the
    # clock started. These are sorted and dropped when read, with one warning for the file.

    is_sorted = True

    def __init__(self, file: Hdf5File) -> None:
        super().__init__(file, "spike_times")
        self._warned = False
        self._warning = threading.Lock()
        # units found in order: checking takes as long as reading, so it is done once
        self._in_order: set[int] = set()

    def __reduce__(self) -> tuple[type[SpikeTimes], tuple[Any, ...]]:
        return SpikeTimes, (self._file,)

    def __getitem__(self, unit_id: int) -> npt.NDArray[Any]:
        times = super().__getitem__(unit_id)
        if unit_id in self._in_order:
            return times
        if times.size == 0 or (times[0] >= 0 and (times[1:] >= times[:-1]).all()):
            self._in_order.add(int(unit_id))
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
            f"{self._file.path.name} holds unsorted or negative spike times (first in unit "
            f"{unit_id}, {n_negative} of them negative): they were sorted, negative ones dropped. "
            "Files released since June 2020 do not; download the session again",
            stacklevel=4,
        )
