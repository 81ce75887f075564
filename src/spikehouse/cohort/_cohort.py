"""A selection of sessions, and a function over them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from inspect import getdoc, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from spikehouse.catalogue import UnitFilter
from spikehouse.cohort import ready
from spikehouse.cohort._describe import describe_function
from spikehouse.cohort._engine import Engine
from spikehouse.cohort._functions import check_function, to_plain
from spikehouse.cohort._run import CohortRun, Order
from spikehouse.cohort._task import Data, Project, Work
from spikehouse.errors import (
    InvalidArgumentError,
    NotFoundError,
    SessionNotFoundError,
    describe_choices,
    describe_value,
)
from spikehouse.schema import list_data_notes
from spikehouse.survey.plan import FetchPlan, list_values, to_whole_number

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Cohort"]

# how the docstring of a ready function goes on as that of a method
_RESULTS = """
results
    Folder of the results, as in :meth:`Cohort.map`.
**options
    Other arguments of :meth:`Cohort.map`.

Returns
-------
CohortRun
    Its :meth:`CohortRun.frame` has what the survey's tables say of session and unit as well.
"""
_PACKAGES = ("spikehouse", "numpy", "pandas", "scipy", "scikit-learn", "numba", "pyarrow")


def _offer(function: Callable[..., pd.DataFrame]) -> Callable[..., CohortRun]:
    """Make a method of a cohort from one of its ready functions."""

    def compute(
        self: Cohort,
        *,
        results: str | Path | None = None,
        **options: Any,  # noqa: ANN401 - of the function and of `map`
    ) -> CohortRun:
        fixed = {"self", "f", "parameters", "results"}
        of_map = [name for name in signature(Cohort.map).parameters if name not in fixed]
        valid = [*(one.name for one in ready.list_options(function)), *of_map]
        for name in options:
            if name not in valid:
                raise InvalidArgumentError(
                    f"{function.__name__} has no parameter {name!r}: "
                    f"{describe_choices(name, [*valid, 'results'])}"
                )
        own = set(of_map) & set(options)
        given = {key: value for key, value in options.items() if key not in own}
        return self.map(
            function,
            parameters={**self.ready_parameters, **given},
            results=results,
            **{key: options[key] for key in own},
        )

    self, *others = signature(compute).parameters.values()
    shown = [self, *ready.list_options(function), *others]
    vars(compute)["__signature__"] = signature(compute).replace(parameters=shown)
    compute.__name__, compute.__qualname__ = function.__name__, f"Cohort.{function.__name__}"
    text, heading, examples = (getdoc(function) or "").partition("\n\nExamples\n")
    compute.__doc__ = f"{text}{_RESULTS}{heading[1:]}{examples}"
    return compute


class Cohort:
    """A selection of sessions of a survey; :meth:`Cohort.map` computes a function for each.

    Made by :meth:`spikehouse.EcephysProjectCache.cohort`.

    Parameters
    ----------
    project
        The cache of the survey.
    session_ids
        Ids of the sessions to choose from; all if None.
    session_type
        Only sessions of this type.
    genotype
        Only mice with this text in their ``full_genotype``, in any case of letters.
    sex
        Only mice of this sex, "M" or "F".
    structure
        Only sessions with units in this structure, or in one of several; :attr:`units` then holds
        only those units.
    **unit_filter_kwargs
        Filters of units, as in :meth:`spikehouse.EcephysProjectCache.get_session_data`, where
        units outside the brain are left out as well.

    Raises
    ------
    SessionNotFoundError
        If a session does not exist.
    NotFoundError
        If no session has the session type, genotype, sex or structure, or all of them.
    InvalidArgumentError
        If a filter does not exist, or a limit is not a number.

    Examples
    --------
    >>> def count_spikes(session):
    ...     return {"n_spikes": sum(map(len, session.spike_times.values()))}
    >>> cohort = cache.cohort(session_ids=[900000001, 900000002])
    >>> cohort.map(count_spikes).frame()
       session_id  n_spikes
    0   900000001     10892
    """

    def __init__(
        self,
        project: Project,
        *,
        session_ids: int | Iterable[int] | None = None,
        session_type: str | None = None,
        genotype: str | None = None,
        sex: str | None = None,
        structure: str | Iterable[str] | None = None,
        **unit_filter_kwargs: object,
    ) -> None:
        self._project = project
        self._filters = asdict(UnitFilter.from_arguments(**unit_filter_kwargs))  # type: ignore[arg-type]
        self._structures = None if structure is None else _list_texts(structure, "structure")
        table = project.get_session_table()
        self._n_all = len(table)
        kept: dict[str, pd.Series[bool]] = {}
        if session_ids is not None:
            kept["session_ids"] = _choose_ids(table, session_ids)
        for name, column, value in (
            ("session_type", "session_type", session_type),
            ("sex", "sex", sex),
        ):
            if value is not None:
                kept[name] = _choose(table[column], value, name)
        if genotype is not None:
            found = table["full_genotype"].str.contains(str(genotype), case=False, regex=False)
            kept["genotype"] = _require(found, genotype, table["full_genotype"], "genotype")
        units = project.get_units(None, **self._filters)
        if self._structures is not None:
            acronyms = units["ecephys_structure_acronym"]
            for name in self._structures:
                _choose(acronyms, name, "structure")
            units = units[acronyms.isin(self._structures)]
            owners = units["ecephys_session_id"].unique()
            kept["structure"] = pd.Series(table.index.isin(owners), index=table.index)
        chosen = pd.DataFrame(kept, index=table.index).all(axis="columns")
        if not chosen.any():
            counts = ", ".join(f"{name}: {int(found.sum())}" for name, found in kept.items())
            raise NotFoundError(
                f"no session of the {len(table)} meets all conditions, though some meet each "
                f"({counts}): leave one out"
            )
        self._sessions = table[chosen].sort_index()
        self._units = units[units["ecephys_session_id"].isin(self._sessions.index)]

    @property
    def sessions(self) -> pd.DataFrame:
        """The rows of the session table, sorted by id."""
        return self._sessions

    @property
    def units(self) -> pd.DataFrame:
        """The units of the sessions that pass the filters, in the chosen structures."""
        return self._units

    def __len__(self) -> int:
        return len(self._sessions)

    def __repr__(self) -> str:
        n_here = sum(map(self._project.is_cached, self._sessions.index.tolist()))
        return (
            f"Cohort: {len(self)} of {self._n_all} sessions, {len(self._units):,} units; "
            f"{n_here} files in the cache folder, {len(self) - n_here} elsewhere"
        )

    def map(
        self,
        f: Callable[..., Any],
        *,
        parameters: Mapping[str, Any] | None = None,
        results: str | Path | None = None,
        workers: int | None = None,
        client: Client | None = None,
        data: Data = "auto",
        memory_limit: str | float = "3GB",
        on_error: Literal["collect", "raise"] = "collect",
        seed: int = 0,
        task: tuple[int, int] | None = None,
        progress: bool | None = None,
        accept_changed_function: bool = False,
    ) -> CohortRun:
        """Compute a function for every session, and keep the results.

        Parameters
        ----------
        f
            Function ``f(session, **parameters)`` that returns a DataFrame, a Series, a DataArray, a
            dictionary or a number. If it has a parameter ``seed`` that is not in ``parameters``, it
            gets one derived from ``seed`` and the session's id.
        parameters
            Arguments of ``f`` by name; what JSON can hold: numbers, texts, lists, dictionaries.
        results
            Folder of the results, which the next call with it completes; by default a temporary
            one that is removed with the run.
        workers
            Number of processes on this machine, no more than it has cores and memory for; None
            computes here, one session after the other.
        client
            A Dask client instead, whose workers compute.
        data
            "auto" reads files that are on this machine, and streams the others; "local" uses
            cached files only; "fetch" downloads what is missing; "stream" is "auto";
            "fetch-and-drop" downloads and removes again what was not there before.
        memory_limit
            Memory of one of ``workers``; one that needs more is ended, and its session failed.
        on_error
            "collect" makes a session that fails a row of ``failures``; "raise" raises its error.
        seed
            Seed of all sessions.
        task
            ``(i, n)`` computes the part i, from 0, of n parts of the sessions, for array jobs that
            share ``results``.
        progress
            Whether to draw a progress bar; None leaves it to ``SPIKEHOUSE_PROGRESS``.
        accept_changed_function
            Go on in a folder of another function, such as a mended one: what is done is kept, and
            ``_run.json`` has both texts and the sessions of the earlier one.

        Returns
        -------
        CohortRun
            The results, those of earlier calls with the same folder included.

        Raises
        ------
        InvalidArgumentError
            If an argument is not valid, or the folder holds results of another function, or of
            other parameters, filters, seed or survey; the message names the difference.
        CohortError
            With ``on_error="raise"``, if the function fails.
        CacheError
            If the folder cannot be written to; what is done is kept.

        Notes
        -----
        Sessions that are done are not computed again, those that failed are. Each worker uses one
        thread. Only ids and the function travel: results are equal to the byte wherever they are
        computed.

        Examples
        --------
        >>> cohort = cache.cohort(session_ids=900000001)
        >>> cohort.map(lambda session: {"n_units": session.num_units}).frame()
           session_id  n_units
        0   900000001       16
        """
        given = dict(parameters or {})
        check_function(f, given)
        _check_choice("data", data, get_args(Data))
        _check_choice("on_error", on_error, ("collect", "raise"))
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise InvalidArgumentError(f"seed={seed!r}; valid: a whole number from 0")
        session_ids = [int(one) for one in self._sessions.index]
        takes_seed = "seed" in signature(f).parameters and "seed" not in given
        described = describe_function(f)
        run = {
            "function": described,
            "parameters": _write_json(given),
            "filters": self._filters,
            "seed": int(seed),
            "survey": self._fingerprint,
            "versions": _list_versions(),
            "cache": self._project.command_options(),
            "sessions": session_ids,
        }
        own_seed = int(seed) if takes_seed else None
        work = Work(self._project, f, described["file"], given, self._filters, data, own_seed)
        part = _take_part(session_ids, task)
        order = Order(work, Engine(workers, client, memory_limit), part, on_error, progress)
        made = CohortRun._begin(results, run, order, accepts=accept_changed_function)
        if f in ready.READY.values():
            made._join = self._join
        return made

    def plan(self, *, lfp: bool | str | int | Iterable[str | int] = False) -> FetchPlan:
        """Plan a download of the files of these sessions.

        Parameters
        ----------
        lfp
            Probes whose LFP files to include, as in :meth:`spikehouse.EcephysProjectCache.plan`.

        Returns
        -------
        FetchPlan
            The files with their sources and sizes; its ``notes`` have the known faults of the
            sessions. :meth:`spikehouse.EcephysProjectCache.fetch` downloads it.

        Examples
        --------
        >>> plan = cache.cohort(session_ids=900000001).plan(lfp="probeA")
        >>> [item.file for item in plan.items if item.kind == "lfp"]
        ['session_900000001/probe_910001000_lfp.nwb']
        """
        ids = self._sessions.index.tolist()
        notes = list_data_notes(ids)
        known = tuple(
            f"session {session}{'' if pd.isna(probe) else f', probe {probe}'}: {note} ({source})"
            for session, probe, note, source in zip(*map(notes.get, notes), strict=True)
        )
        plan = self._project.plan(ids, lfp=lfp)
        return replace(plan, notes=plan.notes + known)

    @property
    def ready_parameters(self) -> dict[str, Any]:
        """What the selection gives the ready functions: its structures, if any were chosen."""
        return {} if self._structures is None else {"structure": self._structures}

    @cached_property
    def _fingerprint(self) -> str:
        """Digest of the ids of all units of the survey."""
        no_filters = dict.fromkeys(self._filters) | {
            "filter_by_validity": False,
            "filter_out_of_brain_units": False,
        }
        ids = np.sort(self._project.get_units(None, **no_filters).index.to_numpy(dtype="<i8"))
        return hashlib.sha256(ids.tobytes()).hexdigest()

    # ---- ready functions

    metrics = _offer(ready.metrics)
    psth = _offer(ready.psth)
    decode = _offer(ready.decode)
    latencies = _offer(ready.latencies)
    timescales = _offer(ready.timescales)
    correlograms = _offer(ready.correlograms)

    def _join(self, table: pd.DataFrame) -> pd.DataFrame:
        # the folder of results may hold other sessions than this selection
        units = self._project.get_units(None, **self._filters)
        return ready.join_tables(table, self._project.get_session_table(), units)


def _choose_ids(table: pd.DataFrame, session_ids: int | Iterable[int]) -> pd.Series[bool]:
    ids = [
        to_whole_number(one, what="session id")
        for one in list_values(session_ids, what="session id")
    ]
    for one in ids:
        if one not in table.index:
            choices = describe_choices(one, table.index.tolist())
            raise SessionNotFoundError(f"there is no session {one}: {choices}")
    if not ids:
        raise NotFoundError(f"no session id is given: {describe_choices('', table.index.tolist())}")
    return pd.Series(table.index.isin(ids), index=table.index)


def _choose(column: pd.Series[Any], value: object, what: str) -> pd.Series[bool]:
    return _require(column == value, value, column, what)


def _require(
    found: pd.Series[bool], value: object, column: pd.Series[Any], what: str
) -> pd.Series[bool]:
    if not found.any():
        valid = sorted(column.dropna().unique().tolist())
        raise NotFoundError(f"no session has {what} {value!r}: {describe_choices(value, valid)}")
    return found


def _list_texts(given: str | Iterable[str], what: str) -> list[str]:
    texts = [given] if isinstance(given, str) else list(given)
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InvalidArgumentError(
            f"{what} is {describe_value(given)}: pass an acronym such as 'VISp', or a list of them"
        )
    return sorted(set(texts))


def _check_choice(name: str, value: object, valid: Sequence[str]) -> None:
    if value not in valid:
        raise InvalidArgumentError(f"{name}={value!r}: {describe_choices(value, valid)}")


def _write_json(parameters: dict[str, Any]) -> dict[str, Any]:
    for name, value in parameters.items():
        try:
            json.dumps(value, default=to_plain)
            _check_keys(value)
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(
                f"the parameter {name} is {describe_value(value)}, which cannot be recorded: "
                f"{error}. Pass numbers, texts, lists or dictionaries, or the path of a file that "
                "the function reads"
            ) from error
    plain: dict[str, Any] = json.loads(json.dumps(parameters, default=to_plain))
    return plain


def _check_keys(value: object) -> None:
    # JSON would make texts of them: {1: 2} and {"1": 2} would be one run
    if isinstance(value, dict):
        for key, inside in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} of a dictionary is not a text")
            _check_keys(inside)
    elif isinstance(value, list | tuple):
        for inside in value:
            _check_keys(inside)


def _take_part(session_ids: list[int], task: tuple[int, int] | None) -> tuple[int, ...]:
    if task is None:
        return tuple(session_ids)
    try:
        part, n_parts = (to_whole_number(value, what="task") for value in task)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"task={task!r}; valid: (i, n), the part i of n, counted from 0"
        ) from error
    if not 0 <= part < n_parts:
        raise InvalidArgumentError(
            f"task={task!r}; valid: parts 0 to {n_parts - 1} of {n_parts}"
            if n_parts > 0
            else f"task={task!r}; valid: (i, n) with n from 1"
        )
    return tuple(session_ids[part::n_parts])


def _list_versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
