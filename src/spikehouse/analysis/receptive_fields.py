"""Receptive fields mapped with small gratings at many positions: maps, test and metrics."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis.checks import Definition, divide
from spikehouse.analysis.common import common_metrics
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.analysis.rf_shapes import (
    GaussianFit,
    ThresholdedMap,
    fit_2d_gaussian,
    invert_rf,
    is_rf_inverted,
    rf_on_screen,
    threshold_rf,
)
from spikehouse.analysis.rf_significance import permutation_p_values, resampling_p_values
from spikehouse.errors import InvalidArgumentError

Floats = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]

# published maps count spikes for this long, whatever the trial's duration
MAP_WINDOW_S = 0.249
# what the middle of the screen is called, from the animal's centre of gaze [degrees]
MIDDLE_AZIMUTH, MIDDLE_ELEVATION = 50.0, 10.0

RF_COLUMNS = (
    "azimuth_rf",
    "elevation_rf",
    "width_rf",
    "height_rf",
    "area_rf",
    "p_value_rf",
    "on_screen_rf",
    "firing_rate_rf",
    "fano_rf",
    "time_to_peak_rf",
    "lifetime_sparseness_rf",
    "run_mod_rf",
    "run_pval_rf",
)


@dataclass(frozen=True)
class _Positions:
    """The positions [degrees] of a stimulus: x from left to right, y from the top down."""

    is_located: npt.NDArray[np.bool_]
    x: Floats
    y: Floats
    pixel_of: npt.NDArray[np.intp]

    @property
    def n_shown(self) -> npt.NDArray[np.intp]:
        """Count how often each position was shown, (n_rows, n_columns)."""
        n = np.bincount(self.pixel_of, minlength=self.x.size * self.y.size)
        return n.reshape(self.y.size, self.x.size)


def compute_receptive_field_maps(
    responses: StimulusResponses, *, duration: float = MAP_WINDOW_S
) -> xr.DataArray:
    """Average the responses of units to every position of the stimulus.

    Parameters
    ----------
    responses
        Responses to a stimulus with x_position and y_position [degrees], such as gabors.
    duration
        How long spikes are counted from the onset [s].

    Returns
    -------
    DataArray
        Spikes per presentation; dims unit_id, y_position, x_position. Row 0 is the top of the
        screen (the largest y_position), column 0 its left side. The coordinates azimuth and
        elevation [degrees] are from the centre of gaze. NaN where a position was never shown.

    Notes
    -----
    All orientations of a position are averaged. Blank sweeps are left out. The default duration is
    the published one, for trials of 0.25 s. Responses made of counts have none: the counts are
    taken as they are.

    Examples
    --------
    >>> maps = compute_receptive_field_maps(session.get_responses("gabors", 0.25))
    >>> dict(maps.sizes)
    {'unit_id': 16, 'y_position': 9, 'x_position': 9}
    >>> maps["azimuth"].values
    array([10., 20., 30., 40., 50., 60., 70., 80., 90.])
    """
    positions = _find_positions(responses)
    sums = _count_by_position(responses, positions, duration)
    return xr.DataArray(
        divide(sums, positions.n_shown),
        dims=("unit_id", "y_position", "x_position"),
        coords={
            "unit_id": np.asarray(responses.unit_ids, dtype=np.int64),
            "y_position": ("y_position", positions.y, {"units": "degrees"}),
            "x_position": ("x_position", positions.x, {"units": "degrees"}),
            "elevation": ("y_position", positions.y + MIDDLE_ELEVATION, {"units": "degrees"}),
            "azimuth": ("x_position", positions.x + MIDDLE_AZIMUTH, {"units": "degrees"}),
        },
        name="receptive_fields",
        attrs={
            "units": "spikes per presentation",
            "duration_s": duration,
            "source": f"presentations of {responses.stimulus_name}",
        },
    )


def compute_receptive_field_metrics(
    responses: StimulusResponses,
    *,
    definition: Definition = "corrected",
    n_resamples: int | None = None,
    seed: int | np.random.RandomState = 0,
    minimum_spike_count: float = 10.0,
    mask_threshold: float | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Compute the receptive-field metrics of units.

    Parameters
    ----------
    responses
        Responses to a stimulus with x_position and y_position [degrees], such as gabors.
    definition
        ``"corrected"``, or ``"published"`` for the numbers of the released tables.
    n_resamples
        Number of resamples in the test. If None, 10 000 permutations for corrected and 1000
        resamples for published p-values.
    seed
        Seed of the test.
    minimum_spike_count
        Units with fewer spikes in all trials have no receptive field.
    mask_threshold
        Threshold of the mask, see `threshold_rf`. If None, 0.5 for corrected and 1 for published
        metrics.
    progress
        Called with (done, total) by the test.

    Returns
    -------
    DataFrame
        Index ``unit_id``, columns `RF_COLUMNS`, float64 but the boolean on_screen_rf:
        azimuth_rf, elevation_rf [degrees from the centre of gaze] of the thresholded map's centre
        of mass (50, 10 is the middle of the screen); width_rf, height_rf [degrees], standard
        deviations of a Gaussian on a baseline fitted to the map, which is inverted first if it is
        suppressed; area_rf [degrees²] of the thresholded map; p_value_rf; on_screen_rf, whether
        the fit found a Gaussian on the screen (`fit_2d_gaussian`); and those of `common_metrics`
        at the preferred condition.

        All but the common ones are NaN, and on_screen_rf False, for units with fewer spikes than
        the minimum. Azimuth and elevation are NaN, area 0, where the smoothed map is the same
        everywhere. Width and height are NaN where on_screen_rf is False. Heights and areas are
        NaN where there is one row, widths and areas where there is one column.

    Notes
    -----
    Formulas: `threshold_rf`, `fit_2d_gaussian`, `permutation_p_values` [1]_. Azimuth, elevation and
    area of a suppressed unit are those of the map as it is.

    On simulated units of known size (45 presentations a position, p_value_rf < 0.01) the median
    error of width_rf is 1.1° and its rank correlation with the truth 0.83; published: 28° and 0,
    because the published Gaussian has no baseline and grows with the rate far from the field.

    Published metrics are those of maps of whole numbers (`smooth_maps`), of `resampling_p_values`
    and of the fit's last step where it did not converge; where a position was never shown, all
    units have area 0 and NaN. Widths are the released ones as far as the map determines them:
    where the fit follows noise, its end depends on SciPy's version. The released files have
    width_rf and height_rf under each other's name; here, and in the tables of the cache, they
    stand under their own.

    About 1 to 3 ms a unit for the fit.

    References
    ----------
    .. [1] Siegle, J. H. et al. (2021). Survey of spiking in the mouse visual system reveals
       functional hierarchy. Nature 592, 86–92. https://doi.org/10.1038/s41586-020-03171-x

    Examples
    --------
    >>> gabors = session.get_responses("gabors", 0.25)
    >>> metrics = compute_receptive_field_metrics(gabors, n_resamples=100)
    >>> metrics.loc[950100515, ["azimuth_rf", "elevation_rf", "area_rf"]].to_dict()
    {'azimuth_rf': 46.667, 'elevation_rf': 3.3330000000000037, 'area_rf': 300.0}
    """
    responses = responses.defined_as(definition)
    positions = _find_positions(responses)
    trials = responses.counts[positions.is_located]
    is_counted = trials.sum(axis=0) >= minimum_spike_count
    is_published = definition == "published"
    if not is_published and isinstance(seed, np.random.RandomState):
        raise InvalidArgumentError(
            "permutations need a number as seed; a RandomState is for definition='published'"
        )
    maps = _sum_maps(responses, positions)[is_counted]
    shapes = _shape_metrics(maps, positions, mask_threshold, definition=definition)
    # the published test numbers positions by x, then from the top down
    row, column = np.divmod(positions.pixel_of, positions.x.size)
    group = np.unique(column * positions.y.size + row, return_inverse=True)[1]
    if n_resamples is None:
        n_resamples = 1000 if is_published else 10_000
    options: dict[str, Any] = {"n_resamples": n_resamples, "seed": seed, "progress": progress}
    test = resampling_p_values if is_published else permutation_p_values
    shapes["p_value_rf"] = test(trials[:, is_counted], group, **options)
    is_blank = responses.conditions[["x_position", "y_position"]].isna().any(axis=1).to_numpy()
    if is_published:
        is_blank = np.zeros_like(is_blank)
    preferred = responses.preferred_conditions(~is_blank)
    table = common_metrics(responses, suffix="rf", preferred=preferred, is_blank=is_blank)
    for name, values in shapes.items():
        table[name] = np.nan if values.dtype == np.float64 else False
        table.loc[is_counted, name] = values
    return table[list(RF_COLUMNS)]


