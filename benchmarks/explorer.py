"""``spikehouse explore`` in a real browser on a full-size session, beside Panel on the same job.

    python benchmarks/explorer.py [--session FILE.nwb] [--panel-python PYTHON] [--latency 0.03]
        [--repeats 60] [--switches 1000]

Without ``--session`` the full-size demo session is simulated first (about a minute and 2 GB). It
needs playwright and Chromium (found on the path, or named in SPIKEHOUSE_CHROMIUM). With
``--panel-python`` the job of benchmarks/explorer_panel.py runs in that environment, which needs
panel, h5py and numpy. All times of interactions are taken in the page, from the key or the change
of a field to the first frame in which everything that was asked for is drawn.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from file_server import FileServer

ALIGN = "natural_scenes"
WINDOW = "-0.1,0.4"
BIN = "0.002"
# what the job needs, without a server and a page
OWN_MEMORY = """
import sys, warnings
warnings.simplefilter("ignore")
import numba
from spikehouse import EcephysSession
from spikehouse.explore.recipes.unit import raster
session = EcephysSession.from_nwb_path(sys.argv[1])
unit_id = int(session.units.index[0])
raster(session, unit_id, align="natural_scenes", window=(-0.1, 0.4), bin=0.002)
session.stimulus_presentations, session.channels, session.mean_waveforms[unit_id]
(line,) = [line for line in open("/proc/self/status") if line.startswith("VmRSS")]
print(line.split()[1])
"""
# counts questions under way, so that a view is ready when none is
COUNT_QUESTIONS = """
    window.asked = 0;
    const ask = window.fetch;
    window.fetch = async (...given) => {
        window.asked++;
        try { return await ask(...given); } finally { setTimeout(() => { window.asked--; }); }
    };
    window.isReady = () => !window.asked && document.querySelector("main .view")
        && !document.querySelector("main [aria-busy=true]");
    // what Panel shows of a unit, too
    window.isRasterReady = () => {
        const panels = [...document.querySelectorAll("main section.panel")];
        const unit = location.pathname.split("/").at(-1);
        return document.querySelector("main h1").innerText.endsWith(unit) && panels.length > 1
            && panels[0].ariaBusy !== "true";
    };
    window.frame = () => new Promise(requestAnimationFrame);
    window.timed = async (act, ready) => {
        const start = performance.now();
        act();
        for (;;) {
            await frame();
            if (!ready()) continue;
            const end = performance.now();
            await frame();
            await frame();
            if (ready()) return end - start;
        }
    };
    window.press = (key) => document.querySelector("main").dispatchEvent(
        new KeyboardEvent("keydown", {key, bubbles: true}));
"""


@contextlib.contextmanager
def run_explorer(target: str | Path) -> Iterator[tuple[str, subprocess.Popen[str], float]]:
    """Start the command; yield its address, its process and the seconds to the first answer."""
    command = [sys.executable, "-m", "spikehouse", "explore", "--no-browser", "--port", "0"]
    begin = time.perf_counter()
    process = subprocess.Popen(
        [*command, str(target)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().rpartition(" ")[2].strip()
        with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(url) as answer:
            answer.read()
        yield url, process, time.perf_counter() - begin
    finally:
        process.terminate()
        process.wait(20)


def read_memory(pid: int) -> float:
    """Return the memory in use by a process [MB]."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


def open_page(browser: Browser) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(120_000)
    page.add_init_script(COUNT_QUESTIONS)
    return page


def open_view(page: Page, url: str) -> float:
    """Open an address and return the seconds until everything is drawn."""
    begin = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.evaluate("timed(() => {}, isReady)")
    # two frames more were waited, to see that it stays so
    return time.perf_counter() - begin - 2 / 60


