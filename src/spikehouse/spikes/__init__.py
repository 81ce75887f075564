"""Count and align spikes: sorted times in, labelled counts out.

An argument that is not valid raises InvalidArgumentError, and an unknown unit NotFoundError; the
message says what is valid.
"""

from __future__ import annotations

from spikehouse.errors import guard_public
from spikehouse.spikes.alignment import align_spikes
from spikehouse.spikes.counting import (
    check_bin_edges,
    compute_bin_centres,
    compute_time_domain,
    count_spikes,
)
from spikehouse.spikes.events import count_events
from spikehouse.spikes.statistics import compute_condition_statistics, compute_design_matrix
from spikehouse.spikes.streaming import compute_mean_counts, concatenate_spikes
from spikehouse.spikes.trains import Spikes, SpikeTimes

__all__ = [
    "SpikeTimes",
    "Spikes",
    "align_spikes",
    "check_bin_edges",
    "compute_bin_centres",
    "compute_condition_statistics",
    "compute_design_matrix",
    "compute_mean_counts",
    "compute_time_domain",
    "concatenate_spikes",
    "count_events",
    "count_spikes",
]

guard_public(globals())
