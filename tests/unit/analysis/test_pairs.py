from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse.analysis import summarize_correlations
from spikehouse.errors import InvalidArgumentError

IDS = [30, 10, 20, 40, 50]
UNITS = pd.DataFrame(
    {
        "ecephys_structure_acronym": ["VISl", "VISp", "VISp", "VISl", "VISp"],
        "probe_id": [2, 1, 1, 2, 1],
        "probe_vertical_position": [0.0, 0, 40, 300, 100],
        "probe_horizontal_position": [0.0, 0, 30, 0, 0],
        "anterior_posterior_ccf_coordinate": [0.0, 0, 0, 0, np.nan],
        "dorsal_ventral_ccf_coordinate": 0.0,
        "left_right_ccf_coordinate": [0.0, 100, 200, 300, 400],
    },
    index=pd.Index(IDS, name="unit_id"),
)


def as_matrix(values, ids=IDS):
    return xr.DataArray(
        values, {"unit_id": ids, "other_unit_id": ids}, ("unit_id", "other_unit_id")
    )


@pytest.fixture
def matrix(rng):
    values = rng.uniform(-1, 1, (5, 5))
    values = (values + values.T) / 2
    np.fill_diagonal(values, 1)
    return as_matrix(values)


def test_summary__lists_every_pair_once(matrix):
    pairs = summarize_correlations(matrix, UNITS.iloc[::-1])
    assert len(pairs) == 10
    for pair in pairs.itertuples():
        one, other = UNITS.loc[pair.unit_id], UNITS.loc[pair.other_unit_id]
        assert pair.correlation == matrix.sel(unit_id=one.name, other_unit_id=other.name)
        areas = sorted(u["ecephys_structure_acronym"] for u in (one, other))
        assert [pair.area, pair.other_area] == areas
    by_pair = pairs.set_index(["unit_id", "other_unit_id"])
    assert by_pair.loc[(10, 20), "probe_distance_um"] == 50
    assert np.isnan(by_pair.loc[(30, 10), "probe_distance_um"])
    assert by_pair.loc[(30, 10), "ccf_distance_um"] == 100
    assert np.isnan(by_pair.loc[(10, 50), "ccf_distance_um"])


def test_summary__errors_are_the_jackknife_over_units(rng):
    n = 12
    values = rng.normal(0, 0.1, (n, n))
    matrix = as_matrix((values + values.T) / 2, np.arange(n))
    units = pd.DataFrame({"ecephys_structure_acronym": "VISp"}, index=range(n))
    found = summarize_correlations(matrix, units, by="area").loc[("VISp", "VISp")]
    pairs = matrix.to_numpy()[np.triu_indices(n, 1)]
    assert found["mean"] == pytest.approx(pairs.mean())
    assert (found["n_pairs"], found["n_units"]) == (66, n)
    without = []
    for unit in range(n):
        kept = np.delete(np.delete(matrix.to_numpy(), unit, 0), unit, 1)
        without.append(kept[np.triu_indices(n - 1, 1)].mean())
    expected = np.sqrt((n - 1) / n * ((without - np.mean(without)) ** 2).sum())
    assert found["sem"] == pytest.approx(expected)


def test_summary__errors_know_that_pairs_share_units(rng):
    units = pd.DataFrame({"ecephys_structure_acronym": "VISp"}, index=range(40))
    means, errors = [], []
    for _ in range(60):
        effect = rng.normal(0, 0.2, 40)
        matrix = as_matrix(effect[:, None] + effect, np.arange(40))
        row = summarize_correlations(matrix, units, by="area").iloc[0]
        means.append(row["mean"])
        errors.append(row["sem"])
    # √n_pairs would give a fifth of it; one standard deviation of 60: 9 %
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.3)


def test_summary__of_pairs_of_one_unit_has_no_error(rng):
    values = rng.normal(0, 0.1, (40, 40))
    units = pd.DataFrame({"ecephys_structure_acronym": ["LP"] + ["VISp"] * 39}, index=range(40))
    found = summarize_correlations(as_matrix(values + values.T, np.arange(40)), units, by="area")
    assert found["sem"].isna().tolist() == [True, False]


def test_summary__by_state_and_distance(matrix):
    both = {"run": matrix, "rest": matrix * 0.5}
    found = summarize_correlations(
        both, UNITS, by=["state", "probe_distance_um"], distance_edges=[0, 100, 400]
    )
    assert found.index.names == ["state", "probe_distance_um"]
    assert found["n_pairs"].tolist() == [2, 2, 2, 2]
    near = [float(matrix.sel(unit_id=a, other_unit_id=b)) for a, b in ((10, 20), (20, 50))]
    assert found.loc[("run", pd.Interval(0, 100, closed="left")), "mean"] == pytest.approx(
        np.mean(near)
    )
    np.testing.assert_allclose(found.loc["rest", "mean"], found.loc["run", "mean"] / 2)


def test_summary__errors(matrix):
    with pytest.raises(InvalidArgumentError, match=r"by='depth': .*ccf_distance_um.*; state needs"):
        summarize_correlations(matrix, UNITS, by="depth")
    with pytest.raises(InvalidArgumentError, match="state needs one matrix for each state"):
        summarize_correlations(matrix, UNITS, by="state")
    with pytest.raises(InvalidArgumentError, match="not symmetric; a pair needs one value"):
        summarize_correlations(matrix + np.arange(5), UNITS)
    with pytest.raises(InvalidArgumentError, match=r"give an array \(unit_id, other_unit_id\)"):
        summarize_correlations(np.eye(3), UNITS)
    with pytest.raises(InvalidArgumentError, match="units has no value for 1 of 5 ids"):
        summarize_correlations(matrix, UNITS.iloc[1:])
    with pytest.raises(InvalidArgumentError, match="probe_id"):
        summarize_correlations(matrix, UNITS.drop(columns="probe_id"), by="probe_distance_um")
    with pytest.raises(InvalidArgumentError, match="correlations has no matrix; give one for each"):
        summarize_correlations({}, UNITS, by="state")
    twice = as_matrix(matrix.to_numpy(), [30, 10, 10, 40, 50])
    with pytest.raises(InvalidArgumentError, match="has 1 unit ids again, such as 10, and a unit"):
        summarize_correlations(twice, UNITS)
    for edges in ([100, 0], [100], [[0, 100]], ["near", "far"], [0, np.nan]):
        with pytest.raises(
            InvalidArgumentError, match=r"distance_edges is .*; give two edges or mo"
        ):
            summarize_correlations(matrix, UNITS, by="probe_distance_um", distance_edges=edges)
