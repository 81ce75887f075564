"""Files are what their first bytes say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from spikehouse.errors import InvalidFileError
from spikehouse.transfer.checks import check_hdf5, check_npy, check_tiff


@pytest.fixture(params=["earliest", "latest", "v110"])
def hdf5_path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Give a file of every version of the superblock that h5py writes."""
    path = tmp_path / "file.nwb"
    with h5py.File(path, "w", libver=(request.param, "latest")) as file:
        file["numbers"] = np.arange(1000.0)
    return path


def test_check_hdf5__accepts_hdf5(hdf5_path: Path) -> None:
    check_hdf5(hdf5_path)


def test_check_hdf5__accepts_the_shared_session(shared_session_path: Path) -> None:
    check_hdf5(shared_session_path)


@pytest.mark.parametrize("n_missing", [1, 500, 8000])
def test_check_hdf5__refuses_a_file_cut_short(hdf5_path: Path, n_missing: int) -> None:
    whole = hdf5_path.read_bytes()
    hdf5_path.write_bytes(whole[:-n_missing])
    message = f"cut short: it has {len(whole) - n_missing} bytes, its .* says {len(whole)}"
    with pytest.raises(InvalidFileError, match=message):
        check_hdf5(hdf5_path)


def test_check_hdf5__refuses_every_length_of_a_file_cut_short(hdf5_path: Path) -> None:
    content = hdf5_path.read_bytes()
    for size in [*range(120), len(content) - 1]:
        hdf5_path.write_bytes(content[:size])
        with pytest.raises(InvalidFileError, match=r"cut short|is not an HDF5 file"):
            check_hdf5(hdf5_path)


def test_check_hdf5__passes_an_unknown_superblock_by_its_signature(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\xff" * 40)
    check_hdf5(path)


def test_check_tiff__accepts_what_tifffile_writes(tmp_path: Path) -> None:
    import tifffile

    for byteorder in "<>":
        for bigtiff in (False, True):
            path = tmp_path / "image.tiff"
            image = np.arange(12, dtype=np.uint8).reshape(3, 4)
            tifffile.imwrite(path, image, byteorder=byteorder, bigtiff=bigtiff)
            check_tiff(path)


def test_check_npy__accepts_an_array_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "natural_movie_1.h5"
    with path.open("wb") as file:
        np.save(file, np.zeros((2, 3, 4), dtype=np.uint8))
    check_npy(path)


def test_check_npy__refuses_an_array_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "movie"
    with path.open("wb") as file:
        np.save(file, np.zeros((2, 3, 4), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InvalidFileError, match="not a complete NumPy array file"):
        check_npy(path)


def test_check_npy__refuses_pickled_objects(tmp_path: Path) -> None:
    path = tmp_path / "movie"
    with path.open("wb") as file:
        np.save(file, np.array([print, None], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidFileError, match="not a complete NumPy array file"):
        check_npy(path)


@pytest.mark.parametrize(
    ("check", "what"),
    [
        (check_hdf5, "an HDF5 file"),
        (check_tiff, "a TIFF image"),
        (check_npy, "a NumPy array file"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"\x89HD", b"<html>an error page</html>"])
def test_checks__refuse_anything_else(
    check: Callable[[Path], None], what: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    shown = "it is empty" if not content else "it begins with"
    with pytest.raises(InvalidFileError, match=f"is not {what}: {shown}"):
        check(path)
    assert path.read_bytes() == content
