"""Download documents that fit into memory, with a limit on their size."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from spikehouse.errors import NotFoundError, SourceError, TransferError
from spikehouse.transfer.http import (
    HttpClient,
    check_coding,
    check_head,
    read_body,
    read_length,
)
from spikehouse.transfer.retry import retry

__all__ = ["describe_body", "fetch_bytes", "fetch_json"]

MAX_JSON_VALUES = 2_000_000
N_CHARACTERS_SHOWN = 120
# what a server says of something that is not there: S3 answers 403 in place of 404 where the
# bucket may not be listed
_ABSENT = (403, 404, 410)


def fetch_bytes(
    client: HttpClient,
    url: str,
    *,
    name: str,
    max_bytes: int,
    sleep: Callable[[float], object] = time.sleep,
) -> bytes:
    """Download a document of at most `max_bytes`, with retries."""
    return retry(
        lambda: _fetch_once(client, url, name=name, max_bytes=max_bytes),
        options=client.options,
        sleep=sleep,
    )


def fetch_json(
    client: HttpClient,
    url: str,
    *,
    name: str,
    max_bytes: int,
    sleep: Callable[[float], object] = time.sleep,
) -> Any:  # noqa: ANN401 - whatever the server says
    """Download and parse a JSON document, with retries."""
    # A value of two bytes in the document can take 64 in memory: documents of more than two
    # million values are refused. A page of 5000 rows has at most 600 000.
    body = fetch_bytes(client, url, name=name, max_bytes=max_bytes, sleep=sleep)
    n_values = sum(map(body.count, b",[{"))
    if n_values > MAX_JSON_VALUES:
        raise SourceError(
            f"{url} sends {n_values} values, far too many for {name}: at most {MAX_JSON_VALUES}"
        )
    try:
        return json.loads(body)
    # RecursionError: a document of nothing but brackets
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"{url} returned no valid JSON for {name} ({error}); {describe_body(body)}"
        ) from error


def describe_body(body: bytes) -> str:
    """Describe the beginning of an unexpected body."""
    start = body[:N_CHARACTERS_SHOWN].decode("utf-8", "replace").strip()
    if start.startswith("<"):
        return f"it is a page (of a proxy or a login?) that begins with {start!r}"
    return f"it begins with {start!r}"


def _fetch_once(client: HttpClient, url: str, *, name: str, max_bytes: int) -> bytes:
    # closed, not released: what is left of a broken body must not reach the next request
    with client.open(url, accept=(200, *_ABSENT)) as response:
        if response.status in _ABSENT:
            raise NotFoundError(
                f"{url}: {name} is not there (status {response.status}: a server says 404 for what "
                "it does not have, and S3 says 403 for that as well where its bucket may not be "
                "listed)"
            )
        check_coding(response, url, name)
        body = read_body(response, url=url, most=max_bytes)
        length = read_length(response)
    if length is not None and length != len(body):
        raise TransferError(f"{url} promised {length} bytes of {name} and sent {len(body)}")
    check_head(body, url, name)
    return body
