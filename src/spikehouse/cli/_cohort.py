"""``spikehouse cohort``: a function over many sessions, and what came of it."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from spikehouse.cli._common import (
    EXIT_ERROR,
    Cache,
    Host,
    Offline,
    Size,
    Sources,
    name_place,
    open_cache,
    plain_errors,
)
from spikehouse.cli._printing import check_out, echo, show_table, write_table
from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices

if TYPE_CHECKING:
    from spikehouse.cohort import Cohort, CohortRun

FAREWELL = "stopped"
READY_MODULE = "spikehouse.cohort.ready"
commands = typer.Typer(
    help="A function over many sessions: computed once each, kept, resumed.", no_args_is_help=True
)

Results: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="Folder of the results; the same command with it goes on."),
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Processes on this machine. Default: one session after the other."),
]
Data: TypeAlias = Annotated[
    str,
    typer.Option(
        help="auto (files that are here, else streamed), local, fetch, stream or fetch-and-drop."
    ),
]
MemoryLimit: TypeAlias = Annotated[str, typer.Option(help="Memory of each worker.")]
AcceptChanged: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--accept-changed-function", help="Keep the results of an earlier text of the function."
    ),
]


def run(
    function: Annotated[
        str,
        typer.Argument(
            help="A Python file and a function f(session, **parameters) in it.",
            metavar="FILE:FUNCTION",
        ),
    ],
    results: Results = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the table of all results to this file.")
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter", "-p", help="NAME=VALUE, the value as in JSON; may be repeated."
        ),
    ] = None,
    workers: Workers = None,
    task: Annotated[
        int | None, typer.Option(help="Number of this job in an array, from 0; with --of.")
    ] = None,
    of: Annotated[int | None, typer.Option(help="Number of jobs in the array.")] = None,
    data: Data = "auto",
    memory_limit: MemoryLimit = "3GB",
    seed: Annotated[int, typer.Option(help="Seed of all sessions.")] = 0,
    accept_changed_function: AcceptChanged = False,
    session: Annotated[
        list[int] | None, typer.Option("--session", help="Only this session; may be repeated.")
    ] = None,
    session_type: Annotated[
        str | None, typer.Option("--type", help="Only sessions of this type.")
    ] = None,
    genotype: Annotated[
        str | None, typer.Option(help="Only mice with this in their genotype.")
    ] = None,
    sex: Annotated[str | None, typer.Option(help="Only mice of this sex, M or F.")] = None,
    structure: Annotated[
        list[str] | None,
        typer.Option("--structure", help="Only sessions with units there; may be repeated."),
    ] = None,
    source: Sources = None,
    cache: Cache = None,
    host: Host = None,
    size: Size = "small",
    offline: Offline = False,
) -> None:
    """Compute a function of a file for every session."""
    with plain_errors(FAREWELL):
        check_out(out)
        if results is None and out is None:
            raise InvalidArgumentError(
                "the results would be lost: give --results FOLDER to keep them, --out FILE to "
                "write them as one table, or both"
            )
        parameters = _parse(parameter or [])
        with open_cache(source, cache, host, size, offline=offline) as project:
            cohort = project.cohort(
                session_ids=session,
                session_type=session_type,
                genotype=genotype,
                sex=sex,
                structure=structure,
            )
            compute, given = find_function(function, cohort)
            found = cohort.map(
                compute,
                parameters={**given, **parameters},
                results=results,
                workers=workers,
                data=data,  # type: ignore[arg-type]  # it checks
                memory_limit=memory_limit,
                seed=seed,
                task=_choose_task(task, of),
                accept_changed_function=accept_changed_function,
            )
            _conclude(found, out)


def _conclude(run: CohortRun, out: Path | None) -> None:
    """Print what came of a run, and exit with an error if a session failed."""
    echo(run, err=True)
    if out is not None and (run.records["state"] == "done").any():
        write_table(run.frame().set_index("session_id"), out)
    if len(run.failures):
        show_table(run.failures[["type", "message"]], what="failures", rows=0)
        raise SystemExit(EXIT_ERROR)


def find_function(name: str, cohort: Cohort) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return a ready function, or one of a file, and what the cohort itself gives it."""
    from spikehouse.cohort.ready import READY

    if name in READY:
        return READY[name], cohort.ready_parameters
    is_file = Path(name).expanduser().is_file()
    file, _, function = (name, "", "") if is_file else name.rpartition(":")
    path = Path(file).expanduser()
    if not file or not path.is_file():
        raise NotFoundError(
            f"{name} is not FILE:FUNCTION: there is no file {file or name}. For instance: "
            "spikehouse cohort run analysis.py:count_spikes --results counts"
        )
    functions = {
        key: value
        for key, value in vars(_load(path)).items()
        if inspect.isfunction(value) and not key.startswith("_")
    }
    if is_file:
        raise NotFoundError(
            f"{name} is a file without a function: write {name}:FUNCTION; it has "
            f"{', '.join(functions) or 'none'}"
        )
    if function not in functions:
        choices = describe_choices(function, functions)
        raise NotFoundError(f"there is no function {function!r} in {path}: {choices}")
    return functions[function], {}


