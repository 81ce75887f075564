"""The neurons are ones a neuroscientist would believe: recovered from spikes alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

HIERARCHY = ("LGd", "VISp", "VISam")


def visual_units(recording, structure):
    units = recording.units
    return units[(units["structure"] == structure) & units["is_visual"]]


def psth(recording, unit_id, onsets, edges):
    times = recording.spikes[unit_id]
    index = times.searchsorted(onsets[:, None] + edges)
    return np.diff(index, axis=1).mean(axis=0)


def test_spikes__rates_are_those_of_the_tables(small):
    duration = small.timeline.duration_s
    rate = pd.Series({unit_id: t.size / duration for unit_id, t in small.spikes.items()})
    np.testing.assert_allclose(rate, small.units["firing_rate"], rtol=0.05)


def test_spikes__rates_are_log_normal_over_two_decades(small):
    log_rate = np.log10(small.units["firing_rate"])
    assert 0.3 < log_rate.std() < 0.6
    assert abs(log_rate.skew()) < 0.8


def test_spikes__keep_their_dead_time_unless_contaminated(small):
    for unit_id, unit in small.units.iterrows():
        interval = np.diff(small.spikes[unit_id])
        assert (interval > 0).all()
        if unit["contamination"] * interval.size < 0.5:
            assert interval.min() >= 0.0015


def test_spikes__violate_intervals_as_often_as_the_metric_says(small):
    units = small.units[(small.units["isi_violations"] < 0.5) & (small.units["firing_rate"] > 6)]
    seen, said = [], []
    for unit_id, unit in units.iterrows():
        times = small.spikes[unit_id]
        violations = (np.diff(times) < 0.0015).sum()
        seen.append(violations / (2 * 0.0015 * times.size) / unit["firing_rate"])
        said.append(unit["isi_violations"])
    assert np.corrcoef(seen, said)[0, 1] > 0.8


def test_flashes__latency_grows_along_the_hierarchy(small):
    onsets = np.concatenate([small.rows("flashes")["start_time"].to_numpy()])
    edges = np.arange(0, 0.15, 0.002)
    latencies = {}
    for name in HIERARCHY:
        units = visual_units(small, name)
        mean = sum(psth(small, unit_id, onsets, edges) for unit_id in units.index)
        smooth = np.convolve(mean, np.ones(3) / 3, mode="same")
        rest = smooth[2:14]
        threshold = (rest.mean() + smooth.max()) / 2
        latencies[name] = edges[int(np.argmax(smooth > threshold))]
    assert 0.03 < latencies["LGd"] < latencies["VISp"] < latencies["VISam"] < 0.095


def test_gabors__receptive_fields_are_where_the_truth_says_and_in_order(small):
    rows = small.rows("gabors")
    shown = small.timeline.sequences["gabors"].shown
    x, y = shown["x"][rows["row"]], shown["y"][rows["row"]]
    start = rows["start_time"].to_numpy() + 0.04
    units = visual_units(small, "VISp")
    units = units[units["firing_rate"] > 3]
    found = []
    for unit_id in units.index:
        counts = small.count(unit_id, start, start + 0.25)
        rate = pd.Series(counts).groupby([x, y]).mean()
        above = np.clip(rate - rate.quantile(0.7), 0, None) ** 2
        position = np.array(rate.index.tolist())
        found.append((position * above.to_numpy()[:, None]).sum(axis=0) / above.sum())
    found = np.array(found)
    assert np.corrcoef(found[:, 0], units["rf_x_position"])[0, 1] > 0.7
    assert np.median(np.abs(found[:, 0] - units["rf_x_position"])) < 10
    depth = units["peak_index"].to_numpy(dtype=float)
    assert abs(np.corrcoef(found[:, 0], depth)[0, 1]) > 0.6


def test_truth__receptive_fields_grow_along_the_hierarchy(survey):
    truth = pd.concat([survey.truth(session_id) for session_id in survey.session_ids])
    width = truth.groupby("structure")["rf_width"].median()
    latency = truth[truth["is_visual"]].groupby("structure")["latency_s"].median()
    for measure in (width, latency):
        assert measure[list(HIERARCHY)].is_monotonic_increasing


def test_drifting_gratings__tuned_units_prefer_what_the_truth_says(small):
    rows = small.rows("drifting_gratings")
    direction = small.timeline.sequences["drifting_gratings"].shown["direction"][rows["row"]]
    units = visual_units(small, "VISp")
    units = units[(units["orientation_strength"] > 0.6) & (units["firing_rate"] > 3)]
    errors = []
    for unit_id, unit in units.iterrows():
        counts = small.count(unit_id, rows["start_time"].to_numpy(), rows["stop_time"].to_numpy())
        mean = pd.Series(counts).groupby(direction).mean()
        vector = (mean * np.exp(2j * np.deg2rad(mean.index.to_numpy()))).sum()
        found = np.rad2deg(np.angle(vector)) / 2 % 180
        errors.append(abs((found - unit["preferred_orientation"] + 90) % 180 - 90))
    assert len(errors) >= 8
    assert np.median(errors) < 15


def test_scenes__the_population_tells_images_apart(small):
    from sklearn.model_selection import KFold
    from sklearn.svm import SVC

    rows = small.rows("natural_scenes")
    frame = small.timeline.sequences["natural_scenes"].columns["frame"][rows["row"]]
    start, stop = rows["start_time"].to_numpy(), rows["stop_time"].to_numpy()
    units = small.units[(small.units["structure"] == "VISp") & small.units["is_passing"]]
    design = np.column_stack([small.count(i, start, stop) for i in units.index]).astype(float)
    train, test = next(KFold(5).split(design))
    fitted = SVC(gamma="scale").fit(design[train], frame[train])
    assert 0.2 < (fitted.predict(design[test]) == frame[test]).mean() < 0.7


def test_running__modulates_the_units_it_should(small):
    running = small.simulation.running
    second = np.arange(5, int(small.timeline.duration_s) - 5)
    speed = np.interp(second + 0.5, running.times[:-1], running.speed)
    rows = []
    for unit_id, unit in small.units.iterrows():
        if unit["firing_rate"] > 4 and unit["presence_ratio"] >= 0.95:
            counts = small.count(unit_id, second, second + 1)
            rows.append((unit["running_gain"], np.corrcoef(counts, speed)[0, 1]))
    gain, correlation = np.array(rows).T
    assert np.corrcoef(gain, correlation)[0, 1] > 0.6


def test_laser__answers_come_within_nine_milliseconds_in_cre_lines_only(small, small_pvalb):
    assert not small.units["is_optotagged"].any()
    for recording in (small, small_pvalb):
        laser = recording.timeline.laser
        onset = laser.loc[laser["stimulus_name"] == "pulse", "start_time"].to_numpy()
        rate = recording.units["firing_rate"].to_numpy()
        evoked = np.array(
            [recording.count(i, onset + 0.001, onset + 0.009).mean() for i in recording.units.index]
        )
        answers = evoked > 0.4 + 2 * 0.008 * rate
        np.testing.assert_array_equal(answers, recording.units["is_optotagged"])
    tagged = small_pvalb.units[small_pvalb.units["is_optotagged"]]
    assert len(tagged) >= 2
    assert tagged["is_narrow"].all()
    assert (tagged["duration"] < 0.45).all()


def test_amplitudes__are_cut_off_where_the_metric_says(small):
    units = small.units[small.units["firing_rate"] > 4].sort_values("amplitude_cutoff")
    counts = [small.spikes[unit_id].size for unit_id in small.units.index]
    amplitudes = dict(
        zip(small.units.index, small.simulation.iterate_amplitudes(counts), strict=True)
    )
    cut = [pd.Series(amplitudes[unit_id]).skew() for unit_id in (units.index[0], units.index[-1])]
    assert units["amplitude_cutoff"].iloc[-1] > 0.3
    assert abs(cut[0]) < 0.1
    assert cut[1] > 0.4


def test_waveforms__are_largest_on_the_peak_channel_and_narrow_or_broad(small):
    waves = dict(zip(small.units.index, small.simulation.iterate_waveforms(), strict=True))
    assert all(wave.shape == (384, 82) for wave in waves.values())
    good = small.units[small.units["quality"] == "good"]
    durations = {True: [], False: []}
    for unit_id, unit in good.iterrows():
        wave = waves[unit_id]
        assert int(np.ptp(wave, axis=1).argmax()) == unit["peak_index"]
        trace = wave[unit["peak_index"]]
        trough = int(trace.argmin())
        peak = trough + int(trace[trough:].argmax())
        durations[bool(unit["is_narrow"])].append((peak - trough) / 30)
    assert np.median(durations[True]) < 0.4 < np.median(durations[False])


@pytest.mark.parametrize("structure", ["CA1", "DG"])
def test_flashes__hippocampus_hardly_answers(small, structure):
    units = small.units[(small.units["structure"] == structure) & ~small.units["is_visual"]]
    onset = small.rows("flashes")["start_time"].to_numpy()
    answered = sum(small.count(i, onset + 0.04, onset + 0.25).sum() for i in units.index)
    resting = sum(small.count(i, onset - 0.3, onset - 0.09).sum() for i in units.index)
    assert answered < 1.5 * resting + 10
