"""Metrics that every stimulus has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.checks import Definition
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.analysis.variability import (
    compute_fano_factor,
    compute_lifetime_sparseness,
    firing_rate,
    running_modulation,
    stimulus_blocks,
)
from spikehouse.errors import InvalidArgumentError

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]

# Standard deviation of the Gaussian that smooths responses before their maximum is taken.
PSTH_SIGMA_S = 0.01


@dataclass(frozen=True)
class Trials:
    """Spike counts and speeds in the trials of one condition per unit, (n_trials, n_units) each.

    Rows beyond the trials of a unit's condition are padding, where ``is_trial`` is False.
    """

    counts: npt.NDArray[np.int64]
    speeds: Floats
    is_trial: Bools


def preferred_trials(responses: StimulusResponses, condition: Positions) -> Trials:
    """Collect each unit's trials of its own condition, in the order they were shown."""
    n_shown = responses.n_shown
    order = np.argsort(responses.condition_of, kind="stable")
    first = np.r_[0, np.cumsum(n_shown)[:-1]]
    turn = np.arange(n_shown[condition].max(initial=0))[:, None]
    is_trial = turn < n_shown[condition]
    rows = order[np.where(is_trial, first[condition] + turn, first[condition])]
    counts = responses.counts[rows, np.arange(responses.n_units)]
    return Trials(counts, responses.speeds[rows], is_trial)


def psth_edges(trial_duration: float, *, resolution: float = 0.001) -> Floats:
    """Return the bin edges [s] of a peri-stimulus time histogram, from the onset."""
    if not trial_duration > resolution > 0:
        raise InvalidArgumentError(
            f"bins of {resolution} s do not fit into a trial of {trial_duration} s; give a "
            "resolution shorter than the trial, for instance 0.001"
        )
    # as published, the last edge is the last one before the end of the trial: 0.249 s of 0.25 s
    return np.arange(0, trial_duration, resolution)


def preferred_psth(responses: StimulusResponses, preferred: Positions, edges: Floats) -> Floats:
    """Average each unit's response to its preferred condition; smoothed unless published.

    The published histogram is not smoothed: in bins of 1 ms its maximum is where two or three
    spikes of different trials coincide (Shimazaki & Shinomoto 2010, doi:10.1007/s10827-009-0180-4,
    compare kernels).
    """
    psth = responses.psth_of(preferred, edges)
    if responses.definition == "published":
        return psth
    from scipy.ndimage import gaussian_filter1d

    # mirrored at both ends: no spike is lost
    smooth: Floats = gaussian_filter1d(psth, PSTH_SIGMA_S / float(edges[1] - edges[0]))
    return smooth


def peak_times(
    psth: Floats, bin_edges: npt.ArrayLike, *, definition: Definition = "corrected"
) -> Floats:
    """Return the centre of each histogram's highest bin [s]; NaN for a unit without spikes."""
    edges = np.asarray(bin_edges, dtype=np.float64)
    centres = edges[:-1] + np.diff(edges) / 2
    largest = psth.max(axis=1, initial=0.0)
    has_peak = largest >= 0 if definition == "published" else largest > 0
    return np.where(has_peak, centres[psth.argmax(axis=1)], np.nan)


COMMON = ("time_to_peak", "fano", "firing_rate", "lifetime_sparseness", "run_pval", "run_mod")


def common_metrics(
    responses: StimulusResponses,
    *,
    suffix: str,
    preferred: Positions,
    is_blank: Bools | None = None,
    bin_width: float = 0.001,
    own: Mapping[str, npt.NDArray[np.generic]] | None = None,
    names: Sequence[str] = COMMON,
) -> pd.DataFrame:
    """Compute the metrics that every stimulus has: index ``unit_id``, columns ``<name>_<suffix>``.

    - time_to_peak [s]: `peak_times` of the response to the preferred condition, in bins of
      ``bin_width`` [s], smoothed by a Gaussian of 10 ms unless published;
    - fano: `compute_fano_factor` at the preferred condition;
    - firing_rate [spikes/s]: `firing_rate` over `stimulus_blocks`;
    - lifetime_sparseness: `compute_lifetime_sparseness` of the mean responses (of the sums if
      published), without the conditions where ``is_blank``;
    - run_pval, run_mod: `running_modulation` at the preferred condition.

    ``preferred`` is the position of each unit's preferred condition; ``own`` are columns to put in
    front; ``names`` are those of the metrics to return, in order. fano, run_pval and run_mod
    count spikes from the onset for the trial's duration, the others for the whole presentation, as
    the published tables do (Siegle et al. 2021, doi:10.1038/s41586-020-03171-x).
    """
    _check_shapes(responses, preferred, is_blank)
    trials = preferred_trials(responses, preferred)
    definition, is_trial = responses.definition, trials.is_trial
    running = running_modulation(
        trials.counts, trials.speeds, is_trial=is_trial, definition=definition
    )
    blocks = stimulus_blocks(
        responses.onsets,
        responses.presentations["stop_time"],
        longest_interval=2 * responses.trial_duration,
    )
    shown = np.ones(len(responses.condition_ids), bool) if is_blank is None else ~is_blank
    # published sparseness is of sums: a condition that was shown more often counts as better liked
    tuning = responses.condition_sums if definition == "published" else responses.condition_means
    units = np.asarray(responses.unit_ids).tolist()
    rates: Floats = np.full(len(units), np.nan)
    if responses.has_spike_times:
        rates = firing_rate(responses.spike_times, units, blocks)
    columns: dict[str, npt.NDArray[np.generic]] = {
        "fano": compute_fano_factor(trials.counts, is_trial=is_trial, definition=definition),
        "firing_rate": rates,
        "lifetime_sparseness": compute_lifetime_sparseness(tuning[shown]),
        "run_pval": running.p_value,
        "run_mod": running.run_mod,
    }
    if "time_to_peak" in names:
        edges = psth_edges(responses.trial_duration, resolution=bin_width)
        psth = preferred_psth(responses, preferred, edges)
        columns["time_to_peak"] = peak_times(psth, edges, definition=definition)
    ordered = dict(own or {}) | {name: columns[name] for name in names}
    index = pd.Index(units, name="unit_id", dtype=np.int64)
    return pd.DataFrame({f"{name}_{suffix}": a for name, a in ordered.items()}, index=index)


def _check_shapes(
    responses: StimulusResponses, preferred: Positions, is_blank: Bools | None
) -> None:
    if preferred.shape != (responses.n_units,):
        raise InvalidArgumentError(
            f"preferred has the shape {preferred.shape}; give one condition for each of the "
            f"{responses.n_units} units"
        )
    n_conditions = len(responses.condition_ids)
    if is_blank is not None and is_blank.shape != (n_conditions,):
        raise InvalidArgumentError(
            f"is_blank has the shape {is_blank.shape}; give one truth value for each of the "
            f"{n_conditions} conditions"
        )