def fit_receptive_fields(maps: xr.DataArray, *, mask_threshold: float = 0.5) -> xr.Dataset:
    """Outline the receptive field in each map, and fit a Gaussian to it.

    Parameters
    ----------
    maps
        What :func:`compute_receptive_field_maps` gives: dims unit_id, y_position, x_position, with
        azimuth and elevation [degrees].
    mask_threshold
        How many standard deviations of the smoothed map below its peak the outline is drawn.

    Returns
    -------
    Dataset
        By unit_id: ``mask`` (y_position, x_position), the part of the map around its peak, without
        any position where the smoothed map is the same everywhere; ``center_azimuth`` and
        ``center_elevation``, the centre of the fitted Gaussian, ``width`` and ``height``, its
        standard deviations [degrees]; ``baseline`` and ``peak`` [unit of the maps], the Gaussian's
        value far away and at its centre; NaN where ``is_fitted`` is False, which means that the
        map does not determine a Gaussian on the screen; ``is_suppressed``, whether the field is
        where the unit fires less, and the Gaussian was fitted upside down.

    Notes
    -----
    Mask, fit and its conditions are those of azimuth_rf … on_screen_rf in
    :func:`compute_receptive_field_metrics`; but azimuth_rf and elevation_rf are the centre of mass
    of the mask, and here those of the Gaussian.

    Examples
    --------
    >>> maps = compute_receptive_field_maps(session.get_responses("gabors", 0.25))
    >>> fields = fit_receptive_fields(maps)
    >>> fields["center_azimuth"].sel(unit_id=fields["is_fitted"]).round().to_series()
    unit_id
    950100393    50.0
    950100278    65.0
    950100550    28.0
    Name: center_azimuth, dtype: float64
    """
    order = ("unit_id", "y_position", "x_position")
    if set(maps.dims) != set(order) or not {"azimuth", "elevation"} <= set(maps.coords):
        raise InvalidArgumentError(
            f"maps have the dimensions {maps.dims} and coordinates {tuple(maps.coords)}; give what "
            "compute_receptive_field_maps returns"
        )
    maps = maps.transpose(*order)
    values = maps.to_numpy().astype(np.float64)
    part, is_suppressed, fit = _find_shapes(values, mask_threshold, definition="corrected")
    # a suppressed map was fitted as its largest value minus the map
    level = np.where(is_suppressed, np.nanmax(values, axis=(1, 2), initial=-np.inf), 0.0)
    sign = np.where(is_suppressed, -1.0, 1.0)
    azimuth, elevation = maps["azimuth"].to_numpy(), maps["elevation"].to_numpy()
    step_x, step_y = _spacing(azimuth), _spacing(elevation)
    found = {
        # a centre may lie in the outer half of a position at the edge; row 0 is the top
        "center_azimuth": azimuth[0] + fit.center_x * step_x,
        "center_elevation": elevation[0] - fit.center_y * step_y,
        "width": fit.width_x * step_x,
        "height": fit.width_y * step_y,
        "baseline": level + sign * fit.baseline,
        "peak": level + sign * (fit.baseline + fit.peak_height),
    }
    return xr.Dataset(
        {
            "mask": (order, part.mask),
            **{name: ("unit_id", np.where(fit.is_fitted, a, np.nan)) for name, a in found.items()},
            "is_fitted": ("unit_id", fit.is_fitted),
            "is_suppressed": ("unit_id", is_suppressed),
        },
        coords={name: maps.coords[name] for name in (*order, "azimuth", "elevation")},
        attrs={"units": maps.attrs.get("units", "")},
    )


