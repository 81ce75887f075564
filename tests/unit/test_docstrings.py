"""Exported names have complete numpydoc docstrings; inside, a sentence is enough."""

from __future__ import annotations

import pytest
from numpydoc.validate import validate
from public_names import exported

CHECKS = {
    "GL03", "GL06", "GL07", "GL08", "GL10", "SS01", "SS02", "SS03", "PR01", "PR02", "PR03", "PR10",
    "RT03", "YD01",
}  # fmt: skip


@pytest.mark.parametrize("name", exported())
def test_docstring__of_an_exported_name_is_complete(name: str) -> None:
    result = validate(name)
    # the fields of a dataclass are documented as its attributes
    checks = CHECKS - {"PR01"} if "\nAttributes\n" in result["docstring"] else CHECKS
    assert not [f"{code} {text}" for code, text in result["errors"] if code in checks]
