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
def demo_survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return Survey(size="tiny", folder=tmp_path_factory.mktemp("parity"))


@pytest.fixture(scope="module")
def opened(demo_survey: Survey, request: pytest.FixtureRequest) -> Callable[[str], Asked]:
    made: dict[str, Asked] = {}

    def make(stem: str) -> Asked:
        frozen = FROZEN[stem]
        if stem == REPEATS:
            adapter = ASKED["Repeats"]()
            is_same = ASKED["digest_spikes"](adapter.spikes) == frozen["spikes"]
            return Asked(stem, EcephysSession(api=adapter), is_same=is_same, is_same_edition=True)
        number = int(stem.split("_")[1])
        if number in demo_survey.session_ids:
            path = demo_survey.session_file(number)
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
FITTED = {"width_rf": 1e-5, "height_rf": 1e-5, "c50_dg": 1e-6, "mod_idx_dg": 1e-5}
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


def shown_once(ours: pd.DataFrame, theirs: Any, column: str, analysis: Any) -> Any:
    """One trial has no variance: NaN here, 0 there."""
    n_shown = analysis.conditionwise_statistics["stimulus_presentation_count"]
    differs = ours[column].isna().to_numpy() & (theirs == 0)
    assert not differs.any() or (n_shown == 1).any()
    return differs


def silent_peak(ours: pd.DataFrame, theirs: Any, column: str, analysis: Any) -> Any:
    """Nothing is highest where there is nothing: NaN here, the first bin there."""
    differs = ours[column].isna().to_numpy() & (theirs == 0.0005)
    largest = analysis.conditionwise_psth.max("time_relative_to_stimulus_onset")
    silent = largest.sel(unit_id=ours.index[differs])
    assert (silent.min("stimulus_condition_id") == 0).all()
    return differs


def summed_sparseness(ours: pd.DataFrame, theirs: Any, column: str, analysis: Any) -> Any:
    """Of sums there: a condition that was shown more often seems better liked. Means here."""
    statistics = analysis.conditionwise_statistics
    blank = np.atleast_1d(analysis.null_condition)
    is_blank = statistics.index.get_level_values("stimulus_condition_id").isin(blank)
    shown = statistics[~is_blank]
    if shown["stimulus_presentation_count"].nunique() == 1:
        return np.zeros(len(ours), bool)
    for measured, which in ((theirs, "spike_count"), (ours[column].to_numpy(), "spike_mean")):
        table = shown[which].unstack("unit_id")[ours.index].to_numpy()
        expected = [find_function("lifetime_sparseness")(unit) for unit in table.T]
        np.testing.assert_allclose(measured, expected, rtol=1e-9, atol=1e-12)
    return np.ones(len(ours), bool)


def image_number(ours: pd.DataFrame, theirs: Any, column: str, analysis: Any) -> Any:
    """The image here, the id of its condition there."""
    frames = analysis.stimulus_conditions["frame"].loc[theirs].to_numpy()
    assert frames.tolist() == ours[column].tolist()
    return np.ones(len(ours), bool)


def silent_modulation(ours: pd.DataFrame, theirs: Any, column: str, analysis: Any) -> Any:
    """A response that does not vary has no modulation to speak of: NaN here, 0 there."""
    return ours[column].isna().to_numpy() & (theirs == 0)


def no_preference(ours: pd.DataFrame, theirs: Any, column: str, analysis: Any) -> Any:
    """A unit that never fired prefers nothing: NaN here, the lowest value there."""
    differs = ours[column].isna().to_numpy()
    means = analysis.conditionwise_statistics["spike_mean"].unstack("unit_id")
    assert (means[ours.index[differs]] == 0).all(axis=None)
    return differs


def unfitted_width(ours: pd.DataFrame, theirs: Any, column: str, analysis: Any) -> Any:
    """Fits that did not converge are NaN here; those of noise end anywhere, far off the screen."""
    return ours[column].isna().to_numpy() | ~(np.abs(theirs) < SCREEN_DEGREES)


def off_screen(ours: pd.DataFrame, theirs: Any, column: str, analysis: Any) -> Any:
    """A fit that did not converge is nowhere here, and where it stopped there."""
    differs = ours[column].to_numpy() != theirs
    if analysis.receptive_fields["spike_counts"].notnull().all():
        assert ours.loc[differs, "width_rf"].isna().all()
        assert not ours.loc[differs, column].any()
    return differs