def _find_shapes(
    maps: npt.NDArray[np.generic], mask_threshold: float, *, definition: Definition
) -> tuple[ThresholdedMap, npt.NDArray[np.bool_], GaussianFit]:
    """Find the part around the peak, whether it is suppression, and the Gaussian of maps."""
    part = threshold_rf(maps, mask_threshold, definition=definition)
    is_inverted = is_rf_inverted(part.mask)
    upright = np.where(is_inverted[:, None, None], invert_rf(maps), maps)
    return part, is_inverted, fit_2d_gaussian(upright, definition=definition)


def _shape_metrics(
    maps: npt.NDArray[np.generic],
    positions: _Positions,
    mask_threshold: float | None,
    *,
    definition: Definition,
) -> dict[str, npt.NDArray[np.generic]]:
    """Compute the columns that depend on the maps alone."""
    if mask_threshold is None:
        mask_threshold = 1.0 if definition == "published" else 0.5
    part, _, fit = _find_shapes(maps, mask_threshold, definition=definition)
    is_fitted, on_screen = fit.is_fitted, fit.is_fitted
    if definition == "published":
        # the numbers of the last step, whether or not the fit converged
        is_fitted = np.ones_like(is_fitted)
        on_screen = rf_on_screen(maps.shape, fit.center_y, fit.center_x)
    x, y = positions.x, positions.y
    step_y, step_x = _spacing(y), _spacing(x)
    return {
        # at a fractional column or row; NaN stays NaN
        "azimuth_rf": np.interp(part.center_x, np.arange(x.size), x) + MIDDLE_AZIMUTH,
        "elevation_rf": np.interp(part.center_y, np.arange(y.size), y) + MIDDLE_ELEVATION,
        "width_rf": np.where(is_fitted, fit.width_x * step_x, np.nan),
        "height_rf": np.where(is_fitted, fit.width_y * step_y, np.nan),
        "area_rf": part.area * (step_x * step_y),
        "on_screen_rf": on_screen,
    }


