"""Read tables of intervals: stimulus presentations, invalid times, laser pulses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidFileError
from spikehouse.nwb._check_size import one_budget, where
from spikehouse.nwb._safe_open import find_group, list_names
from spikehouse.nwb._validate_columns import check_table
from spikehouse.nwb.hdf5 import Hdf5File, column_names
from spikehouse.schema import INVALID_TIMES, OPTOGENETIC_EPOCHS

INTERVALS = "intervals"
PRESENTATIONS_SUFFIX = "_presentations"
OPTOTAGGING = "processing/optotagging"
# the name in the released files, and the one newer files use
_OPTOGENETIC_TABLES = ("optogenetic_stimulation", "optogenetic_stimuluation")
_LARGEST_EXACT = 2**53
_BOOKKEEPING = ("tags", "timeseries", "tags_index", "timeseries_index")


@one_budget()
def read_stimulus_presentations(file: Hdf5File) -> pd.DataFrame:
    """Read all stimulus tables of the file as one, in order of start time [s]."""
    # 70 000 presentations take about 0.1 s: strings are compared in the file's string heap and
    # stay Categorical. Presentations that start together keep the file's order.
    intervals = file.group(INTERVALS)
    file.prefetch_members(intervals)
    names = [name for name in list_names(intervals) if name.endswith(PRESENTATIONS_SUFFIX)]
    groups = [group for name in names if (group := find_group(intervals, name)) is not None]
    if len(set(groups)) < len(groups):
        twice = next(group for group in groups if groups.count(group) > 1)
        raise InvalidFileError(
            f"{where(twice)} has several names in the file: its presentations would be counted "
            "once for each"
        )
    file.prefetch_members(*groups)
    wanted = [[c for c in column_names(group) if c not in _BOOKKEEPING] for group in groups]
    with_ids = [["id", *names] for names in wanted]
    file.prefetch_tables(list(zip(groups, with_ids, strict=True)))
    tables = []
    for group, names in zip(groups, wanted, strict=True):
        columns = file.read_table(group, columns=names)
        check_table(group, columns, required=["start_time"], is_ragged=False)
        columns.pop("id", None)
        tables.append(columns)
    if not tables:
        raise InvalidFileError(f"{file.path} has no stimulus tables under /{INTERVALS}")
    lengths = [len(table["start_time"]) for table in tables]
    names = list(dict.fromkeys(name for table in tables for name in table))
    merged = {name: stack([table.get(name) for table in tables], lengths) for name in names}
    order = np.argsort(merged["start_time"], kind="stable")
    return pd.DataFrame({name: values[order] for name, values in merged.items()})


def stack(pieces: list[Any], lengths: list[int]) -> Any:  # noqa: ANN401 - array or Categorical
    """Concatenate a column of several tables, with missing values for tables without it."""
    present = [piece for piece in pieces if piece is not None]
    is_text = [isinstance(piece, pd.Categorical) for piece in present]
    if all(is_text):
        return _stack_categories(pieces, lengths)
    # as floats, different ids would become equal
    is_large = any(p.dtype.kind in "iu" and (p > _LARGEST_EXACT).any() for p in present)
    is_one_type = len({piece.dtype for piece in present}) == 1
    if len(present) == len(pieces) and (is_one_type or not (any(is_text) or is_large)):
        return np.concatenate(pieces)
    # neither text beside numbers nor a boolean beside NaN has a type of its own
    is_mixed = any(is_text) or is_large or all(piece.dtype == np.bool_ for piece in present)
    dtype = np.dtype(object if is_mixed else np.float64)
    return np.concatenate(
        [
            np.full(n, np.nan, dtype) if piece is None else np.asarray(piece, dtype)
            for piece, n in zip(pieces, lengths, strict=True)
        ]
    )


def _stack_categories(pieces: list[Any], lengths: list[int]) -> pd.Categorical:
    found = (c for piece in pieces if piece is not None for c in piece.categories)
    categories = pd.Index(list(dict.fromkeys(found)), dtype=object)
    codes: list[npt.NDArray[Any]] = []
    for piece, n in zip(pieces, lengths, strict=True):
        if piece is None:
            codes.append(np.full(n, -1))
        else:
            codes.append(categories.get_indexer(piece.categories)[piece.codes])
    return pd.Categorical.from_codes(np.concatenate(codes), categories=categories)


def read_invalid_times(file: Hdf5File) -> pd.DataFrame:
    """Read the intervals in which data are invalid, with their tags."""
    group = file.find(f"{INTERVALS}/invalid_times")
    if group is None:
        return INVALID_TIMES.empty()
    frame = file.read_frame(group, columns=INVALID_TIMES.column_names)
    tags: list[Any] = [[str(tag) for tag in row] for row in frame.get("tags", ())]
    return INVALID_TIMES.conform(frame.assign(tags=tags) if tags else frame, origin=where(group))


def read_optogenetic_epochs(file: Hdf5File) -> pd.DataFrame:
    """Read the laser pulses of optotagging; no rows if the session had none."""
    for name in _OPTOGENETIC_TABLES:
        group = file.find(f"{OPTOTAGGING}/{name}")
        if group is not None:
            frame = file.read_frame(group, columns=OPTOGENETIC_EPOCHS.column_names)
            return OPTOGENETIC_EPOCHS.conform(frame, origin=where(group))
    return OPTOGENETIC_EPOCHS.empty()
