"""Which recipes there are, and what a query asks of one."""

from __future__ import annotations

import importlib
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, get_args, get_origin
from urllib.parse import unquote

from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices, describe_value
from spikehouse.explore import recipes

SUBJECTS = ("session", "cache", "results")
# in the order in which a user comes to them: the first are there before the last are imported
MODULES = ("survey", "session", "probe", "units", "unit", "population", "cohort", "decoding")
# what a page can show, by the name of a parameter: least and greatest
RANGES: Mapping[str, tuple[float, float]] = {
    "bin": (0.0001, 3600),
    "bin_um": (1, 2000),
    "duration": (0.01, 10),
    "max_interval": (0.001, 10),
    "max_lag": (0.001, 10),
    "max_spikes": (1, 300_000),
    "min_units": (1, 10_000),
    "n_bands": (1, 5000),
    "n_bins": (1, 20_000),
    "n_channels": (1, 400),
    "n_draws": (1, 100),
    "n_resamples": (0, 100_000),
    "reach_um": (0, 5000),
    "refractory": (0, 1),
    "smoothing": (0, 10),
}
# the longest [start, stop) in seconds
LONGEST: Mapping[str, float] = {"window": 60, "span": 50_000}
# of what a parameter bin divides
MOST_BINS = 20_000
LONGEST_TEXT = 500
# of an encoded answer [bytes], and what makes it smaller
LARGEST_ANSWER = 2_500_000
NARROWER: Mapping[str, str] = {
    "window": "a shorter window",
    "span": "a shorter span",
    "bin": "wider bins",
    "n_bins": "fewer bins",
    "unit_ids": "fewer units",
}


