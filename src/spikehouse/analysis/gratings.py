"""Metrics of drifting and static gratings and of moving dots.

Siegle et al. 2021, doi:10.1038/s41586-020-03171-x.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.checks import Definition, divide
from spikehouse.analysis.common import common_metrics
from spikehouse.analysis.contrast import c50
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.analysis.temporal import f1_f0, modulation_index
from spikehouse.analysis.tuning import (
    compute_direction_selectivity,
    compute_orientation_selectivity,
    has_ties,
    mean_by_value,
    preferred_position,
    preferred_value,
)
from spikehouse.errors import InvalidArgumentError

Floats = npt.NDArray[np.float64]

BIN_WIDTH = 0.001
# Bins of single trials are counted for so many units at once: 75 trials of 2 s take 40 MB.
N_UNITS_AT_ONCE = 32


def compute_drifting_gratings_metrics(
    responses: StimulusResponses,
    *,
    contrast: StimulusResponses | None = None,
    definition: Definition = "corrected",
) -> pd.DataFrame:
    """Compute the metrics of drifting gratings.

    Parameters
    ----------
    responses
        Responses to drifting_gratings or drifting_gratings_75_repeats, with orientation [degrees]
        and temporal_frequency [Hz] in the presentations, NaN in blank sweeps.
    contrast
        Responses of the same units to drifting_gratings_contrast, with orientation and contrast;
        without it c50_dg is NaN.
    definition
        ``"corrected"``, or ``"published"`` for the numbers of the released tables.

    Returns
    -------
    DataFrame
        Index ``unit_id``; these columns, in this order:

        - pref_ori_dg [degrees], pref_tf_dg [Hz] (`preferred_value` of the mean responses),
          pref_ori_multi_dg, pref_tf_multi_dg (`has_ties`, bool);
        - c50_dg (`c50`, in the preferred direction; NaN also where that is not among those of the
          contrast stimulus);
        - f1_f0_dg, mod_idx_dg (`f1_f0` and `modulation_index` of the average trial at the
          preferred condition; published f1_f0_dg is the mean over the trials with spikes);
        - g_osi_dg, g_dsi_dg (`compute_orientation_selectivity`, `compute_direction_selectivity`
          at the preferred temporal frequency; NaN also if a direction was not shown at it);
        - firing_rate_dg, fano_dg, lifetime_sparseness_dg, run_pval_dg, run_mod_dg
          (`common_metrics`).

    Notes
    -----
    Responses are spikes from the onset to the end of the presentation, those of f1_f0_dg and
    mod_idx_dg spikes in bins of 1 ms from the onset for the trial's duration.

    The functions named document how the two definitions differ.

    References
    ----------
    Siegle et al. 2021, doi:10.1038/s41586-020-03171-x.

    Examples
    --------
    >>> metrics = compute_drifting_gratings_metrics(session.get_responses("drifting_gratings", 2.0))
    >>> metrics[["pref_ori_dg", "pref_tf_dg", "firing_rate_dg"]].round(1).head(3)
               pref_ori_dg  pref_tf_dg  firing_rate_dg
    unit_id
    950100383        135.0         4.0             0.7
    950100404        270.0         4.0            16.9
    950100393        315.0         2.0             3.5
    """
    responses = responses.defined_as(definition)
    orientation = condition_values(responses, "orientation")
    frequency = condition_values(responses, "temporal_frequency")
    is_blank = np.isnan(orientation) | np.isnan(frequency)
    condition = responses.preferred_conditions(~is_blank)
    own = preferred_columns(responses, {"pref_ori": orientation, "pref_tf": frequency}, is_blank)
    if contrast is not None:
        contrast = contrast.defined_as(definition)
    own["c50"] = _c50_at(contrast, responses, np.asarray(own["pref_ori"]))
    own["f1_f0"], own["mod_idx"] = _modulation(responses, condition, frequency)
    angles, curves = tuning_curves(responses, orientation, fixed=(frequency,))
    own["g_osi"] = compute_orientation_selectivity(angles, curves, definition=definition)
    own["g_dsi"] = compute_direction_selectivity(angles, curves, definition=definition)
    names = ("firing_rate", "fano", "lifetime_sparseness", "run_pval", "run_mod")
    return common_metrics(
        responses, suffix="dg", preferred=condition, is_blank=is_blank, own=own, names=names
    )


def compute_static_gratings_metrics(
    responses: StimulusResponses, *, definition: Definition = "corrected"
) -> pd.DataFrame:
    """Compute the metrics of static gratings.

    Parameters
    ----------
    responses
        Responses to static_gratings, with orientation [degrees], spatial_frequency
        [cycles/degree] and phase [cycles] in the presentations, NaN in blank sweeps.
    definition
        ``"corrected"``, or ``"published"`` for the numbers of the released tables.

    Returns
    -------
    DataFrame
        Index ``unit_id``; these columns, in this order:

        - pref_sf_sg [cycles/degree], pref_ori_sg [degrees], pref_phase_sg [cycles]
          (`preferred_value` of the mean responses), pref_sf_multi_sg, pref_ori_multi_sg,
          pref_phase_multi_sg (`has_ties`, bool);
        - g_osi_sg (`compute_orientation_selectivity` at the preferred spatial frequency and phase;
          NaN also if an orientation was not shown with them);
        - time_to_peak_sg [s], firing_rate_sg, fano_sg, lifetime_sparseness_sg, run_pval_sg,
          run_mod_sg (`common_metrics`).

    Notes
    -----
    Responses are spikes from the onset to the end of the presentation. The functions named
    document how the two definitions differ.

    Examples
    --------
    >>> metrics = compute_static_gratings_metrics(session.get_responses("static_gratings", 0.25))
    >>> metrics[["pref_sf_sg", "pref_ori_sg", "firing_rate_sg"]].round(2).head(3)
               pref_sf_sg  pref_ori_sg  firing_rate_sg
    unit_id
    950100383        0.04         90.0            0.46
    950100404        0.02         30.0            9.38
    950100393        0.02         60.0            1.54
    """
    responses = responses.defined_as(definition)
    orientation = condition_values(responses, "orientation")
    frequency = condition_values(responses, "spatial_frequency")
    phase = condition_values(responses, "phase")
    is_blank = np.isnan(orientation) | np.isnan(frequency) | np.isnan(phase)
    condition = responses.preferred_conditions(~is_blank)
    parameters = {"pref_sf": frequency, "pref_ori": orientation, "pref_phase": phase}
    own = preferred_columns(responses, parameters, is_blank)
    angles, curves = tuning_curves(responses, orientation, fixed=(frequency, phase))
    own["g_osi"] = compute_orientation_selectivity(angles, curves, definition=definition)
    names = ("time_to_peak", "firing_rate", "fano", "lifetime_sparseness", "run_pval", "run_mod")
    return common_metrics(
        responses, suffix="sg", preferred=condition, is_blank=is_blank, own=own, names=names
    )


def compute_dot_motion_metrics(
    responses: StimulusResponses, *, definition: Definition = "corrected"
) -> pd.DataFrame:
    """Compute the metrics of moving dots.

    Parameters
    ----------
    responses
        Responses to dot_motion, with Dir [degrees] and Speed (as in the stimulus table) in the
        presentations, NaN in blank sweeps.
    definition
        ``"corrected"``, or ``"published"`` for the numbers of the released tables.

    Returns
    -------
    DataFrame
        Index ``unit_id``; these columns, in this order:

        - pref_speed_dm, pref_dir_dm [degrees] (`preferred_value` of the mean responses),
          pref_speed_multi_dm, pref_dir_multi_dm (`has_ties`, bool);
        - firing_rate_dm, fano_dm, time_to_peak_dm [s], lifetime_sparseness_dm, run_mod_dm,
          run_pval_dm (`common_metrics`).

    Notes
    -----
    Published tables take the blank sweeps of this stimulus for one more condition: the preferred
    one, at which fano, time_to_peak and run_* are measured, can be the blank, and
    lifetime_sparseness_dm counts it. Corrected ones leave them out, as those of all other stimuli.

    Examples
    --------
    >>> shown = pd.DataFrame(
    ...     {
    ...         "start_time": np.arange(4.0),
    ...         "stop_time": np.arange(4.0) + 1,
    ...         "stimulus_condition_id": range(4),
    ...         "Dir": [0, 0, 90, 90],
    ...         "Speed": [0.001, 0.02, 0.001, 0.02],
    ...     }
    ... )
    >>> responses = StimulusResponses.from_counts([[1], [2], [3], [9]], shown, [7])
    >>> compute_dot_motion_metrics(responses)[["pref_speed_dm", "pref_dir_dm"]]
             pref_speed_dm  pref_dir_dm
    unit_id
    7                 0.02         90.0
    """
    responses = responses.defined_as(definition)
    direction, speed = (condition_values(responses, name) for name in ("Dir", "Speed"))
    is_blank = np.isnan(direction) | np.isnan(speed)
    left_out = np.zeros_like(is_blank) if definition == "published" else is_blank
    condition = responses.preferred_conditions(~left_out)
    own = preferred_columns(responses, {"pref_speed": speed, "pref_dir": direction}, is_blank)
    names = ("firing_rate", "fano", "time_to_peak", "lifetime_sparseness", "run_mod", "run_pval")
    return common_metrics(
        responses, suffix="dm", preferred=condition, is_blank=left_out, own=own, names=names
    )


def condition_values(responses: StimulusResponses, name: str) -> Floats:
    """Return a parameter of the stimulus in every condition, NaN in blank sweeps."""
    if name not in responses.conditions:
        raise InvalidArgumentError(
            f"the presentations of {responses.stimulus_name} have no column {name!r}; they have "
            f"{', '.join(map(repr, responses.conditions))}"
        )
    try:
        return responses.conditions[name].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"column {name!r} of {responses.stimulus_name} does not hold numbers; take the table "
            'of session.get_stimulus_table(..., missing="nan")'
        ) from error


def preferred_columns(
    responses: StimulusResponses, parameters: dict[str, Floats], is_blank: npt.NDArray[np.bool_]
) -> dict[str, npt.NDArray[np.generic]]:
    """Return the columns ``<name>`` and ``<name>_multi`` for each parameter."""
    columns: dict[str, npt.NDArray[np.generic]] = {}
    for name, parameter in parameters.items():
        shown = np.where(is_blank, np.nan, parameter)
        values, means = mean_by_value(responses.condition_means, shown)
        columns[name] = preferred_value(values, means, definition=responses.definition)
        columns[f"{name}_multi"] = has_ties(means, definition=responses.definition)
    return columns


def tuning_curves(
    responses: StimulusResponses, angle: Floats, *, fixed: tuple[Floats, ...]
) -> tuple[Floats, Floats]:
    """Return angles and each unit's responses to them at its preferred other parameters."""
    means = responses.condition_means
    is_blank = np.isnan(angle) | np.isnan(fixed).any(axis=0)
    angles = np.unique(angle[~is_blank])
    wanted = np.empty((len(fixed), responses.n_units))
    for number, parameter in enumerate(fixed):
        values, by_value = mean_by_value(means, np.where(is_blank, np.nan, parameter))
        wanted[number] = values[preferred_position(by_value, definition=responses.definition)]
    curves = np.full((len(angles), responses.n_units), np.nan)
    combinations, of_unit = np.unique(wanted, axis=1, return_inverse=True)
    for number, values in enumerate(combinations.T):
        units = np.flatnonzero(of_unit.ravel() == number)
        rows = np.flatnonzero((np.array(fixed) == values[:, None]).all(axis=0) & ~is_blank)
        there, curve = mean_by_value(means[np.ix_(rows, units)], angle[rows])
        curves[np.ix_(np.searchsorted(angles, there), units)] = curve
    return angles, curves


