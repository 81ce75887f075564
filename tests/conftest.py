"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# how long an example takes depends on what else the machine does
settings.register_profile("spikehouse", deadline=None)
settings.load_profile("spikehouse")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(791319847)


@pytest.fixture(scope="session", autouse=True)
def own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep simulated files and caches of the tests out of the user's own cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


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