def incomplete_map(ours: pd.DataFrame, theirs: Any, column: str, analysis: Any) -> Any:
    """One position that was never shown, and no unit has a receptive field there."""
    is_complete = analysis.receptive_fields["spike_counts"].notnull().all().item()
    nothing = theirs == 0 if column == "area_rf" else np.isnan(theirs)
    return nothing & ours[column].notna().to_numpy() & (not is_complete)


def hardly_any_contrast(ours: pd.DataFrame, theirs: Any, column: str, analysis: Any) -> Any:
    """A curve through hardly any spikes: flat ones have no middle here, single jumps have."""
    differs = ours[column].isna().to_numpy() != np.isnan(theirs)
    counts = analysis.conditionwise_statistics_contrast["spike_count"].groupby("unit_id").sum()
    assert (counts[ours.index[differs]] < 10).all()
    return differs


DIFFERENCES: dict[str, Difference] = {
    **{f"fano_{name}": shown_once for name in ("dg", "sg", "ns", "nm", "dm", "fl", "rf")},
    **{f"time_to_peak_{name}": silent_peak for name in ("sg", "ns", "dm", "fl", "rf")},
    **{
        f"lifetime_sparseness_{name}": summed_sparseness
        for name in ("dg", "sg", "ns", "nm", "dm", "fl", "rf")
    },
    "pref_image_ns": image_number,
    "mod_idx_dg": silent_modulation,
    "c50_dg": hardly_any_contrast,
    **{
        f"pref_{name}": no_preference
        for name in ("ori_dg", "tf_dg", "ori_sg", "sf_sg", "phase_sg", "dir_dm", "speed_dm")
    },
    "width_rf": unfitted_width,
    "height_rf": unfitted_width,
    "on_screen_rf": off_screen,
    **{f"{name}_rf": incomplete_map for name in ("azimuth", "elevation", "area")},
}
# columns without a value, there in the metrics of movies
EMPTY_THERE = {"run_pval_ns", "run_mod_ns"}

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
        if column in ("width_rf", "height_rf"):
            # left to chance there
            expected = np.abs(expected)
        np.testing.assert_allclose(
            ours[column].to_numpy()[~differs],
            expected[~differs],
            rtol=FITTED.get(column, 1e-9),
            atol=ABSOLUTE,
            err_msg=column,
        )


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
# no variation: 0 there, NaN here
SILENT = "modulation_index silent"


@pytest.mark.filterwarnings("ignore:there are 0 .* which do not fit together:UserWarning")
@pytest.mark.parametrize(
    "question",
    [q for q in ASKED["list_function_questions"]() if q not in {*UNEQUAL, SILENT}],
)
def test_function__answers_as_allensdk(question: str) -> None:
    ours = ASKED["list_function_questions"]()[question](find_function)
    theirs = FUNCTION_ANSWERS[question]
    rtol = 1e-6 if question.startswith(("fit", "c50")) else 1e-9
    assert_same(ASKED["tidy"](ours), theirs, question, rtol=rtol)


@pytest.mark.parametrize("question", UNEQUAL)
def test_function__arrays_of_different_length_are_nan_with_a_warning(question: str) -> None:
    with pytest.warns(UserWarning, match="do not fit together"):
        ours = ASKED["list_function_questions"]()[question](find_function)
    assert_same(ASKED["tidy"](ours), FUNCTION_ANSWERS[question], question)


def test_modulation_index__of_nothing_is_nan() -> None:
    assert np.isnan(ASKED["list_function_questions"]()[SILENT](find_function))
    assert FUNCTION_ANSWERS[SILENT]["value"] == 0


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


# what the classes keep as AllenSDK has it, to compare with published numbers
AS_PUBLISHED = {"azimuth_rf", "elevation_rf", "area_rf", "p_value_rf"}


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
    asked = opened(REPEATS)
    metrics = asked.analyses[name].metrics.drop(columns=AS_PUBLISHED, errors="ignore")
    unit_ids = asked.analyses[name].unit_ids
    mapped = asked.session.analyze(stimulus, unit_ids=unit_ids, definition="published")
    pd.testing.assert_frame_equal(mapped[list(metrics)], metrics, rtol=1e-12)
