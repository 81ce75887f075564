"""Find the files that a request for sessions, LFP, images and movies needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices
from spikehouse.labelled import to_ids
from spikehouse.project._tables import to_whole_number
from spikehouse.survey.store import Store, TableName, Target

N_SCENES = 118
MOVIES = (1, 3)
TABLE_NAMES: tuple[TableName, ...] = ("sessions", "probes", "channels", "units")
N_NAMED = 6


@dataclass(frozen=True)
class LfpChoice:
    """The probes with the requested LFP."""

    # one per file, in the order of the table of probes
    session_ids: tuple[int, ...] = ()
    probe_ids: tuple[int, ...] = ()
    # remarks for the plan, such as probes without LFP
    notes: tuple[str, ...] = ()


def list_values(value: object, *, what: str) -> list[object]:
    """Return a list of ids from one value or several."""
    if isinstance(value, str | bytes | bool) or not isinstance(value, Iterable):
        return [value]
    if isinstance(value, pd.DataFrame):
        return list(to_ids(value, what.replace(" ", "_")))
    if isinstance(value, dict):
        raise InvalidArgumentError(f"a dict is not a list of {what}s: give the ids")
    return list(value)


def choose_numbers(asked: object, valid: Sequence[int], *, what: str) -> list[int]:
    """Return the requested numbers: all, none, one or several."""
    if asked is True or asked is False:
        return list(valid) if asked else []
    numbers = [to_whole_number(value, what=what) for value in list_values(asked, what=what)]
    for number in numbers:
        if number not in valid:
            raise NotFoundError(f"there is no {what} {number}: {describe_choices(number, valid)}")
    return numbers


def choose_lfp(asked: object, probes: pd.DataFrame, session_ids: Sequence[int]) -> LfpChoice:
    """Return the probes with the requested LFP."""
    if asked is False:
        return LfpChoice()
    values = None if asked is True else list_values(asked, what="probe")
    is_by_name = values is None or any(isinstance(value, str) for value in values)
    if is_by_name and not session_ids:
        raise InvalidArgumentError(
            "lfp needs session ids or probe ids: pass session_ids too, or probe ids as in "
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
    """List the requested files."""
    # small files first, so that the tables are there early
    return [
        *(store.target_table(name) for name in TABLE_NAMES if tables),
        *(store.target_scene(number) for number in scenes),
        *(store.target_movie(number) for number in movies),
        *(store.target_session(session_id) for session_id in session_ids),
        *(store.target_lfp(*ids) for ids in zip(lfp.session_ids, lfp.probe_ids, strict=True)),
    ]
