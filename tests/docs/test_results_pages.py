"""The pages of published results and of data notes say what the package's tables say."""

from __future__ import annotations

import pages_from_results
import pandas as pd

from spikehouse.reproduce.studies import STUDIES
from spikehouse.reproduce.study import read_published
from spikehouse.schema import list_data_notes


def test_published_results__have_every_published_value():
    rows = [line for line in pages_from_results.write_published_results() if line.startswith("| `")]
    published = pd.concat(read_published(name) for name in STUDIES)
    for _, value in published.iterrows():
        start = f"| `{value['measure']}` | `{value['quantity']}` | {value['area']} |"
        assert any(row.startswith(start) for row in rows), start
    assert len(rows) == len(published)


def test_published_results__ours_are_within_the_tolerance():
    table = pages_from_results.compare_ours("siegle2021")
    verdicts = table.loc[table["value"].notna(), "verdict"]
    assert len(verdicts) > 60
    assert set(verdicts) == {"reproduced", "same file"}


def test_published_results__ours_are_what_the_released_table_gives(shared_folder):
    units = pd.read_parquet(shared_folder / "data/real/survey/visual_cortex_units.parquet")
    kept = pd.read_csv(pages_from_results.OURS, keep_default_na=False)
    pd.testing.assert_frame_equal(
        pages_from_results.compute_ours(units), kept, rtol=1e-5, check_dtype=False
    )


def test_data_notes__have_every_note():
    text = "\n".join(pages_from_results.write_data_notes())
    for _, note in list_data_notes().iterrows():
        assert note["note"] in text
        assert pd.isna(note["session_id"]) or f"| {note['session_id']} |" in text
