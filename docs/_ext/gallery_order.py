"""The order of the examples in the gallery: by subject."""

from __future__ import annotations

from pathlib import Path

ORDER = [
    "psth_heatmap", "population_psth", "raster",
    "tuning_curve", "star", "receptive_field", "image",
    "confusion", "class_accuracies", "decoding_curve",
    "correlogram", "directionality", "hierarchy", "fractions",
    "waveform", "waveform_classes", "probes", "lfp", "csd", "behavior",
]  # fmt: skip


class BySubject:
    """Sort key of sphinx-gallery; an example that is not in the list comes last."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, filename: str) -> int:
        """Return the place of an example."""
        name = Path(filename).stem.removeprefix("plot_")
        return ORDER.index(name) if name in ORDER else len(ORDER)
