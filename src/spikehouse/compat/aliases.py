"""Make AllenSDK's module names importable, with the names that spikehouse has for them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from spikehouse import __version__
from spikehouse.errors import SpikehouseError, describe_choices

__all__ = ["OFFERED", "CompatibilityError", "MissingModuleError", "install"]

ROOT = "allensdk"
INTERFACE_VERSION = "2.16.2"
_ECEPHYS = "allensdk.brain_observatory.ecephys"

_ANALYSIS = f"{_ECEPHYS}.stimulus_analysis"
_CLASSES = "spikehouse.compat.stimulus_analysis"
_FUNCTIONS = f"{_CLASSES}.functions"
_FIELDS = f"{_CLASSES}.fields"

_SESSIONS = "spikehouse.compat.sessions"
_FIGURES = "spikehouse.compat.figures"
_SESSION_API = {"EcephysSessionApi": "spikehouse.compat.session_api"}

OFFERED: Mapping[str, Mapping[str, str]] = {
    ROOT: {},
    "allensdk.brain_observatory": {},
    "allensdk.brain_observatory.visualization": {"plot_running_speed": _FIGURES},
    _ECEPHYS: {},
    f"{_ECEPHYS}.ecephys_project_cache": {"EcephysProjectCache": _SESSIONS},
    f"{_ECEPHYS}.ecephys_session": {
        "EcephysSession": _SESSIONS,
        "array_intervals": "spikehouse.compat.functions",
        "build_spike_histogram": "spikehouse.compat.functions",
        "build_time_window_domain": "spikehouse.compat.functions",
        "nan_intervals": "spikehouse.compat.functions",
        "removed_unused_stimulus_presentation_columns": "spikehouse.compat.functions",
    },
    f"{_ECEPHYS}.ecephys_session_api": _SESSION_API,
    f"{_ECEPHYS}.ecephys_session_api.ecephys_session_api": _SESSION_API,
    f"{_ECEPHYS}.visualization": {
        "plot_mean_waveforms": _FIGURES,
        "plot_spike_counts": _FIGURES,
        "raster_plot": _FIGURES,
    },
    f"{_ECEPHYS}.ecephys_project_api": {},
    f"{_ECEPHYS}.ecephys_project_api.rma_engine": {"RmaEngine": "spikehouse.compat.queries"},
    f"{_ECEPHYS}.ecephys_project_api.utilities": {"build_and_execute": "spikehouse.compat.queries"},
    _ANALYSIS: {
        "DotMotion": _CLASSES,
        "DriftingGratings": _CLASSES,
        "Flashes": _CLASSES,
        "NaturalMovies": _CLASSES,
        "NaturalScenes": _CLASSES,
        "ReceptiveFieldMapping": _CLASSES,
        "StaticGratings": _CLASSES,
    },
    f"{_ANALYSIS}.dot_motion": {"DotMotion": _CLASSES},
    f"{_ANALYSIS}.drifting_gratings": {
        "DriftingGratings": _CLASSES,
        "c50": _FUNCTIONS,
        "f1_f0": _FUNCTIONS,
        "modulation_index": _FUNCTIONS,
    },
    f"{_ANALYSIS}.flashes": {"Flashes": _CLASSES},
    f"{_ANALYSIS}.natural_movies": {"NaturalMovies": _CLASSES},
    f"{_ANALYSIS}.natural_scenes": {"NaturalScenes": _CLASSES, "image_selectivity": _FUNCTIONS},
    f"{_ANALYSIS}.receptive_field_mapping": {
        "ReceptiveFieldMapping": _CLASSES,
        "convert_azimuth_to_degrees": _FIELDS,
        "convert_elevation_to_degrees": _FIELDS,
        "convert_pixel_area_to_degrees": _FIELDS,
        "convert_pixels_to_degrees": _FIELDS,
        "fit_2d_gaussian": _FIELDS,
        "gaussian_moments_2d": _FIELDS,
        "invert_rf": _FIELDS,
        "is_rf_inverted": _FIELDS,
        "rf_on_screen": _FIELDS,
        "threshold_rf": _FIELDS,
    },
    f"{_ANALYSIS}.static_gratings": {
        "StaticGratings": _CLASSES,
        "fit_sf_tuning": _FUNCTIONS,
        "get_sfdi": _FUNCTIONS,
    },
    f"{_ANALYSIS}.stimulus_analysis": {
        "StimulusAnalysis": _CLASSES,
        "calculate_time_delayed_correlation": _FUNCTIONS,
        "deg2rad": _FUNCTIONS,
        "dsi": _FUNCTIONS,
        "fano_factor": _FUNCTIONS,
        "fit_exp": _FUNCTIONS,
        "get_fr": _FUNCTIONS,
        "lifetime_sparseness": _FUNCTIONS,
        "osi": _FUNCTIONS,
        "overall_firing_rate": _FUNCTIONS,
        "reliability": _FUNCTIONS,
        "running_modulation": _FUNCTIONS,
    },
}
"""Module of AllenSDK → name in it → module of spikehouse that defines it."""


class CompatibilityError(SpikehouseError, ImportError):
    """AllenSDK itself is installed, so that its import paths cannot lead to spikehouse."""


class MissingModuleError(CompatibilityError, ModuleNotFoundError):
    """A module of AllenSDK that spikehouse does not replace."""


def install() -> None:
    """Make ``from allensdk… import …`` import the replacement from spikehouse.

    Raises
    ------
    CompatibilityError
        If AllenSDK itself is installed, because the imports would be ambiguous.

    Notes
    -----
    A second call does nothing. Modules are created when they are imported, and each name in them
    is looked up when it is first used.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    place = _find_allensdk()
    if place is not None:
        raise CompatibilityError(
            f"AllenSDK itself is installed ({place}), so its import paths cannot lead to "
            "spikehouse: uninstall it (pip uninstall allensdk), use an environment without it, or "
            "import from spikehouse directly (from spikehouse import EcephysProjectCache)"
        )
    # first, because a folder called allensdk would otherwise be taken for a package
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Find the modules offered; for other modules of AllenSDK raise an error that lists them."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol of importlib
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname != ROOT and not fullname.startswith(f"{ROOT}."):
            return None
        if fullname not in OFFERED:
            # without `name=`, with which `from package import module` would hide the message
            raise MissingModuleError(_explain(fullname))
        is_package = any(name.startswith(f"{fullname}.") for name in OFFERED)
        spec = ModuleSpec(fullname, _Loader(), origin=__file__, is_package=is_package)
        # so that `cannot import name …` names this file, which has the table
        spec.has_location = True
        return spec


