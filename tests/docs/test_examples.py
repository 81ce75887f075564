"""Every example in a docstring runs, on the tiny demo, and what is public has one."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from public_names import PACKAGES, exported

import spikehouse

ROOT = Path(__file__).resolve().parents[2]
# without an example, and why
WITHOUT = {
    name: why
    for why, names in {
        "reaches servers": "EcephysProjectCache.from_sources EcephysProjectCache.from_s3 "
        "EcephysProjectCache.from_dandi EcephysProjectCache.from_warehouse "
        "EcephysProjectCache.get_atlas",
        "needs a broken disk or server": "CacheError ChecksumError SourceError TransferError",
        "needs another package": "CompatibilityError EcephysSession.to_pynapple "
        "EcephysSession.to_spikeinterface",
        "simulates all sessions; the how-to's blocks are run": "compare_tables reproduce "
        "Reproduction",
        "is the first command of the README, which is run": "run_quickstart",
        "ends what the example has opened, as with does": "EcephysSession.close "
        "EcephysProjectCache.close Explorer.close",
        "does not return": "serve Explorer.wait",
        "is scikit-learn's": "BlockedKFold.get_n_splits PoissonNaiveBayes.predict_proba "
        "PoissonNaiveBayes.predict_log_proba PoissonNaiveBayes.predict_joint_log_proba",
    }.items()
    for name in names.split()
}


class Example(NamedTuple):
    """A docstring with lines after ``>>>``, of a function, class, method or property."""

    module: str
    name: str
    text: str
    line: int


def read_examples(node: ast.AST, module: str, owner: str = "") -> Iterator[Example]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            name = f"{owner}{child.name}"
            text = ast.get_docstring(child) or ""
            if ">>>" in text:
                yield Example(module, name, text, child.body[0].lineno)
            yield from read_examples(child, module, f"{name}.")


def list_examples() -> list[Example]:
    found = pkgutil.walk_packages(spikehouse.__path__, "spikehouse.")
    modules = [part.name for part in found if not part.name.endswith(("__main__", ".allensdk"))]
    sources = {name: inspect.getsource(importlib.import_module(name)) for name in modules}
    return [
        example
        for name, text in sources.items()
        for example in read_examples(ast.parse(text), name)
    ]


EXAMPLES = list_examples()


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Iterator[dict[str, Any]]:
    """Run what the reference says that examples begin with."""
    page = (ROOT / "docs" / "reference" / "index.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIKEHOUSE_PROGRESS", "0")
        patch.chdir(tmp_path_factory.mktemp("examples"))
        exec(code, names)
        with names["cache"] as cache, names["session"]:
            cache.get_session_table()  # the tables are there, as after anybody's first call
            yield names


@pytest.fixture
def without_allensdk(monkeypatch) -> Iterator[None]:
    """Take the finder of ``allensdk`` and its modules away again."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "allensdk"]:
        del sys.modules[name]


@pytest.mark.usefixtures("without_allensdk")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example__gives_what_it_says(example, given):
    room = ".".join(example.module.split(".")[:2])
    package = importlib.import_module(room if room in PACKAGES else "spikehouse")
    names = {name: getattr(package, name) for name in package.__all__}
    own = example.name.partition(".")[0]
    names[own] = getattr(importlib.import_module(example.module), own)
    test = doctest.DocTestParser().get_doctest(
        example.text, names | given, example.name, example.module, example.line
    )
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
    said: list[str] = []
    runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)


def read_code() -> str:
    """Return the code of all examples, and of the gallery."""
    lines = [
        line.strip()
        for example in EXAMPLES
        for line in example.text.splitlines()
        if line.strip().startswith((">>>", "..."))
    ]
    pages = [page.read_text("utf-8") for page in sorted((ROOT / "docs" / "examples").glob("*.py"))]
    return "\n".join([*lines, *pages])


def test_examples__are_of_every_public_function_class_and_method():
    code = read_code()
    own = {example.name for example in EXAMPLES}
    missing = []
    for full_name in exported():
        package, _, name = full_name.rpartition(".")
        owner = package.rpartition(".")[2]
        if owner[0].isupper():
            name = f"{owner}.{name}"
        member = name.rpartition(".")[2]
        is_used = re.search(rf"\b{member}\(" if "." not in name else rf"\.{member}\(", code)
        if name not in own and not is_used:
            missing.append(name)
    assert sorted(missing) == sorted(WITHOUT)
