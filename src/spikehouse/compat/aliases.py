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

ROOT = "allensdk"
INTERFACE_VERSION = "2.16.2"
_ECEPHYS = "allensdk.brain_observatory.ecephys"

_ANALYSIS = f"{_ECEPHYS}.stimulus_analysis"


def _offer(**names: str) -> dict[str, str]:
    """Map names, given as words by module of `spikehouse.compat`, to the full module name."""
    return {
        name: f"spikehouse.compat.{module.replace('__', '.')}"
        for module, words in names.items()
        for name in words.split()
    }


OFFERED: Mapping[str, Mapping[str, str]] = {
    ROOT: {},
    "allensdk.brain_observatory": {},
    "allensdk.brain_observatory.visualization": _offer(figures="plot_running_speed"),
    _ECEPHYS: {},
    f"{_ECEPHYS}.ecephys_project_cache": _offer(sessions="EcephysProjectCache"),
    f"{_ECEPHYS}.ecephys_session": _offer(
        sessions="EcephysSession",
        functions="array_intervals build_spike_histogram build_time_window_domain nan_intervals "
        "removed_unused_stimulus_presentation_columns",
    ),
    f"{_ECEPHYS}.ecephys_session_api": _offer(sessions="EcephysSessionApi"),
    f"{_ECEPHYS}.ecephys_session_api.ecephys_session_api": _offer(sessions="EcephysSessionApi"),
    f"{_ECEPHYS}.visualization": _offer(
        figures="plot_mean_waveforms plot_spike_counts raster_plot"
    ),
    f"{_ECEPHYS}.ecephys_project_api": {},
    f"{_ECEPHYS}.ecephys_project_api.rma_engine": _offer(queries="RmaEngine"),
    f"{_ECEPHYS}.ecephys_project_api.utilities": _offer(queries="build_and_execute"),
    _ANALYSIS: _offer(
        stimulus_analysis="DotMotion DriftingGratings Flashes NaturalMovies NaturalScenes "
        "ReceptiveFieldMapping StaticGratings"
    ),
    f"{_ANALYSIS}.dot_motion": _offer(stimulus_analysis="DotMotion"),
    f"{_ANALYSIS}.drifting_gratings": _offer(
        stimulus_analysis="DriftingGratings",
        stimulus_analysis__functions="c50 f1_f0 modulation_index",
    ),
    f"{_ANALYSIS}.flashes": _offer(stimulus_analysis="Flashes"),
    f"{_ANALYSIS}.natural_movies": _offer(stimulus_analysis="NaturalMovies"),
    f"{_ANALYSIS}.natural_scenes": _offer(
        stimulus_analysis="NaturalScenes", stimulus_analysis__functions="image_selectivity"
    ),
    f"{_ANALYSIS}.receptive_field_mapping": _offer(
        stimulus_analysis="ReceptiveFieldMapping",
        stimulus_analysis__fields="convert_azimuth_to_degrees convert_elevation_to_degrees "
        "convert_pixel_area_to_degrees convert_pixels_to_degrees fit_2d_gaussian "
        "gaussian_moments_2d invert_rf is_rf_inverted rf_on_screen threshold_rf",
    ),
    f"{_ANALYSIS}.static_gratings": _offer(
        stimulus_analysis="StaticGratings", stimulus_analysis__functions="fit_sf_tuning get_sfdi"
    ),
    f"{_ANALYSIS}.stimulus_analysis": _offer(
        stimulus_analysis="StimulusAnalysis",
        stimulus_analysis__functions="calculate_time_delayed_correlation deg2rad dsi fano_factor "
        "fit_exp get_fr lifetime_sparseness osi overall_firing_rate reliability running_modulation",
    ),
}
"""Module of AllenSDK → name in it → module of spikehouse that defines it."""


class CompatibilityError(SpikehouseError, ImportError):
    """AllenSDK itself is installed, so that its import paths cannot lead to spikehouse."""


class MissingModuleError(CompatibilityError, ModuleNotFoundError):
    """A module of AllenSDK that spikehouse does not replace.

    Examples
    --------
    >>> install()
    >>> import allensdk.brain_observatory.behavior
    Traceback (most recent call last):
    ...
    spikehouse.compat.aliases.MissingModuleError: spikehouse's compatibility layer has no module
    allensdk.brain_observatory.behavior. It offers these: ...
    """


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

    Examples
    --------
    >>> install()
    >>> from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession
    >>> EcephysSession.__module__
    'spikehouse.compat.sessions'
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
            raise MissingModuleError(
                f"spikehouse's compatibility layer has no module {fullname}. It offers these: "
                f"{', '.join(name for name in OFFERED if OFFERED[name])}. For anything else, "
                "AllenSDK itself is needed"
            )
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
