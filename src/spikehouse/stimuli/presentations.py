"""Build presentations and conditions from the stimulus tables of a file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import NotFoundError, describe_choices
from spikehouse.schema import require_columns
from spikehouse.stimuli.names import COLUMN_NAMES, INVALID_PRESENTATION, standard_stimulus_names
from spikehouse.stimuli.parameters import (
    Parameter,
    factorize,
    number_rows,
    parse,
    split_color,
    translate,
)

Missing = Literal["null", "nan"]

# settings of the display that hardly ever vary; left out unless asked for
DETAILED_PARAMETERS = frozenset(
    {
        "colorSpace", "color_triplet", "depth", "dotLife", "dotSize", "fieldPos", "fieldShape",
        "fieldSize", "flipHoriz", "flipVert", "interpolate", "mask", "nDots", "noiseDots",
        "opacity", "rgb", "rgbPedestal", "signalDots", "tex", "texRes", "units",
    }
)  # fmt: skip

_ORDER = (
    "stimulus_name", "color", "contrast", "frame", "orientation", "phase", "size",
    "spatial_frequency", "temporal_frequency", "x_position", "y_position",
)  # fmt: skip
_DROPPED = ("stimulus_index",)


@dataclass(frozen=True)
class Presentations:
    """All n presentations of a session, as columns.

    Attributes
    ----------
    ids
        Presentation ids, shape (n,).
    start_time, stop_time
        Onset and end [s], shape (n,).
    is_invalid
        Mask of presentations that overlap an invalid interval, shape (n,).
    condition
        Number of each presentation's stimulus condition, shape (n,).
    stimulus_block
        Stimulus block, missing for spontaneous activity.
    parameters
        Parameter name → column; the first is ``stimulus_name``.
    detailed
        Names of the parameters that are settings of the display, which hardly ever vary.

    Examples
    --------
    >>> shown = pd.DataFrame({"start_time": [0.0, 1.0], "stop_time": [0.5, 1.5]})
    >>> shown["stimulus_name"] = ["flashes", "gabors"]
    >>> presentations = build_presentations(shown, session.invalid_times)
    >>> presentations.condition, list(presentations.parameters)
    (array([0, 1]), ['stimulus_name'])
    """

    ids: npt.NDArray[np.int64]
    start_time: npt.NDArray[np.float64]
    stop_time: npt.NDArray[np.float64]
    is_invalid: npt.NDArray[np.bool_]
    condition: npt.NDArray[np.int64]
    stimulus_block: Parameter
    parameters: Mapping[str, Parameter]
    detailed: Collection[str] = DETAILED_PARAMETERS

    def __len__(self) -> int:
        return len(self.start_time)

    def plain_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Iterate over the parameters that distinguish presentations of one stimulus.

        Yields
        ------
        tuple of str and Parameter
            Name and column, without stimulus_name and the settings of the display.

        Examples
        --------
        >>> shown = pd.DataFrame({"start_time": [0.0], "stop_time": [0.5], "contrast": [0.8]})
        >>> shown["stimulus_name"] = "flashes"
        >>> presentations = build_presentations(shown, session.invalid_times)
        >>> [name for name, _ in presentations.plain_parameters()]
        ['contrast']
        """
        for name, column in self.parameters.items():
            if name != "stimulus_name" and name not in self.detailed:
                yield name, column


def build_presentations(
    table: pd.DataFrame, invalid_times: pd.DataFrame, *, standardize: bool = True
) -> Presentations:
    """Build presentations from the stimulus table of a file.

    Parameters
    ----------
    table
        One row per presentation, with the column names of the file; index: presentation ids.
    invalid_times
        Invalid intervals: start_time, stop_time [s], tags. Presentations that touch an interval
        tagged "stimulus" are invalid.
    standardize
        Translate the survey's older names of stimuli and parameters, parse its numbers and colours,
        and mark its settings of the display. If False, names, values and the order of the columns
        are those of the table.

    Returns
    -------
    Presentations
        Presentations with current names and parsed values. Conditions number the distinct rows of
        all parameters in order of first appearance, invalid presentations included.

    Raises
    ------
    InvalidFileError
        If a stimulus name cannot be translated.

    Examples
    --------
    >>> shown = pd.DataFrame({"start_time": [0.0, 1.0], "stop_time": [0.5, 1.5]})
    >>> shown["stimulus_name"] = ["flashes", "gabors"]
    >>> list_stimulus_names(build_presentations(shown, session.invalid_times))
    ['flashes', 'gabors']
    """
    require_columns(
        table, "start_time", "stop_time", "stimulus_name", what="the table of presentations"
    )
    columns = {
        name: factorize(table[name])
        for name in table.columns
        if name not in ("start_time", "stop_time", *(_DROPPED if standardize else ()))
    }
    no_block = Parameter(np.full(len(table), -1, np.int32), np.empty(0, dtype=object))
    columns = {"stimulus_name": columns.pop("stimulus_name"), **columns}
    if standardize:
        columns = _standardize(columns)
    block = columns.pop("stimulus_block", no_block)
    start, stop = table["start_time"].to_numpy(float), table["stop_time"].to_numpy(float)
    return Presentations(
        ids=table.index.to_numpy(dtype=np.int64),
        start_time=start,
        stop_time=stop,
        is_invalid=_touches(start, stop, select_tagged_intervals(invalid_times, {"stimulus"})),
        condition=number_rows(list(columns.values()), len(table)),
        stimulus_block=block,
        parameters=columns,
        detailed=DETAILED_PARAMETERS if standardize else frozenset(),
    )