class _Loader(Loader):
    """Create a module whose names are looked up when they are first used."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:  # noqa: ARG002
        return None  # an ordinary module

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        homes = OFFERED[name]

        def find(wanted: str) -> Any:  # noqa: ANN401 - any attribute
            if wanted not in homes:
                raise AttributeError(
                    f"spikehouse's compatibility layer has no {wanted!r} in {name}: "
                    f"{describe_choices(wanted, homes)}"
                )
            found = getattr(importlib.import_module(homes[wanted]), wanted)
            setattr(module, wanted, found)
            return found

        module.__doc__ = f"{name} as spikehouse {__version__} offers it; AllenSDK is not installed."
        if name == ROOT:
            # a local version (PEP 440): programs that compare versions can read it, too
            module.__dict__["__version__"] = f"{INTERFACE_VERSION}+spikehouse.{__version__}"
        module.__dict__["__all__"] = sorted(homes)
        module.__dict__["__getattr__"] = find
        module.__dict__["__dir__"] = lambda: sorted({*module.__dict__, *homes})


def _find_allensdk() -> str | None:
    """Return where AllenSDK itself is installed; None if it is not."""
    if ROOT in sys.modules:
        return str(getattr(sys.modules[ROOT], "__file__", None) or "imported already")
    spec = importlib.util.find_spec(ROOT)
    # a folder without code is found as a namespace, with no loader that has an origin
    return spec.origin if spec is not None and spec.has_location else None


def _explain(fullname: str) -> str:
    offered = [name for name in OFFERED if OFFERED[name]]
    return (
        f"spikehouse's compatibility layer has no module {fullname}. It offers these: "
        f"{', '.join(offered)}. For anything else, AllenSDK itself is needed"
    )
