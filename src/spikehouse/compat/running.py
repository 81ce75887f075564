"""Run a script or the code cells of a notebook unchanged."""

from __future__ import annotations

import ast
import json
import linecache
import os
import re
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from spikehouse.errors import InvalidFileError

Notify = Callable[[str], None]

# `%matplotlib inline`, `!pip install …`, `?name`, `name?`, `files = !ls`, and nothing else
_MAGIC = re.compile(r"^(?P<indent>\s*)(?:[%!?].*|[\w.]+\?{1,2}\s*|[\w, ]+=\s*[!%].*)$")
_TIMED = re.compile(r"^(\s*)%time(?:it)?\s+(?=\S)")
_CELL_MAGIC = re.compile(r"\s*%%(\w+)")
_MEASURES_ONLY = frozenset({"capture", "time"})
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def run_script(path: Path, arguments: Sequence[str]) -> None:
    """Run a script as ``python script.py`` would."""
    with _as_main(path, arguments):
        runpy.run_path(str(path), run_name="__main__")


def run_cells(
    cells: Sequence[str], path: Path, arguments: Sequence[str], *, notify: Notify
) -> None:
    """Run the code cells of a notebook in order, in one namespace."""
    # Lines for IPython (``%matplotlib inline``, ``!pip install …``) are left out, and lists beside
    # ``&`` become arrays (pandas 3 refuses lists), both with a notice. Exceptions reach the caller;
    # their traceback names the cell.
    main = ModuleType("__main__")
    # Jupyter's display(…) prints
    main.__dict__.update({"__file__": str(path), "display": print, OPERAND: as_operand})
    with _as_main(path, arguments, main=main):
        for number, source in enumerate(cells, start=1):
            name = f"{path.name}, code cell {number} of {len(cells)}"
            code = _compile_cell(source, name, notify)
            exec(code, main.__dict__)


def list_cells(path: Path) -> list[str]:
    """List the code cells of a notebook of format 3 or 4."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        # format 3 kept its cells on sheets
        sheets = [document] if "cells" in document else document["worksheets"]
        cells = [cell for sheet in sheets for cell in sheet["cells"]]
        sources = [
            cell.get("source", cell.get("input", ""))
            for cell in cells
            if cell["cell_type"] == "code"
        ]
        return ["".join(source) for source in sources]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidFileError(
            f"{path} is not a notebook: {type(error).__name__}: {error}; save it again from Jupyter"
        ) from error


def choose_backend() -> None:
    """Make matplotlib draw into memory if there is no screen and no backend was chosen."""
    if sys.platform.startswith("linux") and not any(map(os.environ.get, _DISPLAYS)):
        os.environ.setdefault("MPLBACKEND", "Agg")


def _compile_cell(source: str, name: str, notify: Notify) -> CodeType:
    source = _strip_cell_magic(source, name, notify)
    while True:
        try:
            tree = ast.parse(source, filename=name)
            break
        except SyntaxError as error:
            # only a line that is not valid Python is taken for IPython's: a line that begins with %
            # can also continue an expression
            source = _leave_out(source, error, name, notify)
    wrapper = _ListWrapper()
    wrapper.visit(tree)
    if wrapper.n_lists:
        notify(f"{name}: a list beside &, | or ^ is taken as an array, as before pandas 3")
    # tracebacks show the lines of the cell
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    return compile(tree, name, "exec")


def _strip_cell_magic(source: str, name: str, notify: Notify) -> str:
    found = _CELL_MAGIC.match(source)
    if found is None:
        return source
    first, _, rest = source.partition("\n")
    if found[1] in _MEASURES_ONLY:
        notify(f"{name}: left out the line {first.strip()!r}")
        return f"\n{rest}"
    notify(f"{name}: left out, because it begins with {first.strip()!r}")
    return ""


def _leave_out(source: str, error: SyntaxError, name: str, notify: Notify) -> str:
    lines = source.split("\n")
    at = (error.lineno or 0) - 1
    found = _MAGIC.match(lines[at]) if 0 <= at < len(lines) else None
    if found is None:
        raise error
    timed = _TIMED.sub(r"\1", lines[at])
    if timed != lines[at]:
        lines[at] = timed
    else:
        notify(f"{name}: left out the line {lines[at].strip()!r}")
        n_more = 0
        while lines[at + n_more].endswith("\\") and at + n_more + 1 < len(lines):
            n_more += 1
        # ``pass`` in its place, because it may be the only line of a block
        lines[at : at + n_more + 1] = [f"{found['indent'] or ''}pass", *[""] * n_more]
    return "\n".join(lines)


@contextmanager
def _as_main(
    path: Path, arguments: Sequence[str], *, main: ModuleType | None = None
) -> Iterator[None]:
    """Set ``sys.argv``, ``sys.path`` and ``__main__`` for a program, and restore them."""
    before: tuple[Any, ...] = (sys.argv[:], sys.path[:], sys.modules["__main__"])
    sys.argv[:] = [str(path), *arguments]
    sys.path.insert(0, str(path.resolve().parent))
    if main is not None:
        sys.modules["__main__"] = main
    try:
        yield
    finally:
        sys.argv[:], sys.path[:], sys.modules["__main__"] = before


# the name under which a notebook's namespace holds `as_operand`
OPERAND = "__spikehouse_operand__"

_LOGICAL = (ast.BitAnd, ast.BitOr, ast.BitXor)


def as_operand(values: list[object]) -> object:
    """Convert a list of booleans to an array, and return any other list unchanged."""
    if all(isinstance(value, (bool, np.bool_)) for value in values):
        return np.asarray(values, dtype=bool)
    return values


class _ListWrapper(ast.NodeTransformer):
    """Wrap list literals beside ``&``, ``|`` or ``^`` in `as_operand`, and count them."""

    # Python has no such operators for lists, so the other side can only be an array or a table,
    # for which a list of booleans has always meant an array of them.

    def __init__(self) -> None:
        self.n_lists = 0

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, _LOGICAL):
            node.left, node.right = self._wrap(node.left), self._wrap(node.right)
        return node

    def _wrap(self, operand: ast.expr) -> ast.expr:
        if not isinstance(operand, (ast.List, ast.ListComp)):
            return operand
        self.n_lists += 1
        call = ast.Call(ast.Name(OPERAND, ast.Load()), [operand], [])
        # tracebacks point at the list
        return ast.fix_missing_locations(ast.copy_location(call, operand))
