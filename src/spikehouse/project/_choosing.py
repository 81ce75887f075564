"""From what a user asks for to the files that hold it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices
from spikehouse.labelled import to_ids
from spikehouse.project._tables import to_whole_number
from spikehouse.remote.cache.store import Store, TableName, Target

N_SCENES = 118
MOVIES = (1, 3)
TABLE_NAMES: tuple[TableName, ...] = ("sessions", "probes", "channels", "units")
N_NAMED = 6


@dataclass(frozen=True)
class LfpChoice:
    """The probes whose LFP is asked for.

    Attributes
    ----------
    session_ids, probe_ids
        One of each a file, in the order of the table of probes.
    notes
        What there is to know besides.
    """

    session_ids: tuple[int, ...] = ()
    probe_ids: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def list_values(value: object, *, what: str) -> list[object]:
    """Accept one value as well as several.

    Parameters
    ----------
    value
        One number or name, or some of them; of a table, its index.
    what
        What they are, for the error message.

    Returns
    -------
    list
        The values.

    Raises
    ------
    InvalidArgumentError
        If it is neither.
    """
    if isinstance(value, str | bytes | bool) or not isinstance(value, Iterable):
        return [value]
    if isinstance(value, pd.DataFrame):
        return list(to_ids(value, what.replace(" ", "_")))
    if isinstance(value, dict):
        raise InvalidArgumentError(f"a dict is not a list of {what}s: give the ids")
    return list(value)


def choose_numbers(asked: object, valid: Sequence[int], *, what: str) -> list[int]:
    """Say which numbers are asked for.

    Parameters
    ----------
    asked
        True for all of them, False for none, or the numbers.
    valid
        Which there are.
    what
        What they are, for the error message.

    Returns
    -------
    list of int
        The numbers, in the order given.

    Raises
    ------
    NotFoundError
        If there is none of such a number.
    InvalidArgumentError
        If a number is not whole.
    """
    if asked is True or asked is False:
        return list(valid) if asked else []
    numbers = [to_whole_number(value, what=what) for value in list_values(asked, what=what)]
    for number in numbers:
        if number not in valid:
            raise NotFoundError(f"there is no {what} {number}: {describe_choices(number, valid)}")
    return numbers


def choose_lfp(asked: object, probes: pd.DataFrame, session_ids: Sequence[int]) -> LfpChoice:
    """Say of which probes the LFP is asked for.

    Parameters
    ----------
    asked
        True for all probes of the sessions, False for none, or names ("probeC", of every
        session) and probe ids.
    probes
        The table of probes.
    session_ids
        The chosen sessions.

    Returns
    -------
    LfpChoice
        Only probes that have LFP.

    Raises
    ------
    NotFoundError
        If a probe is named that there is not, that is in no chosen session, or without LFP.
    InvalidArgumentError
        If names are given and no session.
    """
    if asked is False:
        return LfpChoice()
    values = None if asked is True else list_values(asked, what="probe")
    is_by_name = values is None or any(isinstance(value, str) for value in values)
    if is_by_name and not session_ids:
        raise InvalidArgumentError(
            "of which sessions is the LFP wanted? Give their ids, or the probes' own ids: "
            f"lfp={_give_examples(probes)}"
        )
    of_sessions = probes[probes["ecephys_session_id"].isin(session_ids)]
    if values is None:
        chosen = of_sessions
    else:
        ids = [i for value in values for i in _find_probes(value, probes, of_sessions, session_ids)]
        chosen = probes.loc[probes.index.isin(ids)]
    has_lfp = chosen["has_lfp_data"].astype(bool)
    with_lfp, without = chosen[has_lfp], chosen[~has_lfp]
    return LfpChoice(
        session_ids=tuple(int(value) for value in with_lfp["ecephys_session_id"]),
        probe_ids=tuple(int(value) for value in with_lfp.index),
        notes=_note_absence(without),
    )


def _find_probes(
    value: object, probes: pd.DataFrame, of_sessions: pd.DataFrame, session_ids: Sequence[int]
) -> list[int]:
    if isinstance(value, str):
        same_name = of_sessions[of_sessions["name"] == value]
        if same_name.empty:
            choices = describe_choices(value, sorted(of_sessions["name"].unique()))
            raise NotFoundError(f"no chosen session has a probe {value!r}: {choices}")
        if not same_name["has_lfp_data"].any():
            raise NotFoundError(f"{value} has no LFP: none was processed for it")
        return [int(probe_id) for probe_id in same_name.index]
    number = to_whole_number(value, what="probe id")
    # without sessions any probe may be named
    valid = of_sessions.index if session_ids else probes.index
    if number not in valid:
        where = "in the chosen sessions" if session_ids and number in probes.index else ""
        choices = describe_choices(number, valid.tolist())
        raise NotFoundError(f"there is no probe {number}{where and ' '}{where}: {choices}")
    if not probes["has_lfp_data"].loc[number]:
        raise NotFoundError(f"probe {number} has no LFP: none was processed for it")
    return [number]


def _note_absence(without: pd.DataFrame) -> tuple[str, ...]:
    if without.empty:
        return ()
    names = [
        f"{name} ({probe_id}) of session {session_id}"
        for probe_id, name, session_id in zip(
            without.index, without["name"], without["ecephys_session_id"], strict=True
        )
    ]
    listed = ", ".join(names[:N_NAMED])
    if len(names) > N_NAMED:
        listed += f" and {len(names) - N_NAMED} more"
    return (f"no LFP was processed for {listed}",)


def _give_examples(probes: pd.DataFrame) -> str:
    has_lfp = probes["has_lfp_data"].astype(bool).to_numpy(dtype=np.bool_)
    return str([int(value) for value in probes.index[has_lfp][:1]])


def list_targets(
    store: Store,
    *,
    session_ids: Sequence[int],
    lfp: LfpChoice,
    scenes: Sequence[int],
    movies: Sequence[int],
    tables: bool,
) -> list[Target]:
    """List the files.

    Parameters
    ----------
    store
        The folder.
    session_ids
        Sessions whose files are wanted.
    lfp
        Probes whose LFP files are wanted.
    scenes, movies
        Images and movies that are wanted.
    tables
        Whether the four tables are wanted.

    Returns
    -------
    list of Target
        Small ones first, so that what is needed to look around is there early.
    """
    return [
        *(store.target_table(name) for name in TABLE_NAMES if tables),
        *(store.target_scene(number) for number in scenes),
        *(store.target_movie(number) for number in movies),
        *(store.target_session(session_id) for session_id in session_ids),
        *(store.target_lfp(*ids) for ids in zip(lfp.session_ids, lfp.probe_ids, strict=True)),
    ]
