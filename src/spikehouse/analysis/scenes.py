"""Metrics of natural scenes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.checks import Definition
from spikehouse.analysis.common import common_metrics
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.analysis.tuning import has_ties
from spikehouse.errors import InvalidArgumentError, guard_public

__all__ = ["compute_natural_scenes_metrics", "image_selectivity"]

Floats = npt.NDArray[np.float64]


def image_selectivity(means: npt.ArrayLike, *, n_steps: int = 1000) -> Floats:
    """Measure how few of the images, the first axis of ``means``, evoke a strong response.

    S = 1 − 2A, A the mean over thresholds θⱼ = min + j (max − min) / n_steps, j = 0 … n_steps − 1,
    of the share of images with a response above θⱼ (Quian Quiroga et al. 2007,
    doi:10.1152/jn.00125.2007). One outstanding image of n gives 1 − 2/n; 0 where half of the range
    is exceeded on average, or all responses are equal; negative where most images evoke nearly the
    largest response. NaN with fewer than two images.
    """
    values = np.asarray(means, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InvalidArgumentError(
            "a mean response is not a finite number; leave out the images that were never shown"
        )
    if len(values) < 2 or n_steps < 2:
        return np.full(values.shape[1:], np.nan)
    # the thresholds below a response are counted from its place in the range, not tried one by one
    lowest, highest = values.min(axis=0), values.max(axis=0)
    step = (highest - lowest) / n_steps
    with np.errstate(invalid="ignore", divide="ignore"):
        below = np.nan_to_num(np.ceil((values - lowest) / step), nan=0.0, posinf=0.0)
    # the division may be off by a rounding: ask the thresholds themselves
    below -= (below > 0) & ~(lowest + (below - 1) * step < values)
    below += lowest + below * step < values
    selectivity: Floats = 1 - 2 * np.clip(below, 0, n_steps).mean(axis=0) / n_steps
    return np.where(highest > lowest, selectivity, 0.0)


def compute_natural_scenes_metrics(
    responses: StimulusResponses,
    *,
    definition: Definition = "corrected",
    image_column: str = "frame",
) -> pd.DataFrame:
    """Compute the metrics of every unit from the natural scenes.

    Parameters
    ----------
    responses
        Responses to ``natural_scenes``.
    definition
        ``"corrected"``, or ``"published"`` for the numbers of the released tables.
    image_column
        Parameter with the number of the image; negative or missing for a blank sweep.

    Returns
    -------
    DataFrame
        Index ``unit_id``; pref_image_ns (int64: number of the image with the largest mean
        response), pref_images_multi_ns (bool: whether several images share it),
        image_selectivity_ns (`image_selectivity` of the mean responses) and the columns of
        `common_metrics`, with the suffix ``ns``. Blank sweeps are neither preferred nor part of
        image_selectivity_ns and lifetime_sparseness_ns.

    Raises
    ------
    InvalidArgumentError
        If there is no such parameter or nothing but blank sweeps.

    Notes
    -----
    In published tables pref_image_ns is the id of the stimulus condition, another number in
    every session, instead of the image. Of several equally good images the one first shown in the
    session is named. A unit without spikes has some pref_image_ns, with pref_images_multi_ns true.
    """
    responses = responses.defined_as(definition)
    images = _read_images(responses, image_column)
    is_blank = ~(images >= 0)
    preferred = responses.preferred_conditions(~is_blank)
    means = responses.condition_means[~is_blank]
    named = responses.condition_ids if definition == "published" else images
    common = common_metrics(responses, suffix="ns", preferred=preferred, is_blank=is_blank)
    table = pd.DataFrame(
        {
            "pref_image_ns": named[preferred].astype(np.int64),
            "pref_images_multi_ns": has_ties(means, definition=definition),
            "image_selectivity_ns": image_selectivity(means),
        },
        index=common.index,
    )
    rest = ["firing_rate", "fano", "time_to_peak", "lifetime_sparseness", "run_pval", "run_mod"]
    return table.join(common[[f"{name}_ns" for name in rest]])


def _read_images(responses: StimulusResponses, column: str) -> Floats:
    conditions = responses.conditions
    if column not in conditions:
        raise InvalidArgumentError(
            f"{responses.stimulus_name} has no parameter {column!r}; it has "
            f"{', '.join(map(str, conditions.columns)) or 'none'}"
        )
    return conditions[column].to_numpy(dtype=np.float64)


guard_public(globals())