@dataclass(frozen=True)
class Recipe:
    """A function that computes what a view shows."""

    function: Callable[..., dict[str, Any]]
    # whether it runs in a process of its own
    is_heavy: bool = False
    # name of a parameter → its type; without the first, which is the subject
    types: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the function, which is that of the endpoint."""
        return self.function.__name__

    def parse(self, query: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
        """Return the arguments of a query, and notices about what is not used of it."""
        arguments = {
            name: _parse(name, query[name], kind)
            for name, kind in self.types.items()
            if name in query
        }
        parameters = inspect.signature(self.function).parameters
        for name in self.types:
            if name not in arguments and parameters[name].default is inspect.Parameter.empty:
                raise InvalidArgumentError(f"{self.name} needs {name}, which the address lacks")
        _check_limits({name: arguments.get(name, parameters[name].default) for name in self.types})
        unknown = [
            f"{describe_value(name)} was ignored, {describe_choices(name, self.types)}"
            for name in query
            if name not in self.types
        ]
        return arguments, unknown

    def describe_narrower(self) -> str:
        """Say what makes the answer smaller."""
        ways = [way for name, way in NARROWER.items() if name in self.types]
        return " or ".join(ways) or "a smaller part of the data"


Find = Callable[[str, str], Recipe]


def find_recipe(subject: str, name: str) -> Recipe:
    """Return the recipe of a subject and a name, or say which there are."""
    names: list[str] = []
    for module in MODULES:
        found = collect_recipes(module)
        if (subject, name) in found:
            return found[subject, name]
        names += [known for kind, known in found if kind == subject]
    raise NotFoundError(f"there is no view {name!r} here: {describe_choices(name, names)}")


@cache
def collect_recipes(name: str) -> dict[tuple[str, str], Recipe]:
    """Import a module of recipes, and return them by subject and name."""
    module = importlib.import_module(f"{recipes.__name__}.{name}")
    found = {}
    for function in vars(module).values():
        is_own = inspect.isfunction(function) and function.__module__ == module.__name__
        if is_own and not function.__name__.startswith("_"):
            subject = next(iter(inspect.signature(function).parameters), "")
            assert subject in SUBJECTS, f"the first parameter of {function.__name__}: {SUBJECTS}"
            is_heavy = function.__name__ in getattr(module, "HEAVY", ())
            recipe = Recipe(function, is_heavy, _read_types(function))
            found[subject, recipe.name] = recipe
    return found


def _read_types(function: types.FunctionType) -> dict[str, Any]:
    """Return the types of the parameters that a query may give."""
    first, *_ = inspect.signature(function).parameters
    # the types of the session and of the answer may be imported for type checkers only
    told = {
        name: kind
        for name, kind in function.__annotations__.items()
        if name not in (first, "return")
    }
    holder = types.SimpleNamespace(__annotations__=told)
    return typing.get_type_hints(holder, globalns=function.__globals__)


def _parse(name: str, text: str, kind: Any) -> Any:  # noqa: ANN401 - a type, and its value
    """Read the text of a parameter as its type says."""
    if len(text) > LONGEST_TEXT and get_origin(kind) is not tuple:
        raise InvalidArgumentError(
            f"{name} has {len(text)} characters; at most {LONGEST_TEXT} are valid"
        )
    if get_origin(kind) in (types.UnionType, typing.Union):
        kinds = [one for one in get_args(kind) if one is not types.NoneType]
        return None if text == "" else _parse(name, text, kinds[0])
    if get_origin(kind) is Literal:
        values = {str(value): value for value in get_args(kind)}
        if text not in values:
            raise InvalidArgumentError(
                f"{name}={text!r} is not valid: {describe_choices(text, values)}"
            )
        return values[text]
    if get_origin(kind) is tuple:
        # commas within a part are escaped
        parts = [unquote(part) for part in text.split(",")] if text else []
        inner = get_args(kind)
        if inner[-1] is ...:
            return tuple(_parse(name, part, inner[0]) for part in parts)
        if len(parts) != len(inner):
            raise InvalidArgumentError(
                f"{name}={text!r} is not valid: {len(inner)} values with commas between them, "
                "such as -0.1,0.5"
            )
        return tuple(_parse(name, part, one) for part, one in zip(parts, inner, strict=True))
    if kind is bool:
        if text.lower() not in _BOOLS:
            raise InvalidArgumentError(f"{name}={text!r} is not valid: true or false")
        return _BOOLS[text.lower()]
    if kind is int or kind is float:
        return _parse_number(name, text, kind)
    return text


_BOOLS = {"true": True, "1": True, "false": False, "0": False}


def _parse_number(name: str, text: str, kind: type) -> int | float:
    try:
        number: int | float = kind(text)
        # what numpy holds, and not every integer of Python
        if not abs(number) < 2**63:
            raise ValueError
    except (ValueError, OverflowError):
        what = "a whole number" if kind is int else "a number"
        raise InvalidArgumentError(f"{name}={text!r} is not valid: {what} is needed") from None
    return number


def _check_limits(arguments: Mapping[str, Any]) -> None:
    """Refuse what a page cannot show, before it is computed."""
    for name, (least, greatest) in RANGES.items():
        value = arguments.get(name)
        if value is not None and not least <= value <= greatest:
            raise InvalidArgumentError(
                f"{name}={value:g} is not valid: {least:g} to {greatest:g} can be shown"
            )
    lengths = {name: arguments.get(name) for name in ("max_interval", "max_lag")}
    for name, longest in LONGEST.items():
        if arguments.get(name) is None:
            continue
        start, stop = arguments[name]
        lengths[name] = stop - start
        if not start < stop or stop - start > longest:
            raise InvalidArgumentError(
                f"{name}={start:g},{stop:g} is not valid: it must begin before it ends, and have "
                f"at most {longest:g} s"
            )
    for name, length in lengths.items():
        n_bins = (length or 0.0) / (arguments.get("bin") or math.inf)
        if n_bins > MOST_BINS:
            raise InvalidArgumentError(
                f"{length:g} s of {name} are {n_bins:.0f} bins of {arguments['bin']:g} s, and at "
                f"most {MOST_BINS} can be shown: use wider bins or a shorter {name}"
            )
