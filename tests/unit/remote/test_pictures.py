"""Images and movies from hands one need not trust."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from spikehouse.errors import InvalidFileError
from spikehouse.remote.cache import pictures
from spikehouse.remote.cache.pictures import read_movie, read_scene
from spikehouse.remote.transfer.checks import check_npy


def write_npy(path: Path, shape: str) -> Path:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (118 - len(header) - 1) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    return path


def test_read_scene__more_than_an_image_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scene.tiff"
    tifffile.imwrite(path, np.zeros((300, 300), np.uint8))
    assert read_scene(path).shape == (300, 300)
    monkeypatch.setattr(pictures, "LARGEST_SCENE_BYTES", 89_999)
    with pytest.raises(InvalidFileError, match=r"claims to unpack to 90000 bytes.*left as it is"):
        read_scene(path)


@pytest.mark.parametrize("shape", [f"({2**70},)", "(100, 100)"])
def test_read_movie__header_that_promises_more_than_is_there(tmp_path: Path, shape: str) -> None:
    path = write_npy(tmp_path / "movie.h5", shape)
    with pytest.raises(InvalidFileError, match=r"not a readable movie"):
        read_movie(path)
    with pytest.raises(InvalidFileError, match=r"not a complete NumPy array"):
        check_npy(path)
