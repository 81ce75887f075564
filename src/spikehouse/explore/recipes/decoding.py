"""Recipes of the view of decoding: how well spikes tell what was shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from spikehouse.decoding import (
    decode,
    decode_against_chance,
    decode_by_area,
    decode_by_unit_count,
    decode_over_time,
)
from spikehouse.errors import NotFoundError
from spikehouse.spikes import compute_design_matrix

if TYPE_CHECKING:
    from spikehouse.session import EcephysSession

HEAVY = frozenset(
    {
        "decode_confusion",
        "decoding_chance",
        "decoding_over_time",
        "decoding_by_units",
        "decoding_by_area",
    }
)

Decoder = Literal["poisson-naive-bayes", "lda", "linear-svc", "svc", "ridge"]
Folds = Literal["kfold", "stratified", "blocked"]


def decoding_choices(session: EcephysSession) -> dict[str, Any]:
    """List what can be decoded: stimuli with their labels, and structures with their units."""
    no_labels = ["start_time", "stop_time", "duration", "stimulus_name", "stimulus_block"]
    rows = []
    for name in session.stimulus_names:
        shown = session.get_stimulus_table(name, missing="nan")
        for label in shown.columns.difference(no_labels, sort=False):
            numbers = shown[label].value_counts()
            # five folds need each value several times
            if len(numbers) > 1 and numbers.min() > 1:
                shortest = float((shown["stop_time"] - shown["start_time"]).min())
                rows.append((name, label, len(numbers), int(numbers.sum()), shortest))
    columns = ["stimulus", "label", "n_values", "n_presentations", "shortest"]
    structures = session.structurewise_unit_counts
    return {
        "labels": pd.DataFrame(rows, columns=columns),
        "structures": [str(name) for name in structures.index],
        "n_units": structures.to_numpy(dtype=np.int64),
        "n_units_in_all": len(session.units),
    }


def _choose(
    session: EcephysSession, stimulus: str, label: str, structures: tuple[str, ...]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the presentations that have a label, and the units."""
    shown = session.get_stimulus_table(stimulus, missing="nan")
    if label not in shown:
        raise NotFoundError(
            f"{stimulus} has no column {label!r}; it has {', '.join(map(str, shown.columns))}"
        )
    units = session.units.loc[list(session.spike_times)]
    if structures:
        units = units[units["ecephys_structure_acronym"].isin(structures)]
    if not len(units):
        raise NotFoundError(f"this session has no units in {', '.join(structures) or 'any area'}")
    return shown.dropna(subset=[label]), units


def _options(shown: pd.DataFrame, decoder: str, folds: str) -> dict[str, Any]:
    """Return estimator, folds and blocks of a decoding."""
    blocks = shown["stimulus_block"] if folds == "blocked" else None
    # other decoders than SVC would start processes, which costs more than it saves here
    n_jobs = None if decoder == "svc" else 1
    return {"estimator": decoder, "cv": folds, "groups": blocks, "n_jobs": n_jobs}