def _load(path: Path) -> Any:  # noqa: ANN401 - a module
    # files beside it may be imported by it
    sys.path.insert(0, str(path.parent.absolute()))
    name = path.stem if path.stem not in sys.modules else f"cohort_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidArgumentError(f"{path} is not a Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        raise InvalidArgumentError(
            f"{path} calls sys.exit({error.code!r}) when it is loaded, so nothing was computed: "
            'put that below if __name__ == "__main__":'
        ) from error
    except Exception as error:
        lines = [
            step.lineno
            for step in traceback.extract_tb(error.__traceback__)
            if step.filename == str(path.absolute())
        ]
        place = f", line {lines[-1]}" if lines else ""
        raise InvalidArgumentError(
            f"{path}{place} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    return module


def _parse(words: list[str]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise InvalidArgumentError(f"--parameter {word} is not NAME=VALUE")
        try:
            parameters[name] = json.loads(value)
        except ValueError:
            if _is_json(f"[{value}]") and value:
                raise InvalidArgumentError(
                    f"--parameter {word} is no list: write {name}=[{value}]"
                ) from None
            # quotes of a text may be left out
            parameters[name] = value
    return parameters


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _choose_task(task: int | None, of: int | None) -> tuple[int, int] | None:
    if (task is None) != (of is None):
        raise InvalidArgumentError("--task and --of belong together: --task 0 --of 8 is the first")
    return None if task is None or of is None else (task, of)


@commands.command()
def status(
    results: Annotated[Path, typer.Argument(help="Folder of results.")],
) -> None:
    """Say which sessions are done, failed or still to do."""
    with plain_errors(FAREWELL):
        from spikehouse.cohort import CohortRun

        found = CohortRun(results)
        echo(found, err=True)
        columns = ["state", "seconds", "n_bytes", "n_rows", "error"]
        todo = {"state": "to do", "error": ""}
        table = found.records[columns].reindex(found.session_ids)
        show_table(table.fillna(todo), what="sessions", rows=0)


@commands.command()
def retry(
    results: Annotated[Path, typer.Argument(help="Folder of results.")],
    function: Annotated[
        str | None,
        typer.Option(help="FILE:FUNCTION, where it is not a ready function."),
    ] = None,
    workers: Workers = None,
    data: Data = "auto",
    memory_limit: MemoryLimit = "3GB",
    accept_changed_function: AcceptChanged = False,
    source: Sources = None,
    cache: Cache = None,
    host: Host = None,
    size: Size = "small",
    offline: Offline = False,
) -> None:
    """Compute the sessions of a folder of results that failed again."""
    with plain_errors(FAREWELL):
        from spikehouse.cohort import CohortRun
        from spikehouse.cohort.ready import READY

        failed = CohortRun(results)
        ids = [int(one) for one in failed.failures.index]
        if not ids:
            echo("no session failed", err=True)
            return
        facts = failed.facts
        # a folder may come from anybody: neither code nor places that it names are used unseen
        known = facts["function"]
        ready = READY.get(known["name"]) if known["module"] == READY_MODULE else None
        if ready is None and function is None:
            raise InvalidArgumentError(
                f"the results in {results} are those of a function of a file. If it is still "
                f"the one you want to run, add --function {known['file']}:{known['name']}"
            )
        if source is None and cache is None and not offline:
            raise InvalidArgumentError(_name_options(results, facts["cache"]))
        with open_cache(source, cache, host, size, offline=offline) as project:
            cohort = project.cohort(session_ids=ids, **facts["filters"])
            if function is not None:
                ready, _ = find_function(function, cohort)
            assert ready is not None
            found = cohort.map(
                ready,
                parameters=facts["parameters"],
                results=results,
                workers=workers,
                data=data,  # type: ignore[arg-type]  # it checks
                memory_limit=memory_limit,
                seed=facts["seed"],
                accept_changed_function=accept_changed_function,
            )
            _conclude(found, None)


def _name_options(results: Path, cache: dict[str, Any] | None) -> str:
    if cache is None:
        return (
            f"the results in {results} come from a source that no option stands for: say where "
            "the files are with --source and --cache"
        )
    source, folder, host, size = (cache.get(key) for key in ("source", "cache", "host", "size"))
    options = name_place(source, folder, host, str(size or "small"))
    options += " --offline" if cache.get("offline") else ""
    return (
        f"say where the files are. The results in {results} were begun with these options: if you "
        f"know the places, add them: {options}"
    )


def _add_commands() -> None:
    """Add ``run``, and a command for each ready function, which differ in the function only."""
    from spikehouse.cohort.ready import READY, list_options

    commands.command()(run)
    for name, function in READY.items():
        command = _make_command(name)
        summary = (inspect.getdoc(function) or "").partition("\n\n")[0]
        options = [f"{one.name}={json.dumps(one.default)}" for one in list_options(function)]
        takes = f"--parameter takes, with these defaults: {', '.join(options)}"
        commands.command(name, help=f"{summary}\n\n{takes}.")(command)


def _make_command(name: str) -> Callable[..., None]:
    def command(**options: Any) -> None:  # noqa: ANN401
        run(name, **options)

    signature = inspect.signature(run, eval_str=True)
    kept = [one for key, one in signature.parameters.items() if key != "function"]
    vars(command)["__signature__"] = signature.replace(parameters=kept)
    return command


_add_commands()
