"""What was fetched when from where, with its digest: one small file per file of the cache."""

from __future__ import annotations

import dataclasses
import json
import logging
import zlib
from dataclasses import dataclass
from pathlib import Path

from spikehouse.remote.disk import make_folder, write_whole
from spikehouse.remote.manifest import OWN_FOLDER

__all__ = ["FileRecord", "find_record", "read_record", "write_record"]

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 1 << 16


@dataclass(frozen=True)
class FileRecord:
    """What is known of a file of the cache since it was fetched.

    Attributes
    ----------
    size
        Its length [bytes].
    mtime_ns
        When it was last written, as the file system says [ns]: with the size it tells cheaply
        whether somebody changed it since.
    sha256
        Its digest, 64 lower-case hexadecimal digits.
    source
        Who had it, such as ``"s3"``.
    url
        Its address there; empty where it had none.
    etag
        The server's token for this version, None where there was none.
    fetched_at
        When, in UTC, as ISO 8601.
    """

    size: int
    mtime_ns: int
    sha256: str
    source: str
    url: str
    etag: str | None
    fetched_at: str


def find_record(records: Path, path: Path) -> Path:
    """Say where the record of a file lies.

    Parameters
    ----------
    records
        The folder of records, ``.spikehouse/records`` of a cache folder.
    path
        The file.

    Returns
    -------
    Path
        A file in ``records``.
    """
    root = records.parent.parent
    if records.parent.name == OWN_FOLDER and path.is_relative_to(root):
        return records / f"{'__'.join(path.relative_to(root).parts)}.json"
    # files of elsewhere may share a name: the folder tells them apart
    token = zlib.crc32(str(path.parent.absolute()).encode())
    return records / f"{token:08x}__{path.name}.json"


def read_record(records: Path, path: Path) -> FileRecord | None:
    """Read the record of a file.

    Parameters
    ----------
    records
        The folder of records.
    path
        The file.

    Returns
    -------
    FileRecord or None
        None where there is none, or none that can be read (a log line says so).
    """
    place = find_record(records, path)
    if not place.is_file():
        return None
    try:
        with place.open("rb") as file:
            document = json.loads(file.read(MAX_RECORD_BYTES))
        return _parse(document)
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s is no record and is ignored: %s", place, error)
        return None


def write_record(records: Path, path: Path, record: FileRecord) -> None:
    """Write down what is known of a file.

    Parameters
    ----------
    records
        The folder of records; made if need be.
    path
        The file.
    record
        What is known of it.

    Raises
    ------
    CacheError
        If it cannot be written.
    """
    make_folder(records)
    text = json.dumps(dataclasses.asdict(record), indent=1)
    with write_whole(find_record(records, path)) as file:
        file.write(text.encode())


def _parse(document: object) -> FileRecord:
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    kinds: dict[str, type | tuple[type, ...]] = {
        "size": int,
        "mtime_ns": int,
        "sha256": str,
        "source": str,
        "url": str,
        "etag": (str, type(None)),
        "fetched_at": str,
    }
    for name, kind in kinds.items():
        if not isinstance(document.get(name), kind):
            raise ValueError(f"its {name!r} is {document.get(name)!r}")
    return FileRecord(**{name: document[name] for name in kinds})
