"""A function is known by its source text and by what it uses of its module."""

from __future__ import annotations

import importlib.util
import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikehouse.cohort import Cohort
from spikehouse.cohort._functions import describe_function
from spikehouse.errors import InvalidArgumentError

MODULE = """
import functools
import numpy as np

LIMIT = 3
TABLE = np.arange(4)
NAMES = {"b", "a"}

class Filter:
    def keep(self, value):
        return deep(value)

def deep(value):
    return value + 1

def helper(value):
    return Filter().keep(value) + LIMIT

def decorate(function):
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapped

@decorate
def compute(session, factor=2):
    return [helper(x) for x in TABLE] + list(NAMES)

def other(session):
    return 1
"""


def load(folder: Path, text: str) -> Any:
    path = folder / "analysis_of_mine.py"
    path.write_text(text)
    linecache.clearcache()
    spec = importlib.util.spec_from_file_location("analysis_of_mine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def digest(folder: Path, text: str) -> str:
    return str(describe_function(load(folder, text).compute)["digest"])


@pytest.mark.parametrize(
    "change",
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("np.arange(4)", "np.arange(5)"),
        ('{"b", "a"}', '{"b", "c"}'),
        ("return value + 1", "return value + 2"),
        ("return deep(value)", "return deep(value) * 2"),
        ("factor=2", "factor=3"),
    ],
)
def test_describe_function__sees_a_change(tmp_path: Path, change: tuple[str, str]) -> None:
    assert digest(tmp_path, MODULE.replace(*change)) != digest(tmp_path, MODULE)


def test_describe_function__does_not_see_others(tmp_path: Path) -> None:
    before = digest(tmp_path, MODULE)
    assert digest(tmp_path, MODULE.replace("return 1", "return 2")) == before
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert digest(elsewhere, "\n\n" + MODULE) == before


def make(limit: float) -> Callable[[Any], float]:
    def closure(session: Any) -> float:
        return limit

    return closure


def test_describe_function__closures_and_lambdas() -> None:
    assert "limit = 3" in describe_function(make(3))["source"]
    assert describe_function(make(3))["digest"] != describe_function(make(4))["digest"]
    assert describe_function(make(3))["digest"] == describe_function(make(3))["digest"]
    one, two = (lambda session: 1), (lambda session: 2)
    assert describe_function(one)["source"] == "lambda session: 1\n"
    assert describe_function(two)["source"] == "lambda session: 2\n"
    nested = describe_function((lambda: lambda session: [x for x in range(3)])())  # noqa: C416
    assert nested["source"] == "lambda session: [x for x in range(3)]\n"
    assert describe_function(one)["name"].endswith("<lambda>")
    assert describe_function(two)["name"].endswith("<lambda>")
    array = describe_function(make(np.arange(3)))  # type: ignore[arg-type]
    assert array["digest"] != describe_function(make(np.arange(4)))["digest"]  # type: ignore[arg-type]


def test_describe_function__without_source_text() -> None:
    made: dict[str, Any] = {}
    exec("def f(session):\n    return 1\ndef g(session):\n    return 2", made)
    first, second = describe_function(made["f"]), describe_function(made["g"])
    assert first["source"].startswith("# f: no source text")
    assert first["digest"] != second["digest"]


def test_map__a_changed_function_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    text = "LIMIT = 3\ndef compute(session, seed=0, factor=1):\n    return LIMIT * factor\n"
    results = tmp_path / "r"
    cohort.map(load(tmp_path, text).compute, results=results)
    changed = load(tmp_path, text.replace("LIMIT = 3", "LIMIT = 4")).compute
    with pytest.raises(InvalidArgumentError, match="results of another run") as caught:
        cohort.map(changed, results=results)
    message = str(caught.value)
    assert "-LIMIT = 3\n+LIMIT = 4" in message
    assert "Use another folder for results=" in message
    same = load(tmp_path, text).compute
    for options, difference in (
        ({"parameters": {"factor": 2}}, "parameters: factor was null and is 2"),
        ({"seed": 4}, "the seed was 0 and is 4"),
    ):
        with pytest.raises(InvalidArgumentError, match=difference):
            cohort.map(same, results=results, **options)
    other = cohort._project.cohort(isi_violations_maximum=0.1)  # type: ignore[attr-defined]
    with pytest.raises(InvalidArgumentError, match=r"isi_violations_maximum was 0.5 and is 0.1"):
        other.map(same, results=results)
    assert cohort.map(same, results=results).frame()["value"].tolist() == [3, 3, 3]
