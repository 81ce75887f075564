"""Depth in the cortex and layer: from an atlas, or from where the cortex begins along the probe."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.errors import InvalidArgumentError
from spikehouse.schema import list_structures, require_columns

Floats = npt.NDArray[np.float64]

LAYERS = ("1", "2/3", "4", "5", "6")
LAYER_AT_END = r"(1|2/3|2|3|4|5|6)[ab]?$"
# Relative depth at which layers 2/3, 4, 5 and 6 begin: what misplaces the smallest fractions of
# either layer's units among the survey's 31 279 that have both; a test finds them again.
BOUNDARIES = {
    "VISp": (0.12, 0.36, 0.51, 0.76), "VISl": (0.10, 0.30, 0.42, 0.73),
    "VISrl": (0.10, 0.32, 0.50, 0.74), "VISal": (0.12, 0.30, 0.42, 0.74),
    "VISpm": (0.14, 0.36, 0.45, 0.74), "VISam": (0.13, 0.37, 0.46, 0.74),
    # other areas: from all six together
    "": (0.14, 0.33, 0.48, 0.74),
}  # fmt: skip
AXES = ("anterior_posterior", "dorsal_ventral", "left_right")
# beyond the units, more than the cortex is thick [µm]
MARGIN_UM = 1500.0
# channels of one stretch of cortex are not farther apart: some are left out, or have no structure
MAX_GAP_UM = 200.0
OUTSIDE, CORTEX, OTHER = range(3)


def compute_cortical_layers(
    units: pd.DataFrame,
    channels: pd.DataFrame | None = None,
    *,
    atlas: xr.Dataset | None = None,
) -> pd.DataFrame:
    """Compute how deep in the cortex units or channels are, and in which layer.

    Parameters
    ----------
    units
        `session.units` or `session.channels`: ecephys_structure_acronym, probe_id (or
        ecephys_probe_id) and probe_vertical_position; with an atlas, the coordinates
        anterior_posterior_ccf_coordinate, dorsal_ventral_ccf_coordinate and
        left_right_ccf_coordinate [µm] alone.
    channels
        All channels of the probes, `session.channels`, with the columns above. Not needed with an
        atlas.
    atlas
        What `cache.get_atlas` returns.

    Returns
    -------
    DataFrame
        Index that of units: cortical_depth, 0 at the surface (pia) and 1 at the white matter, and
        cortical_layer: ``"1"``, ``"2/3"``, ``"4"``, ``"5"`` or ``"6"``. Both are missing outside
        the cortex, and where they are not known.

    Notes
    -----
    With an atlas, the layer is that of the voxel's structure (VISp2/3), and the depth is
    a / (a + b), with the distances a to the nearest voxel outside the brain and b to the nearest
    that is in the brain and not in the cortex. The published depths follow streamlines instead.

    Without one, only the survey's visual areas count as cortex ("Isocortex" in `list_structures`);
    areas that are not listed there, such as RSP or VISp4, give a warning. The depth is the place
    between the highest and the lowest channel of a stretch of cortex along the probe, where gaps of
    more than 200 µm end a stretch. It is missing if the stretch reaches the last channel of the
    probe. The layer is found from the depth, with borders for each visual area. In the released
    tables of 31 279 units, the published depth is linear along each probe within 0.012 (SD), and
    borders from other sessions give the published layer of 94 % of the units.

    References
    ----------
    Wang et al. (2020), Cell 181, 936, doi:10.1016/j.cell.2020.04.007, for the atlas.

    Examples
    --------
    >>> found = compute_cortical_layers(session.units, session.channels)
    >>> found["cortical_layer"].value_counts().sort_index().to_dict()
    {'2/3': 3, '4': 1, '5': 2, '6': 2}
    """
    if atlas is not None:
        depth, layer = _look_up(units, atlas)
    elif channels is not None:
        depth, layer = _place_along_probes(units, channels)
    else:
        raise InvalidArgumentError(
            "where the cortex begins is not known: give channels=session.channels, or an atlas"
        )
    return pd.DataFrame({"cortical_depth": depth, "cortical_layer": layer}, index=units.index)


def _place_along_probes(
    units: pd.DataFrame, channels: pd.DataFrame
) -> tuple[Floats, npt.NDArray[np.object_]]:
    """Return the depth of units between the ends of the cortex on their probe, and the layer."""
    areas = list_structures()
    cortical = areas.index[areas["division"] == "Isocortex"]
    not_in_brain = ["", "none", "None", "nan"]
    named = ("ecephys_structure_acronym", "probe_vertical_position")
    tables = []
    for table, what in ((channels, "the table of channels"), (units, "the table of units")):
        require_columns(table, *named, what=what)
        names = [name for name in ("probe_id", "ecephys_probe_id") if name in table]
        require_columns(table, *(names[:1] or ["probe_id"]), what=what)
        tables.append(
            pd.DataFrame(
                {
                    "probe": table[names[0]].to_numpy(),
                    "area": table[named[0]].to_numpy(dtype=object, na_value=""),
                    "height": table[named[1]].to_numpy(dtype=np.float64),
                }
            )
        )
    around, own = tables
    unknown = sorted(set(pd.concat(tables)["area"]).difference(areas.index, not_in_brain), key=str)
    if unknown:
        warnings.warn(
            f"{', '.join(map(repr, unknown[:8]))} and all other areas but {', '.join(cortical)} "
            "count as outside the cortex; with an atlas, all of the cortex is known",
            stacklevel=3,
        )
    ends = around.groupby("probe")["height"].agg(["min", "max"])
    inside = around[around["area"].isin(cortical)].sort_values(["probe", "height"])
    stretch = inside.groupby("probe")["height"].diff().gt(MAX_GAP_UM).cumsum().rename("stretch")
    stretches = inside.groupby(["probe", stretch])["height"].agg(["min", "max"])
    depth = np.full(len(own), np.nan)
    for (probe, _), (low, high) in zip(stretches.index, stretches.to_numpy(), strict=True):
        # where the cortex reaches the last channel, its end is not on the probe
        if ends.loc[probe, "min"] < low < high < ends.loc[probe, "max"]:
            rows = (own["probe"] == probe) & own["height"].between(low, high)
            rows &= own["area"].isin(cortical)
            depth[rows] = (high - own["height"][rows]) / (high - low)
    layer = np.full(len(own), np.nan, dtype=object)
    for area in own["area"][np.isfinite(depth)].unique():
        rows = np.flatnonzero((own["area"] == area) & np.isfinite(depth))
        borders = BOUNDARIES.get(area, BOUNDARIES[""])
        layer[rows] = np.array(LAYERS, dtype=object)[np.searchsorted(borders, depth[rows], "right")]
    return depth, layer


def _look_up(units: pd.DataFrame, atlas: xr.Dataset) -> tuple[Floats, npt.NDArray[np.object_]]:
    """Return depth and layer of the voxels in which units are."""
    columns = [f"{axis}_ccf_coordinate" for axis in AXES]
    require_columns(units, *columns, what="the table of units")
    volume = atlas["structure_id"].transpose(*AXES)
    at = units[columns].to_numpy(dtype=np.float64, na_value=np.nan)
    centres = [volume[axis].to_numpy() for axis in AXES]
    step = np.array([centre[1] - centre[0] for centre in centres])
    first = np.array([centre[0] for centre in centres]) - step / 2
    place = np.floor((at - first) / step)
    is_inside = ((place >= 0) & (place < volume.shape)).all(axis=1)
    depth = np.full(len(at), np.nan)
    layer = np.full(len(at), np.nan, dtype=object)
    if not is_inside.any():
        return depth, layer
    voxels = place[is_inside].astype(np.int64)
    structures = atlas[["acronym", "is_cortex"]].to_dataframe().sort_index()
    own = structures.reindex(volume.to_numpy()[tuple(voxels.T)])
    is_cortex = own["is_cortex"].eq(True).to_numpy()
    named = own["acronym"].astype(object).str.extract(LAYER_AT_END)[0]
    named = named.replace({"2": "2/3", "3": "2/3"}).where(is_cortex)
    layer[is_inside] = named.to_numpy(dtype=object)
    if not is_cortex.any():
        return depth, layer
    pia, white = _measure_distances(volume, structures, voxels[is_cortex], step)
    rows = np.flatnonzero(is_inside)[is_cortex]
    depth[rows] = pia / (pia + white)
    return depth, layer


def _measure_distances(
    volume: xr.DataArray, structures: pd.DataFrame, voxels: npt.NDArray[np.int64], step: Floats
) -> list[Floats]:
    """Measure how far voxels are from outside the brain and from what is not cortex in it [µm]."""
    from scipy.ndimage import binary_erosion
    from scipy.spatial import cKDTree

    margin = np.ceil(MARGIN_UM / step).astype(np.int64)
    start = np.maximum(voxels.min(axis=0) - margin, 0)
    stop = voxels.max(axis=0) + margin + 1
    box = volume[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))].to_numpy()
    ids = np.append(structures.index, np.iinfo(np.int64).max)
    kinds = np.append(np.where(structures["is_cortex"], CORTEX, OTHER), OUTSIDE)
    kind = np.empty(box.shape, dtype=np.uint8)
    # slice by slice, which takes less memory
    for k in range(box.shape[2]):
        at = ids.searchsorted(box[..., k])
        is_brain = box[..., k] != 0
        if (unknown := is_brain & (ids[at] != box[..., k])).any():
            raise InvalidArgumentError(
                f"atlas has voxels of structure {box[..., k][unknown][0]}, which is not one of its "
                f"{len(structures)} structures; needed: acronym and is_cortex of every structure, "
                "as in cache.get_atlas()"
            )
        kind[..., k] = np.where(is_brain, kinds[at], OUTSIDE)
    distances = []
    for border in (OUTSIDE, OTHER):
        is_there = kind == border
        # the nearest voxel is one at the border
        edge = np.argwhere(is_there & ~binary_erosion(is_there, border_value=True))
        away, _ = cKDTree(edge * step).query((voxels - start) * step)
        distances.append(np.where(np.isfinite(away), away - step.mean() / 2, np.nan))
    return distances
