"""The adapter of data in memory: spike times as arrays, everything else as tables."""

from __future__ import annotations

import ast
import datetime as dt
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_value
from spikehouse.labelled import counts_rows, fits_int64, labels_of, to_ids
from spikehouse.schema import CHANNELS, INVALID_TIMES, OPTOGENETIC_EPOCHS, UNITS
from spikehouse.schema.session_tables import ALWAYS_INVALID, NO_CHANNELS, NO_PROBES
from spikehouse.stimuli.clocks import (
    find_sample_ends,
    warn_of_late_spikes,
    warn_of_long_durations,
    warn_of_other_clock,
)
from spikehouse.stimuli.presentations import number_blocks

Floats = npt.NDArray[np.float64]
SpikeTimes: TypeAlias = Mapping[int, npt.ArrayLike] | Sequence[npt.ArrayLike]
TableOrCsv: TypeAlias = pd.DataFrame | Mapping[str, Any] | str | os.PathLike[str]

# what columns are called elsewhere
_OTHER_NAMES = {
    "start_time": ("onset", "onsets", "onset_time", "start", "time", "times", "timestamps"),
    "stop_time": ("stop", "stops", "end", "end_time", "offset", "offset_time"),
    "duration": ("durations", "length"),
    "velocity": ("speed", "running_speed", "running"),
}
_SCALARS = (str, int, float, np.number, np.bool_, type(None), type(pd.NA))


class SortedTrains(dict[int, Floats]):
    """Spike times by unit id, in order."""

    is_sorted = True


class ArraySource:
    """What a session reads from arrays and tables; they are checked when it is made."""

    # names and values of presentations are the user's
    has_survey_stimuli = False

    def __init__(
        self,
        spike_times: SpikeTimes,
        units: TableOrCsv | None = None,
        presentations: TableOrCsv | None = None,
        *,
        channels: TableOrCsv | None = None,
        probes: TableOrCsv | None = None,
        running_speed: TableOrCsv | None = None,
        invalid_times: TableOrCsv | None = None,
        mean_waveforms: Mapping[int, npt.ArrayLike] | None = None,
        session_id: int | None = None,
    ) -> None:
        self._session_id = None if session_id is None else _to_whole(session_id, "session_id")
        is_table = isinstance(units, pd.DataFrame | Mapping) and "start_time" in units
        if presentations is None and (is_table or isinstance(units, np.ndarray)):
            raise InvalidArgumentError(
                "units are times, not a table of units; the times of presentations are given by "
                'name: from_arrays(spike_times, presentations=pd.DataFrame({"start_time": onsets, '
                '"duration": 0.2}))'
            )
        table = _read_table(units, "units", ids=("unit_id", "id"))
        metadata = getattr(spike_times, "metadata", None)
        if isinstance(metadata, pd.DataFrame):
            # of a pynapple TsGroup
            table = metadata if table is None else _add_columns(table, metadata)
        self._spike_times = _read_trains(spike_times, table)
        table = _match_units(table, self._spike_times)
        electrodes = _read_table(channels, "channels", ids=("channel_id", "id"))
        self._channels = _read_channels(electrodes)
        self._units = _place_units(table, None if electrodes is None else self._channels)
        known = (tbl["probe_id"] for tbl in (self._channels, self._units) if "probe_id" in tbl)
        ids = sorted({int(probe) for column in known for probe in column.dropna()})
        self._probes = _read_probes(_read_table(probes, "probes", ids=("probe_id", "id")), ids)
        self._presentations = _read_presentations(
            _read_table(presentations, "presentations", ids=("stimulus_presentation_id", "id"))
        )
        self._running_speed = _read_running(_read_table(running_speed, "running_speed"))
        _compare_clocks(self)
        self._invalid_times = _read_invalid(
            _read_table(invalid_times, "invalid_times"), self._probes["description"]
        )
        self._mean_waveforms = _read_waveforms(mean_waveforms, self)

    def test(self) -> None:
        """Do nothing: everything was checked."""

    def get_ecephys_session_id(self) -> int | None:
        """Return the id that was given."""
        return self._session_id

    def get_session_start_time(self) -> dt.datetime | None:
        """Return None: times are relative to a start that nobody named."""
        return None

    def get_metadata(self) -> Mapping[str, Any]:
        """Return no facts."""
        return {}

    def get_rig_metadata(self) -> Mapping[str, Any] | None:
        """Return None."""
        return None

    def get_probes(self) -> pd.DataFrame:
        """Return one row per probe."""
        return self._probes

    def get_channels(self) -> pd.DataFrame:
        """Return one row per channel."""
        return self._channels

    def get_units(self) -> pd.DataFrame:
        """Return one row per unit; peak_channel_id is NaN where no channels were given."""
        return self._units

    def get_unit_metrics(self) -> pd.DataFrame:
        """Return no columns: metrics are columns of the units."""
        return pd.DataFrame(index=pd.Index([], name="unit_id", dtype=np.int64))

    def get_spike_times(self) -> Mapping[int, Floats]:
        """Return the sorted spike times [s] by unit id."""
        return self._spike_times

    def get_spike_amplitudes(self) -> Mapping[int, Floats]:
        """Return no amplitudes."""
        return {}

    def get_mean_waveforms(self) -> Mapping[int, Floats]:
        """Return the mean waveforms (channels, samples) by unit id."""
        return self._mean_waveforms

    def get_stimulus_presentations(self) -> pd.DataFrame | None:
        """Return the presentations in order of start time."""
        return self._presentations

    def get_optogenetic_stimulation(self) -> pd.DataFrame:
        """Return no light pulses."""
        return OPTOGENETIC_EPOCHS.empty()

    def get_invalid_times(self) -> pd.DataFrame:
        """Return start_time, stop_time [s] and tags of invalid intervals."""
        return self._invalid_times

    def get_running_speed(self) -> pd.DataFrame | None:
        """Return start_time, end_time [s] and velocity [cm/s], or None."""
        return self._running_speed

    def get_pupil_data(self) -> pd.DataFrame | None:
        """Return None."""
        return None

    def get_screen_gaze_data(self, include_filtered_data: bool = False) -> pd.DataFrame | None:  # noqa: ARG002
        """Return None."""
        return None

    def get_lfp(self, probe_id: int, **_: object) -> NoReturn:
        """Raise: there is no LFP."""
        raise NotFoundError(
            f"there is no LFP of probe {probe_id}: this session was made from arrays. The "
            "functions of spikehouse.lfp take an xarray.DataArray (time [s], channel) of your own"
        )

    get_current_source_density = get_lfp

    def get_nwbfile(self) -> NoReturn:
        """Raise: there is no file."""
        raise NotFoundError("there is no NWB file: this session was made from arrays")


