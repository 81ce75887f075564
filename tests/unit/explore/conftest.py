"""A server without a socket, and how its page would ask it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import pytest

from spikehouse.explore._app import Application, Explored
from spikehouse.explore._recipes import find_recipe
from spikehouse.explore._security import Guard
from spikehouse.explore._sessions import Sessions

with warnings.catch_warnings():
    # newer versions would rather have a package that older ones do not know
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

PORT = 8045
TOKEN = "a-token-that-nobody-knows"


@pytest.fixture
def serve() -> Iterator[Callable[..., TestClient]]:
    """Give a function that returns a client, with the cookie unless it is asked to have none."""
    opened = []

    def start(sessions=None, *, results=None, recipes=None, cookie=True, **facts) -> TestClient:
        explored = Explored(sessions or Sessions(), results or {}, **facts)
        find = find_recipe if recipes is None else (lambda _, name: recipes[name])
        application = Application(explored, find_recipe=find)
        guard = Guard(application.make_asgi(), token=TOKEN, port=PORT)
        client = TestClient(
            guard,
            base_url=f"http://127.0.0.1:{PORT}",
            raise_server_exceptions=False,
            follow_redirects=False,
        )
        if cookie:
            client.cookies.set(f"spikehouse-{PORT}", TOKEN, domain="127.0.0.1")
        opened.append((client, application))
        return client

    yield start
    for client, application in opened:
        client.close()
        application.close()
