"""AllenSDK's import paths give what spikehouse has."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from types import ModuleType

import pytest

import spikehouse
from spikehouse.compat import OFFERED, CompatibilityError, MissingModuleError, install
from spikehouse.errors import SpikehouseError

ECEPHYS = "allensdk.brain_observatory.ecephys"


@pytest.mark.usefixtures("clean")
def test_install__is_needed():
    with pytest.raises(ModuleNotFoundError, match="No module named 'allensdk'"):
        importlib.import_module("allensdk")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("module", OFFERED)
def test_modules__give_the_objects_of_spikehouse(module):
    found = importlib.import_module(module)
    for name, home in OFFERED[module].items():
        assert getattr(found, name) is getattr(importlib.import_module(home), name)
        assert name in dir(found)
    assert found.__all__ == sorted(OFFERED[module])


@pytest.mark.usefixtures("installed")
def test_import_lines__of_the_notebooks():
    space = {}
    exec(
        f"from {ECEPHYS}.ecephys_project_cache import EcephysProjectCache\n"
        f"from {ECEPHYS}.ecephys_session import (\n"
        "    EcephysSession, removed_unused_stimulus_presentation_columns)\n"
        f"from {ECEPHYS}.ecephys_session_api import EcephysSessionApi\n"
        f"from {ECEPHYS}.visualization import *\n"
        f"from {ECEPHYS} import ecephys_session, visualization\n"
        f"import {ECEPHYS}.ecephys_session as es\n",
        space,
    )
    assert issubclass(space["EcephysProjectCache"], spikehouse.EcephysProjectCache)
    assert issubclass(space["EcephysSession"], spikehouse.EcephysSession)
    assert space["raster_plot"] is space["visualization"].raster_plot
    assert space["es"] is space["ecephys_session"]


@pytest.mark.usefixtures("installed")
def test_version__says_what_it_is():
    package = importlib.import_module("allensdk")
    assert package.__version__ == f"2.16.2+spikehouse.{spikehouse.__version__}"
    assert "as spikehouse" in package.__doc__


@pytest.mark.usefixtures("installed")
def test_install__twice_is_once():
    before = list(sys.meta_path)
    importlib.import_module("allensdk")
    install()
    assert sys.meta_path == before


@pytest.mark.usefixtures("clean")
def test_import_of_compat_allensdk__installs(monkeypatch):
    monkeypatch.delitem(sys.modules, "spikehouse.compat.allensdk", raising=False)
    importlib.import_module("spikehouse.compat.allensdk")
    assert importlib.import_module("allensdk").__spec__.origin.endswith("aliases.py")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "line",
    ["import allensdk.api", "from allensdk import api", "from allensdk.api.queries import x"],
)
def test_unknown_module__lists_what_there_is(line):
    with pytest.raises(MissingModuleError, match=r"has no module allensdk\.api") as caught:
        exec(line)
    for module, names in OFFERED.items():
        assert not names or module in str(caught.value)
    assert isinstance(caught.value, (ModuleNotFoundError, SpikehouseError))


@pytest.mark.usefixtures("installed")
def test_import_lines__of_stimulus_analysis():
    space = {}
    exec(
        f"from {ECEPHYS}.stimulus_analysis import Flashes, ReceptiveFieldMapping\n"
        f"from {ECEPHYS}.stimulus_analysis.receptive_field_mapping import threshold_rf\n"
        f"from {ECEPHYS}.stimulus_analysis.stimulus_analysis import StimulusAnalysis, osi\n"
        f"from {ECEPHYS} import stimulus_analysis\n",
        space,
    )
    assert issubclass(space["Flashes"], space["StimulusAnalysis"])
    assert space["stimulus_analysis"].Flashes is space["Flashes"]


@pytest.mark.usefixtures("installed")
def test_unknown_name__is_an_import_error():
    with pytest.raises(ImportError, match=r"cannot import name 'nan_interval' .*aliases\.py"):
        exec(f"from {ECEPHYS}.ecephys_session import nan_interval")
    module = importlib.import_module(f"{ECEPHYS}.ecephys_session")
    with pytest.raises(AttributeError, match="did you mean 'nan_intervals'"):
        _ = module.nan_interval
    assert not hasattr(module, "__path__")


@pytest.mark.usefixtures("clean")
def test_install__refuses_beside_allensdk(tmp_path, monkeypatch):
    (tmp_path / "allensdk").mkdir()
    file = tmp_path / "allensdk" / "__init__.py"
    file.write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    message = f"AllenSDK itself is installed ({file})"
    with pytest.raises(CompatibilityError, match=re.escape(message)) as caught:
        install()
    assert isinstance(caught.value, ImportError)
    assert "pip uninstall allensdk" in str(caught.value)
    assert sys.meta_path == before


@pytest.mark.usefixtures("clean")
def test_install__refuses_what_is_imported_already(monkeypatch):
    monkeypatch.setitem(sys.modules, "allensdk", ModuleType("allensdk"))
    with pytest.raises(CompatibilityError, match="imported already"):
        install()


@pytest.mark.usefixtures("clean")
def test_install__is_not_misled_by_a_folder_of_notebooks(tmp_path, monkeypatch):
    (tmp_path / "allensdk").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    install()
    assert importlib.import_module(f"{ECEPHYS}.ecephys_session").EcephysSession


def test_importing_compat__does_nothing():
    code = (
        "import sys, spikehouse.compat as c; "
        "assert 'pandas' not in sys.modules; "
        "assert not any('compat' in type(f).__module__ for f in sys.meta_path); "
        "import spikehouse.compat.allensdk, allensdk; assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
