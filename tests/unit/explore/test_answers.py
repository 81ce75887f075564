"""The container of answers: what goes in comes out."""

from __future__ import annotations

import json
import struct

import numpy as np
import pandas as pd
import pytest

from spikehouse.explore._answers import decode, encode, to_json


def read_header(content: bytes) -> dict:
    (length,) = struct.unpack("<I", content[:4])
    assert (4 + length) % 8 == 0
    return json.loads(content[4 : 4 + length])


def test_encode__layout():
    content = encode({"a": np.array([1, 2], np.uint8), "b": np.array([[0.5], [np.nan]]), "n": 3})
    header = read_header(content)
    assert header == {
        "a": {"$array": ["uint8", [2], 0]},
        "b": {"$array": ["float64", [2, 1], 8]},
        "n": 3,
    }
    arrays = content[-24:]
    assert arrays[:8] == b"\1\2\0\0\0\0\0\0"
    assert struct.unpack("<d", arrays[8:16]) == (0.5,)


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.array([1, -2]), "int32"), (np.array([2**31]), "float64"), (np.array([], int), "int32"),
        (np.array([7], np.uint64), "int32"), (np.array([2**40], np.uint64), "float64"),
        (np.array([1.5], np.float16), "float32"), (np.array([True, False]), "bool"),
        (np.arange(6, dtype=">i4").reshape(2, 3)[:, ::2], "int32"), (np.zeros((0, 3)), "float64"),
        (np.array([1.5], ">f8"), "float64"), (np.array([3], np.int16), "int16"),
    ],
)  # fmt: skip
def test_encode__arrays_come_back(array, dtype):
    back = decode(encode({"x": array}))["x"]
    assert back.dtype.name == dtype
    assert back.shape == array.shape
    assert np.array_equal(back, array)


def test_encode__tables_come_back():
    table = pd.DataFrame(
        {
            "depth": [1.5, np.nan],
            "id": [2**40, 5],
            "name": ["VISp", None],
            "good": [True, False],
            "maybe": pd.array([1, None], "Int64"),
            "kind": pd.Categorical(["a", "b"]),
            "lists": [["VISp", np.nan], []],
            "when": pd.to_datetime(["2019-01-02T03:04:05", None]),
        },
        index=pd.Index([951814884, 3], name="unit_id"),
    )
    back = decode(encode({"t": table}))["t"]
    assert back.index.tolist() == [951814884, 3]
    assert back.index.name == "unit_id"
    assert list(back) == list(table)
    assert back["depth"].isna().tolist() == [False, True]
    assert back["id"].tolist() == [2**40, 5]
    assert [name if isinstance(name, str) else None for name in back["name"]] == ["VISp", None]
    assert back["good"].tolist() == [True, False]
    assert back["maybe"].iloc[0] == 1
    assert np.isnan(back["maybe"].iloc[1])
    assert back["kind"].tolist() == ["a", "b"]
    assert back["lists"].tolist() == [["VISp", None], []]
    assert back["when"].iloc[0] == "2019-01-02T03:04:05"
    assert pd.isna(back["when"].iloc[1])


def test_encode__a_table_without_rows_keeps_its_columns():
    back = decode(encode({"t": pd.DataFrame({"a": pd.Series(dtype=float)})}))["t"]
    assert list(back) == ["a"]
    assert back.index.name == "index"


def test_encode__several_index_levels():
    index = pd.MultiIndex.from_tuples([("VISp", 1), ("LGd", 2)], names=["area", "n"])
    content = encode({"t": pd.DataFrame({"x": [1, 2]}, index=index)})
    assert read_header(content)["t"]["$table"]["index"] == ["area", "n"]
    assert decode(content)["t"].loc[("LGd", 2), "x"] == 2


def test_encode__two_columns_of_one_name_are_refused():
    table = pd.DataFrame({"id": [1]}, index=pd.Index([5], name="id"))
    with pytest.raises(TypeError, match="two columns alike"):
        encode({"t": table})


def test_encode__single_values():
    given = {
        "none": None, "nan": np.nan, "inf": np.inf, "i": np.int64(3), "f": np.float32(0.5),
        "b": np.bool_(True), "na": pd.NA, "nat": pd.NaT, "list": [1, np.nan, ("é", None)],
        "zero": np.array(4), "text": np.array(["a", None], object),
    }  # fmt: skip
    assert decode(encode(given)) == {
        "none": None, "nan": None, "inf": None, "i": 3, "f": 0.5, "b": True, "na": None,
        "nat": None, "list": [1, None, ["é", None]], "zero": 4, "text": ["a", None],
    }  # fmt: skip


def test_encode__other_things_are_a_mistake_of_the_recipe():
    with pytest.raises(TypeError, match="set"):
        encode({"x": {1}})


def test_to_json__is_json():
    assert json.loads(to_json({"age": np.nan, "n": np.int64(2)})) == {"age": None, "n": 2}
