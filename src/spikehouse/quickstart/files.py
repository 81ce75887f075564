"""Write figures and the report atomically."""

from __future__ import annotations

from pathlib import Path

from spikehouse.errors import CacheError


def make_folder(folder: Path) -> Path:
    """Create the output folder if it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheError(
            f"the output folder {folder} cannot be created: {error.strerror}; "
            "choose another with --out"
        ) from error
    return folder


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file atomically, by renaming a temporary file."""
    part = path.with_name(f".{path.name}.part")
    try:
        # always a new file: what stands there may be a link to another one
        part.unlink(missing_ok=True)
        with part.open("xb") as file:
            file.write(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise CacheError(
            f"{path} cannot be written: {error.strerror}; choose another folder with --out"
        ) from error
    return path
