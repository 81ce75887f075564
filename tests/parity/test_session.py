"""Our answers against AllenSDK 2.16.2's, frozen by freeze_session.py.

Where AllenSDK is wrong the difference is named here and in docs/differences-from-allensdk.md.
"""

from __future__ import annotations

import ast
import gzip
import json
import runpy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from spikehouse.demo import Survey
from spikehouse.session import EcephysSession

HERE = Path(__file__).parent
# a script that AllenSDK's environment runs as well, not a module of a package
ASKED = runpy.run_path(str(HERE / "session_questions.py"))
LFP_FILES: dict[str, str | None] = ASKED["LFP_FILES"]

pytestmark = [
    pytest.mark.filterwarnings("ignore:spikes are missing or wrong:UserWarning"),
    pytest.mark.filterwarnings("ignore:.* windows run into the next one:UserWarning"),
    pytest.mark.filterwarnings("ignore:this session has no eye tracking:UserWarning"),
]

# Intended differences. What we have and AllenSDK does not: the structure without a cache, and a
# column it forgets
OURS_ONLY = {"ecephys_structure_acronym", "ecephys_structure_id", "waveform_halfwidth"}
# strings there, numbers and tuples here
PARSED = {"phase", "size", "spatial_frequency"}
# without a cache AllenSDK has no ecephys_structure_acronym and raises a KeyError
FAILING_THERE = {"structure_acronyms", "metadata"}
# no unit_ids: units without spikes have no row there
MISSING_ROWS_THERE = "statistics of all units"
# a spike exactly at start is not counted there, and one exactly at stop is
WITH_EDGES = "with edges"

SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


def name_questions() -> list[tuple[str, str]]:
    pairs = []
    for stem, lfp_name in LFP_FILES.items():
        probe_id = None if lfp_name is None else ASKED["read_probe_id"](lfp_name)
        names = [*ASKED["list_questions"](), *ASKED["list_rich_questions"](probe_id)]
        pairs += [(stem, name) for name in names]
    return pairs


# ---- the files, their frozen answers, and the sessions on them


REPEATED, REPEATING = "dorsal_ventral_ccf_coordinate", "left_right_ccf_coordinate"


class Asked:
    """One file: what AllenSDK answered about it, and our sessions on it."""

    def __init__(self, path: Path, lfp_path: Path | None) -> None:
        text = gzip.decompress((HERE / "frozen" / f"{path.stem}.json.gz").read_bytes())
        frozen = json.loads(text)
        self.answers: dict[str, Any] = frozen["answers"]
        files = [path] if lfp_path is None else [path, lfp_path]
        self.digests = {file.name: ASKED["digest_file"](file) for file in files}
        self.are_the_same_files = self.digests == frozen["files"]
        self.is_same_edition = path.parent.name == frozen["edition"]
        columns = ASKED["make_channel_columns"](path)
        options: dict[str, Any] = {"external_channel_columns": lambda: columns}
        probe_id = None
        if lfp_path is not None:
            probe_id = ASKED["read_probe_id"](lfp_path)
            options["probe_lfp_paths"] = {probe_id: lambda: lfp_path}
        self.plain = EcephysSession.from_nwb_path(path)
        self.rich = EcephysSession.from_nwb_path(path, api_kwargs=options)
        self._questions = ASKED["list_questions"]()
        self._rich_questions = ASKED["list_rich_questions"](probe_id)

    def ask(self, name: str) -> Any:
        if name in self._questions:
            return self._questions[name](self.plain)
        return self._rich_questions[name](self.rich)


@pytest.fixture(scope="module")
def ask_of(
    survey: Survey, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Any:
    asked: dict[str, Asked] = {}

    def find_files(stem: str) -> tuple[Path, Path | None]:
        lfp_name = LFP_FILES[stem]
        session_id = int(stem.split("_")[1])
        if session_id not in survey.session_ids:
            folder = request.getfixturevalue("shared_folder") / "data"
            return folder / f"{stem}.nwb", folder / lfp_name if lfp_name else None
        path = survey.session_file(session_id)
        if lfp_name is None:
            return path, None
        return path, survey.lfp_file(ASKED["read_probe_id"](lfp_name))

    def give(stem: str) -> Asked:
        if stem not in asked:
            asked[stem] = Asked(*find_files(stem))
        return asked[stem]

    yield give
    for one in asked.values():
        one.plain.close()
        one.rich.close()


def ask_of_same(ask_of: Any, stem: str) -> Asked:
    asked: Asked = ask_of(stem)
    if not asked.are_the_same_files:
        pytest.skip("the frozen answers are of other files")
    return asked


# ---- comparing


def parse(value: Any) -> Any:
    try:
        return ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError):
        return value