# ---- tables


def _read_table(
    given: Any,  # noqa: ANN401 - whatever was given
    name: str,
    *,
    ids: Sequence[str] = (),
) -> pd.DataFrame | None:
    """Return a table, or that of a CSV file, with its ids as index; None for None."""
    if given is None:
        return None
    if isinstance(given, str | os.PathLike):
        try:
            with warnings.catch_warnings():
                # of rows that are longer than the first one
                warnings.simplefilter("error", pd.errors.ParserWarning)
                table = pd.read_csv(given, index_col=False)
        except (
            ValueError, UnicodeError, IsADirectoryError, pd.errors.ParserWarning
        ) as error:  # fmt: skip
            raise InvalidArgumentError(
                f"{name}: {os.fspath(given)} is not a CSV file: {error}"
            ) from error
        if table.columns[:1].tolist() == ["Unnamed: 0"]:
            # the index, as pandas writes it
            table = table.set_index("Unnamed: 0")
    elif isinstance(given, pd.DataFrame):
        table = given
    elif isinstance(given, Mapping):
        try:
            table = pd.DataFrame(dict(given))
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(
                f"{name}: these columns make no table: {error}; give one value for each row"
            ) from error
    elif callable(getattr(given, "as_dataframe", None)):
        # of a pynapple IntervalSet
        table = given.as_dataframe().rename(columns={"start": "start_time", "end": "stop_time"})
    else:
        onsets = ""
        if name == "presentations":
            onsets = '. Of onsets alone: pd.DataFrame({"start_time": onsets, "duration": 0.2})'
        raise InvalidArgumentError(
            f"{name} is {describe_value(given)}; give a table (a DataFrame or a dictionary of "
            f"columns) or the path of a CSV file{onsets}"
        )
    unnamed = [column for column in table.columns if not isinstance(column, str)]
    if unnamed:
        raise InvalidArgumentError(f"{name} has the column {unnamed[0]!r}; names must be text")
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()][0]
        raise InvalidArgumentError(f"{name} has several columns {twice!r}; keep one of them")
    column = next((column for column in ids if column in table), None)
    if column is not None:
        table = table.set_index(column)
    if not ids:
        return table.reset_index(drop=True)
    index = to_ids(table.index, f"the index of {name}") if len(table) else np.empty(0, np.int64)
    if index.dtype != np.int64:
        raise InvalidArgumentError(
            f"the index of {name} holds {describe_value(index[0])}; ids are whole numbers, in the "
            f"index or in a column {ids[0]}"
        )
    _check_unique(index, name)
    return table.set_axis(pd.Index(index, name="id"), axis=0)


