from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse import EcephysSession
from spikehouse.analysis import (
    HIERARCHY_SCORES,
    compute_connections,
    compute_correlograms,
    compute_directionality,
    compute_directionality_correlation,
    find_connections,
)
from spikehouse.demo import Survey
from spikehouse.errors import InvalidArgumentError, NotFoundError

N_TRIALS, DURATION = 120, 1.0
ONSETS = np.arange(N_TRIALS) * 1.5
SHORT = {"duration": DURATION, "max_lag": 0.1}


def poisson(rng: np.random.Generator, rate: float) -> np.ndarray:
    stop = ONSETS[-1] + DURATION
    return np.sort(rng.uniform(0, stop, rng.poisson(rate * stop)))


def test_compute_correlograms__by_hand() -> None:
    # two trials of four bins; the second spike of unit 2 is three bins after that of unit 1
    spikes = {1: np.array([0.5, 10.5]), 2: np.array([3.5, 11.5])}
    found = compute_correlograms(
        spikes, [1, 2], [0.0, 10.0], duration=4.0, max_lag=3.0, bin_width=1.0, jitter_window=None
    )
    # both fire once a trial, 0.25 spikes/s; θ is 1 bin at a lag of three and 3 bins at one
    expected = np.array([0, 0, 0, 0, 1 / 3, 0, 1]) / 2 / 0.25
    np.testing.assert_allclose(found[0], expected)
    np.testing.assert_array_equal(found["time_lag"], np.arange(-3.0, 4.0))
    # one spike a trial in the same bin: the PSTH says it all
    spikes = {1: np.array([0.5, 10.5]), 2: np.array([1.5, 11.5])}
    found = compute_correlograms(
        spikes, [1, 2], [0.0, 10.0], duration=4.0, max_lag=3.0, bin_width=1.0, jitter_window=4.0
    )
    np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("lag", [0.006, 0.0, -0.004])
def test_find_connections__a_planted_lag(rng: np.random.Generator, lag: float) -> None:
    shared = poisson(rng, 4.0)
    jittered = shared + lag + rng.normal(0, 0.0005, shared.size)
    spikes = {7: np.r_[shared, poisson(rng, 6.0)], 3: np.r_[jittered, poisson(rng, 6.0)]}
    found = find_connections(compute_correlograms(spikes, [7, 3], ONSETS, **SHORT)).iloc[0]
    assert (found["source_unit_id"], found["target_unit_id"]) == (7, 3)
    assert found["is_significant"]
    assert abs(found["peak_lag"] - lag) < 0.0015
    swapped = compute_correlograms(spikes, [7, 3], ONSETS, pairs=[(3, 7)], **SHORT)
    assert abs(find_connections(swapped)["peak_lag"].item() + lag) < 0.0015


def test_find_connections__common_changes_of_rate_are_not_significant(
    rng: np.random.Generator,
) -> None:
    """Units whose rate follows one stimulus, and grows together in some trials, share no spikes."""
    phase = np.arange(0, DURATION, 0.001)
    gain = rng.uniform(0.4, 2.0, N_TRIALS)
    spikes = {}
    for unit in range(12):
        rates = 15 * gain[:, None] * (1 + np.sin(2 * np.pi * 3 * phase))
        trials, bins = np.nonzero(rng.random(rates.shape) < rates * 0.001)
        spikes[unit] = ONSETS[trials] + phase[bins] + 0.0005
    raw, corrected = (
        compute_correlograms(spikes, list(spikes), ONSETS, jitter_window=window, **SHORT)
        for window in (None, 0.025)
    )
    assert abs(corrected.mean()) < 0.03 * raw.mean()
    assert not find_connections(corrected)["is_significant"].any()
    # what the limit of seven is for: at 1.5 some of 66 pairs pass
    assert find_connections(corrected, n_sd=1.5)["is_significant"].any()


