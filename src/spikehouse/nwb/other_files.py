"""Read NWB files of other writers: a table of units, interval tables, and electrodes if there are.

Columns that hold one number, text or truth value in each row are read, others are left out. The
survey's files are read by the other modules, which know what these must have.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidArgumentError, InvalidFileError, NotFoundError
from spikehouse.nwb._check_size import one_budget, where
from spikehouse.nwb._safe_open import find_dataset, find_group, list_names
from spikehouse.nwb._validate_columns import (
    check_ends,
    check_numbers,
    check_table,
    read_attribute,
)
from spikehouse.nwb.hdf5 import Hdf5File, column_names, flatten, read_whole
from spikehouse.nwb.intervals import INTERVALS, stack
from spikehouse.nwb.metadata import ELECTRODES, GROUPS, LONGEST_ID, read_session_id, read_subject
from spikehouse.nwb.timeseries import RUNNING, read_running_speed
from spikehouse.nwb.units import RAGGED, UNITS, RaggedColumn, SpikeTimes
from spikehouse.schema import CHANNELS, INVALID_TIMES
from spikehouse.schema.session_tables import ALWAYS_INVALID, NO_CHANNELS, NO_PROBES

# metrics of the units of every file of the survey
SURVEY_COLUMNS = {"peak_channel_id", "amplitude_cutoff", "presence_ratio", "isi_violations"}
NOWHERE = {"", "unknown", "none", "nan", "n/a", "na", "null", "unspecified"}
# columns of units that say where these are
PLACES = ("location", "brain_area")
_N_SHOWN = 12
_AGE = re.compile(r"P(\d+(?:\.\d+)?)([DW])$")
_RELATIVE = {"rel_y": "probe_vertical_position", "rel_x": "probe_horizontal_position"}


def is_survey_file(file: Hdf5File) -> bool:
    """Check whether a file has what the survey's have: metrics of its units, or ids of probes."""
    units = file.find(UNITS)
    if units is not None and set(column_names(units)) >= SURVEY_COLUMNS:
        return True
    probes = file.find(GROUPS)
    return any(
        group is not None and read_attribute(group, "probe_id") is not None
        for name in (list_names(probes) if probes is not None else ())
        for group in [find_group(probes, name)]
    )


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


@one_budget()
def read_units(file: Hdf5File) -> pd.DataFrame:
    """Read the units with their peak channels, which are NaN where no electrodes are named."""
    group = find_units(file)
    units = file.read_plain_frame(group, skip=RAGGED)
    channels = read_channels(file).index.to_numpy()
    if "peak_channel_id" in units:
        return _drop_unknown_peaks(units, channels, file)
    peaks = np.full(len(units), np.nan)
    for row, (rows, mean) in enumerate(_read_waveforms(group, len(units), channels)):
        if len(rows) > 1 and mean is not None:
            spread = np.nan_to_num(np.ptp(mean, axis=1), nan=-np.inf)
            peaks[row] = channels[rows[int(spread.argmax())]]
        elif len(rows):
            peaks[row] = channels[rows[0]]
    if np.isnan(peaks).any():
        structures = _read_structures(units, *PLACES)
        if structures.notna().any():
            units = units.assign(ecephys_structure_acronym=structures)
    return units.assign(peak_channel_id=peaks)


def _drop_unknown_peaks(
    units: pd.DataFrame, channels: npt.NDArray[Any], file: Hdf5File
) -> pd.DataFrame:
    """Set peak channels that are no electrodes to NaN, so that their units are kept."""
    peaks = pd.to_numeric(units["peak_channel_id"], errors="coerce")
    unknown = peaks.notna() & ~peaks.isin(channels)
    if unknown.any():
        warnings.warn(
            f"{file.path.name}: the peak_channel_id of {int(unknown.sum())} of {len(units)} units "
            f"(such as {peaks[unknown].iloc[0]:g}) is not the id of an electrode: these units have "
            "no channel",
            stacklevel=4,
        )
    return units.assign(peak_channel_id=peaks.mask(unknown))


def _read_waveforms(
    units: h5py.Group, n_units: int, channels: npt.NDArray[Any]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[Any] | None]]:
    """Go through the units: rows of their electrodes, and the mean waveform (electrode, sample)."""
    regions = _read_regions(units, n_units, len(channels))
    means = find_dataset(units, "waveform_mean")
    if means is not None and (means.ndim != 3 or len(means) != n_units):
        means = None
    everywhere = np.arange(len(channels))
    for row in range(n_units):
        rows = everywhere[:0] if regions is None else regions[row]
        if regions is None and means is not None and len(channels) in means.shape[1:]:
            rows = everywhere
        mean = None
        # one electrode needs no waveform to be the peak
        if means is not None and len(rows) > 1 and len(rows) in means.shape[1:]:
            mean = _read_mean(means, row, len(rows))
        yield rows, mean


