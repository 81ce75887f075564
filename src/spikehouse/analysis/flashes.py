"""Metrics of full-field flashes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.checks import Definition, check_not_negative
from spikehouse.analysis.common import peak_times, preferred_psth, psth_edges, trial_metrics
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.errors import InvalidArgumentError, guard_public
from spikehouse.labelled import align, rows_first

__all__ = ["compute_flashes_metrics", "on_off_ratio", "sustained_index"]

Floats = npt.NDArray[np.float64]


def on_off_ratio(means: npt.ArrayLike, colors: npt.ArrayLike) -> Floats:
    """Divide the mean response to bright flashes by that to dark ones: R(on) / R(off).

    ``means`` has the shape (n_conditions, …); ``colors`` is 1 for bright and −1 for dark flashes.
    Both responses include the spontaneous rate. NaN where there is no response to dark flashes, or
    one of the two was not shown. Siegle et al. 2021, doi:10.1038/s41586-020-03171-x.
    """
    colors, means = align(colors=colors, means=rows_first(means))
    values = np.asarray(means, dtype=np.float64)
    check_not_negative(values, "means")
    shown = np.asarray(colors, dtype=np.float64)
    bright, dark = np.flatnonzero(shown == 1), np.flatnonzero(shown == -1)
    if not bright.size or not dark.size:
        return np.full(values.shape[1:], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = values[bright[0]] / values[dark[0]]
    return np.where(values[dark[0]] > 0, ratio, np.nan)


def sustained_index(psth: npt.ArrayLike) -> Floats:
    """Divide the mean of a histogram (…, n_bins) by its maximum: mean(psth) / max(psth).

    Near 0 for a brief response, 1 for a constant one; NaN without spikes. In bins of 1 ms the
    maximum of a unit with few spikes is mostly noise and its index low: smooth the histogram first,
    as `compute_flashes_metrics` does. Siegle et al. 2021, doi:10.1038/s41586-020-03171-x.
    """
    values = np.asarray(psth, dtype=np.float64)
    check_not_negative(values, "psth")
    largest = values.max(axis=-1, initial=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        index = values.sum(axis=-1) / values.shape[-1] / largest
    return np.where(largest > 0, index, np.nan)


def compute_flashes_metrics(
    responses: StimulusResponses,
    *,
    definition: Definition = "corrected",
    color_column: str = "color",
    bin_width: float = 0.001,
) -> pd.DataFrame:
    """Compute the metrics of every unit from the flashes.

    Parameters
    ----------
    responses
        Responses to ``flashes``.
    definition
        ``"corrected"``, or ``"published"`` for the numbers of the released tables.
    color_column
        Parameter that is 1 for a bright and −1 for a dark flash.
    bin_width
        Bins of the histogram for sustained_idx_fl and time_to_peak_fl [s].

    Returns
    -------
    DataFrame
        Index ``unit_id``; float64 columns on_off_ratio_fl (`on_off_ratio`), sustained_idx_fl
        (`sustained_index` of the response to the preferred flash, smoothed by a Gaussian of 10 ms
        unless published) and those of
        `spikehouse.analysis.common.common_metrics`, with the suffix ``fl``. firing_rate_fl is the
        rate during flashes, without the grey in between.

    Raises
    ------
    InvalidArgumentError
        If there is no such parameter.
    """
    responses = responses.defined_as(definition)
    conditions = responses.conditions
    if color_column not in conditions:
        raise InvalidArgumentError(
            f"{responses.stimulus_name} has no parameter {color_column!r}; it has "
            f"{', '.join(map(str, conditions.columns)) or 'none'}"
        )
    colors = conditions[color_column].to_numpy(dtype=np.float64)
    preferred = responses.preferred_conditions()
    edges = psth_edges(responses.trial_duration, resolution=bin_width)
    psth = preferred_psth(responses, preferred, edges)
    common = trial_metrics(responses, suffix="fl", preferred=preferred)
    table = pd.DataFrame(
        {
            "on_off_ratio_fl": on_off_ratio(responses.condition_means, colors),
            "sustained_idx_fl": sustained_index(psth),
            "firing_rate_fl": common["firing_rate_fl"],
            "time_to_peak_fl": peak_times(psth, edges, definition=definition),
        },
        index=common.index,
    )
    return table.join(common.drop(columns="firing_rate_fl"))


guard_public(globals())
