"""Demo files are NWB files, in the layout of the data set: other readers say so."""

from __future__ import annotations

import os
import subprocess
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

pynwb = pytest.importorskip("pynwb", reason="pynwb is not installed (extra nwb)")

SESSION_ID = 900000002
PARITY = Path(__file__).parents[1] / "parity" / "read_demo_with_allensdk.py"


@pytest.fixture(scope="module")
def paths(survey):
    probes = survey.read_table("probes")
    probe_id = probes.index[probes["ecephys_session_id"] == SESSION_ID][0]
    return {"session": survey.session_file(SESSION_ID), "lfp": survey.lfp_file(int(probe_id))}


def validate(path):
    """Validate a file by the types it describes itself, in pynwb 2 and later."""
    if pynwb.__version__ < "3":
        errors, _ = pynwb.validate(paths=[str(path)])
        return errors
    return pynwb.validate(path=str(path))


@pytest.mark.parametrize("kind", ["session", "lfp"])
def test_validate__finds_nothing(paths, kind):
    assert validate(paths[kind]) == []


@pytest.mark.parametrize("kind", ["session", "lfp"])
def test_validate__finds_nothing_by_the_installed_core_schema(paths, kind):
    """The types in the file are ours; the core ones are checked against pynwb's own here."""
    from hdmf.validate import ValidatorMap

    with pynwb.NWBHDF5IO(str(paths[kind]), "r", load_namespaces=True) as io:
        catalog = io.manager.namespace_catalog
        core = catalog.get_namespace("core")
        assert core["doc"] != "Core types, abridged to what this file uses"
        validator = ValidatorMap(catalog.get_namespace("ndx-aibs-ecephys"))
        assert validator.validate(io.read_builder()) == []


def test_validate__does_find_what_is_wrong(paths, tmp_path):
    broken = tmp_path / "broken.nwb"
    broken.write_bytes(paths["session"].read_bytes())
    with h5py.File(broken, "r+") as file:
        del file["units"].attrs["colnames"]
        del file["intervals/flashes_presentations/start_time"]
        del file["general/devices/probeA"].attrs["sampling_rate"]
    errors = [str(error) for error in validate(broken)]
    assert len(errors) == 3
    for missing in ("colnames", "start_time", "sampling_rate"):
        assert any(missing in error for error in errors)


def test_pynwb__reads_a_session(paths):
    with warnings.catch_warnings():
        # pynwb 4 wants the maker of a device elsewhere than the released files have it
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        with pynwb.NWBHDF5IO(str(paths["session"]), "r", load_namespaces=True) as io:
            file = io.read()
            assert file.identifier == str(SESSION_ID)
            assert file.subject.specimen_name.startswith("Sst-IRES-Cre;Ai32-")
            assert file.devices["probeA"].probe_id == 910002000
            units = file.units
            assert len(units["spike_times"][0]) > 10
            assert units["waveform_mean"][0].shape == (384, 82)
            flashes = file.intervals["flashes_presentations"].to_dataframe()
            assert set(flashes["color"]) == {"1.0", "-1.0"}


def test_pynwb__reads_an_lfp(paths):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        with pynwb.NWBHDF5IO(str(paths["lfp"]), "r", load_namespaces=True) as io:
            file = io.read()
            series = file.acquisition["probe_910002000_lfp"].electrical_series
            lfp = series["probe_910002000_lfp_data"]
            assert lfp.data.shape == (lfp.timestamps.shape[0], len(file.electrodes))
            csd = file.processing["current_source_density"]["ecephys_csd"]
            assert csd.time_series.data.shape == (875, 384)


def test_lfp__its_second_derivative_is_the_stored_density(survey):
    """LFP and CSD tell the same story: the sink of layer 4, where and when."""
    with (
        h5py.File(survey.lfp_file(910001004)) as lfp,
        h5py.File(survey.session_file(900000001)) as session,
    ):
        series = lfp["acquisition/probe_910001004_lfp_data"]
        data, times = series["data"][:], series["timestamps"][:]
        depth = lfp["general/extracellular_ephys/electrodes/probe_vertical_position"][:]
        onset = session["intervals/flashes_presentations/start_time"][:]
        stored = lfp["processing/current_source_density/ecephys_csd/current_source_density"]
        density, at = stored["data"][:], stored["timestamps"][:]
    start = times.searchsorted(onset)
    response = np.mean([data[k : k + 188] - data[k - 20 : k].mean(axis=0) for k in start], axis=0)
    time, channel = np.unravel_index(np.abs(response).argmax(), response.shape)
    moment, place = np.unravel_index(density.argmin(), density.shape)
    assert abs(depth[channel] - 10 * place) < 200
    assert abs(time / 1250 - at[moment]) < 0.03
    assert 20e-6 < np.abs(response).max() < 1e-3


def test_layout__is_that_of_the_reference_file(paths, shared_session_path):
    """Every object of the file written with AllenSDK's own classes is here, with its type."""
    wanted, missing = {}, []
    with h5py.File(shared_session_path) as reference:

        def note(name, item):
            if not name.startswith(("specifications", "general/devices/probe", "general/extra")):
                wanted[name] = (type(item), item.attrs.get("neurodata_type"), kind_of(item))

        reference.visititems(note)
    with h5py.File(paths["session"]) as mine:
        for name, expected in wanted.items():
            item = mine.get(name)
            found = None
            if item is not None:
                found = (type(item), item.attrs.get("neurodata_type"), kind_of(item))
            if found != expected:
                missing.append((name, expected, found))
    assert missing == []


def kind_of(item):
    """Give the kind of a dataset's numbers: widths of indices and floats may differ."""
    if not isinstance(item, h5py.Dataset):
        return None
    return item.dtype.kind, item.dtype.names, item.chunks, item.compression


def test_session_file__sizes_and_layout_on_disk(paths):
    assert paths["session"].stat().st_size < 12e6
    with h5py.File(paths["session"]) as file:
        for name in ("spike_times", "spike_amplitudes", "waveform_mean"):
            dataset = file["units"][name]
            assert dataset.chunks is None
            # contiguous: a slice is one range of bytes
            assert dataset.id.get_offset() is not None


def test_allensdk__reads_demo_files(paths):
    python = os.environ.get("SPIKEHOUSE_ALLENSDK_PYTHON")
    if not python:
        pytest.skip("set SPIKEHOUSE_ALLENSDK_PYTHON to a Python that has AllenSDK 2.16.2")
    done = subprocess.run(
        [python, str(PARITY), str(paths["session"]), str(paths["lfp"])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "CSD: (384, 875)" in done.stdout
