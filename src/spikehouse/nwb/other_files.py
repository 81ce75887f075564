"""Read NWB files of other writers: a table of units, interval tables, and electrodes if there are.

Columns that hold one number, text or truth value in each row are read, others are left out. A
column that has the name of one that is computed is called ``…_in_file``. The survey's files are
read by the other modules, which know what these must have.
"""

from __future__ import annotations

import functools
import itertools
import re
import warnings
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidArgumentError, InvalidFileError, NotFoundError
from spikehouse.labelled import fits_int64
from spikehouse.nwb._check_size import one_budget, where
from spikehouse.nwb._safe_open import find_dataset, find_group, list_names
from spikehouse.nwb._validate_columns import (
    check_ends,
    check_numbers,
    check_table,
    check_whole,
    read_attribute,
)
from spikehouse.nwb.hdf5 import Hdf5File, RowReader, column_names, flatten_whole, read_whole
from spikehouse.nwb.intervals import INTERVALS, stack
from spikehouse.nwb.metadata import ELECTRODES, GROUPS, LONGEST_ID, read_session_id, read_subject
from spikehouse.nwb.timeseries import RUNNING, read_running_speed, read_speed_series
from spikehouse.nwb.units import RAGGED, UNITS, RaggedColumn, SpikeTimes
from spikehouse.schema import CHANNELS, INVALID_TIMES
from spikehouse.schema.session_tables import ALWAYS_INVALID, NO_CHANNELS, NO_PROBES
from spikehouse.stimuli.clocks import (
    UNIT_FACTOR,
    warn_of_late_spikes,
    warn_of_long_durations,
    warn_of_other_clock,
)
from spikehouse.stimuli.presentations import number_blocks

# metrics of the units of every file of the survey
SURVEY_COLUMNS = {"peak_channel_id", "amplitude_cutoff", "presence_ratio", "isi_violations"}
NOWHERE = {"", "unknown", "none", "nan", "n/a", "na", "null", "unspecified"}
# columns of units that say where these are
PLACES = ("ecephys_structure_acronym", "location", "brain_area")
_N_SHOWN = 12
_N_SPIKES = 4096
# more on one probe are not numbers of channels
_MOST_NUMBERS = 10_000
_AGE = re.compile(r"P(\d+(?:\.\d+)?)([DW])$")
_RELATIVE = {"rel_y": "probe_vertical_position", "rel_x": "probe_horizontal_position"}


def is_survey_file(file: Hdf5File) -> bool:
    """Check whether a file has what the survey's have: metrics of its units and ids of probes."""
    units = file.find(UNITS)
    # a damaged file of the survey may lack one, and is refused by name
    if units is None or len(SURVEY_COLUMNS.difference(column_names(units))) > 1:
        return False
    probes = file.find(GROUPS)
    return any(
        group is not None and read_attribute(group, "probe_id") is not None
        for name in (list_names(probes) if probes is not None else ())
        for group in [find_group(probes, name)]
    )


def _once(read: Callable[[Hdf5File], pd.DataFrame]) -> Callable[[Hdf5File], pd.DataFrame]:
    """Keep what is read of a file while that is used, so that it is read and warned of once."""
    kept: weakref.WeakKeyDictionary[Hdf5File, pd.DataFrame] = weakref.WeakKeyDictionary()

    @functools.wraps(read)
    def call(file: Hdf5File) -> pd.DataFrame:
        if file not in kept:
            kept[file] = read(file)
        return kept[file].copy()

    return call


def _keep_beside(table: pd.DataFrame, computed: Collection[str]) -> pd.DataFrame:
    """Rename the columns whose names are needed for what is computed."""
    names = {}
    for name in computed:
        if name in table:
            names[name] = f"{name}_in_file"
            while names[name] in table:
                names[name] += "_in_file"
    return table.rename(columns=names)


def read_identifier(file: Hdf5File) -> int | None:
    """Read the session's id; None if the identifier is not a number."""
    text = file.read_text("identifier")
    # every NWB file has an identifier
    is_number = text is None or (text.strip().isdecimal() and len(text) <= LONGEST_ID)
    return read_session_id(file) if is_number else None