def is_same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(is_same, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float):
        return bool(np.isclose(ours, theirs, rtol=1e-12, atol=0))
    return bool(ours == theirs)


def assert_same_array(ours: Any, theirs: dict[str, Any], where: str, parsed: bool = False) -> None:
    ours = np.asarray(ours)
    assert list(ours.shape) == theirs["shape"], where
    if "sha256" in theirs:
        same_type = ours.astype(theirs["dtype"])
        assert ASKED["digest"](same_type) == theirs["sha256"], (where, ours.ravel()[:5], theirs)
        return
    if "codes" in theirs:
        expected = [theirs["distinct"][code] for code in theirs["codes"]]
    else:
        expected = theirs["values"]
    if parsed:
        expected = [ASKED["plain"](parse(v)) for v in expected]
    pairs = zip([ASKED["plain"](v) for v in ours.ravel()], expected, strict=True)
    wrong = [(n, *pair) for n, pair in enumerate(pairs) if not is_same(*pair)]
    assert not wrong, f"{where}: {len(wrong)} differ, (row, ours, theirs) {wrong[:3]}"


def assert_same_frame(ours: Any, theirs: dict[str, Any], where: str) -> None:
    assert isinstance(ours, (pd.DataFrame, pd.Series)), where
    frame = ours.to_frame() if isinstance(ours, pd.Series) else ours
    assert list(frame.index.names) == theirs["index_names"], where
    index = frame.index.to_frame(index=False)
    for n, expected in enumerate(theirs["index"]):
        assert_same_array(index.iloc[:, n].to_numpy(), expected, f"{where}: index {n}")
    assert set(frame.columns) - (OURS_ONLY - set(theirs["columns"])) == set(theirs["columns"])
    for name, column in theirs["columns"].items():
        if name == REPEATING and column == theirs["columns"][REPEATED]:
            # the file repeats one coordinate as the other, which is unknown here
            assert frame[name].isna().all(), where
            continue
        assert_same_array(frame[name].to_numpy(), column, f"{where}: {name}", parsed=name in PARSED)


def assert_same_labelled(ours: Any, theirs: dict[str, Any], where: str) -> None:
    assert ours.name == theirs["name"], where
    assert list(ours.dims) == theirs["dims"], where
    assert set(ours.coords) == set(theirs["coords"]), where
    for name, coordinate in theirs["coords"].items():
        assert_same_array(ours.coords[name].values, coordinate, f"{where}: {name}")
    # counts are signed here, of the same width
    assert str(ours.dtype) == theirs["data"]["dtype"].removeprefix("u"), where
    assert_same_array(ours.values, theirs["data"], where)


def assert_same(ours: Any, theirs: dict[str, Any], where: str) -> None:
    kind = theirs["kind"]
    if kind == "frame":
        assert_same_frame(ours, theirs, where)
    elif kind == "labelled":
        assert_same_labelled(ours, theirs, where)
    elif kind == "array":
        assert_same_array(ours, theirs, where, parsed=where.rsplit(": ", 1)[-1] in PARSED)
    elif kind == "dict":
        assert {str(key) for key in ours} == set(theirs["items"]), where
        for key, value in ours.items():
            assert_same(value, theirs["items"][str(key)], f"{where}: {key}")
    elif kind == "tuple":
        assert len(ours) == len(theirs["items"]), where
        for n, (value, expected) in enumerate(zip(ours, theirs["items"], strict=True)):
            assert_same(value, expected, f"{where}: {n}")
    else:
        assert is_same(ASKED["plain"](ours), theirs["value"]), (where, ours, theirs["value"])


def without_missing(values: dict[str, Any]) -> dict[str, Any]:
    """Take out NaN, which there is a value of every parameter once a presentation is invalid."""
    if values["kind"] != "dict":
        return values
    kept = {}
    for name, array in values["items"].items():
        listed = array.get("values")
        if listed is None:
            listed = [array["distinct"][code] for code in array["codes"]]
        listed = [value for value in listed if value is not None]
        kept[name] = {**array, "values": listed, "shape": [len(listed)]}
        kept[name].pop("codes", None)
    return {**values, "items": kept}


