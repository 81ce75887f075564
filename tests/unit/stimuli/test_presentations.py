from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikehouse.errors import InvalidFileError, NotFoundError
from spikehouse.stimuli import (
    build_presentations,
    list_conditions,
    list_presentations,
    list_stimulus_names,
)

NOTHING_INVALID = pd.DataFrame({"start_time": [], "stop_time": [], "tags": []})


def raw_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "start_time": [0.0, 10.0, 11.0, 12.0, 20.0],
            "stop_time": [10.0, 10.5, 11.5, 12.5, 20.5],
            "stimulus_name": [
                "",
                "flash_250ms",
                "flash_250ms",
                "drifting_gratings",
                "Natural Images",
            ],
            "stimulus_block": [np.nan, 0.0, 0.0, 1.0, 2.0],
            "stimulus_index": [-99, 0, 0, 0, 0],
            "Color": [np.nan, "1.0", "-1.0", "[1.0, 1.0, 1.0]", "N/A"],
            "SF": ["", "[0.0, 0.0]", "[0.0, 0.0]", "0.04", "N/A"],
            "Ori": [np.nan, 0.0, 0.0, np.nan, np.nan],
            "Image": [np.nan, np.nan, np.nan, np.nan, 17.0],
            "mask": ["N/A", "None", "None", "None", "None"],
        }
    )


def test_build_presentations__old_names_are_translated() -> None:
    presentations = build_presentations(raw_table(), NOTHING_INVALID)
    assert list_stimulus_names(presentations) == [
        "spontaneous", "flashes", "drifting_gratings", "natural_scenes",
    ]  # fmt: skip
    assert list(list_presentations(presentations).columns) == [
        "stimulus_block", "start_time", "stop_time", "stimulus_name", "color", "frame",
        "orientation", "spatial_frequency", "duration", "stimulus_condition_id",
    ]  # fmt: skip


def test_list_presentations__mixed_table_keeps_null() -> None:
    table = list_presentations(build_presentations(raw_table(), NOTHING_INVALID))
    assert table["color"].tolist() == ["null", 1.0, -1.0, "null", "null"]
    assert table["spatial_frequency"].tolist() == ["null", (0.0, 0.0), (0.0, 0.0), 0.04, "null"]
    assert table["stimulus_block"].tolist() == ["null", 0.0, 0.0, 1.0, 2.0]
    assert table["duration"].tolist() == [10.0, 0.5, 0.5, 0.5, 0.5]


def test_list_presentations__one_stimulus_has_numbers() -> None:
    presentations = build_presentations(raw_table(), NOTHING_INVALID)
    gratings = list_presentations(
        presentations, names=["drifting_gratings"], unused=False, numeric=True
    )
    assert gratings["spatial_frequency"].dtype == np.float64
    assert "orientation" not in gratings
    assert gratings.index.tolist() == [3]


def test_list_presentations__missing_nan_is_typed() -> None:
    table = list_presentations(build_presentations(raw_table(), NOTHING_INVALID), missing="nan")
    assert table["color"].dtype == np.float64
    assert table["frame"].tolist()[-1] == 17.0
    assert np.isnan(table["frame"].tolist()[0])


def test_list_presentations__color_triplets_are_a_detail() -> None:
    presentations = build_presentations(raw_table(), NOTHING_INVALID)
    detailed = list_presentations(presentations, detailed=True)
    assert detailed["color_triplet"].tolist() == ["null"] * 3 + ["[1.0, 1.0, 1.0]", "null"]
    assert detailed["mask"].tolist() == ["null"] + ["None"] * 4


def test_list_presentations__conditions_are_numbered_by_first_appearance() -> None:
    presentations = build_presentations(raw_table(), NOTHING_INVALID)
    assert list_presentations(presentations)["stimulus_condition_id"].tolist() == [0, 1, 2, 3, 4]
    conditions = list_conditions(presentations)
    assert conditions.index.name == "stimulus_condition_id"
    assert conditions["color"].tolist() == ["null", 1.0, -1.0, "null", "null"]


def test_list_presentations__touching_an_invalid_interval() -> None:
    invalid = pd.DataFrame(
        {
            "start_time": [11.5, 20.0],
            "stop_time": [11.7, 30.0],
            "tags": [["EcephysSession", "1", "stimulus"], ["EcephysProbe", "2", "probeA"]],
        }
    )
    table = list_presentations(build_presentations(raw_table(), invalid))
    assert table["stimulus_name"].tolist() == [
        "spontaneous", "flashes", "invalid_presentation", "drifting_gratings", "natural_scenes",
    ]  # fmt: skip
    row = table.loc[2]
    assert row["start_time"] == 11.0
    assert row["stop_time"] == 11.5
    assert all(
        pd.isna(row[name])
        for name in table
        if name not in {"start_time", "stop_time", "stimulus_name"}
    )
    # the condition numbers count the masked presentation too
    assert table["stimulus_condition_id"].tolist()[3:] == [3, 4]


def test_list_presentations__unknown_stimulus() -> None:
    presentations = build_presentations(raw_table(), NOTHING_INVALID)
    with pytest.raises(NotFoundError, match=r"no stimulus 'flash': did you mean 'flashes'\?"):
        list_presentations(presentations, names=["flash"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("natural_movie_1", "natural_movie_one"),
        ("natural_movie_3", "natural_movie_three"),
        ("gabor_20_deg_250ms", "gabors"),
        ("contrast_response", "drifting_gratings_contrast"),
        ("motion_stimulus", "dot_motion"),
        ("drifting_gratings_more_repeats", "drifting_gratings_75_repeats"),
        ("natural_movie_1_more_repeats", "natural_movie_one_more_repeats"),
        ("missing", "spontaneous"),
        ("something_new", "something_new"),
    ],
)
def test_build_presentations__every_old_name(old: str, new: str) -> None:
    table = raw_table().assign(stimulus_name=old)
    assert list_stimulus_names(build_presentations(table, NOTHING_INVALID)) == [new]


def test_build_presentations__shuffled_movie_gets_the_other_movies_number() -> None:
    names = ["", "natural_movie_1_more_repeats", "natural_movie_shuffled", "", ""]
    found = list_stimulus_names(
        build_presentations(raw_table().assign(stimulus_name=names), NOTHING_INVALID)
    )
    assert found[2] == "natural_movie_one_shuffled"


def test_build_presentations__shuffled_movie_of_unknown_number() -> None:
    with pytest.raises(InvalidFileError, match=r"cannot tell which movie.*in the file: none"):
        build_presentations(
            raw_table().assign(stimulus_name="natural_movie_shuffled"), NOTHING_INVALID
        )
