"""`spikehouse reproduce` on the simulated survey, from tables and from spikes, and its command."""

from __future__ import annotations

import io
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spikehouse import EcephysProjectCache, cli
from spikehouse.analysis import HIERARCHY_SCORES
from spikehouse.demo import Survey
from spikehouse.errors import CohortError, InvalidArgumentError, NotFoundError
from spikehouse.report import Log
from spikehouse.reproduce import STUDIES, Reproduction, reproduce
from spikehouse.reproduce.siegle2021 import FIGURE_3, measure_units
from spikehouse.reproduce.siegle2021_connections import FIGURE_2
from spikehouse.session import EcephysSession

FIGURES = ("units", "figure_2", "figure_3", "extended_data_figure_9")
FROZEN = Path(__file__).parents[1] / "parity" / "project_tables" / "folder"
# its metrics are those of brain_observatory_1.1
ONE = ("--session", "900000001")
# of both session types; the planted hierarchy needs several
SESSIONS = [900000001, 900000002, 900000003, 900000004, 900000009, 900000010]


@pytest.fixture(scope="module")
def from_spikes(
    small_survey: Survey, survey_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Reproduction, str]:
    """Reproduce from the spikes of the small survey; gives what was printed as well."""
    cache = EcephysProjectCache.from_demo(size="small", folder=survey_folder)
    printed = io.StringIO()
    results = tmp_path_factory.mktemp("results") / "new"
    with warnings.catch_warnings():
        # one of the sessions has invalid times, which the page says
        warnings.simplefilter("always")
        made = reproduce(
            "siegle2021", cache, results=results, origin="spikes", session_ids=SESSIONS,
            log=Log(printed),
        )  # fmt: skip
    return made, printed.getvalue()


def test_reproduce__from_spikes_writes_page_figures_and_numbers(from_spikes):
    made, printed = from_spikes
    folder = made.page.parent
    for name in FIGURES:
        for suffix in ("png", "pdf"):
            assert (folder / f"{name}.{suffix}").stat().st_size > 1000
    stored = pd.read_parquet(folder / "results.parquet")
    assert set(stored.pop("study")) == {"siegle2021"}
    assert set(stored.pop("origin")) == {"spikes"}
    pd.testing.assert_frame_equal(stored, made.values)
    page = made.page.read_text("utf-8")
    assert page.count("<img src=") == 4
    assert 'src="http' not in page
    assert page.index("SIMULATED DATA") < page.index("<section>")
    # results first, then how they were got
    order = ["<img src=", "Ours and the published", "Not computed (", "measure_units: 6 done"]
    assert sorted(order, key=page.index) == order
    assert "computed again from spikes of 6 of 12 simulated sessions" in page
    assert "Sessions used: 6 of 12." in printed
    # on the page only
    assert "Where the published values are from" in page
    assert "Figure3/Figure3.png" not in printed
    assert "All values, also those without a published one, are in results.parquet." in printed
    assert "SIMULATED DATA" in printed


def test_reproduce__simulated_data_have_verdicts_on_signs_only(from_spikes):
    made, _ = from_spikes
    assert made.is_simulated
    assert set(made.values["verdict"]) <= {
        "", "same sign", "other sign", "not comparable", "not computed",
    }  # fmt: skip
    assert "simulated data" in repr(made)


@pytest.mark.parametrize(
    "measure", ["time_to_first_spike", "rf_area", "modulation_index", "decay_timescale"]
)
def test_reproduce__recovers_the_planted_hierarchy(from_spikes, measure):
    values = from_spikes[0].values
    rows = values[(values["measure"] == measure) & (values["quantity"] == "pearson_r")]
    assert rows["verdict"].tolist() == ["same sign"]
    assert (rows["low"] < rows["value"]).all()


def test_reproduce__figure_2_of_three_areas(from_spikes):
    """The small sessions have three of the six areas, too few for a correlation."""
    values = from_spikes[0].values
    values = values[values["figure"] == FIGURE_2]
    fractions = values[values["quantity"] == "fraction"].set_index("area")["value"]
    # the assemblies of the simulation
    assert fractions["VISp-VISp"] > 0.03
    missing = values[(values["measure"] == "directionality_score") & values["value"].isna()]
    assert len(missing) == 5
    why = values.set_index(["quantity", "area"])["reason"]
    assert why["score", "VISp-VISrl"] == (
        "no units in VISrl, VISal, VISpm that fire more than 2 spikes/s"
    )
    assert why["score", "VISp-VISl"] == "none of the pairs of units has a significant peak"
    assert missing["reason"].str.contains("a correlation needs three that differ").all()


