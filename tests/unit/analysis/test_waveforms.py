"""Classes of waveforms, and the test for two of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spikehouse.analysis import classify_waveforms, compute_bimodality
from spikehouse.demo.plan import draw_plan
from spikehouse.demo.sessions import get_size
from spikehouse.errors import InvalidArgumentError

STEP = 82 / 30 / 199


def test_classify_waveforms__goes_by_the_threshold_and_keeps_what_is_missing() -> None:
    units = pd.DataFrame({"waveform_duration": [0.7, 0.399, np.nan, 0.4]}, index=[9, 3, 5, 7])
    found = classify_waveforms(units)
    # xarray refuses the strings of pandas 3 as a coordinate
    assert found.dtype == object
    assert found.dropna().to_dict() == {9: "regular-spiking", 3: "fast-spiking",
                                        7: "regular-spiking"}  # fmt: skip
    assert list(found.index) == [9, 3, 5, 7]
    assert found.name == "waveform_class"
    assert classify_waveforms(units, threshold=0.8).dropna().eq("fast-spiking").all()


def test_classify_waveforms__refuses_a_threshold_and_a_table_without_durations() -> None:
    units = pd.DataFrame({"waveform_duration": [0.7]})
    with pytest.raises(InvalidArgumentError, match=r"threshold=0 ms; valid: a time above 0 ms"):
        classify_waveforms(units, threshold=0)
    with pytest.raises(InvalidArgumentError, match="waveform_duration"):
        classify_waveforms(units.rename(columns={"waveform_duration": "duration"}))


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (1e-3, r"from 0.0003 to 0.0007, with the median 0.0006; valid: milliseconds, .*multiply s"),
        (1e3, r"from 300 to 700, with the median 600"),
        (30, r"from 9 to 21, with the median 18"),
        (-1, r"from -0.7 to -0.3.*not negative"),
        (np.inf, r"from inf to inf"),
    ],
)
def test_classify_waveforms__refuses_other_units(factor: float, said: str) -> None:
    units = pd.DataFrame({"waveform_duration": np.array([0.3, 0.6, 0.7]) * factor})
    with pytest.raises(InvalidArgumentError, match=said):
        classify_waveforms(units)
    assert classify_waveforms(units.assign(waveform_duration=np.nan)).isna().all()


def two_modes(rng: np.random.Generator) -> np.ndarray:
    return np.append(rng.normal(0.26, 0.05, 200), rng.normal(0.62, 0.08, 800))


def test_compute_bimodality__finds_modes_and_valley() -> None:
    found = compute_bimodality(two_modes(np.random.default_rng(0)), n_resamples=100)
    assert found["p_value"] == pytest.approx(1 / 101)
    assert found["low_mode"] == pytest.approx(0.26, abs=0.03)
    assert found["high_mode"] == pytest.approx(0.62, abs=0.03)
    # of the density that was drawn from, the minimum is at 0.39
    assert found["valley"] == pytest.approx(0.39, abs=0.03)


def test_compute_bimodality__is_not_misled_by_a_grid() -> None:
    """Hartigan's dip of these values has p < 0.001."""
    values = STEP * np.rint(np.random.default_rng(0).normal(0.6, 0.12, 1000) / STEP)
    assert compute_bimodality(values, n_resamples=100)["p_value"] > 0.2


def test_compute_bimodality__finds_two_modes_by_chance_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    p = [compute_bimodality(rng.normal(size=100), n_resamples=40)["p_value"] for _ in range(40)]
    assert np.mean(np.array(p) < 0.1) < 0.2
    assert 0.25 < np.median(p) < 0.75


def test_compute_bimodality__scales_with_the_values_and_leaves_out_missing_ones() -> None:
    values = two_modes(np.random.default_rng(0))
    first = compute_bimodality(values, n_resamples=20)
    other = compute_bimodality(np.append(7 + 1000 * values, np.nan), n_resamples=20)
    places = ["low_mode", "valley", "high_mode"]
    np.testing.assert_allclose(other[places], 7 + 1000 * first[places], rtol=1e-6)
    assert other["n"] == first["n"] == 1000
    assert other["p_value"] == first["p_value"]


def test_compute_bimodality__refuses_too_few_values() -> None:
    with pytest.raises(InvalidArgumentError, match=r"has 3 numbers, 3 different ones.* give 10 or"):
        compute_bimodality([1.0, 2.0, 3.0, np.nan])
    with pytest.raises(
        InvalidArgumentError, match=r"has 10 numbers, 2 different ones, from 2 to 3"
    ):
        compute_bimodality([2.0] * 9 + [3.0])
    with pytest.raises(InvalidArgumentError, match=r"from 0 to inf; .* all of them finite"):
        compute_bimodality([*range(10), np.inf])
    with pytest.raises(InvalidArgumentError, match=r"n_resamples=0; valid: 1 or more"):
        compute_bimodality(range(10), n_resamples=0)


def test_classify_waveforms__finds_the_classes_of_the_released_units(
    shared_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shared_folder / "data" / "real" / "survey" / "visual_cortex_units.parquet"
    area = "ecephys_structure_acronym"
    units = pd.read_parquet(path, columns=["waveform_duration", area])
    durations = units["waveform_duration"]
    found = compute_bimodality(durations[durations < 1], n_resamples=100)
    classes = classify_waveforms(units)
    table = classes.eq("fast-spiking").groupby(units[area]).agg(["mean", "size"])
    with capsys.disabled():
        print(f"\n{found.round(3).to_string()}\n{table.round(3).to_string()}")
    assert len(units) == 36_430
    assert found["p_value"] == pytest.approx(1 / 101)
    assert found["low_mode"] == pytest.approx(0.275, abs=0.01)
    assert found["valley"] == pytest.approx(0.45, abs=0.02)
    assert found["high_mode"] == pytest.approx(0.625, abs=0.02)
    expected = {"VISal": 0.158, "VISam": 0.162, "VISl": 0.128, "VISp": 0.167, "VISpm": 0.136,
                "VISrl": 0.164}  # fmt: skip
    assert table["mean"].round(3).to_dict() == expected


def test_classify_waveforms__recovers_the_truth_of_the_demo() -> None:
    truth = draw_plan(20191003, 900000001, get_size("full")).units
    truth = truth[truth["quality"] == "good"]
    units = truth.rename(columns={"duration": "waveform_duration"})
    found = compute_bimodality(units["waveform_duration"], n_resamples=100)
    is_narrow = classify_waveforms(units) == "fast-spiking"
    # 3.6 % of the broad ones, 0.58 ± 0.1 ms, are below 0.4 ms
    assert (is_narrow == truth["is_narrow"]).mean() == pytest.approx(0.97, abs=0.005)
    assert found["p_value"] == pytest.approx(1 / 101)
    assert found["valley"] == pytest.approx(0.38, abs=0.03)