# ---- the tests


@pytest.mark.parametrize("stem", LFP_FILES)
def test_frozen_answers__are_of_these_files(ask_of: Any, stem: str) -> None:
    asked = ask_of(stem)
    if not asked.are_the_same_files and asked.is_same_edition:
        pytest.skip(f"another numpy rounds otherwise: this {stem}.nwb is not the frozen one's")
    assert asked.are_the_same_files, (
        f"{stem}.nwb or its LFP is no longer the file that AllenSDK was asked about: run "
        "tests/parity/freeze_session.py again, as it says at its top"
    )


@pytest.mark.parametrize(
    ("stem", "question"),
    [
        pair
        for pair in name_questions()
        if pair[1] not in {*FAILING_THERE, MISSING_ROWS_THERE} and WITH_EDGES not in pair[1]
    ],
)
def test_session__answers_as_allensdk(ask_of: Any, stem: str, question: str) -> None:
    asked = ask_of_same(ask_of, stem)
    theirs = asked.answers[question]
    if question.startswith("values"):
        theirs = without_missing(theirs)
    if question == "invalid_times" and theirs["index"][0]["shape"] == [0]:
        # an empty table has its columns here and none there
        assert asked.ask(question).empty
        return
    assert_same(asked.ask(question), theirs, question)


@pytest.mark.parametrize("stem", LFP_FILES)
@pytest.mark.parametrize("member", sorted(FAILING_THERE))
def test_session__names_structures_without_a_cache(ask_of: Any, stem: str, member: str) -> None:
    asked = ask_of_same(ask_of, stem)
    assert asked.answers[member]["kind"] == "error"
    assert asked.answers[member]["type"] == "KeyError"
    acronyms = asked.ask("metadata")["structure_acronyms"]
    located = asked.answers["channels"]["columns"]["structure_acronym"]["distinct"]
    assert {plain for plain in map(ASKED["plain"], acronyms) if plain} == {
        name for name in located if name
    }


@pytest.mark.parametrize("stem", LFP_FILES)
def test_conditionwise_spike_statistics__has_a_row_for_silent_units(ask_of: Any, stem: str) -> None:
    asked = ask_of_same(ask_of, stem)
    ours = asked.ask(MISSING_ROWS_THERE)
    theirs = asked.answers[MISSING_ROWS_THERE]
    ids = [column["values"] for column in theirs["index"]]
    known = pd.MultiIndex.from_arrays(ids, names=theirs["index_names"])
    n_conditions = len(known.unique("stimulus_condition_id"))
    assert len(ours) == asked.plain.num_units * n_conditions
    assert_same_frame(ours.loc[known], theirs, MISSING_ROWS_THERE)
    assert (ours[~ours.index.isin(known)]["spike_count"] == 0).all()


@pytest.mark.parametrize("stem", LFP_FILES)
@pytest.mark.parametrize("name", ["flashes", "drifting_gratings", "dot_motion"])
def test_conditionwise_spike_statistics__differs_at_the_edges_only(
    ask_of: Any, stem: str, name: str
) -> None:
    """(start, stop] there, [start, stop) here; counted by hand both ways."""
    asked = ask_of_same(ask_of, stem)
    theirs = asked.answers[f"statistics of {name} {WITH_EDGES}"]
    if theirs["kind"] == "plain":
        assert name not in asked.plain.stimulus_names
        return
    ours = asked.ask(f"statistics of {name} {WITH_EDGES}")
    table = asked.plain.get_stimulus_table(name)
    before, after = [], []
    for unit, condition in ours.index:
        times = asked.plain.spike_times[unit]
        shown = table[table["stimulus_condition_id"] == condition]
        start, stop = shown["start_time"].to_numpy(), shown["stop_time"].to_numpy()
        found = [np.searchsorted(times, edge, side) for side in SIDES for edge in (start, stop)]
        before.append(int((found[1] - found[0]).sum()))
        after.append(int((found[3] - found[2]).sum()))
    assert ours["spike_count"].tolist() == before
    assert_same_array(np.array(after), theirs["columns"]["spike_count"], name)
