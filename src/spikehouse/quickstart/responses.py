"""Analysis steps: flash responses, spikes, decoding, best and worst image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.decoding import DecodingResult, decode
from spikehouse.quickstart import figures
from spikehouse.quickstart.survey import BLANK, Decodable, Recording, list_presentations
from spikehouse.report import Log, save_figure
from spikehouse.spikes import compute_design_matrix

TIME_STEP = 0.01
PSTH_WINDOW = (-0.1, 0.5)
FLASH_NAMES = {-1.0: "dark flashes", 1.0: "bright flashes"}


def show_flash_responses(log: Log, recording: Recording, out: Path) -> None:
    """Compute and draw peristimulus time histograms of the flashes."""
    session = recording.session
    if "flashes" not in session.stimulus_names:
        log.notice("This session has no flashes; psth.png is not written.")
        return
    presentations = session.get_stimulus_table("flashes")
    edges = np.arange(PSTH_WINDOW[0], PSTH_WINDOW[1] + TIME_STEP, TIME_STEP)
    histograms = session.presentationwise_spike_counts(
        stimulus_presentation_ids=presentations.index.values,
        bin_edges=edges,
        unit_ids=recording.units.index.values,
    )
    overall = histograms.mean("stimulus_presentation_id")
    duration = float((presentations["stop_time"] - presentations["start_time"]).median())
    log.fields(
        {
            "flashes": len(presentations),
            "counts": " × ".join(f"{n} {d}" for d, n in histograms.sizes.items()),
            "type": histograms.dtype,
            "spikes counted": f"{int(histograms.sum()):,}",
        }
    )
    figure = figures.draw_psth(
        recording,
        overall,
        _mean_by_colour(histograms, presentations),
        duration=duration,
        n_flashes=len(presentations),
    )
    log.figure(
        save_figure(figure, out / "psth.png"),
        f"Response of {recording.area} to full-field flashes. Above: mean of the units ± standard "
        "error. Below: mean of all flashes, one row per unit, the uppermost on the probe at the "
        "top; colours end at the 98th percentile. The bar marks the flash.",
    )
    log.origin(
        "flash histograms, spikes counted, psth.png",
        file=recording.file,
        rows=f"stimulus presentations {_span(presentations)} (flashes)",
        units=recording.unit_rule,
        function=(
            "EcephysSession.presentationwise_spike_counts(bin_edges="
            f"{PSTH_WINDOW[0]:g} … {PSTH_WINDOW[1]:g} s by {TIME_STEP:g} s)"
        ),
    )


def show_scene_spikes(
    log: Log, recording: Recording, stimulus: Decodable, out: Path
) -> tuple[xr.DataArray, pd.DataFrame, Decodable]:
    """List and count the spikes during the decoded stimulus; return the design."""
    session, unit_ids = recording.session, recording.units.index.values
    presentations, stimulus, n_left_out = list_presentations(session, stimulus)
    if n_left_out:
        log.notice(
            f"{n_left_out} blank presentations have no {stimulus.parameter} and are left out."
        )
    spikes = session.presentationwise_spike_times(
        stimulus_presentation_ids=presentations.index.values, unit_ids=unit_ids
    )
    log.table(spikes, f"{len(spikes):,} spikes during {stimulus.title}", max_rows=6)
    design = compute_design_matrix(session, unit_ids, presentations)
    log.fields(
        {
            "design": f"{design.shape[0]} presentations × {design.shape[1]} units",
            "spikes in it": f"{int(design.sum()):,}",
            "presentations without a spike": int((design.sum("unit_id") == 0).sum()),
            "units without a spike": int((design.sum("stimulus_presentation_id") == 0).sum()),
        }
    )
    log.headline("presentations", f"{design.shape[0]:,}")
    figure = figures.draw_raster(recording, spikes, design, presentations, stimulus)
    log.figure(
        save_figure(figure, out / "raster.png"),
        f"Spikes during {stimulus.title}. Left: the unit whose counts depend most on the "
        f"{stimulus.class_name} (largest variance between, relative to within, classes); one row "
        "per presentation. Right: all units in the first presentations.",
    )
    log.origin(
        "spike times, design, raster.png",
        file=recording.file,
        rows=f"stimulus presentations {_span(presentations)} ({stimulus.stimulus_name})",
        units=recording.unit_rule,
        function="EcephysSession.presentationwise_spike_times(…), spikes.compute_design_matrix(…)",
    )
    return design, presentations, stimulus


def show_decoding(
    log: Log,
    recording: Recording,
    design: xr.DataArray,
    targets: pd.Series,
    stimulus: Decodable,
    out: Path,
) -> DecodingResult:
    """Decode the stimulus and draw the confusion matrix."""
    result = decode(design, targets)
    shares = {f"accuracy, fold {i}": f"{a:.4f}" for i, a in enumerate(result.accuracies)}
    chance = f"{result.chance:.4f} (1 / {len(result.labels)} classes)"
    mean = f"{result.mean_accuracy:.4f}"
    log.fields({**shares, "mean accuracy": mean, "chance": chance})
    log.headline("mean accuracy", f"{result.mean_accuracy:.1%}")
    log.headline("chance", f"{result.chance:.1%}")
    figure = figures.draw_confusion(recording, result, stimulus)
    log.figure(
        save_figure(figure, out / "confusion.png"),
        f"Actual and predicted {stimulus.class_name}: number of presentations, summed over the "
        f"{len(result.accuracies)} folds; correct predictions are on the diagonal.",
    )
    log.origin(
        "accuracies, mean, chance, confusion.png",
        file=recording.file,
        rows=f"stimulus presentations {_span(targets)} ({stimulus.stimulus_name})",
        units=recording.unit_rule,
        function=f"decoding.decode(design, {stimulus.parameter}): {result.estimator}, {result.cv}",
    )
    return result


def show_best_and_worst(
    log: Log, recording: Recording, result: DecodingResult, stimulus: Decodable, out: Path
) -> None:
    """Show the classes that are decoded best and worst, with their images."""
    shares = result.per_class_accuracy.dropna()
    if stimulus.has_images:
        # the blank screen is not an image
        shares = shares[shares.index != BLANK]
    best, worst = shares.idxmax(), shares.idxmin()
    if best == worst:
        worst = shares.index[-1]
        log.notice(
            f"Every {stimulus.class_name} is decoded equally well; the first and last are shown."
        )
    names = stimulus.names([best, worst])
    marked: dict[Any, str] = {
        best: f"most decodable: {stimulus.short_name} {names[best]}",
        worst: f"least decodable: {stimulus.short_name} {names[worst]}",
    }
    log.fields(
        {
            f"most decodable {stimulus.class_name}": f"{names[best]} ({shares.max():.0%} right)",
            f"least decodable {stimulus.class_name}": f"{names[worst]} ({shares.min():.0%} right)",
        }
    )
    templates: dict[Any, npt.NDArray[Any]] = {}
    if stimulus.has_images and recording.read_template is not None:
        templates = {label: recording.read_template(int(label)) for label in marked}
    elif stimulus.has_images:
        log.notice(
            "The session file does not contain the images: images.png ranks them without showing "
            "them. Use --source demo or --source warehouse to see them."
        )
    else:
        log.notice(
            f"{stimulus.title.capitalize()} have no images to show; images.png ranks the classes."
        )
    figure = figures.draw_images(recording, result, stimulus, marked=marked, templates=templates)
    log.figure(
        save_figure(figure, out / "images.png"),
        f"The most and the least decodable {stimulus.class_name}; where several are equal, the "
        f"first. Dots: every {stimulus.class_name}, by rank.",
    )
    log.origin(
        "most and least decodable, images.png",
        file=recording.file,
        rows="all test presentations",
        units=recording.unit_rule,
        function="DecodingResult.per_class_accuracy"
        + (", EcephysProjectCache.get_natural_scene_template(number)" if templates else ""),
    )


def _mean_by_colour(
    histograms: xr.DataArray, presentations: pd.DataFrame
) -> dict[str, xr.DataArray]:
    if "color" not in presentations.columns:
        return {"all flashes": histograms.mean("stimulus_presentation_id")}
    means = {}
    for color, rows in presentations.groupby("color").groups.items():
        number = pd.to_numeric(color, errors="coerce")  # type: ignore[call-overload]
        name = f"{FLASH_NAMES.get(float(number), f'color {color}')} ({len(rows)})"
        chosen = histograms.sel(stimulus_presentation_id=list(rows))
        means[name] = chosen.mean("stimulus_presentation_id")
    return means


def _span(rows: pd.DataFrame | pd.Series) -> str:
    return f"{rows.index.min()}–{rows.index.max()}, {len(rows):,} in total"
