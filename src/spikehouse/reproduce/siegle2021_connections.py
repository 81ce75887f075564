"""Siegle et al. (2021), Fig. 2: which area fires first, against the hierarchy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spikehouse.analysis import (
    HIERARCHY_SCORES,
    compute_connections,
    compute_directionality,
    compute_directionality_correlation,
)
from spikehouse.analysis.checks import divide
from spikehouse.catalogue.filters import LISTED_UNITS, filter_units
from spikehouse.errors import InvalidArgumentError
from spikehouse.reproduce import figures
from spikehouse.reproduce.study import Drawing, Findings, Part

if TYPE_CHECKING:
    from spikehouse.session import EcephysSession

FIGURE_2 = "Fig. 2"
STIMULUS = "drifting_gratings"
# As in the authors' figures of scores and of lags: the correlation depends on which of VISrl and
# VISl, which the hierarchy hardly tells apart, is taken for the source.
AREAS = ("VISp", "VISrl", "VISl", "VISal", "VISpm", "VISam")
# slower units than this [spikes/s] are left out
MIN_RATE = 2.0
COLUMNS = [
    "source_unit_id", "target_unit_id", "source_structure", "target_structure", "peak_lag", "peak",
    "is_significant",
]  # fmt: skip


def measure_connections(session: EcephysSession) -> pd.DataFrame:
    """Find the peaks of the correlograms of all pairs of units in six areas of visual cortex.

    During drifting gratings, jittered within each direction; units that pass the default limits and
    fire more than two spikes/s then. Without such gratings a session has no rows.
    """
    areas = session.units["ecephys_structure_acronym"]
    if STIMULUS not in session.stimulus_names:
        found = compute_connections({}, [], [])
    else:
        shown = session.get_stimulus_table(STIMULUS, missing="nan")
        shown = shown[shown["orientation"].notna()]
        units = filter_units(session.units, filters=LISTED_UNITS).index
        found = compute_connections(
            session, units[areas[units].isin(AREAS)], shown["start_time"],
            conditions=shown["orientation"], min_rate=MIN_RATE,
        )  # fmt: skip
    for end in ("source", "target"):
        found[f"{end}_structure"] = areas[found[f"{end}_unit_id"]].to_numpy()
    return found[COLUMNS]


def summarize_connections(
    connections: pd.DataFrame, *, n_resamples: int = 1000, seed: int = 0
) -> Findings:
    """Compute scores, lags and fractions of pairs of areas, and compare with the hierarchy."""
    found = Findings()
    if connections.empty:
        found.reasons[FIGURE_2, ""] = f"no session has {STIMULUS} and two units to correlate"
        return found
    ends = [
        connections[[f"{end}_unit_id", f"{end}_structure"]].set_axis(["unit", "area"], axis=1)
        for end in ("source", "target")
    ]
    structures = pd.concat(ends).drop_duplicates("unit").set_index("unit")["area"]
    table = compute_directionality(connections, structures)
    tables = [
        compute_directionality(part, structures) for _, part in connections.groupby("session_id")
    ]
    # as in the authors' file, the mean of the medians of single mice
    lags = pd.concat([one["median_lag"] for one in tables], axis="columns")
    table["median_lag"] = lags.mean(axis="columns")
    for name in ("n_pairs", "n_significant", "fraction", "score", "median_lag"):
        # lags in ms, as published
        values = _square(table, name).to_numpy() * (1000 if name == "median_lag" else 1)
        for target, source in zip(*np.tril_indices(len(AREAS)), strict=True):
            # by construction 0 of an area with itself
            is_defined = target != source or name not in ("score", "median_lag")
            if is_defined and np.isfinite(values[target, source]):
                area = f"{AREAS[source]}-{AREAS[target]}"
                found.add(FIGURE_2, "connections", name, values[target, source], area=area)
    _explain_gaps(found, table, set(structures))
    intervals = _resample_sessions(tables, n_resamples, seed)
    for measure in ("score", "median_lag"):
        matrix = _square(table, measure)
        n_known = int(np.isfinite(matrix.to_numpy()[np.tril_indices(len(AREAS), -1)]).sum())
        for name, with_diagonal in (("", True), ("off_diagonal_", False)):
            try:
                r = compute_directionality_correlation(
                    matrix, HIERARCHY_SCORES, with_diagonal=with_diagonal
                )
            except InvalidArgumentError:
                known = "1 pair of areas has" if n_known == 1 else f"{n_known} pairs of areas have"
                found.reasons[FIGURE_2, f"directionality_{measure}"] = (
                    f"{known} a value; a correlation needs three that differ"
                )
                continue
            for quantity, value in r.items():
                is_score = (measure, quantity) == ("score", "pearson_r")
                found.add(
                    FIGURE_2, f"directionality_{measure}", f"{name}{quantity}", value,
                    ends=intervals[with_diagonal] if is_score else (np.nan, np.nan),
                )  # fmt: skip
    n_sessions = connections["session_id"].nunique()
    found.notes.append(
        f"{FIGURE_2} is of the sessions here with {STIMULUS}: {n_sessions}. The paper has 25 mice, "
        "and the tables of the survey do not have the numbers of these mice."
    )
    found.notes.append(
        "Scores of an area with itself are 0 by construction, since each pair counts in both "
        "directions. The published correlation has them among its 21 values, which alone makes it "
        "larger; the one without them stands beside it."
    )
    if np.isfinite(_square(table, "score")).any(axis=None):
        found.drawings["figure_2"] = Drawing(
            partial(figures.draw_directionality, table, AREAS),
            f"{FIGURE_2}. a, directionality score: of the pairs of units with a significant "
            "peak, those whose target fires later less those whose source does, as a part of both. "
            "c, mean over sessions of the median lag of these peaks. b, d: pairs of areas, first "
            "the source in the authors' order; r: without areas with themselves (rings). "
            "Small numbers: pairs of units with a significant peak; a score of fewer than ten is "
            "not sure. Grey: none.",
        )
    return found


def _explain_gaps(found: Findings, table: pd.DataFrame, areas: set[str]) -> None:
    """Say of every pair of areas without a value why it has none."""
    n_pairs, n_significant = (
        _square(table, name).fillna(0) for name in ("n_pairs", "n_significant")
    )
    absent = [area for area in AREAS if area not in areas]
    for target, source in zip(*np.tril_indices(len(AREAS)), strict=True):
        ends = AREAS[source], AREAS[target]
        if not areas.issuperset(ends):
            why = f"no units in {', '.join(absent)} that fire more than {MIN_RATE:g} spikes/s"
        elif not n_pairs.loc[ends[1], ends[0]]:
            why = "no session has units to correlate in both areas"
        elif not n_significant.loc[ends[1], ends[0]]:
            why = "none of the pairs of units has a significant peak"
        else:
            why = "the significant peaks are all at a lag of 0"
        found.reasons[FIGURE_2, "-".join(ends)] = why


def _square(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return a measure with a row for each target and a column for each source."""
    square = table[measure].unstack(0).reindex(index=AREAS, columns=AREAS)
    return square.astype(np.float64)


