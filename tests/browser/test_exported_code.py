"""The code that the page exports gives what the page was sent, bit for bit."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from urllib.request import Request, urlopen

import pytest

from spikehouse.explore import recipes
from spikehouse.explore._recipes import collect_recipes

RUN_ALL = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from spikehouse.explore._answers import encode
folder = Path(sys.argv[1])
for program in sorted(folder.glob("*.py")):
    names = {"__name__": "__main__"}
    exec(compile(program.read_text(), program.name, "exec"), names)
    program.with_suffix(".answer").write_bytes(encode(names["answer"]))
"""


FLASHES = "stimulus=flashes&label=color"
AFTER_A_CLICK = {
    "selected_units": "structures=VISp&sort=-snr",
    "unit_metrics": "",
    "probe_channels": "probe_id={probe}",
    "csd": "probe_id={probe}",
    "lfp_piece": "probe_id={probe}",
    "lfp_traces": "probe_id={probe}&window=30,31",
    "population_spikes": "window=30,32",
    "decoding_chance": f"{FLASHES}&n_resamples=3",
    "decoding_over_time": FLASHES,
    "decoding_by_units": f"{FLASHES}&n_draws=2",
    "decoding_by_area": f"{FLASHES}&n_draws=2&min_units=1",
}


@pytest.fixture(scope="module")
def asked(new_tab, views, ask):
    """Open every view, and ask again what it asked of recipes: address → (answer, program)."""
    tab = new_tab(None)
    urls = []
    tab.page.on("response", lambda r: urls.append(r.url) if is_answer(r) else None)
    unit = views["unit"]
    for path in (
        *views.values(),
        f"{unit}?align=drifting_gratings&by=orientation&order=response&smooth=0.02",
        f"{unit}?align=natural_scenes&event=offset&also=flashes&v=tuning",
        views["population"] + "?span=30,40",
    ):
        tab.open(path)
    session, probe = views["session"], views["probe"].rpartition("/")[2]
    asked = {url.partition("?")[0].rpartition("/")[2] for url in urls}
    # what the page asks after a click; first, because LFP files are simulated for it
    for recipe, query in AFTER_A_CLICK.items():
        if recipe not in asked:
            address = f"{tab.server.base}/api{session}/{recipe}?{query.format(probe=probe)}"
            urls.insert(0, address)
    results = views["results"].rpartition("/")[2]
    urls.append(f"{tab.server.base}/api/survey/published_values")
    # results that have times, which these have not, are drawn over them
    urls.append(f"{tab.server.base}/api/results/{results}/results_over_time?column=firing_rate_fl")
    tab.page.context.close()
    return {url: (ask(url), ask(url.replace("/api/", "/code/", 1))) for url in dict.fromkeys(urls)}


@pytest.fixture(scope="module")
def ask(server):
    cookie = f"spikehouse-{server.base.rpartition(':')[2]}={server.token}"

    def read(url):
        with urlopen(Request(url, headers={"Cookie": cookie})) as answer:
            return answer.read()

    return read


def is_answer(response):
    kind = response.headers.get("content-type")
    return "/api/" in response.url and response.ok and kind == "application/octet-stream"


def test_exported_code__gives_what_the_page_was_sent(asked, ask, tmp_path):
    found = {}
    for number, (url, (answer, code)) in enumerate(asked.items()):
        program = tmp_path / f"{number:02}.py"
        program.write_bytes(code)
        found[program.with_suffix(".answer")] = url, answer
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for path, (url, answer) in found.items():
        given = path.read_bytes()
        # which files are here may have changed meanwhile, by another test
        assert given == answer or given == ask(url), url


def test_asked__is_every_recipe(asked):
    modules = [module.name for module in pkgutil.iter_modules(recipes.__path__)]
    modules = [name for name in modules if not name.startswith("_")]
    names = {name for module in modules for _, name in collect_recipes(module)}
    assert names - {url.partition("?")[0].rpartition("/")[2] for url in asked} == set()
