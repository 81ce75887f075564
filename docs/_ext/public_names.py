"""What of the package is public: the names in ``__all__`` of these packages."""

from __future__ import annotations

import functools
import importlib

PACKAGES = (
    "spikehouse",
    "spikehouse.analysis",
    "spikehouse.cohort",
    "spikehouse.compat",
    "spikehouse.decoding",
    "spikehouse.demo",
    "spikehouse.errors",
    "spikehouse.explore",
    "spikehouse.lfp",
    "spikehouse.plots",
    "spikehouse.cache",
    "spikehouse.quickstart",
    "spikehouse.reproduce",
    "spikehouse.schema",
    "spikehouse.spikes",
    "spikehouse.stimuli",
)


@functools.cache
def list_public() -> dict[str, object]:
    """Return what is public by its name; what several packages export, by its shortest name."""
    found: dict[int, tuple[str, object]] = {}
    for package in sorted(PACKAGES, key=lambda name: name.count(".")):
        module = importlib.import_module(package)
        for name in module.__all__:
            thing = getattr(module, name)
            found.setdefault(id(thing), (f"{package}.{name}", thing))
    return dict(found.values())
