"""Tests here reach the internet: they run with SPIKEHOUSE_NETWORK=1 only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
MARKS = (
    pytest.mark.network,
    pytest.mark.enable_socket,
    pytest.mark.allow_hosts(None),
    pytest.mark.skipif(
        os.environ.get("SPIKEHOUSE_NETWORK") != "1",
        reason="reaches the internet; set SPIKEHOUSE_NETWORK=1",
    ),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            for mark in MARKS:
                item.add_marker(mark)
