"""Programs written for AllenSDK, run as they stand, against the demo warehouse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from warehouse_server import DemoWarehouse

from spikehouse.session import EcephysSession

SCRIPTS = Path(__file__).parent / "allensdk_scripts"
N_SESSIONS = 12


@pytest.fixture(scope="module")
def address(survey):
    # before the requests, which would wait for it longer than they may on a busy machine
    for session_id in survey.session_ids:
        survey.read_analysis_metrics(session_id)
    with DemoWarehouse(survey) as warehouse:
        yield warehouse.address


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def run(file, *arguments, folder=None, expected=0):
    """Run a file through the compatibility layer; give what it wrote."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND"}
    }
    done = subprocess.run(
        [sys.executable, "-m", "spikehouse.compat", str(file), *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        cwd=folder,
        timeout=120,
    )
    assert done.returncode == expected, done.stderr
    return done


def answers(done):
    pairs = (line.partition(": ") for line in done.stdout.splitlines())
    return {name: value for name, found, value in pairs if found}


def test_data_access__runs(address, cache):
    said = answers(run(SCRIPTS / "data_access.py", address, cache))
    assert said["sessions"] == str(N_SESSIONS)
    assert said["chosen"] == "[900000002, 900000008]"
    assert said["units of the sessions agree"] == "True"
    assert said["channels of the probes agree"] == "True"
    assert said["templates"] == "(918, 1174) (304, 608)"
    assert said["sessions without all LFP"] == "1"
    assert said["metrics of all"] == said["units without limits"] == said["reopened"] == "True"
    assert said["links to LFP agree"] == "True"
    assert said["link"].startswith(f"http://{address}/api/v2/well_known_file_download/")


def test_download_all__runs(address, cache):
    said = answers(run(SCRIPTS / "download_all.py", address, cache))
    assert said["fetched"] == "1 absent: ['probeA']"


def test_quality_metrics__runs(address, cache):
    said = answers(run(SCRIPTS / "quality_metrics.py", address, cache))
    n_good, n_all = map(int, said["good of all"].split(" < "))
    assert 0 < n_good < n_all
    assert said["metrics of a session"] == said["metrics of a type"] == "True"
    assert said["share of quiet units"] == "True"
    assert (cache / "quality.png").stat().st_size > 0


def test_receptive_fields__runs(address, cache):
    said = answers(run(SCRIPTS / "receptive_fields.py", address, cache))
    assert said["varying"] == "['x_position', 'y_position']"
    assert said["positions"] == "9 9"
    assert said["no spike lost"] == "True"
    assert said["size"] == "[20.0, 20.0]"
    assert float(said["spatial_frequency"]) == 0.08
    assert said["conditions"] == "81"
    assert (cache / "fields.png").stat().st_size > 0


def test_optotagging__runs(address, cache):
    said = answers(run(SCRIPTS / "optotagging.py", address, cache))
    assert said["genotype"].startswith("Pvalb")
    assert said["pulses"].endswith("True True")
    assert said["no spike lost"] == said["rates"] == said["tagged"] == "True"
    assert said["kinds of pulses"] == "True"
    assert (cache / "light.png").stat().st_size > 0


@pytest.mark.skipif(
    not hasattr(EcephysSession, "conditionwise_spike_statistics"),
    reason="the session gives no conditionwise statistics yet",
)
def test_session_tour__runs(address, cache):
    said = answers(run(SCRIPTS / "session_tour.py", address, cache))
    assert said["same session"] == said["flash columns"] == said["epochs"] == "True"
    assert said["name"] == said["units by structure"] == "True"
    assert said["design"] == "True True"
    assert int(said["runs"].split()[0]) > 1
    assert said["runs"].endswith("[0, 2, 3]")
    assert said["statistics"] == "['unit_id', 'stimulus_condition_id'] True"
    assert said["figures"] == "4"
    assert (cache / "tour4.png").stat().st_size > 0


@pytest.mark.skipif(not hasattr(EcephysSession, "get_lfp"), reason="the session gives no LFP yet")
def test_lfp_analysis__runs(address, cache):
    said = answers(run(SCRIPTS / "lfp_analysis.py", address, cache))
    assert said["dims"] == "('time', 'channel')"
    assert said["one second"] == said["nearest"] == said["structures"] == "True"
    assert said["a unit's channel"] == said["channel by its number"] == "True"
    assert said["registered probes"] == said["a range of channels"] == "True"
    assert said["means agree"] == "True"
    assert said["csd"] == "('virtual_channel_index', 'time')"
    assert (cache / "csd.png").stat().st_size > 0


def test_quick_start__runs_as_a_notebook(address, cache, tmp_path):
    cells = [
        "import os\nimport sys\nimport numpy as np\nimport matplotlib.pyplot as plt\n"
        "%matplotlib inline\n"
        "from allensdk.brain_observatory.ecephys.ecephys_project_cache import "
        "EcephysProjectCache",
        "!ls\nhost, folder = sys.argv[1:]\n"
        "manifest_path = os.path.join(folder, 'manifest.json')\n"
        "cache = EcephysProjectCache.from_warehouse(\n"
        "    manifest=manifest_path, scheme='http', host=host)\n"
        "print('types:', cache.get_all_session_types())",
        "sessions = cache.get_session_table()\n"
        "session = cache.get_session_data(sessions.index.values[0])\nsession.metadata",
        "presentations = session.get_stimulus_table('flashes')\n"
        "units = session.units[session.units['ecephys_structure_acronym'] == 'VISp']\n"
        "histograms = session.presentationwise_spike_counts(\n"
        "    stimulus_presentation_ids=presentations.index.values,\n"
        "    bin_edges=np.arange(-0.1, 0.51, 0.01), unit_ids=units.index.values)\n"
        "%time mean = histograms.mean(dim='stimulus_presentation_id')",
        "fig, ax = plt.subplots()\nax.pcolormesh(mean.T)\nplt.show()\n"
        "print('shape:', mean.shape[0], __name__)",
    ]
    notebook = write_notebook(tmp_path / "quick_start.ipynb", cells)
    done = run(notebook, address, cache)
    said = answers(done)
    assert said["types"] == "['brain_observatory_1.1', 'functional_connectivity']"
    assert said["shape"] == "60 __main__"
    assert "code cell 1 of 5: left out the line '%matplotlib inline'" in done.stderr
    assert "code cell 2 of 5: left out the line '!ls'" in done.stderr


def test_tutorial__runs_with_the_import_of_allensdk(shared_folder, address, cache, tmp_path):
    ours = "from spikehouse import EcephysProjectCache"
    theirs = (
        "from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache"
    )
    text = (shared_folder / "tutorial" / "quickstart.py").read_text(encoding="utf-8")
    assert text.count(ours) == 1
    script = tmp_path / "quickstart.py"
    script.write_text(text.replace(ours, theirs), encoding="utf-8")
    done = run(script, "--host", address, "--cache", cache, "--out", tmp_path / "out")
    assert "mean accuracy:" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "confusion.png",
        "images.png",
        "psth.png",
    ]


