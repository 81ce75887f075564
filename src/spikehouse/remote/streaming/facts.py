"""What servers said of remote files, kept beside the bytes that came from them."""

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
    """What a server said of a file.

    Attributes
    ----------
    size
        Its length in bytes.
    etag
        The token of this version.
    checked_at
        When the server last confirmed it [s since 1970].
    modified
        The date of this version, as the server writes it.
    """

    size: int
    etag: str
    checked_at: float
    modified: str | None = None


def read_facts(folder: Path, url: str) -> Facts | None:
    """Recall what a server said of a file.

    Parameters
    ----------
    folder
        Of all remote files.
    url
        The file's address.

    Returns
    -------
    Facts or None
        None if nothing is known, or what is kept makes no sense.
    """
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
    """Remember what a server said of a file.

    Parameters
    ----------
    folder
        Of all remote files.
    url
        The file's address.
    facts
        What it said.
    """
    kept = {"url": url, **asdict(facts)}
    path = _facts_path(folder, url)
    try:
        write_atomically(path, json.dumps(kept).encode())
    except OSError as error:
        log.warning("cannot keep %s: %s", path, error)


def forget_facts(folder: Path, url: str) -> None:
    """Forget what a server said of a file, because it says otherwise now.

    Parameters
    ----------
    folder
        Of all remote files.
    url
        The file's address.
    """
    with contextlib.suppress(OSError):
        _facts_path(folder, url).unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all.

    Parameters
    ----------
    path
        Its name; folders above are made.
    content
        Its bytes.

    Raises
    ------
    OSError
        If it cannot be written; nothing is left behind.
    """
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
    """Recall which ranges were fetched for something.

    Parameters
    ----------
    folder
        Of one version of one remote file.
    key
        What they were fetched for.

    Returns
    -------
    list of (int, int) or None
        First byte and the one after the last of each; None if nothing sensible is kept.
    """
    block = read_whole(folder / f"{digest(key)}.spans")
    try:
        return None if block is None else [(int(a), int(b)) for a, b in json.loads(block)]
    except (ValueError, TypeError):
        return None


def write_spans(folder: Path, key: str, spans: list[tuple[int, int]]) -> None:
    """Remember which ranges were fetched for something.

    Parameters
    ----------
    folder
        Of one version of one remote file.
    key
        What they were fetched for.
    spans
        First byte and the one after the last of each.
    """
    path = folder / f"{digest(key)}.spans"
    try:
        write_atomically(path, json.dumps(spans).encode())
    except OSError as error:
        log.warning("cannot keep %s: %s", path, error)


def digest(*parts: str) -> str:
    """Make a file name of texts that may hold anything.

    Parameters
    ----------
    *parts
        The texts.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def read_whole(path: Path) -> bytes | None:
    """Read a file that another process may delete at any time.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    bytes or None
        None if it is not there, is no plain file (a link is not followed) or cannot be read.
    """
    try:
        return path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else None
    except OSError:
        return None


def _facts_path(folder: Path, url: str) -> Path:
    return folder / f"{digest(url)}.json"