def _add_columns(table: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    return table.join(more[more.columns.difference(table.columns, sort=False)])


def _check_unique(ids: npt.NDArray[Any], name: str) -> None:
    repeated = pd.Index(ids).duplicated()
    if repeated.any():
        raise InvalidArgumentError(
            f"{name} has the id {ids[repeated][0]} more than once; give each row an id of its own"
            + (", as pd.concat(tables, ignore_index=True) does" if name == "presentations" else "")
        )


def _require(table: pd.DataFrame, name: str, *columns: str) -> None:
    missing = next((column for column in columns if column not in table), None)
    if missing is not None:
        raise InvalidArgumentError(
            f"{name} has no column {missing!r}; it has {', '.join(table.columns) or 'none'}"
            + _suggest_name(table, missing)
        )


def _suggest_name(table: pd.DataFrame, *columns: str) -> str:
    """Say which column may be meant, under another name."""
    for column in columns:
        other = next((name for name in _OTHER_NAMES[column] if name in table), None)
        if other is not None:
            return f". If {other!r} is meant: .rename(columns={{{other!r}: {column!r}}})"
    return ""


def _read_numbers(table: pd.DataFrame, column: str, name: str, *, finite: bool = False) -> Floats:
    """Return a column as numbers: finite ones if asked for, whole ones where they are ids."""
    given = table[column]
    if given.dtype.kind in "mM":
        total = "column" if given.dtype.kind == "m" else "(column - start of the recording)"
        raise InvalidArgumentError(
            f"{name}: {column} holds {given.dtype}, and times are seconds as numbers: "
            f"{total}.dt.total_seconds()"
        )
    try:
        values = given.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"{name}: {column} should hold numbers ({error})") from error
    is_id = column.endswith("_id") or column == "probe_channel_number"
    wrong = np.isfinite(values) & ~fits_int64(values) if is_id else np.zeros(len(values), bool)
    if finite:
        wrong |= ~np.isfinite(values)
    if wrong.any():
        raise InvalidArgumentError(
            f"{name}: {column} is {values[wrong][0]} in {int(wrong.sum())} of {len(values)} rows, "
            f"first in row {table.index[wrong][0]}; give a {'whole number' if is_id else 'number'} "
            "or leave these rows out"
        )
    return values


def _read_interval(table: pd.DataFrame, name: str) -> tuple[Floats, Floats]:
    """Return start and stop [s] of the rows; the stop may be given as a duration."""
    _require(table, name, "start_time")
    start = _read_numbers(table, "start_time", name, finite=True)
    if "stop_time" not in table and "duration" not in table:
        raise InvalidArgumentError(
            f"{name} has start_time, and neither stop_time [s] nor duration [s]: "
            f"{name}.assign(duration=0.25) if all last as long"
            + _suggest_name(table, "stop_time", "duration")
        )
    if "stop_time" in table:
        stop = _read_numbers(table, "stop_time", name, finite=True)
    else:
        stop = start + _read_numbers(table, "duration", name, finite=True)
    wrong = np.flatnonzero(stop < start)
    if wrong.size:
        row = wrong[0]
        raise InvalidArgumentError(
            f"{name}: row {table.index[row]} stops at {stop[row]:g} s, before it starts at "
            f"{start[row]:g} s"
        )
    return start, stop


# ---- units and where they are