def read_animal(file: Hdf5File) -> dict[str, Any]:
    """Read the animal's metadata; None for what is absent."""
    found = read_subject(file)
    age = _AGE.match(str(found["age"]))
    if found["age_in_days"] is None and age is not None:
        found["age_in_days"] = float(age[1]) * (7 if age[2] == "W" else 1)
    name = found["specimen_name"] or found["subject_id"]
    # the file's general/stimulus is a text, not the name of a set
    return found | {"specimen_name": name, "stimulus_name": None}


# ---- units


def find_units(file: Hdf5File) -> h5py.Group:
    """Open the table of units; raise if there are none with spike times."""
    group = file.find(UNITS)
    if group is not None and find_dataset(group, "spike_times") is not None:
        return group
    lacks = "it has no table /units"
    if group is not None:
        lacks = f"its table /units has no spike_times, but {', '.join(column_names(group))}"
    raise InvalidFileError(
        f"{file.path} has no sorted spikes: {lacks}. It holds {_describe_contents(file)}. Sort the "
        "recording, write the units to the file, and open it again; or pass spike times to "
        "EcephysSession.from_arrays"
    )


def _describe_contents(file: Hdf5File) -> str:
    """List what is in the places where NWB keeps data."""
    places = [name for name in list_names(file.root) if name not in ("specifications", ".specloc")]
    listed = []
    for place in places:
        group = file.find(place)
        names = list_names(group) if group is not None else []
        shown = ", ".join(names[:_N_SHOWN]) + (", …" if len(names) > _N_SHOWN else "")
        if shown:
            listed.append(f"/{place} ({shown})")
    return ", ".join(listed) or ", ".join(places) or "nothing"


def read_spike_times(file: Hdf5File) -> SpikeTimes:
    """Return the spike times by unit id, read when accessed; negative ones are kept."""
    find_units(file)
    return SpikeTimes(file, is_survey=False)


@_once
@one_budget()
def read_units(file: Hdf5File) -> pd.DataFrame:
    """Read the units with their peak channels, which are NaN where no electrodes are named."""
    group = find_units(file)
    units = file.read_plain_frame(group, skip=RAGGED)
    channels = read_channels(file)
    places = _read_structures(units, *PLACES)
    computed = [str(name) for name in channels if len(channels) and name not in PLACES]
    units = _keep_beside(units, [*computed, "unit_id"])
    if "peak_channel_id" in units:
        units = units.assign(peak_channel_id=_find_peaks(units, channels, file))
    else:
        units = units.assign(peak_channel_id=_Waveforms(group, len(units), channels).find_peaks())
    if places.isna().all():
        return units
    # what is said of a unit itself is more exact than what is said of its electrode
    electrode = units["peak_channel_id"].map(channels["structure_acronym"])
    differ = places.notna() & electrode.notna() & (places != electrode)
    if differ.any():
        row = int(differ.to_numpy().argmax())
        warnings.warn(
            f"{file.path.name}: {int(differ.sum())} of {len(units)} units are not in the structure "
            f"of their electrode (unit {units.index[row]} in {places.iloc[row]!r}, its electrode "
            f"in {electrode.iloc[row]!r}): that of the unit is taken",
            stacklevel=4,
        )
    return units.assign(ecephys_structure_acronym=places.fillna(electrode))


def _find_peaks(
    units: pd.DataFrame, channels: pd.DataFrame, file: Hdf5File
) -> npt.NDArray[np.float64]:
    """Find the channels whose ids the units name; NaN where no or several electrodes have it."""
    peaks = pd.to_numeric(units["peak_channel_id"], errors="coerce")
    ids = channels.get("electrode_id", channels.index.to_series())
    is_known = peaks.isin(ids[~ids.duplicated(keep=False)])
    unknown = peaks.notna() & ~is_known
    if unknown.any():
        warnings.warn(
            f"{file.path.name}: the peak_channel_id of {int(unknown.sum())} of {len(units)} units "
            f"(such as {peaks[unknown].iloc[0]:g}) is not the id of an electrode, or that of "
            "several: these units have no channel",
            stacklevel=5,
        )
    by_id = pd.Series(ids.index, index=ids)
    found = np.full(len(units), np.nan)
    found[is_known] = by_id[peaks[is_known]]
    return found


