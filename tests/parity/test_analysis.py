"""Our stimulus analysis against AllenSDK 2.16.2's, frozen by freeze_analysis.py.

Where AllenSDK is wrong the difference is named here and in docs/differences-from-allensdk.md.
"""

from __future__ import annotations

import ast
import gzip
import importlib
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spikehouse.analysis import MetricOptions
from spikehouse.compat import OFFERED, stimulus_analysis
from spikehouse.demo import Survey
from spikehouse.errors import NotFoundError
from spikehouse.session import EcephysSession

HERE = Path(__file__).parent
# scripts that AllenSDK's environment runs as well, not modules of a package
ASKED = runpy.run_path(str(HERE / "analysis_questions.py"))
SESSION = runpy.run_path(str(HERE / "session_questions.py"))
CLASSES: dict[str, Any] = ASKED["CLASSES"]
REPEATS: str = ASKED["REPEATS"]
STEMS = (*ASKED["FILES"], REPEATS)
MODULE = "allensdk.brain_observatory.ecephys.stimulus_analysis"

pytestmark = [
    pytest.mark.filterwarnings("ignore:spikes are missing or wrong:UserWarning"),
    pytest.mark.filterwarnings("ignore:.* windows run into the next one:UserWarning"),
]


def thaw(stem: str) -> dict[str, Any]:
    text = gzip.decompress((HERE / "frozen" / f"analysis_{stem}.json.gz").read_bytes())
    document: dict[str, Any] = json.loads(text)
    return document


FUNCTION_ANSWERS: dict[str, Any] = thaw("functions")["answers"]
FROZEN = {stem: thaw(stem) for stem in STEMS}


def is_answered(stem: str, name: str, question: str) -> bool:
    """AllenSDK fails on some; the last tests have what is here then."""
    kind: str = FROZEN[stem]["answers"][name][question]["kind"]
    return kind != "error"


# ---- the files, and the classes on them


class Asked:
    """One session: what AllenSDK answered about it, and our classes on it."""

    def __init__(
        self, stem: str, session: EcephysSession, *, is_same: bool, is_same_edition: bool
    ) -> None:
        self.answers: dict[str, Any] = FROZEN[stem]["answers"]
        self.is_same, self.is_same_edition = is_same, is_same_edition
        self.session = session
        self.analyses = {}
        for name in CLASSES:
            more = {"seed": ASKED["SEED"]} if name == "ReceptiveFieldMapping" else {}
            make = getattr(stimulus_analysis, name)
            self.analyses[name] = ASKED["make_analysis"](make, name, session, **more)

    def ask(self, name: str, question: str) -> Any:
        return ASKED["tidy"](ASKED["list_class_questions"](name)[question](self.analyses[name]))


@pytest.fixture(scope="module")
def opened(survey: Survey, request: pytest.FixtureRequest) -> Callable[[str], Asked]:
    made: dict[str, Asked] = {}

    def make(stem: str) -> Asked:
        frozen = FROZEN[stem]
        if stem == REPEATS:
            adapter = ASKED["Repeats"]()
            is_same = ASKED["digest_spikes"](adapter.spikes) == frozen["spikes"]
            return Asked(stem, EcephysSession(api=adapter), is_same=is_same, is_same_edition=True)
        number = int(stem.split("_")[1])
        if number in survey.session_ids:
            path = survey.session_file(number)
        else:
            path = request.getfixturevalue("shared_folder") / "data" / f"{stem}.nwb"
        return Asked(
            stem,
            EcephysSession(api=ASKED["Shifted"](EcephysSession.from_nwb_path(path).api)),
            is_same=SESSION["digest_file"](path) == frozen["file"],
            is_same_edition=ASKED["name_edition"](path) == frozen["edition"],
        )

    def give(stem: str) -> Asked:
        if stem not in made:
            made[stem] = make(stem)
        return made[stem]

    return give


@pytest.fixture(scope="module")
def asked_of(opened: Callable[[str], Asked]) -> Callable[[str], Asked]:
    def give(stem: str) -> Asked:
        asked = opened(stem)
        if not asked.is_same:
            pytest.skip("the frozen answers are of another recording")
        return asked

    return give


