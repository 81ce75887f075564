"""Recipes of the view of the whole survey, and of results that were computed for many sessions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spikehouse.analysis import (
    HIERARCHY_SCORES,
    compute_area_statistics,
    compute_hierarchy_correlation,
)
from spikehouse.cohort import CohortRun
from spikehouse.demo.sessions import SESSIONS
from spikehouse.errors import InvalidFileError, NotFoundError, describe_choices
from spikehouse.reproduce import compare_tables
from spikehouse.schema import METRICS, UNITS

if TYPE_CHECKING:
    from spikehouse.cache import EcephysProjectCache

HEAVY = frozenset({"published_values"})

QUANTILES = (5, 25, 50, 75, 95)
AREA = "ecephys_structure_acronym"
SESSION = "ecephys_session_id"


def _read_units(cache: EcephysProjectCache) -> pd.DataFrame:
    """Return the units that pass the default filters, with the released metrics of each."""
    units = cache.get_units()
    types = units["session_type"].dropna().unique()
    metrics = pd.concat(
        [cache.get_unit_analysis_metrics_by_session_type(one, annotate=False) for one in types]
    )
    # the released metrics have rows of units of an earlier sorting, some of them twice
    metrics = metrics[~metrics.index.duplicated()]
    joined: pd.DataFrame = units.join(metrics[[name for name in metrics if name not in units]])
    return joined


def _read_metric(cache: EcephysProjectCache, metric: str) -> pd.DataFrame:
    """Return value, area and session of the units that have a metric and an area."""
    units = _read_units(cache)
    if metric not in units or not pd.api.types.is_numeric_dtype(units[metric]):
        numbers = units.select_dtypes("number").columns
        raise NotFoundError(f"there is no metric {metric!r}: {describe_choices(metric, numbers)}")
    table = units[[metric, AREA, SESSION]].set_axis(["value", "area", "session"], axis=1)
    table["value"] = table["value"].astype(np.float64)
    known = np.isfinite(table["value"]) & table["area"].notna()
    return pd.DataFrame(table[known])


def list_metrics(cache: EcephysProjectCache) -> dict[str, Any]:
    """List the metrics of units, with meaning, unit and the number of units that have each."""
    units = _read_units(cache)
    described = {column.name: column for column in (*UNITS.columns, *METRICS.columns)}
    found = [
        name
        for name in described
        if name in units and pd.api.types.is_float_dtype(units[name]) and units[name].notna().any()
    ]
    table = pd.DataFrame(
        {
            "meaning": [described[name].meaning for name in found],
            "unit": [described[name].unit for name in found],
            "n_units": units[found].notna().sum().to_numpy(),
        },
        index=pd.Index(found, name="metric"),
    )
    return {
        "metrics": table,
        "n_units": len(units),
        "n_sessions": units[SESSION].nunique(),
        "is_simulated": bool(units[SESSION].isin(list(SESSIONS)).any()),
    }


def metric_by_area(
    cache: EcephysProjectCache,
    *,
    metric: str = "firing_rate",
    log: bool = False,
    n_bins: int = 60,
    min_units: int = 5,
) -> dict[str, Any]:
    """Summarize a metric in every area: how many units have which value, and each session."""
    return _summarize(_read_metric(cache, metric), log, n_bins, min_units)


def _summarize(table: pd.DataFrame, log: bool, n_bins: int, min_units: int) -> dict[str, Any]:
    """Summarize values by area: quantiles, histograms, and medians of sessions."""
    n_all = len(table)
    if log:
        table = table[table["value"] > 0]
    if not len(table):
        raise NotFoundError(f"no unit has both {'a positive' if log else 'a'} value and an area")
    grouped = table.groupby("area")["value"]
    numbers = grouped.size()
    ranks = {name: rank for rank, name in enumerate(HIERARCHY_SCORES)}
    # those with a place in the hierarchy first
    areas = sorted(
        numbers[numbers >= min_units].index, key=lambda area: (ranks.get(area, len(ranks)), area)
    )
    low, high = np.quantile(table["value"], [0.005, 0.995])
    # equal values still need a bin
    high = high if high > low else low + 1
    edges = (np.geomspace if log else np.linspace)(low, high, n_bins + 1)
    inside = table["value"].clip(edges[0], edges[-1])
    by_session = table.groupby(["area", "session"])["value"].agg(["median", "size"]).reset_index()
    return {
        "areas": pd.DataFrame(
            {
                "n_units": numbers.reindex(areas),
                "n_sessions": table.groupby("area")["session"].nunique().reindex(areas),
                "mean": grouped.mean().reindex(areas),
                **{f"q{q:02d}": grouped.quantile(q / 100).reindex(areas) for q in QUANTILES},
            },
            index=pd.Index(areas, name="area"),
        ),
        "is_log": log,
        # no logarithm: zero or less
        "n_beyond": n_all - len(table),
        "left_out": [f"{area} {numbers[area]}" for area in numbers.index if area not in areas],
        "edges": edges,
        "counts": np.array(
            [np.histogram(inside[table["area"] == area], edges)[0] for area in areas]
        ).reshape(len(areas), n_bins),
        "sessions": by_session[by_session["area"].isin(areas)].reset_index(drop=True),
    }


def metric_hierarchy(
    cache: EcephysProjectCache, *, metric: str = "firing_rate", n_resamples: int = 200
) -> dict[str, Any]:
    """Compare the means of areas with their places in the anatomical hierarchy."""
    table = _read_metric(cache, metric)
    table = table[table["area"].isin(list(HIERARCHY_SCORES))]
    if not len(table):
        raise NotFoundError(f"no unit with {metric} is in {', '.join(HIERARCHY_SCORES)}")
    values = table["value"].to_numpy(), table["area"].to_numpy(), table["session"].to_numpy()
    areas = compute_area_statistics(*values, n_resamples=n_resamples)
    areas["score"] = [HIERARCHY_SCORES[area] for area in areas.index]
    means = table.groupby(["area", "session"])["value"].agg(["mean", "size"]).reset_index()
    found = compute_hierarchy_correlation(*values, n_resamples=n_resamples)
    return {
        "areas": areas[["score", "mean", "ci_low", "ci_high", "n", "n_sessions"]],
        "sessions": means,
        "correlation": found.to_dict(),
    }


def published_values(cache: EcephysProjectCache, *, study: str = "siegle2021") -> dict[str, Any]:
    """Put the values that the survey's tables give beside the published ones."""
    return {"study": study, "values": compare_tables(study, cache)}