def test_compute_correlograms__the_correction_is_the_mean_of_random_jitter() -> None:
    """Spikes of one window, dealt out anew to trials that keep their number of spikes in it."""
    rng = np.random.default_rng(3)
    onsets, options = np.arange(6) * 1.0, {"duration": 0.06, "max_lag": 0.03}
    # in the middle of bins, more and more often
    counts = rng.random((2, 6, 60)) < np.linspace(0.05, 0.6, 60)

    def correlate(trains: np.ndarray, window: float | None) -> np.ndarray:
        spikes = {}
        for unit, train in enumerate(trains):
            trials, bins = np.nonzero(train)
            at = np.repeat(onsets[trials] + (bins + 0.5) * 0.001, train[trials, bins])
            spikes[unit] = np.sort(at)
        return compute_correlograms(spikes, [0, 1], onsets, jitter_window=window, **options)[0]

    def deal_out(train: np.ndarray) -> np.ndarray:
        dealt = np.zeros(train.shape, int)
        for start in (0, 25, 50):
            trials, bins = np.nonzero(train[:, start : start + 25])
            np.add.at(dealt, (trials, start + rng.permutation(bins)), 1)
        return dealt

    explained = correlate(counts.astype(int), None) - correlate(counts.astype(int), 0.025)
    draws = [correlate(np.array([deal_out(train) for train in counts]), None) for _ in range(400)]
    error = np.std(draws, axis=0) / np.sqrt(len(draws))
    assert (abs(np.mean(draws, axis=0) - explained) < 4.5 * error).all()


def test_compute_correlograms__many_spikes_in_a_bin_of_a_condition() -> None:
    """More than two bytes can count: 40 to 60 in each bin of 1500 trials of one condition."""
    onsets = np.arange(1500) * 2.0
    trial = np.sort(np.repeat([0.1, 0.6, 1.1, 1.6], [60, 40, 30, 45]) + 0.001 * np.arange(175))
    train = (onsets[:, None] + trial).ravel()
    spikes = {1: train, 2: train}
    found = compute_correlograms(
        spikes, [1, 2], onsets, duration=2.0, max_lag=1.0, bin_width=0.5, jitter_window=1.0
    )
    # every trial is as every other one: the PSTHs say it all
    np.testing.assert_allclose(found, 0, atol=1e-9)


def test_compute_correlograms__conditions_are_jittered_apart(rng: np.random.Generator) -> None:
    """Units that fire at the same time of a trial, another in each condition."""
    conditions = np.arange(N_TRIALS) % 2
    at = np.where(conditions, 0.4, 0.41)
    spikes = {unit: np.sort(ONSETS + at + rng.normal(0, 0.0004, N_TRIALS)) for unit in (1, 2)}
    together = compute_correlograms(spikes, [1, 2], ONSETS, **SHORT)
    apart = compute_correlograms(spikes, [1, 2], ONSETS, conditions=conditions, **SHORT)
    assert abs(apart).max() < 0.2 * abs(together).max()
    # labels bring conditions into the order of the onsets
    onsets = pd.Series(ONSETS, index=np.arange(N_TRIALS) + 50)
    shuffled = pd.Series(conditions, index=onsets.index).sample(frac=1, random_state=0)
    found = compute_correlograms(spikes, [1, 2], onsets, conditions=shuffled, **SHORT)
    xr.testing.assert_equal(found, apart)


def test_compute_correlograms__silent_units_and_no_pairs() -> None:
    spikes = {1: np.arange(0.0, 100, 0.013), 2: np.empty(0)}
    found = compute_correlograms(spikes, [1, 2], ONSETS, **SHORT)
    assert np.isnan(found).all()
    row = find_connections(found).iloc[0]
    assert np.isnan(row["peak_lag"])
    assert not row["is_significant"]
    for units in ([], [1]):
        assert compute_correlograms(spikes, units, ONSETS, **SHORT).shape == (0, 201)
        assert compute_connections(spikes, units, ONSETS, **SHORT).empty
    assert np.isnan(compute_correlograms(spikes, [1, 2], [], **SHORT)).all()


