"""Random streams that depend on what they are for and on nothing else."""

from __future__ import annotations

import uuid
import zlib

import numpy as np

__all__ = ["make_rng", "make_uuid"]

# Any fixed value does: it only keeps our ids apart from those made from other names.
NAMESPACE = uuid.UUID("6f1f2d0e-3c57-5d0a-9a70-1b1f9a2c4e88")


def make_rng(seed: int, *keys: int | str) -> np.random.Generator:
    """Give the random generator of one purpose.

    Parameters
    ----------
    seed
        The seed of the survey.
    *keys
        What the numbers are for, such as a session id and ``"running"``. Equal keys give equal
        numbers, whatever else was drawn before and in which thread.

    Returns
    -------
    numpy.random.Generator
        A PCG64 generator of its own.
    """
    words = [zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))


def make_uuid(*keys: int | str) -> str:
    """Give the object id of one named thing, the same every time.

    Parameters
    ----------
    *keys
        What names it.

    Returns
    -------
    str
        A version 5 UUID.
    """
    return str(uuid.uuid5(NAMESPACE, "/".join(str(key) for key in keys)))