def test_measure_units__has_what_the_figure_needs(small_survey):
    path = small_survey.session_file(small_survey.session_ids[0])
    table = measure_units(EcephysSession.from_nwb_path(path))
    assert set(table["ecephys_structure_acronym"]) <= set(HIERARCHY_SCORES)
    assert table.index.name == "unit_id"
    times = table["time_to_first_spike_fl"].dropna()
    assert times.between(0.03, 0.2).all()
    # milliseconds, as in the authors' files
    fitted = table["timescale_ac"].dropna()
    assert fitted.between(1, 1000).all()
    assert fitted.median() > 5


def test_reproduce__what_was_computed_is_kept(from_spikes, survey_folder, monkeypatch):
    made, _ = from_spikes
    cache = EcephysProjectCache.from_demo(size="small", folder=survey_folder)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a session was opened again")

    monkeypatch.setattr(EcephysProjectCache, "get_session_data", fail)
    again = reproduce(
        "siegle2021", cache, results=made.page.parent, origin="spikes",
        session_ids=iter(SESSIONS), log=Log(io.StringIO()),
    )  # fmt: skip
    pd.testing.assert_frame_equal(again.values, made.values)


def test_reproduce__only_the_sessions_asked_for(from_spikes, survey_folder, tmp_path):
    """Others that the folder holds are left out, and figures of an earlier call do not stay."""
    made, _ = from_spikes
    cache = EcephysProjectCache.from_demo(size="small", folder=survey_folder)
    shutil.copytree(made.page.parent, tmp_path / "copy")
    stale = tmp_path / "copy" / "extended_data_figure_10.png"
    stale.write_text("of an earlier call")
    (tmp_path / "copy" / "mine.png").write_text("of the user")
    printed = io.StringIO()
    one, alone = (
        reproduce(
            "siegle2021", cache, results=tmp_path / name, origin="spikes", log=Log(out),
            session_ids=SESSIONS[0],
        )
        for name, out in (("copy", printed), ("alone", io.StringIO()))
    )  # fmt: skip
    pd.testing.assert_frame_equal(one.values, alone.values)
    for name in ("figure_2", "figure_3", "units"):
        figures = [tmp_path / folder / f"{name}.png" for folder in ("copy", "alone")]
        assert figures[0].read_bytes() == figures[1].read_bytes(), name
    assert not stale.exists()
    assert (tmp_path / "copy" / "mine.png").exists()
    assert "5 of these sessions are of earlier calls, and not used here." in printed.getvalue()
    assert "Sessions used: 1 of 12." in printed.getvalue()
    # one session is no sample of sessions
    assert one.values[["low", "high"]].isna().all(axis=None)
    with pytest.raises(InvalidArgumentError, match=r"holds the results of siegle2021, which would"):
        reproduce("purandare2023", cache, results=tmp_path / "copy", origin="spikes")


