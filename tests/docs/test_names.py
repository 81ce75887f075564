"""Every name of the package that a docstring or a page mentions can be imported."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import spikehouse

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *(page for page in (ROOT / "docs").rglob("*.md") if "decisions" not in page.parts),
]
# classes whose members pages write as `EcephysSession.…`, or `session.…` of an instance
CLASSES = {
    "EcephysSession": "spikehouse.EcephysSession",
    "EcephysProjectCache": "spikehouse.EcephysProjectCache",
    "StimulusResponses": "spikehouse.analysis.StimulusResponses",
    "DecodingResult": "spikehouse.decoding.DecodingResult",
    "Cohort": "spikehouse.cohort.Cohort",
    "CohortRun": "spikehouse.cohort.CohortRun",
    "cohort": "spikehouse.cohort.Cohort",
    "run": "spikehouse.cohort.CohortRun",
    "session": "spikehouse.EcephysSession",
    "cache": "spikehouse.EcephysProjectCache",
}
ROOMS = [
    part.name
    for part in pkgutil.iter_modules(spikehouse.__path__)
    if part.ispkg and part.name not in CLASSES
]
DOTTED = re.compile(r"(?<![\w/.-])spikehouse(?:\.\w+)+")
MEMBER = re.compile(rf"(?<![\w/.\"'])({'|'.join(CLASSES)})\.([a-z]\w+)")
# `:func:` and the like, and single words in backticks that begin with one of the verbs
ROLE = re.compile(r":(?:func|class|meth|attr|mod|data):`~?([\w.]+)`")
FUNCTION = re.compile(r"`((?:compute|plot|decode|fit|find|list)_\w+)`")
MARKDOWN_FUNCTION = re.compile(rf"`((?:{'|'.join(ROOMS)})\.\w+)")
IMPORT = re.compile(r"^from (spikehouse[\w.]*) import (?:\(([^)]*)\)|([\w, ]+))", re.MULTILINE)
# not of this package, or a file
OTHERS = re.compile(r"\.(?:py|org|toml|html)$")


def find(name: str) -> object:
    """Return what a dotted name means, or raise AttributeError or ModuleNotFoundError."""
    head, *rest = name.split(".")
    thing: object = importlib.import_module(head)
    for part in rest:
        if isinstance(thing, type) and part in getattr(thing, "__dataclass_fields__", {}):
            return part
        try:
            thing = getattr(thing, part)
        except AttributeError:
            if not isinstance(thing, ModuleType):
                raise
            thing = importlib.import_module(f"{thing.__name__}.{part}")
    return thing


def read_imports(text: str) -> Iterator[str]:
    """Go through the names that the code of a page or a docstring imports from the package."""
    code = re.sub(r"^ *(?:>>>|\.\.\.) ", "", text, flags=re.MULTILINE)
    for package, *names in IMPORT.findall(code):
        yield from (f"{package}.{name}" for name in re.findall(r"\w+", " ".join(names)))


def list_names(text: str) -> set[str]:
    """List the dotted names of the package in a text."""
    names = set(DOTTED.findall(text)) | set(read_imports(text))
    names |= {f"{CLASSES[owner]}.{member}" for owner, member in MEMBER.findall(text)}
    return {name for name in names if not OTHERS.search(name)}


def list_broken(names: set[str]) -> list[str]:
    """List the names that mean nothing."""
    broken = []
    for name in sorted(names):
        try:
            find(name)
        except (AttributeError, ModuleNotFoundError):
            broken.append(name)
    return broken


def list_modules() -> list[str]:
    found = pkgutil.walk_packages(spikehouse.__path__, "spikehouse.")
    return [part.name for part in found if not part.name.endswith(("__main__", ".allensdk"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page__mentions_only_names_that_import(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page.stem == "CHANGELOG":  # former versions had other names
        text = text.split("\n## ")[1]
    names = list_names(text)
    if page.stem != "changes-in-0.2":
        found = (f"spikehouse.{name}" for name in MARKDOWN_FUNCTION.findall(text))
        names |= {name for name in found if not OTHERS.search(name)}
    assert list_broken(names) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page__imports_from_packages_what_they_export(page: Path) -> None:
    hidden = []
    for name in read_imports(page.read_text(encoding="utf-8")):
        package, _, imported = name.rpartition(".")
        module = importlib.import_module(package)
        is_module = isinstance(getattr(module, imported, None), ModuleType)
        is_package = package.count(".") < 2
        if (imported not in getattr(module, "__all__", ()) and not is_module) or not is_package:
            hidden.append(name)
    assert hidden == []


def read_docstrings(node: ast.AST, owner: str) -> Iterator[tuple[str, str]]:
    """Go through the docstrings of a module: the dotted name of the class or module, and text."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
        if isinstance(node, ast.ClassDef):
            owner = f"{owner}.{node.name}"
        yield owner, ast.get_docstring(node) or ""
    for child in ast.iter_child_nodes(node):
        yield from read_docstrings(child, owner)


@pytest.mark.parametrize("name", list_modules())
def test_docstrings__mention_only_names_that_import(name: str) -> None:
    broken = []
    for owner, text in read_docstrings(
        ast.parse(inspect.getsource(importlib.import_module(name))), name
    ):
        broken += list_broken(list_names(text))
        for mention in (*ROLE.findall(text), *FUNCTION.findall(text)):
            # in the class, the module or its package, or by its whole name; errors anywhere
            package = name.rpartition(".")[0]
            places = (f"{owner}.", f"{name}.", f"{package}.", "spikehouse.errors.", "")
            if all(list_broken({place + mention}) for place in places):
                broken.append(f"{owner}: {mention}")
    assert broken == []


def read_changes() -> list[list[str]]:
    """Return the rows of the tables of changed names, as cells."""
    table = (ROOT / "docs" / "changes-in-0.2.md").read_text(encoding="utf-8")
    return [row.strip("| ").split(" | ") for row in table.splitlines() if row.startswith("| `")]


def test_changes__new_names_import() -> None:
    names = set()
    for old, *between, new in read_changes():
        # a row of arguments begins with the functions, as they are called now
        present = re.findall(r"`([\w.]+)`", old if between else new)
        if "names in `" in new:
            present += [f"{present[-1]}.{name}" for name in re.findall(r"(\w+)`", old)]
        names |= {name if name.startswith("scipy") else f"spikehouse.{name}" for name in present}
    assert len(names) > 60
    assert list_broken(names) == []


def test_changes__new_arguments_are_taken() -> None:
    missing = []
    for functions, _, new in (row for row in read_changes() if len(row) == 3):
        for name in re.findall(r"`([\w.]+)`", functions):
            function = find(f"spikehouse.{name}")
            assert callable(function)
            taken = inspect.signature(function).parameters
            missing += [f"{name}({a})" for a in re.findall(r"`(\w+)`", new) if a not in taken]
    assert missing == []


@pytest.mark.parametrize(
    "page", [*PAGES, *(ROOT / "docs" / "decisions").glob("*.md")], ids=lambda page: page.stem
)
def test_page__names_files_that_are_there(page: Path) -> None:
    named = re.findall(r"`([a-z_]+/[\w/]+\.py)`", page.read_text(encoding="utf-8"))
    roots = (ROOT, ROOT / "tests", ROOT / "src" / "spikehouse")

    assert [name for name in named if not any((root / name).exists() for root in roots)] == []
