"""Counting and aligning spikes: sorted times in, labelled counts out."""

from __future__ import annotations

from spikehouse.spikes.alignment import align_spikes
from spikehouse.spikes.counting import (
    check_bin_edges,
    count_spikes,
    time_domain,
    warn_overlaps,
)
from spikehouse.spikes.design import design_matrix

__all__ = [
    "align_spikes",
    "check_bin_edges",
    "count_spikes",
    "design_matrix",
    "time_domain",
    "warn_overlaps",
]