def measure_interactions(page: Page, base: str, repeats: int) -> dict[str, list[float]]:
    """Return the milliseconds of each interaction, all there are."""
    unit = page.url.partition("?")[0]
    job = f"?align={ALIGN}&win={WINDOW}&bin={BIN}"
    found: dict[str, list[float]] = {}
    open_view(page, unit + job)

    def repeat(name: str, act: str, ready: str = "isReady", arguments: Any = None) -> None:
        values = [
            page.evaluate(
                f"(given) => timed(() => {{ {act} }}, {ready})",
                None if arguments is None else arguments[i % len(arguments)],
            )
            for i in range(repeats)
        ]
        found[name] = values

    to = "history.pushState({}, '', given); dispatchEvent(new PopStateEvent('popstate'))"
    repeat("unit switch (j), raster and PSTH", "press('j')", "isRasterReady")
    repeat("unit switch (j), every panel", "press('j')")
    path = urlsplit(page.url).path
    groups = ["", "&by=orientation", "&by=temporal_frequency"]
    # bins that differ, so that no answer is one that the page has kept
    queries = [
        f"{path}?align=drifting_gratings&win=-0.5,2.5&bin={0.02 + 0.0005 * i:.4f}{groups[i % 3]}"
        for i in range(repeats)
    ]
    repeat("regroup", to, arguments=queries)
    windows = [
        f"{path}?align={ALIGN}&bin={BIN}&win=-0.1,{0.2 + 0.001 * i:.3f}" for i in range(repeats)
    ]
    repeat("zoom of the raster", to, arguments=windows)
    open_view(page, f"{base}/population")
    spans = [
        f"{urlsplit(base).path}/population?span={60 * i},{60 * i + 600 / (1 + i % 7):.0f}"
        for i in range(repeats)
    ]
    repeat("zoom of the population", to, arguments=spans)
    open_view(page, f"{base}/units")
    words = ["V", "VI", "VIS", "VISp", "VIS", "C", "CA", "CA1", ""]
    type_in = """const field = document.querySelector("main input[type=search]");
        field.value = given; field.dispatchEvent(new Event("input", {bubbles: true}))"""
    repeat("filter of the units", type_in, arguments=words)
    return found