@pytest.mark.parametrize("stem", STEMS)
def test_frozen_answers__are_of_these_recordings(opened: Callable[[str], Asked], stem: str) -> None:
    asked = opened(stem)
    if not asked.is_same and asked.is_same_edition:
        pytest.skip(f"another numpy rounds or draws otherwise: this {stem} is not the frozen one")
    assert asked.is_same, (
        f"{stem} is no longer what AllenSDK was asked about: run tests/parity/freeze_analysis.py "
        "again, as it says at its top"
    )


# ---- comparing

# what is compared less exactly than to one part in 10⁹: averages of samples around zero, numbers
# that are zero but for rounding, and where a least-squares search ends
ABSOLUTE = 1e-10
# mod_idx_dg is in single precision there where every condition was shown once
FITTED = {"width_rf": 1e-4, "height_rf": 1e-4, "c50_dg": 1e-6, "mod_idx_dg": 1e-5}
SCREEN_DEGREES = 90.0


def list_values(frozen: dict[str, Any]) -> list[Any]:
    if "codes" in frozen:
        return [frozen["distinct"][code] for code in frozen["codes"]]
    values: list[Any] = frozen["values"]
    return values


def parse(value: Any) -> Any:
    try:
        return SESSION["plain"](ast.literal_eval(value)) if isinstance(value, str) else value
    except (ValueError, SyntaxError):
        return value


def is_same(ours: Any, theirs: Any, *, rtol: float = 1e-9) -> bool:
    if isinstance(ours, list):
        # text there, pairs of numbers here
        theirs = parse(theirs)
        return len(ours) == len(theirs) and all(map(is_same, ours, theirs))
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)):
        return bool(np.isclose(ours, theirs, rtol=rtol, atol=ABSOLUTE))
    return bool(ours == theirs or ours == parse(theirs))


def find_wrong(ours: Any, theirs: dict[str, Any], *, rtol: float = 1e-9) -> list[tuple[Any, ...]]:
    values = [SESSION["plain"](v) for v in np.asarray(ours).ravel()]
    if "sha256" in theirs:
        assert list(np.shape(ours)) == theirs["shape"]
        if np.asarray(ours).dtype.kind in "iu":
            same_type = np.asarray(ours).astype(theirs["dtype"])
            return [] if SESSION["digest"](same_type) == theirs["sha256"] else [("digest",)]
        values, expected = values[: len(theirs["head"])], theirs["head"]
    else:
        expected = list_values(theirs)
    if len(values) != len(expected):
        return [("length", len(values), len(expected))]
    pairs = zip(values, expected, strict=True)
    return [(n, a, b) for n, (a, b) in enumerate(pairs) if not is_same(a, b, rtol=rtol)]


def assert_same(ours: Any, theirs: dict[str, Any], where: str, *, rtol: float = 1e-9) -> None:
    kind = theirs["kind"]
    if kind == "frame":
        assert list(ours.index.names) == theirs["index_names"], where
        index = ours.index.to_frame(index=False)
        for n, expected in enumerate(theirs["index"]):
            wrong = find_wrong(index.iloc[:, n].to_numpy(), expected)
            assert not wrong, f"{where}: index {n}: {wrong[:3]}"
        assert set(ours.columns) == set(theirs["columns"]), where
        for name, column in theirs["columns"].items():
            wrong = find_wrong(ours[name].to_numpy(), column, rtol=rtol)
            assert not wrong, f"{where}: {name}: {len(wrong)} differ, {wrong[:3]}"
    elif kind == "dict":
        assert {str(key) for key in ours} == set(theirs["items"]), where
        for key, value in ours.items():
            assert_same(ASKED["tidy"](value), theirs["items"][str(key)], f"{where}: {key}")
    elif kind == "tuple":
        assert len(ours) == len(theirs["items"]), where
        for n, (value, expected) in enumerate(zip(ours, theirs["items"], strict=True)):
            assert_same(value, expected, f"{where}: {n}", rtol=rtol)
    elif kind == "array":
        wrong = find_wrong(ours, theirs, rtol=rtol)
        assert not wrong, f"{where}: {len(wrong)} differ, {wrong[:3]}"
    else:
        plain = SESSION["plain"](ours)
        assert is_same(plain, theirs["value"], rtol=rtol), (where, ours, theirs["value"])


