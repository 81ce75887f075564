"""What the views of the survey, a session, a probe and the units show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spikehouse import EcephysProjectCache, EcephysSession
from spikehouse.demo import Survey
from spikehouse.errors import InvalidArgumentError, NotFoundError
from spikehouse.explore.recipes import probe, session, survey, units

Recipe = Callable[..., dict[str, Any]]
SESSION_ID = 900000001
PROBE_ID = 910001004
NO_LIMITS = {
    "amplitude_cutoff_maximum": None, "presence_ratio_minimum": None,
    "isi_violations_maximum": None, "filter_by_validity": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, survey_folder: Path) -> EcephysProjectCache:
    manifest = tmp_path_factory.mktemp("explored") / "manifest.json"
    return EcephysProjectCache.from_demo(manifest, size="tiny", folder=survey_folder)


@pytest.fixture(scope="module")
def opened(session_path: Path) -> EcephysSession:
    return EcephysSession.from_nwb_path(session_path)


class Recording:
    """An adapter of a recording of one channel on one probe, with what is given."""

    def __init__(self, **tables: pd.DataFrame) -> None:
        for name, table in tables.items():
            setattr(self, f"get_{name}", lambda table=table: table)

    def get_probes(self) -> pd.DataFrame:
        return pd.DataFrame({"description": ["P"]}, index=pd.Index([1], name="id"))

    def get_channels(self) -> pd.DataFrame:
        columns = {
            "probe_id": [1, 1, 1, 1],
            "probe_vertical_position": [60, 20, 0, 40],
            "probe_horizontal_position": 11,
            "ecephys_structure_acronym": [None, "mine", "mine", "VISp"],
        }
        return pd.DataFrame(columns, index=pd.Index([13, 11, 10, 12], name="id"))

    def get_units(self) -> None:
        return None

    def get_stimulus_presentations(self) -> None:
        return None

    def get_running_speed(self) -> None:
        return None

    def get_screen_gaze_data(self, include_filtered_data: bool = False) -> None:
        return None


# --- the survey


def test_sessions__says_structures_and_which_files_are_here(cache: EcephysProjectCache) -> None:
    before = survey.sessions(cache)["sessions"]
    assert "VISp" in before["structures"].loc[SESSION_ID].split()
    assert "nan" not in " ".join(before["structures"])
    assert not before["is_here"].any()
    cache.fetch_session(SESSION_ID)
    here = survey.sessions(cache)["sessions"]["is_here"]
    assert here[here].index.tolist() == [SESSION_ID]


def test_files__have_their_size_when_it_is_known(
    cache: EcephysProjectCache, survey_folder: Path
) -> None:
    path = cache.fetch_session(SESSION_ID)
    before = {file.name for file in survey_folder.glob("tiny_*/session_*.nwb")}
    table = survey.files(cache)["files"].set_index("session_id")
    after = {file.name for file in survey_folder.glob("tiny_*/session_*.nwb")}
    assert table["n_bytes"].loc[SESSION_ID] == path.stat().st_size
    # the others are simulated when they are needed, some of them by other tests
    others = table.drop(SESSION_ID)
    for session_id, n_bytes in others["n_bytes"].items():
        name = f"session_{session_id}.nwb"
        assert name not in before if np.isnan(n_bytes) else name in after
    assert not others["is_here"].any()


def test_files__of_a_session_with_its_lfp(cache: EcephysProjectCache) -> None:
    table = survey.files(cache, session_ids=(SESSION_ID,), lfp=True)["files"]
    assert set(table["session_id"]) == {SESSION_ID}
    probes = cache.get_probes(suppress=[])
    of_session = probes.index[probes["ecephys_session_id"] == SESSION_ID]
    assert set(table["probe_id"].dropna()) == set(of_session[probes["has_lfp_data"][of_session]])


def test_structure_counts__add_up_to_the_tables_of_the_cache(cache: EcephysProjectCache) -> None:
    answer = survey.structure_counts(cache)
    counted = cache.get_session_table()["unit_count"]
    assert answer["by_session"]["unit_count"].to_dict() == counted.to_dict()
    assert (
        answer["by_structure"]["unit_count"].groupby(level=0).sum().to_dict() == counted.to_dict()
    )
    everything = cache.get_units(**NO_LIMITS)["ecephys_session_id"].value_counts()
    assert answer["by_session"]["sorted_count"].to_dict() == everything.to_dict()
    assert (answer["by_session"]["sorted_count"] > counted).all()


def test_structures__of_the_survey_have_a_colour(cache: EcephysProjectCache) -> None:
    table = survey.structures(cache)["structures"]
    assert table.loc["VISp", ["name", "color"]].tolist() == ["Primary visual area", "#08858C"]
    acronyms = pd.Series(cache.get_structure_acronyms()).dropna()
    assert acronyms.isin(table.index).all()
    assert table["color"].str.fullmatch("#[0-9A-Fa-f]{6}").all()


# --- a session


def test_timeline__has_every_presentation_and_the_invalid_intervals() -> None:
    shown = pd.DataFrame(
        {"start_time": [5.0, 6.0, 9.0], "stop_time": [6.0, 7.0, 9.5],
         "stimulus_name": ["flashes", "flashes", "spontaneous"],
         "stimulus_block": [1.0, 1.0, np.nan]}
    )  # fmt: skip
    wrong = pd.DataFrame(
        {"start_time": [20.0], "stop_time": [21.0], "tags": [["EcephysProbe", "1", "P"]]}
    )
    recording = Recording(stimulus_presentations=shown, invalid_times=wrong)
    answer = session.timeline(EcephysSession(recording))  # type: ignore[arg-type]
    epochs = answer["epochs"]
    assert epochs["stimulus_name"].tolist() == ["flashes", "spontaneous"]
    assert epochs["stop_time"].tolist() == [7.0, 9.5]
    np.testing.assert_equal(epochs["stimulus_block"].to_numpy(), [1.0, np.nan])
    assert answer["invalid"]["tags"].tolist() == ["EcephysProbe, 1, P"]
    assert (answer["start"], answer["stop"]) == (5.0, 21.0)


def test_running__averages_runs_of_samples_and_shows_single_ones_when_few() -> None:
    start = np.arange(6.0)
    table = pd.DataFrame(
        {"start_time": start, "end_time": start + 1, "velocity": [1.0, 3.0, np.nan, 7.0, 8.0, 9.0]}
    )
    recording = EcephysSession(Recording(running_speed=table))  # type: ignore[arg-type]
    runs = session.running(recording, n_bins=3)["running"]
    assert runs.index.tolist() == [1.0, 3.0, 5.0]
    assert runs["mean"].tolist() == [2.0, 7.0, 8.5]
    assert runs["max"].tolist() == [3.0, 7.0, 9.0]
    singles = session.running(recording, span=(1.0, 4.0))["running"]
    np.testing.assert_equal(singles["mean"].to_numpy(), [3.0, np.nan, 7.0])
    assert not len(session.running(recording, span=(100.0, 101.0))["running"])


def test_pupil__is_its_area_without_blinks(opened: EcephysSession) -> None:
    gaze = opened.get_screen_gaze_data(include_filtered_data=True)
    assert gaze is not None
    runs = session.pupil(opened, n_bins=len(gaze))["pupil"]
    np.testing.assert_array_equal(runs["mean"].to_numpy(), gaze["filtered_pupil_area"].to_numpy())
    with pytest.warns(UserWarning, match="no eye tracking"):
        assert session.pupil(EcephysSession(Recording()))["pupil"] is None  # type: ignore[arg-type]


def test_stimuli__counts_presentations_and_values(opened: EcephysSession) -> None:
    table = session.stimuli(opened)["stimuli"].set_index("stimulus_name")
    assert table["presentation_count"].sum() == opened.num_stimulus_presentations
    n_directions = len(opened.get_parameter_values_for_stimulus("drifting_gratings")["orientation"])
    assert f"orientation ({n_directions})" in table.loc["drifting_gratings", "parameters"]
    assert not len(session.stimuli(EcephysSession(Recording()))["stimuli"])  # type: ignore[arg-type]


def test_probes__structures_end_between_channels_and_no_unit_is_lost(
    opened: EcephysSession,
) -> None:
    answer = session.probes(EcephysSession(Recording()))  # type: ignore[arg-type]
    assert answer["probes"]["unit_count"].tolist() == [0]
    assert not len(answer["units"])
    runs = answer["structures"].astype(object).where(answer["structures"].notna(), None)
    assert runs.to_numpy().tolist() == [[1, "mine", 0, 30], [1, "VISp", 30, 50], [1, None, 50, 60]]
    real = session.probes(opened)
    assert real["units"]["unit_count"].sum() == opened.num_units
    assert real["probes"]["unit_count"].sum() == opened.num_units


# --- a probe


def test_probe_units__are_those_of_the_probe_from_the_top(opened: EcephysSession) -> None:
    shown = probe.probe_units(opened, probe_id=PROBE_ID)["units"]
    assert set(shown.index) == set(opened.units.index[opened.units["probe_id"] == PROBE_ID])
    assert shown["probe_vertical_position"].is_monotonic_decreasing
    channels = probe.probe_channels(opened, probe_id=PROBE_ID)["channels"]
    assert shown["peak_channel_id"].isin(channels.index).all()


@pytest.mark.parametrize("recipe", [probe.probe_units, probe.probe_channels])
def test_probe_units__of_a_probe_that_is_not_there(recipe: Recipe, opened: EcephysSession) -> None:
    with pytest.raises(NotFoundError, match=rf"no probe 5 in this session; it has .*{PROBE_ID} \("):
        recipe(opened, probe_id=5)


def test_lfp_piece__is_what_the_session_reads(survey: Survey, opened: EcephysSession) -> None:
    survey.lfp_file(PROBE_ID)
    lfp = opened.get_lfp(PROBE_ID)
    middle = float(lfp["time"][lfp.sizes["time"] // 2])
    piece = probe.lfp_piece(opened, probe_id=PROBE_ID, duration=0.1)
    expected = lfp.sel(time=slice(middle, middle + 0.1))
    np.testing.assert_array_equal(piece["lfp"], expected.to_numpy().T)
    assert piece["lfp"].shape == (len(piece["depth_um"]), len(piece["time"]))
    assert 0.09 < piece["time"][-1] - piece["time"][0] <= 0.1
    assert np.isfinite(piece["depth_um"]).all()
    assert not probe.lfp_piece(opened, probe_id=PROBE_ID, start=1e6)["lfp"].size
    lfp.close()


def test_csd__is_by_depth_and_time(survey: Survey, opened: EcephysSession) -> None:
    survey.lfp_file(PROBE_ID)
    answer = probe.csd(opened, probe_id=PROBE_ID)
    density = opened.get_current_source_density(PROBE_ID)
    np.testing.assert_allclose(answer["csd"], density.to_numpy(), rtol=1e-6)
    assert answer["csd"].shape == (len(answer["depth_um"]), len(answer["time"]))


@pytest.mark.parametrize("recipe", [probe.csd, probe.lfp_piece])
def test_csd__without_an_lfp_file(recipe: Recipe, session_path: Path, tmp_path: Path) -> None:
    (tmp_path / session_path.name).symlink_to(session_path)
    alone = EcephysSession.from_nwb_path(tmp_path / session_path.name)
    answer = recipe(alone, probe_id=PROBE_ID)
    assert None in answer.values()
    assert answer["reason"].startswith(f"there is no LFP file of probe {PROBE_ID}")
    with pytest.raises(NotFoundError, match="there is no probe 5 in this session"):
        recipe(alone, probe_id=5)


# --- the units


def test_units__every_column_of_the_file_is_explained(opened: EcephysSession) -> None:
    answer = units.units(opened)
    assert answer["columns"]["name"].tolist() == answer["units"].columns.tolist()
    assert answer["columns"].set_index("name").loc["firing_rate", "unit"] == "spikes/s"
    assert (answer["columns"]["meaning"] != "").all()


def test_selected_units__meet_every_limit_in_the_order_asked_for(opened: EcephysSession) -> None:
    table = opened.units
    found = units.selected_units(
        opened, words="vis PROBEC", limits=("snr:1.5..", "firing_rate:..20"), sort="-snr"
    )["units"]
    expected = table[
        table["ecephys_structure_acronym"].str.startswith("VIS")
        & (table["probe_description"] == "probeC")
        & (table["snr"] >= 1.5)
        & (table["firing_rate"] <= 20)
    ]
    assert 0 < len(expected) < len(table)
    assert set(found.index) == set(expected.index)
    assert found["snr"].is_monotonic_decreasing
    by_id = units.selected_units(opened, structures=("VISp",), probes=("probeC",), sort="unit_id")
    assert set(by_id["units"]["ecephys_structure_acronym"]) == {"VISp"}
    assert by_id["units"].index.is_monotonic_increasing
    everything = units.selected_units(opened)["units"]
    pd.testing.assert_frame_equal(everything.drop(columns="waveform_class"), table)


def test_selected_units__are_of_a_class_of_waveforms(opened: EcephysSession) -> None:
    listed = units.units(opened)["units"]["waveform_class"]
    fast = units.selected_units(opened, classes=("fast-spiking",))["units"]
    assert 0 < len(fast) < opened.num_units
    assert set(fast.index) == set(listed.index[listed == "fast-spiking"])
    assert (fast["waveform_duration"] < 0.4).all()
    assert not len(units.selected_units(opened, classes=("unknown",))["units"])


def test_selected_units__of_all_units_keep_the_good_ones(session_path: Path) -> None:
    everything = EcephysSession.from_nwb_path(session_path, api_kwargs=NO_LIMITS)
    limits = ("amplitude_cutoff:..0.1", "presence_ratio:0.95..", "isi_violations:..0.5")
    found = units.selected_units(everything, limits=limits, good=True)["units"]
    assert set(found.index) == set(EcephysSession.from_nwb_path(session_path).units.index)


@pytest.mark.parametrize("limit", ["snr", "snr:", "snr:2", "snr:a..b", "..3"])
def test_selected_units__says_how_a_limit_reads(limit: str, opened: EcephysSession) -> None:
    with pytest.raises((InvalidArgumentError, NotFoundError), match=r"snr:2\.\.5|no column"):
        units.selected_units(opened, limits=(limit,))
    with pytest.raises(NotFoundError, match="no column colour"):
        units.selected_units(opened, sort="-colour")


def test_unit_metrics__are_the_published_ones(
    cache: EcephysProjectCache, opened: EcephysSession
) -> None:
    answer = units.unit_metrics(cache.get_session_data(SESSION_ID))
    assert "time_to_peak_sg" in answer["metrics"]
    assert not set(answer["metrics"]) & set(opened.units)
    meanings = answer["columns"].set_index("name")["meaning"]
    assert meanings["time_to_peak_sg"].startswith("static gratings: ")
    assert not len(units.unit_metrics(opened)["metrics"].columns)


def test_unit_filters__count_what_is_left_out(session_path: Path, opened: EcephysSession) -> None:
    table = units.unit_filters(opened)["filters"]
    everything = EcephysSession.from_nwb_path(
        session_path, api_kwargs={**NO_LIMITS, "filter_out_of_brain_units": False}
    )
    assert table["remaining_count"].iloc[0] == everything.num_units
    assert table["remaining_count"].iloc[-1] == opened.num_units
    cutoff = everything.units["amplitude_cutoff"]
    assert table.loc["amplitude_cutoff_maximum"].tolist()[:2] == [
        "amplitude_cutoff ≤ 0.1",
        (~(cutoff <= 0.1)).sum(),
    ]
    assert (everything.units["quality"] != "good").sum() == table.loc[
        "filter_by_validity", "failing_count"
    ]
    assert units.unit_filters(everything)["filters"].index.tolist() == [""]
    own = units.unit_filters(EcephysSession(Recording()))["filters"]  # type: ignore[arg-type]
    assert own["remaining_count"].tolist() == [0]