def soak(page: Page, process: subprocess.Popen[str], unit: str, switches: int) -> list[float]:
    """Return the growth of page and server [MB] over many unit switches."""
    open_view(page, unit)
    client = page.context.new_cdp_session(page)

    def measure() -> np.ndarray:
        client.send("HeapProfiler.collectGarbage")
        used = client.send("Runtime.getHeapUsage")["usedSize"] / 1e6
        return np.array([used, read_memory(process.pid)])

    for _ in range(50):
        page.evaluate("timed(() => press('j'), isReady)")
    before = measure()
    for number in range(switches):
        page.evaluate("(key) => timed(() => press(key), isReady)", "jk"[number // 40 % 2])
    return list(measure() - before)


def measure_bytes(page: Page, urls: dict[str, str]) -> dict[str, tuple[float, float]]:
    """Return the bytes of all answers of each view, and of the largest one [MB]."""
    found = {}
    for name, url in urls.items():
        sizes: list[int] = []

        def receive(response: Any, sizes: list[int] = sizes) -> None:
            if "/api/" in response.url:
                sizes.append(int(response.headers.get("content-length", 0)))

        page.on("response", receive)
        open_view(page, url)
        page.remove_listener("response", receive)
        found[name] = (sum(sizes) / 1e6, max(sizes, default=0) / 1e6)
    return found


def run_panel(browser: Browser, python: str, path: Path, unit_ids: list[int], repeats: int) -> None:
    """Print what the same job takes in Panel."""
    program = Path(__file__).with_name("explorer_panel.py")
    ids = ",".join(map(str, unit_ids))
    begin = time.perf_counter()
    process = subprocess.Popen(
        [python, str(program), str(path), ALIGN, WINDOW, BIN, ids],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        urllib.request.urlopen(url).read()
        start = time.perf_counter() - begin
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        begin = time.perf_counter()
        page.goto(url)
        page.wait_for_function("""() => {
            const found = window.Bokeh?.documents[0]?.get_model_by_name("raster");
            return found && Bokeh.documents[0].is_idle;
        }""")
        first = time.perf_counter() - begin
        milliseconds = page.evaluate(
            """async (ids) => {
                const shown = Bokeh.documents[0];
                const list = [...shown._all_models.values()].find((m) => m.type.endsWith("Select"));
                const raster = shown.get_model_by_name("raster");
                const frame = () => new Promise(requestAnimationFrame);
                const found = [];
                for (const id of ids) {
                    const start = performance.now();
                    list.value = id;
                    while (raster.title.text !== id) await frame();
                    await frame();
                    found.push(performance.now() - start);
                }
                return found;
            }""",
            [str(unit_ids[i % len(unit_ids)]) for i in range(1, repeats + 1)],
        )
        memory = read_memory(process.pid)
        print(f"Panel: start {start:.2f} s, first view {first:.2f} s, {memory:.0f} MB")
        print_times({"Panel: unit switch, raster and PSTH": milliseconds})
    finally:
        process.terminate()
        process.wait(20)


def print_times(found: dict[str, list[float]]) -> None:
    for name, values in found.items():
        median, p95 = np.percentile(values, [50, 95])
        print(
            f"| {name} | {len(values)} | {median:.0f} | {p95:.0f} | {max(values):.0f} |", flush=True
        )


def main() -> None:
    """Measure, and print the rows of benchmarks/RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session", type=Path)
    parser.add_argument("--panel-python")
    parser.add_argument("--latency", type=float, default=0.03)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--switches", type=int, default=1000)
    given = parser.parse_args()
    path = given.session
    if path is None:
        from spikehouse.demo import Survey

        path = Survey(size="full").session_file(900000001)
    from spikehouse import EcephysSession

    session = EcephysSession.from_nwb_path(path)
    units = session.units[session.units["ecephys_structure_acronym"] == "VISp"]
    unit_ids = units.sort_values("firing_rate", ascending=False).index[:10].tolist()
    probe_id = session.probes.index[0]
    chromium = os.environ.get("SPIKEHOUSE_CHROMIUM") or shutil.which("chromium-headless-shell")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        own = subprocess.run(
            [sys.executable, "-c", OWN_MEMORY, str(path)],
            check=True,
            capture_output=True,
            text=True,
        )
        own_mb = int(own.stdout) / 1000
        starts = []
        for _ in range(3):
            with run_explorer(path) as (_, _, start):
                starts.append(start)
        print(f"start {min(starts):.2f} s ({', '.join(f'{start:.2f}' for start in starts)})")
        with run_explorer(path) as (url, process, _):
            page = open_page(browser)
            base = f"http://{urlsplit(url).netloc}/s/file-1"
            print(f"first view, session: {open_view(page, url):.2f} s", flush=True)
            job = f"?align={ALIGN}&win={WINDOW}&bin={BIN}"
            print(f"then a unit: {open_view(page, f'{base}/u/{unit_ids[0]}{job}'):.2f} s")
            memory = read_memory(process.pid)
            print(
                f"memory {memory:.0f} MB, of which {own_mb:.0f} are the session's own", flush=True
            )
            print("| interaction | n | median [ms] | 95th percentile | longest |")
            print("| --- | --- | --- | --- | --- |")
            print_times(measure_interactions(page, base, given.repeats))
            views = {
                "session": base, "probe": f"{base}/p/{probe_id}", "units": f"{base}/units",
                "unit": f"{base}/u/{unit_ids[0]}{job}", "population": f"{base}/population",
                "decoding": f"{base}/decoding",
            }  # fmt: skip
            for name, (total, largest) in measure_bytes(page, views).items():
                print(f"{name}: {total:.2f} MB, largest answer {largest:.2f} MB")
            page.context.close()
            page = open_page(browser)
            open_view(page, url)
            grown = soak(page, process, f"{base}/u/{unit_ids[0]}", given.switches)
            print(f"after {given.switches} unit switches: page {grown[0]:+.1f} MB", flush=True)
            print(f"server {grown[1]:+.1f} MB", flush=True)
            page.context.close()
        with run_explorer(path) as (url, _, _):
            page = open_page(browser)
            unit = urlsplit(url)._replace(path=f"/s/file-1/u/{unit_ids[0]}").geturl()
            print(f"first view, unit: {open_view(page, unit):.2f} s", flush=True)
            page.context.close()
        server = FileServer(path.parent, latency=given.latency)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with tempfile.TemporaryDirectory() as cache:
            os.environ["XDG_CACHE_HOME"] = cache
            for view in ("", f"/u/{unit_ids[0]}"):
                with run_explorer(f"{server.address}/{path.name}") as (url, _, _):
                    page = open_page(browser)
                    asked = urlsplit(url)._replace(path=f"/s/file-1{view}").geturl()
                    seconds = open_view(page, asked)
                    print(f"streamed, first view {view or 'session'}: {seconds:.2f} s", flush=True)
                    page.context.close()
        if given.panel_python:
            run_panel(browser, given.panel_python, path, unit_ids, given.repeats)
        browser.close()
    import spikehouse

    static = Path(spikehouse.__file__).parent / "explore/static"
    sizes = [p.stat().st_size for p in static.rglob("*") if p.suffix in (".js", ".css")]
    print(f"JS and CSS: {sum(sizes) / 1000:.0f} kB")
    print(json.dumps({"chromium": chromium, "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()
