"""What a function consists of: its source text, and what it uses of its own module."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sys
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikehouse.errors import InvalidArgumentError, describe_value

__all__ = ["check_function", "describe_function", "pack", "to_plain"]


def check_function(function: object, parameters: Mapping[str, Any]) -> None:
    """Check that a function can be called as f(session, **parameters)."""
    if not inspect.isfunction(function):
        hint = "" if callable(function) else ", and it cannot even be called"
        raise InvalidArgumentError(
            f"f is {describe_value(function)}{hint}: pass a function made with def or lambda, "
            "f(session, **parameters); its values go into parameters={...}"
        )
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise InvalidArgumentError(
            f"{function.__qualname__} is a generator or async: return one table instead"
        )
    signature = inspect.signature(function)
    try:
        signature.bind(None, **parameters)
    except TypeError as error:
        raise InvalidArgumentError(
            f"{function.__qualname__}{signature} cannot be called with a session and the "
            f"parameters {sorted(parameters)}: {error}"
        ) from error


def to_plain(value: object) -> Any:  # noqa: ANN401 - what JSON can hold
    """Return numbers, arrays, sets, paths and dataclasses as JSON has them."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def describe_function(function: Callable[..., Any]) -> dict[str, Any]:
    """Return name, file, source text and digest of a function."""
    plain = inspect.unwrap(function)
    source = "\n".join(_gather(plain).values())
    return {
        "name": plain.__qualname__,
        "module": plain.__module__,
        "file": str(Path(plain.__code__.co_filename).absolute()),
        "source": source,
        "digest": hashlib.sha256(source.encode()).hexdigest(),
    }


def _gather(function: types.FunctionType) -> dict[str, str]:
    """Return the source of a function, and of what it uses of its module, by name."""
    # functions and classes as text; numbers, texts and lists of them as JSON, closures included
    texts: dict[str, str] = {}
    todo: list[tuple[str, Any]] = [(function.__qualname__, function)]
    while todo:
        name, thing = todo.pop()
        thing = inspect.unwrap(thing) if callable(thing) else thing
        is_own = getattr(thing, "__module__", None) == function.__module__
        if isinstance(thing, types.FunctionType | type):
            if is_own and name not in texts:
                texts[name] = _read_source(thing)
                todo += sorted(_list_used(thing), key=lambda pair: pair[0], reverse=True)
        elif not isinstance(thing, types.ModuleType):
            try:
                value = json.dumps(thing, default=_digest_arrays, sort_keys=True)
            except (TypeError, ValueError):
                continue
            texts.setdefault(name, f"{name} = {value}\n")
    return texts


def _digest_arrays(value: object) -> Any:  # noqa: ANN401
    if isinstance(value, np.ndarray) and value.dtype != object:
        content = np.ascontiguousarray(value).tobytes()
        return [str(value.dtype), value.shape, hashlib.sha256(content).hexdigest()]
    return to_plain(value)


def _read_source(thing: types.FunctionType | type) -> str:
    try:
        if thing.__name__ == "<lambda>":
            return _read_lambda(thing)
        return textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError, SyntaxError):  # typed at the prompt, or made by exec
        codes = [code for code, _ in _list_codes(thing)]
        facts = [
            (c.co_code.hex(), c.co_names, [x for x in c.co_consts if not inspect.iscode(x)])
            for code in codes
            for c in _with_nested(code)
        ]
        return f"# {thing.__qualname__}: no source text\n# {facts}\n"


def _read_lambda(function: Any) -> str:  # noqa: ANN401
    """Return the text of a lambda without the statement around it."""
    text = "".join(inspect.findsource(function)[0])
    # where its instructions stand; the columns count bytes, as those of the syntax tree
    places = [one for one in function.__code__.co_positions() if None not in one and any(one[2:])]
    line, _, column, _ = places[-1]
    found = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Lambda)
        and (node.lineno, node.col_offset) <= (line, column)
        and (line, column) < (node.end_lineno, node.end_col_offset)
        and node.lineno == function.__code__.co_firstlineno
    ]
    if not found:
        raise OSError("another text stands there by now")
    # the innermost
    segment = ast.get_source_segment(text, max(found, key=lambda node: node.col_offset))
    return f"{segment}\n"


def _list_codes(
    thing: types.FunctionType | type,
) -> Iterator[tuple[types.CodeType, Mapping[str, Any]]]:
    members = vars(thing).values() if isinstance(thing, type) else [thing]
    for member in members:
        if isinstance(member, types.FunctionType):
            cells = zip(member.__code__.co_freevars, member.__closure__ or (), strict=True)
            free = {name: cell.cell_contents for name, cell in cells if _is_filled(cell)}
            defaults = {"defaults": (member.__defaults__, member.__kwdefaults__)}
            yield member.__code__, {**member.__globals__, **defaults, **free}


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


def _list_used(thing: types.FunctionType | type) -> list[tuple[str, Any]]:
    """Return names and values that the code refers to outside itself."""
    return [
        (name, known[name])
        for code, known in _list_codes(thing)
        for nested in _with_nested(code)
        for name in dict.fromkeys((*nested.co_names, *nested.co_freevars))
        if name in known
    ]


def pack(work: object, function: Callable[..., Any]) -> bytes:
    """Pickle work for other processes, its function by value unless it is installed there."""
    # a script, a notebook or a file that was loaded by its path cannot be imported by the workers
    import cloudpickle

    module = sys.modules.get(function.__module__)
    file = Path(inspect.unwrap(function).__code__.co_filename).resolve()
    own = Path(__file__).resolve().parents[1]
    is_installed = own in file.parents or "site-packages" in file.parts
    by_value = module is not None and not is_installed and function.__module__ != "__main__"
    try:
        if by_value:
            cloudpickle.register_pickle_by_value(module)
        return bytes(cloudpickle.dumps(work))
    except Exception as error:
        raise InvalidArgumentError(
            f"{function.__qualname__} and its parameters cannot be sent to other processes: "
            f"{error}. Make within the function what it takes from outside, or compute here, "
            "without workers= and client="
        ) from error
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)
