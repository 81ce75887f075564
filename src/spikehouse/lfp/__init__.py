"""Local field potential: windows, means, power, current sources, spikes and ripples.

Recordings are read lazily. An argument that is not valid raises InvalidArgumentError; the message
says what is valid.
"""

from __future__ import annotations

from spikehouse.errors import guard_public
from spikehouse.lfp.alignment import align_lfp
from spikehouse.lfp.bands import BANDS, compute_band_power, compute_spectrum
from spikehouse.lfp.csd import compute_csd
from spikehouse.lfp.evoked import compute_evoked_lfp
from spikehouse.lfp.input_layer import find_input_layer
from spikehouse.lfp.masking import mask_intervals
from spikehouse.lfp.phases import (
    choose_field_channels,
    compute_phase_consistency,
    compute_spike_phases,
)
from spikehouse.lfp.ripples import compute_ripple_profile, find_ripples
from spikehouse.lfp.spike_triggered import compute_spike_triggered_lfp

__all__ = [
    "BANDS",
    "align_lfp",
    "choose_field_channels",
    "compute_band_power",
    "compute_csd",
    "compute_evoked_lfp",
    "compute_phase_consistency",
    "compute_ripple_profile",
    "compute_spectrum",
    "compute_spike_phases",
    "compute_spike_triggered_lfp",
    "find_input_layer",
    "find_ripples",
    "mask_intervals",
]

guard_public(globals())
