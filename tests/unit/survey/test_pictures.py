"""Images and movies from hands one need not trust."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from spikehouse.errors import InvalidFileError
from spikehouse.survey import pictures
from spikehouse.survey.pictures import read_movie, read_scene
from spikehouse.transfer.checks import check_npy

SCENE = np.random.default_rng(0).integers(0, 255, pictures.SCENE_SHAPE, np.uint8)
MOVIE = np.random.default_rng(0).integers(0, 255, (2, *pictures.FRAME_SHAPE), np.uint8)


def write_npy(path: Path, shape: str) -> Path:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (118 - len(header) - 1) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    return path


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "zlib"}])
def test_read_scene__as_written(tmp_path: Path, options: dict[str, str]) -> None:
    path = tmp_path / "scene.tiff"
    tifffile.imwrite(path, SCENE, **options)
    np.testing.assert_array_equal(read_scene(path), SCENE)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (SCENE[1:], r"holds uint8 of shape \(917, 1174\) where uint8 of \(918, 1174\)"),
        (SCENE.astype(">u2"), "holds >u2 of shape|holds uint16 of shape"),
        (np.stack([SCENE] * 3, axis=-1), r"of shape \(918, 1174, 3\)"),
        (np.zeros((1 << 12, 1 << 12), np.uint8), r"of shape \(4096, 4096\)"),
    ],
    ids=["shape", "type", "color", "large"],
)
def test_read_scene__another_image(tmp_path: Path, image: np.ndarray, message: str) -> None:
    path = tmp_path / "scene.tiff"
    tifffile.imwrite(path, image, compression="zlib")
    with pytest.raises(InvalidFileError, match=rf"{message}.*left as it is"):
        read_scene(path)


def test_read_scene__a_piece_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "scene.tiff"
    bomb = zlib.compress(bytes(1 << 25))
    tifffile.imwrite(path, SCENE, rowsperstrip=918, compression="zlib")
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        offset, size = page.dataoffsets[0], page.databytecounts[0]
    assert size > len(bomb)
    content = path.read_bytes()
    path.write_bytes(content[:offset] + bomb + content[offset + len(bomb) :])
    with pytest.raises(InvalidFileError, match="compressed bytes unpack to more than 1077732"):
        read_scene(path)


def damage(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    # where headers are: the rest is pixels, any of which is a right value
    for _ in range(rng.choice([1, 3])):
        place = rng.choice([rng.randrange(300), rng.randrange(len(content))])
        changed[place] = rng.choice([0, 255, changed[place] ^ 1 << rng.randrange(8)])
    return bytes(changed[: rng.choice([len(content), len(content), rng.randrange(len(content))])])


@pytest.mark.parametrize("kind", ["tiff", "packed tiff", "big-endian tiff", "npy"])
def test_read__damaged_at_random(tmp_path: Path, kind: str) -> None:
    path, read = tmp_path / "damaged", read_movie if kind == "npy" else read_scene
    if kind == "npy":
        with path.open("wb") as file:
            np.save(file, MOVIE)
    else:
        options = {"packed tiff": {"compression": "zlib"}, "big-endian tiff": {"byteorder": ">"}}
        tifffile.imwrite(path, SCENE, **options.get(kind, {}))
    content, n_errors = path.read_bytes(), 0
    for seed in range(60):
        path.write_bytes(damage(content, random.Random(seed)))
        try:
            found = read(path)
        except InvalidFileError:
            n_errors += 1
        else:
            assert found.dtype == np.uint8
            assert found.shape[-2:] in (pictures.SCENE_SHAPE, pictures.FRAME_SHAPE)
    assert n_errors > 5


def test_check_npy__header_that_is_no_python(tmp_path: Path) -> None:
    path = tmp_path / "movie.h5"
    for header in (b"{'descr': '|u1', 'shape': (((((", b"{1: [}", b"\xff\xfe{"):
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        check: Callable[[Path], object]
        for check in (check_npy, read_movie):
            with pytest.raises(InvalidFileError, match="is not a"):
                check(path)


@pytest.mark.parametrize("shape", [f"({2**70},)", "(100, 100)"])
def test_read_movie__header_that_promises_more_than_is_there(tmp_path: Path, shape: str) -> None:
    path = write_npy(tmp_path / "movie.h5", shape)
    with pytest.raises(InvalidFileError, match=r"not a readable movie"):
        read_movie(path)
    with pytest.raises(InvalidFileError, match=r"not a complete NumPy array"):
        check_npy(path)
