"""Find size and validator of a remote file: as given, recorded, or from the server."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

from spikehouse.errors import SourceError
from spikehouse.transfer.client import UnreachableError
from spikehouse.transfer.facts import read_facts, write_facts
from spikehouse.transfer.remote_file import RemoteFile
from spikehouse.transfer.stream_options import RangeClient

__all__ = ["identify", "probe"]

log = logging.getLogger(__name__)

_HOUR_S = 3600.0


def identify(
    remote: RemoteFile, client: RangeClient, cache: Path | None, *, trust_hours: float
) -> tuple[RemoteFile, bool]:
    """Return the file with size and validator, and whether these come from the record."""
    # The server is asked only if nothing is given or recorded, or the record is older than
    # `trust_hours`. An unreachable server is no failure if there is a record: cached bytes can be
    # read offline. A wrong record shows at the first request, whose answer must have the recorded
    # version.
    if remote.size is not None and remote.etag is not None:
        return remote, False
    known = None if cache is None else read_facts(cache, remote.url)
    if cache is None or known is None or remote.size not in (None, known.size):
        return probe(remote, client), False
    recalled = replace(remote, size=known.size, etag=known.etag, modified=known.modified)
    if time.time() - known.checked_at < trust_hours * _HOUR_S:
        return recalled, True
    try:
        probed = probe(remote, client)
    except UnreachableError as error:
        log.warning("%s is read from the cache: %s", remote.url, error)
        return recalled, True
    if probed == recalled:
        write_facts(cache, remote.url, replace(known, checked_at=time.time()))
    return probed, False


def probe(remote: RemoteFile, client: RangeClient) -> RemoteFile:
    """Ask the server for size and validator of a file."""
    probed = client.probe(remote)
    if probed.size is None:
        raise SourceError(f"{remote.url}: the server does not say how long the file is")
    return probed
