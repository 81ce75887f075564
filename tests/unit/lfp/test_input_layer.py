"""The earliest sink, of densities whose sinks are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse.demo.lfp import SINKS, make_csd
from spikehouse.demo.plan import draw_plan
from spikehouse.demo.sessions import get_size
from spikehouse.errors import InvalidArgumentError
from spikehouse.lfp import find_input_layer

TIMES = np.arange(-0.1, 0.25, 0.0008)
HEIGHTS = 20.0 * np.arange(60)


def make(*sinks: tuple[float, float, float], noise: float = 0.0) -> xr.DataArray:
    """Make a density of sinks: centre [µm], onset [s] and strength of each."""
    density = noise * np.random.default_rng(3).normal(size=(len(TIMES), len(HEIGHTS)))
    for centre, onset, strength in sinks:
        course = np.clip((TIMES - onset) / 0.01, 0, None)
        profile = np.exp(-0.5 * ((HEIGHTS - centre) / 60) ** 2)
        density -= strength * np.outer(course * np.exp(1 - course), profile)
    coords = {"time": TIMES, "vertical_position": ("virtual_channel_index", HEIGHTS)}
    return xr.DataArray(density, coords, ("time", "virtual_channel_index"))


def search(csd: xr.DataArray, limit: float) -> float:
    """Return the time of the first sample of the window that passes a limit, one by one."""
    for time, row in zip(csd["time"].values, csd.values, strict=True):
        if time >= 0 and any(value <= -limit for value in row):
            return float(time)
    raise AssertionError


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_find_input_layer__is_the_first_sink_not_the_largest(noise: float) -> None:
    csd = make((600, 0.040, 1.0), (860, 0.055, 1.6), (300, 0.060, 0.8), noise=noise)
    found = find_input_layer(csd)
    assert found["vertical_position"] == pytest.approx(600, abs=10)
    assert found["lowest"] < 600 < found["highest"] < 800
    if not noise:
        assert found["onset"] == search(csd, 0.3 * -float(csd.min()))
        # of the sum of all sinks there
        own = csd.sel(virtual_channel_index=(found["lowest"] <= HEIGHTS)
                      & (found["highest"] >= HEIGHTS))  # fmt: skip
        assert found["density"] == pytest.approx(float(own.sel(time=slice(0, 0.15)).min()))


def test_find_input_layer__takes_positions_in_any_order_and_skips_unknown_ones() -> None:
    csd = make((600, 0.04, 1.0), (860, 0.055, 1.0))
    csd[:, [0, -1]] = np.nan
    shuffled = csd[:, np.random.default_rng(0).permutation(len(HEIGHTS))].T
    pd.testing.assert_series_equal(find_input_layer(shuffled), find_input_layer(csd))


def test_find_input_layer__finds_nothing_in_noise() -> None:
    assert find_input_layer(make(noise=0.1)).isna().all()
    assert find_input_layer(0 * make()).isna().all()


def test_find_input_layer__takes_drifts_for_sinks_as_its_notes_say() -> None:
    rng = np.random.default_rng(0)
    quiet = make()
    found = {"white": 0, "walk": 0}
    for _ in range(50):
        white = quiet + rng.normal(size=quiet.shape)
        for name, csd in (("white", white), ("walk", white.cumsum("time"))):
            found[name] += find_input_layer(csd).notna().all()
    assert found["white"] <= 1
    assert found["walk"] > 40


def test_find_input_layer__refuses_what_has_no_positions_baseline_or_window() -> None:
    csd = make((600, 0.04, 1.0))
    with pytest.raises(InvalidArgumentError, match=r"needed: a DataArray with a dimension of t"):
        find_input_layer(csd.drop_vars("vertical_position"))
    with pytest.raises(InvalidArgumentError, match=r"csd is a Dataset .*needed: a DataArray with"):
        find_input_layer(csd.to_dataset(name="CSD"))
    with pytest.raises(InvalidArgumentError, match=r"has 0 times before 0, 187 in window"):
        find_input_layer(csd.sel(time=slice(0, None)))
    with pytest.raises(InvalidArgumentError, match=r"0 in window=\(1, 2\) s"):
        find_input_layer(csd, window=(1, 2))
    with pytest.raises(InvalidArgumentError, match=r"fraction=0, n_sd=5"):
        find_input_layer(csd, fraction=0)


def test_find_input_layer__recovers_layer_4_of_the_demo() -> None:
    plan = draw_plan(20191003, 900000001, get_size("full"))
    errors = []
    for probe_id in plan.probes.index:
        channels = plan.channels[plan.channels["ecephys_probe_id"] == probe_id]
        area = channels["ecephys_structure_acronym"].dropna().iloc[-1]
        heights = channels.loc[channels["ecephys_structure_acronym"] == area,
                               "probe_vertical_position"]  # fmt: skip
        density = make_csd(plan, probe_id)
        coords = {"time": np.linspace(-0.1, 0.25, 875),
                  "vertical_position": ("position", 10.0 * np.arange(384))}  # fmt: skip
        found = find_input_layer(xr.DataArray(density, coords, ("time", "position")))
        truth = heights.max() - SINKS[0][0] * np.ptp(heights)
        errors.append(found["vertical_position"] - truth)
    assert len(errors) > 3
    assert np.abs(errors).max() < 20
