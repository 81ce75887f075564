"""Reproduce a study: measure or read, summarize, compare, and write figures and a page."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from spikehouse.errors import CohortError, InvalidArgumentError, NotFoundError, describe_choices
from spikehouse.report import Log, make_folder, save_figure, write_page
from spikehouse.reproduce import figures
from spikehouse.reproduce.studies import STUDIES
from spikehouse.reproduce.study import Findings, Part, Study, compare, is_simulated, read_published
from spikehouse.reproduce.tables import NO_LIMITS, join_files, list_files, read_units

if TYPE_CHECKING:
    from spikehouse.cache import EcephysProjectCache
    from spikehouse.cohort import Cohort

Origin = Literal["tables", "spikes"]
ORIGINS: tuple[Origin, ...] = get_args(Origin)
SIMULATED = (
    "SIMULATED DATA. These units are simulated, not recorded from animals, and the published "
    "numbers do not apply to them. Verdicts only say whether a correlation or difference that the "
    "publication found has its sign here."
)


@dataclass(frozen=True)
class Reproduction:
    """The result of `reproduce`.

    Attributes
    ----------
    study
        Name of the study.
    values
        One row a number: figure, measure, quantity, area; value, with low and high, what holds 95 %
        of resampled sessions; published, difference, tolerance; verdict (``"reproduced"``,
        ``"differs"``, ``"not computed"``, ``"same file"`` for what was derived from a file in
        ``tables`` and is found again; of simulated data ``"same sign"``, ``"other sign"``,
        ``"not comparable"``; empty where nothing was published) and its reason: why there is no
        value, or that the interval of one with the same sign includes 0; how and source of the
        published number.
    page
        Path of ``report.html``.
    is_simulated
        Whether the data are simulated.
    """

    study: str
    values: pd.DataFrame
    page: Path
    is_simulated: bool

    def __repr__(self) -> str:
        counts = self.values.loc[self.values["verdict"] != "", "verdict"].value_counts()
        said = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
        simulated = " (simulated data)" if self.is_simulated else ""
        return f"{self.study}{simulated}: {said}; see {self.page}"


def reproduce(
    study: str,
    cache: EcephysProjectCache,
    *,
    results: str | Path,
    origin: Origin = "tables",
    tables: Iterable[str | Path] = (),
    session_ids: int | Iterable[int] | None = None,
    workers: int | None = None,
    log: Log | None = None,
    command: str | None = None,
) -> Reproduction:
    """Compute the results of a study again and compare them with the published ones.

    Parameters
    ----------
    study
        One of ``STUDIES``.
    cache
        The cache of the survey.
    results
        Folder for the results, created if it does not exist: ``report.html``, ``results.parquet``,
        and every figure as PDF and PNG. They replace those of an earlier call for this study.
    origin
        ``"tables"``: the released tables of units, in seconds. ``"spikes"``: every measure from the
        sessions, which are read from the cache or streamed. What was computed is kept in
        ``results`` and not computed again.
    tables
        Files (.csv or .parquet), or folders of them, whose columns are joined to the released
        tables by ecephys_unit_id or unit_id.
    session_ids
        Only these sessions; all if None.
    workers
        Number of processes for ``origin="spikes"``; one session after the other if None.
    log
        Where to print; default: the standard output.
    command
        The command to show on the page; default: that of these arguments.

    Returns
    -------
    Reproduction
        The values with their verdicts, and the path of the page.

    Raises
    ------
    NotFoundError
        If there is no such study, or a file in ``tables`` does not exist.
    InvalidFileError
        If a file in ``tables`` is no table of units.
    InvalidArgumentError
        If the tables have nothing of the study, or ``results`` has the results of another one.
    CohortError
        If no session could be computed.
    """
    if study not in STUDIES:
        raise NotFoundError(f"there is no study {study!r}: {describe_choices(study, STUDIES)}")
    if origin not in ORIGINS:
        raise InvalidArgumentError(
            f"there is no origin {origin!r}: {describe_choices(origin, ORIGINS)}"
        )
    paths = [tables] if isinstance(tables, str | Path) else list(tables)
    if paths and origin == "spikes":
        raise InvalidArgumentError(
            f"tables={[str(path) for path in paths]} goes with origin='tables': from spikes, "
            "everything is computed"
        )
    files = list_files(paths)
    chosen = STUDIES[study]
    if origin == "tables" and not any(part.is_tabulated for part in chosen.parts):
        raise InvalidArgumentError(
            f"the tables of the survey have nothing of {study}: compute it with --from spikes "
            "(origin='spikes')"
        )
    folder = Path(results).expanduser()
    _refuse_others(folder, study)
    if session_ids is not None and not isinstance(session_ids, int):
        session_ids = list(session_ids)
    log = log if log is not None else Log()
    # a session that does not exist is refused before anything is written
    kind = chosen.session_type
    cohort = cache.cohort(session_ids=session_ids, session_type=kind, **NO_LIMITS)
    make_folder(folder)
    n_before = len(log.sections)
    used = set(cohort.sessions.index)
    data: dict[str, pd.DataFrame] = {}
    findings: dict[str, Findings] = {}
    for part in chosen.parts:
        with log.step(f"{part.title}: data"):
            table: pd.DataFrame | None
            if origin == "spikes":
                place = folder / "sessions" / part.name
                table, done = _measure(part, cohort, place, workers, log)
                used &= done
            else:
                table = _read(part, cache, files, cohort.sessions, log)
        if table is None:
            findings[part.name] = _ask_for_spikes(part)
            continue
        data[part.name] = table
        findings[part.name] = part.summarize(table)
    simulated = any(is_simulated(table) for table in data.values())
    names = {path.name for path in files}
    values = compare(findings, read_published(study), is_simulated=simulated, files=names)
    n_data = len(log.sections)
    sessions = cache.get_session_table()
    n_all = len(sessions) if kind is None else int((sessions["session_type"] == kind).sum())
    log.headline("sessions", f"{len(used)} of {n_all}")
    _remove_figures(folder, chosen)
    _show(log, chosen, values, findings, folder, simulated=simulated, n_sessions=(len(used), n_all))
    # results first: how they were got is for those who want to know
    log.sections[n_before:] = log.sections[n_data:] + log.sections[n_before:n_data]
    values.assign(study=study, origin=origin).to_parquet(folder / "results.parquet")
    page = write_page(
        log,
        folder / "report.html",
        title=chosen.title,
        kind=f"reproduces {study}",
        about=f"{chosen.reference}, doi:{chosen.doi}: computed again from {origin} "
        f"of {len(used)} of {n_all} {'simulated ' if simulated else ''}sessions.",
        banner=SIMULATED if simulated else "",
        command=command or _write_command(study, folder, origin, paths, session_ids),
    )
    made = Reproduction(study, values, page, simulated)
    log.end(
        f"Wrote {page}, and all values to results.parquet" + (f"\n{SIMULATED}" if simulated else "")
    )
    return made


def compare_tables(study: str, cache: EcephysProjectCache) -> pd.DataFrame:
    """Compute what the released tables have of a study, and compare it, without writing anything.

    Parameters
    ----------
    study
        One of ``STUDIES``.
    cache
        The cache of the survey.

    Returns
    -------
    DataFrame
        The ``values`` of a :class:`Reproduction`.

    Raises
    ------
    NotFoundError
        If there is no such study.
    """
    if study not in STUDIES:
        raise NotFoundError(f"there is no study {study!r}: {describe_choices(study, STUDIES)}")
    chosen = STUDIES[study]
    units = read_units(cache, cache.cohort(session_type=chosen.session_type, **NO_LIMITS).sessions)
    findings = {
        part.name: part.summarize(units) if part.is_tabulated else _ask_for_spikes(part)
        for part in chosen.parts
    }
    return compare(findings, read_published(study), is_simulated=is_simulated(units))


def _ask_for_spikes(part: Part) -> Findings:
    return Findings(reasons={(figure, ""): "only with --from spikes" for figure in part.figures})


def _read(
    part: Part, cache: EcephysProjectCache, files: list[Path], sessions: pd.DataFrame, log: Log
) -> pd.DataFrame | None:
    """Return the units of the tables; None where there are only spikes to compute it from."""
    if not part.is_tabulated:
        log.say("The tables of the survey do not have this: it needs --from spikes.")
        return None
    units, said = join_files(read_units(cache, sessions), files)
    log.say(f"{len(units)} units in the tables of the survey.")
    for text in said:
        log.say(text)
    return units


def _measure(
    part: Part, cohort: Cohort, folder: Path, workers: int | None, log: Log
) -> tuple[pd.DataFrame, set[int]]:
    """Compute the part for every session, or read what was computed before; also say which are."""
    run = cohort.map(part.measure, results=folder, workers=workers)
    log.say(repr(run))
    # the folder may hold sessions of earlier calls
    chosen = cohort.sessions.index
    if n_others := len(set(run.session_ids) - set(chosen)):
        log.say(f"{n_others} of these sessions are of earlier calls, and not used here.")
    failures = run.failures[run.failures.index.isin(chosen)]
    if len(failures):
        log.table(
            failures[["type", "message"]], "Sessions that failed, and are missing from all numbers"
        )
    states = run.records["state"].reindex(chosen)
    done = set(states.index[states == "done"])
    if not done:
        raise CohortError(
            f"none of the {len(chosen)} sessions could be computed; session {failures.index[0]}: "
            f"{failures['type'].iloc[0]}: {failures['message'].iloc[0]}"
        )
    table = run.frame()
    return table[table["session_id"].isin(done)].reset_index(drop=True), done


def _refuse_others(folder: Path, study: str) -> None:
    """Refuse a folder whose results are of another study."""
    file = folder / "results.parquet"
    if not file.exists():
        return
    try:
        there = pd.read_parquet(file, columns=["study"])["study"].iloc[0]
    except (OSError, ValueError, KeyError, IndexError):
        there = "something else"
    if there != study:
        raise InvalidArgumentError(
            f"{file} holds the results of {there}, which would be overwritten: give another folder "
            f"for the results of {study}"
        )


def _remove_figures(folder: Path, study: Study) -> None:
    """Remove the figures of an earlier call, which may be of other data."""
    if (folder / "results.parquet").exists():
        for part in study.parts:
            for name in part.drawings:
                for suffix in ("pdf", "png"):
                    (folder / f"{name}.{suffix}").unlink(missing_ok=True)


def _show(
    log: Log,
    study: Study,
    values: pd.DataFrame,
    findings: dict[str, Findings],
    folder: Path,
    *,
    simulated: bool,
    n_sessions: tuple[int, int],
) -> None:
    """Log figures and notes, then verdicts."""
    for part in study.parts:
        found = findings[part.name]
        if not (found.drawings or found.notes):
            continue
        with log.step(part.title):
            for name, drawing in found.drawings.items():
                figure = drawing.draw()
                if simulated:
                    figures.mark_simulated(figure)
                save_figure(figure, folder / f"{name}.pdf")
                log.figure(save_figure(figure, folder / f"{name}.png"), drawing.caption)
            for text in found.notes:
                log.notice(text)
    verdicts = values[values["verdict"] != ""]
    for verdict, number in verdicts["verdict"].value_counts().items():
        log.headline(str(verdict), str(number))
    with log.step("Verdicts"):
        n_used, n_all = n_sessions
        if n_used < n_all:
            why = (
                "The published values are of all sessions of the authors, and those here may "
                "differ only because they are of fewer."
            )
            log.notice(f"Sessions used: {n_used} of {n_all}." + ("" if simulated else f" {why}"))
        compared = verdicts[~verdicts["verdict"].isin(["not computed", "not comparable"])]
        table = _spell(compared)
        if simulated:
            table = table.drop(columns=["difference", "tolerance"])
        log.table(table, "Ours and the published values", max_rows=len(compared))
        missing = _list_missing(verdicts)
        if len(missing):
            lines = [f"Not computed: {text}." for text in missing.agg(_read_out, axis="columns")]
            log.details(missing.set_index("figure"), "Not computed", printed="\n".join(lines))
        if verdicts["quantity"].str.endswith("_p").any():
            log.say(
                "P-values of the figures are over the means of at most eight areas. They say "
                "nothing about how well each mean is known."
            )
        log.say(
            "Units are no independent draws: they are nested in sessions. The intervals in the "
            "column 95 % come from resampling sessions; of one session there is none. That of r is "
            "no confidence interval: it is pulled towards 0, and shows only how much r varies when "
            "sessions are resampled. That of the slope, in results.parquet, is one."
        )
        log.say("All values, also those without a published one, are in results.parquet.")
        sources = verdicts.groupby(["how", "source"], sort=False).size().rename("values")
        named = sources.reset_index().set_index("how")
        log.details(named, "Where the published values are from")


def _list_missing(verdicts: pd.DataFrame) -> pd.DataFrame:
    """List what was not computed: one row for each reason of a measure."""
    missing = verdicts[verdicts["verdict"] == "not computed"]
    measure = missing["measure"].where(missing["measure"] != "units", missing["quantity"])
    named = missing.assign(measure=measure.str.replace("_", " "))
    keys = ["figure", "measure", "reason"]
    counts = named.groupby(keys, sort=False).size().rename("values").reset_index()
    return counts[["figure", "measure", "values", "reason"]]


def _read_out(row: pd.Series) -> str:
    many = f" ({row['values']} values)" if row["values"] > 1 else ""
    return f"{row['figure']}, {row['measure']}{many}: {row['reason']}"


def _spell(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Write numbers as one reads them."""
    between = [
        "" if np.isnan(low) else f"{low:.2f} to {high:.2f}".replace("-", "−")
        for low, high in zip(verdicts["low"], verdicts["high"], strict=True)
    ]
    quantity = verdicts["quantity"] + np.where(verdicts["area"] == "", "", " " + verdicts["area"])
    table = pd.DataFrame(
        {
            "figure": verdicts["figure"],
            "measure": verdicts["measure"].str.replace("_", " "),
            "quantity": quantity.str.replace("_", " "),
            "ours": [_number(value) for value in verdicts["value"]],
            "95 %": between,
            "published": [_number(value) for value in verdicts["published"]],
            "difference": [_number(value) for value in verdicts["difference"]],
            "tolerance": [_number(value) for value in verdicts["tolerance"]],
            "verdict": verdicts["verdict"],
            "note": verdicts["reason"],
        }
    )
    if not table["note"].any():
        del table["note"]
    return table.set_index("figure")


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    text = f"{value:,.0f}".replace(",", " ") if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−")


def _write_command(
    study: str,
    folder: Path,
    origin: Origin,
    paths: list[Any],
    session_ids: int | Iterable[int] | None,
) -> str:
    words = ["spikehouse", "reproduce", study, "--results", str(folder), "--from", origin]
    for path in paths:
        words += ["--tables", str(path)]
    chosen = [session_ids] if isinstance(session_ids, int) else session_ids
    for number in chosen or ():
        words += ["--session", str(number)]
    return shlex.join(words)
