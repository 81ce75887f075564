"""Write the pages of the reference that say what the code says: the columns and the commands.

They are files, and ignored by git, because search and the texts for language models read files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from spikehouse import schema
from spikehouse.cli import app as commands
from spikehouse.demo import TRUTH_COLUMNS
from spikehouse.schema import Column, Table, cache_tables

# -- columns ---------------------------------------------------------------------------------------
DTYPES = {
    "int": "int64", "float": "float64", "bool": "bool", "str": "str", "list": "object (lists)",
    "mixed": "object",
}  # fmt: skip
NO_RENAMES: Mapping[str, str] = {}
SESSION_TABLES = {
    "session.units": schema.UNITS,
    "session.channels": schema.CHANNELS,
    "session.probes": schema.PROBES,
    "session.stimulus_presentations": schema.STIMULUS_PRESENTATIONS,
    "session.presentationwise_spike_times()": schema.PRESENTATIONWISE_SPIKE_TIMES,
    "session.running_speed": schema.RUNNING_SPEED,
    "session.get_pupil_data()": schema.PUPIL_DATA,
    "session.get_screen_gaze_data()": schema.SCREEN_GAZE,
    "session.optogenetic_stimulation_epochs": schema.OPTOGENETIC_EPOCHS,
    "session.invalid_times": schema.INVALID_TIMES,
}
SURVEY_TABLES = {
    "cache.get_session_table()": (cache_tables.SESSIONS, {"genotype": "full_genotype"}),
    "cache.get_probes()": (cache_tables.PROBES, NO_RENAMES),
    "cache.get_channels()": (cache_tables.CHANNELS, NO_RENAMES),
    "cache.get_units()": (cache_tables.UNITS, cache_tables.UNIT_RENAMES),
}


def write_columns() -> Iterator[str]:
    """Write the dictionary of columns, line by line."""
    yield "# Dictionary of columns"
    yield ""
    yield "Every column of every table: its dtype, unit and meaning. *May be absent* are columns"
    yield "that not every recording has. *From* is the column in the file, where that has another"
    yield "name."
    yield ""
    yield "## Tables of a session"
    for name, table in SESSION_TABLES.items():
        yield from _describe_table(f"`{name}`", table)
    yield ""
    yield "## Tables of the survey"
    yield ""
    yield "These are the columns of the CSV files in the cache folder, under their names in the"
    yield "tables in Python. Each table also has the columns of those above it: a unit those of its"
    yield "channel, probe and session. The columns that `suppress=` leaves out by default are named"
    yield "in the docstring of each method."
    for name, (table, renames) in SURVEY_TABLES.items():
        yield from _describe_table(f"`{name}`", table, renames)
    yield from _describe_table("Counts in these tables", cache_tables.COUNTS)
    yield ""
    yield "## Tuning metrics"
    yield ""
    yield "Of `session.units_with_metrics`, `session.analyze()` and"
    yield "`cache.get_unit_analysis_metrics_by_session_type()`."
    yield from _describe_table("", cache_tables.METRICS)
    yield ""
    yield "## The demo's truth"
    yield ""
    yield "What `Survey.truth()` says of each simulated unit."
    yield ""
    yield from write_table(("Column", "Meaning"), ((f"`{n}`", m) for n, m in TRUTH_COLUMNS.items()))
    yield from _list_tables()


def _list_tables() -> Iterator[str]:
    yield ""
    yield "## In Python"
    yield ""
    yield "```{eval-rst}"
    yield ".. automodule:: spikehouse.schema"
    yield "```"
    yield ""
    yield "Each table has its `columns`, with `name`, `kind`, `unit`, `meaning` and `source`."
    for name in schema.__all__:
        table = getattr(schema, name)
        if isinstance(table, Table):
            yield ""
            yield f"```{{py:data}} {name}"
            yield ":module: spikehouse.schema"
            yield ":no-contents-entry:"
            yield ""
            yield table.meaning
            yield "```"


def _describe_table(
    title: str, table: Table, renames: Mapping[str, str] = NO_RENAMES
) -> Iterator[str]:
    yield ""
    if title:
        yield f"### {title}"
        yield ""
    index = f" Index: `{table.index}`." if table.index else ""
    yield f"{table.meaning}{index}"
    yield ""
    rows = (
        (f"`{renames.get(c.name, c.name)}`", DTYPES[c.kind], c.unit, _meaning(c, renames))
        for c in table.columns
    )
    yield from write_table(("Column", "dtype", "Unit", "Meaning"), rows)


def _meaning(column: Column, renames: Mapping[str, str]) -> str:
    source = column.source or (column.name if column.name in renames else "")
    is_name = re.fullmatch(r"[\w./]+", source) and source != "computed"
    said = [column.meaning, *([f"from `{source}`" if is_name else source] * bool(source))]
    return "; ".join([*said, *(["*may be absent*"] * column.optional)])


def write_table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Write a table in Markdown, line by line."""
    heads = list(heads)
    for row in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


