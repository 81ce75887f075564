"""Which stimulus was it? Cross-validated decoding: arrays in, labelled results out."""

from __future__ import annotations

from spikehouse.decoding._decode import decode
from spikehouse.decoding._result import DecodingResult

__all__ = ["DecodingResult", "decode"]
