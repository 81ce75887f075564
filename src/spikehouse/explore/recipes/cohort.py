"""Recipes of the view of the whole survey, and of results that were computed for many sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spikehouse import EcephysProjectCache
from spikehouse.analysis import (
    HIERARCHY_SCORES,
    compute_area_statistics,
    compute_hierarchy_correlation,
)
from spikehouse.cohort import CohortRun
from spikehouse.demo.sessions import SESSIONS
from spikehouse.errors import (
    InvalidArgumentError,
    InvalidFileError,
    NotFoundError,
    SpikehouseError,
    describe_choices,
)
from spikehouse.reproduce import compare_tables
from spikehouse.schema import METRICS, UNITS

HEAVY = frozenset({"published_values"})

QUANTILES = (5, 25, 50, 75, 95)
AREA = "ecephys_structure_acronym"
SESSION = "ecephys_session_id"
# the value that is 0 again: they have no mean and no median
CIRCULAR = {"pref_ori_dg": 360.0, "pref_ori_sg": 180.0, "pref_phase_sg": 1.0, "pref_dir_dm": 360.0}
# numbers that are names, and places
NO_QUANTITY = r"(?:^|_)id$|_index$|_coordinate$|_position$|_number$|_sampling_rate$|^pref_image_ns$"
TIMES = ("time", "time_relative_to_stimulus_onset", "lag")


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
    numbers = _list_quantities(units)
    if metric not in numbers:
        raise NotFoundError(f"there is no metric {metric!r}: {describe_choices(metric, numbers)}")
    table = units[[metric, AREA, SESSION]].set_axis(["value", "area", "session"], axis=1)
    table["value"] = table["value"].astype(np.float64)
    known = np.isfinite(table["value"]) & table["area"].notna()
    return pd.DataFrame(table[known])


def _list_quantities(table: pd.DataFrame) -> list[str]:
    """List the columns of numbers that are neither ids nor places."""
    numbers = table.select_dtypes("number").columns
    return list(numbers[~numbers.str.contains(NO_QUANTITY)])


def list_metrics(cache: EcephysProjectCache) -> dict[str, Any]:
    """List the metrics of units, with meaning, unit and the number of units that have each."""
    units = _read_units(cache)
    described = {column.name: column for column in (*UNITS.columns, *METRICS.columns)}
    offered = _list_quantities(units.select_dtypes("float").dropna(axis="columns", how="all"))
    found = [name for name in described if name in offered]
    table = pd.DataFrame(
        {
            "meaning": [described[name].meaning for name in found],
            "unit": [described[name].unit for name in found],
            "n_units": units[found].notna().sum().to_numpy(),
            "is_circular": [name in CIRCULAR for name in found],
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
    return _summarize(_read_metric(cache, metric), metric, log, n_bins, min_units)


def _summarize(
    table: pd.DataFrame, name: str, log: bool, n_bins: int, min_units: int
) -> dict[str, Any]:
    """Summarize values by area: quantiles, histograms, and medians of sessions."""
    n_all, period = len(table), CIRCULAR.get(name)
    if log and period:
        raise InvalidArgumentError(f"{name} is circular: {period:g} is 0, which has no logarithm")
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
    # the axis leaves out what is far from the rest; quantiles and means do not
    low, high = (0.0, period) if period else np.quantile(table["value"], [0.005, 0.995])
    # equal values still need a bin
    high = high if high > low else low + 1
    edges = (np.geomspace if log else np.linspace)(low, high, n_bins + 1)
    # exactly, so that the outermost values are inside
    edges[0], edges[-1] = low, high
    by_session = table.groupby(["area", "session"])["value"].agg(["median", "size"]).reset_index()
    summaries = {
        "mean": grouped.mean(),
        **{f"q{q:02d}": grouped.quantile(q / 100) for q in QUANTILES},
    }
    outside = table.loc[~table["value"].between(low, high), "area"].value_counts()
    return {
        "areas": pd.DataFrame(
            {
                "n_units": numbers.reindex(areas),
                "n_sessions": table.groupby("area")["session"].nunique().reindex(areas),
                "n_outside": outside.reindex(areas, fill_value=0),
                **{key: own.reindex(areas) for key, own in summaries.items() if not period},
            },
            index=pd.Index(areas, name="area"),
        ),
        "is_log": log,
        "is_circular": bool(period),
        # no logarithm: zero or less
        "n_beyond": n_all - len(table),
        "left_out": [f"{area} {numbers[area]}" for area in numbers.index if area not in areas],
        "edges": edges,
        "counts": np.array(
            [np.histogram(table["value"][table["area"] == area], edges)[0] for area in areas]
        ).reshape(len(areas), n_bins),
        "sessions": by_session[by_session["area"].isin([] if period else areas)].reset_index(
            drop=True
        ),
    }


def metric_hierarchy(
    cache: EcephysProjectCache, *, metric: str = "firing_rate", n_resamples: int = 200
) -> dict[str, Any]:
    """Compare the means of areas with their places in the anatomical hierarchy."""
    if metric in CIRCULAR:
        raise InvalidArgumentError(
            f"{metric} is circular ({CIRCULAR[metric]:g} is 0 again), so it has no mean that could "
            "rise or fall along the hierarchy"
        )
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


def _read_results(results: Path) -> tuple[pd.DataFrame, str]:
    """Return the rows with the structures of their units, or say why they have none."""
    run = CohortRun(results)
    table, options = run.frame(), run.facts["cache"]
    if AREA in table:
        return table, ""
    if "unit_id" not in table:
        return table, "the rows are not of single units"
    if not options:
        return table, "the folder does not say of which survey it is"
    try:
        with EcephysProjectCache.fixed(options["cache"]) as cache:
            units = cache.get_units(None, **run.facts["filters"])
    except (SpikehouseError, OSError) as error:
        return table, f"the survey of the run cannot be read: {error}"
    table[AREA] = table["unit_id"].map(units[AREA])
    return table, ""


def results_overview(results: Path) -> dict[str, Any]:
    """Describe a folder of results: its sessions, failures, and columns to look at."""
    path = Path(results) / "results.parquet"
    if path.exists():
        try:
            values = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise InvalidFileError(f"{path} cannot be read: {error}") from None
        if not {"study", "verdict"} <= set(values) or values.empty:
            raise InvalidFileError(f"{path} names no study: spikehouse reproduce did not write it")
        of_simulations = ["same sign", "other sign", "not comparable"]
        return {
            "kind": "reproduction",
            "study": values["study"].iloc[0],
            "values": values,
            "is_simulated": bool(values["verdict"].isin(of_simulations).any()),
        }
    run = CohortRun(results)
    facts, records, failures = run.facts, run.records, run.failures
    done = bool((records["state"] == "done").any())
    table, reason = _read_results(results) if done else (pd.DataFrame(), "")
    numbers = table.select_dtypes("number").columns.difference(["session_id"], sort=False)
    # a rate is what most look at
    columns = sorted(
        (name for name in _list_quantities(table[numbers]) if name not in TIMES),
        key=lambda name: name not in ("rate", "firing_rate"),
    )
    described = {column.name: column.unit for column in (*UNITS.columns, *METRICS.columns)}
    return {
        "kind": "cohort",
        "function": facts["function"]["name"],
        "parameters": facts["parameters"],
        "n_sessions": len(run.session_ids),
        "records": records.drop(columns="warnings"),
        "failures": failures.drop(columns="traceback"),
        "is_simulated": bool(set(run.session_ids) & set(SESSIONS)),
        "n_rows": len(table),
        "n_units": int(table["unit_id"].nunique()) if "unit_id" in table else None,
        "columns": columns,
        "units": [{"rate": "spikes/s", **described}.get(name, "") for name in columns],
        "time": next((name for name in TIMES if name in numbers), None),
        "no_structures": reason,
        "groups": [
            name
            for name in table.columns.difference(["session_id"], sort=False)
            if name not in numbers and 1 <= table[name].astype(str).nunique() <= 60
        ],
    }


def _choose_results(results: Path, column: str, group: str | None) -> tuple[pd.DataFrame, str]:
    """Return value, area, session, unit and time of the rows, and what a row is of."""
    table, _ = _read_results(results)
    for name in filter(None, (column, group)):
        if name not in table:
            raise NotFoundError(
                f"the results have no column {name!r}: {describe_choices(name, table.columns)}"
            )
    groups = table[group or "session_id"]
    chosen = pd.DataFrame(
        {
            "value": pd.to_numeric(table[column], errors="coerce").astype(np.float64),
            "area": groups.where(groups.isna(), groups.astype(str)),
            "session": table["session_id"],
            "unit": table["unit_id"] if "unit_id" in table else np.arange(len(table)),
            "time": next((table[name] for name in TIMES if name in table), 0.0),
        }
    )
    chosen = chosen[np.isfinite(chosen["value"]) & chosen["area"].notna()]
    return chosen, "units" if "unit_id" in table else "rows"


def results_distribution(
    results: Path,
    *,
    column: str,
    group: str | None = None,
    log: bool = False,
    n_bins: int = 60,
) -> dict[str, Any]:
    """Summarize a column of results by structure, another text or session; a unit counts once."""
    chosen, counted = _choose_results(results, column, group)
    means = chosen.groupby(["area", "session", "unit"])["value"].mean().reset_index()
    is_averaged = len(means) < len(chosen)
    return {
        **_summarize(means, column, log, n_bins, 1),
        "counted": counted,
        "is_averaged": is_averaged,
    }


def results_over_time(
    results: Path, *, column: str = "rate", group: str | None = None
) -> dict[str, Any]:
    """Average a column of results over units at each time, by structure, text or session."""
    chosen, counted = _choose_results(results, column, group)
    # each unit weighs the same, however many conditions it has
    means = chosen.groupby(["area", "time", "session", "unit"])["value"].mean()
    curves = means.groupby(["area", "time"]).mean().unstack("area")
    n_units = chosen.drop_duplicates(["area", "session", "unit"])["area"].value_counts()
    return {
        "times": curves.index.to_numpy(dtype=np.float64),
        "groups": list(curves),
        "n_units": n_units.reindex(list(curves)).to_numpy(),
        "means": curves.to_numpy().T.copy(),
        "counted": counted,
    }
