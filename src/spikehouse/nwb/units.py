"""Read the units table, and by unit spike times, amplitudes and mean waveforms."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidFileError, NotFoundError, describe_choices, describe_value
from spikehouse.nwb._safe_open import member
from spikehouse.nwb._validate_columns import check_ends, check_numbers, check_unique
from spikehouse.nwb.hdf5 import Hdf5File, RowReader, column_names, flatten_whole, read_whole

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

    def __init__(self, file: Hdf5File, name: str, *, is_survey: bool = True) -> None:
        group = file.group(UNITS)
        self._file = file
        self._name = name
        values, ids, ends = (member(group, n) for n in (name, "id", f"{name}_index"))
        check_numbers(values)
        self._is_survey = is_survey
        self._rows = RowReader(file, values, is_flat=not is_survey)
        found = [read_whole(dataset) for dataset in (ids, ends)]
        length = len(values)
        if not is_survey:
            found = [flatten_whole(column) for column in found]
            length = max(values.shape) if 1 in values.shape[:2] else length
        units = check_unique(ids, found[0])
        self._row_of = {unit: row for row, unit in enumerate(units.tolist())}
        self._bounds = check_ends(ends, found[1], length, n_runs=len(units))

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return partial(RaggedColumn, is_survey=self._is_survey), (self._file, self._name)

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

    # Times in files of other writers may be negative, where the clock starts with a stimulus.

    is_sorted = True

    def __init__(self, file: Hdf5File, *, is_survey: bool = True) -> None:
        super().__init__(file, "spike_times", is_survey=is_survey)
        if not is_survey and self._rows.row_shape:
            raise InvalidFileError(
                f"{file.path}: /{UNITS}/spike_times has {self._rows.row_shape[0]} columns, where "
                "one time [s] for each spike was expected"
            )
        self._warned = False
        self._warning = threading.Lock()
        # units found in order: checking takes as long as reading, so it is done once
        self._in_order: set[int] = set()

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return partial(SpikeTimes, is_survey=self._is_survey), (self._file,)

    def __getitem__(self, unit_id: int) -> npt.NDArray[Any]:
        times = super().__getitem__(unit_id)
        if not self._is_survey:
            return self._put_in_order(unit_id, times.astype(np.float64, copy=False))
        if unit_id in self._in_order:
            return times
        if times.size == 0 or (times[0] >= 0 and (times[1:] >= times[:-1]).all()):
            self._in_order.add(int(unit_id))
            return times
        n_negative = int((times < 0).sum())
        self._warn(unit_id, n_negative)
        return np.sort(times[times >= 0])

    def _put_in_order(self, unit_id: int, times: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Sort the spike times of another writer."""
        if unit_id in self._in_order:
            return times
        n_wrong = int((~np.isfinite(times)).sum())
        if n_wrong:
            raise InvalidFileError(
                f"{self._file.path}: {n_wrong} of the {times.size} spike times of unit {unit_id} "
                "are NaN or infinite; correct them in the file"
            )
        if (times[1:] >= times[:-1]).all():
            self._in_order.add(int(unit_id))
            return times
        self._warn_once(f"spike times (first in unit {unit_id}): they were sorted")
        return np.sort(times)

    def _warn(self, unit_id: int, n_negative: int) -> None:
        self._warn_once(
            f"or negative spike times (first in unit {unit_id}, {n_negative} of them negative): "
            "they were sorted, negative ones dropped. Files released since June 2020 do not; "
            "download the session again"
        )

    def _warn_once(self, message: str) -> None:
        with self._warning:
            if self._warned:
                return
            self._warned = True
        warnings.warn(f"{self._file.path.name} holds unsorted {message}", stacklevel=5)