# -- commands --------------------------------------------------------------------------------------
# options in more commands than this are described once
N_REPEATED = 4
# and more of them than this are named at the first of the commands that take the same
N_NAMED = 10


def list_commands() -> dict[str, Any]:
    """Return the commands, and the groups of commands, by what is typed."""
    import typer

    def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
        yield name, command
        for part, inner in getattr(command, "commands", {}).items():
            yield from below(f"{name} {part}", inner)

    return dict(below("spikehouse", typer.main.get_command(commands)))


def list_options(name: str, command: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    """Return what ``--help`` says of a command's arguments and options, as (name, meaning)."""
    context = command.make_context(name, [], resilient_parsing=True)
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    return [record for record in records if record and record[0] != "--help"]


def write_commands() -> Iterator[str]:
    """Write the page of the command line, line by line."""
    options = {name: list_options(name, command) for name, command in list_commands().items()}
    counts = Counter(record for records in options.values() for record in records)
    repeated = [record for record, count in counts.items() if count > N_REPEATED]
    firsts: dict[str, str] = {}
    yield "# Command line"
    yield ""
    yield "`spikehouse COMMAND --help` prints what is here. `python -m spikehouse` is the same"
    yield "command."
    for name, command in list_commands().items():
        is_group = hasattr(command, "commands")
        yield ""
        yield f"{'##' if is_group else '###'} {name}"
        yield ""
        yield _sentences(command.help)
        if is_group:
            own = [record for record in options[name] if record not in repeated]
            if own:
                yield ""
                yield from write_table(("Option", "Meaning"), map(_show, own))
            continue
        context = command.make_context(name, [], resilient_parsing=True)
        pieces = " ".join(command.collect_usage_pieces(context))
        yield ""
        yield "```text"
        yield f"{name} {pieces}"
        yield "```"
        own = [record for record in options[name] if record not in repeated]
        if own:
            yield ""
            yield from write_table(("Argument or option", "Meaning"), map(_show, own))
        shared = [record for record in options[name] if record in repeated]
        if shared:
            names = ", ".join(f"`{re.findall('--[a-z-]+', record[0])[0]}`" for record in shared)
            first = firsts.setdefault(names, name)
            if first != name and len(shared) > N_NAMED:
                names = f"the other options of [{first}](#{first.replace(' ', '-')})"
            yield ""
            yield f"Also {names}: see [below](#options-of-many-commands)."
    yield ""
    yield "## Options of many commands"
    yield ""
    yield from write_table(("Option", "Meaning"), map(_show, repeated))


def _sentences(text: str | None) -> str:
    return " ".join((text or "").split())


def _show(record: tuple[str, str]) -> tuple[str, str]:
    name, meaning = record
    escaped = re.sub(r"([<*])", r"\\\1", _sentences(meaning))
    return f"`{name}`", re.sub(r"(?<!\S)(--[a-z-]+)", r"`\1`", escaped)


# -- pages -----------------------------------------------------------------------------------------
PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "reference/columns.md": write_columns,
    "reference/cli.md": write_commands,
}


def write_pages(folder: Path, pages: Mapping[str, Callable[[], Iterator[str]]] = PAGES) -> None:
    """Write the pages below a folder, unless they are there and say the same."""
    for name, write in pages.items():
        text = "\n".join(write()) + "\n"
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:  # noqa: ANN401
    """Connect to Sphinx, before it looks for pages."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir)), priority=100)
    return {"parallel_read_safe": True}
