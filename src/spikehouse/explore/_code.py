"""A recipe as a program that gives the same arrays without a server."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from spikehouse.explore import recipes
from spikehouse.explore._recipes import SUBJECTS, Recipe


def write_code(recipe: Recipe, arguments: Mapping[str, Any], opening: str) -> str:
    """Write a program: imports, how the subject is opened, the recipe, and the call.

    ``opening`` is the code that binds the subject of the recipe (``session = …``).
    """
    parts = _Parts()
    parts.add_definition(inspect.getmodule(recipe.function) or recipes, recipe.name)
    opened = ast.parse(opening)
    lines = opening.splitlines()
    imports = [node for node in opened.body if isinstance(node, ast.Import | ast.ImportFrom)]
    kept = {node.lineno for node in imports}
    parts.imports |= {ast.unparse(node) for node in imports}
    opening = "\n".join(line for number, line in enumerate(lines, 1) if number not in kept).strip()
    subject = next(name for name in inspect.signature(recipe.function).parameters)
    assert subject in SUBJECTS
    given = "".join(f", {name}={value!r}" for name, value in arguments.items())
    sections = [
        "from __future__ import annotations",
        parts.sort_imports(),
        *parts.definitions.values(),
        f"{opening}\nanswer = {recipe.name}({subject}{given})",
    ]
    return "\n\n".join([*sections[:2], "\n\n".join(f"\n{part}" for part in sections[2:])]) + "\n"


class _Parts:
    """The imports and definitions that a function needs, found by the names in it."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.definitions: dict[tuple[str, str], str] = {}

    def add_definition(self, module: ModuleType, name: str) -> None:
        """Add what a module of recipes calls by this name, after what that needs itself."""
        key = (module.__name__, name)
        if key in self.definitions:
            return
        source, body = _parse(module)
        node = _find(body, name)
        if node is None:
            return  # a builtin, an argument or a local name
        if isinstance(node, ast.Import):
            self.imports.add(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").startswith(recipes.__name__):
                origin = next(a.name for a in node.names if name in (a.asname, a.name))
                self.add_definition(importlib.import_module(node.module or ""), origin)
            else:
                self.imports.add(ast.unparse(node))
        else:
            # marked at once: functions may call each other
            self.definitions[key] = ""
            for needed in _list_names(node):
                self.add_definition(module, needed)
            del self.definitions[key]
            self.definitions[key] = _cut(source, node)

    def sort_imports(self) -> str:
        """Write the imports, those of the package last."""
        ours = {line for line in self.imports if "spikehouse" in line}
        groups = (self.imports - ours, ours)
        return "\n\n".join("\n".join(_order(group)) for group in groups if group)


@functools.cache
def _parse(module: ModuleType) -> tuple[str, list[ast.stmt]]:
    """Read a module once: every name in a recipe is looked up in it."""
    source = inspect.getsource(module)
    return source, ast.parse(source).body


def _order(lines: Iterable[str]) -> list[str]:
    return sorted(lines, key=lambda line: (line.startswith("from"), line))


def _find(body: Iterable[ast.stmt], name: str) -> ast.stmt | None:
    """Return the statement of a module that binds a name; of an import, only that name."""
    for node in body:
        match node:
            case ast.FunctionDef() | ast.ClassDef() if node.name == name:
                return node
            case ast.Assign() if any(
                isinstance(t, ast.Name) and t.id == name for t in node.targets
            ):
                return node
            case ast.AnnAssign(target=ast.Name(id=found)) if found == name:
                return node
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    if name == (alias.asname or alias.name.partition(".")[0]):
                        if isinstance(node, ast.Import):
                            return ast.Import([alias])
                        return ast.ImportFrom(node.module, [alias], node.level)
    return None


def _list_names(node: ast.stmt) -> list[str]:
    """List the names that a statement reads when it runs; annotations are not evaluated."""
    skipped = {id(part) for part in _list_annotations(node)}
    names: dict[str, None] = {}

    def visit(part: ast.AST) -> None:
        if id(part) in skipped:
            return
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            names[part.id] = None
        for child in ast.iter_child_nodes(part):
            visit(child)

    visit(node)
    return list(names)


def _list_annotations(node: ast.stmt) -> list[ast.expr]:
    found: list[ast.expr | None] = []
    for part in ast.walk(node):
        if isinstance(part, ast.arg | ast.AnnAssign):
            found.append(part.annotation)
        elif isinstance(part, ast.FunctionDef):
            found.append(part.returns)
    return [annotation for annotation in found if annotation is not None]


def _cut(source: str, node: ast.stmt) -> str:
    """Return the lines of a statement, with its decorators and the comment above it."""
    lines = source.splitlines()
    decorators = getattr(node, "decorator_list", [])
    first = (decorators[0] if decorators else node).lineno - 1
    while first and lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(lines[first : node.end_lineno])
