"""Spike trains by unit: read in order, downloaded ahead, restricted to some units."""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pickle import dumps
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from spikehouse.errors import (
    InvalidArgumentError,
    NotFoundError,
    copying,
    describe_choices,
    describe_value,
)

# bytes of a remote file that are downloaded together before units are read one by one
AHEAD_BYTES = 24 << 20


SpikeTimes = Mapping[int, npt.NDArray[np.float64]]


class HasSpikeTimes(Protocol):
    """An object with spike times by unit id, such as a session."""

    @property
    def spike_times(self) -> SpikeTimes:
        """Unit id → sorted times [s]."""
        ...


Spikes = SpikeTimes | HasSpikeTimes


def get_spike_times(spikes_or_session: Spikes) -> SpikeTimes:
    """Return the spike times of a session; return spike times unchanged."""
    if isinstance(spikes_or_session, Mapping):
        return spikes_or_session
    return spikes_or_session.spike_times


def is_thread_safe(mapping: Mapping[int, Any]) -> bool:
    """Check whether threads may read from a mapping at the same time; False if unknown."""
    return isinstance(mapping, dict) or getattr(mapping, "is_thread_safe", False) is True


@runtime_checkable
class HasPrefetch(Protocol):
    """A mapping by unit id that can download the rows of several units together."""

    def plan_batches(self, unit_ids: Sequence[int], *, most_bytes: int) -> list[list[int]]:
        """Split units into batches of at most this size; no batches if reading ahead is useless."""

    def prefetch(self, unit_ids: Sequence[int]) -> None:
        """Begin to download the rows of units."""


class ReadAhead:
    """Sorted spike times of units by position, downloaded in batches ahead of reading."""

    # A dictionary or a file on disk has no batches: then this only reads and sorts. Of a remote
    # file at most two batches are in memory beyond what the caller keeps: the one that is read
    # and the next. Threads may share it if they may share the mapping.

    def __init__(self, mapping: Mapping[int, Any], unit_ids: Sequence[int]) -> None:
        self._mapping = mapping
        self._unit_ids = unit_ids
        self._is_sorted = getattr(mapping, "is_sorted", False) is True
        self._source = mapping if isinstance(mapping, HasPrefetch) else None
        self._batches: list[list[int]] = []
        self._starts: list[int] = []
        self._n_begun = 0
        self._lock = threading.Lock()
        if self._source is not None:
            self._batches = self._source.plan_batches(unit_ids, most_bytes=AHEAD_BYTES)
            self._starts = [0, *itertools.accumulate(map(len, self._batches))][:-1]

    def __len__(self) -> int:
        return len(self._unit_ids)

    def __getitem__(self, position: int) -> npt.NDArray[Any]:
        if self._batches:
            self._reach(position)
        unit_id = self._unit_ids[position]
        times: npt.NDArray[Any] = np.asarray(self._mapping[unit_id])
        if times.ndim != 1:
            raise InvalidArgumentError(
                f"spike times must be one array for each unit, but those of unit {unit_id} have "
                f"the shape {times.shape}"
            )
        return times if self._is_sorted else _put_in_order(times, unit_id)

    def _reach(self, position: int) -> None:
        """Begin to download the batch of a position and the one after it."""
        wanted = min(bisect_right(self._starts, position) + 1, len(self._batches))
        with self._lock:
            begin, self._n_begun = self._n_begun, max(wanted, self._n_begun)
        for batch in self._batches[begin:wanted]:
            if self._source is not None:
                self._source.prefetch(batch)


def _put_in_order(times: npt.NDArray[Any], unit_id: object) -> npt.NDArray[Any]:
    if not times.size or (not np.isnan(times[-1]) and (times[1:] >= times[:-1]).all()):
        return times
    n_missing = int(np.isnan(times).sum())
    if n_missing:
        raise InvalidArgumentError(
            f"{n_missing} of the {times.size} spike times of unit {unit_id} are NaN; leave them out"
        )
    return np.sort(times)


class Selection(Mapping[int, Any]):
    """A mapping restricted to some of its keys, in the given order."""

    def __init__(self, source: Mapping[int, Any], keys: Sequence[int]) -> None:
        self._source = source
        self._keys = {int(key): None for key in keys if key in source}

    def __reduce__(self) -> tuple[type[Selection], tuple[Any, ...]]:
        with copying("this mapping of units", self._source):
            if not isinstance(self._source, dict):
                dumps(self._source)
        return Selection, (self._source, list(self._keys))

    def copy(self) -> dict[int, Any]:
        """Read all units into a dictionary."""
        return dict(self)

    @property
    def is_thread_safe(self) -> bool:
        """Whether threads may read at the same time."""
        return is_thread_safe(self._source)

    @property
    def is_sorted(self) -> bool:
        """Whether the source returns sorted spike times."""
        return getattr(self._source, "is_sorted", False) is True

    def plan_batches(self, unit_ids: Sequence[int], *, most_bytes: int) -> list[list[int]]:
        """Split units into batches of at most this size, if the source can read ahead."""
        # an unknown unit raises when it is read, with its own message
        if not isinstance(self._source, HasPrefetch) or any(u not in self for u in unit_ids):
            return []
        return self._source.plan_batches(unit_ids, most_bytes=most_bytes)

    def prefetch(self, unit_ids: Sequence[int]) -> None:
        """Begin to download the rows of units, if the source can."""
        if isinstance(self._source, HasPrefetch):
            self._source.prefetch([unit for unit in unit_ids if unit in self])

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __getitem__(self, key: int) -> Any:  # noqa: ANN401 - whatever the source holds
        # a table or an array is not hashable
        if np.ndim(key) or key not in self._keys:
            raise NotFoundError(
                f"there is no unit {describe_value(key)} here (units without data, and those that "
                f"do not pass the session's filters, are left out): "
                f"{describe_choices(key, self._keys)}"
            )
        return self._source[key]
