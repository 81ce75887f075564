"""A loopback server for one test, and a client that is quick to give up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from file_server import FileServer as StandIn
from file_server import Handler
from spikehouse.transfer.retry import HttpOptions

__all__ = ["Handler", "StandIn"]


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as server:
        yield server


@pytest.fixture
def closed_address() -> str:
    """Give an address where nobody listens any more."""
    with StandIn() as server:
        return server.address


@pytest.fixture
def hasty() -> HttpOptions:
    return HttpOptions(
        retry_seconds=0.5, connect_timeout=2, answer_timeout=2, stall_timeout=0.3, backoff=0.01
    )
