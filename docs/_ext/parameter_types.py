"""Write the annotated types into the sections of numpydoc docstrings, which do not repeat them.

``limit`` with the annotation ``Iterable[int] | None`` becomes ``limit : iterable of int or None``.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

from public_names import list_public

SECTIONS = {"Parameters", "Other Parameters", "Attributes"}
# of typing or numpy, as the documentation of numpy calls them; the rest is called by its own name
WORDS = {
    "Any": "object", "ArrayLike": "array_like", "DTypeLike": "dtype_like", "NDArray": "ndarray",
    "Callable": "callable", "Iterable": "iterable", "Iterator": "iterator", "Mapping": "mapping",
    "Sequence": "sequence", "Collection": "collection", "Path": "path", "PathLike": "path",
    "bool_": "bool", "float64": "float", "int32": "int", "int64": "int", "intp": "int",
    # protocols of what a session has
    "HasSpikeTimes": "EcephysSession", "HasLaser": "EcephysSession",
}  # fmt: skip


def describe(annotation: str, module: str) -> str:
    """Describe an annotation of a module in words; aliases are spelled out."""
    return _Words(module).describe(ast.parse(annotation, mode="eval").body)


class _Words:
    def __init__(self, module: str) -> None:
        self.module = module

    def describe(self, node: ast.expr) -> str:
        *others, last = dict.fromkeys(self.alternatives(node))
        return f"{', '.join(others)} or {last}" if others else last

    def alternatives(self, node: ast.expr) -> Iterator[str]:
        """Go through the types that may be given."""
        if isinstance(node, ast.BinOp):
            yield from self.alternatives(node.left)
            yield from self.alternatives(node.right)
        elif isinstance(node, ast.Name) and (found := find_alias(node.id, self.module)):
            expression, home = found
            yield from _Words(home).alternatives(expression)
        else:
            yield self.one(node)

    def one(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value) if isinstance(node.value, str) else repr(node.value)
        if isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            word = WORDS.get(name, name)
            return _find_links().get(word, word)
        if isinstance(node, ast.Subscript):
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return self.subscripted(self.one(node.value), inner)
        return ast.unparse(node)

    def subscripted(self, outer: str, inner: list[ast.expr]) -> str:
        if outer == "Literal":
            return f"{{{', '.join(ast.unparse(choice) for choice in inner)}}}"
        if outer == "callable":
            return outer
        words = [self.describe(part) for part in inner if not _is_dots(part)]
        if outer == "tuple" and len(words) == len(inner):
            return f"({', '.join(words)})"
        if set(words) == {"object"}:
            return outer
        return f"{outer} of {' to '.join(words)}"


@functools.cache
def _find_links() -> dict[str, str]:
    classes = (name for name, thing in list_public().items() if inspect.isclass(thing))
    return {name.rpartition(".")[2]: f":class:`~{name}`" for name in classes}


def _is_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


@functools.cache
def find_alias(name: str, module: str) -> tuple[ast.expr, str] | None:
    """Return what a name of a module of this package stands for, and where that was written."""
    if not module.startswith("spikehouse"):
        return None
    for statement in ast.walk(_parse(module)):
        if isinstance(statement, ast.ImportFrom) and statement.module:
            if any(name in (alias.asname, alias.name) for alias in statement.names):
                return find_alias(name, statement.module)
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return statement.value, module
    return None


@functools.cache
def _parse(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(importlib.import_module(module)))


def find_types(thing: Any) -> dict[str, str]:  # noqa: ANN401
    """Return the annotated types of the parameters of a function or class, and of its fields."""
    annotations: dict[str, Any] = {}
    with_module = inspect.unwrap(getattr(thing, "__func__", thing))
    if inspect.isclass(thing):
        for owner in reversed(thing.__mro__):
            if owner.__module__.startswith("spikehouse"):
                annotations |= vars(owner).get("__annotations__", {})
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):  # such as an exception
        parameters = ()
    annotations |= {p.name: p.annotation for p in parameters if p.annotation is not p.empty}
    return {
        name: describe(annotation, with_module.__module__)
        for name, annotation in annotations.items()
        if isinstance(annotation, str)
    }


def add_types(lines: list[str], types: dict[str, str]) -> None:
    """Add the types to the parameters in the lines of a docstring, in place."""
    section = ""
    for number, line in enumerate(lines):
        if re.fullmatch(r"-{3,}", line) and number:
            section = lines[number - 1]
        elif section in SECTIONS and re.fullmatch(r"\*{0,2}\w+(, \*{0,2}\w+)*", line):
            names = [name.strip("*") for name in line.split(", ")]
            known = {types[name] for name in names if name in types}
            # parameters in one line that differ in their types are described there
            if len(known) == 1 and known != {"object"} and not line.startswith("*"):
                lines[number] = f"{line} : {known.pop()}"


def _process(
    _app: object, _what: str, _name: str, thing: object, _options: object, lines: list[str]
) -> None:
    if inspect.isroutine(thing) or inspect.isclass(thing):
        add_types(lines, find_types(thing))


def setup(app: Any) -> dict[str, bool]:  # noqa: ANN401
    """Connect to Sphinx, before numpydoc."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True}
