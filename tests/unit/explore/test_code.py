"""The exported code gives the arrays that the endpoint sent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spikehouse import EcephysProjectCache, EcephysSession
from spikehouse.explore._answers import decode, encode
from spikehouse.explore._code import write_code
from spikehouse.explore._recipes import MODULES, collect_recipes, find_recipe
from spikehouse.explore._sessions import Sessions, write_cache, write_session


def run(code: str) -> dict:
    names: dict = {}
    exec(code, names)  # what the page shows is what is run
    return names["answer"]


def assert_same(one, other) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_same(one[name], other[name])
    elif isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
    else:
        np.testing.assert_equal(one, other)


@pytest.fixture
def client(serve, session_path):
    sessions = Sessions()
    sessions.add(session_path)
    return serve(sessions)


QUERIES = {
    "raster": "unit_id={unit}&align=flashes&by=color&window=-0.1,0.4&bin=0.01",
    "population_counts": "span=10,40&bin=1",
    "probe_units": "probe_id={probe}",
    "probe_channels": "probe_id={probe}",
    "running": "n_bins=50",
    "timeline": "",
    "units": "",
    "tuning": "unit_id={unit}&stimulus=gabors&state=resting",
    "stability": "unit_id={unit}",
    "waveform": "unit_id={unit}",
    "alignments": "",
}


@pytest.mark.parametrize("name", QUERIES)
def test_write_code__gives_what_the_endpoint_sent(client, session_path, name):
    with EcephysSession.from_nwb_path(session_path) as session:
        ids = {"unit": session.units.index[0], "probe": session.probes.index[0]}
    query = QUERIES[name].format(**ids)
    sent = client.get(f"/api/s/file-1/{name}?{query}")
    assert sent.status_code == 200, sent.text
    code = client.get(f"/code/s/file-1/{name}?{query}")
    assert code.headers["content-type"] == "text/plain; charset=utf-8"
    assert_same(decode(sent.content), decode(encode(run(code.text))))


def test_write_code__runs_in_a_fresh_python(client, tmp_path):
    code = client.get("/code/s/file-1/population_counts?span=10,20&bin=1").text
    script = tmp_path / "exported.py"
    script.write_text(code + "print(answer['counts'].sum())\n", encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    sent = decode(client.get("/api/s/file-1/population_counts?span=10,20&bin=1").content)
    assert int(done.stdout) == sent["counts"].sum() > 0


def test_write_code__holds_what_it_needs_and_no_more():
    recipe = find_recipe("session", "population_counts")
    code = write_code(recipe, {"span": (0.0, 5.0)}, "from spikehouse import x\n\nsession = x()")
    assert "def population_counts(" in code
    assert "def make_edges(" in code
    assert "def order_units(" not in code
    assert "import scipy" not in code
    assert code.index("def make_edges(") < code.index("def population_counts(")
    assert code.endswith("session = x()\nanswer = population_counts(session, span=(0.0, 5.0))\n")
    assert [line for line in code.splitlines() if "import" in line] == [
        "from __future__ import annotations",
        "import numpy as np",
        "from spikehouse import x",
        "from spikehouse.errors import InvalidArgumentError",
        "from spikehouse.spikes import count_spikes",
    ]


RECIPES = [(*key, recipe) for m in MODULES for key, recipe in collect_recipes(m).items()]


NAMES = [name for _, name, _ in RECIPES]


@pytest.mark.parametrize(("subject", "name", "recipe"), RECIPES, ids=NAMES)
def test_write_code__every_recipe_is_a_program(subject, name, recipe):
    code = write_code(recipe, {}, f"{subject} = None")
    definitions: dict = {}
    # without the call: nothing that the definitions need is missing
    exec(code.split(f"{subject} = None")[0], definitions)
    assert callable(definitions[name])


def bind(code: str, name: str):
    names: dict = {}
    exec(code, names)
    return names[name]


def test_write_cache__opens_the_same_cache(survey, tmp_path):
    demo = EcephysProjectCache.from_demo(size="tiny")
    assert write_cache(demo).endswith("cache = EcephysProjectCache.from_demo(size='tiny')")
    assert bind(write_cache(demo), "cache").manifest_path == demo.manifest_path
    elsewhere = EcephysProjectCache.from_demo(tmp_path / "m.json", size="tiny")
    assert bind(write_cache(elsewhere), "cache").manifest_path == tmp_path / "m.json"
    fixed = EcephysProjectCache.fixed(tmp_path / "m.json")
    assert ".fixed(manifest=" in write_cache(fixed)
    assert bind(write_cache(fixed), "cache").fetch_api is None


@pytest.mark.parametrize(
    ("make", "call"),
    [
        (lambda m: EcephysProjectCache(manifest=m), "EcephysProjectCache(manifest="),
        (
            lambda m: EcephysProjectCache.from_s3(m, base_url="http://127.0.0.1:9/"),
            "EcephysProjectCache.from_s3(base_url='http://127.0.0.1:9/', manifest=",
        ),
        (
            lambda m: EcephysProjectCache.from_dandi(m, base_url="http://127.0.0.1:9/api/"),
            "EcephysProjectCache.from_dandi(base_url='http://127.0.0.1:9/api/', manifest=",
        ),
        (
            lambda m: EcephysProjectCache.from_warehouse("http", "127.0.0.1:9", manifest=m),
            "EcephysProjectCache.from_warehouse(host='127.0.0.1:9', manifest=",
        ),
        (
            lambda m: EcephysProjectCache.from_sources(["dandi", "s3"], m),
            "EcephysProjectCache.from_sources(['dandi', 's3'], manifest=",
        ),
    ],
)
def test_write_cache__knows_every_source(make, call, tmp_path):
    cache = make(tmp_path / "manifest.json")
    code = write_cache(cache)
    assert call in code
    assert bind(code, "cache").command_options() == cache.command_options()


def test_write_session__of_a_cache_keeps_the_filters(survey):
    cache = EcephysProjectCache.from_demo(size="tiny")
    with cache.get_session_data(900000001, presence_ratio_minimum=None) as session:
        code = write_session(session)
    assert code.endswith("cache.get_session_data(900000001, presence_ratio_minimum=None)")


def test_write_session__of_a_file_keeps_the_filters(session_path):
    options = {"presence_ratio_minimum": 0.5}
    with EcephysSession.from_nwb_path(session_path, api_kwargs=options) as session:
        code = write_session(session)
        with bind(code, "session") as again:
            assert again.units.index.tolist() == session.units.index.tolist()
    assert repr(str(Path(session_path))) in code


def test_write_session__an_adapter_has_no_address():
    code = write_session(EcephysSession(object()))
    assert code.startswith("# session was given in Python and has no address")