def _modulation(
    responses: StimulusResponses, condition: npt.NDArray[np.intp], frequency: Floats
) -> tuple[Floats, Floats]:
    """Compute f1_f0 and modulation_index of every unit at its preferred condition."""
    definition = responses.definition
    ratios, indices = np.full(responses.n_units, np.nan), np.full(responses.n_units, np.nan)
    if not responses.has_spike_times:
        return ratios, indices
    n_bins = max(round(responses.trial_duration / BIN_WIDTH), 1)
    if definition == "published":
        n_bins = max(n_bins - 1, 1)  # its bins end before the trial
    edges = BIN_WIDTH * np.arange(n_bins + 1)
    for units, at in _by_condition(condition):
        onsets = responses.onsets[responses.condition_of == at]
        ids = np.asarray(responses.unit_ids)[units]
        counts = np.moveaxis(responses.count_bins(edges, onsets, ids), -1, 0)
        psth = counts.mean(axis=1)
        indices[units] = modulation_index(
            psth, frequency[at], bin_width=BIN_WIDTH, definition=definition
        )
        # the released tables average the ratios of single trials
        measured = counts if definition == "published" else psth[:, None]
        trials = f1_f0(measured, frequency[at], bin_width=BIN_WIDTH, definition=definition)
        ratios[units] = divide(np.nansum(trials, axis=1), np.isfinite(trials).sum(axis=1))
    return ratios, indices