def _to_whole(given: object, name: str) -> int:
    ids = to_ids([given], name) if np.ndim(given) == 0 else np.empty(0)  # type: ignore[arg-type]
    if ids.dtype != np.int64 or ids.size != 1:
        raise InvalidArgumentError(f"{name} is {describe_value(given)}; give a whole number")
    return int(ids[0])


def _read_trains(given: object, units: pd.DataFrame | None) -> SortedTrains:
    """Return the spike times [s] by unit id, each train in order."""
    if isinstance(given, np.ndarray) and given.dtype == object and given.ndim == 1:
        # as np.load gives arrays of several lengths
        given = list(given)
    if isinstance(given, Mapping):
        words = [key for key in given if isinstance(key, str)]
        if words:
            raise InvalidArgumentError(
                f"a unit id of spike_times is {words[0]!r}; ids are whole numbers, and names a "
                "column of units: from_arrays(list(spike_times.values()), "
                'pd.DataFrame({"name": list(spike_times)}))'
            )
        items = [(_to_whole(key, "a unit id of spike_times"), given[key]) for key in given]
    elif isinstance(given, Sequence) and not isinstance(given, str | bytes):
        if units is not None and len(units) != len(given):
            raise InvalidArgumentError(
                f"spike_times has {len(given)} arrays, and units has {len(units)} rows; give one "
                "array for each row, in the same order, or a dictionary by unit id"
            )
        items = list(zip(range(len(given)) if units is None else units.index, given, strict=True))
    else:
        raise InvalidArgumentError(
            f"spike_times is {describe_value(given)}; give a dictionary of arrays [s] by unit id, "
            "a list of arrays, or a pynapple TsGroup"
        )
    _check_unique(np.array([unit_id for unit_id, _ in items], dtype=np.int64), "spike_times")
    trains = SortedTrains()
    unsorted = []
    for unit_id, times in items:
        train = _read_train(times, unit_id)
        if (train[1:] < train[:-1]).any():
            unsorted.append(unit_id)
            train = np.sort(train)
        trains[int(unit_id)] = train
    if unsorted:
        warnings.warn(
            f"spike times of {len(unsorted)} of {len(trains)} units (first {unsorted[0]}) were not "
            "in order: they were sorted",
            stacklevel=4,  # the caller of from_arrays
        )
    return trains


def _read_train(times: Any, unit_id: int) -> Floats:  # noqa: ANN401 - whatever was given
    # of a pynapple Ts
    found = times.times() if callable(getattr(times, "times", None)) else times
    if np.ma.is_masked(found):
        raise InvalidArgumentError(
            f"spike times of unit {unit_id} have masked values; leave them out: times.compressed()"
        )
    try:
        train = np.asarray(found)
        if train.dtype.kind not in "iuf" and train.size:
            raise TypeError(f"they are of type {train.dtype}")
        train = train.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"spike times of unit {unit_id} should be numbers [s]: {error}"
        ) from error
    if train.ndim != 1:
        raise InvalidArgumentError(
            f"spike times of unit {unit_id} have the shape {train.shape}; give one dimension"
        )
    wrong = ~np.isfinite(train)
    if wrong.any():
        raise InvalidArgumentError(
            f"{int(wrong.sum())} of the {train.size} spike times of unit {unit_id} are NaN or "
            "infinite; leave them out"
        )
    return train


def _match_units(table: pd.DataFrame | None, trains: Mapping[int, Floats]) -> pd.DataFrame:
    """Check that table and spike times are of the same units."""
    if table is None:
        return pd.DataFrame(index=pd.Index(list(trains), name="id", dtype=np.int64))
    silent = table.index.difference(list(trains))
    if len(silent):
        raise InvalidArgumentError(
            f"units has {len(silent)} of {len(table)} rows without spike times, such as unit "
            f"{silent[0]}; give these an empty array, or leave the rows out"
        )
    unlisted = [unit_id for unit_id in trains if unit_id not in table.index]
    if unlisted:
        raise InvalidArgumentError(
            f"spike_times has {len(unlisted)} of {len(trains)} units that have no row in units, "
            f"such as {unlisted[0]}; to keep those with a row: "
            "{i: spike_times[i] for i in units.index}"
        )
    for column in UNITS.columns:
        if column.name in table and column.kind in ("int", "float"):
            numbers = _read_numbers(table, column.name, "units")
            if table[column.name].dtype.kind not in "iufb":
                table = table.assign(**{column.name: numbers})
    return table.rename_axis(index="id")


