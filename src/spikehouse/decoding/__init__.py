"""Cross-validated decoding of stimuli from spike counts: arrays in, labelled results out.

An argument that is not valid raises InvalidArgumentError, and an unknown unit NotFoundError; the
message says what is valid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spikehouse.decoding._chance import ChanceResult, decode_against_chance
from spikehouse.decoding._decode import decode
from spikehouse.decoding._over_time import decode_over_time
from spikehouse.decoding._result import DecodingResult
from spikehouse.decoding._splitting import BlockedKFold
from spikehouse.decoding._units import decode_by_area, decode_by_unit_count
from spikehouse.errors import guard_public

if TYPE_CHECKING:
    from spikehouse.decoding._poisson import PoissonNaiveBayes

__all__ = [
    "BlockedKFold",
    "ChanceResult",
    "DecodingResult",
    "PoissonNaiveBayes",
    "decode",
    "decode_against_chance",
    "decode_by_area",
    "decode_by_unit_count",
    "decode_over_time",
]

guard_public(globals())


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what a module attribute is, only it knows
    # its base classes are those of scikit-learn, which takes a second to import
    if name == "PoissonNaiveBayes":
        from spikehouse.decoding._poisson import PoissonNaiveBayes

        return PoissonNaiveBayes
    raise AttributeError(f"module 'spikehouse.decoding' has no attribute {name!r}")
