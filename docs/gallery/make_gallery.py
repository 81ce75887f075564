"""Draw every picture of the gallery from the small demo session.

Usage: ``python docs/gallery/make_gallery.py [FOLDER [NAME ...]]``; the folder of this script by
default. The demo is simulated first where it is not yet in the user's cache folder (about a
minute). Pictures are PNG: the heat maps among them would be many times larger as SVG, and PNG of
the same matplotlib on the same machine has the same bytes each time.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from sklearn.model_selection import StratifiedKFold

from spikehouse import EcephysSession, compute_design_matrix, decode, plots
from spikehouse.analysis import (
    HIERARCHY_SCORES,
    compute_area_statistics,
    compute_connections,
    compute_correlograms,
    compute_directionality,
    compute_hierarchy_correlation,
    compute_movie_tuning,
    compute_receptive_field_maps,
    compute_time_to_first_spike,
    find_connections,
)
from spikehouse.decoding import DecodingResult
from spikehouse.demo import Survey
from spikehouse.lfp import align_lfp

DPI = 75
MAX_BYTES = 100_000
SESSION_ID = 900000001
N_DECODED, N_CONFUSED = 20, 10
NO_LIMITS = {
    "amplitude_cutoff_maximum": None,
    "presence_ratio_minimum": None,
    "isi_violations_maximum": None,
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Demo:
    """The small demo session and what several pictures need of it."""

    survey: Survey

    @cached_property
    def session(self) -> EcephysSession:
        """The session with the units that pass the default filters."""
        return EcephysSession.from_nwb_path(self.survey.session_file(SESSION_ID))

    @cached_property
    def all_units(self) -> EcephysSession:
        """The session with units of any quality."""
        path = self.survey.session_file(SESSION_ID)
        return EcephysSession.from_nwb_path(path, api_kwargs=NO_LIMITS)

    @cached_property
    def truth(self) -> pd.DataFrame:
        """What the units of the session were simulated with."""
        return self.survey.truth(SESSION_ID).loc[self.session.units.index]

    @cached_property
    def probe_id(self) -> int:
        """The probe in primary visual cortex; its LFP file is there."""
        probes = self.session.probes
        probe_id = int(probes.index[probes["description"] == "probeC"][0])
        self.survey.lfp_file(probe_id)
        return probe_id

    def rates(self, stimulus: str) -> tuple[xr.DataArray, pd.DataFrame]:
        """Give firing rates [spikes/s], presentations × units, and the presentations."""
        shown = self.session.get_stimulus_table(stimulus, missing="nan")
        counts = compute_design_matrix(self.session, self.session.units.index, shown)
        return counts / xr.DataArray(shown["duration"]), shown

    def best(self, *columns: str) -> int:
        """Find the visual unit of the simulation with the most of some things together."""
        truth = self.truth[self.truth["is_visual"].astype(bool)]
        product = truth[[*columns, "firing_rate", "drive"]].astype(float).prod(axis=1)
        return int(product.idxmax())


Picture = Callable[[Demo], Figure]


def draw_psth_heatmap(demo: Demo) -> Figure:
    """Draw flashes by depth, and by the peaks of the other half of the trials."""
    flashes = demo.session.get_stimulus_table("flashes").index
    edges = np.arange(-0.1, 0.401, 0.01)
    earlier, later = (
        demo.session.presentationwise_spike_counts(edges, half, mean_over="presentations")
        for half in (flashes[::2], flashes[1::2])
    )
    peaks = earlier.argmax("time_relative_to_stimulus_onset")
    order = earlier["unit_id"].to_numpy()[np.argsort(peaks.to_numpy(), kind="stable")]
    figure, (left, right) = _figure((10.5, 4.6), 2)
    units = demo.session.units
    depths = units.loc[units["probe_id"] == demo.probe_id, "probe_vertical_position"]
    plots.plot_psth_heatmap(
        later.sel(unit_id=depths.index),
        depths=depths,
        stimulus_duration=0.25,
        ax=left,
        title="flashes, probe C, by depth",
    )
    plots.plot_psth_heatmap(
        later, order=order, is_normalized=True, stimulus_duration=0.25, ax=right,
        title="by the time of the peak in the other half of the flashes",
    )  # fmt: skip
    right.set_ylabel(f"{len(order)} units, earliest peak at the top")
    return figure


def draw_population_psth(demo: Demo) -> Figure:
    """Draw the population's answer to dark and to bright flashes."""
    shown = demo.session.get_stimulus_table("flashes")
    edges = np.arange(-0.1, 0.401, 0.01)
    means = {
        name: demo.session.presentationwise_spike_counts(
            edges, shown.index[shown["color"].astype(float) == color], mean_over="presentations"
        )
        for name, color in (("dark", -1), ("bright", 1))
    }
    figure, ax = _figure((6.4, 3.2))
    plots.plot_population_psth(means, stimulus_duration=0.25, ax=ax, title="flashes, all units")
    return figure


