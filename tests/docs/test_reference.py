"""The reference says what the code says: every public name once, columns, commands, variables."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pages_from_code
import pandas as pd
import pytest
from parameter_types import add_types, describe, find_types
from public_names import PACKAGES, list_public
from sphinx.util.inventory import InventoryFile
from typer.testing import CliRunner

import spikehouse
from spikehouse import EcephysProjectCache, EcephysSession, compat, errors
from spikehouse.cli import app as commands
from spikehouse.decoding import decode
from spikehouse.schema import Table

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "reference").glob("*.md"))
BUILT = ROOT / "docs" / "_build" / "html" / "objects.inv"
BLOCK = re.compile(
    r"currentmodule:: (\S+)\n\n\.\. autosummary::\n   :nosignatures:\n"
    r"(   :toctree: generated\n)?\n((?:   \S+\n)+)"
)


def read_pages() -> str:
    written = {ROOT / "docs" / name: "\n".join(w()) for name, w in pages_from_code.PAGES.items()}
    hand = {page: page.read_text(encoding="utf-8") for page in PAGES if page not in written}
    return "\n".join([*hand.values(), *written.values()])


def read_names(*, described: bool) -> Iterator[str]:
    """Go through the names with a page or an entry of their own, or else through those listed."""
    for module, is_described, names in BLOCK.findall(read_pages()):
        if bool(is_described) == described:
            yield from (f"{module}.{name.lstrip('~')}" for name in names.split())
    if described:
        for name, module in re.findall(r"\{py:data\} (\S+)\n:module: (\S+)\n", read_pages()):
            yield f"{module}.{name}"


def test_reference__has_every_public_name_once() -> None:
    counts = Counter(read_names(described=True))

    assert [name for name, count in counts.items() if count > 1] == []
    assert set(counts) == set(list_public())


def test_reference__has_every_public_package_once() -> None:
    assert sorted(re.findall(r"automodule:: (\S+)", read_pages())) == sorted(PACKAGES)


def test_public_names__are_of_every_package_that_is_not_for_use_inside() -> None:
    index = (ROOT / "docs" / "reference" / "index.md").read_text(encoding="utf-8")
    inside = re.search(r"The other packages \((.*?)\)", index)
    assert inside
    packages = {name.name for name in Path(inspect.getfile(spikehouse)).parent.iterdir()}
    packages = {name.removesuffix(".py") for name in packages if not name.startswith(("_", "py.t"))}
    public = {name.partition(".")[2] for name in PACKAGES}
    # homes of classes that are exported by the package itself, or public by name
    assert packages - public - {"session", "session_source"} == set(
        re.findall(r"`(\w+)`", inside[1])
    )


@pytest.mark.parametrize("owner", [EcephysSession, EcephysProjectCache])
def test_reference__lists_every_member_by_task(owner: type) -> None:
    prefix = f"spikehouse.{owner.__name__}."
    listed = [n.removeprefix(prefix) for n in read_names(described=False) if n.startswith(prefix)]

    assert sorted(listed) == sorted(name for name in dir(owner) if not name.startswith("_"))


@pytest.mark.skipif(not BUILT.exists(), reason="the site was not built: see Develop in the README")
def test_built_reference__has_every_public_name_and_method() -> None:
    inventory = InventoryFile.loads(BUILT.read_bytes(), uri="")
    there = {
        name
        for kind in inventory.data
        if kind.startswith("py:") and kind != "py:module"
        for name in inventory.data[kind]
    }
    wanted = set(list_public())
    for name, thing in list_public().items():
        if inspect.isclass(thing):
            members = (m for m, value in vars(thing).items() if not m.startswith("_"))
            wanted |= {f"{name}.{m}" for m in members if is_documented(thing, m)}
    assert wanted - there == set()


def is_documented(owner: type, member: str) -> bool:
    raw = inspect.getattr_static(owner, member)
    is_own = inspect.isfunction(raw) or isinstance(raw, classmethod | staticmethod | property)
    return is_own and bool(inspect.getdoc(raw))


# -- columns ---------------------------------------------------------------------------------------
DTYPES = {"int64": "int", "float64": "float", "bool": "bool", "str": "str", "object": "str"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> EcephysProjectCache:
    folder = tmp_path_factory.mktemp("reference")
    return EcephysProjectCache.from_demo(folder / "manifest.json", size="tiny")


@pytest.fixture(scope="module")
def session(session_path: Path) -> Iterator[EcephysSession]:
    with EcephysSession.from_nwb_path(session_path) as session:
        yield session


@pytest.mark.parametrize("call", pages_from_code.SESSION_TABLES)
def test_columns__of_a_session_are_those_of_its_tables(session: EcephysSession, call: str) -> None:
    table = pages_from_code.SESSION_TABLES[call]
    frame: pd.DataFrame = eval(call, {"session": session})

    assert [name for name in frame if name not in table.column_names] == []
    needed = [c.name for c in table.columns if not c.optional]
    assert [name for name in needed if name not in frame] == []
    assert (frame.index.name or "") == table.index
    kinds = {c.name: c.kind for c in table.columns}
    for name, dtype in frame.dtypes.items():
        kind = kinds[str(name)]
        assert kind in {"mixed", "list"} or kind == DTYPES[str(dtype)], (name, dtype)


@pytest.mark.parametrize("call", pages_from_code.SURVEY_TABLES)
def test_columns__of_the_survey_are_those_of_its_tables(
    cache: EcephysProjectCache, call: str
) -> None:
    known: set[str] = set()
    for other, (table, renames) in pages_from_code.SURVEY_TABLES.items():
        known |= {renames.get(name, name) for name in table.column_names}
        known |= {"genotype"} if other != "cache.get_session_table()" else set()
        if other == call:
            break
    known |= set(pages_from_code.cache_tables.COUNTS.column_names)
    frame: pd.DataFrame = eval(call, {"cache": cache})

    assert [name for name in frame if name not in known] == []


def test_columns__every_row_of_the_page_is_a_column() -> None:
    page = "\n".join(pages_from_code.write_columns())
    tables: list[Table] = [
        *pages_from_code.SESSION_TABLES.values(),
        *(table for table, _ in pages_from_code.SURVEY_TABLES.values()),
        pages_from_code.cache_tables.COUNTS, pages_from_code.cache_tables.METRICS,
    ]  # fmt: skip
    n_rows = sum(len(table.columns) for table in tables) + len(pages_from_code.TRUTH_COLUMNS)
    assert len(re.findall(r"^\| `", page, flags=re.MULTILINE)) == n_rows
    assert "| `waveform_duration` | float64 | ms | trough to peak |" in page
    assert "| `L_ratio` | float64 |  | contamination by neighbours; from `l_ratio`; *may" in page


# -- commands --------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", pages_from_code.list_commands())
def test_commands__page_says_what_help_prints(name: str) -> None:
    shown = CliRunner().invoke(commands, [*name.split()[1:], "--help"], terminal_width=10_000)
    assert shown.exit_code == 0
    text = "\n".join(pages_from_code.write_commands())
    section = re.search(rf"^##+ {name}\n(.*?)(?=^##)", text + "\n## ", re.DOTALL | re.MULTILINE)
    assert section
    named = section[1]
    if first := re.search(r"the other options of \[.*?\]\(#(.*?)\)", named):
        named = text.partition(f"### {first[1].replace('-', ' ')}\n")[2].partition("\n#")[0]
    shared = text.partition("## Options of many commands")[2]

    printed = re.findall(r"^  (\S.*?)  +(\S.*)$", shown.output.partition("Options:")[0], re.M)
    printed += re.findall(
        r"^  (-.*?)  +(\S.*)$", shown.output.partition("Options:")[2], flags=re.MULTILINE
    )
    options = [(option, said) for option, said in printed if option != "--help"]
    assert options or "[OPTIONS]" in shown.output
    for option, said in options:
        row = f"| `{escape(option)}` | {tick(said)} |"
        is_shared = row in shared and f"`{re.findall('--[a-z-]+|$', option)[0]}`" in named
        assert row in section[1] or is_shared, row
    first = shown.output.split("\n\n")[1].split("\n")[0].strip()
    assert first in section[1]


def escape(cell: str) -> str:
    return cell.replace("|", "\\|")


def tick(cell: str) -> str:
    """Write a cell as the page does: options as code, no character that Markdown reads."""
    cell = re.sub(r"([<*])", r"\\\1", " ".join(cell.split()))
    return escape(re.sub(r"(?<!\S)(--[a-z-]+)", r"`\1`", cell))


# -- variables -------------------------------------------------------------------------------------
def test_environment__page_has_the_variables_that_are_read() -> None:
    page = (ROOT / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
    files = [
        *(path for top in ("src", "tests", "benchmarks") for path in (ROOT / top).rglob("*.py")),
        ROOT / "docs" / "conf.py", ROOT / ".ci" / "run",
    ]  # fmt: skip
    texts = [path.read_text(encoding="utf-8") for path in files if path.exists()]
    ours = {name for text in texts for name in re.findall(r"\bSPIKEHOUSE_[A-Z_]+\b", text)}
    assert set(re.findall(r"`(SPIKEHOUSE_[A-Z_]+)`", page)) == ours

    read: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "environ" in text or "getproxies" in text:
            nodes = list(ast.walk(ast.parse(text)))
            values = {node.value for node in nodes if isinstance(node, ast.Constant)}
            names = {node.id for node in nodes if isinstance(node, ast.Name)}
            imported = {a.name for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names}
            words = {value for value in values - names - imported if isinstance(value, str)}
            read |= {word for word in words if re.fullmatch("[A-Z]+_?[A-Z_]+", word)}
    read -= {"CRITICAL"}
    assert {"DISPLAY", "MKL_NUM_THREADS", "MPLBACKEND", "SPIKEHOUSE_CACHE"} <= read
    assert {name for name in read if f"`{name}`" not in page} == set()


# -- errors ----------------------------------------------------------------------------------------
def test_errors__tree_is_that_of_the_classes() -> None:
    tree = re.findall(r"^[ │├└─]*(\w+Error) +\(([\w, ]+)\)", errors.__doc__ or "", re.MULTILINE)
    tree += re.findall(r"``(\w+Error)`` \(([\w, ]+)\)", (errors.__doc__ or "").replace("\n", " "))
    assert len(tree) == 9
    for name, bases in tree:
        raised = getattr(errors, name, None) or getattr(compat, name)
        for base in bases.split(", "):
            assert issubclass(raised, getattr(importlib.import_module("builtins"), base))
    nested = re.findall(r"^    │   └── (\w+)", errors.__doc__ or "", re.MULTILINE)
    assert nested == ["SessionNotFoundError", "ChecksumError"]
    for name in errors.__all__:
        assert name in (errors.__doc__ or "")


def test_errors__page_says_what_helps_with_each() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    advised = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(["SpikehouseError", *advised]) == errors.__all__


# -- types -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ("int | None", "int or None"),
        ("str | Iterable[str | int] | None", "str, iterable of str or int or None"),
        ("Literal['null', 'nan'] | None", "{'null', 'nan'} or None"),
        ("tuple[float, float]", "(float, float)"),
        ("tuple[str, ...]", "tuple of str"),
        ("npt.NDArray[np.float64]", "ndarray of float"),
        ("npt.NDArray[Any]", "ndarray"),
        ("Mapping[str, Any] | pd.DataFrame", "mapping of str to object or DataFrame"),
        ("Callable[[int, int], None]", "callable"),
        ("Missing", "{'null', 'nan'}"),
        ("Ids | None", "array_like, DataFrame, Index, iterable of int or None"),
        ("DecodingResult", ":class:`~spikehouse.decoding.DecodingResult`"),
    ],
)
def test_describe__says_what_may_be_given(annotation: str, words: str) -> None:
    assert describe(annotation, "spikehouse.session") == words


def test_find_types__of_a_class_are_those_of_its_fields_and_parameters() -> None:
    types = find_types(spikehouse.decoding.DecodingResult)
    assert types["n_units"] == "int"
    assert find_types(decode)["targets"] == "array_like, Series or DataArray"
    assert find_types(errors.CacheError) == {}


def test_add_types__writes_types_of_parameters_alone() -> None:
    lines = [
        "Decode.", "", "Parameters", "----------", "one, two", "    Numbers.", "three", "    Any.",
        "four, five", "    Differ.", "**rest", "    Passed on.", "", "Returns", "-------", "int",
        "    One.",
    ]  # fmt: skip
    before = list(lines)
    types = {"one": "int", "two": "int", "three": "object", "four": "int", "five": "str"}
    add_types(lines, {**types, "rest": "float", "int": "bad"})

    assert [new for old, new in zip(before, lines, strict=True) if old != new] == ["one, two : int"]


# -- files -----------------------------------------------------------------------------------------
def test_write_pages__leaves_a_page_that_is_up_to_date(tmp_path: Path) -> None:
    (tmp_path / "reference").mkdir()
    pages_from_code.write_pages(tmp_path)
    pages = sorted((tmp_path / "reference").iterdir())
    assert [page.name for page in pages] == ["cli.md", "columns.md"]
    before = [page.stat().st_mtime_ns for page in pages]
    pages_from_code.write_pages(tmp_path)
    assert [page.stat().st_mtime_ns for page in pages] == before
    pages[0].write_text("old", encoding="utf-8")
    pages_from_code.write_pages(tmp_path)
    assert pages[0].read_text(encoding="utf-8").startswith("# Command line\n")


def test_list_public__names_import() -> None:
    for name, thing in list_public().items():
        package, _, last = name.rpartition(".")
        module = importlib.import_module(package)
        assert isinstance(module, ModuleType)
        assert getattr(module, last) is thing