def _by_condition(condition: npt.NDArray[np.intp]) -> Iterator[tuple[npt.NDArray[np.intp], int]]:
    """Iterate over small groups of units that have a condition in common."""
    for at in np.unique(condition):
        units = np.flatnonzero(condition == at)
        for first in range(0, len(units), N_UNITS_AT_ONCE):
            yield units[first : first + N_UNITS_AT_ONCE], int(at)


def _c50_at(
    contrast: StimulusResponses | None, responses: StimulusResponses, direction: Floats
) -> Floats:
    """Compute c50 of every unit in a direction of its own."""
    found = np.full(responses.n_units, np.nan)
    if contrast is None:
        return found
    if not np.array_equal(contrast.unit_ids, responses.unit_ids):
        raise InvalidArgumentError(
            f"contrast has {contrast.n_units} units that are not, or not in the order of, the "
            f"{responses.n_units} of responses; give both the same unit_ids"
        )
    shown, levels = (condition_values(contrast, name) for name in ("orientation", "contrast"))
    for value in np.unique(shown[~np.isnan(shown)]):
        units = np.flatnonzero(direction == value)
        rows = np.flatnonzero((shown == value) & ~np.isnan(levels))
        if units.size:
            means = contrast.condition_means[np.ix_(rows, units)]
            found[units] = c50(levels[rows], means, definition=responses.definition)
    return found
