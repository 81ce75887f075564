"""Compile loops with numba; import this module only where a loop is about to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

__all__ = ["compiled", "n_threads"]

Loop = TypeVar("Loop", bound=Callable[..., Any])


def n_threads() -> int:
    """Return how many loops may run at once: the cores of this process, or NUMBA_NUM_THREADS."""
    return int(vars(numba.config)["NUMBA_NUM_THREADS"])


def compiled(loop: Loop) -> Loop:
    """Compile at the first call, without the interpreter's lock, and keep the code on disk."""
    # numba keeps the code beside the module, or in the user's cache folder if that is read-only
    njit: Any = numba.njit
    try:
        kept: Loop = njit(cache=True, nogil=True, error_model="numpy")(loop)
    except RuntimeError:  # neither folder can be written: compiled anew in every process
        kept = njit(nogil=True, error_model="numpy")(loop)
    return kept