def _prepare(
    session: EcephysSession,
    stimulus: str,
    label: str,
    window: tuple[float, float],
    structures: tuple[str, ...],
    decoder: str,
    folds: str,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return what a decoding from counts in a window [s] from the onset needs, and the units."""
    shown, units = _choose(session, stimulus, label, structures)
    onsets = shown["start_time"]
    windows = shown.assign(start_time=onsets + window[0], stop_time=onsets + window[1])
    counts = compute_design_matrix(session, units.index, windows)
    design = pd.DataFrame(counts.to_numpy(), index=shown.index, columns=units.index)
    return {"design": design, "targets": shown[label], **_options(shown, decoder, folds)}, units


def decode_confusion(
    session: EcephysSession,
    *,
    stimulus: str,
    label: str,
    window: tuple[float, float] = (0.0, 0.25),
    structures: tuple[str, ...] = (),
    decoder: Decoder = "poisson-naive-bayes",
    folds: Folds = "kfold",
) -> dict[str, Any]:
    """Decode the label of each presentation from spike counts in a window from the onset [s]."""
    task, _ = _prepare(session, stimulus, label, window, structures, decoder, folds)
    found = decode(**task)
    return {
        "labels": found.labels.tolist(),
        "confusion": found.confusion.to_numpy(),
        "accuracies": found.accuracies,
        "accuracy": found.mean_accuracy,
        "chance": found.chance,
        "n_presentations": found.n_presentations,
        "n_units": found.n_units,
        "notes": "; ".join(found.notes),
    }


def decoding_chance(
    session: EcephysSession,
    *,
    stimulus: str,
    label: str,
    window: tuple[float, float] = (0.0, 0.25),
    structures: tuple[str, ...] = (),
    decoder: Decoder = "poisson-naive-bayes",
    folds: Folds = "kfold",
    n_resamples: int = 20,
) -> dict[str, Any]:
    """Decode shuffled labels; with blocked folds they are shuffled within blocks."""
    task, _ = _prepare(session, stimulus, label, window, structures, decoder, folds)
    found = decode_against_chance(**task, n_resamples=n_resamples)
    return {
        "accuracy": found.accuracy,
        "shuffled": found.shuffled.to_numpy(),
        "p_value": found.p_value,
        "notes": "; ".join(found.notes),
    }


def decoding_over_time(
    session: EcephysSession,
    *,
    stimulus: str,
    label: str,
    window: tuple[float, float] = (-0.1, 0.4),
    bin: float = 0.05,
    structures: tuple[str, ...] = (),
    decoder: Decoder = "poisson-naive-bayes",
    folds: Folds = "kfold",
) -> dict[str, Any]:
    """Decode from the spikes in successive windows from before the onset on."""
    shown, units = _choose(session, stimulus, label, structures)
    curve = decode_over_time(
        session,
        units.index,
        shown,
        label,
        span=window,
        bin_width=bin,
        **_options(shown, decoder, folds),
    )
    return {
        "starts": curve["window_start"].to_numpy(),
        "stops": curve["window_stop"].to_numpy(),
        "accuracies": curve.to_numpy(),
        "chance": curve.attrs["chance"],
        "notes": curve.attrs["notes"],
    }


def decoding_by_units(
    session: EcephysSession,
    *,
    stimulus: str,
    label: str,
    window: tuple[float, float] = (0.0, 0.25),
    structures: tuple[str, ...] = (),
    decoder: Decoder = "poisson-naive-bayes",
    folds: Folds = "kfold",
    n_draws: int = 5,
) -> dict[str, Any]:
    """Decode from random draws of more and more units."""
    task, _ = _prepare(session, stimulus, label, window, structures, decoder, folds)
    curve = decode_by_unit_count(**task, n_draws=n_draws)
    return {
        "n_units": curve["n_units"].to_numpy(),
        "accuracies": curve.to_numpy(),
        "chance": curve.attrs["chance"],
        "notes": curve.attrs["notes"],
    }


def decoding_by_area(
    session: EcephysSession,
    *,
    stimulus: str,
    label: str,
    window: tuple[float, float] = (0.0, 0.25),
    structures: tuple[str, ...] = (),
    decoder: Decoder = "poisson-naive-bayes",
    folds: Folds = "kfold",
    n_draws: int = 5,
    min_units: int = 10,
) -> dict[str, Any]:
    """Decode from as many units of each structure as the smallest of them has."""
    task, units = _prepare(session, stimulus, label, window, structures, decoder, folds)
    areas = units["ecephys_structure_acronym"]
    curve = decode_by_area(**task, areas=areas, n_draws=n_draws, min_units=min_units)
    return {
        "structures": curve["area"].to_numpy().tolist(),
        "n_units_available": curve["n_units_available"].to_numpy(),
        "n_units": curve.attrs["n_units"],
        "accuracies": curve.to_numpy(),
        "chance": curve.attrs["chance"],
        "notes": curve.attrs["notes"],
    }
