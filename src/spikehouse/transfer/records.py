"""Record when and from where a cached file was downloaded, and its digest."""

from __future__ import annotations

import dataclasses
import json
import logging
import zlib
from dataclasses import dataclass
from pathlib import Path

from spikehouse.transfer.disk import OWN_FOLDER, make_folder, write_whole

__all__ = ["OWN_FOLDER", "FileRecord", "find_record", "read_record", "write_record"]

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 1 << 16


@dataclass(frozen=True)
class FileRecord:
    """When and from where a cached file was downloaded, and its digest."""

    # length [bytes]
    size: int
    # modification time in the file system [ns]; with the size a cheap test for later changes
    mtime_ns: int
    # 64 lower-case hexadecimal digits
    sha256: str
    # name of the source, such as "s3"
    source: str
    # URL of the file, empty if it has none
    url: str
    # ETag of the version, None if the server sent none
    etag: str | None
    # time of the download (UTC, ISO 8601)
    fetched_at: str


def find_record(records: Path, path: Path) -> Path:
    """Return the path of the record of a file."""
    root = records.parent.parent
    if records.parent.name == OWN_FOLDER and path.is_relative_to(root):
        return records / f"{'__'.join(path.relative_to(root).parts)}.json"
    # files of elsewhere may share a name: the folder tells them apart
    token = zlib.crc32(str(path.parent.absolute()).encode())
    return records / f"{token:08x}__{path.name}.json"


def read_record(records: Path, path: Path) -> FileRecord | None:
    """Read the record of a file; None if there is no usable one."""
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
    """Write the record of a file."""
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
