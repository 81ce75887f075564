"""Read the images and movies that were shown."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikehouse.errors import LEFT_AS_IT_IS, InvalidFileError

if TYPE_CHECKING:
    from tifffile import TiffFrame, TiffPage

__all__ = ["read_movie", "read_scene"]

SCENE_SHAPE = (918, 1174)
FRAME_SHAPE = (304, 608)


def read_scene(path: Path) -> NDArray[np.uint8]:
    """Read an image."""
    import tifffile

    with _decoding(path, "TIFF"), tifffile.TiffFile(path) as file:
        _check_shape(file.series[0].shape, file.series[0].dtype, SCENE_SHAPE)
        _check_segments(path, file.pages[0])
        return np.asarray(file.asarray())


def _check_segments(path: Path, page: TiffPage | TiffFrame) -> None:
    """Check that the compressed pieces of an image are as long as its pixels need."""
    # tifffile would allocate whatever the file claims; this runs before it decompresses.
    sizes = list(page.databytecounts)
    if page.compression == 1 and sum(sizes) != page.nbytes:
        raise ValueError(f"it stores {sum(sizes)} bytes for {page.nbytes} pixels")
    if page.compression not in (8, 32946):  # deflate; no other makes so much of so little
        return
    with path.open("rb") as file:
        for offset, size in zip(page.dataoffsets, sizes, strict=True):
            file.seek(offset)
            unpacker = zlib.decompressobj()
            if len(unpacker.decompress(file.read(size), page.nbytes + 1)) > page.nbytes:
                raise ValueError(f"{size} compressed bytes unpack to more than {page.nbytes}")


def read_movie(path: Path) -> NDArray[np.uint8]:
    """Open a movie as a memory-mapped array."""
    with _decoding(path, "movie"):
        movie = np.load(path, mmap_mode="c", allow_pickle=False)
        _check_shape(movie.shape, movie.dtype, (len(movie), *FRAME_SHAPE))
        n_bytes = movie.offset + movie.nbytes
        if n_bytes != path.stat().st_size or not movie.flags.c_contiguous:
            raise ValueError(f"it has {path.stat().st_size} bytes, its header says {n_bytes}")
        return np.asanyarray(movie)


@contextlib.contextmanager
def _decoding(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a decoder may raise anything on a damaged file
        raise InvalidFileError(
            f"{path} is not a readable {kind}: {error}. {LEFT_AS_IT_IS}"
        ) from error


def _check_shape(
    shape: tuple[int, ...], dtype: np.dtype[np.generic], right: tuple[int, ...]
) -> None:
    if shape != right or dtype != np.uint8:
        raise ValueError(f"it holds {dtype} of shape {shape} where uint8 of {right} is expected")
