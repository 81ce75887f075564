"""Local field potential: windows, means, power and current sources of lazily read recordings.

An argument that is not valid raises InvalidArgumentError; the message says what is valid.
"""

from __future__ import annotations

from spikehouse.errors import guard_public
from spikehouse.lfp.alignment import align_lfp
from spikehouse.lfp.bands import BANDS, compute_band_power, compute_spectrum
from spikehouse.lfp.csd import compute_csd
from spikehouse.lfp.evoked import compute_evoked_lfp
from spikehouse.lfp.input_layer import find_input_layer
from spikehouse.lfp.masking import mask_intervals

__all__ = [
    "BANDS",
    "align_lfp",
    "compute_band_power",
    "compute_csd",
    "compute_evoked_lfp",
    "compute_spectrum",
    "find_input_layer",
    "mask_intervals",
]

guard_public(globals())