def _place_units(table: pd.DataFrame, channels: pd.DataFrame | None) -> pd.DataFrame:
    """Check the peak channels of the units; NaN where there are none."""
    if "peak_channel_id" not in table:
        return table.assign(peak_channel_id=np.nan)
    if channels is None:
        raise InvalidArgumentError(
            "units has the column peak_channel_id, and there are no channels to look it up in; "
            "give channels, or leave the column out. A table of units may say itself where they "
            "are: ecephys_structure_acronym, probe_vertical_position [µm], probe_description"
        )
    peaks = table["peak_channel_id"].dropna()
    unknown = peaks[~peaks.isin(channels.index)]
    if len(unknown):
        raise InvalidArgumentError(
            f"units: unit {unknown.index[0]} has the peak channel {unknown.iloc[0]:g}, which "
            "channels has no row for"
        )
    if "probe_id" in table:
        probes = peaks.map(channels["probe_id"])
        own = table["probe_id"].reindex(peaks.index)
        differ = (probes != own).to_numpy()
        if differ.any():
            raise InvalidArgumentError(
                f"units: unit {probes.index[differ][0]} is of probe {own[differ].iloc[0]}, but its "
                f"peak channel is of probe {probes[differ].iloc[0]}; channels say it, so leave out "
                "probe_id"
            )
    return table


def _read_channels(table: pd.DataFrame | None) -> pd.DataFrame:
    """Return the channels with every column that a session needs."""
    if table is None:
        return NO_CHANNELS.empty()
    if "probe_id" not in table:
        table = table.assign(probe_id=0)
    _read_numbers(table, "probe_id", "channels", finite=True)
    if "probe_channel_number" in table:
        numbers = _read_numbers(table, "probe_channel_number", "channels", finite=True)
        wrong = (numbers < 0) | table.duplicated(["probe_id", "probe_channel_number"])
        if wrong.any():
            raise InvalidArgumentError(
                f"channels: channel {table.index[wrong][0]} has the probe_channel_number "
                f"{numbers[wrong][0]:g}; the channels of a probe have numbers 0, 1, 2, … of their "
                "own, which are the rows of mean waveforms"
            )
    else:
        table = table.assign(probe_channel_number=table.groupby("probe_id").cumcount())
    if "ecephys_structure_acronym" not in table:
        table = table.assign(ecephys_structure_acronym=table.get("structure_acronym"))
    for column in CHANNELS.columns:
        if column.kind not in ("int", "float"):
            continue
        if column.name in table:
            _read_numbers(
                table, column.name, "channels", finite=column.name == "probe_channel_number"
            )
        elif not column.optional:
            table = table.assign(**{column.name: np.nan})
    return table


def _read_probes(table: pd.DataFrame | None, ids: list[int]) -> pd.DataFrame:
    """Return the probes that were given, or one for each id."""
    if table is None and not ids:
        return NO_PROBES.empty()
    if table is None:
        table = pd.DataFrame(index=pd.Index(ids, name="id", dtype=np.int64))
    absent = [probe for probe in ids if probe not in table.index]
    if absent:
        raise InvalidArgumentError(
            f"channels or units are of probe {absent[0]}, which probes has no row for; it has "
            f"{table.index.tolist()}"
        )
    defaults: dict[str, Any] = {
        "description": [f"probe {probe}" for probe in table.index],
        "location": "",
        "sampling_rate": np.nan,
        "lfp_sampling_rate": np.nan,
        "has_lfp_data": False,
    }
    table = table.assign(**{name: v for name, v in defaults.items() if name not in table})
    rates = ("sampling_rate", "lfp_sampling_rate")
    table = table.assign(**{name: _read_numbers(table, name, "probes") for name in rates})
    named = table["description"].astype(object).where(table["description"].notna(), "")
    return table.assign(description=named.astype(str))


