"""Carrying one file from a server into the cache folder, whole or not at all."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Never

from spikehouse.errors import InvalidFileError, SourceError, TransferError
from spikehouse.remote.disk import explain_storage_errors, hold_lock, make_folder, write_whole
from spikehouse.remote.http import (
    HttpClient,
    HttpOptions,
    iterate_blocks,
    limit_silence,
    retry,
)
from spikehouse.remote.sources import Content, RemoteFile

if TYPE_CHECKING:
    from tqdm import tqdm
    from urllib3 import BaseHTTPResponse

__all__ = ["download", "is_progress_shown"]

log = logging.getLogger(__name__)

PROGRESS_VARIABLE = "SPIKEHOUSE_PROGRESS"
# a server that answers like this instead of sending the file is telling us something else
_PAGES = ("text/html", "application/json", "application/xhtml+xml")


def is_progress_shown(progress: bool | None) -> bool:
    """Decide whether to draw progress bars.

    Parameters
    ----------
    progress
        What the caller wants; None leaves it to the environment.

    Returns
    -------
    bool
        True, unless the caller or the variable ``SPIKEHOUSE_PROGRESS`` (0, false, no, off)
        says otherwise.
    """
    if progress is not None:
        return progress
    return os.environ.get(PROGRESS_VARIABLE, "1").casefold() not in {"0", "false", "no", "off"}


def download(
    content: Content,
    target: Path,
    *,
    check: Callable[[Path], None],
    options: HttpOptions | None = None,
    lock: Path | None = None,
    progress: bool | None = None,
) -> Path:
    """Fetch a file unless it is there.

    Parameters
    ----------
    content
        Where the bytes are, or the bytes themselves, block by block (these cannot be asked for
        twice, so they are tried once).
    target
        The name the file gets when it is whole.
    check
        Called with the written file before it gets its name; raises
        :class:`InvalidFileError` if it is not what it should be.
    options
        How patient to be with the server.
    lock
        The lock file that keeps others from fetching the same file; ``.<name>.lock`` beside
        the target by default.
    progress
        Whether to draw a bar on stderr; None leaves it to ``SPIKEHOUSE_PROGRESS``.

    Returns
    -------
    Path
        ``target``.

    Raises
    ------
    CacheError
        If the folder cannot be written to, or the disk is full.
    SourceError
        If the server cannot be reached, has no such file or answers with something else.
    TransferError
        If the file did not arrive whole.
    InvalidFileError
        If what arrived is not what it should be.

    Notes
    -----
    A file that is there is not looked at, far less replaced. Blocks of at most 1 MiB go to
    ``<name>.part``, which is flushed to the disk, checked and renamed; on any failure, Ctrl-C
    included, it is removed. Two threads or processes that ask for one file download it once.
    """
    if target.exists():
        return target
    options = options or HttpOptions()
    make_folder(target.parent)
    with hold_lock(lock or target.with_name(f".{target.name}.lock")):
        # while we waited for the lock, another process may have finished the job
        if target.exists():
            return target
        shown = is_progress_shown(progress)
        if isinstance(content, RemoteFile):
            remote = content
            client = HttpClient(options)
            retry(
                lambda: _fetch(remote, target, client=client, check=check, shown=shown),
                options=options,
            )
        else:
            _write(content, target, check=check, origin="the source", total=None, shown=shown)
    log.info("fetched %s", target)
    return target


def _fetch(
    remote: RemoteFile,
    target: Path,
    *,
    client: HttpClient,
    check: Callable[[Path], None],
    shown: bool,
) -> None:
    response = client.open(remote.url, timeout=client.options.answer_timeout)
    try:
        limit_silence(response, client.options.stall_timeout)
        total = _check_headers(response, remote)
        blocks = iterate_blocks(response, url=remote.url)
        _write(blocks, target, check=check, origin=remote.url, total=total, shown=shown)
    finally:
        # not release_conn: what is left of a broken body must not reach the next request
        response.close()


def _check_headers(response: BaseHTTPResponse, remote: RemoteFile) -> int | None:
    kind = response.headers.get("Content-Type", "").split(";")[0].strip().casefold()
    if kind in _PAGES:
        raise SourceError(
            f"{remote.url} answers with a page ({kind}) instead of {remote.name}: an error "
            "message, or a proxy or login page in between; nothing was kept"
        )
    coding = response.headers.get("Content-Encoding", "identity").casefold()
    if coding != "identity":
        raise SourceError(f"{remote.url} sends {remote.name} {coding}-encoded, which was not asked")
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else None
    if None not in (total, remote.size) and total != remote.size:
        raise TransferError(
            f"{remote.url} should have {remote.size} bytes and now offers {total}: the file has "
            "changed there; nothing was kept"
        )
    return total


def _write(
    blocks: Iterable[bytes],
    target: Path,
    *,
    check: Callable[[Path], None],
    origin: str,
    total: int | None,
    shown: bool,
) -> None:
    def check_arrival(part: Path) -> None:
        _check_length(part, total=total, origin=origin)
        try:
            check(part)
        except InvalidFileError as error:
            raise InvalidFileError(
                f"what {origin} sent for {target.name} is no good and was not kept: {error}"
            ) from error

    with write_whole(target, check=check_arrival) as file, _make_bar(total, shown=shown) as bar:
        for block in blocks:
            with explain_storage_errors(target):
                file.write(block)
            bar.update(len(block))


def _check_length(part: Path, *, total: int | None, origin: str) -> None:
    size = part.stat().st_size
    if total is not None and size != total:
        raise TransferError(
            f"{origin} promised {total} bytes and sent {size}; nothing was kept, call again"
        )


def _make_bar(total: int | None, *, shown: bool) -> tqdm[Never]:
    from tqdm import tqdm

    return tqdm(
        total=total, desc="Downloading", unit="B", unit_scale=True, disable=not shown, leave=True
    )
