"""What a function consists of: its text and all that it reaches, so that another one is noticed."""

from __future__ import annotations

import ast
import dis
import enum
import functools
import hashlib
import importlib.util
import inspect
import io
import linecache
import sys
import sysconfig
import textwrap
import types
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from pickle import Pickler
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["describe_function", "is_installed"]

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
_INSTALLED = {
    Path(sysconfig.get_path(name)).resolve()
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
}
_PACKAGE = Path(__file__).resolve().parents[1]
# of every class, or other words for what is described anyway
_NOT_MEMBERS = {
    "__abstractmethods__", "__annotate__", "__annotate_func__", "__annotations__",
    "__annotations_cache__", "__classdictcell__", "__dataclass_fields__", "__dataclass_params__",
    "__dict__", "__doc__", "__firstlineno__", "__match_args__", "__module__", "__orig_bases__",
    "__parameters__", "__qualname__", "__slotnames__", "__slots__", "__static_attributes__",
    "__weakref__", "_abc_impl",
}  # fmt: skip


def describe_function(function: Callable[..., Any]) -> dict[str, Any]:
    """Return name, file, source text and digest of a function."""
    plain = inspect.unwrap(function)
    source = _Reader(plain).read(function)
    return {
        "name": plain.__qualname__,
        "module": plain.__module__ or "",
        "file": str(Path(plain.__code__.co_filename).absolute()),
        "source": source,
        "digest": hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest(),
    }


def is_installed(file: str | Path) -> bool:
    """Return whether a file belongs to Python, to an installed package or to this one."""
    folders = Path(file).resolve().parents
    return (
        any(folder.name in ("site-packages", "dist-packages") for folder in folders)
        or _PACKAGE in folders
        or any(folder in folders for folder in _INSTALLED)
    )