def _read_mean(means: h5py.Dataset, row: int, n_electrodes: int) -> npt.NDArray[Any]:
    """Read one unit's mean waveform as (electrode, sample), whichever comes first in the file."""
    mean = np.atleast_2d(np.asarray(means[row], dtype=np.float64))
    # (sample, electrode) is NWB's order
    return mean.T if mean.shape[1] == n_electrodes else mean


def _read_regions(
    units: h5py.Group, n_units: int, n_channels: int
) -> list[npt.NDArray[np.int64]] | None:
    """Read the rows in the table of electrodes that belong to each unit; None without such."""
    found = find_dataset(units, "electrodes")
    if found is None or not n_channels:
        return None
    check_numbers(found)
    rows = flatten(read_whole(found)).astype(np.int64)
    if rows.size and not 0 <= rows.min() <= rows.max() < n_channels:
        raise InvalidFileError(
            f"{where(found)} names row {rows.max() if rows.max() >= n_channels else rows.min()} of "
            f"the electrodes, and there are {n_channels}"
        )
    ends = find_dataset(units, "electrodes_index")
    if ends is None:
        return [rows[i : i + 1] for i in range(n_units)]
    bounds = check_ends(ends, flatten(read_whole(ends)), len(rows), n_runs=n_units)
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
        units, channels = read_units(file), read_channels(file)
        probe = units["peak_channel_id"].map(channels["probe_id"])
        self._rows = {int(unit): row for row, unit in enumerate(units.index) if probe.notna()[unit]}
        group = find_units(file)
        means = find_dataset(group, "waveform_mean")
        if means is None or means.ndim not in (2, 3) or len(means) != len(units):
            self._rows = {}
            return
        if self._rows and read_attribute(means, "sampling_rate") is None:
            raise NotFoundError(
                f"{where(means)} has no attribute sampling_rate, so nobody knows when its samples "
                "were; add it to the file (waveform_rate of pynwb.misc.Units)"
            )
        self._means = means
        self._regions = _read_regions(group, len(units), len(channels))
        self._peaks = units["peak_channel_id"]
        self._channels = channels

    def __reduce__(self) -> tuple[type[MeanWaveforms], tuple[Any, ...]]:
        return MeanWaveforms, (self._file,)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __getitem__(self, unit_id: int) -> npt.NDArray[np.floating[Any]]:
        row = self._rows[unit_id]
        peak = self._channels.index.get_loc(int(self._peaks.iloc[row]))
        rows = np.arange(len(self._channels)) if self._regions is None else self._regions[row]
        if self._means.ndim == 2 or len(rows) not in self._means.shape[1:]:
            rows = np.array([peak])
        mean = _read_mean(self._means, row, len(rows))
        place = self._channels.iloc[rows]
        probe = self._channels["probe_id"].iloc[peak]
        own = (place["probe_id"] == probe).to_numpy()
        n_channels = int((self._channels["probe_id"] == probe).sum())
        whole = np.full((n_channels, mean.shape[1]), np.nan)
        whole[place["probe_channel_number"].to_numpy()[own]] = mean[: len(rows)][own]
        return whole


# ---- probes and channels


def read_channels(file: Hdf5File) -> pd.DataFrame:
    """Read the electrodes: a number along each probe, positions [µm] and structures, if known."""
    group = file.find(ELECTRODES)
    if group is None:
        return NO_CHANNELS.empty()
    frame = file.read_plain_frame(group, keep_repeated_ids=True)
    if not frame.index.is_unique:
        # tables that were appended: rows are all that tells them apart
        frame.index = pd.RangeIndex(len(frame), name="id")
    names = frame.get("group_name", pd.Series("probe", index=frame.index)).astype(object)
    codes, _ = pd.factorize(names)
    probe = pd.Series(codes, index=frame.index)
    frame = frame.rename(columns={k: v for k, v in _RELATIVE.items() if v not in frame})
    acronyms = _read_structures(frame, "location")
    for name in _RELATIVE.values():
        if name not in frame or frame[name].dtype.kind not in "iuf":
            frame[name] = np.nan
    frame = frame.assign(
        probe_id=probe,
        probe_channel_number=probe.groupby(probe).cumcount(),
        structure_acronym=acronyms,
        ecephys_structure_acronym=acronyms,
    ).drop(columns=["location", "group_name", "valid_data"], errors="ignore")
    known = [name for name in CHANNELS.column_names if name in frame]
    return frame[known + [name for name in frame if name not in known]]