def _read_waveforms(given: object, source: ArraySource) -> dict[int, Floats]:
    """Return the mean waveforms by unit id, which need channels and a sampling rate."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidArgumentError(
            f"mean_waveforms is {describe_value(given)}; give a dictionary of arrays (channels, "
            "samples) by unit id"
        )
    channels, probes = source._channels, source._probes
    peaks: dict[Any, Any] = source._units["peak_channel_id"].dropna().to_dict()
    found = {}
    for key, values in given.items():
        unit_id = _to_whole(key, "a unit id of mean_waveforms")
        labels, values = _rows_of_channels(values)
        try:
            # masked values are unknown
            waveform = np.ma.filled(np.ma.array(values, dtype=np.float64), np.nan)
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(
                f"mean_waveforms: that of unit {unit_id} should be numbers: {error}"
            ) from error
        if unit_id not in peaks:
            raise InvalidArgumentError(
                f"mean_waveforms: unit {unit_id} has no peak_channel_id in units; a waveform needs "
                "it, and channels with probe_id and probe_channel_number"
            )
        probe: Any = channels.loc[int(peaks[unit_id]), "probe_id"]
        if not probes.loc[probe, "sampling_rate"] > 0:
            raise InvalidArgumentError(
                f"mean_waveforms: probe {probe} has no sampling_rate [Hz]; give it in probes"
            )
        numbers = channels.loc[channels["probe_id"] == probe, "probe_channel_number"]
        n_channels = int(numbers.max())
        if labels is not None and waveform.ndim == 2:
            unknown = labels[~np.isin(labels, numbers.index)]
            if len(unknown):
                raise InvalidArgumentError(
                    f"mean_waveforms: that of unit {unit_id} has a row of channel {unknown[0]}, "
                    f"which is none of its probe {probe}"
                )
            given_rows, waveform = waveform, np.full((n_channels + 1, waveform.shape[1]), np.nan)
            waveform[numbers[labels].astype(int)] = given_rows
        if waveform.ndim != 2 or len(waveform) > n_channels + 1:
            raise InvalidArgumentError(
                f"mean_waveforms: that of unit {unit_id} has the shape {waveform.shape}; give "
                f"(channels of its probe, at most {n_channels + 1}; samples)"
            )
        peak_row = int(numbers[int(peaks[unit_id])])
        if peak_row >= len(waveform):
            raise InvalidArgumentError(
                f"mean_waveforms: that of unit {unit_id} has {len(waveform)} rows, and its peak "
                f"channel {peaks[unit_id]:g} is row {peak_row} (its probe_channel_number); give a "
                "row for each number, or label the rows with channel ids (a DataFrame)"
            )
        found[unit_id] = waveform
    return found


def _rows_of_channels(
    values: Any,  # noqa: ANN401 - whatever was given
) -> tuple[npt.NDArray[Any] | None, Any]:
    """Return the channel ids that label the rows of a waveform, if any does, and its values."""
    if "channel_id" in getattr(values, "dims", ()):
        values = values.transpose("channel_id", ...)
    labels = labels_of(values, 0)
    has_ids = labels is not None and not counts_rows(labels)
    return (to_ids(labels, "channel_id") if has_ids else None), values


# ---- what happened


def _read_presentations(table: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return the presentations in order of start time, with a name and a block each."""
    if table is None:
        return None
    name = "presentations"
    start, stop = _read_interval(table, name)
    if "duration" in table and not np.allclose(
        _read_numbers(table, "duration", name), stop - start, equal_nan=True
    ):
        raise InvalidArgumentError(
            "presentations: duration is not stop_time - start_time, which it means here; give this "
            "parameter another name"
        )
    if "stimulus_condition_id" in table:
        raise InvalidArgumentError(
            "presentations has a column stimulus_condition_id, which is computed here (it numbers "
            "the combinations of parameters); leave it out or give it another name"
        )
    names: Any = table.get("stimulus_name", "stimulus")
    if isinstance(names, pd.Series) and names.isna().any():
        row = names.index[names.isna()][0]
        raise InvalidArgumentError(f"presentations: row {row} has no stimulus_name")
    table = table.drop(columns="duration", errors="ignore").assign(
        start_time=start, stop_time=stop, stimulus_name=names
    )
    table["stimulus_name"] = table["stimulus_name"].astype(str)
    for column in table.columns.difference(["start_time", "stop_time"], sort=False):
        _check_parameter(table[column])
    return number_blocks(table.iloc[np.argsort(start, kind="stable")])


