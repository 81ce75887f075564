"""A browser, a running ``spikehouse explore`` and a tab that remembers what goes wrong."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from filelock import FileLock

from spikehouse import EcephysProjectCache, EcephysSession
from spikehouse.demo import Survey

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request, Response

SESSION = "900000001"
# a panel has a name from when it shows something, be it a sentence
SETTLED = """() => document.querySelector("main > *") !== null
    && document.querySelector("[aria-busy=true]") === null
    && ![...document.querySelectorAll("main section.panel canvas[role=img]:not([aria-label])")]
        .some((canvas) => canvas.checkVisibility())"""


@dataclass
class Server:
    """A server that was started as a user starts it."""

    url: str
    process: subprocess.Popen[str]

    @property
    def base(self) -> str:
        return "http://" + urlsplit(self.url).netloc

    @property
    def token(self) -> str:
        return self.url.partition("token=")[2]


@contextlib.contextmanager
def run_explorer(*arguments: str | Path, log: Path, **environment: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "spikehouse", "explore", "--no-browser", "--port", "0"]
    with log.open("a") as errors:
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **environment},
        )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, log.read_text()
        yield Server(line[line.index("http://") :].strip(), process)
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@dataclass
class Tab:
    """A page of the browser; `problems` is what no page may have."""

    page: Page
    server: Server
    problems: list[str] = field(default_factory=list)
    # address → bytes of the newest answer
    sizes: dict[str, int] = field(default_factory=dict)
    # what the page may say on its console, because the test provokes it
    expected: tuple[str, ...] = ()
    _pending: set[Request] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("request", self._ask)
        self.page.on("response", self._receive)
        for event in ("requestfinished", "requestfailed"):
            self.page.on(event, lambda request: self._pending.discard(request))

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console: {message.text}")

    def _ask(self, request: Request) -> None:
        self._pending.add(request)
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.hostname != "127.0.0.1":
            self.problems.append(f"asked another host: {request.url}")

    def _receive(self, response: Response) -> None:
        length = response.headers.get("content-length")
        if response.status == 200 and length is not None:
            self.sizes[response.url] = int(length)

    def open(self, path: str = "/", timeout: float = 90.0) -> Page:
        """Open a view as a link with the token does, and wait until it is drawn."""
        joint = "&" if "?" in path else "?"
        self.page.goto(f"{self.server.base}{path}{joint}token={self.server.token}")
        return self.settle(timeout)

    def settle(self, timeout: float = 90.0) -> Page:
        """Wait until every question is answered and every panel drawn."""
        until = time.monotonic() + timeout
        calm = 0
        while calm < 2:
            self.page.wait_for_function(SETTLED, timeout=1000 * timeout)
            calm = 0 if self._pending else calm + 1
            self.page.wait_for_timeout(20)
            assert time.monotonic() < until, [request.url for request in self._pending]
        return self.page

    def press(self, *keys: str) -> Page:
        for key in keys:
            self.page.keyboard.press(key)
            self.settle()
        return self.page

    def check(self) -> None:
        found = [p for p in self.problems if not any(words in p for words in self.expected)]
        self.problems.clear()
        assert found == []


OpenTab = Callable[..., Tab]


@pytest.fixture(scope="session")
def results_folder(survey_folder: Path) -> Path:
    """Compute a small cohort, whose folder is a view; workers read the same."""
    folder = survey_folder.parent / "results" / "metrics"
    with FileLock(survey_folder / ".results.lock"):
        if not folder.exists():
            manifest = folder.parent / "manifest.json"
            cache = EcephysProjectCache.from_demo(manifest, size="tiny", folder=survey_folder)
            ids = cache.get_session_table().index[:2]
            cache.cohort(session_ids=ids).metrics(stimulus="flashes", results=folder)
    return folder


@pytest.fixture(scope="session")
def server(
    browser: Browser, survey: Survey, results_folder: Path, tmp_path_factory: Any
) -> Iterator[Server]:
    """Serve the tiny demo; one for all tests of a worker."""
    # simulated at their first use, which takes longer than a test should wait
    with FileLock(survey.folder / ".metrics.lock"):
        cache = EcephysProjectCache.from_demo(size="tiny")
        for kind in ("brain_observatory_1.1", "functional_connectivity"):
            cache.get_unit_analysis_metrics_by_session_type(kind)
    log = tmp_path_factory.mktemp("explorer") / "stderr"
    demo = ("--source", "demo", "--size", "tiny", "--results", results_folder)
    with run_explorer(*demo, log=log) as server:
        yield server
    assert "Traceback" not in log.read_text()


@pytest.fixture
def serve(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Serve something else: serve("file.nwb")."""
    with contextlib.ExitStack() as stack:
        log = tmp_path / "stderr"
        yield lambda *args, **env: stack.enter_context(run_explorer(*args, log=log, **env))
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="session")
def new_tab(browser: Browser, server: Server) -> OpenTab:
    """Open a tab in a browser of its own, which the caller closes."""

    def make(
        path: str | None = "/", *, of: Server = server, width: int = 1440, height: int = 900,
        expected: tuple[str, ...] = (), **options: Any,
    ) -> Tab:  # fmt: skip
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, **options)
        context.set_default_timeout(30_000)
        tab = Tab(context.new_page(), of, expected=expected)
        if path is not None:
            tab.open(path)
        return tab

    return make


@pytest.fixture
def open_tab(new_tab: OpenTab) -> Iterator[OpenTab]:
    """Open tabs that had no problem when the test ends: open_tab("/s/900000001", width=390)."""
    tabs: list[Tab] = []

    def make(*args: Any, **options: Any) -> Tab:
        path = args[0] if args else "/"
        tab = new_tab(None, **options)
        tabs.append(tab)
        if path is not None:
            tab.open(path)
        return tab

    yield make
    for tab in tabs:
        tab.page.context.close()
    for tab in tabs:
        tab.check()


@pytest.fixture(scope="session")
def list_views(results_folder: Path) -> Callable[[Path], dict[str, str]]:
    """Give the address of each view of a demo: list_views(path of its first session)."""

    def find(session_path: Path) -> dict[str, str]:
        session = EcephysSession.from_nwb_path(session_path)
        base = f"/s/{SESSION}"
        return {
            "survey": "/",
            "session": base,
            "probe": f"{base}/p/{session.probes.index[0]}",
            "units": f"{base}/units",
            "unit": f"{base}/u/{session.units.index[0]}",
            "population": f"{base}/population",
            "decoding": f"{base}/decoding",
            "cohort": "/cohort",
            "results": f"/cohort/{results_folder.name}",
        }

    return find


@pytest.fixture(scope="session")
def views(session_path: Path, list_views: Callable[[Path], dict[str, str]]) -> dict[str, str]:
    return list_views(session_path)