def test_compute_connections__tells_its_progress(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikehouse.analysis.correlograms.N_PAIRS_A_TASK", 2)
    monkeypatch.setattr("spikehouse.analysis.connections.N_PAIRS_AT_ONCE", 4)
    spikes = {unit: poisson(rng, 5.0) for unit in range(4)}
    told: list[tuple[int, int]] = []
    found = compute_connections(
        spikes, list(spikes), ONSETS, progress=lambda *n: told.append(n), n_jobs=1, **SHORT
    )
    assert told == [(2, 6), (4, 6), (6, 6)]
    whole = find_connections(compute_correlograms(spikes, list(spikes), ONSETS, **SHORT))
    pd.testing.assert_frame_equal(found, whole)

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_connections(spikes, list(spikes), ONSETS, progress=stop, **SHORT)


def test_compute_connections__of_fast_units_alone(rng: np.random.Generator) -> None:
    spikes = {unit: poisson(rng, rate) for unit, rate in ((1, 5.0), (2, 0.5), (3, 4.0), (4, 0.0))}
    found = compute_connections(spikes, list(spikes), ONSETS, min_rate=2.0, **SHORT)
    assert found[["source_unit_id", "target_unit_id"]].to_numpy().tolist() == [[1, 3]]
    # a rate on the limit is not above it
    n = sum(((spikes[3] >= onset) & (spikes[3] < onset + DURATION)).sum() for onset in ONSETS)
    limit = n / (N_TRIALS * DURATION)
    assert compute_connections(spikes, list(spikes), ONSETS, min_rate=limit, **SHORT).empty
    every = compute_connections(spikes, list(spikes), ONSETS, **SHORT)
    assert len(every) == 6
    for rate in (-1.0, np.nan, np.inf):
        with pytest.raises(InvalidArgumentError, match=r"min_rate is .*; give it in spikes/s"):
            compute_connections(spikes, list(spikes), ONSETS, min_rate=rate, **SHORT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"duration": 0.0105}, r"duration is 0.0105 s .* multiple of it, from 0.001 s up"),
        ({"max_lag": 0.0}, "max_lag is 0 s"),
        ({"max_lag": 2.0}, "max_lag is 2 s, which is not shorter than a trial of 1 s"),
        ({"jitter_window": -0.025}, "jitter_window is -0.025 s"),
        ({"bin_width": 0.0}, "bin_width is 0.0; give it in s"),
        ({"conditions": [1, 2]}, r"120 onsets, but conditions has the shape \(2,\)"),
        ({"pairs": [1, 2]}, r"pairs has the shape \(2,\), not \(n_pairs, 2\)"),
        ({"unit_ids": [1, 1]}, "names a unit twice"),
        ({"n_jobs": 0}, "n_jobs=0; valid: a number of threads from 1, or None"),
        ({"n_jobs": -2}, "n_jobs=-2; valid"),
        ({"n_jobs": 1.5}, "n_jobs=1.5; valid"),
    ],
)
def test_compute_correlograms__invalid(options: dict[str, object], message: str) -> None:
    spikes = {1: np.arange(0.0, 9, 0.1), 2: np.arange(0.0, 9, 0.2)}
    arguments = {"unit_ids": [1, 2], "onsets": ONSETS, **SHORT, **options}
    for compute in (compute_correlograms, compute_connections):
        with pytest.raises(InvalidArgumentError, match=message):
            compute(spikes, **arguments)


def test_compute_correlograms__minus_one_is_all_threads() -> None:
    spikes = {1: np.arange(0.0, 9, 0.1), 2: np.arange(0.0, 9, 0.2)}
    found, again = (
        compute_correlograms(spikes, [1, 2], ONSETS, n_jobs=n, **SHORT) for n in (None, -1)
    )
    xr.testing.assert_identical(found, again)


def test_compute_correlograms__unknown_units() -> None:
    spikes = {1: np.arange(0.0, 9, 0.1), 2: np.arange(0.0, 9, 0.2)}
    with pytest.raises(NotFoundError, match="pairs has unit 5, which is not among unit_ids"):
        compute_correlograms(spikes, [1, 2], ONSETS, pairs=[(1, 5)], **SHORT)


