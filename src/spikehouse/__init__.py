"""Allen Brain Observatory Neuropixels recordings: open, align, analyse, decode, plot.

The public names are loaded when first used, so ``import spikehouse`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikehouse.cache import EcephysProjectCache
    from spikehouse.decoding import decode
    from spikehouse.session import EcephysSession
    from spikehouse.spikes import compute_design_matrix

__version__ = "0.2.0"

__all__ = [
    "EcephysProjectCache",
    "EcephysSession",
    "__version__",
    "compute_design_matrix",
    "decode",
]

_HOMES = {
    "EcephysProjectCache": "spikehouse.cache",
    "EcephysSession": "spikehouse.session",
    "decode": "spikehouse.decoding",
    "compute_design_matrix": "spikehouse.spikes",
}


# packages that are public under their own name: spikehouse.lfp.align_lfp needs no further import
_PACKAGES = ("analysis", "cohort", "compat", "decoding", "demo", "errors", "explore", "lfp",
             "plots", "schema", "spikes", "stimuli")  # fmt: skip


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what a module attribute is, only it knows
    if name in _PACKAGES:
        return importlib.import_module(f"spikehouse.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'spikehouse' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_PACKAGES])
