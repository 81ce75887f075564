"""Write the pages of published results and of data notes from the tables of the package.

``python docs/_ext/pages_from_results.py TABLE`` computes ``docs/published-results.csv`` again.
TABLE is the released table of units as parquet, with the columns of the authors'
time_to_first_spike.csv, timescale_metrics.csv and layer_info.csv joined to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pages_from_code import write_pages, write_table

from spikehouse.reproduce.siegle2021 import summarize_units
from spikehouse.reproduce.studies import STUDIES
from spikehouse.reproduce.study import KEYS, Findings, compare, read_published
from spikehouse.schema import list_data_notes

DOCS = Path(__file__).resolve().parents[1]
OURS = DOCS / "published-results.csv"
FILES = ("time_to_first_spike.csv", "timescale_metrics.csv")


# -- published results -----------------------------------------------------------------------------
def compute_ours(units: pd.DataFrame) -> pd.DataFrame:
    """Compute what the units of the six cortical areas can give: means of areas, and layers.

    The other published values are of eight areas, or of pairs of units.
    """
    units = units.rename(columns={"ecephys_session_id": "session_id"}).set_index("unit_id")
    ours = pd.DataFrame(summarize_units(units, n_resamples=1).values)
    is_of_cortex = (ours["area"] != "") | (ours["figure"] == "Ext. Data Fig. 10")
    both = ours[is_of_cortex].merge(read_published("siegle2021"), on=KEYS, suffixes=("", "_there"))
    return both[[*KEYS, "value"]]


def compare_ours(study: str) -> pd.DataFrame:
    """Put what was computed beside the published values."""
    ours = pd.read_csv(OURS, keep_default_na=False) if study == "siegle2021" else []
    rows = [] if isinstance(ours, list) else ours.to_dict("records")
    found = Findings(values=[{**row, "low": np.nan, "high": np.nan} for row in rows])
    return compare({study: found}, read_published(study), is_simulated=False, files=FILES)


def write_published_results() -> Iterator[str]:
    """Write the page, line by line."""
    tables = {name: compare_ours(name) for name in STUDIES}
    ours = pd.concat(tables.values())
    ours = ours[ours["value"].notna()]
    n_found = int(ours["verdict"].isin(["reproduced", "same file"]).sum())
    yield f"""# Published results

What publications found in these recordings, and what `spikehouse reproduce` makes of it.
[The guide](how-to/reproduce-published-results.md) says how each value is computed, and what its
P-value does not say.

**Ours** are computed from the released table of units, for the six cortical areas in it, with the
authors' tables of first spikes, timescales and layers. Of the {len(ours)} values that these can
give, {n_found} are within the tolerance. The others, marked –, need the thalamus, pairs of units or
the spikes of all sessions: `spikehouse reproduce` computes them.

*How* says where the published value is from: *printed* by the authors, *read off* their figure, or
*derived* from their tables. *Same file* means that ours comes from the very table that the
published value was derived from, so that it tests the selection of units, not the measure.
*Quantity* is a mean over units or a number of them, or a correlation with the hierarchy of the
areas (of one layer, where a layer is named), and its P-value.
"""
    for name, study in STUDIES.items():
        yield ""
        yield f"## {study.title}"
        yield ""
        yield f"{study.reference}, [doi:{study.doi}](https://doi.org/{study.doi})."
        yield f"The command is `spikehouse reproduce {name}`."
        for figure, rows in tables[name].groupby("figure", sort=False):
            yield ""
            yield f"### {figure}" if figure != "Units" else "### Number of units"
            yield ""
            is_pair = rows["area"].str.contains("-")
            yield from write_table(*_show(rows[~is_pair]))
            yield ""
            if is_pair.any():
                yield f":::{{dropdown}} Each pair of areas ({is_pair.sum()} values)"
                yield from write_table(*_show(rows[is_pair]))
                yield ":::"
                yield ""
            yield f"Source: {'; '.join(rows['source'].unique())}."


def _show(rows: pd.DataFrame) -> tuple[list[str], Iterator[list[str]]]:
    heads = ["Measure", "Quantity", "Area", "Published", "±", "How"]
    has_ours = rows["value"].notna().any()

    def cells() -> Iterator[list[str]]:
        for _, row in rows.iterrows():
            names = [f"`{row['measure']}`", f"`{row['quantity']}`", row["area"]]
            line = [*names, _number(row["published"]), f"{row['tolerance']:g}", row["how"]]
            verdict = "" if row["verdict"] == "not computed" else row["verdict"]
            yield [*line, *([_number(row["value"]), verdict] if has_ours else [])]

    return [*heads, *(["Ours", "Verdict"] if has_ours else [])], cells()


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.0f}" if value == round(value) else f"{value:.4g}"


# -- data notes ------------------------------------------------------------------------------------
def write_data_notes() -> Iterator[str]:
    """Write the page, line by line."""
    yield """# Data notes

Known faults of the released recordings. `session.notes` has those of a session, `print(session)`
shows them, and `spikehouse.schema.list_data_notes()` returns this table.
"""
    notes = list_data_notes().astype({"session_id": object, "probe_id": object})
    rows = notes.assign(
        session_id=notes["session_id"].fillna("every released file"),
        probe_id=notes["probe_id"].fillna(""),
    ).astype(str)
    yield from write_table(["Session", "Probe", "Note", "Source"], rows.to_numpy())


# -- pages -----------------------------------------------------------------------------------------
PAGES = {
    "published-results.md": write_published_results,
    "explanation/data-notes.md": write_data_notes,
}


def setup(app: Any) -> dict[str, bool]:  # noqa: ANN401
    """Connect to Sphinx, before it looks for pages."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir), PAGES), priority=100)
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    compute_ours(pd.read_parquet(sys.argv[1])).to_csv(OURS, index=False, float_format="%.6g")
