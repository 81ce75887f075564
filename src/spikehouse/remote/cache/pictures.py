"""Images and movies that were shown, as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikehouse.errors import InvalidFileError

__all__ = ["read_movie", "read_scene"]

# a released image has 1 MB; one that claims far more is no image of this survey
LARGEST_SCENE_BYTES = 256 << 20
_ADVICE = "It was left as it is; delete it and call again to fetch it anew"


def read_scene(path: Path) -> NDArray[np.uint8]:
    """Read an image.

    Parameters
    ----------
    path
        A TIFF.

    Returns
    -------
    ndarray
        Shape (rows, columns), grey values 0 to 255 for the released images.

    Raises
    ------
    InvalidFileError
        If it cannot be read as a TIFF, or claims to be far larger than an image here can be.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            n_bytes = file.series[0].nbytes
            if n_bytes > LARGEST_SCENE_BYTES:
                raise ValueError(f"it claims to unpack to {n_bytes} bytes")
            return np.asarray(file.asarray())
    except (tifffile.TiffFileError, ValueError, EOFError, IndexError, OverflowError) as error:
        raise InvalidFileError(f"{path} is not a readable TIFF: {error}. {_ADVICE}") from error


def read_movie(path: Path) -> NDArray[Any]:
    """Open a movie.

    Parameters
    ----------
    path
        A NumPy array file, whatever its name ends in.

    Returns
    -------
    ndarray
        Shape (frames, rows, columns), uint8 for the released movies. It is mapped: frames are
        read when they are used, and changes stay in memory.

    Raises
    ------
    InvalidFileError
        If it is no such file or holds pickled objects.
    """
    try:
        return np.asanyarray(np.load(path, mmap_mode="c", allow_pickle=False))
    except (ValueError, EOFError, OverflowError) as error:
        raise InvalidFileError(f"{path} is not a readable movie: {error}. {_ADVICE}") from error
