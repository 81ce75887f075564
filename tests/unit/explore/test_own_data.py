"""The views of recordings that are not of the survey, which lack most of what a view may show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import other_files
import pandas as pd
import pytest

from spikehouse import EcephysSession
from spikehouse.explore._app import describe_session
from spikehouse.explore._sessions import write_session
from spikehouse.explore.recipes import decoding, population, session, unit, units


@pytest.fixture(params=["arrays", "file"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> EcephysSession:
    trains = other_files.make_trains(np.random.default_rng(7))
    if request.param == "file":
        path = other_files.write_minimal(tmp_path / "lab.nwb", trains)
        return EcephysSession.from_nwb_path(path)
    shown = {"start_time": other_files.ONSETS, "duration": 0.5, "angle": other_files.ANGLES}
    presentations = pd.DataFrame(shown).assign(stimulus_name="trials")
    return EcephysSession.from_arrays(trains, presentations=presentations)


def test_views__of_a_session_without_places(own: EcephysSession) -> None:
    facts = describe_session(own)
    assert (facts["session_id"], facts["n_units"], facts["n_probes"]) == (None, 3, 0)
    assert session.timeline(own)["epochs"]["stimulus_name"].tolist() == ["trials"]
    assert len(session.probes(own)["probes"]) == 0
    assert units.selected_units(own, words="2")["units"].index.tolist() == [2]
    assert len(units.selected_units(own, probes=("probeA",))["units"]) == 0
    known = unit.metric_percentiles(own, 1)
    assert (known["probe"], known["probe_id"], known["peak_channel_id"]) == (None, None, None)
    assert known["n_spikes"] == len(own.spike_times[1])
    raster = unit.raster(own, 0, align="trials", by="angle")
    assert raster["groups"]["label"].tolist() == ["0", "90"]
    curve = unit.tuning(own, 0, stimulus="trials")["curves"].query("parameter == 'angle'")
    assert curve["rate"].tolist() == [
        np.mean([np.sum((own.spike_times[0] >= t) & (own.spike_times[0] < t + 0.5)) / 0.5
                 for t in other_files.ONSETS[angle == other_files.ANGLES]])
        for angle in (0.0, 90.0)
    ]  # fmt: skip
    assert "waveform_class" not in units.units(own)["units"]
    assert population.order_units(own)["units"].index.tolist() == [0, 1, 2]
    labels = decoding.decoding_choices(own)["labels"]
    assert ("trials", "angle") in list(zip(labels["stimulus"], labels["label"], strict=True))
    found = decoding.decode_confusion(own, stimulus="trials", label="angle")
    assert found["accuracy"] > 0.9


def test_write_session__of_another_writers_file_names_no_filters(tmp_path: Path) -> None:
    path = other_files.write_minimal(tmp_path / "lab.nwb", [np.array([1.0])])
    code = write_session(EcephysSession.from_nwb_path(path))
    assert code.endswith(f"EcephysSession.from_nwb_path({str(path)!r})")