def _compare_clocks(source: ArraySource) -> None:
    """Warn of times that are hardly seconds, or not of the clock of the spikes."""
    ends = np.array([train[[0, -1]] for train in source._spike_times.values() if train.size])
    warn_of_long_durations(source._presentations, stacklevel=4)  # the caller of from_arrays
    if not ends.size:
        return
    first, last = float(ends[:, 0].min()), float(ends[:, 1].max())
    warn_of_late_spikes(last, stacklevel=4)
    warn_of_other_clock(source._presentations, "presentations", first, last, stacklevel=4)
    running = source._running_speed
    samples = None if running is None else running.rename(columns={"end_time": "stop_time"})
    warn_of_other_clock(samples, "samples of running_speed", first, last, stacklevel=4)


def _check_parameter(column: pd.Series[Any]) -> None:
    """Check that the values are numbers, text or truth values."""
    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    values = column.cat.categories.to_series() if is_category else column
    if pd.api.types.is_numeric_dtype(values.dtype):
        return
    for row, value in values.items():
        if not isinstance(value, _SCALARS):
            raise InvalidArgumentError(
                f"presentations: {column.name} is {describe_value(value)} in row {row}; a "
                "parameter is a number, a text, true or false, or missing"
            )


def _read_running(table: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return start_time, end_time [s] and velocity [cm/s] of each sample."""
    if table is None:
        return None
    name = "running_speed"
    _require(table, name, "start_time", "velocity")
    start = _read_numbers(table, "start_time", name, finite=True)
    if (np.diff(start) < 0).any():
        raise InvalidArgumentError("running_speed: start_time must not decrease; sort the rows")
    last = next((column for column in ("end_time", "stop_time") if column in table), None)
    if last is not None:
        end = _read_numbers(table, last, name, finite=True)
        if (end < start).any():
            row = int((end < start).argmax())
            raise InvalidArgumentError(
                f"running_speed: row {row} ends at {end[row]:g} s, before it starts at "
                f"{start[row]:g} s"
            )
    else:
        end = find_sample_ends(start)
    return pd.DataFrame(
        {"start_time": start, "end_time": end, "velocity": _read_numbers(table, "velocity", name)}
    )


def _read_invalid(table: pd.DataFrame | None, probes: pd.Series[str]) -> pd.DataFrame:
    """Return the invalid intervals; without tags they are invalid for all probes and stimuli."""
    if table is None:
        return INVALID_TIMES.empty()
    start, stop = _read_interval(table, "invalid_times")
    given = table["tags"] if "tags" in table else [None] * len(table)
    tags = [_read_tags(cell) for cell in given]
    valid = {*ALWAYS_INVALID, *probes}
    idle = [row for row, own in enumerate(tags) if valid.isdisjoint(own)]
    if idle:
        warnings.warn(
            f"invalid_times: {len(idle)} of {len(tags)} rows concern nothing here (first row "
            f"{idle[0]}, tags {tags[idle[0]]}): a tag is 'stimulus', 'all_probes' or the "
            "description of a probe",
            stacklevel=4,  # the caller of from_arrays
        )
    found = pd.DataFrame({"start_time": start, "stop_time": stop, "tags": tags}, index=table.index)
    return found.rename_axis(index="id")


def _read_tags(cell: Any) -> list[str]:  # noqa: ANN401 - of a table or a CSV file
    """Return the tags of an interval, which a CSV file has as text; all of them if missing."""
    if isinstance(cell, str) and cell.strip().startswith("["):
        try:
            cell = ast.literal_eval(cell.strip())
        except (ValueError, SyntaxError) as error:
            raise InvalidArgumentError(
                f"invalid_times: the tags {cell!r} are no list, such as \"['stimulus']\""
            ) from error
    if isinstance(cell, str):
        return [tag.strip() for tag in cell.split(",")]
    is_list = isinstance(cell, Iterable)
    if not is_list and not pd.isna(cell):
        raise InvalidArgumentError(
            f"invalid_times: tags are {describe_value(cell)}; give a list of texts for each row"
        )
    return [str(tag) for tag in cell] if is_list else list(ALWAYS_INVALID)