class _Reader:
    """Describes one function, and once each the functions and classes of the user's it reaches."""

    def __init__(self, plain: types.FunctionType) -> None:
        self._module = plain.__globals__.get("__name__")
        # text of each function and class; what it is called by others
        self._texts: dict[str, str] = {}
        self._labels: dict[int, str] = {}
        # ids are those of objects that are alive
        self._alive: list[Any] = []
        # lines and code of each file
        self._files: dict[str, tuple[list[str], list[types.CodeType]]] = {}

    def read(self, function: Callable[..., Any]) -> str:
        label = self.render(function)
        first = self._texts.pop(label, f"{label}\n")
        return "\n".join([first, *self._texts.values()])

    # ---- values

    def render(self, value: Any) -> str:  # noqa: ANN401
        """Describe a value in one line; functions and classes of the user's by their label."""
        if id(value) in self._labels:
            return self._labels[id(value)]
        if type(value) in _PLAIN:
            return repr(value)
        if type(value) in (list, tuple):
            self._name(value, "the same again")
            inside = ", ".join(map(self.render, value))
            self._forget(value)
            return f"[{inside}]" if type(value) is list else f"({inside})"
        if type(value) in (dict, types.MappingProxyType):
            self._name(value, "the same again")
            pairs = [f"{self.render(key)}: {self.render(one)}" for key, one in value.items()]
            self._forget(value)
            return f"{{{', '.join(pairs)}}}"
        if type(value) in (set, frozenset):
            # their order changes from process to process
            first = sorted(value, key=lambda one: getattr(one, "__qualname__", ""))
            return f"{type(value).__name__}({', '.join(sorted(map(self.render, first)))})"
        if isinstance(value, types.ModuleType):
            return f"module {value.__name__}"
        if isinstance(value, type):
            return self._render_class(value)
        if isinstance(value, types.FunctionType):
            return self._render_function(value)
        if isinstance(value, enum.Enum):
            return f"{self.render(type(value))}.{value.name}"
        return self._render_object(value)

    def _render_object(self, value: Any) -> str:  # noqa: ANN401
        kind = type(value)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if isinstance(value, property):
            return f"property{self.render((value.fget, value.fset, value.fdel))}"
        if isinstance(value, functools.cached_property):
            return f"cached_property({self.render(value.func)})"
        if isinstance(value, staticmethod | classmethod):
            return f"{name}({self.render(value.__func__)})"
        module = getattr(value, "__module__", None)
        if _find(value) is value and not self._is_own(module):
            return f"{module}.{getattr(value, '__qualname__', '')}"
        wrapped = getattr(value, "__dict__", {}).get("__wrapped__")
        if callable(wrapped):
            # functools.cache, compiled functions
            return f"{name}({self.render(wrapped)})"
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
            return f"array of {value.dtype}, shape {value.shape}, sha256 {content}"
        if isinstance(value, pd.DataFrame):
            # pickles differ with the blocks inside
            columns = [value.iloc[:, i].array for i in range(value.shape[1])]
            return f"{name} {self._digest((value.index, value.columns, columns, value.attrs))}"
        return f"{name} {self._digest(value)}"

    def _digest(self, value: Any) -> str:  # noqa: ANN401
        for is_fast in (True, False):
            try:
                first, second = (self._pickle(value, is_fast=is_fast) for _ in range(2))
            except Exception:  # noqa: BLE001 - whatever the object's own code raises
                # fast pickles do not depend on which parts are one object, but know no cycles
                continue
            if first == second:
                return f"sha256 {hashlib.sha256(first).hexdigest()}"
        return f"that cannot be compared with that of another run (mark {uuid.uuid4().hex})"

    def _pickle(self, value: Any, *, is_fast: bool) -> bytes:  # noqa: ANN401
        special = (
            types.FunctionType, type, types.ModuleType, set, frozenset, pd.DataFrame, enum.Enum,
        )  # fmt: skip
        render = self.render

        class Described(Pickler):
            def persistent_id(self, one: Any) -> str | None:  # noqa: ANN401
                is_ours = isinstance(one, special) or "__wrapped__" in getattr(one, "__dict__", ())
                return render(one) if is_ours else None

        sink = io.BytesIO()
        pickler = Described(sink, protocol=5)
        pickler.fast = is_fast
        pickler.dump(value)
        return sink.getvalue()

    # ---- functions and classes

    def _name(self, thing: Any, label: str) -> str:  # noqa: ANN401
        self._labels[id(thing)] = label
        self._alive.append(thing)
        return label

    def _forget(self, thing: Any) -> None:  # noqa: ANN401
        del self._labels[id(thing)]

    def _begin(self, thing: Any, base: str) -> str:  # noqa: ANN401
        n = sum(1 for label in self._texts if label.partition(" #")[0] == base)
        label = f"{base} #{n + 1}" if n else base
        # its place in the order, before those it reaches
        self._texts[label] = ""
        return self._name(thing, label)

    def _is_own(self, module: str | None) -> bool:
        if module in (self._module, "__main__"):
            return True
        if module is None:
            return False
        loaded = sys.modules.get(module)
        if loaded is None:
            return True
        places = [getattr(loaded, "__file__", None), *getattr(loaded, "__path__", ())]
        files = [place for place in places if place]
        if not files:
            return loaded.__spec__ is None and not module.startswith("_cython")
        return not is_installed(files[0])

    def _render_function(self, function: types.FunctionType) -> str:
        # functools.wraps changes __module__
        module = function.__globals__.get("__name__")
        cells = {
            name: cell.cell_contents
            for name, cell in zip(
                function.__code__.co_freevars, function.__closure__ or (), strict=True
            )
            if _is_filled(cell)
        }
        if not self._is_own(module):
            code = function.__code__
            name = f"{module}.{code.co_qualname}"
            if _find(function) is function and not hasattr(function, "__wrapped__"):
                return name
            self._name(function, name)
            return self._name(function, f"{name}{self.render(cells) if cells else ''}")
        label = self._begin(function, f"function {function.__code__.co_qualname}")
        lines = [self._read_text(function.__code__, function.__qualname__)]
        defaults = inspect.signature(function, follow_wrapped=False).parameters.values()
        lines += [
            f"# by default {one.name} = {self.render(one.default)}\n"
            for one in defaults
            if one.default is not one.empty
        ]
        used = {**dict(self._list_used(function.__code__, function.__globals__)), **cells}
        lines += [
            f"{name} = {_shorten(self.render(value))}\n"
            for name, value in used.items()
            if not isinstance(value, types.ModuleType)
        ]
        self._texts[label] = "".join(lines)
        return label

    def _render_class(self, kind: type) -> str:
        if not self._is_own(kind.__module__):
            return f"{kind.__module__}.{kind.__qualname__}"
        label = self._begin(kind, f"class {kind.__qualname__}")
        try:
            text = textwrap.dedent(inspect.getsource(kind))
        except (OSError, TypeError, SyntaxError):
            text = f"# {kind.__qualname__} has no source text\n"
        lines = [text, f"# bases {self.render((type(kind), *kind.__bases__))}\n"]
        members: Mapping[str, Any] = vars(kind)
        if issubclass(kind, enum.Enum):
            values = {name: one.value for name, one in kind.__members__.items()}
            own = {name: one for name, one in members.items() if inspect.isroutine(one)}
            members = {**{key: own[key] for key in own if key[0] != "_"}, **values}
        if is_dataclass(kind):
            found = [(one.name, one.default, one.default_factory) for one in fields(kind)]
            lines.append(f"# fields {self.render(found)}\n")
        for name, member in members.items():
            plain = inspect.unwrap(member) if callable(member) else member
            is_made = getattr(getattr(plain, "__code__", None), "co_filename", "") == "<string>"
            is_slot = isinstance(member, types.MemberDescriptorType | types.GetSetDescriptorType)
            if name not in _NOT_MEMBERS and not is_made and not is_slot:
                lines.append(f"# {name} = {self.render(member)}\n")
        self._texts[label] = "".join(lines)
        return label

    def _list_used(
        self, code: types.CodeType, known: Mapping[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        """Yield names and values that code takes from its module and from modules of the user's."""
        for nested in _with_nested(code):
            # what IMPORT_NAME takes: level and names
            before: list[Any] = [0, None]
            for step in dis.get_instructions(nested):
                used: object = None
                if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
                    if step.argval in known:
                        used = known[step.argval]
                        yield step.argval, used
                elif step.opname == "IMPORT_NAME":
                    used = self._import(step.argval, known, before[-1], before[-2])
                yield from self._list_used_of(used, nested.co_names)
                before.append(step.argval)

    def _import(self, name: str, known: Mapping[str, Any], names: Any, level: int) -> object:  # noqa: ANN401
        """Import a module of the user's, as the function will."""
        try:
            if level == 0:
                spec = importlib.util.find_spec(name.partition(".")[0])
                places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
                files = [place for place in places if place and Path(place).exists()]
                if not files or is_installed(files[0]):
                    return None
            return __import__(name, dict(known), None, names or (), level)
        except Exception:  # noqa: BLE001 - the function will say so
            return None

    def _list_used_of(self, module: object, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
        if isinstance(module, types.ModuleType) and self._is_own(module.__name__):
            for name in names:
                value = vars(module).get(name, module)
                if value is not module:
                    yield f"{module.__name__}.{name}", value
                    yield from self._list_used_of(value, names)

    # ---- source text

    def _read_text(self, code: types.CodeType, name: str) -> str:
        """Return the text that code was made of, if it is still there."""
        lines, codes = self._read_file(code.co_filename)
        plain = _without_places(code)
        same = [one for one in codes if one.co_name == code.co_name]
        same = [one for one in same if _without_places(one) == plain]
        if not same:
            # typed at the prompt, made by exec, or edited since it was loaded
            facts = hashlib.sha256(self._describe_code(code).encode()).hexdigest()
            return (
                f"# there is no source text of {name} as it runs, only its code: sha256 {facts}\n"
            )
        # it may have moved
        found = min(same, key=lambda one: abs(one.co_firstlineno - code.co_firstlineno))
        if code.co_name == "<lambda>":
            return _cut_lambda("".join(lines), found)
        return textwrap.dedent("".join(inspect.getblock(lines[found.co_firstlineno - 1 :])))

    def _read_file(self, name: str) -> tuple[list[str], list[types.CodeType]]:
        if name not in self._files:
            linecache.checkcache(name)
            lines = linecache.getlines(name)
            try:
                whole = compile("".join(lines), name, "exec", dont_inherit=True)
                self._files[name] = lines, list(_with_nested(whole))
            except (SyntaxError, ValueError):
                self._files[name] = lines, []
        return self._files[name]

    def _describe_code(self, code: types.CodeType) -> str:
        constants = [
            self._describe_code(one) if inspect.iscode(one) else self.render(one)
            for one in code.co_consts
        ]
        return f"{code.co_code.hex()} {code.co_names} {constants}"


def _find(thing: Any) -> object:  # noqa: ANN401
    """Return what stands where a thing says that it is."""
    found: Any = sys.modules.get(getattr(thing, "__module__", None) or "")
    for name in str(getattr(thing, "__qualname__", "?")).split("."):
        found = getattr(found, name, None)
    return found


def _shorten(text: str) -> str:
    if len(text) <= 2000:
        return text
    return (
        f"{text[:200]} … sha256 {hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"
    )


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _with_nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _with_nested(constant)


def _without_places(code: types.CodeType) -> types.CodeType:
    constants = [_without_places(one) if inspect.iscode(one) else one for one in code.co_consts]
    return code.replace(
        co_filename="", co_firstlineno=1, co_linetable=b"", co_consts=tuple(constants)
    )


def _cut_lambda(text: str, code: types.CodeType) -> str:
    """Return the text of a lambda without the statement around it."""
    # where its instructions stand; the columns count bytes, as those of the syntax tree
    places = [one for one in code.co_positions() if None not in one and any(one[2:])]
    line, _, column, _ = places[-1]
    found = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Lambda)
        and (node.lineno, node.col_offset) <= (line, column)
        and (line, column) < (node.end_lineno, node.end_col_offset)
    ]
    # the innermost
    segment = ast.get_source_segment(text, max(found, key=lambda node: node.col_offset))
    return f"{segment}\n"