# ---- intended differences of the metrics: which rows of a column are another number here
#
# Each takes our table, AllenSDK's column and the analysis, checks what both numbers are, and says
# for which units they differ on purpose.

Difference = Callable[[pd.DataFrame, "np.ndarray[Any, Any]", str, Any], Any]


def noise(ours: pd.DataFrame, theirs: Any, column: str, analysis: Any) -> Any:
    """Fits of noise end anywhere, far off the screen, by the last digit of an exponential."""
    return ~(np.abs(theirs) < SCREEN_DEGREES) & ~(np.abs(ours[column].to_numpy()) < SCREEN_DEGREES)


def hardly_any_contrast(ours: pd.DataFrame, theirs: Any, column: str, analysis: Any) -> Any:
    """The last digit decides where the fit to hardly any spikes ends."""
    differs = ~np.isclose(ours[column], theirs, equal_nan=True)
    counts = analysis.conditionwise_statistics_contrast["spike_count"].groupby("unit_id").sum()
    assert (counts[ours.index[differs]] < 10).all()
    return differs


DIFFERENCES: dict[str, Difference] = {
    "c50_dg": hardly_any_contrast,
    "width_rf": noise,
    "height_rf": noise,
}
# columns without a value, there in the metrics of movies
EMPTY_THERE = {"run_pval_ns", "run_mod_ns"}

PUBLISHED_STIMULI = [
    "drifting_gratings",
    "static_gratings",
    "natural_scenes",
    "flashes",
    "gabors",
]
N_PUBLISHED_COLUMNS = 57

METRICS = [(stem, name) for stem in STEMS for name in CLASSES if is_answered(stem, name, "metrics")]


@pytest.mark.parametrize(("stem", "name"), METRICS)
def test_metrics__are_those_of_allensdk(asked_of: Any, stem: str, name: str) -> None:
    asked = asked_of(stem)
    theirs = asked.answers[name]["metrics"]
    ours = asked.ask(name, "metrics")
    columns = dict(theirs["columns"])
    if name == "NaturalMovies":
        empty = [columns.pop(column) for column in EMPTY_THERE]
        assert all(value is None for column in empty for value in list_values(column))
    assert ours.index.tolist() == theirs["index"][0]["values"]
    assert set(ours.columns) == set(columns)
    for column, frozen in columns.items():
        # phases are text there, in files
        dtype = "float64" if frozen["dtype"] == "object" else frozen["dtype"]
        values = [np.nan if v is None else parse(v) for v in list_values(frozen)]
        expected = np.array(values, dtype=dtype)
        if column != "pref_image_ns":
            # as float there where a presentation is invalid
            assert ours[column].dtype == expected.dtype, column
        differs = np.zeros(len(ours), bool)
        if column in DIFFERENCES:
            differs = DIFFERENCES[column](ours, expected, column, asked.analyses[name])
        np.testing.assert_allclose(
            ours[column].to_numpy()[~differs],
            expected[~differs],
            rtol=FITTED.get(column, 1e-9),
            atol=ABSOLUTE,
            err_msg=column,
        )


# ---- metrics as published, spikes on edges included


@pytest.mark.parametrize("stem", ASKED["PUBLISHED_STEMS"])
def test_analyze__published_columns_are_those_of_allensdk(opened: Any, stem: str) -> None:
    asked = opened(stem)
    if not asked.is_same:
        pytest.skip("the frozen answers are of another recording")
    # without the shift of `Shifted`: spikes stay on edges
    api = ASKED["OnEdges"]() if stem == REPEATS else asked.session.api._api
    session = EcephysSession(api=api)
    options = MetricOptions(definition="published", seed=ASKED["SEED"])
    ours = session.analyze(PUBLISHED_STIMULI, options=options)
    compared = []
    for frozen in FROZEN[stem]["published"].values():
        units = frozen["index"][0]["values"]
        for column, values in frozen["columns"].items():
            expected = np.array([parse(v) for v in list_values(values)], dtype=float)
            found = ours.loc[units, column].to_numpy(dtype=float)
            tolerance = FITTED.get(column, 1e-9)
            agrees = np.isclose(found, expected, rtol=tolerance, atol=ABSOLUTE, equal_nan=True)
            assert agrees.mean() >= 0.99, (column, found[~agrees], expected[~agrees])
            compared.append(column)
    assert len(set(compared)) == N_PUBLISHED_COLUMNS


