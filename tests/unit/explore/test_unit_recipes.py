"""Recipes of one unit: values by brute force, and what the simulation planted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spikehouse import EcephysProjectCache, EcephysSession
from spikehouse.analysis import summarize_behavior
from spikehouse.demo import Survey
from spikehouse.errors import InvalidArgumentError, NotFoundError
from spikehouse.explore.recipes import unit as recipes

WINDOW = (-0.1, 0.5)


@pytest.fixture(scope="module")
def session(session_path: Path) -> Iterator[EcephysSession]:
    with EcephysSession.from_nwb_path(session_path) as session:
        yield session


@pytest.fixture(scope="module")
def unit_id(session: EcephysSession) -> int:
    """Return the unit that fires most."""
    return int(session.units["firing_rate"].idxmax())


class Made:
    """An adapter with hand-made tables and spikes."""

    def __init__(
        self,
        spikes: dict[int, Any],
        stimuli: pd.DataFrame | None = None,
        invalid: pd.DataFrame | None = None,
    ) -> None:
        self.spikes = {unit: np.asarray(times, dtype=float) for unit, times in spikes.items()}
        self.stimuli = stimuli
        self.invalid = invalid

    def get_ecephys_session_id(self) -> int:
        return 5

    def get_probes(self) -> pd.DataFrame:
        probes = {"description": ["probeA"], "sampling_rate": [30_000.0], "location": [""]}
        return pd.DataFrame(probes, index=pd.Index([1], name="id"))

    def get_channels(self) -> pd.DataFrame:
        n = len(self.spikes)
        channels = {
            "probe_id": 1,
            "probe_channel_number": np.arange(n),
            "probe_vertical_position": 20 * np.arange(n),
            "probe_horizontal_position": 43,
            "ecephys_structure_acronym": ["VISp"] * (n - 1) + ["CA1"],
        }
        return pd.DataFrame(channels, index=pd.Index(100 + np.arange(n), name="id"))

    def get_units(self) -> pd.DataFrame:
        units = {
            "peak_channel_id": 100 + np.arange(len(self.spikes)),
            "snr": np.arange(len(self.spikes), dtype=float),
        }
        return pd.DataFrame(units, index=pd.Index(list(self.spikes), name="unit_id"))

    def get_unit_metrics(self) -> pd.DataFrame:
        return pd.DataFrame(index=pd.Index(list(self.spikes)))

    def get_spike_times(self) -> dict[int, Any]:
        return self.spikes

    def get_spike_amplitudes(self) -> None:
        return None

    def get_stimulus_presentations(self) -> pd.DataFrame | None:
        return self.stimuli

    def get_optogenetic_stimulation(self) -> None:
        return None

    def get_invalid_times(self) -> pd.DataFrame | None:
        return self.invalid

    def get_running_speed(self) -> pd.DataFrame:
        raise NotImplementedError


def make_flashes(**columns: Any) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    start = 10.0 + 2 * np.arange(n)
    shown = {"start_time": start, "stop_time": start + 0.25, "stimulus_name": "flashes"}
    index = pd.RangeIndex(n, name="stimulus_presentation_id")
    return pd.DataFrame({**shown, "stimulus_block": 0.0, **columns}, index=index)


# --- raster


def test_raster__by_hand() -> None:
    stimuli = make_flashes(color=[1.0, -1.0, 1.0])
    # one spike before the first flash, two after the third, none around the second
    spikes = [9.95, 14.0, 14.06]
    session = EcephysSession(Made({7: spikes}, stimuli))
    found = recipes.raster(session, 7, by="color", window=(-0.1, 0.1), bin=0.05)
    # dark first: color -1
    assert found["groups"]["label"].tolist() == ["-1", "1"]
    assert found["groups"]["n_presentations"].tolist() == [1, 2]
    assert found["rows"].index.tolist() == [1, 0, 2]
    assert found["spike_row"].tolist() == [1, 2, 2]
    np.testing.assert_allclose(found["spike_time"], [-0.05, 0.0, 0.06], atol=1e-6)
    np.testing.assert_allclose(found["bin_edges"], [-0.1, -0.05, 0.0, 0.05, 0.1])
    # a spike on an edge belongs to the bin that begins there
    np.testing.assert_allclose(found["psth"], [[0, 0, 0, 0], [0, 10, 10, 10]])
    assert np.isnan(found["psth_sem"][0]).all()
    np.testing.assert_allclose(found["psth_sem"][1], [0, 10, 10, 10])
    assert (found["n_spikes"], found["n_different_spikes"]) == (3, 3)
    assert found["stimulus_duration"] == pytest.approx(0.25)


def test_raster__tells_spikes_from_marks_where_windows_overlap() -> None:
    # flashes at 10, 12 and 14 s: 11.5 is in the windows of two, 9.5 in one, 20 in none
    session = EcephysSession(Made({7: [9.5, 11.5, 13.0, 20.0]}, make_flashes(color=[1, -1, 1])))
    found = recipes.raster(session, 7, window=(-1, 2), bin=0.5)
    assert (found["n_spikes"], found["n_different_spikes"]) == (5, 3)


@pytest.mark.filterwarnings("ignore:spikes are missing or wrong")
def test_raster__marks_presentations_in_invalid_intervals_of_the_probe() -> None:
    invalid = pd.DataFrame(
        {
            "start_time": [12.1, 10.0, 14.4],
            "stop_time": [12.2, 10.1, 14.6],
            "tags": [
                ["EcephysProbe", "1", "probeA"],
                ["EcephysProbe", "2", "probeB"],
                ["all_probes"],
            ],
        }
    )
    made = Made({7: [10.0, 12.0]}, make_flashes(color=[1.0, -1.0, 1.0]), invalid)
    rows = recipes.raster(EcephysSession(made), 7, window=(-0.1, 0.3), bin=0.1)["rows"]
    # probeB is not the unit's, and the third interval begins after the window
    assert rows["is_invalid"].tolist() == [False, True, False]
    rows = recipes.raster(EcephysSession(made), 7, window=(-0.1, 0.5), bin=0.1)["rows"]
    assert rows["is_invalid"].tolist() == [False, True, True]


def test_raster__is_what_the_session_counts(session: EcephysSession, unit_id: int) -> None:
    table = session.get_stimulus_table("drifting_gratings", missing="nan")
    found = recipes.raster(
        session, unit_id, align="drifting_gratings", by="orientation", window=(-0.5, 2.0), bin=0.05
    )
    edges = found["bin_edges"]
    assert edges[10] == 0
    counts = session.presentationwise_spike_counts(edges, table.index, [unit_id])[:, :, 0]
    assert found["n_spikes"] == counts.sum()
    # the spikes of each row are those of its presentation
    n_in_row = np.bincount(found["spike_row"], minlength=len(table))
    by_id = counts.sum("time_relative_to_stimulus_onset").to_series()
    np.testing.assert_array_equal(n_in_row, by_id[found["rows"].index])
    # mean and error of every group, by pandas
    groups = table["orientation"].fillna(np.inf)
    rates = counts.to_pandas() / 0.05
    np.testing.assert_allclose(found["psth"], rates.groupby(groups).mean(), rtol=1e-5)
    np.testing.assert_allclose(found["psth_sem"], rates.groupby(groups).sem(), rtol=1e-4)
    assert found["groups"]["label"].tolist()[-1] == "blank"
    assert (
        found["groups"]["n_presentations"].tolist()
        == groups.value_counts(sort=False).sort_index().tolist()
    )
    np.testing.assert_array_equal(found["rows"]["group"], np.sort(found["rows"]["group"]))


@pytest.mark.parametrize("align", ["flashes", "natural_scenes"])
def test_raster__around_offsets_is_brute_force(
    session: EcephysSession, unit_id: int, align: str
) -> None:
    stops = session.get_stimulus_table(align)["stop_time"]
    found = recipes.raster(session, unit_id, align=align, event="offset", window=WINDOW)
    train = session.spike_times[unit_id]
    expected = [train[(train >= t - 0.1) & (train < t + 0.5)] - t for t in stops]
    assert found["n_spikes"] == sum(map(len, expected))
    np.testing.assert_allclose(found["spike_time"], np.concatenate(expected), atol=1e-5)
    assert found["rows"].index.tolist() == stops.index.tolist()


def test_raster__smooths_as_smooth_rates_does(session: EcephysSession, unit_id: int) -> None:
    rough = recipes.raster(session, unit_id, by="color")
    smooth = recipes.raster(session, unit_id, by="color", smoothing=0.02)
    # far from the edges the kernel is whole, and its mean that of the rates
    assert smooth["psth"].std() < rough["psth"].std()
    np.testing.assert_allclose(smooth["psth"].mean(), rough["psth"].mean(), rtol=0.1)
    sigma = 0.02 / 0.005
    at = np.arange(-16, 17)
    kernel = np.exp(-((at / sigma) ** 2) / 2)
    middle = slice(30, 90)
    expected = [np.convolve(line, kernel / kernel.sum(), "same")[middle] for line in rough["psth"]]
    np.testing.assert_allclose(smooth["psth"][:, middle], expected, atol=1e-3)


def test_raster__orders_rows_within_groups(session: EcephysSession, unit_id: int) -> None:
    options: dict[str, Any] = {"align": "flashes", "by": "color"}
    strongest = recipes.raster(session, unit_id, order="response", **options)["rows"]
    for _, rows in strongest.groupby("group"):
        assert (np.diff(rows["response"]) <= 0).all()
    by_speed = recipes.raster(session, unit_id, order="running_speed", **options)["rows"]
    for _, rows in by_speed.groupby("group"):
        assert (np.diff(rows["running_speed"]) >= 0).all()
    in_time = recipes.raster(session, unit_id, **options)["rows"]
    for _, rows in in_time.groupby("group"):
        assert (np.diff(rows["zero"]) > 0).all()


def test_raster__response_is_the_rate_while_the_stimulus_was_shown(
    session: EcephysSession, unit_id: int
) -> None:
    rows = recipes.raster(session, unit_id)["rows"]
    table = session.get_stimulus_table("flashes")
    statistics = session.presentationwise_spike_times(table.index, [unit_id])
    n = statistics["stimulus_presentation_id"].value_counts().reindex(rows.index, fill_value=0)
    np.testing.assert_allclose(rows["response"], n / table["duration"], rtol=1e-5)


def test_raster__groups_by_running_speed_and_response(
    session: EcephysSession, unit_id: int
) -> None:
    found = recipes.raster(session, unit_id, align="gabors", by="running_speed")
    for group, rows in found["rows"].groupby("group"):
        is_running = found["groups"]["label"][group].startswith("running")
        assert ((rows["running_speed"] >= 1) == is_running).all()
    found = recipes.raster(session, unit_id, align="gabors", by="response")
    assert len(found["groups"]) == 4
    assert np.ptp(found["groups"]["n_presentations"]) <= 1
    lowest = found["rows"].groupby("group")["response"].min()
    assert (np.diff(lowest) >= 0).all()


def test_raster__of_one_value_has_only_its_presentations(
    session: EcephysSession, unit_id: int
) -> None:
    name = "natural_movie_three"
    table = session.get_stimulus_table(name)
    found = recipes.raster(session, unit_id, align=name, only="frame:0", window=(0, 2), bin=0.1)
    assert found["rows"].index.tolist() == table.index[table["frame"] == 0].tolist()
    with pytest.raises(NotFoundError, match="no presentation of flashes has 'color:5'"):
        recipes.raster(session, unit_id, only="color:5")


def test_raster__with_many_spikes_counts_them_in_bands(
    session: EcephysSession, unit_id: int
) -> None:
    options: dict[str, Any] = {"align": "gabors", "by": "x_position"}
    spikes = recipes.raster(session, unit_id, **options)
    bands = recipes.raster(session, unit_id, n_bands=50, max_spikes=10, **options)
    assert "spike_time" not in bands
    counts = bands["band_counts"]
    assert counts.shape == (50, len(bands["bin_edges"]) - 1)
    assert counts.sum() == spikes["n_spikes"]
    n_rows = len(spikes["rows"])
    in_band = np.bincount(spikes["spike_row"].astype(np.int64) * 50 // n_rows, minlength=50)
    np.testing.assert_array_equal(counts.sum(axis=1), in_band)
    # never more bands than rows
    few = recipes.raster(session, unit_id, max_spikes=0)
    assert few["band_counts"].shape[0] == len(few["rows"])


def test_raster__of_a_unit_without_spikes_is_zero() -> None:
    session = EcephysSession(Made({7: []}, make_flashes(color=[1.0, -1.0, 1.0])))
    found = recipes.raster(session, 7, by="color")
    assert found["n_spikes"] == 0
    assert found["spike_time"].shape == (0,)
    assert (found["psth"] == 0).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"align": "flashs"}, NotFoundError, "did you mean 'flashes'"),
        ({"by": "orientation"}, NotFoundError, "no 'orientation' that varies; valid: .*color"),
        ({"order": "colour"}, NotFoundError, "no 'colour' that varies"),
        ({"window": (0.5, 0.1)}, InvalidArgumentError, "from 0.5 to 0.1 s holds no bin"),
        ({"window": (0, 0.001)}, InvalidArgumentError, "make the window longer"),
        (
            {"align": "natural_movie_three", "window": (0, 600), "bin": 0.0005},
            InvalidArgumentError,
            "use wider bins or a shorter window",
        ),
    ],
)
def test_raster__says_what_is_valid(
    session: EcephysSession,
    unit_id: int,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        recipes.raster(session, unit_id, **options)


def test_raster__of_an_unknown_unit_and_of_a_session_without_stimuli_says_so(
    session: EcephysSession,
) -> None:
    with pytest.raises(NotFoundError, match="unit_ids are not in this session"):
        recipes.raster(session, 1)
    with pytest.raises(NotFoundError, match="no stimulus 'flashes': there are none here"):
        recipes.raster(EcephysSession(Made({7: [1.0]})), 7)
    with pytest.raises(NotFoundError, match="no stimulus 'optotagging'"):
        recipes.raster(EcephysSession(Made({7: [1.0]})), 7, align="optotagging")


def test_raster__aligns_to_light_pulses(small_survey: Survey) -> None:
    truth = small_survey.truth(900000003)
    with EcephysSession.from_nwb_path(small_survey.session_file(900000003)) as session:
        tagged = truth.index[truth["is_optotagged"] & truth.index.isin(session.units.index)]
        pulses = session.optogenetic_stimulation_epochs
        found = recipes.raster(
            session, int(tagged[0]), align="optotagging", by="level", window=(-0.01, 0.03), bin=0.01
        )
        assert len(found["rows"]) == len(pulses)
        # brighter light, more spikes in the first 10 ms than in those before
        assert found["psth"][-1, 1] > 5 * found["psth"][-1, 0]
        assert "optotagging" in recipes.alignments(session)["stimuli"]["stimulus"].tolist()


# --- what there is to align to


def test_alignments__lists_stimuli_and_what_varies(session: EcephysSession) -> None:
    found = recipes.alignments(session)
    stimuli = found["stimuli"].set_index("stimulus")
    names = [name for name in session.stimulus_names if name != "invalid_presentation"]
    assert stimuli.index.tolist() == [*names, "optotagging"]
    assert stimuli.loc["flashes", "duration"] == pytest.approx(0.25, abs=0.01)
    parameters = found["parameters"].set_index(["stimulus", "parameter"])["n_values"]
    assert parameters["flashes", "color"] == 2
    for name, n_values in parameters["drifting_gratings"].items():
        column = session.get_stimulus_table("drifting_gratings", missing="nan")[name]
        assert n_values == column.nunique() > 1
    # the grey screen among the images is no image
    assert parameters["natural_scenes", "frame"] <= 118


def test_alignments__of_a_session_without_stimuli_is_empty() -> None:
    found = recipes.alignments(EcephysSession(Made({7: [1.0]})))
    assert found["stimuli"].empty
    assert found["parameters"].empty


# --- tuning


def test_tuning__is_the_mean_rate_of_the_presentations(
    session: EcephysSession, unit_id: int
) -> None:
    found = recipes.tuning(session, unit_id)
    table = session.get_stimulus_table("drifting_gratings", missing="nan")
    train = session.spike_times[unit_id]
    n = [((train >= a) & (train < b)).sum() for a, b in table[["start_time", "stop_time"]].values]
    rates = pd.Series(n, table.index) / table["duration"]
    for parameter, curve in found["curves"].groupby("parameter"):
        expected = rates.groupby(table[parameter])
        np.testing.assert_array_equal(curve["value"], expected.mean().index)
        np.testing.assert_allclose(curve["rate"], expected.mean())
        np.testing.assert_allclose(curve["sem"], expected.sem())
        np.testing.assert_array_equal(curve["n_presentations"], expected.size())
    assert set(found["curves"]["parameter"]) == {"orientation", "temporal_frequency"}
    blank = rates[table["orientation"].isna()]
    assert found["n_blank"] == len(blank) > 0
    assert found["blank_rate"] == pytest.approx(blank.mean())


def test_tuning__of_text_has_labels_and_of_nothing_no_curves() -> None:
    stimuli = make_flashes(Dir=["left", "right", "left"])
    found = recipes.tuning(EcephysSession(Made({7: [10.1]}, stimuli)), 7, stimulus="flashes")
    curves = found["curves"]
    assert curves["label"].tolist() == ["left", "right"]
    assert curves["value"].isna().all()
    np.testing.assert_allclose(curves["rate"], [2, 0])
    same = EcephysSession(Made({7: [10.1]}, make_flashes(color=[1.0, 1.0])))
    found = recipes.tuning(same, 7, stimulus="flashes")
    assert found["curves"].empty
    assert found["blank_rate"] is None


@pytest.fixture(scope="module")
def small_session(small_survey: Survey) -> Iterator[EcephysSession]:
    with EcephysSession.from_nwb_path(small_survey.session_file(900000001)) as session:
        yield session


def test_tuning__finds_the_planted_direction(
    small_survey: Survey, small_session: EcephysSession
) -> None:
    truth = small_survey.truth(900000001).loc[small_session.units.index]
    # three presentations a condition: of few spikes the best direction is chance
    busy = truth["is_visual"] & (truth["firing_rate"] > 2)
    tuned = truth[busy & (truth["orientation_strength"] > 0.5)]
    found = {}
    for unit in tuned.index:
        curves = recipes.tuning(small_session, int(unit))["curves"]
        curve = curves[curves["parameter"] == "orientation"]
        found[unit] = curve["value"].iloc[curve["rate"].argmax()]
    away = (pd.Series(found) - tuned["preferred_direction"] + 180) % 360 - 180
    # directions are 45 degrees apart: the nearest is at most 22.5 away
    is_orientation = (away % 180).between(0, 22.5) | (away % 180).between(157.5, 180)
    assert len(tuned) > 15
    assert is_orientation.mean() > 0.8
    is_directed = tuned["direction_strength"] > 0.6
    assert (away[is_directed].abs() <= 22.5).mean() > 0.7


@pytest.mark.parametrize("state", ["running", "resting", "large_pupil", "small_pupil"])
def test_tuning__of_a_state_is_of_the_presentations_in_it(
    session: EcephysSession, unit_id: int, state: recipes.State
) -> None:
    found = recipes.tuning(session, unit_id, stimulus="gabors", state=state)["curves"]
    shown = session.get_stimulus_table("gabors", missing="nan")
    behavior = summarize_behavior(session, shown)
    # no presentation is in a state that its mean is not in
    low, high = behavior["pupil_diameter"].quantile([0.2, 0.8])
    mean = {
        "running": behavior["running_speed"] > 0.5, "resting": behavior["running_speed"] < 1.0,
        "large_pupil": behavior["pupil_diameter"] > low,
        "small_pupil": behavior["pupil_diameter"] < high,
    }[state]  # fmt: skip
    n = found.groupby("parameter")["n_presentations"].sum()
    assert (n == n.iloc[0]).all()
    assert 0 < n.iloc[0] <= mean.sum() < len(shown)
    assert found["rate"].notna().all()


def test_star__of_a_state_keeps_the_angles_and_rings_of_all(
    session: EcephysSession, unit_id: int
) -> None:
    whole = recipes.star(session, unit_id)
    found = recipes.star(session, unit_id, state="running")
    np.testing.assert_array_equal(found["angles"], whole["angles"])
    np.testing.assert_array_equal(found["rings"], whole["rings"])
    n, of = found["n_presentations"], whole["n_presentations"]
    assert 0 < n.sum() < of.sum()
    assert (n <= of).all()
    np.testing.assert_array_equal(np.isnan(found["rates"]), n == 0)


def test_tuning__of_a_state_that_never_was_says_so() -> None:
    running = pd.DataFrame({"start_time": np.arange(10, 15, 0.1), "velocity": 20.0})
    stimuli = make_flashes(color=[1, -1, 1])
    own = EcephysSession.from_arrays(
        {7: [10.1, 14.2]}, presentations=stimuli, running_speed=running
    )
    with pytest.raises(NotFoundError, match="state resting during no presentation of flashes, fro"):
        recipes.tuning(own, 7, stimulus="flashes", state="resting")
    with (
        pytest.warns(UserWarning, match="no eye tracking"),
        pytest.raises(NotFoundError, match="has no eye tracking: its pupil has no states"),
    ):
        recipes.tuning(own, 7, stimulus="flashes", state="large_pupil")


# --- star


def test_star__of_drifting_gratings_is_direction_by_frequency(
    session: EcephysSession, unit_id: int
) -> None:
    found = recipes.star(session, unit_id)
    table = session.get_stimulus_table("drifting_gratings", missing="nan").dropna()
    assert found["ring_parameter"] == "temporal_frequency"
    assert found["arcs"] is None
    assert found["period"] == 360
    assert found["n_presentations"].sum() == len(table)
    statistics = session.conditionwise_spike_statistics(table.index, [unit_id], use_rates=True)
    means = statistics["spike_mean"].droplevel("unit_id")
    for (angle, ring), rows in table.groupby(["orientation", "temporal_frequency"]):
        at = list(found["angles"]).index(angle), list(found["rings"]).index(ring), 0
        assert found["n_presentations"][at] == len(rows)
        condition = rows["stimulus_condition_id"].iloc[0]
        assert found["rates"][at] == pytest.approx(means[condition])
    never = found["n_presentations"] == 0
    assert np.isnan(found["rates"][never]).all()


def test_star__of_directions_in_words_says_what_to_give() -> None:
    session = EcephysSession(Made({7: [1.0]}, make_flashes(Dir=["left", "right"])))
    with pytest.raises(InvalidArgumentError, match="flashes has no orientation or Dir"):
        recipes.star(session, 7, stimulus="flashes")


def test_star__of_static_gratings_has_phases_as_arcs(session: EcephysSession, unit_id: int) -> None:
    found = recipes.star(session, unit_id, stimulus="static_gratings")
    assert (found["ring_parameter"], found["arc_parameter"]) == ("spatial_frequency", "phase")
    assert found["period"] == 180
    shape = len(found["angles"]), len(found["rings"]), len(found["arcs"])
    assert found["rates"].shape == shape
    with pytest.raises(InvalidArgumentError, match="flashes has no orientation or Dir that varies"):
        recipes.star(session, unit_id, stimulus="flashes")


# --- receptive field


def test_receptive_field__finds_the_planted_position(
    small_survey: Survey, small_session: EcephysSession
) -> None:
    truth = small_survey.truth(900000001).loc[small_session.units.index]
    chosen = truth[truth["is_visual"]].sort_values("drive", ascending=False).head(12)
    distances = []
    for unit, planted in chosen.iterrows():
        found = recipes.receptive_field(small_session, int(unit), n_resamples=100)
        assert found["map"].shape == (len(found["elevation"]), len(found["azimuth"]))
        if found["is_fitted"] and found["measures"].loc["p_value_rf", "value"] < 0.05:
            distances.append(
                np.hypot(
                    found["center_azimuth"] - 50 - planted["rf_x_position"],
                    found["center_elevation"] - 10 - planted["rf_y_position"],
                )
            )
    # positions are 10° apart
    assert len(distances) >= 6
    assert np.median(distances) < 6


def test_receptive_field__measures_are_described(session: EcephysSession, unit_id: int) -> None:
    found = recipes.receptive_field(session, unit_id, n_resamples=10)
    measures = found["measures"]
    assert measures.loc["area_rf", "unit"] == "deg²"
    assert measures["meaning"].str.startswith("gabors: ").all()
    inside = found["mask"].sum()
    step = np.diff(found["azimuth"])[0]
    assert measures.loc["area_rf", "value"] == pytest.approx(inside * step**2)
    with pytest.raises(InvalidArgumentError, match="no x_position"):
        recipes.receptive_field(session, unit_id, stimulus="flashes")


def test_receptive_field__has_the_published_values_beside_its_own(
    survey_folder: Path, tmp_path: Path, session: EcephysSession, unit_id: int
) -> None:
    manifest = tmp_path / "manifest.json"
    cache = EcephysProjectCache.from_demo(manifest, size="tiny", folder=survey_folder)
    published = cache.get_unit_analysis_metrics_for_session(900000001)
    with_metrics = cache.get_session_data(900000001)
    unit = int(with_metrics.units["firing_rate"].idxmax())
    measures = recipes.receptive_field(with_metrics, unit, n_resamples=10)["measures"]
    for name in ("width_rf", "p_value_rf"):
        np.testing.assert_equal(measures.loc[name, "published"], published.loc[unit, name])
    assert measures.loc["width_rf", "value"] != measures.loc["width_rf", "published"]
    # a file alone has no published values
    measures = recipes.receptive_field(session, unit_id, n_resamples=10)["measures"]
    assert measures["published"].isna().all()


# --- waveform and spike train


def test_waveform__is_that_of_the_file_near_the_peak(session: EcephysSession, unit_id: int) -> None:
    found = recipes.waveform(session, unit_id, reach_um=60)
    mean = session.mean_waveforms[unit_id]
    channels = found["channels"]
    own = session.units.loc[unit_id]
    assert found["peak_channel_id"] == own["peak_channel_id"]
    height = channels["probe_vertical_position"]
    assert (np.diff(height) >= 0).all()
    assert ((height - own["probe_vertical_position"]).abs() <= 60).all()
    near = session.channels[session.channels["probe_id"] == own["probe_id"]]
    near = near[(near["probe_vertical_position"] - own["probe_vertical_position"]).abs() <= 60]
    assert set(channels.index) == set(near.index)
    for row, channel in enumerate(channels.index):
        np.testing.assert_allclose(found["waveform"][row], mean.sel(channel_id=channel), rtol=1e-6)


def test_waveform__that_is_not_there_says_so(session: EcephysSession) -> None:
    # an adapter without waveforms
    with pytest.raises(NotFoundError, match="no mean waveform of unit 7"):
        recipes.waveform(EcephysSession(Made({7: [1.0]})), 7)
    with pytest.raises(NotFoundError, match="has no unit 1 among"):
        recipes.waveform(session, 1)


def test_interspike_intervals__by_hand() -> None:
    times = np.cumsum([1.0, 0.001, 0.0102, 0.0102, 0.3])
    session = EcephysSession(Made({7: times, 8: [], 9: [4.0]}))
    found = recipes.interspike_intervals(session, 7, max_interval=0.05, bin=0.005)
    assert found["counts"].tolist() == [1, 0, 2, 0, 0, 0, 0, 0, 0, 0]
    assert (found["n_intervals"], found["n_longer"], found["n_violations"]) == (4, 1, 1)
    assert found["violation_fraction"] == 0.25
    assert found["isi_violations"] is None
    for unit in (8, 9):
        found = recipes.interspike_intervals(session, unit)
        assert found["n_intervals"] == 0
        assert found["violation_fraction"] is None


def test_autocorrelogram__is_brute_force(session: EcephysSession, unit_id: int) -> None:
    found = recipes.autocorrelogram(session, unit_id, max_lag=0.05, bin=0.005)
    train = session.spike_times[unit_id]
    lags = [train[(train > t) & (train < t + 0.05)] - t for t in train]
    counts, _ = np.histogram(np.concatenate(lags), np.linspace(0, 0.05, 11))
    np.testing.assert_allclose(found["rates"][10:], counts / (len(train) * 0.005), rtol=0.02)
    assert len(found["lags"]) == 20


def test_stability__follows_rate_and_amplitudes(session: EcephysSession, unit_id: int) -> None:
    found = recipes.stability(session, unit_id, bin=10)
    edges, train = found["bin_edges"], session.spike_times[unit_id]
    assert np.diff(edges) == pytest.approx(np.diff(edges)[0])
    counts = found["firing_rate"] * np.diff(edges)
    assert counts.sum() == pytest.approx(len(train))
    amplitudes = session.spike_amplitudes[unit_id] * 1e6
    inside = (train >= edges[3]) & (train < edges[4])
    assert counts[3] == pytest.approx(inside.sum())
    np.testing.assert_allclose(
        found["amplitude_quantiles"][:, 3], np.quantile(amplitudes[inside], [0.1, 0.5, 0.9])
    )
    assert (
        found["blocks"]["stimulus_name"].tolist()
        == session.get_stimulus_epochs()["stimulus_name"].tolist()
    )


def test_stability__without_stimuli_amplitudes_or_spikes() -> None:
    session = EcephysSession(Made({7: [1.0, 2.0, 61.0], 8: [], 9: [4.0]}))
    np.testing.assert_allclose(recipes.stability(session, 9)["firing_rate"], [1 / 30])
    found = recipes.stability(session, 7)
    assert found["amplitude_quantiles"] is None
    np.testing.assert_allclose(found["firing_rate"], [2 / 30, 1 / 30])
    assert found["blocks"].empty
    with pytest.raises(NotFoundError, match="unit 8 has no spikes, and the session no stimuli"):
        recipes.stability(session, 8)


@pytest.mark.parametrize("stop", [np.inf, 1e12])
def test_stability__of_a_stimulus_without_an_end_says_so(stop: float) -> None:
    stimuli = make_flashes(color=[1.0, -1.0]).assign(stop_time=[10.25, stop])
    with pytest.raises(InvalidArgumentError, match="a start_time or stop_time of the stimuli is"):
        recipes.stability(EcephysSession(Made({7: [1.0]}, stimuli)), 7)


# --- metrics


def test_recipes__of_an_adapter_with_units_and_spikes_alone() -> None:
    class Bare(Made):
        def get_unit_metrics(self) -> pd.DataFrame:
            raise NotImplementedError

        get_optogenetic_stimulation = get_spike_amplitudes = get_unit_metrics  # type: ignore[assignment]

    session = EcephysSession(Bare({7: [1.0, 2.0]}))
    assert recipes.alignments(session)["stimuli"].empty
    assert recipes.stability(session, 7)["amplitude_quantiles"] is None
    assert "snr" in recipes.metric_percentiles(session, 7)["metrics"].index


def test_metric_percentiles__are_among_the_units_of_the_structure() -> None:
    # snr 0, 1, 2, 3 in VISp and 4 in CA1
    session = EcephysSession(Made({unit: [1.0] for unit in (5, 6, 7, 8, 9)}))
    found = recipes.metric_percentiles(session, 7)
    assert found["structure"] == "VISp"
    assert found["n_units_in_structure"] == 4
    snr = found["metrics"].loc["snr"]
    assert (snr["value"], snr["n_units"]) == (2, 4)
    # two of four below, and half of itself
    assert snr["percentile"] == pytest.approx(62.5)
    assert snr["meaning"] == "waveform over noise"
    alone = recipes.metric_percentiles(session, 9)
    assert alone["n_units_in_structure"] == 1
    with pytest.raises(NotFoundError, match="no unit 4 among the 5"):
        recipes.metric_percentiles(session, 4)


def test_metric_percentiles__hold_quality_metrics_and_no_ids_or_places(
    session: EcephysSession, unit_id: int
) -> None:
    names = set(recipes.metric_percentiles(session, unit_id)["metrics"].index)
    assert {"snr", "firing_rate", "isi_violations", "waveform_duration"} <= names
    assert not {n for n in names if n.endswith("_id") or "position" in n or "sampling" in n}
