"""Depth and layer, from a small atlas of known layers and along probes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse.analysis import compute_cortical_layers
from spikehouse.analysis.layers import BOUNDARIES, LAYERS
from spikehouse.errors import InvalidArgumentError

STEP = 50.0
COLUMNS = ["anterior_posterior_ccf_coordinate", "dorsal_ventral_ccf_coordinate",
           "left_right_ccf_coordinate"]  # fmt: skip
# acronym and voxels, from the surface down
STACK = (("VISp1", 2), ("VISp2/3", 4), ("VISp4", 3), ("VISp5", 5), ("VISp6a", 4), ("VISp6b", 2))
N_CORTEX = 20
SURFACE = 10


def make_atlas() -> xr.Dataset:
    """Make flat layers between ten voxels outside the brain and white matter."""
    column = np.zeros(60, dtype=np.uint32)
    column[SURFACE : SURFACE + N_CORTEX] = np.repeat(np.arange(1, 7), [n for _, n in STACK])
    column[SURFACE + N_CORTEX :] = 9
    volume = np.broadcast_to(column[:, None], (40, 60, 50))
    names = [name for name, _ in STACK]
    centres = {
        name: (np.arange(n) + 0.5) * STEP
        for name, n in zip(
            ("anterior_posterior", "dorsal_ventral", "left_right"), volume.shape, strict=True
        )
    }
    return xr.Dataset(
        {
            "structure_id": (tuple(centres), volume),
            "acronym": ("structure", [*names, "cc"]),
            "is_cortex": ("structure", [True] * 6 + [False]),
        },
        coords={**centres, "structure": [1, 2, 3, 4, 5, 6, 9]},
    )


def test_compute_cortical_layers__are_those_of_the_atlas() -> None:
    heights = (np.arange(60) + 0.5) * STEP
    units = pd.DataFrame({COLUMNS[0]: 1010.0, COLUMNS[1]: heights, COLUMNS[2]: 990.0})
    found = compute_cortical_layers(units, atlas=make_atlas())
    inside = slice(SURFACE, SURFACE + N_CORTEX)
    np.testing.assert_allclose(
        found["cortical_depth"].iloc[inside], (np.arange(N_CORTEX) + 0.5) / N_CORTEX
    )
    names = ("1", "2/3", "4", "5", "6", "6")
    expected = np.repeat(names, [n for _, n in STACK])
    assert found["cortical_layer"].iloc[inside].tolist() == expected.tolist()
    outside = found.drop(index=found.index[inside])
    assert len(outside) == 40
    assert outside.isna().all(axis=None)


def test_compute_cortical_layers__outside_the_atlas_or_without_a_place_are_missing() -> None:
    units = pd.DataFrame(
        [[1e6, 700, 990], [-1, 700, 990], [np.nan, 700, 990], [1010, 700, 990]],
        columns=COLUMNS, index=[9, 7, 5, 3],
    )  # fmt: skip
    found = compute_cortical_layers(units, atlas=make_atlas())
    assert found["cortical_layer"].notna().tolist() == [False, False, False, True]
    assert found.loc[3].tolist() == [4.5 / N_CORTEX, "2/3"]
    assert compute_cortical_layers(units.head(2), atlas=make_atlas()).isna().all(axis=None)


def test_compute_cortical_layers__are_at_the_distances_of_the_nearest_voxels() -> None:
    rng = np.random.default_rng(0)
    atlas = make_atlas()
    # an uneven surface, white matter in holes, in an order that is not C's
    volume = np.asfortranarray(atlas["structure_id"].to_numpy()[:16, :, :20])
    volume[rng.random(volume.shape) < 0.003] = 9
    volume[:, : SURFACE + 3][rng.random((16, SURFACE + 3, 20)) < 0.5] = 0
    atlas = atlas.isel(anterior_posterior=slice(16), left_right=slice(20))
    atlas["structure_id"] = (atlas["structure_id"].dims, volume)
    voxels = np.argwhere((volume > 0) & (volume < 9))
    voxels = voxels[rng.choice(len(voxels), 50)]
    found = compute_cortical_layers(
        pd.DataFrame((voxels + 0.5) * STEP, columns=COLUMNS), atlas=atlas
    )
    for voxel, depth in zip(voxels, found["cortical_depth"], strict=True):
        pia, white = (
            STEP * (np.linalg.norm(np.argwhere(border) - voxel, axis=1).min() - 0.5)
            for border in (volume == 0, volume == 9)
        )
        assert depth == pytest.approx(pia / (pia + white))


def test_compute_cortical_layers__refuses_an_atlas_without_a_structure() -> None:
    units = pd.DataFrame([[1010, 700, 990]], columns=COLUMNS)
    with pytest.raises(
        InvalidArgumentError, match="voxels of structure 4, which is not one of its"
    ):
        compute_cortical_layers(units, atlas=make_atlas().drop_sel(structure=4))


def make_channels() -> pd.DataFrame:
    """Make two probes: one through the whole cortex, and one that ends in it."""
    areas = ["CA1"] * 5 + ["VISp"] * 21 + [None] * 4
    through = pd.DataFrame({"probe_id": 1, "ecephys_structure_acronym": areas})
    ends = pd.DataFrame({"probe_id": 2, "ecephys_structure_acronym": ["VISp"] * 6 + [None] * 4})
    table = pd.concat([through, ends], ignore_index=True)
    return table.assign(probe_vertical_position=table.groupby("probe_id").cumcount() * 40.0)


def test_compute_cortical_layers__along_the_probe_are_between_the_ends_of_the_cortex() -> None:
    channels = make_channels()
    found = compute_cortical_layers(channels, channels)
    visp = found[5:26]
    np.testing.assert_allclose(visp["cortical_depth"], np.linspace(1, 0, 21), atol=1e-12)
    for depth, layer in visp.itertuples(index=False):
        n_passed = sum(depth >= border for border in BOUNDARIES["VISp"])
        assert layer == LAYERS[n_passed]
    assert found.drop(index=visp.index).isna().all(axis=None)
    shuffled = channels.sample(frac=1, random_state=0)
    renamed = shuffled.rename(columns={"probe_id": "ecephys_probe_id"})
    pd.testing.assert_frame_equal(compute_cortical_layers(channels, renamed), found)


def test_compute_cortical_layers__along_the_probe_are_those_of_one_stretch() -> None:
    channels = make_channels()
    channels.loc[[0, 1], "probe_vertical_position"] -= 100.0
    expected = compute_cortical_layers(channels, channels)
    # one channel 260 µm below, and two within that have no structure
    channels.loc[[1, 12, 13], "ecephys_structure_acronym"] = ["VISp", None, None]
    found = compute_cortical_layers(channels, channels)
    pd.testing.assert_frame_equal(found.drop(index=[12, 13]), expected.drop(index=[12, 13]))
    assert found.loc[[1, 12, 13]].isna().all(axis=None)


def test_compute_cortical_layers__warns_about_areas_it_does_not_know() -> None:
    channels = make_channels().replace({"VISp": "RSPd"})
    with pytest.warns(UserWarning, match=r"^'RSPd' and all other areas but VIS, .* count as outs"):
        found = compute_cortical_layers(channels, channels)
    assert found.isna().all(axis=None)


def test_compute_cortical_layers__refuses_tables_without_places() -> None:
    channels = make_channels()
    with pytest.raises(InvalidArgumentError, match=r"give channels=session.channels, or an atlas"):
        compute_cortical_layers(channels)
    with pytest.raises(InvalidArgumentError, match=r"table of channels has no column 'probe_id'"):
        compute_cortical_layers(channels, channels.drop(columns="probe_id"))
    with pytest.raises(InvalidArgumentError, match=r"no column 'anterior_posterior_ccf_coordinate"):
        compute_cortical_layers(channels, atlas=make_atlas())


def test_compute_cortical_layers__has_the_borders_of_the_released_units(
    shared_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared_folder / "data" / "real" / "survey"
    names = ["unit_id", "ecephys_structure_acronym", "ecephys_probe_id", "ecephys_session_id",
             "probe_vertical_position"]  # fmt: skip
    units = pd.read_parquet(folder / "visual_cortex_units.parquet", columns=names)
    layers = pd.read_parquet(folder / "layer_info.parquet")
    layers = layers.astype({"ecephys_unit_id": int}).set_index("ecephys_unit_id")
    units = units.join(layers, on="unit_id")
    units = units[units["cortical_layer"] > 0]
    assert len(units) == 31_279
    numbers = np.array([1, 2, 4, 5, 6])

    def find_borders(table: pd.DataFrame) -> list[float]:
        tried = np.arange(0, 1, 0.005)
        found = []
        for upper, lower in pairwise(numbers):
            above, below = (
                np.sort(table["cortical_depth"][table["cortical_layer"] == layer])
                for layer in (upper, lower)
            )
            wrong = np.searchsorted(below, tried) / len(below)
            wrong += 1 - np.searchsorted(above, tried) / len(above)
            best = tried[wrong <= wrong.min() + 1e-12]
            found.append((best[0] + best[-1]) / 2)
        return found

    def classify(table: pd.DataFrame, borders: list[float]) -> np.ndarray:
        return numbers[np.searchsorted(borders, table["cortical_depth"], "right")]

    is_right = []
    sessions = units["ecephys_session_id"].unique()
    fold = dict(zip(sessions, np.arange(len(sessions)) % 10, strict=True))
    for area, table in units.groupby("ecephys_structure_acronym"):
        np.testing.assert_allclose(BOUNDARIES[area], find_borders(table), atol=0.006)
        of_fold = table["ecephys_session_id"].map(fold)
        for number in range(10):
            rest, own = table[of_fold != number], table[of_fold == number]
            is_right.extend(classify(own, find_borders(rest)) == own["cortical_layer"])
    np.testing.assert_allclose(BOUNDARIES[""], find_borders(units), atol=0.006)
    by_probe = units.groupby("ecephys_probe_id")[["probe_vertical_position", "cortical_depth"]]
    residuals = [
        np.polyfit(*rows.to_numpy().T, 1, full=True)[1].sum() for _, rows in by_probe
    ]  # fmt: skip
    spread = np.sqrt(sum(residuals) / len(units))
    with capsys.disabled():
        print(f"\nlayer from depth, other sessions: {np.mean(is_right):.3f}; linear: {spread:.4f}")
    assert np.mean(is_right) == pytest.approx(0.94, abs=0.005)
    assert spread == pytest.approx(0.012, abs=0.001)
