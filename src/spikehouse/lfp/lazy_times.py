"""A time axis that stays in its file: a pandas index that reads only what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from xarray.core.indexing import PandasIndexingAdapter

from spikehouse.errors import InvalidArgumentError

Floats = npt.NDArray[np.float64]

Side = Literal["left", "right"]

# times: a selection up to this length (800 kB, 80 s of LFP) is read into an ordinary index
LARGEST_READ = 100_000

_METHODS = {"pad": "pad", "ffill": "pad", "backfill": "backfill", "bfill": "backfill"}


class SortedTimes(Protocol):
    """The times of a file that are searched without reading all of them."""

    length: int

    @property
    def increases(self) -> bool:
        """Whether the times read so far increase strictly."""

    def read(self, start: int, stop: int) -> Floats:
        """Read consecutive times."""

    def read_all(self) -> Floats:
        """Read all times and keep them."""

    def take(self, positions: npt.ArrayLike) -> Floats:
        """Read the times at positions."""

    def search(self, values: npt.ArrayLike, side: Side) -> npt.NDArray[np.int64] | None:
        """Search like ``numpy.searchsorted``; return None if the times do not increase."""

    def same_as(self, other: Any) -> bool:  # noqa: ANN401 - of the same class
        """Check whether another source has the same times."""


class LazyTimes(pd.Index):
    """The times of a recording as an index that looks them up in the file."""

    # A subclass of pandas' index, because xarray aligns an index class of its own with nothing
    # else. Like pandas.RangeIndex it makes its values (``_data``) when something needs all of
    # them. Only what is overridden here works without: positions, slices, get_loc, get_indexer
    # and the bounds of label slices. Everything else (.values, arithmetic, set operations,
    # is_unique) reads all times once and is pandas' own code, hence right.
    #
    # Invariants. The index is source[start:stop]; it never changes. A result equals that of an
    # ordinary index of the same times: look-ups rely on the order that the source checks, and
    # when that is found wrong, or a key is unusual (NaN, text, a limit), the call goes to
    # ``_loaded``, the ordinary index, with its answers and errors. The one exception: disorder
    # within blocks that were never read goes unnoticed until everything is read. Selections of up
    # to LARGEST_READ times are ordinary indexes, longer slices without a step are of this class.

    # attributes of pandas.Index
    _name: Hashable
    _cache: dict[str, Any]

    def __new__(cls, *args: object, **kwargs: object) -> Self:  # noqa: ARG004, D102
        # pandas.Index.__new__ would convert its arguments to an array
        return object.__new__(cls)

    def __init__(
        self, source: SortedTimes, start: int = 0, stop: int | None = None, name: Hashable = None
    ) -> None:
        self._source = source
        self._start = start
        self._stop = source.length if stop is None else stop
        # what Index._simple_new sets, without values
        self._name = name
        self._cache = {}
        self._reset_identity()  # type: ignore[attr-defined]

    # ---- what pandas takes from an index, made on demand

    @property
    def _loaded(self) -> pd.Index:
        if "_loaded" not in self._cache:
            whole = self._source.read_all()
            self._cache["_loaded"] = pd.Index(whole[self._start : self._stop], copy=False)
        loaded: pd.Index = self._cache["_loaded"]
        return loaded if loaded.name == self._name else loaded.rename(self._name)

    @property
    def _data(self) -> Any:  # noqa: ANN401 - private to pandas
        return self._loaded._data  # type: ignore[attr-defined]

    @property
    def _references(self) -> Any:  # noqa: ANN401 - private to pandas
        return self._loaded._references  # type: ignore[attr-defined]

    @property
    def _engine(self) -> Any:  # noqa: ANN401 - private to pandas
        return self._loaded._engine  # type: ignore[attr-defined]

    @property
    def _constructor(self) -> type[pd.Index]:
        return pd.Index

    @classmethod
    def _simple_new(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        # an index that pandas derives from this one is an ordinary one
        return pd.Index._simple_new(*args, **kwargs)  # type: ignore[attr-defined]

    def _view(self) -> LazyTimes:
        made = LazyTimes(self._source, self._start, self._stop, self._name)
        made._cache = self._cache
        return made

    def copy(self, name: Hashable = None, deep: bool = False) -> LazyTimes:  # noqa: ARG002
        """Return another index of the same times, which are not copied."""
        made = self._view()
        made._name = self._name if name is None else name
        return made

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return LazyTimes, (self._source, self._start, self._stop, self._name)

    # ---- known without reading

    def __len__(self) -> int:
        return self._stop - self._start

    @property
    def size(self) -> int:
        """The number of times."""
        return len(self)

    @property
    def dtype(self) -> np.dtype[np.float64]:
        """The data type, always float64."""
        return np.dtype(np.float64)

    # ---- positions

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - as in pandas
        if "_loaded" in self._cache:
            return self._loaded[key]
        if isinstance(key, slice):
            return self._slice(key)
        positions = np.asarray(key)
        if positions.dtype == bool and positions.shape == (len(self),):
            positions = np.flatnonzero(positions)
        if positions.dtype.kind not in "iu" or positions.ndim > 1:
            return self._loaded[key]
        if positions.size and not -len(self) <= positions.min() <= positions.max() < len(self):
            raise IndexError(f"position {key} is beyond the {len(self)} there are")
        positions = np.where(positions < 0, positions + len(self), positions).astype(np.int64)
        values = self._take(np.atleast_1d(positions))
        return pd.Index(values, name=self._name, copy=False) if positions.ndim else values[0]

    def _slice(self, key: slice) -> pd.Index:
        chosen = range(*key.indices(len(self)))
        if chosen.step == 1 and len(chosen) > LARGEST_READ:
            start, stop = self._start + chosen.start, self._start + chosen.stop
            return LazyTimes(self._source, start, stop, self._name)
        low, high = (min(chosen), max(chosen) + 1) if chosen else (0, 0)
        if high - low > LARGEST_READ:
            return self._loaded[key]
        values = self._source.read(self._start + low, self._start + high)[:: chosen.step]
        return pd.Index(values, name=self._name, copy=False)

    # ---- labels

    @property
    def is_increasing(self) -> bool:
        """Whether the times read so far increase strictly."""
        return self._source.increases

    def find(self, values: npt.ArrayLike, side: Side) -> npt.NDArray[np.int64] | None:
        """Search like ``searchsorted``; return None if the times do not increase."""
        found = self._source.search(values, side)
        return None if found is None else np.clip(found, self._start, self._stop) - self._start

    def _take(self, positions: npt.ArrayLike) -> Floats:
        return self._source.take(np.asarray(positions, dtype=np.int64) + self._start)

    def get_loc(self, key: Any) -> Any:  # noqa: ANN401 - as in pandas
        """Return the position of a time."""
        found = self.find([key], "left") if _is_time(key) else None
        if found is None:
            return self._loaded.get_loc(key)
        position = int(found[0])
        if position == len(self) or self._take([position])[0] != key:
            raise KeyError(key)
        return position

    def get_slice_bound(self, label: Any, side: Side) -> int:  # noqa: ANN401
        """Return the position where a slice of labels begins ("left") or ends ("right")."""
        found = self.find([label], side) if _is_time(label) else None
        return int(found[0]) if found is not None else self._loaded.get_slice_bound(label, side)

    def get_indexer(
        self,
        target: Any,  # noqa: ANN401 - as in pandas
        method: Any = None,  # noqa: ANN401
        limit: int | None = None,
        tolerance: Any = None,  # noqa: ANN401
    ) -> npt.NDArray[np.intp]:
        """Return the positions of times, -1 for those without one."""
        wanted = target if isinstance(target, pd.Index) else pd.Index(target)
        found = None
        if limit is None and _are_times(wanted) and _is_tolerance(tolerance, method):
            found = self._find_rows(wanted.to_numpy(dtype=np.float64), method)
        if found is None:
            return self._loaded.get_indexer(target, method, limit, tolerance)
        if tolerance is not None:
            distances = np.abs(self._take(np.maximum(found, 0)) - wanted.to_numpy())
            found = np.where(distances <= tolerance, found, -1)
        return found.astype(np.intp)

    def _find_rows(self, wanted: Floats, method: str | None) -> npt.NDArray[np.int64] | None:
        if not self._source.increases or not len(self):
            return None
        how = _METHODS.get(method or "", method)
        if how not in (None, "nearest", "pad", "backfill"):
            return None
        after = self.find(wanted, "left")
        if after is None:
            return None
        last = len(self) - 1
        times = self._take(np.minimum(after, last))
        is_equal = times == wanted
        before = np.where(is_equal, after, after - 1)
        if how is None:
            return np.where(is_equal, after, -1)
        if how == "pad":
            return before
        if how == "backfill":
            return np.where(after > last, -1, after)
        is_nearer = wanted - self._take(np.maximum(before, 0)) < times - wanted
        return np.where((before >= 0) & (is_nearer | (after > last)), before, after)

    def equals(self, other: Any) -> bool:  # noqa: ANN401 - as in pandas
        """Check whether another index has the same times; those of one dataset are not read."""
        if not isinstance(other, pd.Index) or len(self) != len(other):
            return False
        if isinstance(other, LazyTimes):
            if len(self) == self._source.length == other._source.length:
                return self._source.same_as(other._source)
            if self._start == other._start and self._source is other._source:
                return True
        few = np.linspace(0, len(self) - 1, min(len(self), 3)).astype(np.int64)
        if not np.array_equal(self._take(few), other[few].to_numpy(), equal_nan=True):
            return False
        return bool(self._loaded.equals(other._loaded if isinstance(other, LazyTimes) else other))


class UnreadTimes(PandasIndexingAdapter):
    """Tell xarray that a lazy time axis is not in memory, so that showing it does not read it."""

    # xarray prints values that are in memory, and assumes that of every pandas index. When it
    # copies or renames an array it makes its own adapter again: showing that one reads the times.

    __slots__ = ()

    @property
    def _in_memory(self) -> bool:
        return not isinstance(self.array, LazyTimes)


def _is_time(key: object) -> bool:
    if isinstance(key, bool) or not isinstance(key, (int, float, np.integer, np.floating)):
        return False
    return not np.isnan(key)


def _are_times(wanted: pd.Index) -> bool:
    # NaN and float32 (compared after widening) have special rules: left to pandas
    is_number = isinstance(wanted.dtype, np.dtype) and wanted.dtype.kind in "iuf"
    return is_number and len(wanted) > 0 and not wanted.hasnans


def _is_tolerance(tolerance: object, method: str | None) -> bool:
    if tolerance is None:
        return True
    given = np.asarray(tolerance)
    return method is not None and given.dtype.kind in "iuf" and given.ndim == 0


def time_index(lfp: xr.DataArray) -> pd.Index:
    """Return the times [s] of a recording; raise InvalidArgumentError if it has none."""
    if not isinstance(lfp, xr.DataArray) or "time" not in lfp.dims or "time" not in lfp.coords:
        raise InvalidArgumentError(
            f"an LFP is a DataArray with a dimension 'time' and coordinates in seconds; this "
            f"{type(lfp).__name__} has dimensions {tuple(getattr(lfp, 'dims', ()))} and "
            f"coordinates {tuple(getattr(lfp, 'coords', ()))}"
        )
    return lfp.get_index("time")


def is_increasing(times: pd.Index) -> bool:
    """Return whether times are in order; of a lazy axis, as far as it was read."""
    if isinstance(times, LazyTimes) and times.is_increasing:
        return True
    return bool(times.is_monotonic_increasing)


def search_times(
    times: pd.Index, wanted: Floats, side: Literal["left", "right"]
) -> npt.NDArray[np.int64] | None:
    """Return how many times are below each value; None if the times are out of order."""
    found = times.find(wanted, side) if isinstance(times, LazyTimes) else None
    if found is not None:
        return found
    if not times.is_monotonic_increasing:
        return None
    return np.searchsorted(times.to_numpy(), wanted, side).astype(np.int64)
