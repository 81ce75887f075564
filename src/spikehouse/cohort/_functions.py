"""Functions as arguments: what is accepted, and how it is sent to other processes."""

from __future__ import annotations

import functools
import inspect
import io
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from spikehouse.cohort._describe import is_installed
from spikehouse.errors import InvalidArgumentError, describe_choices, describe_value

__all__ = ["check_function", "pack", "to_plain"]


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
    names = {one.name: one.kind for one in signature.parameters.values()}
    unknown = [name for name in parameters if name not in names]
    if unknown and inspect.Parameter.VAR_KEYWORD not in names.values():
        raise InvalidArgumentError(
            f"{function.__qualname__}{signature} has no parameter {unknown[0]!r}: "
            f"{describe_choices(unknown[0], list(names)[1:])}"
        )
    # a decorator may supply an argument
    bind = signature.bind_partial if hasattr(function, "__wrapped__") else signature.bind
    try:
        bind(None, **parameters)
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


def pack(work: object, function: Callable[..., Any]) -> bytes:
    """Pickle work for other processes, its function by value unless it is installed there."""
    # a script, a notebook or a file that was loaded by its path cannot be imported by the workers
    import cloudpickle

    module = sys.modules.get(function.__module__)
    file = Path(inspect.unwrap(function).__code__.co_filename).resolve()
    by_value = module is not None and not is_installed(file) and function.__module__ != "__main__"
    alike = {"__main__", function.__module__} if by_value else {"__main__"}

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, thing: Any) -> Any:  # noqa: ANN401
            # by default the caches of functools go by name
            if isinstance(thing, functools._lru_cache_wrapper) and thing.__module__ in alike:
                return _cache, (thing.__wrapped__, thing.cache_parameters())
            return super().reducer_override(thing)

    try:
        if by_value:
            cloudpickle.register_pickle_by_value(module)
        sink = io.BytesIO()
        Pickler(sink).dump(work)
        return sink.getvalue()
    except Exception as error:
        raise InvalidArgumentError(
            f"{function.__qualname__} and its parameters cannot be sent to other processes: "
            f"{error}. Make within the function what it takes from outside, or compute here, "
            "without workers= and client="
        ) from error
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)


def _cache(function: Callable[..., Any], options: dict[str, Any]) -> Any:  # noqa: ANN401
    return functools.lru_cache(**options)(function)
