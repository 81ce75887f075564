"""Writes figures and the report: whole, or not at all."""

from __future__ import annotations

from pathlib import Path

from spikehouse.errors import CacheError


def make_folder(folder: Path) -> Path:
    """Make the folder for the figures.

    Parameters
    ----------
    folder
        Its path; may exist.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    CacheError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheError(
            f"the folder for the figures, {folder}, cannot be made: {error.strerror}; "
            "choose another with --out"
        ) from error
    return folder


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file under another name first, so that its own never holds a part.

    Parameters
    ----------
    path
        The file; an older one is replaced.
    content
        All of it.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    CacheError
        If it cannot be written, for want of rights or space.
    """
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
