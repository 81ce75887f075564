"""Files joined to the table of units, and what is no such file."""

from __future__ import annotations

import pandas as pd
import pytest

from spikehouse.errors import InvalidArgumentError, InvalidFileError, NotFoundError
from spikehouse.reproduce.tables import join_files, list_files

UNITS = pd.DataFrame({"snr": [1.0, 2.0]}, index=pd.Index([11, 12], name="unit_id"))


def test_join_files__folder_of_csv_and_parquet(tmp_path):
    more = pd.DataFrame({"ecephys_unit_id": [12, 99], "time": [0.05, 0.06], "snr": [9.0, 9.0]})
    more.to_csv(tmp_path / "a.csv")
    pd.DataFrame({"layer": [4, 5]}, index=UNITS.index).to_parquet(tmp_path / "b.parquet")
    (tmp_path / "notes.txt").write_text("no table")
    joined, said = join_files(UNITS, list_files([tmp_path]))
    assert joined.columns.tolist() == ["snr", "time", "layer"]
    assert joined["snr"].tolist() == [1.0, 2.0]
    assert joined["time"].isna().tolist() == [True, False]
    assert said == ["a.csv: time; 1 units", "b.parquet: layer; 2 units"]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        (
            "a.csv",
            "x,y\n1,2\n",
            InvalidFileError,
            r"no column of unit ids .*: its columns are x, y",
        ),
        ("a.csv", "unit_id,y\n11,2\n11,3\n", InvalidFileError, "has unit 11 more than once"),
        ("a.csv", "unit_id,y\n5,2\n", InvalidArgumentError, r"none of which is among the 2 here"),
        (
            "a.csv",
            "unit_id,y\nx,2\n",
            InvalidFileError,
            "unit ids that are no numbers, such as 'x'",
        ),
        ("a.csv", "", InvalidFileError, "cannot be read as a table"),
        ("a.parquet", "no parquet", InvalidFileError, "cannot be read as a table"),
        ("a.xlsx", "", InvalidArgumentError, "is not a table: give .csv or .parquet"),
    ],
)
def test_join_files__that_cannot_be_used(tmp_path, name, content, error, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(error, match=message):
        join_files(UNITS, list_files([tmp_path / name]))


def test_join_files__that_are_not_there(tmp_path):
    with pytest.raises(NotFoundError, match="there is no file or folder"):
        list_files([tmp_path / "nothing.csv"])
    with pytest.raises(NotFoundError, match=r"has no \.csv and no \.parquet"):
        list_files([tmp_path])