def test_find_connections__one_coincidence_and_flat_flanks() -> None:
    spikes = {1: np.array([0.5, 3.2]), 2: np.array([0.503, 3.9])}
    found = compute_correlograms(spikes, [1, 2], ONSETS, jitter_window=None, **SHORT)
    row = find_connections(found).iloc[0]
    np.testing.assert_allclose(row["peak_lag"], 0.003)
    assert row["peak"] > 0 == row["flank_sd"]
    assert not row["is_significant"]


def test_find_connections__invalid() -> None:
    spikes = {1: np.arange(0.0, 9, 0.1), 2: np.arange(0.0, 9, 0.2)}
    found = compute_correlograms(spikes, [1, 2], ONSETS, duration=1.0, max_lag=0.02)
    with pytest.raises(InvalidArgumentError, match=r"hold 21 and 0 of the 41 lags, .* 0.02 s"):
        find_connections(found)
    with pytest.raises(InvalidArgumentError, match="what compute_correlograms gives"):
        find_connections(found.drop_vars("source_unit_id"))


CONNECTIONS = pd.DataFrame(
    {
        "source_unit_id": [1, 1, 1, 3, 4, 1],
        "target_unit_id": [2, 3, 4, 2, 2, 3],
        "peak_lag": [0.001, 0.003, 0.005, -0.002, 0.0, 0.01],
        "is_significant": [True, True, True, True, True, False],
    }
)
STRUCTURES = {1: "VISp", 2: "VISp", 3: "VISl", 4: "VISl"}


def test_compute_directionality__by_hand() -> None:
    table = compute_directionality(CONNECTIONS, STRUCTURES)
    # unit 3 leads unit 2 by −2 ms: VISp leads there, too
    forth = table.loc[("VISp", "VISl")]
    assert forth[["n_pairs", "n_significant", "n_positive", "n_negative"]].tolist() == [5, 4, 3, 0]
    assert forth["fraction"] == 0.8
    assert forth["score"] == 1.0
    np.testing.assert_allclose(forth["median_lag"], 0.0025)
    back = table.loc[("VISl", "VISp")]
    assert back["score"] == -1.0
    np.testing.assert_allclose(back["median_lag"], -0.0025)
    within = table.loc[("VISp", "VISp")]
    assert within.tolist() == [1, 1, 1.0, 1, 1, 0.0, 0.0]
    matrix = table["score"].unstack(0)
    assert matrix.loc["VISl", "VISp"] == 1.0
    assert np.isnan(matrix.loc["VISl", "VISl"])


def test_compute_directionality__nothing_significant() -> None:
    table = compute_directionality(CONNECTIONS.assign(is_significant=False), STRUCTURES)
    assert table["score"].isna().all()
    assert (table["n_significant"] == 0).all()
    assert compute_directionality(CONNECTIONS.iloc[:0], STRUCTURES).empty


def test_compute_directionality__without_a_peak_nothing_is_significant() -> None:
    unknown = CONNECTIONS.assign(peak_lag=[np.nan, *CONNECTIONS["peak_lag"][1:]])
    assert unknown["is_significant"][0]
    within = compute_directionality(unknown, STRUCTURES).loc[("VISp", "VISp")]
    assert within[["n_pairs", "n_significant", "n_positive"]].tolist() == [1, 0, 0]


def test_compute_directionality__unit_without_structure() -> None:
    with pytest.raises(InvalidArgumentError, match="structures has no value for"):
        compute_directionality(CONNECTIONS, {1: "VISp"})


# rows are targets, columns sources
LM_FIRST = [area for area in HIERARCHY_SCORES if area.startswith("VIS")]
RL_FIRST = ["VISp", "VISrl", "VISl", "VISal", "VISpm", "VISam"]


def load(shared_folder: Path, name: str, layer: int, areas: list[str]) -> pd.DataFrame:
    values = np.load(shared_folder / "data" / "real" / "survey" / name)[layer]
    return pd.DataFrame(values, index=areas, columns=areas)


