"""What a study is made of, and its published values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from spikehouse.session import EcephysSession

KEYS = ["figure", "measure", "quantity", "area"]
# How the names of correlations, and of differences of fractions, end. Weaker published ones have no
# sign that a simulation could share.
SIGNED = ("_r", "_difference")
WEAKEST = 0.5


@dataclass(frozen=True)
class Drawing:
    """A figure: what draws it, when it is written, as a matplotlib Figure; and its legend."""

    draw: Callable[[], Any]
    caption: str


@dataclass
class Findings:
    """What a part of a study found.

    ``values`` has the columns of ``KEYS``, value, and low and high, the ends of an interval over
    sessions (NaN without). ``reasons`` says why there is no value, by (figure, area), (figure,
    quantity), (figure, measure) or (figure, ""): the first of these that there is.
    """

    values: list[dict[str, object]] = field(default_factory=list)
    drawings: dict[str, Drawing] = field(default_factory=dict)
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        figure: str,
        measure: str,
        quantity: str,
        value: float,
        *,
        area: str = "",
        ends: tuple[float, float] = (np.nan, np.nan),
    ) -> None:
        """Add a value, with the ends of its interval over sessions."""
        keys = dict(zip(KEYS, (figure, measure, quantity, area), strict=True))
        self.values.append({**keys, "value": float(value), "low": ends[0], "high": ends[1]})


@dataclass(frozen=True)
class Part:
    """A part of a study: a table for each session, and what all of them together show.

    ``measure`` computes the table of a session from its spikes. ``summarize`` turns the rows of all
    sessions, with a column session_id, into findings; ``drawings`` are the names of all figures
    that it may have. A part ``is_tabulated`` if the tables of the survey (and files given) have all
    that it needs.
    """

    name: str
    title: str
    figures: tuple[str, ...]
    measure: Callable[[EcephysSession], pd.DataFrame]
    summarize: Callable[[pd.DataFrame], Findings]
    drawings: tuple[str, ...]
    is_tabulated: bool = False


@dataclass(frozen=True)
class Study:
    """A publication whose results are computed again."""

    title: str
    reference: str
    doi: str
    parts: tuple[Part, ...]
    # of the sessions it is about; None: of all
    session_type: str | None = None


def read_published(study: str) -> pd.DataFrame:
    """Read the published values of a study: one row each, with tolerance, origin and source.

    ``how`` says where a value is from: ``printed`` in the publication or in its authors' figure,
    ``read off`` that figure, or ``derived`` from their tables.
    """
    file = resources.files("spikehouse.reproduce") / "published.csv"
    with file.open(encoding="utf-8") as lines:
        table = pd.read_csv(lines, keep_default_na=False)
    return table[table["study"] == study].drop(columns="study").reset_index(drop=True)


def is_simulated(table: pd.DataFrame) -> bool:
    """Return whether a table has sessions of the simulated survey."""
    from spikehouse.demo.sessions import SESSIONS

    return bool(table["session_id"].isin(list(SESSIONS)).any())


def compare(
    findings: Mapping[str, Findings],
    published: pd.DataFrame,
    *,
    is_simulated: bool,
    files: Collection[str] = (),
) -> pd.DataFrame:
    """Put ours beside the published values: difference, verdict and, where there is none, why.

    ``files`` are the names of those that ours is from: what was derived from one of them and is
    found again shows only that the limits are the same.
    """
    ours = pd.DataFrame(
        [row for found in findings.values() for row in found.values],
        columns=[*KEYS, "value", "low", "high"],
    )
    columns = {"value": "published"}
    table = ours.merge(published.rename(columns=columns), on=KEYS, how="outer", sort=False)
    reasons = {key: why for found in findings.values() for key, why in found.reasons.items()}
    table["difference"] = table["value"] - table["published"]
    table["verdict"] = [_judge(row, is_simulated, files) for _, row in table.iterrows()]
    # a P-value is part of its correlation
    verdicts = table.set_index(KEYS)["verdict"]
    is_found = table["verdict"].isin(["reproduced", "same file"])
    for at, row in table[is_found & table["quantity"].str.endswith("_p")].iterrows():
        r = (row["figure"], row["measure"], row["quantity"].removesuffix("_p") + "_r", "")
        if verdicts.get(r) == "differs":
            table.loc[at, "verdict"] = "differs"
    order = {key: place for place, key in enumerate(map(tuple, published[KEYS].to_numpy()))}
    place = [order.get(tuple(row), len(order)) for row in table[KEYS].to_numpy()]
    table = table.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)
    table[["how", "source"]] = table[["how", "source"]].fillna("")
    table["reason"] = _explain(table, reasons)
    first = [*KEYS, "value", "low", "high", "published", "difference", "tolerance"]
    return table[[*first, "verdict", "reason", "how", "source"]]


def _judge(row: pd.Series, is_simulated: bool, files: Collection[str]) -> str:
    if np.isnan(row["published"]):
        return ""
    if np.isnan(row["value"]):
        return "not computed"
    if is_simulated:
        if not str(row["quantity"]).endswith(SIGNED) or abs(row["published"]) < WEAKEST:
            return "not comparable"
        return "same sign" if row["value"] * row["published"] > 0 else "other sign"
    if abs(row["difference"]) > row["tolerance"] + 1e-9:
        return "differs"
    is_same = row["how"] == "derived" and any(name in row["source"] for name in files)
    return "same file" if is_same else "reproduced"


def _explain(table: pd.DataFrame, reasons: Mapping[tuple[str, str], str]) -> list[str]:
    """Say why there is no value, or why its sign is not sure."""
    of_areas = table[(table["verdict"] == "not computed") & (table["area"] != "")]
    absent = of_areas.groupby(["figure", "measure"], sort=False)["area"].unique()
    return [_explain_one(row, reasons, absent) for _, row in table.iterrows()]


def _explain_one(row: pd.Series, reasons: Mapping[tuple[str, str], str], absent: pd.Series) -> str:
    figure, measure = str(row["figure"]), str(row["measure"])
    if row["verdict"] == "same sign" and row["low"] <= 0 <= row["high"]:
        return "the 95 % interval includes 0"
    if row["verdict"] != "not computed":
        return ""
    named = [str(row[name]) for name in ("area", "quantity") if row[name]]
    for key in (*named, measure, ""):
        if (figure, key) in reasons:
            return reasons[figure, key]
    if not row["area"]:
        return "fewer than three areas have a value"
    return f"no units in {', '.join(absent[figure, measure])} after the selection"
