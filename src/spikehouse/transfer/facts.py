"""Small files that record size, ETag and useful byte ranges of remote files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import secrets
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Facts", "forget_facts", "read_facts", "write_facts"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Facts:
    """Size and validators of a remote file, as the server last reported them."""

    # length [bytes]
    size: int
    # strong ETag of the version
    etag: str
    # time at which the server last confirmed them [s since 1970]
    checked_at: float
    # Last-Modified header, verbatim
    modified: str | None = None


def read_facts(folder: Path, url: str) -> Facts | None:
    """Read the recorded facts of a URL; None if there are none."""
    block = read_whole(_facts_path(folder, url))
    if block is None:
        return None
    try:
        kept = json.loads(block)
        if kept["url"] != url or not kept["etag"] or int(kept["size"]) < 0:
            return None
        modified = kept.get("modified")
        return Facts(
            int(kept["size"]),
            str(kept["etag"]),
            float(kept["checked_at"]),
            None if modified is None else str(modified),
        )
    except (ValueError, KeyError, TypeError):
        return None


def write_facts(folder: Path, url: str, facts: Facts) -> None:
    """Record the facts of a URL."""
    kept = {"url": url, **asdict(facts)}
    path = _facts_path(folder, url)
    try:
        write_atomically(path, json.dumps(kept).encode())
    except OSError as error:
        log.warning("cannot keep %s: %s", path, error)


def forget_facts(folder: Path, url: str) -> None:
    """Delete the recorded facts of a URL, because the server contradicted them."""
    with contextlib.suppress(OSError):
        _facts_path(folder, url).unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.writing")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_spans(folder: Path, key: str) -> list[tuple[int, int]] | None:
    """Read byte ranges recorded under a key; None if there are none."""
    block = read_whole(folder / f"{digest(key)}.spans")
    try:
        return None if block is None else [(int(a), int(b)) for a, b in json.loads(block)]
    except (ValueError, TypeError):
        return None


def write_spans(folder: Path, key: str, spans: list[tuple[int, int]]) -> None:
    """Record byte ranges under a key."""
    path = folder / f"{digest(key)}.spans"
    try:
        write_atomically(path, json.dumps(spans).encode())
    except OSError as error:
        log.warning("cannot keep %s: %s", path, error)


def digest(*parts: str) -> str:
    """Hash texts into a file name."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def read_whole(path: Path) -> bytes | None:
    """Read a file; None if another process deleted it."""
    # None also for what is no regular file (a link is not followed) or cannot be read
    try:
        return path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else None
    except OSError:
        return None


def _facts_path(folder: Path, url: str) -> Path:
    return folder / f"{digest(url)}.json"
