"""Siegle et al. (2021), doi:10.1038/s41586-020-03171-x: measures of units along the hierarchy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis import (
    HIERARCHY_SCORES,
    compute_area_statistics,
    compute_decay_timescales,
    compute_hierarchy_correlation,
    compute_intrinsic_timescales,
    compute_time_to_first_spike,
)
from spikehouse.errors import InvalidArgumentError
from spikehouse.reproduce import figures
from spikehouse.reproduce.siegle2021_connections import CONNECTIONS
from spikehouse.reproduce.study import Drawing, Findings, Part, Study, is_simulated, read_published

if TYPE_CHECKING:
    from spikehouse.session import EcephysSession

Floats = npt.NDArray[np.float64]
Limit = tuple[str, Callable[[Any, float], Any], float]

UNITS, FIGURE_3, FIGURE_9, FIGURE_10 = "Units", "Fig. 3", "Ext. Data Fig. 9", "Ext. Data Fig. 10"
# codes of cortical_layer in the authors' layer_info.csv, which 1 and 3 (CA1, CA3) share with others
LAYERS = {2: "L2/3", 4: "L4", 5: "L5", 6: "L6"}
CORTEX = tuple(name for name in HIERARCHY_SCORES if name.startswith("VIS"))
FROM_SPIKES = "or compute it with --from spikes"

HAS_FIELD: Limit = ("p_value_rf", np.less, 0.01)
IS_RESPONSIVE: tuple[Limit, ...] = (
    ("area_rf", np.less, 2500),
    ("snr", np.greater, 1),
    ("firing_rate_dg", np.greater, 0.1),
)
FIRES_EARLY: Limit = ("time_to_first_spike_fl", np.less, 0.1)
# the limits of all units in the figure; the authors' selection is cumulative
ALL_UNITS = (HAS_FIELD, *IS_RESPONSIVE, FIRES_EARLY)
DECAY: tuple[Limit, ...] = (
    ("timescale_ac", np.less, 300),
    ("timescale_ac", np.greater, 1),
    ("spike_count_ac", np.greater, 50),
    ("err_ac", np.less, 20),
)
INTRINSIC: tuple[Limit, ...] = (
    ("timescale_it", np.less, 400),
    ("timescale_it", np.greater, 5),
    ("spike_count_it", np.greater, 100),
    ("err_it", np.less, 100),
)


def _log10(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log10(values)
    return np.where(np.isfinite(logs), logs, np.nan)


@dataclass(frozen=True)
class Measure:
    """A measure of units: its column, scale and limits, and the file that has it."""

    figure: str
    column: str
    label: str
    convert: Callable[[Floats], Floats]
    limits: tuple[Limit, ...]
    file: str = ""


MEASURES = {
    "time_to_first_spike": Measure(
        FIGURE_3, "time_to_first_spike_fl", "time to first spike (ms)", lambda s: 1000 * s,
        ALL_UNITS, "time_to_first_spike.csv",
    ),
    "rf_area": Measure(FIGURE_3, "area_rf", "receptive field (deg²)", np.asarray, ALL_UNITS),
    "modulation_index": Measure(
        FIGURE_3, "mod_idx_dg", "log$_{10}$ modulation index", _log10, ALL_UNITS
    ),
    "decay_timescale": Measure(
        FIGURE_3, "timescale_ac", "response decay timescale (ms)", np.asarray,
        (*ALL_UNITS, *DECAY), "timescale_metrics.csv",
    ),
    "firing_rate": Measure(
        FIGURE_9, "firing_rate", "log$_{10}$ firing rate (spikes/s)", _log10, ALL_UNITS
    ),
    # computed for all units that respond, whenever they fire first
    "intrinsic_timescale": Measure(
        FIGURE_9, "timescale_it", "intrinsic timescale (ms)", np.asarray,
        (HAS_FIELD, *IS_RESPONSIVE, *INTRINSIC), "timescale_metrics.csv",
    ),
}  # fmt: skip
# name of the count → what it counts
STEPS = {
    "sorted": "sorted, of any quality",
    "good": "of good quality",
    "receptive_field": "with a receptive field",
    "eight_areas": "in the eight areas",
    "responsive": "field, signal, rate and first spike within limits",
    "decay_timescale": "decay timescale well fitted",
}


def measure_units(session: EcephysSession) -> pd.DataFrame:
    """Compute the measures of the units of a session from its spikes, named as in the tables."""
    units = session.units
    units = units[units["ecephys_structure_acronym"].isin(list(HIERARCHY_SCORES))]
    ids = units.index
    onsets = session.get_stimulus_table("flashes")["start_time"]
    tables = [
        units[["ecephys_structure_acronym", "snr", "firing_rate"]],
        session.analyze(["drifting_gratings", "gabors"], unit_ids=ids, definition="published")[
            ["mod_idx_dg", "firing_rate_dg", "area_rf", "p_value_rf"]
        ],
        compute_time_to_first_spike(session, ids, onsets)["time_to_first_spike"].rename(
            "time_to_first_spike_fl"
        ),
    ]
    computed = {"ac": compute_decay_timescales, "it": compute_intrinsic_timescales}
    for suffix, compute in computed.items():
        found = compute(session, ids, onsets, definition="published")
        tables.append(
            pd.DataFrame(
                {
                    f"timescale_{suffix}": 1000 * found["timescale"],
                    f"err_{suffix}": 1000 * found["standard_error"],
                    f"spike_count_{suffix}": found["n_spikes"],
                }
            )
        )
    return pd.concat(tables, axis="columns").rename_axis("unit_id")


def summarize_units(units: pd.DataFrame, *, n_resamples: int = 1000, seed: int = 0) -> Findings:
    """Compute all statistics and figures from one table of units.

    ``units`` has the columns session_id and ecephys_structure_acronym, and as many of those of
    ``MEASURES`` and its limits as there are; limits on absent columns are not applied.
    """
    found = Findings()
    area = units["ecephys_structure_acronym"]
    is_ours = area.isin(list(HIERARCHY_SCORES))
    # in thalamus and cortex alone: a table may hold other structures
    panels: dict[str, dict[str, figures.Panel]] = {FIGURE_3: {}, FIGURE_9: {}}
    for name, measure in MEASURES.items():
        if measure.column not in units or not units[measure.column].notna().any():
            found.reasons[measure.figure, name] = _say_missing(measure.column, measure.file)
            continue
        chosen = units[is_ours & _pass(units, measure.limits)]
        values = measure.convert(_numbers(chosen, measure.column))
        if not np.isfinite(values).any():
            found.reasons[measure.figure, name] = "no unit is left after the selection"
            continue
        own = chosen["ecephys_structure_acronym"].to_numpy(dtype=object)
        statistics = compute_area_statistics(values, own, n_resamples=n_resamples, seed=seed)
        correlation = compute_hierarchy_correlation(
            values, own, chosen["session_id"].to_numpy(), n_resamples=n_resamples, seed=seed
        )
        _add(found, name, measure, statistics, correlation)
        panels[measure.figure][name] = figures.Panel(measure.label, statistics, correlation)
    _count_units(found, units, is_ours)
    captions = {
        FIGURE_3: "Mean of each measure by area against the anatomical hierarchy score. "
        "Bars: 95 % over units, as in the paper. Line: least squares through the means. r and P: "
        "Pearson and Spearman over the means; over sessions: what holds 95 % of Pearson's r when "
        "sessions, and units within them, are resampled, if there are two. Squares: thalamus.",
        FIGURE_9: "Two measures that do not follow the hierarchy in the paper: mean firing rate "
        "and intrinsic timescale. Bars, line, r and P as in Fig. 3."
        + (
            " Not so in the simulated survey: its rates fall along the hierarchy."
            if is_simulated(units)
            else ""
        ),
    }
    for figure, file in ((FIGURE_3, "figure_3"), (FIGURE_9, "extended_data_figure_9")):
        if panels[figure]:
            drawn = partial(figures.draw_panels, list(panels[figure].values()))
            counted = _say_counts(list(panels[figure].values()))
            found.drawings[file] = Drawing(drawn, f"{figure}. {captions[figure]} {counted}")
    _compare_layers(found, units, n_resamples=n_resamples, seed=seed)
    skipped = [name for name, _, _ in ALL_UNITS if name not in units]
    if skipped:
        found.notes.append(
            f"Units are not selected by {', '.join(skipped)}, which the tables here do not have."
        )
    return found


def _say_counts(panels: list[figures.Panel]) -> str:
    """Say how many units each area of each panel has."""
    said = {
        letter: ", ".join(f"{name} {n:g}" for name, n in panel.statistics["n"].items())
        for letter, panel in zip("abcdefgh", panels, strict=False)
    }
    text = "; ".join(
        f"{' '.join(letter for letter in said if said[letter] == one)}: {one}"
        for one in dict.fromkeys(said.values())
    )
    is_alone = any((panel.statistics["n"] == 1).any() for panel in panels)
    return f"Units: {text}." + (" An area of one unit has no bar." if is_alone else "")


def _pass(units: pd.DataFrame, limits: tuple[Limit, ...]) -> pd.Series[bool]:
    """Return which units are within limits, leaving out limits on columns that are absent."""
    inside = pd.Series(True, index=units.index)
    for column, test, bound in limits:
        if column in units:
            inside &= test(_numbers(units, column), bound)
    return inside


def _numbers(units: pd.DataFrame, column: str) -> Floats:
    values = pd.to_numeric(units[column], errors="coerce")
    wrong = units[column][values.isna() & units[column].notna()]
    if len(wrong):
        raise InvalidArgumentError(
            f"{column} holds {wrong.iloc[0]!r} for unit {wrong.index[0]}; it must hold numbers, or "
            "nothing"
        )
    return np.asarray(values, dtype=np.float64)


def _say_missing(column: str, file: str) -> str:
    if file:
        return (
            f"{column} is not in the released tables: give the authors' {file} with --tables, "
            f"{FROM_SPIKES}"
        )
    return f"{column} is not in the tables here: give a table that has it with --tables"


def _add(
    found: Findings,
    name: str,
    measure: Measure,
    statistics: pd.DataFrame,
    correlation: pd.Series[float],
) -> None:
    for area, row in statistics.iterrows():
        found.add(measure.figure, name, "mean", row["mean"], area=str(area))
        found.add(measure.figure, name, "n_units", row["n"], area=str(area))
        found.add(measure.figure, name, "half_width", row["half_width"], area=str(area))
    for quantity in ("pearson_r", "slope"):
        ends = (correlation[f"{quantity}_low"], correlation[f"{quantity}_high"])
        found.add(measure.figure, name, quantity, correlation[quantity], ends=ends)
    for quantity in (
        "pearson_p", "spearman_r", "spearman_p", "omega_squared", "area_p", "n_units", "n_sessions",
    ):  # fmt: skip
        found.add(measure.figure, name, quantity, correlation[quantity])


def _count_units(found: Findings, units: pd.DataFrame, is_ours: pd.Series[bool]) -> None:
    """Count the units after each step of the selection."""
    counts = dict.fromkeys(STEPS, np.nan)
    if "quality" in units and (units["quality"] != "good").any():
        counts["sorted"] = len(units)
        units = units[units["quality"] == "good"]
        is_ours = is_ours.loc[units.index]
    else:
        found.reasons[UNITS, "sorted"] = "the tables here list no units of other than good quality"
    if set(units["ecephys_structure_acronym"].dropna()) - set(HIERARCHY_SCORES):
        counts["good"] = len(units)
    else:
        found.reasons[UNITS, "good"] = "the table here has no units outside the eight areas"
    steps: dict[str, tuple[Limit, ...]] = {
        "receptive_field": (HAS_FIELD,),
        "eight_areas": (HAS_FIELD,),
        "responsive": ALL_UNITS,
        "decay_timescale": (*ALL_UNITS, *DECAY),
    }
    for step, limits in steps.items():
        if step == "receptive_field" and np.isnan(counts["good"]):
            found.reasons[UNITS, step] = found.reasons[UNITS, "good"]
            continue
        absent = [name for name, _, _ in limits if name not in units]
        if absent:
            found.reasons[UNITS, step] = f"{absent[0]} is not in the tables here"
            continue
        is_inside = _pass(units, limits)
        counts[step] = int((is_inside if step == "receptive_field" else is_inside & is_ours).sum())
    for step, count in counts.items():
        if np.isfinite(count):
            found.add(UNITS, "units", step, count)
    published = read_published("siegle2021")
    theirs = published[published["figure"] == UNITS].set_index("quantity")["value"]
    reference = None if is_simulated(units) else theirs.rename(STEPS)
    draw = partial(figures.draw_funnel, pd.Series(counts).rename(STEPS), reference)
    found.drawings["units"] = Drawing(draw, "Units that remain after each step of the selection.")


def _compare_layers(found: Findings, units: pd.DataFrame, *, n_resamples: int, seed: int) -> None:
    """Compute the four measures by cortical area and layer, and their correlations by layer."""
    if "cortical_layer" not in units:
        found.reasons[FIGURE_10, ""] = (
            "cortical_layer is not in the released tables: give the authors' layer_info.csv with "
            "--from tables --tables"
        )
        found.notes.append(
            "Layers are not compared: give the authors' layer_info.csv, whose cortical_layer has "
            "the layer of each unit, with --from tables --tables."
        )
        return
    is_cortical = units["ecephys_structure_acronym"].isin(CORTEX)
    if "cortical_depth" in units:
        is_cortical &= units["cortical_depth"] > 0
    panels = []
    for name, measure in MEASURES.items():
        if measure.figure != FIGURE_3 or measure.column not in units:
            continue
        chosen = units[is_cortical & _pass(units, measure.limits)]
        values = measure.convert(_numbers(chosen, measure.column))
        lines = {}
        for code, layer in LAYERS.items():
            here = (chosen["cortical_layer"] == code).to_numpy() & np.isfinite(values)
            if not here.any():
                continue
            own = chosen["ecephys_structure_acronym"].to_numpy(dtype=object)[here]
            lines[layer] = compute_area_statistics(
                values[here], own, n_resamples=n_resamples, seed=seed
            )
            for area, row in lines[layer].iterrows():
                found.add(FIGURE_10, name, f"{layer}: mean", row["mean"], area=str(area))
            correlation = compute_hierarchy_correlation(values[here], own)
            for quantity in ("pearson_r", "spearman_r"):
                found.add(FIGURE_10, name, f"{layer}: {quantity}", correlation[quantity])
        if lines:
            panels.append((measure.label, lines))
    if panels:
        found.drawings["extended_data_figure_10"] = Drawing(
            partial(figures.draw_layers, panels),
            f"{FIGURE_10}. The same measures in the layers of six cortical areas. Bars: 95 % over "
            "units.",
        )


STUDY = Study(
    title="A functional hierarchy in the mouse visual system",
    reference="Siegle, Jia et al. (2021), Survey of spiking in the mouse visual system reveals "
    "functional hierarchy, Nature 592, 86–92",
    doi="10.1038/s41586-020-03171-x",
    parts=(
        Part(
            name="units",
            title="Measures of units along the hierarchy",
            figures=(UNITS, FIGURE_3, FIGURE_9, FIGURE_10),
            measure=measure_units,
            summarize=summarize_units,
            drawings=("units", "figure_3", "extended_data_figure_9", "extended_data_figure_10"),
            is_tabulated=True,
        ),
        CONNECTIONS,
    ),
)