def results_overview(results: Path) -> dict[str, Any]:
    """Describe a folder of results: its sessions, failures, and columns to look at."""
    path = Path(results) / "results.parquet"
    if path.exists():
        try:
            values = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise InvalidFileError(f"{path} cannot be read: {error}") from None
        if "study" not in values or values.empty:
            raise InvalidFileError(f"{path} names no study: spikehouse reproduce did not write it")
        return {"kind": "reproduction", "study": values["study"].iloc[0], "values": values}
    run = CohortRun(results)
    facts, records, failures = run.facts, run.records, run.failures
    done = bool((records["state"] == "done").any())
    table = run.frame() if done else pd.DataFrame()
    numbers = table.select_dtypes("number").columns.difference(["session_id"], sort=False)
    return {
        "kind": "cohort",
        "function": facts["function"]["name"],
        "parameters": facts["parameters"],
        "n_sessions": len(run.session_ids),
        "records": records.drop(columns="warnings"),
        "failures": failures.drop(columns="traceback"),
        "is_simulated": bool(set(run.session_ids) & set(SESSIONS)),
        "n_rows": len(table),
        "columns": list(numbers[~numbers.str.endswith("_id")]),
        "groups": [
            name
            for name in table.columns.difference(["session_id"], sort=False)
            if name not in numbers and 1 < table[name].astype(str).nunique() <= 60
        ],
    }


def results_distribution(
    results: Path,
    *,
    column: str,
    group: str | None = None,
    log: bool = False,
    n_bins: int = 60,
) -> dict[str, Any]:
    """Summarize a column of results by structure or another text column, or by session."""
    table = CohortRun(results).frame()
    for name in filter(None, (column, group)):
        if name not in table:
            raise NotFoundError(
                f"the results have no column {name!r}: {describe_choices(name, table.columns)}"
            )
    groups = table[group or "session_id"]
    shown = pd.DataFrame(
        {
            "value": pd.to_numeric(table[column], errors="coerce").astype(np.float64),
            "area": groups.where(groups.isna(), groups.astype(str)),
            "session": table["session_id"],
        }
    )
    return _summarize(shown[np.isfinite(shown["value"]) & shown["area"].notna()], log, n_bins, 1)