def test_reproduce__refuses_a_folder_with_other_results(survey_folder, tmp_path):
    cache = EcephysProjectCache.from_demo(size="small", folder=survey_folder)
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "results.parquet")
    with pytest.raises(InvalidArgumentError, match=r"results\.parquet holds the results of some"):
        reproduce("siegle2021", cache, results=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["results.parquet"]


def test_reproduce__says_why_no_session_could_be_computed(survey_folder, tmp_path, monkeypatch):
    cache = EcephysProjectCache.from_demo(size="small", folder=survey_folder)

    def fail(*_: object, **__: object) -> None:
        raise ValueError("the disk is gone")

    monkeypatch.setattr(EcephysProjectCache, "get_session_data", fail)
    with pytest.raises(CohortError, match="none of the 1 sessions could be computed; session 900"):
        reproduce("siegle2021", cache, results=tmp_path, origin="spikes", session_ids=SESSIONS[0])


def test_reproduce__movie_tuning_of_the_sessions_that_saw_the_movie_often(survey_folder, tmp_path):
    cache = EcephysProjectCache.from_demo(size="small", folder=survey_folder)
    printed = io.StringIO()
    made = reproduce("purandare2023", cache, results=tmp_path, origin="spikes", log=Log(printed))
    assert "measure_movie_tuning: 4 done, 0 failed" in printed.getvalue()
    values = made.values[made.values["figure"] == "Fig. 1"].set_index(["quantity", "area"])
    # units of the hippocampus of the demo do not respond to stimuli
    assert values.loc[("fraction", "visual"), "low"] > 0.6
    assert values.loc[("fraction", "hippocampus"), "high"] < 0.3
    difference = values.loc[("fraction_difference", "visual − hippocampus")]
    assert difference["verdict"] == "same sign"
    assert (tmp_path / "movie_tuning.pdf").stat().st_size > 1000
    with pytest.raises(NotFoundError, match="no session"):
        reproduce("purandare2023", cache, results=tmp_path, origin="spikes", session_ids=900000001)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command on the tables of three sessions; gives exit code, output and errors."""

    def call(*words: object) -> tuple[int, str, str]:
        place = ["--source", FROZEN, "--cache", tmp_path / "cache"]
        given = ["reproduce", *words, "--results", tmp_path / "out", *place]
        monkeypatch.setattr(sys, "argv", ["spikehouse", *map(str, given)])
        monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return call


def test_reproduce_command__from_tables_with_a_file(run, tmp_path):
    """The file of times brings the measure that the released tables do not have."""
    units = pd.read_csv(FROZEN / "units.csv", index_col="id")
    times = pd.DataFrame({"time_to_first_spike_fl": np.linspace(0.03, 0.12, len(units))})
    times.set_index(units.index.rename("ecephys_unit_id")).to_csv(tmp_path / "times.csv")
    code, out, err = run("siegle2021", *ONE, "--tables", tmp_path / "times.csv")
    assert (code, err) == (0, "")
    assert "times.csv: time_to_first_spike_fl; " in out
    assert "Not computed: Fig. 3, decay timescale (20 values): timescale_ac is not in" in out
    assert "timescale_metrics.csv with --tables" in out
    assert out.splitlines()[-1].startswith("siegle2021 (simulated data): ")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert (
        f"spikehouse reproduce siegle2021 {' '.join(ONE)} --tables {tmp_path / 'times.csv'}" in page
    )
    numbers = pd.read_parquet(tmp_path / "out" / "results.parquet")
    counts = numbers[numbers["figure"] == "Units"].set_index("quantity")["value"]
    assert counts["sorted"] > counts["good"] > 0
    first = numbers[(numbers["figure"] == FIGURE_3) & (numbers["measure"] == "time_to_first_spike")]
    assert first["value"].notna().any()


def test_reproduce_command__of_recordings_says_that_few_sessions_may_differ(run, monkeypatch):
    monkeypatch.setattr("spikehouse.reproduce.run.is_simulated", lambda _: False)
    code, out, _ = run("siegle2021", *ONE)
    assert code == 0
    flagged = "Note: Sessions used: 1 of 3. The published values are of all sessions of the authors"
    assert out.index(flagged) < out.index("Ours and the published values")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["siegle2012"], "there is no study 'siegle2012': did you mean 'siegle2021'"),
        (["purandare2023"], "nothing of purandare2023: compute it with --from spikes (origin="),
        (["siegle2021", "--from", "spike"], "no origin 'spike': did you mean 'spikes'"),
        (["siegle2021", "--session", "5"], "session 5"),
        (["siegle2021", "--tables", "/no/file.csv"], "there is no file or folder /no/file.csv"),
        (["siegle2021", "--from", "spikes", "--tables", "a.csv"], "goes with origin='tables'"),
    ],
)
def test_reproduce_command__what_cannot_be_done(run, words, message, tmp_path):
    code, _, err = run(*words)
    assert code == 1
    assert message in err
    assert not (tmp_path / "out").exists()


def test_studies__have_published_values_of_their_figures():
    from spikehouse.reproduce.study import read_published

    for name, study in STUDIES.items():
        figures = [figure for part in study.parts for figure in part.figures]
        assert {*read_published(name)["figure"]} == {*figures}
