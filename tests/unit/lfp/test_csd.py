from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse import plots
from spikehouse.demo import Survey
from spikehouse.demo.lfp import CSD_TIMES, DEPTH_UM, iterate_lfp, make_csd
from spikehouse.demo.plan import draw_plan
from spikehouse.demo.sessions import get_size
from spikehouse.demo.timeline import make_timeline
from spikehouse.errors import InvalidArgumentError
from spikehouse.lfp import compute_csd, compute_evoked_lfp
from spikehouse.session import EcephysSession

SEED = 20191003
DEPTHS = 40.0 * np.arange(12)


def make_potential(values: np.ndarray, depths: np.ndarray = DEPTHS) -> xr.DataArray:
    return xr.DataArray(
        values,
        dims=("time", "channel"),
        coords={
            "time": np.arange(len(values)) / 1250,
            "channel": np.arange(values.shape[1]) + 100,
            "vertical_position": ("channel", depths),
        },
    )


def test_compute_csd__a_parabola_has_one_value_everywhere() -> None:
    # φ = 3 z² V: −φ'' = −6 V/m², a sink
    z = DEPTHS * 1e-6
    csd = compute_csd(make_potential(np.array([3 * z**2, 0 * z, 5 * z + 1])))
    np.testing.assert_allclose(csd[0, 1:-1], -6, rtol=1e-6)
    np.testing.assert_allclose(csd[1:, 1:-1], 0, atol=1e-5)
    assert np.isnan(csd[:, [0, -1]]).all()
    assert csd.dims == ("time", "virtual_channel_index")
    assert csd.name == "CSD"
    assert csd.vertical_position.values.tolist() == DEPTHS.tolist()
    assert csd.time.values.tolist() == [0, 0.0008, 0.0016]
    assert csd.attrs["units"] == "V/m^2"
    assert csd.attrs["sign"] == "sinks are negative"


def test_compute_csd__conductivity_gives_currents() -> None:
    potential = make_potential(np.array([(DEPTHS * 1e-6) ** 2]))
    csd = compute_csd(potential, conductivity=0.3)
    np.testing.assert_allclose(csd[0, 1:-1], -0.6, rtol=1e-6)
    assert csd.attrs["units"] == "A/m^3"


def test_compute_csd__equals_numpy(rng: np.random.Generator) -> None:
    values = rng.standard_normal((5, 12)) * 1e-4
    csd = compute_csd(make_potential(values)).values
    np.testing.assert_allclose(csd[:, 1:-1], -np.diff(values, 2, axis=1) / (40e-6) ** 2, rtol=1e-8)


def test_compute_csd__repeated_edges() -> None:
    values = np.zeros((1, 12))
    values[0, 0], values[0, -1] = 1.0, 2.0
    csd = compute_csd(make_potential(values), edges="repeat").values
    # one neighbour is missing: half of what a peak inside gives
    np.testing.assert_allclose(csd[0, [0, -1]] * (40e-6) ** 2, [1, 2], rtol=1e-9)
    flat = compute_csd(make_potential(np.ones((1, 12))), edges="repeat")
    np.testing.assert_allclose(flat, 0, atol=1e-4)


def test_compute_csd__channels_in_any_order_and_two_at_a_depth(rng: np.random.Generator) -> None:
    values = rng.standard_normal((4, 12))
    whole = compute_csd(make_potential(values))
    order = rng.permutation(12)
    mixed = compute_csd(make_potential(values[:, order], DEPTHS[order]))
    xr.testing.assert_allclose(mixed, whole, rtol=1e-9)
    apart = rng.standard_normal((4, 12))
    twice = np.hstack([values + apart, values - apart])
    pairs = compute_csd(make_potential(twice, np.tile(DEPTHS, 2)))
    xr.testing.assert_allclose(pairs, whole, rtol=1e-9)


@pytest.mark.parametrize("how", ["nan", "missing"])
def test_compute_csd__lost_channels_are_interpolated(how: str) -> None:
    z = np.arange(24) * 40.0
    values = np.exp(-0.5 * ((z - 450) / 120) ** 2)[None] * 1e-4
    whole = compute_csd(make_potential(values, z)).values
    lost = [5, 14]
    if how == "nan":
        values = values.copy()
        values[:, lost] = np.nan
        potential = make_potential(values, z)
    else:
        potential = make_potential(np.delete(values, lost, axis=1), np.delete(z, lost))
    csd = compute_csd(potential)
    assert csd.sizes["virtual_channel_index"] == 24
    assert np.abs(csd - whole)[:, 1:-1].max() < 0.03 * np.abs(whole[:, 1:-1]).max()


def test_compute_csd__a_sample_with_nan_is_nan(rng: np.random.Generator) -> None:
    values = rng.standard_normal((3, 12))
    values[1, 4] = np.nan
    values[:, 7] = np.nan
    csd = compute_csd(make_potential(values))
    assert np.isnan(csd[1]).all()
    assert np.isfinite(csd[[0, 2], 1:-1]).all()
    assert csd.attrs["n_interpolated"] == 1


def test_compute_csd__smoothing(rng: np.random.Generator) -> None:
    z = DEPTHS * 1e-6
    line = compute_csd(make_potential((7 * z + 2)[None]), sigma_um=20)
    np.testing.assert_allclose(line[0, 4:-4], 0, atol=1e-3)
    noise = make_potential(rng.standard_normal((200, 12)))
    rough, smooth = (compute_csd(noise, sigma_um=width).std() for width in (0, 60))
    assert smooth < 0.2 * rough


