"""Exported names have complete numpydoc docstrings; inside, a sentence is enough."""

from __future__ import annotations

import importlib
import inspect

import pytest
from numpydoc.validate import validate
from public_names import PACKAGES

CHECKS = {
    "GL03", "GL06", "GL07", "GL08", "GL10", "SS01", "SS02", "SS03", "PR01", "PR02", "PR03", "PR10",
    "RT03", "YD01",
}  # fmt: skip


def exported() -> list[str]:
    """List exported functions and classes, and the public methods of the classes."""
    found: dict[object, str] = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            thing = getattr(module, name)
            if not (inspect.isclass(thing) or inspect.isfunction(thing)):
                continue
            found.setdefault(thing, f"{package}.{name}")
            if inspect.isclass(thing):
                members = (m for m in vars(thing) if not m.startswith("_"))
                for member in members:
                    raw = inspect.getattr_static(thing, member)
                    if inspect.isfunction(raw) or isinstance(raw, classmethod | staticmethod):
                        found.setdefault(raw, f"{package}.{name}.{member}")
    return sorted(found.values())


@pytest.mark.parametrize("name", exported())
def test_docstring__of_an_exported_name_is_complete(name: str) -> None:
    result = validate(name)
    # the fields of a dataclass are documented as its attributes
    checks = CHECKS - {"PR01"} if "\nAttributes\n" in result["docstring"] else CHECKS
    assert not [f"{code} {text}" for code, text in result["errors"] if code in checks]
