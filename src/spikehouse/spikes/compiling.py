"""How loops are compiled; imports numba, so import it only where a loop is about to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

__all__ = ["compiled", "n_threads"]

Loop = TypeVar("Loop", bound=Callable[..., Any])


def n_threads() -> int:
    """Say how many loops may run at once."""
    return int(vars(numba.config)["NUMBA_NUM_THREADS"])


def compiled(loop: Loop) -> Loop:
    """Compile at the first call, without the interpreter's lock, and keep it on disk."""
    njit: Any = numba.njit
    try:
        kept: Loop = njit(cache=True, nogil=True, error_model="numpy")(loop)
    except RuntimeError:  # neither folder can be written: compiled anew in every process
        kept = njit(nogil=True, error_model="numpy")(loop)
    return kept