def number_blocks(table: pd.DataFrame) -> pd.DataFrame:
    """Count the runs of presentations of one stimulus as blocks, unless blocks are given."""
    if "stimulus_block" in table:
        return table
    names = table["stimulus_name"].astype(str)
    block = (names != names.shift()).cumsum() - 1
    return table.assign(stimulus_block=block.astype(np.float64))


def _standardize(columns: dict[str, Parameter]) -> dict[str, Parameter]:
    """Translate and parse the columns of the survey's files."""
    columns = _collapse_capitals(columns)
    columns = {COLUMN_NAMES.get(name, name): column for name, column in columns.items()}
    columns["stimulus_name"] = _name_stimuli(columns["stimulus_name"])
    if "color" in columns:
        columns["color"], triplets = split_color(columns["color"])
        if "color_triplet" not in columns or columns["color_triplet"].is_empty:
            columns["color_triplet"] = triplets
    first = [name for name in _ORDER if name in columns]
    names = [*first, *sorted(set(columns) - set(first))]
    return {name: parse(name, columns[name]) for name in names}


def _name_stimuli(names: Parameter) -> Parameter:
    # a presentation without a name is the grey screen between stimuli
    named = Parameter(
        np.where(names.codes < 0, np.int32(len(names.values)), names.codes),
        np.append(names.values, ""),
    )
    used = [name for code, name in enumerate(named.values) if (named.codes == code).any()]
    return translate(named, standard_stimulus_names(used))


def _collapse_capitals(columns: dict[str, Parameter]) -> dict[str, Parameter]:
    """Merge a column with its capitalised counterpart if no row has both."""
    merged = dict(columns)
    for name in columns:
        twin = name.capitalize()
        if twin == name or twin not in merged or name not in merged:
            continue
        ours, theirs = merged[name], merged[twin]
        if ((ours.codes >= 0) & (theirs.codes >= 0)).any():
            continue
        shifted = np.where(theirs.codes >= 0, theirs.codes + len(ours.values), ours.codes)
        both = Parameter(shifted.astype(np.int32), np.append(ours.values, theirs.values))
        merged[name] = translate(both, {})
        del merged[twin]
    return merged


def select_tagged_intervals(invalid_times: pd.DataFrame, tags: Collection[str]) -> pd.DataFrame:
    """Select the invalid intervals that have at least one of the given tags.

    Parameters
    ----------
    invalid_times
        Table with start_time, stop_time [s] and tags (a sequence of str in each row).
    tags
        Tags to look for: "stimulus", "all_probes", or the name of a probe.

    Returns
    -------
    DataFrame
        The matching rows, in the same order.

    Examples
    --------
    >>> invalid = pd.DataFrame(
    ...     {"start_time": [3.0, 9.0], "stop_time": [4.0, 9.5], "tags": [["stimulus"], ["probeA"]]}
    ... )
    >>> select_tagged_intervals(invalid, ["probeA", "all_probes"])
       start_time  stop_time      tags
    1         9.0        9.5  [probeA]
    """
    require_columns(
        invalid_times, "start_time", "stop_time", "tags", what="the table of invalid times"
    )
    mask = [not set(tags).isdisjoint(row) for row in invalid_times["tags"]]
    return invalid_times[np.array(mask, dtype=bool)]


def _touches(
    start: npt.NDArray[np.float64], stop: npt.NDArray[np.float64], intervals: pd.DataFrame
) -> npt.NDArray[np.bool_]:
    touched = np.zeros(len(start), dtype=bool)
    bounds = zip(intervals["start_time"], intervals["stop_time"], strict=True)
    for interval_start, interval_stop in bounds:
        touched |= (start <= interval_stop) & (stop >= interval_start)
    return touched


def list_stimulus_names(presentations: Presentations) -> list[str]:
    """List the stimuli of a session.

    Parameters
    ----------
    presentations
        Presentations of one session.

    Returns
    -------
    list of str
        Names in order of first appearance; includes "invalid_presentation" if there are any.

    Examples
    --------
    >>> shown = pd.DataFrame({"start_time": [0.0, 1.0], "stop_time": [0.5, 1.5]})
    >>> shown["stimulus_name"] = "flash_250ms"  # as in the file
    >>> list_stimulus_names(build_presentations(shown, session.invalid_times))
    ['flashes']
    """
    return [str(name) for name in _visible_names(presentations).uniques()]