def test_traceback__names_the_cell_and_shows_its_line(tmp_path):
    cells = ["import allensdk\nx = 1", "def fail():\n    raise ValueError('no')\n\n\nfail()"]
    notebook = write_notebook(tmp_path / "wrong.ipynb", cells)
    done = run(notebook, expected=1)
    assert 'File "wrong.ipynb, code cell 2 of 2", line 5' in done.stderr
    assert "raise ValueError('no')" in done.stderr
    assert done.stderr.rstrip().endswith("ValueError: no")


def test_exit_code__is_the_programs(tmp_path):
    script = tmp_path / "leaves.py"
    script.write_text("import allensdk, sys\nsys.exit(7)\n", encoding="utf-8")
    run(script, expected=7)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.py", None, "there is no file"),
        ("absent.ipynb", None, "there is no file"),
        ("no.ipynb", "not json", "is not a notebook"),
        ("no.ipynb", '{"cells": 3}', "is not a notebook"),
    ],
)
def test_unusable_file__is_refused_in_a_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    done = run(tmp_path / name, expected=2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_allensdk_itself__is_not_replaced(tmp_path):
    (tmp_path / "allensdk").mkdir()
    (tmp_path / "allensdk" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "script.py").write_text("print('ran')", encoding="utf-8")
    done = run(tmp_path / "script.py", folder=tmp_path, expected=2)
    assert "AllenSDK itself is installed" in done.stderr
    assert "ran" not in done.stdout


def write_notebook(path, cells):
    kinds = [{"cell_type": "markdown", "metadata": {}, "source": ["# A notebook"]}]
    kinds += [
        {
            "cell_type": "code",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": cell.splitlines(keepends=True),
        }
        for cell in cells
    ]
    document = {"cells": kinds, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