def test_compute_csd__other_dimensions_stay(rng: np.random.Generator) -> None:
    values = rng.standard_normal((12, 2, 3))
    coords = {"unit": [1, 2]}
    lfp = xr.DataArray(values, dims=("channel", "unit", "when"), coords=coords)
    csd = compute_csd(lfp, DEPTHS)
    assert csd.dims == ("unit", "when", "virtual_channel_index")
    assert csd.unit.values.tolist() == [1, 2]


def test_compute_csd__errors() -> None:
    potential = make_potential(np.zeros((2, 12)))
    with pytest.raises(InvalidArgumentError, match=r"depths of the channels are not known: give d"):
        compute_csd(potential.drop_vars("vertical_position"))
    with pytest.raises(InvalidArgumentError, match=r"12 channels need as many finite positions"):
        compute_csd(potential, [1.0, 2.0])
    with pytest.raises(InvalidArgumentError, match=r"\('time', 'channel'\) and none of channels"):
        compute_csd(potential, dim="channels")
    with pytest.raises(InvalidArgumentError, match="three depths or more; 2 of the 12 depths here"):
        compute_csd(potential.where(potential.channel < 102))
    with pytest.raises(InvalidArgumentError, match="three depths or more; 0 of the 12 depths here"):
        compute_csd(potential * np.nan)
    with pytest.raises(InvalidArgumentError, match=r"unit of the recording is 'uV'.*valid: 'V'"):
        compute_csd(potential.assign_attrs(units="uV"))
    with pytest.raises(InvalidArgumentError, match="edges='zero'; valid are 'nan', 'repeat'"):
        compute_csd(potential, edges="zero")
    with pytest.raises(InvalidArgumentError, match="sigma_um is -1; give a width"):
        compute_csd(potential, sigma_um=-1)
    with pytest.raises(InvalidArgumentError, match="conductivity is 0; give it in S/m"):
        compute_csd(potential, conductivity=0)


def compare(csd: xr.DataArray, stored: xr.DataArray) -> tuple[float, float]:
    """Give correlation and scale of the two where the response is strong."""
    density = stored.interp(
        time=csd["time_relative_to_onset"].to_numpy(), z=csd["vertical_position"].to_numpy()
    ).transpose("time", "z")
    there, here = density.to_numpy() * 1e4, csd.to_numpy()
    strong = np.isfinite(here) & (np.abs(there) > 0.3e4)
    x, y = there[strong], here[strong]
    return float(np.corrcoef(x, y)[0, 1]), float((x @ y) / (x @ x))


def test_compute_csd__is_the_stored_one_on_the_demos_file(small_survey: Survey) -> None:
    session_id = small_survey.session_ids[0]
    path = small_survey.session_file(session_id)
    first = int(EcephysSession.from_nwb_path(path).probes.index[0])
    options = {
        "probe_lfp_paths": {first: small_survey.lfp_file(first)},
        "filter_by_validity": False,
    }
    session = EcephysSession.from_nwb_path(path, api_kwargs=options)
    lfp = session.get_lfp(first)
    onsets = session.get_stimulus_table("flashes")["start_time"]
    evoked = compute_evoked_lfp(lfp, onsets, window=(-0.1, 0.25))["mean"]
    positions = session.channels.loc[lfp["channel"], "probe_vertical_position"]
    csd = compute_csd(evoked, positions)
    stored = session.get_current_source_density(first)
    depths = stored["vertical_position"].to_numpy()
    stored = stored.assign_coords(z=("virtual_channel_index", depths))
    correlation, scale = compare(csd, stored.swap_dims(virtual_channel_index="z"))
    assert correlation > 0.98
    # channels are 80 µm apart in this size: that much is lost of sinks 55 µm wide
    assert 0.75 < scale < 0.9


def test_compute_csd__is_the_stored_one_with_the_released_spacing() -> None:
    """Channels 40 µm apart, as in the released files; three of them lost."""
    plan = draw_plan(SEED, 900000001, get_size("small"))
    timeline = make_timeline(plan)
    shown = timeline.presentations
    onsets = shown.loc[shown["name"] == "flashes", "start_time"].to_numpy()
    times = np.arange(onsets[0] - 1, onsets[-1] + 1, 1 / 1250)
    channels = np.arange(2, 381, 4)
    depths = 20.0 * (channels // 2 + 1)
    probe = int(plan.probes.index[0])
    values = np.concatenate(list(iterate_lfp(plan, probe, timeline, times, channels)))
    stored = xr.DataArray(
        make_csd(plan, probe), dims=("time", "z"), coords={"time": CSD_TIMES, "z": DEPTH_UM}
    )
    # the second beside the strongest sink
    sink = int(np.abs(depths - float(stored.min("time").idxmin("z"))).argmin())
    values[:, [7, sink + 1, sink - 6]] = np.nan
    coords = {"time": times, "channel": channels}
    lfp = xr.DataArray(values, dims=("time", "channel"), coords=coords)
    evoked = compute_evoked_lfp(lfp, onsets, window=(-0.1, 0.25))["mean"]
    csd = compute_csd(evoked, depths)
    correlation, scale = compare(csd, stored)
    assert correlation > 0.97
    assert 0.9 < scale < 1.02


def test_compute_csd__takes_the_depths_of_all_channels(rng: np.random.Generator) -> None:
    potential = make_potential(rng.standard_normal((5, 12)))
    depths = pd.Series(DEPTHS, np.arange(12) + 100).sample(frac=1, random_state=1)
    of_all = pd.concat([pd.Series([5.0, 7.0], [1, 2]), depths])
    expected = compute_csd(potential)
    xr.testing.assert_identical(compute_csd(potential, of_all), expected)
    plots.plot_lfp_heatmap(potential, depths=of_all)
    plots.plot_csd(expected, density_unit="V/m²")