def _visible_names(presentations: Presentations) -> Parameter:
    names = presentations.parameters["stimulus_name"]
    invalid = np.int32(len(names.values))
    return Parameter(
        np.where(presentations.is_invalid, invalid, names.codes),
        np.append(names.values, INVALID_PRESENTATION),
    )


def list_presentations(
    presentations: Presentations,
    *,
    names: Collection[str] | None = None,
    detailed: bool = False,
    unused: bool = True,
    missing: Missing = "null",
    numeric: bool = False,
) -> pd.DataFrame:
    """Return presentations as a table.

    Parameters
    ----------
    presentations
        Presentations of one session.
    names
        Names of the stimuli to include; None for all.
    detailed
        Include the settings of the display that hardly ever vary.
    unused
        Include parameters that no selected presentation has.
    missing
        Value where a parameter does not apply: the word "null", or NaN in typed columns.
    numeric
        With "null": use a numeric dtype for columns without a missing value.

    Returns
    -------
    DataFrame
        Index ``stimulus_presentation_id``; columns stimulus_block, start_time, stop_time [s],
        stimulus_name, the parameters, duration [s] and stimulus_condition_id. Invalid
        presentations have only start_time, stop_time and stimulus_name; the rest is NaN.

    Examples
    --------
    >>> shown = pd.DataFrame({"start_time": [0.0, 1.0], "stop_time": [0.5, 1.5]})
    >>> shown["stimulus_name"] = ["flashes", "drifting_gratings"]
    >>> shown["orientation"] = [np.nan, 90.0]
    >>> presentations = build_presentations(shown, session.invalid_times)
    >>> list_presentations(presentations, missing="nan")[["stimulus_name", "orientation"]]
                                  stimulus_name  orientation
    stimulus_presentation_id
    0                                   flashes          NaN
    1                         drifting_gratings         90.0
    """
    visible = _visible_names(presentations)
    rows = _rows_of(visible, names)
    invalid = presentations.is_invalid[rows]
    frame: dict[str, Any] = {
        "start_time": presentations.start_time[rows],
        "stop_time": presentations.stop_time[rows],
    }
    columns = {"stimulus_block": presentations.stimulus_block} | dict(presentations.parameters)
    ordered = ["stimulus_block", "start_time", "stop_time", *presentations.parameters]
    for name, column in columns.items():
        if name in presentations.detailed and not detailed:
            continue
        kept = (visible if name == "stimulus_name" else column).take(rows)
        frame[name] = _write(kept, invalid, name=name, missing=missing, numeric=numeric)
        if not unused and (kept.is_empty or (invalid.all() and name != "stimulus_name")):
            del frame[name]
    frame = {name: frame[name] for name in ordered if name in frame}
    frame["duration"] = np.where(invalid, np.nan, frame["stop_time"] - frame["start_time"])
    condition = presentations.condition[rows]
    frame["stimulus_condition_id"] = (
        np.where(invalid, np.nan, condition) if invalid.any() else condition
    )
    index = pd.Index(presentations.ids[rows], name="stimulus_presentation_id")
    # the arrays were made here, so pandas need not copy them
    return pd.DataFrame(frame, index=index, copy=False)


def _rows_of(visible: Parameter, names: Collection[str] | None) -> npt.NDArray[np.int64]:
    if names is None:
        return np.arange(len(visible.codes))
    known = [str(name) for name in visible.uniques()]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise NotFoundError(
            f"this session has no stimulus {unknown[0]!r}: {describe_choices(unknown[0], known)}"
        )
    wanted = np.array([value in names for value in visible.values] + [False])
    return np.flatnonzero(wanted[visible.codes])


def _write(
    column: Parameter, invalid: npt.NDArray[np.bool_], *, name: str, missing: Missing, numeric: bool
) -> npt.NDArray[Any]:
    if name == "stimulus_name":
        return column.with_null()
    hidden = column.without(invalid)
    if missing == "nan" or (numeric and (hidden.codes >= 0).all()):
        return hidden.typed()
    written = column.with_null()
    written[invalid] = np.nan
    return written


def list_conditions(presentations: Presentations) -> pd.DataFrame:
    """Return the stimulus conditions: the distinct sets of parameters.

    Parameters
    ----------
    presentations
        Presentations of one session.

    Returns
    -------
    DataFrame
        Index ``stimulus_condition_id``; stimulus_name and every parameter, including the settings
        of the display; "null" where a parameter does not apply.

    Examples
    --------
    >>> shown = pd.DataFrame({"start_time": [0.0, 1.0, 2.0], "stop_time": [0.5, 1.5, 2.5]})
    >>> shown["stimulus_name"] = "gratings"
    >>> shown["contrast"] = [0.4, 0.8, 0.4]
    >>> list_conditions(build_presentations(shown, session.invalid_times))
                          stimulus_name contrast
    stimulus_condition_id
    0                          gratings      0.4
    1                          gratings      0.8
    """
    _, first = np.unique(presentations.condition, return_index=True)
    columns = {
        name: column.take(first).with_null() for name, column in presentations.parameters.items()
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(len(first), name="stimulus_condition_id"))
