"""Metrics of moving dots."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spikehouse.analysis.checks import Definition
from spikehouse.analysis.common import common_metrics
from spikehouse.analysis.gratings import condition_values, preferred_columns
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.errors import guard_public

__all__ = ["compute_dot_motion_metrics"]


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

    Raises
    ------
    InvalidArgumentError
        If a parameter is not in the presentations, or there are only blank sweeps.

    Notes
    -----
    Published tables take the blank sweeps of this stimulus for one more condition: the preferred
    one, at which fano, time_to_peak and run_* are measured, can be the blank, and
    lifetime_sparseness_dm counts it. Corrected ones leave them out, as those of all other stimuli.

    References
    ----------
    Siegle et al. 2021, doi:10.1038/s41586-020-03171-x.
    """
    responses = responses.defined_as(definition)
    direction, speed = (condition_values(responses, name) for name in ("Dir", "Speed"))
    is_blank = np.isnan(direction) | np.isnan(speed)
    left_out = np.zeros_like(is_blank) if definition == "published" else is_blank
    condition = responses.preferred_conditions(~left_out)
    columns = preferred_columns(
        responses, {"pref_speed": speed, "pref_dir": direction}, is_blank=is_blank, suffix="dm"
    )
    table = common_metrics(responses, suffix="dm", preferred=condition, is_blank=left_out)
    shared = ["firing_rate", "fano", "time_to_peak", "lifetime_sparseness", "run_mod", "run_pval"]
    names = [f"{name}_dm" for name in shared]
    return pd.concat([pd.DataFrame(columns, index=table.index), table[names]], axis=1)


guard_public(globals())
