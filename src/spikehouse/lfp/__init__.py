"""Windows of the local field potential: labelled arrays in, labelled arrays out, read late."""

from __future__ import annotations

from spikehouse.lfp.alignment import align
from spikehouse.lfp.masking import mask_intervals

__all__ = ["align", "mask_intervals"]
