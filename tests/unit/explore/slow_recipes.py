"""Recipes that a test waits for, or that fail; modules of processes import it by name."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from spikehouse.errors import InvalidArgumentError


def compute(session: Any, *, log: str = "", seconds: float = 0.0) -> dict[str, Any]:
    """Use the processor for some seconds."""
    if log:
        Path(log).write_text(str(os.getpid()))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        np.ones(1000).sum()
    return {"pid": os.getpid(), "n_units": len(session.units)}


def warn(session: Any) -> dict[str, Any]:
    """Warn of something, twice."""
    for _ in range(2):
        warnings.warn("some units are – odd", stacklevel=2)
    return {}


def refuse(session: Any) -> dict[str, Any]:
    """Refuse."""
    raise InvalidArgumentError("it is not valid")


def fail(session: Any) -> dict[str, Any]:
    """Fail."""
    return {"x": 1 // 0}


def kill(session: Any) -> dict[str, Any]:
    """End the process, as one that has no memory left."""
    os._exit(9)


def flood(session: Any, *, span: tuple[float, float] = (0, 1)) -> dict[str, Any]:
    """Return more than a page takes."""
    return {"x": np.zeros(400_000)}
