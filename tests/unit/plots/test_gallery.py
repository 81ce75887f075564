"""The gallery: every figure is on the page, every picture is there and small."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from spikehouse import plots

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "gallery"


@pytest.fixture(scope="module")
def page():
    return (FOLDER / "gallery.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_gallery", FOLDER / "make_gallery.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def public_functions():
    return [name for name in plots.__all__ if callable(getattr(plots, name))]


@pytest.mark.parametrize("name", public_functions())
def test_gallery__names_and_calls_every_figure(page, name):
    headings = re.findall(r"^### (.+)$", page, flags=re.MULTILINE)
    assert any(name in heading.split() for heading in headings)
    assert f"plots.{name}(" in page


def test_gallery__shows_every_picture_that_is_drawn(page, script):
    shown = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", page)
    assert {target for _, target in shown} == {f"{name}.png" for name in script.PICTURES}
    assert {path.name for path in FOLDER.glob("*.png")} == {target for _, target in shown}


def test_gallery__pictures_are_small_png():
    for path in FOLDER.glob("*.png"):
        start = path.read_bytes()[:8]
        assert start == b"\x89PNG\r\n\x1a\n", path
        assert path.stat().st_size <= 100_000, path


def test_gallery__only_names_what_there_is(page):
    named = set(re.findall(r"plots\.(\w+)\(", page))
    assert named <= set(plots.__all__)