def _read_structures(table: pd.DataFrame, *places: str) -> pd.Series[Any]:
    """Return where the rows of a table are by the first of these columns; None if unknown."""
    name = next((name for name in places if name in table), None)
    if name is None:
        return pd.Series(None, index=table.index, dtype=object)
    found = table[name].astype(object)
    is_nowhere = found.isna() | found.astype(str).str.strip().str.casefold().isin(NOWHERE)
    return found.mask(is_nowhere, None)


def read_probes(file: Hdf5File) -> pd.DataFrame:
    """Read the groups of the electrodes, numbered in the order of the electrodes."""
    group = file.find(ELECTRODES)
    if group is None:
        return NO_PROBES.empty()
    frame = file.read_plain_frame(group, keep_repeated_ids=True)
    names = frame.get("group_name", pd.Series("probe", index=frame.index)).astype(str).unique()
    units = file.find(UNITS)
    means = None if units is None else find_dataset(units, "waveform_mean")
    rate = None if means is None else read_attribute(means, "sampling_rate")
    locations = []
    for name in names:
        electrodes = find_group(group.parent, name)
        location = None if electrodes is None else read_attribute(electrodes, "location")
        locations.append("" if location is None else str(location))
    return pd.DataFrame(
        {
            "description": names,
            "location": locations,
            "sampling_rate": np.nan if rate is None else float(rate),
            "lfp_sampling_rate": np.nan,
            "has_lfp_data": False,
        },
        index=pd.RangeIndex(len(names), name="id"),
    )


# ---- intervals and behaviour


def read_running_if_any(file: Hdf5File) -> pd.DataFrame | None:
    """Read the running speed where the survey's files have it; None without."""
    return None if file.find(f"{RUNNING}/running_speed") is None else read_running_speed(file)


@one_budget()
def read_presentations(file: Hdf5File) -> pd.DataFrame | None:
    """Read every table of intervals as a stimulus of its name, in order of start time [s]."""
    intervals = file.find(INTERVALS)
    if intervals is None:
        return None
    tables = []
    for name in list_names(intervals):
        group = find_group(intervals, name)
        if name != "invalid_times" and group is not None and "start_time" in list_names(group):
            tables.append(_read_intervals(file, group, name))
    if not tables:
        return None
    lengths = [len(table) for table in tables]
    names = list(dict.fromkeys(column for table in tables for column in table))
    # text as categories: a table's column may be missing in another
    pieces = {
        name: [_as_piece(table[name]) if name in table else None for table in tables]
        for name in names
    }
    merged = pd.DataFrame({name: stack(values, lengths) for name, values in pieces.items()})
    whole = np.isfinite(merged[["start_time", "stop_time"]].to_numpy(np.float64)).all(axis=1)
    if not whole.all():
        warnings.warn(
            f"{file.path.name}: {int((~whole).sum())} of {len(merged)} intervals have no "
            "start_time or no stop_time, and are left out",
            stacklevel=2,
        )
    order = np.argsort(merged.loc[whole, "start_time"].to_numpy(), kind="stable")
    kept: pd.DataFrame = merged[whole].iloc[order].reset_index(drop=True)
    shown = kept["stimulus_name"].astype(str)
    return kept.assign(stimulus_block=(shown != shown.shift()).cumsum().astype(np.float64) - 1)


def _read_intervals(file: Hdf5File, group: h5py.Group, name: str) -> pd.DataFrame:
    """Read one table of intervals, named by its column stimulus_name, else by itself."""
    table = file.read_plain_frame(group, keep_repeated_ids=True)
    check_table(group, table, required=("start_time", "stop_time"))
    for column in ("start_time", "stop_time"):
        if table[column].dtype.kind not in "iuf":
            raise InvalidFileError(f"{where(group)}: {column} should hold numbers [s]")
    names = table.get("stimulus_name", pd.Series(name, index=table.index)).astype(object)
    # what a session computes has the same names
    table = table.drop(columns=["duration", "stimulus_block"], errors="ignore")
    table = table.rename(columns={"stimulus_condition_id": "condition_id"})
    return table.assign(stimulus_name=[name if not str(n).strip() else str(n) for n in names])


def _as_piece(column: pd.Series[Any]) -> Any:  # noqa: ANN401 - array or Categorical
    is_text = column.dtype.kind not in "iufb"
    return pd.Categorical(column.astype(object)) if is_text else column.to_numpy()


def read_invalid_times(file: Hdf5File) -> pd.DataFrame:
    """Read the invalid intervals, which are invalid for every probe and every stimulus."""
    group = file.find(f"{INTERVALS}/invalid_times")
    if group is None:
        return INVALID_TIMES.empty()
    table = file.read_plain_frame(group, keep_repeated_ids=True)
    check_table(group, table, required=("start_time", "stop_time"))
    tags = pd.Series([list(ALWAYS_INVALID)] * len(table), index=table.index, dtype=object)
    return table[["start_time", "stop_time"]].assign(tags=tags)
