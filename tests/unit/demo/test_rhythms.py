"""Theta, gamma, ripples and slow changes are in spikes and LFP as the truth says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.signal import butter, hilbert, sosfiltfilt
from scipy.stats import gaussian_kde

from spikehouse.analysis import (
    compute_noise_correlations,
    compute_representational_drift,
    find_states,
    summarize_correlations,
)
from spikehouse.demo.behavior import draw_eye_tracking, find_rest
from spikehouse.demo.lfp import GAMMA_V, SINKS, iterate_lfp, make_csd, make_field_model
from spikehouse.demo.neurons import EVENT_RATE_HZ, VISUAL_CORTEX
from spikehouse.demo.rhythms import THETA_HZ
from spikehouse.lfp import compute_phase_consistency, compute_spike_phases, find_ripples

LFP_HZ = 1250.0
INPUT_DEPTH = SINKS[0][0]
FIRST_S, LENGTH_S, FIELD_S = 250.0, 120.0, 300.0
CA1, VISP = 0, 1


@pytest.fixture(scope="module")
def fields(first_set):
    """Give 300 s of probe C of four sessions, (time, channel): where ripples and gamma are."""
    found = []
    for recording in first_set[:4]:
        plan = recording.simulation.plan
        probe_id = int(plan.probes.index[plan.probes["name"] == "probeC"][0])
        model = make_field_model(plan, probe_id)
        profiles = (model.ripple, model.gamma)
        channels = np.array([2 * (int(np.argmax(profile)) // 2 - 1) for profile in profiles])
        times = FIRST_S + np.arange(int(FIELD_S * LFP_HZ)) / LFP_HZ
        slabs = iterate_lfp(plan, probe_id, recording.timeline, times, channels)
        coords = {"time": times, "channel": [CA1, VISP]}
        found.append(xr.DataArray(np.concatenate(list(slabs)), coords, ("time", "channel")))
    return found


@pytest.fixture(scope="module")
def lfp(fields):
    """Give the first 120 s of the first session: times, and the potential [V] in CA1 and VISp."""
    field = fields[0][: int(LENGTH_S * LFP_HZ)]
    return field["time"].to_numpy(), *field.to_numpy().T.astype(float)


def filter_band(trace, low, high):
    band = butter(4, [low, high], btype="bandpass", fs=LFP_HZ, output="sos")
    return hilbert(sosfiltfilt(band, trace))


def count_all(recording, unit_ids, rows):
    """Count spikes in presentations: (n_presentations, n_units)."""
    start, stop = rows["start_time"].to_numpy(), rows["stop_time"].to_numpy()
    return np.transpose([recording.count(unit_id, start, stop) for unit_id in unit_ids])


def choose_units(recording):
    """Choose visual units of more than 2 spikes/s that are there throughout."""
    units = recording.units
    is_chosen = units["is_visual"] & (units["firing_rate"] > 2) & (units["presence_ratio"] >= 0.95)
    return units[is_chosen]


def mean_vector(phase):
    return np.exp(1j * phase).mean()


@pytest.mark.parametrize(("name", "structure"), [("theta", "CA1"), ("gamma", "VISp")])
def test_locking__mean_vectors_of_the_phases_at_spikes_are_those_of_the_truth(
    first_set, name, structure
):
    n_locked = 0
    for recording in first_set:
        rhythm = getattr(recording.simulation.rhythms, name)
        for unit_id, unit in recording.units.iterrows():
            spikes = recording.spikes[unit_id]
            planted = 0.0
            if unit[f"{name}_locking"]:
                assert unit["structure"] == structure
                planted = unit[f"{name}_locking"] * np.exp(1j * unit[f"{name}_phase"])
                n_locked += 1
            error = abs(mean_vector(rhythm.compute_phase(spikes)) - planted)
            # events, ripples and dead times are not locked
            assert error < 3.5 / np.sqrt(spikes.size) + 0.03, (unit_id, error)
    assert n_locked > 40


def test_gamma__dead_time_shortens_the_mean_vector(first_set):
    sums = np.zeros((2, 2), dtype=complex)  # up to 10 spikes/s, above; found, planted
    for recording in first_set:
        gamma = recording.simulation.rhythms.gamma
        for unit_id, unit in recording.units.query("gamma_locking > 0").iterrows():
            phase = gamma.compute_phase(recording.spikes[unit_id]) - unit["gamma_phase"]
            weight = phase.size * unit["gamma_locking"]
            row = int(unit["firing_rate"] > 10)
            sums[row] += weight * mean_vector(phase), weight * unit["gamma_locking"]
    ratio = sums[:, 0] / sums[:, 1]
    assert np.abs(ratio) == pytest.approx([0.92, 0.83], abs=0.02)
    assert np.degrees(np.angle(ratio)) == pytest.approx([-1.5, -5], abs=1.5)


def test_theta__its_phase_in_the_lfp_of_the_upper_ca1_is_the_planted_one(small, lfp):
    times, ca1, _ = lfp
    theta = small.simulation.rhythms.theta
    seen = np.angle(filter_band(ca1, 4, 12))
    shift = mean_vector(seen - theta.compute_phase(times))
    assert abs(np.angle(shift)) < 0.1
    assert abs(shift) > 0.6
    rate = np.diff(theta.phase) / np.diff(theta.times) / (2 * np.pi)
    assert (rate > 0).all()
    assert abs(rate.mean() - THETA_HZ) < 0.5


def test_gamma__grows_with_contrast_and_running(small, lfp):
    times, _, visp = lfp
    phase = small.simulation.rhythms.gamma.compute_phase(times)
    running = small.simulation.running
    speed = np.interp(times, running.times[:-1], running.speed)
    flashes = small.rows("flashes")
    since = times - flashes["start_time"].to_numpy()[0]
    before = since < 0
    resting = before & (np.abs(speed) < 1)
    fast = before & (speed > 20)
    shown = np.zeros(times.size, dtype=bool)
    for start, stop in flashes[["start_time", "stop_time"]].to_numpy():
        shown |= (times >= start) & (times < stop)
    shown &= np.abs(speed) < 1
    at_rest, running_fast, stimulated = (
        2 * (visp[mask] * np.exp(-1j * phase[mask])).mean() for mask in (resting, fast, shown)
    )
    assert abs(abs(at_rest) / GAMMA_V - 1) < 0.2
    assert 1.3 < abs(running_fast) / abs(at_rest) < 1.9
    assert 1.5 < abs(stimulated) / abs(at_rest) < 2.5


def test_ripples__come_at_rest_as_often_as_published(first_set):
    n, rest_s = 0, 0.0
    for recording in first_set:
        running, ripples = recording.simulation.running, recording.simulation.rhythms.ripples
        rests = find_rest(running)
        at = np.searchsorted(running.times, ripples[["start_time", "stop_time"]]) - 1
        assert (np.abs(running.speed[at]) < 1).all()
        n, rest_s = n + len(ripples), rest_s + rests.mean() * recording.timeline.duration_s
        duration = ripples["stop_time"] - ripples["start_time"]
        assert duration.between(0.04, 0.08).all()
        assert ripples["frequency"].between(120, 200).all()
        assert abs(duration.corr(np.log(ripples["amplitude"])) - 0.87) < 0.06
    assert abs(n / rest_s - 0.25) < 0.02


def test_ripples__are_found_in_the_lfp_of_ca1_and_nothing_else(small, lfp):
    times, ca1, _ = lfp
    envelope = np.abs(filter_band(ca1, 120, 250))
    high = envelope > 5 * envelope.std()
    first = np.flatnonzero(np.diff(high.astype(int)) == 1)
    last = [first[i] + np.flatnonzero(~high[first[i] + 1 :])[0] for i in range(first.size)]
    found = np.array(
        [times[a + np.argmax(envelope[a : b + 2])] for a, b in zip(first, last, strict=True)]
    )
    ripples = small.simulation.rhythms.ripples
    inside = ripples["peak_time"].between(times[0] + 0.1, times[-1] - 0.1)
    peaks = ripples.loc[inside, "peak_time"].to_numpy()
    apart = np.abs(found[:, None] - peaks)
    assert peaks.size > 10
    assert (apart.min(axis=0) < 0.008).mean() > 0.9
    assert (apart.min(axis=1) < 0.02).all()


def test_ripples__units_of_ca1_fire_the_planted_bursts(first_set):
    planted, seen = [], []
    for recording in first_set:
        ripples = recording.simulation.rhythms.ripples
        start, stop = ripples["start_time"].to_numpy(), ripples["stop_time"].to_numpy()
        units = recording.units[recording.units["ripple_spikes"] > 0]
        assert (units["structure"] == "CA1").all()
        for unit_id, unit in units.iterrows():
            usual = recording.count(unit_id, start - 0.1, stop - 0.1).mean()
            seen.append(recording.count(unit_id, start, stop).mean() - usual)
            planted.append(unit["ripple_spikes"])
    assert len(seen) > 30
    assert (np.abs(np.subtract(seen, planted)) < 0.12 + 0.2 * np.array(planted)).all()
    assert abs(np.sum(seen) / np.sum(planted) - 1) < 0.08


def test_flashes__responses_rise_smoothly_at_the_latency(first_set):
    step, counts = 0.002, 0
    edges = np.arange(-0.03, 0.045, step)
    for recording in first_set:
        onsets = recording.rows("flashes")["start_time"].to_numpy()
        units = recording.units
        for unit_id, unit in units[units["is_visual"] & (units["coupling"] == 0)].iterrows():
            at = recording.spikes[unit_id].searchsorted(onsets[:, None] + unit["latency_s"] + edges)
            counts = counts + np.diff(at, axis=1).sum(axis=0)
    rest, peak = counts[:8].mean(), counts.max()
    height = (counts - rest) / (peak - rest)
    assert np.diff(height).max() < 0.4
    quarter = edges[np.argmax(height > 0.25)] + step / 2
    assert abs(quarter) < 0.002


def test_running__speeds_are_a_mouse_s(first_set):
    speed = np.concatenate([recording.simulation.running.speed for recording in first_set])
    assert (speed > 60).mean() < 0.002
    assert speed.max() < 75
    assert 0.3 < (speed > 1).mean() < 0.6
    for recording in first_set:
        running = recording.simulation.running
        assert running.speed[find_rest(running)].std() < 0.15


def test_pupil__follows_running_by_about_a_second(small):
    simulation = small.simulation
    hz = 30.0
    tracking = draw_eye_tracking(
        simulation.plan.seed,
        900000001,
        small.timeline.duration_s,
        hz,
        running=simulation.running,
        arousal=simulation.arousal,
    )
    pupil = tracking.ellipses["pupil"][:, 2]
    shut = np.isnan(pupil)
    assert 0.003 < shut.mean() < 0.03
    pupil = np.where(shut, np.nanmean(pupil), pupil)
    running = simulation.running
    lags = np.arange(-2, 4, 0.1)
    by_lag = [
        np.corrcoef(np.interp(tracking.times - lag, running.times[:-1], running.speed), pupil)[0, 1]
        for lag in lags
    ]
    assert 0.7 < lags[np.argmax(by_lag)] < 1.5
    assert max(by_lag) > 0.5


def test_waveforms__durations_have_a_valley_at_four_tenths_of_a_millisecond(survey):
    plans = [survey.read_plan(session_id).units for session_id in survey.session_ids]
    units = pd.concat([plan[plan["quality"] == "good"] for plan in plans])
    at = np.linspace(0.3, 0.5, 81)
    valley = at[np.argmin(gaussian_kde(units["duration"], 0.15)(at))]
    assert abs(valley - 0.4) < 0.05
    cortical = units[units["structure"].isin(VISUAL_CORTEX)]
    assert 0.2 < (cortical["duration"] < 0.4).mean() < 0.32
    assert ((units["duration"] < 0.4) == units["is_narrow"]).mean() > 0.95


def test_csd__the_earliest_sink_of_cortex_is_the_input_layer(small):
    plan = small.simulation.plan
    for probe_id in plan.probes.index:
        channels = plan.channels[plan.channels["ecephys_probe_id"] == probe_id]
        area = channels["ecephys_structure_acronym"].dropna().iloc[-1]
        # the CSD has a row every 10 µm from the tip up, a channel every 20 µm of its position
        inside = channels.loc[
            channels["ecephys_structure_acronym"] == area, "probe_vertical_position"
        ]
        low, high = inside.min(), inside.max()
        density = make_csd(plan, int(probe_id))[:, int(low / 10) : int(high / 10)]
        first = np.argmax(density < -1.0, axis=0)
        first = np.where((density < -1.0).any(axis=0), first, density.shape[0])
        found = low + 10 * np.flatnonzero(first == first.min()).mean()
        assert abs(found - (high - INPUT_DEPTH * (high - low))) < 60


def test_movies__units_change_between_the_blocks_by_the_planted_factor(first_set):
    changes, planted = [], []
    for recording in first_set:
        rows = recording.rows("natural_movie_three")
        blocks = [block for _, block in rows.groupby("stimulus_block")]
        units = recording.units[recording.units["is_visual"]]
        units = units[(units["firing_rate"] > 4) & (units["presence_ratio"] >= 0.95)]
        for unit_id, unit in units.iterrows():
            counts = [
                recording.count(
                    unit_id,
                    block["start_time"].to_numpy() + unit["latency_s"],
                    block["stop_time"].to_numpy() + unit["latency_s"],
                ).sum()
                for block in blocks
            ]
            changes.append(np.log(counts[1] / counts[0]))
            planted.append(unit["movie_drift"])
    slope = np.polyfit(planted, changes, 1)[0]
    assert abs(slope - 1) < 0.15
    assert np.corrcoef(planted, changes)[0, 1] > 0.7


# measured values are in docs/explanation/simulated-survey.md
@pytest.mark.parametrize(
    ("name", "channel", "band", "part_found", "size", "r"),
    [
        ("theta", CA1, (4.0, 10.0), 0.85, 0.81, 0.94),
        ("gamma", VISP, (35.0, 55.0), 0.82, 0.76, 0.73),
    ],
)
def test_phase_consistency__recovers_locking(
    first_set, fields, name, channel, band, part_found, size, r
):
    tables = []
    for recording, field in zip(first_set, fields, strict=False):
        units = recording.units
        phases = compute_spike_phases(
            field, recording.spikes, units.index, band=band, channels=channel
        )
        found = compute_phase_consistency(phases, units.index)
        tables.append(found.join(units[[f"{name}_locking", f"{name}_phase"]]))
    table = pd.concat(tables)
    table = table[table["n_spikes"] >= 100]
    planted = table[f"{name}_locking"]
    is_found = table["p_value"] < 0.01
    assert is_found[planted > 0.1].mean() == pytest.approx(part_found, abs=0.08)
    assert is_found[planted == 0].mean() < 0.025
    length = np.sqrt(table["ppc"].clip(lower=0))
    assert length[planted > 0].corr(planted[planted > 0]) > r - 0.08
    locked = table[is_found & (planted > 0)]
    assert (length / planted)[locked.index].median() == pytest.approx(size, abs=0.07)
    error = np.angle(np.exp(1j * (locked["mean_phase"] - locked[f"{name}_phase"])))
    assert np.median(np.abs(error)) < np.deg2rad(12)
    assert np.quantile(np.abs(error), 0.9) < np.deg2rad(27)


def test_find_ripples__finds_the_planted_ones(first_set, fields):
    n, n_hits, n_false, tables = 0, 0, 0, []
    for recording, field in zip(first_set, fields, strict=False):
        running, ripples = recording.simulation.running, recording.simulation.rhythms.ripples
        start, stop = running.times[:-1], running.times[1:]
        states = find_states(
            pd.DataFrame({"start_time": start, "end_time": stop, "velocity": running.speed})
        )
        found = find_ripples(field.sel(channel=[CA1]), exclude=states[states["state"] == "run"])
        ripples = ripples[ripples["peak_time"].between(FIRST_S + 0.2, FIRST_S + FIELD_S - 0.2)]
        apart = np.abs(found["peak_time"].to_numpy()[:, None] - ripples["peak_time"].to_numpy())
        is_hit = apart.min(axis=1) < 0.02
        n, n_hits = n + len(ripples), n_hits + (apart.min(axis=0) < 0.02).sum()
        n_false += (~is_hit).sum()
        planted = ripples.iloc[apart.argmin(axis=1)].reset_index(drop=True)
        tables.append(found.join(planted.add_suffix("_planted"))[is_hit])
    table = pd.concat(tables)
    assert n > 100
    assert n_hits / n > 0.97
    assert n_false <= 2
    assert (table["peak_time"] - table["peak_time_planted"]).abs().median() < 0.003
    assert (table["frequency"] - table["frequency_planted"]).abs().median() < 9
    assert table["amplitude"].corr(table["amplitude_planted"]) > 0.88


def test_representational_drift__falls_between_blocks_as_rates_change(first_set):
    for recording in first_set[:4]:
        rows, units = recording.rows("natural_movie_three"), choose_units(recording)
        counts = count_all(recording, units.index, rows)
        frame = recording.timeline.sequences["natural_movie_three"].shown["frame"]
        frame, block = frame[rows["row"]].astype(int), rows["stimulus_block"].to_numpy()
        drift = compute_representational_drift(
            counts, frame // 15, repeats=rows.groupby([block, frame]).cumcount(), blocks=block
        )
        means = drift.groupby("is_same_block")[["ensemble_rate", "tuning_curve"]].mean()
        before = counts[block == block.min()].mean(axis=0)
        planted = np.corrcoef(before, before * np.exp(units["movie_drift"]))[0, 1]
        fall = means.loc[False] / means.loc[True]
        assert fall["ensemble_rate"] == pytest.approx(planted, abs=0.04)
        # the tuning of units does not change
        assert fall["tuning_curve"] > 0.85


def test_noise_correlations__are_larger_within_assemblies_as_planted(first_set):
    tables = []
    for recording in first_set[:4]:
        rows, units = recording.rows("drifting_gratings"), choose_units(recording)
        counts = count_all(recording, units.index, rows)
        shown = pd.DataFrame(recording.timeline.sequences["drifting_gratings"].shown)
        condition = shown.groupby(list(shown), dropna=False).ngroup().to_numpy()[rows["row"]]
        noise = compute_noise_correlations(counts, condition, unit_ids=units.index, slower_than=100)
        units = units.rename(columns={"structure": "ecephys_structure_acronym"})
        pairs = summarize_correlations(noise, units)
        rate = counts.mean(axis=0) / (rows["stop_time"] - rows["start_time"]).mean()
        shared = units["coupling"] * np.sqrt(EVENT_RATE_HZ / rate)
        one, other = (
            units.assign(shared=shared).loc[pairs[name]] for name in ("unit_id", "other_unit_id")
        )
        is_together = one["assembly"].to_numpy() == other["assembly"].to_numpy()
        pairs["planted"] = is_together * one["shared"].to_numpy() * other["shared"].to_numpy()
        tables.append(pairs)
    pairs = pd.concat(tables)
    means = pairs.groupby(pairs["planted"] > 0)[["correlation", "planted"]].mean()
    assert (pairs["planted"] > 0).sum() > 100
    more = means.loc[True] - means.loc[False]
    assert more["correlation"] == pytest.approx(more["planted"], abs=0.03)
