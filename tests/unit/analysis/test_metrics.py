"""Which stimulus gives which table, from presentations to the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from spikehouse import cli
from spikehouse.analysis import (
    ANALYSES,
    MetricOptions,
    StimulusResponses,
    compute_metrics,
    list_analyses,
)
from spikehouse.analysis.checks import DEFINITIONS
from spikehouse.analysis.gratings import (
    compute_drifting_gratings_metrics,
    compute_static_gratings_metrics,
)
from spikehouse.analysis.images import (
    compute_flashes_metrics,
    compute_natural_movies_metrics,
    compute_natural_scenes_metrics,
)
from spikehouse.analysis.receptive_fields import compute_receptive_field_metrics
from spikehouse.demo import Survey
from spikehouse.errors import InvalidArgumentError, NotFoundError
from spikehouse.schema.cache_tables import METRICS
from spikehouse.session import EcephysSession


def make_responses(name: str = "flashes", trial_duration: float = 0.25) -> StimulusResponses:
    onsets = np.arange(8.0)
    presentations = pd.DataFrame(
        {
            "start_time": onsets,
            "stop_time": onsets + 0.3,
            "color": np.tile([-1.0, 1.0], 4),
            "stimulus_condition_id": np.tile([7, 5], 4),
        },
        index=pd.RangeIndex(100, 108, name="stimulus_presentation_id"),
    )
    trains = {1: np.sort(np.r_[onsets + 0.1, onsets[1::2] + 0.28]), 2: np.empty(0)}
    return StimulusResponses(name, presentations, [1, 2], trains, trial_duration)


# --- what is derived of presentations and spikes


def test_stimulus_responses__counts_by_trial_and_by_presentation() -> None:
    responses = make_responses()
    assert responses.condition_ids.tolist() == [5, 7]
    assert responses.condition_of.tolist() == [1, 0] * 4
    assert responses.n_shown.tolist() == [4, 4]
    assert responses.conditions["color"].to_dict() == {5: 1.0, 7: -1.0}
    assert responses.counts[:, 0].tolist() == [1] * 8
    assert responses.shown_counts[:, 0].tolist() == [1, 2] * 4
    assert responses.condition_sums.tolist() == [[8, 0], [4, 0]]
    assert responses.condition_means.tolist() == [[2.0, 0.0], [1.0, 0.0]]
    assert np.isnan(responses.speeds).all()


def test_preferred_conditions__first_of_equals_and_only_candidates() -> None:
    responses = make_responses()
    assert responses.preferred_conditions().tolist() == [0, 0]
    assert responses.preferred_conditions(np.array([False, True])).tolist() == [1, 1]
    with pytest.raises(InvalidArgumentError, match="no condition but blank sweeps"):
        responses.preferred_conditions(np.array([False, False]))


def test_psth_of__each_unit_with_a_condition_of_its_own() -> None:
    psth = make_responses().psth_of(np.array([0, 1]), [0.0, 0.2, 0.3])
    assert psth.tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_stimulus_responses__says_what_is_missing() -> None:
    whole = make_responses()
    with pytest.raises(
        InvalidArgumentError, match="presentations of flashes has no column 'stop_time'"
    ):
        StimulusResponses("flashes", whole.presentations.drop(columns="stop_time"), [], {}, 0.25)
    with pytest.raises(InvalidArgumentError, match=r"trial_duration is -1; give the length"):
        make_responses(trial_duration=-1)


# --- the choice of tables


def test_list_analyses__other_names_of_released_stimuli() -> None:
    shown = ["spontaneous", "dot_motion", "drifting_gratings_75_repeats", "gabors"]
    assert list_analyses(shown) == ["drifting_gratings", "gabors", "dot_motion"]
    assert list_analyses(["spontaneous"]) == []


def test_compute_metrics__asks_for_the_stimulus_by_its_name_in_the_session() -> None:
    asked = []

    def respond(name: str, trial_duration: float) -> StimulusResponses:
        asked.append((name, trial_duration))
        return make_responses(name, trial_duration)

    done: list[tuple[int, int]] = []
    table = compute_metrics(
        ["flashes", "flashes"],
        respond,
        shown=["flashes"],
        progress=lambda *now: done.append(now),
    )
    assert asked == [("flashes", 0.25)]
    assert done == [(1, 1)]
    assert table.index.tolist() == [1, 2]
    assert table.index.name == "unit_id"
    assert {"on_off_ratio_fl", "fano_fl", "firing_rate_fl"} <= set(table)


def test_compute_metrics__stimulus_that_was_not_shown() -> None:
    with pytest.raises(
        NotFoundError, match=r"there are no presentations of dot_motion.*valid is 'flashes'"
    ):
        compute_metrics("dot_motion", make_responses, shown=["flashes", "spontaneous"])


def test_compute_metrics__no_such_analysis() -> None:
    with pytest.raises(InvalidArgumentError, match=r"no analysis of 'flahses': did you mean"):
        compute_metrics("flahses", make_responses, shown=["flashes"])
    with pytest.raises(InvalidArgumentError, match=r"none of drifting_gratings, .* was shown"):
        compute_metrics(None, make_responses, shown=["spontaneous"])


# --- a session, and the command


def test_analyze__all_published_columns(session_path: Path, survey: Survey) -> None:
    session = EcephysSession.from_nwb_path(session_path)
    table = session.analyze(options=MetricOptions(n_resamples=50))
    published = set(survey.read_analysis_metrics(survey.session_ids[0]).columns)
    assert published - set(table) == set()
    # every column has its line in the data dictionary; no metrics of movies were published
    described = {column.name for column in METRICS.columns}
    assert {name for name in table if not name.endswith(("_nm1", "_nm3"))} - described == set()
    assert table.index.equals(session.units.index.rename("unit_id"))
    assert list_analyses(session.stimulus_names) == [
        name for name in ANALYSES if name != "dot_motion"
    ]


def test_analyze__some_units_give_the_same_rows(session_path: Path) -> None:
    session = EcephysSession.from_nwb_path(session_path)
    whole = session.analyze("natural_scenes")
    some = session.analyze("natural_scenes", unit_ids=session.units.index[[3, 1]])
    pd.testing.assert_frame_equal(some, whole.iloc[[3, 1]])


def test_analyze__equal_seeds_equal_tables(session_path: Path) -> None:
    session = EcephysSession.from_nwb_path(session_path)
    options = MetricOptions(n_resamples=50, seed=4)
    first, second = (session.analyze("gabors", options=options) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable:
    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")
        monkeypatch.setattr(sys, "argv", ["spikehouse", "analyze", *words])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        code = caught.value.code
        return (int(code) if code else 0), captured.out, captured.err

    return call


def test_command__writes_and_prints(run: Callable, session_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "metrics.csv"
    words = (str(session_path), "--stimulus", "flashes", "--structure", "VISp")
    code, _, err = run(*words, "--out", str(out))
    assert code == 0
    assert "rows to" in err
    written = pd.read_csv(out, index_col="unit_id")
    code, printed, _ = run(*words)
    assert code == 0
    assert len(printed.splitlines()) == len(written) + 1
    session = EcephysSession.from_nwb_path(session_path)
    assert len(written) == (session.units["ecephys_structure_acronym"] == "VISp").sum()


def test_command__says_what_is_wrong(run: Callable, session_path: Path) -> None:
    code, _, err = run(str(session_path), "--stimulus", "dot_motion")
    assert code == 1
    assert "there are no presentations of dot_motion" in err
    code, _, err = run(str(session_path), "--structure", "VISP")
    assert code == 1
    assert "no unit of this session lies in 'VISP': did you mean 'VISp'" in err


def test_command__definition_that_does_not_exist(run: Callable, session_path: Path) -> None:
    words = (str(session_path), "--stimulus", "drifting_gratings", "--definition", "publishd")
    code, _, err = run(*words)
    assert code == 1
    assert "did you mean 'published'" in err


def test_command__published_definition(run: Callable, session_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "metrics.parquet"
    words = ("--stimulus", "natural_scenes", "--definition", "published", "--out", str(out))
    code, _, _ = run(str(session_path), *words)
    assert code == 0
    session = EcephysSession.from_nwb_path(session_path)
    found = pd.read_parquet(out)["pref_image_ns"].tolist()
    published = session.analyze("natural_scenes", definition="published")["pref_image_ns"]
    assert found == published.tolist()
    assert found != session.analyze("natural_scenes")["pref_image_ns"].tolist()


# --- responses made of counts


@pytest.fixture(scope="module")
def held(session_path: Path) -> EcephysSession:
    return EcephysSession.from_nwb_path(session_path)


# what needs finer times than counts have, or the spikes between presentations
FINER = ("time_to_peak", "sustained_idx", "f1_f0", "mod_idx", "firing_rate")


@pytest.mark.parametrize(
    ("compute", "stimulus", "duration"),
    [
        (compute_drifting_gratings_metrics, "drifting_gratings", 2.0),
        (compute_static_gratings_metrics, "static_gratings", 0.25),
        (compute_natural_scenes_metrics, "natural_scenes", 0.25),
        (compute_flashes_metrics, "flashes", 0.25),
        (compute_receptive_field_metrics, "gabors", 0.249),
        (compute_natural_movies_metrics, "natural_movie_one", 1 / 30),
    ],
)
@pytest.mark.parametrize("definition", DEFINITIONS)
def test_from_counts__gives_what_needs_no_finer_times(
    held: EcephysSession, compute: Callable, stimulus: str, duration: float, definition: Any
) -> None:
    timed = held.get_responses(stimulus, duration)
    # presentations as long as trials: one count stands for both
    shown = timed.presentations.assign(stop_time=timed.presentations["start_time"] + duration)
    timed = replace(timed, presentations=shown)
    made = StimulusResponses.from_counts(
        timed.counts, shown, timed.unit_ids, running_speed=timed.running_speed
    )
    assert made.stimulus_name == stimulus
    more = {"n_resamples": 20} if stimulus == "gabors" else {}
    expected = compute(timed, definition=definition, **more)
    found = compute(made, definition=definition, **more)
    finer = [name for name in expected if name.startswith(FINER)]
    assert finer
    assert found[finer].isna().all(axis=None)
    pd.testing.assert_frame_equal(found.drop(columns=finer), expected.drop(columns=finer))


def test_from_counts__puts_labelled_counts_in_order() -> None:
    whole = make_responses()
    table = pd.DataFrame(whole.counts, whole.presentations.index, whole.unit_ids)
    mixed = table.sample(frac=1, random_state=1)[[2, 1]]
    for given in (mixed, xr.DataArray(mixed)):
        made = StimulusResponses.from_counts(given, whole.presentations, [1, 2])
        np.testing.assert_array_equal(made.counts, whole.counts)
        assert np.isnan(made.psth_of(np.zeros(2, int), [0.0, 0.1])).all()
    with pytest.raises(InvalidArgumentError, match=r"counts lacks presentations or units.*3"):
        StimulusResponses.from_counts(mixed, whole.presentations, [1, 3])


def test_from_counts__says_what_is_wrong() -> None:
    shown = make_responses().presentations
    nothing = np.zeros((8, 2))
    with pytest.raises(InvalidArgumentError, match=r"shape \(2, 8\), not one row for each of"):
        StimulusResponses.from_counts(nothing.T, shown, [1, 2])
    with pytest.raises(InvalidArgumentError, match=r"shape \(8, 1, 2\), not one row"):
        StimulusResponses.from_counts(xr.DataArray(nothing[:, None]), shown, [1, 2])
    for wrong in (0.5, -1.0, np.nan, 2.0**40):
        with pytest.raises(InvalidArgumentError, match="whole numbers of 0 or more"):
            StimulusResponses.from_counts(nothing + wrong, shown, [1, 2])
    with pytest.raises(InvalidArgumentError, match="a table of counts has no column 'stop_time'"):
        StimulusResponses.from_counts(nothing, shown.drop(columns="stop_time"), [1, 2])
    with pytest.raises(InvalidArgumentError, match="there are no presentations"):
        StimulusResponses.from_counts(nothing[:0], shown[:0], [1, 2])