def draw_raster(demo: Demo) -> Figure:
    """Draw one unit's spikes by direction."""
    unit = demo.best("orientation_strength", "direction_strength")
    shown = demo.session.get_stimulus_table("drifting_gratings", missing="nan")
    spikes = demo.session.presentationwise_spike_times(shown.index, [unit])
    figure, ax = _figure((6.4, 4.6))
    plots.plot_raster(
        spikes, groups=shown["orientation"], stimulus_duration=2.0, ax=ax,
        title=f"unit {unit}: drifting gratings by direction (°)",
    )  # fmt: skip
    ax.set_xlim(0, 2)
    return figure


def draw_tuning_curve(demo: Demo) -> Figure:
    """Draw one unit's rates by direction and by temporal frequency."""
    unit = demo.best("orientation_strength", "direction_strength")
    rates, shown = demo.rates("drifting_gratings")
    figure, (left, right) = _figure((11.0, 3.6), 2)
    one = rates.sel(unit_id=unit).to_numpy()
    plots.plot_tuning_curve(one, shown["orientation"], ax=left, title=f"unit {unit}: direction")
    plots.plot_tuning_curve(
        one, shown["temporal_frequency"], groups=shown["orientation"] % 180, scale="log", ax=right,
        value_label="temporal frequency (Hz)", group_label="orientation (°)",
        title="temporal frequency, by orientation",
    )  # fmt: skip
    return figure


def draw_star(demo: Demo) -> Figure:
    """Draw one unit's rates for drifting and for static gratings."""
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    drifting, shown = demo.rates("drifting_gratings")
    unit = demo.best("orientation_strength", "direction_strength")
    one = drifting.sel(unit_id=unit).to_series()
    means = one.groupby([shown["orientation"], shown["temporal_frequency"]]).mean().to_xarray()
    plots.plot_star(
        means, blank=one[shown["orientation"].isna()].mean(),
        ax=figure.add_subplot(1, 2, 1, projection="polar"),
        title=f"unit {unit}: drifting gratings",
    )  # fmt: skip
    still, shown = demo.rates("static_gratings")
    unit = demo.best("orientation_strength")
    one = still.sel(unit_id=unit).to_series()
    means = one.groupby([shown["orientation"], shown["spatial_frequency"]]).mean().to_xarray()
    plots.plot_star(
        means, rings="spatial_frequency", period=180, blank=one[shown["orientation"].isna()].mean(),
        ax=figure.add_subplot(1, 2, 2, projection="polar"),
        title=f"unit {unit}: static gratings",
    )  # fmt: skip
    return figure


def draw_receptive_field(demo: Demo) -> Figure:
    """Draw where one unit answers gabors."""
    unit = demo.best()
    field = compute_receptive_field_maps(demo.session.get_responses("gabors", 0.25, [unit])).sel(
        unit_id=unit
    )
    truth = demo.truth.loc[unit]
    values = field.to_numpy()
    figure, ax = _figure((5.4, 4.2))
    plots.plot_receptive_field(
        field, mask=values > (values.max() + values.min()) / 2,
        # the screen's centre is at 50° azimuth and 10° elevation
        center=(truth["rf_x_position"] + 50, truth["rf_y_position"] + 10), ax=ax,
        title=f"unit {unit}: gabors; + is where it was simulated",
    )  # fmt: skip
    return figure