class _Waveforms:
    """The electrodes of each unit and its mean waveform on them, as far as the file has them."""

    def __init__(self, units: h5py.Group, n_units: int, channels: pd.DataFrame) -> None:
        self._channels = channels
        self._everywhere = np.arange(len(channels))
        self.n_units = n_units
        nowhere = [self._everywhere[:0]] * n_units
        self.electrodes = _read_regions(units, n_units, len(channels)) or nowhere
        self.means = find_dataset(units, "waveform_mean")
        if self.means is None or self.means.ndim not in (2, 3) or len(self.means) != n_units:
            self.means = None
            return
        check_numbers(self.means)
        self._axis, self._has_all = 0, False
        if self.means.ndim == 3 and len(channels):
            self._find_electrode_axis(self.means)

    def _find_electrode_axis(self, means: h5py.Dataset) -> None:
        """Find the axis of electrodes, and whether it has those of a unit or all."""
        # NWB's order is (unit, sample, electrode); the axis is that of all units together, since
        # there may be as many samples as electrodes of one unit
        sizes = {len(rows) for rows in self.electrodes if len(rows)}
        for axis in (2, 1):
            self._axis, self._has_all = axis, sizes != {means.shape[axis]}
            if not self._has_all or means.shape[axis] == len(self._channels):
                return
        # filled up to the unit with most electrodes
        self._axis, self._has_all = 2, False
        if max(sizes, default=0) == means.shape[2]:
            return
        counts = f"{min(sizes)} to {max(sizes)}" if sizes else "none"
        warnings.warn(
            f"{where(means)} is left out: its shape (unit, sample, electrode) is {means.shape}, "
            f"but units name {counts} of the {len(self._channels)} electrodes",
            stacklevel=6,
        )
        self.means = None

    def read(
        self, row: int, *, alone: npt.ArrayLike = ()
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        """Read the rows of the electrodes with a mean waveform, and this (electrode, sample).

        Of waveforms of one electrode the file does not say which: the caller does, as ``alone``.
        """
        if self.means is None:
            return self._everywhere[:0], np.empty((0, 0))
        mean = np.atleast_2d(np.asarray(self.means[row], dtype=np.float64))
        rows = self._everywhere if self._has_all else self.electrodes[row]
        if not self._axis:
            rows = np.array(alone, dtype=np.int64)
        mean = mean.T if self._axis == 2 else mean
        if np.nan_to_num(mean[len(rows) :]).any():
            rows = rows[:0]
        return rows, mean[: len(rows)]

    def find_peaks(self) -> npt.NDArray[np.float64]:
        """Find the electrode with the largest waveform, else the first; NaN for units without."""
        peaks = np.full(self.n_units, np.nan)
        ids = self._channels.index.to_numpy()
        for row, own in enumerate(self.electrodes):
            # a unit on all electrodes is on none in particular
            if 0 < len(own) < max(len(ids), 2):
                peaks[row] = ids[own[0]]
            # one electrode needs no waveform to be the peak
            rows, mean = self.read(row) if len(own) != 1 else (own, np.empty((0, 0)))
            if not mean.size:
                continue
            spread = np.nan_to_num(np.ptp(mean, axis=1))
            if len(own):
                spread[~np.isin(rows, own)] = 0
            if spread.max() > 0:
                peaks[row] = ids[rows[spread.argmax()]]
        return peaks


def _read_regions(
    units: h5py.Group, n_units: int, n_channels: int
) -> list[npt.NDArray[np.int64]] | None:
    """Read the rows in the table of electrodes that belong to each unit; None without such."""
    found = find_dataset(units, "electrodes")
    if found is None or not n_channels:
        return None
    check_numbers(found)
    rows = check_whole(found, flatten_whole(read_whole(found)))
    if rows.size and not 0 <= rows.min() <= rows.max() < n_channels:
        raise InvalidFileError(
            f"{where(found)} names row {rows.max() if rows.max() >= n_channels else rows.min()} of "
            f"the electrodes, and there are {n_channels}"
        )
    ends = find_dataset(units, "electrodes_index")
    if ends is None:
        return [rows[i : i + 1] for i in range(n_units)]
    bounds = check_ends(ends, flatten_whole(read_whole(ends)), len(rows), n_runs=n_units)
    return [rows[start:stop] for start, stop in itertools.pairwise(bounds)]


def read_spike_amplitudes(file: Hdf5File) -> Mapping[int, npt.NDArray[np.float64]]:
    """Return the spike amplitudes by unit id, read when accessed; none if there are none."""
    name = "spike_amplitudes"
    has = all(find_dataset(find_units(file), part) is not None for part in (name, f"{name}_index"))
    return RaggedColumn(file, name, is_survey=False) if has else {}


def check_filters(asked: Mapping[str, str], units: pd.DataFrame, path: str) -> None:
    """Check that units have the columns that the filters in force need; ``asked``: by filter."""
    for name, column in asked.items():
        is_text = column == "quality"
        has = column in units and units[column].notna().any()
        if has and (is_text or units[column].dtype.kind in "iuf"):
            continue
        lacks = "where no unit has a peak channel" if column == "peak_channel_id" else (
            "which holds no numbers" if has else f"which the units of {path} do not have"
        )  # fmt: skip
        raise InvalidArgumentError(
            f"the filter {name} needs the column {column!r}, {lacks}; leave the filter out. "
            f"Their columns are {', '.join(map(repr, units.columns)) or 'none'}"
        )


class MeanWaveforms(Mapping[int, npt.NDArray[np.floating[Any]]]):
    """Mean waveforms by unit id, one row for each channel of the unit's probe; NaN if unknown."""

    def __init__(self, file: Hdf5File) -> None:
        self._file = file
        units, self._channels = read_units(file), read_channels(file)
        self._peaks = units["peak_channel_id"]
        probe = self._peaks.map(self._channels["probe_id"])
        self._waveforms = _Waveforms(find_units(file), len(units), self._channels)
        means = self._waveforms.means
        known = probe.notna() if means is not None else np.zeros(len(units), bool)
        self._rows = {int(unit): row for row, unit in enumerate(units.index) if known[unit]}
        if means is not None and self._rows and read_attribute(means, "sampling_rate") is None:
            raise NotFoundError(
                f"{where(means)} has no attribute sampling_rate, so nobody knows when its samples "
                "were; add it to the file (waveform_rate of pynwb.misc.Units)"
            )

    def __reduce__(self) -> tuple[type[MeanWaveforms], tuple[Any, ...]]:
        return MeanWaveforms, (self._file,)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __getitem__(self, unit_id: int) -> npt.NDArray[np.floating[Any]]:
        row = self._rows[unit_id]
        peak = int(self._peaks.iloc[row])
        alone = np.flatnonzero(self._channels.index == peak)
        rows, mean = self._waveforms.read(row, alone=alone)
        of_probe = (self._channels["probe_id"] == self._channels["probe_id"].loc[peak]).to_numpy()
        numbers, own = self._channels["probe_channel_number"].to_numpy(), of_probe[rows]
        whole = np.full((numbers[of_probe].max() + 1, mean.shape[1]), np.nan)
        whole[numbers[rows][own]] = mean[own]
        return whole


# ---- probes and channels


@_once
def _read_electrodes(file: Hdf5File) -> pd.DataFrame:
    """Read the electrodes, with the number of their probe and their number on it."""
    group = file.find(ELECTRODES)
    if group is None:
        return NO_CHANNELS.empty().assign(group_name=pd.Series(dtype=object))
    frame = file.read_plain_frame(group, keep_repeated_ids=True)
    if not frame.index.is_unique:
        # tables that were appended: rows are all that tells them apart
        rows = pd.RangeIndex(len(frame), name="id")
        frame = frame.assign(electrode_id=frame.index).set_axis(rows, axis=0)
    names = frame.get("group_name", pd.Series("probe", index=frame.index)).astype(str)
    frame = frame.rename(columns={k: v for k, v in _RELATIVE.items() if v not in frame})
    acronyms = _read_structures(frame, "location")
    for name in _RELATIVE.values():
        if name not in frame or frame[name].dtype.kind not in "iuf":
            frame = _keep_beside(frame, [name]).assign(**{name: np.nan})
    probe = _own_numbers(frame, "probe_id")
    if probe is None or not (probe.groupby(names).nunique() == 1).all() or (
        probe.nunique() < names.nunique()
    ):  # fmt: skip
        probe = pd.Series(pd.factorize(names)[0], index=frame.index)
    number = _own_numbers(frame, "probe_channel_number")
    if number is None or not number.between(0, _MOST_NUMBERS).all() or (
        pd.DataFrame({"probe": probe, "number": number}).duplicated().any()
    ):  # fmt: skip
        number = probe.groupby(probe).cumcount()
    computed = {
        "probe_id": probe,
        "probe_channel_number": number,
        "structure_acronym": acronyms,
        "ecephys_structure_acronym": acronyms,
    }
    others = [
        name
        for name, values in computed.items()
        if name in frame and not (values.isna() | (values == frame[name])).all()
    ]
    frame = _keep_beside(frame, others).assign(**computed, group_name=names)
    return frame.drop(columns=["location", "valid_data"], errors="ignore")


def _own_numbers(frame: pd.DataFrame, name: str) -> pd.Series[int] | None:
    """Return a column of whole numbers; None without one."""
    column = frame.get(name)
    if column is None or column.dtype.kind not in "iuf" or not fits_int64(column.to_numpy()).all():
        return None
    return column.astype(np.int64)


def read_channels(file: Hdf5File) -> pd.DataFrame:
    """Read the electrodes: a number along each probe, positions [µm] and structures, if known."""
    frame = _read_electrodes(file).drop(columns="group_name")
    known = [name for name in CHANNELS.column_names if name in frame]
    return frame[known + [name for name in frame if name not in known]]


def _read_structures(table: pd.DataFrame, *places: str) -> pd.Series[Any]:
    """Return where the rows of a table are by the first of these columns that says it, or None."""
    structures = pd.Series([None] * len(table), index=table.index, dtype=object)
    for found in (table[name].astype(object) for name in places if name in table):
        is_nowhere = found.isna() | found.astype(str).str.strip().str.casefold().isin(NOWHERE)
        structures = structures.where(structures.notna() | is_nowhere, found)
    return structures


def read_probes(file: Hdf5File) -> pd.DataFrame:
    """Read the groups of the electrodes."""
    electrodes = _read_electrodes(file).drop_duplicates("probe_id")
    if electrodes.empty:
        return NO_PROBES.empty()
    units = file.find(UNITS)
    means = None if units is None else find_dataset(units, "waveform_mean")
    rate = None if means is None else read_attribute(means, "sampling_rate")
    locations = []
    for name in electrodes["group_name"]:
        group = file.find(f"{GROUPS}/{name}")
        location = None if group is None else read_attribute(group, "location")
        locations.append("" if location is None else str(location))
    return pd.DataFrame(
        {
            "description": electrodes["group_name"].to_numpy(),
            "location": locations,
            "sampling_rate": np.nan if rate is None else float(rate),
            "lfp_sampling_rate": np.nan,
            "has_lfp_data": False,
        },
        index=pd.Index(electrodes["probe_id"], name="id"),
    )


# ---- intervals and behaviour


def read_running_if_any(file: Hdf5File) -> pd.DataFrame | None:
    """Read the series running_speed, of any processing module or acquired; None without."""
    if file.find(f"{RUNNING}/running_speed_end_times") is not None:
        return read_running_speed(file)
    modules = [f"processing/{name}" for name in _list_groups(file, "processing")]
    # NWB's containers, such as BehavioralTimeSeries, hold series, too
    inner = [f"{module}/{name}" for module in modules for name in _list_groups(file, module)]
    for place in (*modules, *inner, "acquisition"):
        if "running_speed" in _list_groups(file, place):
            return read_speed_series(file, f"{place}/running_speed")
    return None


def _list_groups(file: Hdf5File, path: str) -> list[str]:
    group = file.find(path)
    if group is None:
        return []
    return [name for name in list_names(group) if find_group(group, name) is not None]


@one_budget()
def read_presentations(file: Hdf5File) -> pd.DataFrame | None:
    """Read every table of intervals as a stimulus of its name, in order of start time [s]."""
    intervals = file.find(INTERVALS)
    if intervals is None:
        return None
    tables, found = [], set()
    for name in list_names(intervals):
        group = find_group(intervals, name)
        if name == "invalid_times" or group is None or "start_time" not in list_names(group):
            continue
        # a table that has several names is counted once
        if group not in found:
            tables.append(_read_intervals(file, group, name))
        found.add(group)
    if not tables:
        return None
    if not all(
        "stimulus_block" in table and table["stimulus_block"].dtype.kind in "iuf"
        for table in tables
    ):  # fmt: skip
        tables = [_keep_beside(table, ["stimulus_block"]) for table in tables]
    lengths = [len(table) for table in tables]
    names = list(dict.fromkeys(column for table in tables for column in table))
    # text as categories: a table's column may be missing in another
    pieces = {
        name: [_as_piece(table[name]) if name in table else None for table in tables]
        for name in names
    }
    # the ids of one table are the user's; those of several repeat
    ids = tables[0].index if len(tables) == 1 and tables[0].index.is_unique else None
    merged = pd.DataFrame(
        {name: stack(values, lengths) for name, values in pieces.items()}, index=ids
    )
    start, stop = (merged[name].to_numpy(np.float64) for name in ("start_time", "stop_time"))
    is_whole = np.isfinite(start) & np.isfinite(stop) & (stop >= start)
    if not is_whole.all():
        warnings.warn(
            f"{file.path.name}: {int((~is_whole).sum())} of {len(merged)} intervals have no "
            "start_time or no stop_time, or stop before they start, and are left out",
            stacklevel=2,
        )
    order = np.flatnonzero(is_whole)[np.argsort(start[is_whole], kind="stable")]
    shown = merged.iloc[order]
    warn_of_long_durations(shown, stacklevel=3)
    units = file.find(UNITS)
    spikes = None if units is None else find_dataset(units, "spike_times")
    if spikes is not None and spikes.ndim and spikes.size and spikes.dtype.kind in "iuf":
        # of the units that were written first and last; all would have to be read
        rows, n = RowReader(file, spikes, is_flat=True), max(spikes.shape)
        spans = (0, min(n, _N_SPIKES)), (max(0, n - _N_SPIKES), n)
        some = np.concatenate([rows.read(*span) for span in spans])
        first, last = float(some.min()), float(some.max())
        warn_of_late_spikes(last, stacklevel=3)
        if (start[order] > UNIT_FACTOR * last).any():
            warn_of_other_clock(shown, "intervals", first, last, stacklevel=3)
    return number_blocks(shown.reset_index(drop=True) if ids is None else shown)


def _read_timed(file: Hdf5File, group: h5py.Group) -> pd.DataFrame:
    table = file.read_plain_frame(group, keep_repeated_ids=True)
    check_table(group, table, required=("start_time", "stop_time"))
    for column in ("start_time", "stop_time"):
        if table[column].dtype.kind not in "iuf":
            raise InvalidFileError(f"{where(group)}: {column} should hold numbers [s]")
    return table


def _read_intervals(file: Hdf5File, group: h5py.Group, name: str) -> pd.DataFrame:
    """Read one table of intervals, named by its column stimulus_name, else by itself."""
    table = _read_timed(file, group)
    names = table.get("stimulus_name", pd.Series(name, index=table.index)).astype(object)
    given = table.get("duration")
    if given is not None and given.dtype.kind in "iuf" and np.allclose(
        given, table["stop_time"] - table["start_time"], equal_nan=True
    ):  # fmt: skip
        table = table.drop(columns="duration")
    table = _keep_beside(table, ("duration", "stimulus_condition_id"))
    texts = [
        # whole numbers beside a missing one are floats
        str(int(found) if isinstance(found, float) and found.is_integer() else found)
        for found in names.where(names.notna(), "")
    ]
    return table.assign(stimulus_name=[text if text.strip() else name for text in texts])


def _as_piece(column: pd.Series[Any]) -> Any:  # noqa: ANN401 - array or Categorical
    is_text = column.dtype.kind not in "iufb"
    return pd.Categorical(column.astype(object)) if is_text else column.to_numpy()


def read_invalid_times(file: Hdf5File) -> pd.DataFrame:
    """Read the invalid intervals, which are invalid for every probe and every stimulus."""
    group = file.find(f"{INTERVALS}/invalid_times")
    if group is None:
        return INVALID_TIMES.empty()
    table = _read_timed(file, group)
    bounds = table[["start_time", "stop_time"]].to_numpy(np.float64)
    is_odd = np.isnan(bounds).any(axis=1) | (bounds[:, 0] > bounds[:, 1])
    if is_odd.any():
        # rather too much than what was known to be wrong
        warnings.warn(
            f"{where(group)}: {int(is_odd.sum())} of {len(table)} invalid intervals have no start, "
            "no stop or stop before they start: a missing time is taken as the beginning or the "
            "end of the recording, the others are put in order",
            stacklevel=4,
        )
    bounds = np.sort(np.where(np.isnan(bounds), [-np.inf, np.inf], bounds), axis=1)
    tags = pd.Series([list(ALWAYS_INVALID)] * len(table), index=table.index, dtype=object)
    return pd.DataFrame(
        {"start_time": bounds[:, 0], "stop_time": bounds[:, 1], "tags": tags}, index=table.index
    )
