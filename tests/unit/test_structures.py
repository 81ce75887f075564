"""Names and colours of brain structures."""

from __future__ import annotations

import ast
from pathlib import Path

import pandas as pd

from spikehouse.schema import list_structures


def test_list_structures__has_the_atlas_s_name_and_colour_once() -> None:
    table = list_structures()
    assert table.index.is_unique
    assert table["color"].str.fullmatch("#[0-9A-F]{6}").all()
    assert table.loc["LGd"].tolist() == [
        "Dorsal part of the lateral geniculate complex", "#FF8084", "Thalamus",
    ]  # fmt: skip
    # the atlas's order: cortex, hippocampus, thalamus, midbrain
    places = [table.index.get_loc(name) for name in ("VISp", "CA1", "LGd", "APN")]
    assert places == sorted(places)


def test_list_structures__has_every_structure_of_the_survey(shared_folder: Path) -> None:
    sessions = pd.read_csv(shared_folder / "facts" / "session_table_with_counts.csv")
    for text in sessions["ecephys_structure_acronyms"]:
        names = (
            text.replace("\n", "").replace("nan", "").replace("' '", "','").replace("'  '", "','")
        )
        assert set(ast.literal_eval(names)) <= set(list_structures().index), names
