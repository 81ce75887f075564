"""AllenSDK's import paths for one test, and no trace of them after it."""

from __future__ import annotations

import sys

import pytest

from spikehouse.compat import install


def forget():
    for name in [name for name in sys.modules if name.partition(".")[0] == "allensdk"]:
        del sys.modules[name]


@pytest.fixture
def clean(monkeypatch):
    """Begin and end without the aliases."""
    monkeypatch.setattr(
        sys,
        "meta_path",
        [finder for finder in sys.meta_path if type(finder).__module__ != install.__module__],
    )
    forget()
    yield
    forget()


@pytest.fixture
def installed(clean):
    install()