# ---- everything else

# what is another answer here; the last tests have each
CHANGED = {
    ("NaturalScenes", "METRICS_COLUMNS"),
    ("NaturalScenes", "metrics_names"),
    ("NaturalScenes", "empty_metrics_table"),
    ("NaturalMovies", "METRICS_COLUMNS"),
    ("NaturalMovies", "metrics_names"),
    ("NaturalMovies", "empty_metrics_table"),
    ("NaturalMovies", "known_stimulus_keys"),
    ("DotMotion", "known_spontaneous_keys"),
}
QUESTIONS = [
    (stem, name, question)
    for stem in STEMS
    for name in CLASSES
    for question in ASKED["list_class_questions"](name)
    if question != "metrics"
    and (name, question) not in CHANGED
    and is_answered(stem, name, question)
]


@pytest.mark.parametrize(("stem", "name", "question"), QUESTIONS)
def test_class__answers_as_allensdk(asked_of: Any, stem: str, name: str, question: str) -> None:
    asked = asked_of(stem)
    theirs = asked.answers[name][question]
    ours = asked.ask(name, question)
    if question == "fields":
        theirs = turn_elevations(theirs)
    if question in ("stimulus_conditions", "contrast conditions") and stem == REPEATS:
        ours = ours.drop(columns="color_triplet")
    assert_same(ours, theirs, question)


def turn_elevations(fields: dict[str, Any]) -> dict[str, Any]:
    """Give y_position as in the stimulus table; there it is 40 minus that."""
    y = fields["items"]["y_position"]
    turned = {**y, "values": [40 - value for value in list_values(y)]}
    return {**fields, "items": {**fields["items"], "y_position": turned}}


def find_function(name: str) -> Any:
    homes = {
        k: v for module, names in OFFERED.items() if MODULE in module for k, v in names.items()
    }
    return getattr(importlib.import_module(homes[name]), name)


# arrays of different lengths: a warning and NaN, on both sides
UNEQUAL = [name for name in ASKED["list_function_questions"]() if name.endswith("unequal")]


@pytest.mark.filterwarnings("ignore:there are 0 .* which should be equally many:UserWarning")
@pytest.mark.parametrize(
    "question",
    [q for q in ASKED["list_function_questions"]() if q not in UNEQUAL],
)
def test_function__answers_as_allensdk(question: str) -> None:
    ours = ASKED["list_function_questions"]()[question](find_function)
    theirs = FUNCTION_ANSWERS[question]
    rtol = 1e-6 if question.startswith(("fit", "c50")) else 1e-9
    assert_same(ASKED["tidy"](ours), theirs, question, rtol=rtol)


@pytest.mark.parametrize("question", UNEQUAL)
def test_function__arrays_of_different_length_are_nan_with_a_warning(question: str) -> None:
    with pytest.warns(UserWarning, match="should be equally many"):
        ours = ASKED["list_function_questions"]()[question](find_function)
    assert_same(ASKED["tidy"](ours), FUNCTION_ANSWERS[question], question)


# ---- what is another answer here


def ask_both(asked: Asked, name: str, question: str) -> tuple[Any, Any]:
    theirs = asked.answers[name][question]
    return asked.ask(name, question), theirs