def _find_positions(responses: StimulusResponses) -> _Positions:
    """Find the positions of a stimulus, the rows from the top down."""
    missing = [n for n in ("x_position", "y_position") if n not in responses.presentations]
    if missing:
        raise InvalidArgumentError(
            f"{responses.stimulus_name} has no {' and no '.join(missing)}: receptive fields need "
            "a stimulus shown at several positions, such as gabors"
        )
    x = responses.presentations["x_position"].to_numpy(dtype=np.float64)
    y = responses.presentations["y_position"].to_numpy(dtype=np.float64)
    is_located = np.isfinite(x) & np.isfinite(y)
    if not is_located.any():
        raise InvalidArgumentError(
            f"no presentation of {responses.stimulus_name} has a position: give gabors"
        )
    columns, column_of = np.unique(x[is_located], return_inverse=True)
    rows, row_of = np.unique(-y[is_located], return_inverse=True)
    return _Positions(is_located, columns, 0.0 - rows, row_of * columns.size + column_of)


def _count_by_position(
    responses: StimulusResponses, positions: _Positions, duration: float
) -> npt.NDArray[np.int64]:
    """Count spikes of all presentations at a position, shape (n_units, n_rows, n_columns)."""
    if not (np.isfinite(duration) and duration > 0):
        raise InvalidArgumentError(
            f"duration is {duration}; give how long spikes are counted from the onset [s], "
            "for instance 0.249"
        )
    if responses.given_counts is not None:
        counts = responses.counts[positions.is_located]
    else:
        # published maps are of two bins: a spike on the edge between them counts in both
        edges = np.linspace(0.0, duration, 3 if responses.definition == "published" else 2)
        onsets = responses.onsets[positions.is_located]
        counts = responses.count_bins(edges, onsets, responses.unit_ids).sum(axis=1)
    n_pixels = positions.x.size * positions.y.size
    sums = np.zeros((n_pixels, responses.n_units), np.int64)
    np.add.at(sums, positions.pixel_of, counts)
    return sums.T.reshape(responses.n_units, positions.y.size, positions.x.size)


def _sum_maps(
    responses: StimulusResponses, positions: _Positions
) -> Floats | npt.NDArray[np.int64]:
    """Sum spikes by position, weighted as if every position had been shown equally often."""
    sums = _count_by_position(responses, positions, MAP_WINDOW_S)
    n_shown = positions.n_shown
    # published maps are whole numbers and not weighted; a position that was never shown leaves none
    if responses.definition == "published":
        return sums if (n_shown > 0).all() else np.full(sums.shape, np.nan)
    usual = n_shown.sum() / np.count_nonzero(n_shown)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums * (usual / n_shown))


def _spacing(values: Floats) -> float:
    """Return the mean distance of neighbouring positions; NaN if there is one."""
    return float(abs(values[-1] - values[0]) / (values.size - 1)) if values.size > 1 else math.nan