def draw_confusion(demo: Demo) -> Figure:
    """Draw which scenes are taken for which."""
    rates, shown = demo.rates("natural_scenes")
    is_used = shown["frame"].isin(range(N_CONFUSED)).to_numpy()
    labels = shown["frame"].to_numpy()[is_used].astype(int)
    result = decode_stratified(rates.to_numpy()[is_used], labels)
    figure, (left, right) = _figure((11.0, 4.8), 2)
    plots.plot_confusion(
        result.confusion, class_name="image", ax=left,
        title=f"{N_CONFUSED} natural scenes, all units",
    )  # fmt: skip
    plots.plot_confusion(
        result.confusion, class_name="image", is_normalized=True, ax=right,
        title="the same in percent",
    )  # fmt: skip
    return figure


def draw_class_accuracies(demo: Demo) -> Figure:
    """Draw how well each scene is decoded."""
    rates, shown = demo.rates("natural_scenes")
    result = decode_stratified(rates.to_numpy(), shown["frame"].to_numpy())
    best = result.per_class_accuracy.idxmax()
    figure, ax = _figure((6.4, 3.0))
    plots.plot_class_accuracies(
        result.per_class_accuracy, chance=result.chance, class_name="image",
        marked={best: f"image {best:g}"}, ax=ax, title="natural scenes, all units",
    )  # fmt: skip
    return figure


def draw_decoding_curve(demo: Demo) -> Figure:
    """Draw accuracy against time and against the number of units."""
    shown = demo.session.get_stimulus_table("natural_scenes", missing="nan")
    shown = shown[shown["frame"].isin(range(N_DECODED))]
    labels = shown["frame"].to_numpy()
    edges = np.linspace(0, 0.25, 11)
    counts = demo.session.presentationwise_spike_counts(edges, shown.index).to_numpy()
    rng = np.random.default_rng(1)
    by_time = [decode_stratified(counts[:, k], labels).accuracies for k in range(counts.shape[1])]
    shuffled = [
        decode_stratified(counts[:, 4], rng.permutation(labels)).mean_accuracy for _ in range(40)
    ]
    sizes, n_all = [2, 5, 10, 20, 40], counts.shape[2]
    whole = counts.sum(axis=1)
    by_size = [
        [
            decode_stratified(whole[:, rng.permutation(n_all)[:n]], labels).mean_accuracy
            for _ in range(10)
        ]
        for n in sizes
    ]
    figure, (left, right) = _figure((11.0, 3.6), 2)
    plots.plot_decoding_curve(
        _curve(by_time, "time", (edges[:-1] + edges[1:]) / 2, "fold"), along="time",
        shuffled=xr.DataArray(shuffled, dims="shuffle"), chance=1 / N_DECODED, ax=left,
        title=f"{N_DECODED} natural scenes, windows of 25 ms",
    )  # fmt: skip
    plots.plot_decoding_curve(
        {"all structures": _curve(by_size, "n_units", np.array(sizes), "draw")}, along="n_units",
        chance=1 / N_DECODED, is_log=True, ax=right, title=f"{N_DECODED} natural scenes, 0–0.25 s",
    )  # fmt: skip
    return figure


def draw_correlogram(demo: Demo) -> Figure:
    """Draw the pair of units with the highest peak, uncorrected and corrected."""
    shown = demo.session.get_stimulus_table("drifting_gratings", missing="nan")
    shown = shown[shown["orientation"].notna()]
    units = demo.session.units
    units = units.index[units["firing_rate"] > 2]
    options = {"conditions": shown["orientation"]}
    found = compute_connections(demo.session, units, shown["start_time"], **options)
    pair = found.loc[found["peak"].idxmax(), ["source_unit_id", "target_unit_id"]]
    figure, axes = _figure((10.6, 3.4), 2)
    for ax, window, title in zip(axes, (None, 0.025), ("as counted", "corrected"), strict=True):
        one = compute_correlograms(
            demo.session, pair, shown["start_time"], jitter_window=window, **options
        )
        plots.plot_correlogram(one, ax=ax, title=f"drifting gratings, {title}")
    return figure


