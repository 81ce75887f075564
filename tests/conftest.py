"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(791319847)


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Give the folder of shared material, which is not part of the package."""
    given = os.environ.get("SPIKEHOUSE_SHARED")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("the shared data folder is not here (set SPIKEHOUSE_SHARED to its path)")
    return folder


@pytest.fixture(scope="session")
def shared_session_path(shared_folder: Path) -> Path:
    return shared_folder / "data" / "session_999000001.nwb"
