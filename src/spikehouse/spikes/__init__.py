"""Count and align spikes: sorted times in, labelled counts out."""

from __future__ import annotations

from spikehouse.errors import guard_public
from spikehouse.spikes.alignment import align_spikes
from spikehouse.spikes.counting import (
    bin_centres,
    check_bin_edges,
    check_windows,
    count_spikes,
    time_domain,
    warn_overlaps,
    warn_wide_bins,
)
from spikehouse.spikes.design import design_matrix
from spikehouse.spikes.statistics import compute_condition_statistics
from spikehouse.spikes.streaming import compute_mean_counts, concatenate_spikes

__all__ = [
    "align_spikes",
    "bin_centres",
    "check_bin_edges",
    "check_windows",
    "compute_condition_statistics",
    "compute_mean_counts",
    "concatenate_spikes",
    "count_spikes",
    "design_matrix",
    "time_domain",
    "warn_overlaps",
    "warn_wide_bins",
]

guard_public(globals())
