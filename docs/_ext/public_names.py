"""What of the package is public: the names in ``__all__`` of these packages, and a few others."""

from __future__ import annotations

import functools
import importlib
import inspect

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
# of other packages: adapters and sources of one's own, and what the plan of a download is
OTHERS = (
    "spikehouse.session_source.SessionSource",
    "spikehouse.survey.FetchItem",
    "spikehouse.survey.FetchPlan",
    "spikehouse.survey.Source",
    "spikehouse.survey.write_csv",
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
    for name in OTHERS:
        package, _, last = name.rpartition(".")
        thing = getattr(importlib.import_module(package), last)
        found[id(thing)] = (name, thing)
    return dict(found.values())


def exported() -> list[str]:
    """List what the public packages export: functions, classes and the classes' public methods."""
    found: list[str] = []
    for name, thing in list_public().items():
        if name in OTHERS:
            continue
        if inspect.isclass(thing) or inspect.isfunction(thing):
            found.append(name)
        if inspect.isclass(thing):
            members = (member for member in vars(thing) if not member.startswith("_"))
            for member in members:
                raw = inspect.getattr_static(thing, member)
                if inspect.isfunction(raw) or isinstance(raw, classmethod | staticmethod):
                    found.append(f"{name}.{member}")
    return sorted(found)
