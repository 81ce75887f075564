"""What every test may ask for."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings

from spikehouse import EcephysProjectCache
from spikehouse.demo import Survey

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium-headless-shell", "chromium")
HOW = (
    "install chromium-headless-shell (Debian: apt-get install chromium-headless-shell) and "
    "playwright (pip install playwright), or name a browser in SPIKEHOUSE_CHROMIUM"
)

# how long an example takes depends on what else the machine does
settings.register_profile("spikehouse", deadline=None, max_examples=20)
# before a release: pytest --hypothesis-profile thorough tests/property
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("spikehouse")


# a shell makes what it starts in the background deaf to Ctrl-C, which tests send to their processes
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# their files take minutes; with short ones last, workers end together
LONG = ("faults", "integration", "browser", "docs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders of LONG, in this order."""
    order = {Path(__file__).with_name(name): rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.parent, len(order)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a file's tests on one worker: what its fixtures make is made once."""
    from xdist.scheduler import LoadFileScheduling

    if config.getoption("dist") != "load":
        return None
    # it would begin with the files of the most tests, which are the quickest
    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(791319847)


@pytest.fixture(scope="session")
def survey_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where simulated files are kept: each is made once, whichever worker needs it first."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "demo"


@pytest.fixture(scope="session", autouse=True)
def own_cache_folder(
    survey_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Keep the caches of the tests out of the user's own; simulated files are shared in them."""
    folder = tmp_path_factory.mktemp("cache")
    survey_folder.mkdir(exist_ok=True)
    (folder / "spikehouse").mkdir()
    # without the right to make links a worker simulates its own
    with contextlib.suppress(OSError):
        (folder / "spikehouse" / "demo").symlink_to(survey_folder, target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        # the cores are busy with other tests; those of several processes ask for two
        patch.setenv("LOKY_MAX_CPU_COUNT", "1")
        yield


@pytest.fixture(scope="session")
def survey(survey_folder: Path) -> Survey:
    """Return the tiny survey; tests only read its files."""
    return Survey(size="tiny", folder=survey_folder)


@pytest.fixture(scope="session")
def session_path(survey: Survey) -> Path:
    """Return the tiny survey's first session file."""
    return survey.session_file(900000001)


@pytest.fixture(scope="session")
def small_survey(survey_folder: Path) -> Survey:
    """Return the small survey, whose units have enough spikes to be compared with the truth."""
    return Survey(size="small", folder=survey_folder)


@pytest.fixture(scope="session")
def tables_folder(survey_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder with the tables of the tiny survey, to be copied."""
    folder = tmp_path_factory.mktemp("tables")
    manifest = folder / "manifest.json"
    with EcephysProjectCache.from_demo(manifest, size="tiny", folder=survey_folder) as cache:
        cache.get_session_table()
    return folder


@pytest.fixture
def project(
    tables_folder: Path, survey_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EcephysProjectCache]:
    """Open a cache of the tiny survey that has its tables and no other file."""
    monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")
    manifest = shutil.copytree(tables_folder, tmp_path / "cache") / "manifest.json"
    with EcephysProjectCache.from_demo(manifest, size="tiny", folder=survey_folder) as project:
        yield project


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start a browser for tests of pages."""
    named = os.environ.get("SPIKEHOUSE_CHROMIUM")
    path = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        # .ci/run sets it: there a browser that is missing is a fault
        if os.environ.get("SPIKEHOUSE_NEEDS_BROWSER"):
            pytest.fail(f"no browser to test with: {HOW}")
        pytest.skip(f"no browser to test with: {HOW}")
    options = ["--disable-gpu", "--disable-background-networking"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--no-sandbox")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=options)
        yield started
        started.close()
