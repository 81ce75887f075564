"""Reproduce a study: measure or read, summarize, compare, and write figures and a page."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices
from spikehouse.report import Log, make_folder, save_figure, write_page
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
        ``"differs"``, ``"not computed"``; of simulated data ``"same sign"``, ``"other sign"``,
        ``"not comparable"``; empty where nothing was published) and reason; how and source of the
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
        and every figure as PDF and PNG.
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
    if session_ids is not None and not isinstance(session_ids, int):
        session_ids = list(session_ids)
    log = log if log is not None else Log()
    # a session that does not exist is refused before anything is written
    kind = chosen.session_type
    cohort = cache.cohort(session_ids=session_ids, session_type=kind, **NO_LIMITS)
    folder = make_folder(Path(results).expanduser())
    data: dict[str, pd.DataFrame] = {}
    findings: dict[str, Findings] = {}
    for part in chosen.parts:
        with log.step(f"{part.title}: data"):
            table: pd.DataFrame | None
            if origin == "spikes":
                table = _measure(part, cohort, folder / "sessions" / part.name, workers, log)
            else:
                table = _read(part, cache, files, cohort.sessions, log)
        if table is None:
            findings[part.name] = Findings(
                reasons={(figure, ""): "only with --from spikes" for figure in part.figures}
            )
            continue
        data[part.name] = table
        findings[part.name] = part.summarize(table)
    simulated = any(is_simulated(table) for table in data.values())
    values = compare(findings, read_published(study), is_simulated=simulated)
    _show(log, chosen, values, findings, folder, simulated=simulated)
    values.assign(study=study).to_parquet(folder / "results.parquet")
    page = write_page(
        log,
        folder / "report.html",
        title=chosen.title,
        kind=f"reproduces {study}",
        about=f"{chosen.reference}, doi:{chosen.doi}: computed again from {origin}"
        f"{' of simulated data' if simulated else ''}.",
        banner=SIMULATED if simulated else "",
        command=command or _write_command(study, folder, origin, paths, session_ids),
    )
    made = Reproduction(study, values, page, simulated)
    log.end(f"Wrote {page}" + (f"\n{SIMULATED}" if simulated else ""))
    return made


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
) -> pd.DataFrame:
    """Compute the part for every session, or read what was computed before."""
    run = cohort.map(part.measure, results=folder, workers=workers)
    log.say(repr(run))
    if len(run.failures):
        log.table(
            run.failures[["type", "message"]],
            "Sessions that failed, and are missing from all numbers",
        )
    return run.frame()


def _show(
    log: Log,
    study: Study,
    values: pd.DataFrame,
    findings: dict[str, Findings],
    folder: Path,
    *,
    simulated: bool,
) -> None:
    """Log verdicts, figures and notes."""
    verdicts = values[values["verdict"] != ""]
    for verdict, number in verdicts["verdict"].value_counts().items():
        log.headline(str(verdict), str(number))
    with log.step("Verdicts"):
        compared = verdicts[~verdicts["verdict"].isin(["not computed", "not comparable"])]
        table = _spell(compared)
        if simulated:
            table = table.drop(columns=["difference", "tolerance"])
        log.table(table, "Ours and the published values", max_rows=len(compared))
        missing = verdicts[verdicts["verdict"] == "not computed"]
        missing = missing.assign(
            quantity=missing["quantity"].where(missing["measure"] == "units", "")
        )
        keys = ["figure", "measure", "quantity", "reason"]
        for key, rows in missing.groupby(keys, sort=False):
            figure, measure, count, why = map(str, key)
            what = (count or measure).replace("_", " ")
            many = f" ({len(rows)} values)" if len(rows) > 1 else ""
            log.say(f"Not computed: {figure}, {what}{many}: {why}.")
    for part in study.parts:
        found = findings[part.name]
        if not (found.drawings or found.notes):
            continue
        with log.step(part.title):
            for text in found.notes:
                log.notice(text)
            for name, drawing in found.drawings.items():
                figure = drawing.draw()
                if simulated:
                    figure.text(0.995, 0.005, "simulated", ha="right", va="bottom", color="#b35900",
                                fontsize="small")  # fmt: skip
                save_figure(figure, folder / f"{name}.pdf")
                log.figure(save_figure(figure, folder / f"{name}.png"), drawing.caption)
    with log.step("How to read this"):
        if verdicts["quantity"].str.endswith("_p").any():
            log.say(
                "P-values of the figures are over the means of at most eight areas. They say "
                "nothing about how well each mean is known."
            )
        log.say(
            "Units are no independent draws: they are nested in sessions. The intervals in the "
            "column 95 % come from resampling sessions."
        )
        _log_sources(log, verdicts)


def _spell(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Write numbers as one reads them."""
    between = [
        "" if np.isnan(low) else f"{low:.2f} to {high:.2f}"
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
        }
    )
    return table.set_index("figure")


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 1000 else f"{value:.3g}"


def _log_sources(log: Log, verdicts: pd.DataFrame) -> None:
    sources = verdicts.groupby(["how", "source"], sort=False).size().rename("values")
    log.table(sources.reset_index().set_index("how"), "Where the published values are from")


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