def test_natural_scenes__lists_all_its_metrics(asked_of: Any) -> None:
    """pref_images_multi_ns is in the table there and not in the list; the image has a sign here."""
    ours, theirs = ask_both(asked_of(REPEATS), "NaturalScenes", "METRICS_COLUMNS")
    listed = [tuple(item["value"] for item in pair["items"]) for pair in theirs["items"]]
    assert set(ours) - set(listed) == {("pref_image_ns", "int64"), ("pref_images_multi_ns", "bool")}
    assert set(listed) - set(ours) == {("pref_image_ns", "uint64")}
    assert list(asked_of(REPEATS).ask("NaturalScenes", "metrics")) == [name for name, _ in ours]


def test_natural_movies__lists_all_its_metrics(asked_of: Any) -> None:
    """The list there has two names of the natural scenes' and a Fano factor of whole numbers."""
    ours, theirs = ask_both(asked_of(REPEATS), "NaturalMovies", "METRICS_COLUMNS")
    listed = [item["items"][0]["value"] for item in theirs["items"]]
    assert set(listed) > EMPTY_THERE
    assert {kind for _, kind in ours} == {"float64"}
    assert list(asked_of(REPEATS).ask("NaturalMovies", "metrics")) == [name for name, _ in ours]


def test_natural_movies__are_found(asked_of: Any) -> None:
    asked = asked_of(REPEATS)
    known = {
        item["value"] for item in asked.answers["NaturalMovies"]["known_stimulus_keys"]["items"]
    }
    assert not known & set(asked.session.stimulus_names)
    found = stimulus_analysis.NaturalMovies(asked.session)
    assert found.stim_table["stimulus_name"].unique().tolist() == ["natural_movie_one"]
    assert found.trial_duration == 1 / 30


def test_dot_motion__is_not_spontaneous(asked_of: Any) -> None:
    ours, theirs = ask_both(asked_of(REPEATS), "DotMotion", "known_spontaneous_keys")
    assert [item["value"] for item in theirs["items"]] == ["dot_motion", "spontaneous_activity"]
    assert list(ours) == ["spontaneous", "spontaneous_activity"]


def test_contrast__with_few_contrasts_has_metrics_all_the_same(asked_of: Any) -> None:
    asked = asked_of("session_900000009")
    assert asked.answers["DriftingGratings"]["metrics"]["type"] == "TypeError"
    assert asked.ask("DriftingGratings", "metrics")["c50_dg"].isna().all()


def test_contrast__without_such_a_stimulus_is_empty(asked_of: Any) -> None:
    asked = asked_of("session_900000001")
    assert asked.answers["DriftingGratings"]["contrast conditions"]["kind"] == "error"
    assert asked.ask("DriftingGratings", "contrast conditions").empty


def test_stimulus__that_is_not_shown_is_named(asked_of: Any) -> None:
    asked = asked_of("session_900000001")
    assert asked.answers["DotMotion"]["metrics"]["type"] == "Exception"
    with pytest.raises(NotFoundError, match=r"has no dot motion; it has spontaneous, gabors"):
        asked.ask("DotMotion", "metrics")


def test_receptive_fields__leave_the_stimulus_table_alone(asked_of: Any) -> None:
    analysis = asked_of(REPEATS).analyses["ReceptiveFieldMapping"]
    before = analysis.stim_table["y_position"].tolist()
    assert analysis.receptive_fields["y_position"].values.tolist() == list(range(40, -50, -10))
    assert analysis.stim_table["y_position"].tolist() == before


@pytest.mark.parametrize(
    ("name", "stimulus"),
    [
        ("DriftingGratings", "drifting_gratings"),
        ("StaticGratings", "static_gratings"),
        ("NaturalScenes", "natural_scenes"),
        ("DotMotion", "dot_motion"),
        ("Flashes", "flashes"),
        ("ReceptiveFieldMapping", "gabors"),
    ],
)
def test_classes__agree_with_analyze(opened: Any, name: str, stimulus: str) -> None:
    session = opened(REPEATS).session
    # the released tables have the masks of this threshold, the class another by default
    more = {"mask_threshold": 1.0} if name == "ReceptiveFieldMapping" else {}
    metrics = getattr(stimulus_analysis, name)(session, **more).metrics
    published = session.analyze(stimulus, definition="published")
    pd.testing.assert_frame_equal(published[list(metrics)], metrics)