def draw_directionality(demo: Demo) -> Figure:  # noqa: ARG001 - its sessions have three of the areas
    """Draw who leads among trains made for this: events that reach one area after the other."""
    rng = np.random.default_rng(2)
    areas = [area for area in HIERARCHY_SCORES if area.startswith("VIS")]
    structures = {unit: areas[unit // 5] for unit in range(5 * len(areas))}
    onsets, stop = np.arange(150) * 2.0, 300.0
    events = rng.uniform(0, stop, 1200)
    spikes = {}
    for unit, area in structures.items():
        lag = 0.004 * HIERARCHY_SCORES[area] + rng.normal(0, 0.002)
        own = rng.choice(events, 500, replace=False) + lag + rng.normal(0, 0.001, 500)
        spikes[unit] = np.sort(np.r_[own, rng.uniform(0, stop, 1000)])
    correlograms = compute_correlograms(spikes, list(spikes), onsets)
    found = compute_directionality(find_connections(correlograms), structures)
    figure, axes = _figure((9.4, 3.9), 2)
    plots.plot_directionality(found, hierarchy=HIERARCHY_SCORES, axes=axes)
    return figure


def draw_hierarchy(demo: Demo) -> Figure:
    """Draw first spikes of one session against the hierarchy, and the units that are used."""
    session = demo.session
    onsets = session.get_stimulus_table("flashes")["start_time"]
    times = compute_time_to_first_spike(session, session.units.index, onsets)
    areas = session.units["ecephys_structure_acronym"]
    has_score, is_early = areas.isin(list(HIERARCHY_SCORES)), times["time_to_first_spike"] < 0.1
    chosen = has_score & is_early
    values = 1000 * times.loc[chosen, "time_to_first_spike"]
    figure, (left, right) = _figure((9.6, 3.4), 2)
    plots.plot_hierarchy(
        compute_area_statistics(values, areas[chosen]),
        correlation=compute_hierarchy_correlation(values, areas[chosen]),
        ylabel="time to first spike (ms)", ax=left, title="flashes, one session",
    )  # fmt: skip
    counts = {
        "all units": len(areas),
        "with a score": has_score.sum(),
        "before 100 ms": chosen.sum(),
    }
    plots.plot_funnel(pd.Series(counts), ax=right, title="units")
    return figure


def draw_fractions(demo: Demo) -> Figure:
    """Draw which fraction of the units of an area is tuned to the movie."""
    session = demo.all_units
    tuning = compute_movie_tuning(session.get_responses("natural_movie_one", 1 / 30))
    areas = session.units["ecephys_structure_acronym"]
    table = tuning["is_tuned"].groupby(areas).agg(fraction="mean", n="size")
    figure, ax = _figure((6.4, 3.2))
    plots.plot_fractions(
        table[table["n"] >= 5], ylabel="fraction tuned", ax=ax, title="natural movie one"
    )
    return figure


def draw_waveform(demo: Demo) -> Figure:
    """Draw the waveform of the largest unit."""
    unit = int(demo.session.units["waveform_amplitude"].idxmax())
    waveform = demo.session.mean_waveforms[unit]
    depths = demo.session.channels["probe_vertical_position"]
    figure, (left, right) = _figure((9.0, 4.8), 2)
    plots.plot_waveform_lines(waveform, depths=depths, ax=left, title=f"unit {unit}")
    plots.plot_waveform_heatmap(waveform, depths=depths, ax=right, title=f"unit {unit}")
    return figure


def draw_probes(demo: Demo) -> Figure:
    """Draw where the units are."""
    figure, ax = _figure((7.4, 6.0))
    session = demo.all_units
    plots.plot_probes(
        session.units, session.channels, ax=ax,
        title=f"session {session.ecephys_session_id}, units of any quality",
    )  # fmt: skip
    return figure


def draw_behavior(demo: Demo) -> Figure:
    """Draw running and pupil above the rates."""
    session = demo.session
    start, stop, width = 240.0, 640.0, 2.0
    edges = np.arange(start, stop + width, width)
    counts = [np.histogram(session.spike_times[unit], edges)[0] for unit in session.units.index]
    activity = xr.DataArray(
        np.array(counts) / width,
        coords={"unit_id": session.units.index, "time": edges[:-1] + width / 2},
        dims=("unit_id", "time"),
    )
    running = session.running_speed.set_index("start_time")["velocity"]
    eye = session.get_pupil_data()
    pupil = None if eye is None else np.pi * eye["pupil_height"] * eye["pupil_width"]
    figure = Figure(figsize=(8.4, 5.2), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True, height_ratios=(1, 1, 3))
    plots.plot_behavior(
        activity, running=running, pupil=pupil, epochs=session.get_stimulus_epochs(), axes=axes,
        title=f"session {session.ecephys_session_id}",
    )  # fmt: skip
    return figure


def draw_lfp(demo: Demo) -> Figure:
    """Draw the mean LFP around flashes, and one piece of it."""
    flashes = demo.session.get_stimulus_table("flashes")["start_time"]
    lfp = demo.session.get_lfp(demo.probe_id)
    depths = demo.session.channels["probe_vertical_position"]
    lfp = lfp.sel(channel=[c for c in lfp["channel"].to_numpy() if c in depths.index])
    mean = align_lfp(lfp, flashes, window=(-0.1, 0.4)).mean("stimulus_presentation_id")
    figure, (left, right) = _figure((9.0, 3.8), 2)
    plots.plot_lfp_heatmap(
        mean, depths=depths, stimulus_duration=0.25, ax=left, title="mean over flashes"
    )
    one = lfp.sel(time=slice(flashes.iloc[0] - 0.1, flashes.iloc[0] + 0.9))
    plots.plot_lfp_traces(
        one.isel(channel=slice(None, None, 6)), depths=depths, ax=right, title="around one flash"
    )
    return figure


def draw_csd(demo: Demo) -> Figure:
    """Draw the current source density that the file holds."""
    csd = demo.session.get_current_source_density(demo.probe_id)
    figure, ax = _figure((6.4, 4.4))
    plots.plot_csd(
        csd, density_unit="V/cm²", stimulus_duration=0.25, ax=ax, title="flashes, as stored"
    )
    return figure


def draw_image(demo: Demo) -> Figure:
    """Draw a natural scene."""
    figure, ax = _figure((3.8, 3.1))
    plots.plot_image(demo.survey.read_scene(5), ax=ax, title="natural scene 5")
    return figure


PICTURES: dict[str, Picture] = {
    "psth_heatmap": draw_psth_heatmap,
    "population_psth": draw_population_psth,
    "raster": draw_raster,
    "tuning_curve": draw_tuning_curve,
    "star": draw_star,
    "receptive_field": draw_receptive_field,
    "confusion": draw_confusion,
    "class_accuracies": draw_class_accuracies,
    "decoding_curve": draw_decoding_curve,
    "hierarchy": draw_hierarchy,
    "fractions": draw_fractions,
    "correlogram": draw_correlogram,
    "directionality": draw_directionality,
    "waveform": draw_waveform,
    "probes": draw_probes,
    "behavior": draw_behavior,
    "lfp": draw_lfp,
    "csd": draw_csd,
    "image": draw_image,
}


def make_gallery(folder: Path, names: list[str] | None = None) -> list[Path]:
    """Draw the pictures into a folder, one PNG each, and give their paths."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    demo, paths = Demo(Survey(size="small")), []
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or list(PICTURES):
        # whatever the reader's own settings are, the pictures are the same
        with mpl.rc_context(fname=None):
            mpl.rcdefaults()
            figure = PICTURES[name](demo)
            figure.text(1, 0, "simulated data ", ha="right", va="bottom", size=7, color="#8a8a8a")
            path = folder / f"{name}.png"
            figure.savefig(
                path, dpi=DPI, metadata={"Software": None}, pil_kwargs={"compress_level": 9}
            )
            plt.close(figure)
        size = path.stat().st_size
        log.info("%-18s %6.1f kB", path.name, size / 1000)
        if size > MAX_BYTES:
            raise SystemExit(f"{path} has {size} bytes; {MAX_BYTES} are allowed")
        paths.append(path)
    return paths


def decode_stratified(
    counts: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> DecodingResult:
    """Decode with every class in every fold, so that shuffled labels are right by chance."""
    folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=0)
    return decode(counts, labels, cv=folds)


def _figure(
    size: tuple[float, float], n_columns: int = 1
) -> tuple[Figure, npt.NDArray[np.object_]]:
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(1, n_columns)


def _curve(
    accuracies: list[npt.NDArray[np.float64]] | list[list[float]],
    along: str,
    values: npt.NDArray[np.float64],
    repeat: str,
) -> xr.DataArray:
    return xr.DataArray(np.array(accuracies), coords={along: values}, dims=(along, repeat))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("names", nargs="*", help="only these pictures; default: all")
    given = parser.parse_args()
    make_gallery(given.folder, given.names or None)
