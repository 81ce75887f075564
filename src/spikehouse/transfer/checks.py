"""Check from its first bytes that a file is of the expected type and complete."""

from __future__ import annotations

from pathlib import Path

from spikehouse.errors import InvalidFileError

__all__ = ["check_hdf5", "check_npy", "check_tiff"]

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# byte order, then 42 (classic) or 43 (BigTIFF)
TIFF_SIGNATURES = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
NPY_SIGNATURE = b"\x93NUMPY"
N_BYTES_SHOWN = 16


def check_hdf5(path: Path) -> None:
    """Check that a file has an HDF5 signature and is as long as its superblock says."""
    # Superblock versions 0 to 3 of the HDF5 file format specification; a later version passes by
    # its signature alone.
    head = _read_head(path, 96)
    if not head.startswith(HDF5_SIGNATURE):
        raise InvalidFileError(f"{path} is not an HDF5 file: {_describe_head(head)}")
    end = _end_of_file_address(path, head)
    size = path.stat().st_size
    if end is not None and size < end:
        raise InvalidFileError(
            f"{path} is cut short: it has {size} bytes, its HDF5 superblock says {end}"
        )


def check_tiff(path: Path) -> None:
    """Check that a file begins with a TIFF signature."""
    head = _read_head(path, N_BYTES_SHOWN)
    if not head.startswith(TIFF_SIGNATURES):
        raise InvalidFileError(f"{path} is not a TIFF image: {_describe_head(head)}")


def check_npy(path: Path) -> None:
    """Check that a file is a complete NumPy array file without pickled objects."""
    import numpy as np

    head = _read_head(path, N_BYTES_SHOWN)
    if not head.startswith(NPY_SIGNATURE):
        raise InvalidFileError(f"{path} is not a NumPy array file: {_describe_head(head)}")
    try:
        # mapping reads the header and compares the file's length with it, nothing more
        np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # the header is parsed as Python: damage gives any error
        raise InvalidFileError(f"{path} is not a complete NumPy array file: {error}") from error


def _read_head(path: Path, n_bytes: int) -> bytes:
    with path.open("rb") as file:
        return file.read(n_bytes)


def _describe_head(head: bytes) -> str:
    if not head:
        return "it is empty"
    return f"it begins with {head[:N_BYTES_SHOWN]!r}"


def _end_of_file_address(path: Path, head: bytes) -> int | None:
    # version of the superblock → where the size of addresses stands, and where the first begins;
    # version 1 puts four more bytes (chunk B-tree rank, reserved) before them
    known = {0: (13, 24), 1: (13, 28), 2: (9, 12), 3: (9, 12)}
    if len(head) > 8 and head[8] not in known:
        return None
    # too short for any of them where it ends before the version
    place, first = known[head[8] if len(head) > 8 else 0]
    n_address = head[place] if len(head) > place else 8
    # base address, free space or extension address, end of file address
    start = first + 2 * n_address
    if n_address not in (2, 4, 8, 16):
        raise InvalidFileError(f"{path} is damaged: its addresses would have {n_address} bytes")
    if len(head) < start + n_address:
        raise InvalidFileError(
            f"{path} is cut short: it has {len(head)} bytes and ends within its HDF5 superblock"
        )
    return int.from_bytes(head[start : start + n_address], "little")