def test_compute_directionality_correlation__of_the_published_scores(shared_folder: Path) -> None:
    scores = load(shared_folder, "FFscore_grating_10.npy", 0, RL_FIRST)
    found = compute_directionality_correlation(scores, HIERARCHY_SCORES)
    assert found["n"] == 21
    assert round(found["pearson_r"], 3) == 0.735
    assert round(found["spearman_r"], 2) == 0.67
    np.testing.assert_allclose(found[["pearson_p", "spearman_p"]], [1.47e-4, 9.35e-4], rtol=5e-3)
    # without the areas with themselves, whose score is 0 by construction
    found = compute_directionality_correlation(scores, HIERARCHY_SCORES, with_diagonal=False)
    assert found["n"] == 15
    assert round(found["pearson_r"], 2) == 0.51
    # the order of RL and LM, which the hierarchy hardly tells apart, matters as much
    by_hierarchy = scores.loc[LM_FIRST, LM_FIRST]
    found = compute_directionality_correlation(by_hierarchy, HIERARCHY_SCORES, with_diagonal=False)
    assert round(found["pearson_r"], 2) == 0.64


def test_compute_directionality_correlation__of_the_published_median_lags(
    shared_folder: Path,
) -> None:
    lags = load(shared_folder, "ccg_peak_offset_grating25_limit10ms_final_shifted.npy", 2, LM_FIRST)
    assert round(compute_directionality_correlation(lags, HIERARCHY_SCORES)["pearson_r"], 2) == 0.81


def test_compute_directionality_correlation__by_hand() -> None:
    areas = ["low", "middle", "high", "unknown"]
    matrix = pd.DataFrame(np.zeros((4, 4)), index=areas, columns=areas)
    matrix.loc["middle", "low"], matrix.loc["high", "low"] = 0.2, 0.6
    matrix.loc["high", "middle"] = 0.4
    hierarchy = {"high": 3.0, "low": 0.0, "middle": 1.0}
    found = compute_directionality_correlation(matrix, hierarchy, with_diagonal=False)
    np.testing.assert_allclose(found["pearson_r"], 1.0)
    assert found["n"] == 3
    assert compute_directionality_correlation(matrix, hierarchy)["n"] == 6
    with pytest.raises(InvalidArgumentError, match="matrix has 0 pairs of areas with a value"):
        compute_directionality_correlation(matrix, {"elsewhere": 1.0})


@pytest.fixture(scope="module")
def planted(small_survey: Survey) -> pd.DataFrame:
    """Return the pairs of a simulated session, with what was planted: same assembly, and lag."""
    session = EcephysSession.from_nwb_path(small_survey.session_file(900000003))
    shown = session.get_stimulus_table("drifting_gratings", missing="nan")
    shown = shown[shown["orientation"].notna()]
    units = session.units.index[session.units["firing_rate"] > 2]
    found = compute_connections(
        session, units, shown["start_time"], conditions=shown["orientation"]
    )
    truth = small_survey.truth(900000003)
    source, target = (truth.loc[found[f"{end}_unit_id"]] for end in ("source", "target"))
    return found.assign(
        is_coupled=source["assembly"].to_numpy() == target["assembly"].to_numpy(),
        coupling=np.minimum(source["coupling"].to_numpy(), target["coupling"].to_numpy()),
        lag=target["lag_s"].to_numpy() - source["lag_s"].to_numpy(),
    )


def test_compute_connections__finds_the_assemblies_of_the_simulation(planted: pd.DataFrame) -> None:
    assert planted["is_coupled"].sum() >= 6
    strong = planted[planted["is_coupled"] & (planted["coupling"] > 0.3)]
    assert strong["is_significant"].mean() > 0.8
    assert not planted.loc[~planted["is_coupled"], "is_significant"].any()


def test_compute_connections__lags_of_the_simulation(planted: pd.DataFrame) -> None:
    found = planted[planted["is_coupled"] & planted["is_significant"]]
    assert (abs(found["peak_lag"] - found["lag"]) < 0.0015).all()
    apart = found[abs(found["lag"]) > 0.001]
    assert len(apart) >= 3
    np.testing.assert_array_equal(np.sign(apart["peak_lag"]), np.sign(apart["lag"]))