def _resample_sessions(
    tables: list[pd.DataFrame], n_resamples: int, seed: int
) -> dict[bool, tuple[float, float]]:
    """Return what holds 95 % of the correlations of the score when sessions are drawn anew."""
    positive, negative = (
        np.array([_square(table, name).fillna(0).to_numpy() for table in tables])
        for name in ("n_positive", "n_negative")
    )
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(tables), (n_resamples, len(tables)))
    more, less = (counts[chosen].sum(axis=1) for counts in (positive, negative))
    scores = divide(more - less, more + less)
    hierarchy = np.array([HIERARCHY_SCORES[area] for area in AREAS])
    intervals = {}
    for with_diagonal in (True, False):
        target, source = np.tril_indices(len(AREAS), 0 if with_diagonal else -1)
        x = hierarchy[target] - hierarchy[source]
        drawn = []
        for score in scores:
            y = score[target, source]
            is_known = np.isfinite(y)
            if is_known.sum() > 2 and np.ptp(y[is_known]) > 0:
                drawn.append(np.corrcoef(x[is_known], y[is_known])[0, 1])
        # one session is no sample
        is_sample = len(tables) > 1 and drawn
        low, high = np.quantile(drawn, [0.025, 0.975]) if is_sample else (np.nan, np.nan)
        intervals[with_diagonal] = float(low), float(high)
    return intervals


CONNECTIONS = Part(
    name="connections",
    title="Connections between areas",
    figures=(FIGURE_2,),
    measure=measure_connections,
    summarize=summarize_connections,
    drawings=("figure_2",),
)
