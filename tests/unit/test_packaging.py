"""What is said about a version agrees in every place."""

from __future__ import annotations

import re
from pathlib import Path

import spikehouse

ROOT = Path(__file__).resolve().parents[2]


def test_version__is_that_of_the_changelog_and_of_the_citation() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version, day = re.findall(r"^## ([\d.]+) \((\S+)\)$", changelog, re.MULTILINE)[0]
    assert version == spikehouse.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)", citation, re.MULTILINE) == [version]
    assert re.findall(r"^date-released: (.*)", citation, re.MULTILINE) == [f'"{day}"']
