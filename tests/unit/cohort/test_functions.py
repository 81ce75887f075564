"""A function is known by its source text and by what it uses of its module."""

from __future__ import annotations

import importlib.util
import linecache
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikehouse.cohort import Cohort
from spikehouse.cohort._describe import describe_function
from spikehouse.cohort._functions import pack
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


FULL = """
import enum, functools, re, dataclasses
import numpy as np
import pandas as pd

LIMIT = 3
REDUCE = np.mean
PART = functools.partial(max, key=abs)
CHOICES = {"a": np.mean, (1, "x"): 4, 5: 6}
PATTERN = re.compile("abc")
NUMBER = 1j
FRAME = pd.DataFrame({"a": [1, 2]})
SERIES = pd.Series([1, 2], index=[7, 8])

class Kind(enum.Enum):
    A = 1
    B = 2

KIND = Kind.A

class Base:
    def go(self):
        return 10

@dataclasses.dataclass
class Own(Base):
    x: int = LIMIT
    y = 20

    @staticmethod
    def fixed():
        return deep(1)

    @classmethod
    def of(cls):
        return 30

    @property
    def half(self):
        return 40

OBJECT = Own()

def deep(value):
    return value + 50

def factory(n):
    def inner():
        return n
    return inner

h1 = factory(60)
h2 = factory(70)

def decorate(n):
    def outer(function):
        @functools.wraps(function)
        def wrapped(session):
            return function(session) * n + 80
        return wrapped
    return outer

@functools.cache
def kept(value):
    return value + 90

@decorate(99)
def compute(session, *, limit=LIMIT):
    import helper_of_mine
    shapes = [REDUCE, PART, CHOICES, PATTERN, NUMBER, FRAME, SERIES, KIND, OBJECT, h1, h2]
    return helper_of_mine.work(kept(1)), shapes, session in {"a", "b", "c"}
"""


@pytest.mark.parametrize(
    "change",
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("REDUCE = np.mean", "REDUCE = np.median"),
        ("key=abs", "key=float"),
        ("max, key", "min, key"),
        ('"a": np.mean', '"a": np.median'),
        ('(1, "x"): 4', '(1, "x"): 5'),
        ('"abc"', '"abd"'),
        ("1j", "2j"),
        ('"a": [1, 2]', '"a": [1, 3]'),
        ("index=[7, 8]", "index=[7, 9]"),
        ("KIND = Kind.A", "KIND = Kind.B"),
        ("B = 2", "B = 3"),
        *[(f"{n}", f"{n + 1}") for n in (10, 20, 30, 40, 50, 60, 70, 80, 90, 99)],
        ("OBJECT = Own()", "OBJECT = Own(5)"),
    ],
)
def test_describe_function__sees_all_that_it_reaches(
    tmp_path: Path, change: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "helper_of_mine.py").write_text("def work(value):\n    return value\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "helper_of_mine", raising=False)
    before = digest(tmp_path, FULL)
    assert digest(tmp_path, FULL) == before
    assert FULL.count(change[0]) == 1
    assert digest(tmp_path, FULL.replace(*change)) != before


def test_describe_function__sees_files_that_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for number in (1, 2):
        (tmp_path / "helper_of_mine.py").write_text(
            f"def work():\n    return deep()\ndef deep():\n    return {number}\n"
        )
        for text in (
            "import helper_of_mine\ndef compute(s):\n    return helper_of_mine.work()",
            "from helper_of_mine import work\ndef compute(s):\n    return work()",
            "def compute(s):\n    from helper_of_mine import work\n    return work()",
        ):
            monkeypatch.delitem(sys.modules, "helper_of_mine", raising=False)
            found.append(digest(tmp_path, text))
    assert len(set(found)) == 6


def test_describe_function__a_file_that_was_edited_and_not_loaded(tmp_path: Path) -> None:
    old = load(tmp_path, "def compute(session):\n    return 1\n").compute
    before = describe_function(old)
    (tmp_path / "analysis_of_mine.py").write_text("\n\ndef compute(session):\n    return 1\n")
    assert describe_function(old) == before
    (tmp_path / "analysis_of_mine.py").write_text("def compute(session):\n    return 22\n")
    edited = describe_function(old)
    assert "there is no source text of compute as it runs" in edited["source"]
    assert "22" not in edited["source"].partition("sha256")[0]
    assert edited["digest"] != digest(tmp_path, "def compute(session):\n    return 22\n")


def test_describe_function__is_the_same_in_every_process(tmp_path: Path) -> None:
    script = (
        "from spikehouse.cohort._describe import describe_function\n"
        "made = {'KINDS': {'a', 'b', 'c', 'd'}}\n"
        'exec(\'def f(s): return s in {1, "a", "b", "c"}, KINDS\', made)\n'
        "print(describe_function(made['f'])['digest'])\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in "123"
    }
    assert len(found) == 1


def test_pack__caches_of_functools_travel(tmp_path: Path) -> None:
    text = "import functools\n@functools.lru_cache(3)\ndef k(x):\n    return x + 1\n"
    compute = load(
        tmp_path, f"{text}def compute(s):\n    return k(1), k.cache_parameters()\n"
    ).compute
    packed = pack(compute, compute)
    # workers cannot import it
    del sys.modules["analysis_of_mine"]
    assert pickle.loads(packed)(None) == (2, {"maxsize": 3, "typed": False})


def test_map__what_cannot_be_compared_is_never_taken_for_the_same(
    cohort: Cohort, tmp_path: Path
) -> None:
    text = "import threading\nLOCK = threading.Lock()\ndef compute(s):\n    LOCK\n    return 1\n"
    compute = load(tmp_path, text).compute
    cohort.map(compute, results=tmp_path / "r")
    with pytest.raises(InvalidArgumentError, match=r"LOCK = _thread.lock that cannot be compared"):
        cohort.map(compute, results=tmp_path / "r")


def test_map__closures_of_one_factory(cohort: Cohort, tmp_path: Path) -> None:
    for first, second in ((10, 20), (np.mean, np.median)):
        results = tmp_path / str(first)
        cohort.map(lambda session, k=first: 1, results=results)
        with pytest.raises(InvalidArgumentError, match="another function"):
            cohort.map(lambda session, k=second: 1, results=results)


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
    assert first["source"].startswith("# there is no source text of f as it runs")
    assert first["digest"] != second["digest"]


def test_map__a_function_of_no_module(cohort: Cohort, tmp_path: Path) -> None:
    made: dict[str, Any] = {"__name__": None}
    exec("def f(session):\n    return 1", made)
    assert made["f"].__module__ is None
    cohort.map(made["f"], results=tmp_path)
    assert set(cohort.map(made["f"], results=tmp_path).frame()["value"]) == {1}
    assert pickle.loads(pack(made["f"], made["f"]))(None) == 1


def test_map__a_changed_function_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    text = "LIMIT = 3\ndef compute(session, seed=0, factor=1):\n    return LIMIT * factor\n"
    results = tmp_path / "r"
    cohort.map(load(tmp_path, text).compute, results=results)
    changed = load(tmp_path, text.replace("LIMIT = 3", "LIMIT = 4")).compute
    with pytest.raises(InvalidArgumentError, match="results of another run") as caught:
        cohort.map(changed, results=results)
    message = str(caught.value)
    assert "-LIMIT = 3\n+LIMIT = 4" in message
    assert "Use another folder of results, or keep what is done with" in message
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
