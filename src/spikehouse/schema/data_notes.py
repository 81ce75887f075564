"""Known faults of the released recordings, as data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import pandas as pd

from spikehouse.errors import InvalidArgumentError, SpikehouseError, describe_value
from spikehouse.labelled import to_ids

# also said where a file is found to have it
REPEATED_AXIS = "repeats the dorsal–ventral coordinate of its channels as the left–right one"
_RIPPLES = "De Filippo & Schmitz 2023, doi:10.7554/eLife.85488"
_ARTIFACTS = f"{_RIPPLES}; github.com/RobertoDF/Allen_visual_dataset_artifacts"
_ISSUE = "github.com/AllenInstitute/AllenSDK/issues/2260"

_NO_FILE = "its LFP file does not exist"
_NO_CA1 = "no channel of this session is in CA1"
_DUPLICATED = "channels of different probes have the same LFP trace"

# (session, None for every released session; probe, None for the whole session; note; source)
_NOTES: tuple[tuple[int | None, int | None, str, str], ...] = (
    (
        None,
        None,
        f"the session file {REPEATED_AXIS}",
        "compared with channels.csv of the same release, which has both",
    ),
    (763673393, 773463023, _NO_FILE, _ISSUE),
    (831882777, 832810584, _NO_FILE, _ISSUE),
    (839557629, 846401838, _NO_FILE, _ISSUE),
    (743475441, 769325786, "times of its LFP do not increase throughout", _ARTIFACTS),
    (746083955, None, _DUPLICATED, _ARTIFACTS),
    (756029989, None, _DUPLICATED, _ARTIFACTS),
    (732592105, None, _NO_CA1, _RIPPLES),
    (737581020, None, _NO_CA1, _RIPPLES),
    (739448407, None, _NO_CA1, _RIPPLES),
    (742951821, None, _NO_CA1, _RIPPLES),
    (760693773, None, _NO_CA1, _RIPPLES),
    (762120172, None, _NO_CA1, _RIPPLES),
)


def list_data_notes(session_ids: int | Iterable[int] | None = None) -> pd.DataFrame:
    """List the known faults of the released recordings.

    Parameters
    ----------
    session_ids
        Id of a session, or several. If None, all notes, and those that hold for every released
        session file.

    Returns
    -------
    DataFrame
        session_id (NA: every released session file), probe_id (NA: the whole session), note and
        source; no rows if nothing is known.

    Raises
    ------
    InvalidArgumentError
        If an id is not a whole number.

    Examples
    --------
    >>> list_data_notes(763673393)["note"].item()
    'its LFP file does not exist'
    """
    columns = ["session_id", "probe_id", "note", "source"]
    notes = pd.DataFrame(_NOTES, columns=columns)
    notes = notes.astype({"session_id": "Int64", "probe_id": "Int64"})
    if session_ids is None:
        return notes
    ids = to_ids(session_ids, "session_id")
    if ids.dtype.kind != "i":
        raise InvalidArgumentError(
            f"session_ids is {describe_value(session_ids)}; give whole numbers, such as 791319847"
        )
    return notes[notes["session_id"].isin(ids)].reset_index(drop=True)


@contextlib.contextmanager
def explaining_missing_lfp(probe_id: object) -> Iterator[None]:
    """Add to an error about the LFP of a probe that its file is known not to exist."""
    try:
        yield
    except SpikehouseError as error:
        for _, probe, note, source in _NOTES:
            known = f"probe {probe}: {note} ({source})"
            if probe == probe_id and note == _NO_FILE and known not in error.message:
                error.args = (f"{error.message.rstrip('.')}. Known of {known}", *error.args[1:])
        raise
