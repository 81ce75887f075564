"""The commands over the survey's tables, and how they choose folder and source."""

from __future__ import annotations

import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from spikehouse import EcephysProjectCache, cli
from spikehouse.cli import main
from spikehouse.cli._common import open_cache
from spikehouse.cli._printing import fit_widths, show_table
from spikehouse.demo import Survey
from spikehouse.errors import CacheError, InvalidArgumentError, SourceError
from spikehouse.survey.source import ask_in_turn
from spikehouse.transfer.retry import UnreachableError

FROZEN = Path(__file__).parents[1] / "parity" / "project_tables" / "folder"
Run = Callable[..., tuple[int, str, str]]
FakeName = namedtuple("FakeName", "name")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run a command on a folder of three sessions; gives exit code, output and errors."""

    def call(*words: str) -> tuple[int, str, str]:
        common = ("--source", str(FROZEN), "--cache", str(tmp_path / "cache"))
        monkeypatch.setattr(sys, "argv", ["spikehouse", *words, *common])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        code = caught.value.code
        return (int(code) if code else 0), captured.out, captured.err

    return call


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")
    monkeypatch.delenv("SPIKEHOUSE_CACHE", raising=False)


# --- tables


def test_sessions__lists_and_filters(run: Run) -> None:
    code, out, err = run("sessions")
    assert (code, err) == (0, "3 sessions\n")
    head, *rows = out.splitlines()
    assert head.split()[:3] == ["id", "session_type", "age_in_days"]
    assert len(rows) == 3
    _, out, err = run("sessions", "--type", "functional_connectivity")
    assert err == "1 session\n"
    _, _, err = run("sessions", "--structure", "VISp", "--structure", "CA1")
    assert err.endswith("sessions\n")
    _, out, _ = run("sessions", "--session", "900000001")
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["900000001"]


def test_probes_and_units__agree_with_the_tables(run: Run) -> None:
    from spikehouse import EcephysProjectCache

    _, out, err = run("probes", "--session", "900000001")
    assert (len(out.splitlines()), err) == (3, "2 probes\n")
    _, out, _ = run("units", "--all")
    assert len(out.splitlines()) == 1 + len(pd.read_csv(FROZEN / "units.csv"))
    _, out, _ = run("units", "--structure", "VISp")
    with EcephysProjectCache.from_folder(FROZEN, cache=False) as project:
        units = project.get_units()
    expected = units.index[units["ecephys_structure_acronym"] == "VISp"]
    assert [int(line.split()[0]) for line in out.splitlines()[1:]] == expected.tolist()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sessions", "--type", "brain"), "there is no session type 'brain' here"),
        (("sessions", "--session", "5"), "there is no session 5 here: did you mean 900000001"),
        (("probes", "--probe", "probeX"), "there is no probe 'probeX' here: did you mean"),
        (("units", "--structure", "VISpp"), "there is no structure 'VISpp' here: did you mean"),
        (
            ("units", "--out", "u.xlsx"),
            "--out u.xlsx is not valid: the name must end in .csv or .parquet",
        ),
    ],
)
def test_tables__say_what_there_is_not(run: Run, words: tuple[str, ...], message: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert message in err


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables__go_into_files_with_every_column(run: Run, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"units{suffix}"
    code, out, err = run("units", "--all", "--out", str(path))
    assert (code, out) == (0, ""), err
    table = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    assert f"wrote {len(table)} rows to {path}" in err
    assert {"snr", "waveform_duration", "ecephys_structure_acronym"} <= set(table.columns)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables__with_lists_in_them_go_into_files(run: Run, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sessions{suffix}"
    code, _, err = run("sessions", "--out", str(path))
    assert code == 0, err
    table = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    structures = table["ecephys_structure_acronyms"].iloc[0]
    listed = structures.split() if suffix == ".csv" else list(structures)
    assert "VISp" in listed
    assert all(isinstance(name, str) for name in listed)


def test_tables__with_nothing_left_have_a_head(run: Run) -> None:
    code, out, err = run("sessions", "--genotype", "nobody")
    assert (code, err) == (0, "0 sessions\n")
    assert out.split()[:2] == ["id", "session_type"]


# --- on a terminal


def test_show_table__fits_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    table = pd.DataFrame({"long": ["x" * 80] * 3, "n": [1, 20, 300]}, index=[7, 8, 9])
    show_table(table, what="rows", rows=2)
    *lines, count = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 40 for line in lines)
    assert lines[1].split()[1].endswith("x…")
    assert [line[-2:] for line in lines[1:]] == [" 1", "20"]
    assert count == "3 rows, 1 not shown: --rows 0 shows all"


def test_show_table__leaves_out_columns_that_do_not_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    table = pd.DataFrame({f"a_column_{n}": [1.0] for n in range(60)}, index=[7])
    show_table(table, what="units", rows=0)
    *lines, count = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["a_column_0", "a_column_1", "a_column_2"]
    assert count == "1 unit; 57 of 60 columns not shown: --out FILE writes them"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["analyze", "1", "--out", "x.txt"],
            "--out x.txt is not valid: the name must end in .csv or .parquet",
        ),
        (["analyze", "1", "--out", "/dev/null/x.csv"], "cannot be written: /dev/null is not"),
        (["sessions", "--out", "x.txt"], "--out x.txt is not valid"),
        (["units", "--out", "x.txt"], "--out x.txt is not valid"),
        (["analyze", "1", "--definition", "wrong"], "no definition 'wrong'"),
        (["analyze", "1", "--stimulus", "gabor"], "no analysis of 'gabor': did you mean 'gabors'"),
        (["sessions", "--size", "big", "--source", "demo"], "valid are 'tiny', 'small', 'full'"),
    ],
)
def test_command__checks_what_it_was_given_before_it_asks_or_computes(
    arguments, message, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing may be opened or asked for")

    for name in ("get_session_table", "get_units", "get_session_data", "plan"):
        monkeypatch.setattr(EcephysProjectCache, name, refuse)
    monkeypatch.setattr(sys, "argv", ["spikehouse", *arguments])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert message in capsys.readouterr().err


def test_fit_widths__takes_from_the_widest() -> None:
    assert fit_widths([5, 40, 10], 100) == [5, 40, 10]
    assert fit_widths([5, 40, 10], 49) == [5, 30, 10]
    # no column becomes unreadable
    assert fit_widths([30, 30], 10) == [12, 12]
    # what does not fit is left out, never the first two
    assert fit_widths([12, 12, 12], 30) == [12, 12]


# --- folders and sources


def test_open_cache__uses_the_folder_that_python_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def manifest(*arguments: object) -> Path:
        with open_cache(*arguments) as cache:  # type: ignore[arg-type]
            return cache.manifest_path

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPIKEHOUSE_CACHE", raising=False)
    default = manifest(["s3"], None, None, "small")
    assert default.parent.name == "visual-coding"
    with EcephysProjectCache() as ours:
        assert ours.manifest_path == default
    with EcephysProjectCache.from_demo(size="tiny") as ours:
        assert ours.manifest_path == manifest(["demo"], None, None, "tiny")
    monkeypatch.setenv("SPIKEHOUSE_CACHE", str(tmp_path / "mine"))
    with EcephysProjectCache.from_s3() as ours:
        assert ours.manifest_path == tmp_path / "mine" / "manifest.json"
    assert manifest(["dandi"], None, None, "small") == tmp_path / "mine" / "manifest.json"
    # another server's survey, and the simulated one, are kept apart
    assert tmp_path not in manifest(["warehouse"], None, "127.0.0.1:80", "small").parents
    assert tmp_path not in manifest(["demo"], None, None, "tiny").parents
    given = tmp_path / "other.json"
    assert manifest(["s3"], given, None, "small") == given
    # a cache of AllenSDK in the working directory goes on being used
    (tmp_path / "ecephys_project_manifest.json").write_text('{"manifest": []}')
    with pytest.warns(UserWarning, match="is of version None"):
        assert manifest(["s3"], None, None, "small").name == "ecephys_project_manifest.json"


@pytest.mark.parametrize(
    ("sources", "host", "names"),
    [
        (None, None, ["s3", "dandi", "warehouse"]),
        (["warehouse", "s3"], None, ["warehouse", "s3"]),
        (["warehouse"], "127.0.0.1:1", ["warehouse"]),
        (["s3"], "127.0.0.1:1", ["s3"]),
        (["dandi"], "127.0.0.1:1", ["dandi"]),
        ([str(FROZEN), "s3"], None, ["folder", "s3"]),
    ],
)
def test_open_cache__keeps_the_order(
    sources: list[str] | None, host: str | None, names: list[str], tmp_path: Path
) -> None:
    with open_cache(sources, tmp_path, host, "tiny") as project:
        assert [source.name for source in project._store.sources] == names


@pytest.mark.parametrize(
    ("sources", "host", "message"),
    [
        (None, "h:1", "--host h:1 needs exactly one of --source warehouse, s3 and dandi"),
        (["demo", "s3"], None, "--source demo cannot be combined"),
        (["s4"], None, "there is no source 's4': did you mean 's3'"),
    ],
)
def test_open_cache__refuses_what_makes_no_sense(
    sources: list[str] | None, host: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        open_cache(sources, tmp_path, host, "tiny")


def test_open_cache__offline_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="there is no manifest"):
        open_cache(None, tmp_path, None, "tiny", offline=True)


def test_fetch__lfp_by_name_or_all(run: Run) -> None:
    code, _, err = run("fetch", "900000001", "--lfp", "probeA", "--lfp-all")
    assert (code, err) == (1, "Error: --lfp and --lfp-all cannot be combined\n")


def test_fetch__dry_run_fetches_nothing(run: Run, tmp_path: Path) -> None:
    code, out, err = run("fetch", "900000001", "--dry-run")
    assert (code, err) == (0, "")
    assert "session_900000001/session_900000001.nwb" in out
    assert not (tmp_path / "cache" / "session_900000001").exists()


@pytest.mark.parametrize("words", [("fetch", "x"), ("fetch", "--aera"), ("cache",), ("info",)])
def test_commands__misused_exit_with_2(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["spikehouse", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2


def test_command__without_a_network_says_so_once_and_repeats_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "my cache"
    words = ["units", "--session", "5", "--source", "s3", "--host", "127.0.0.1:1", "--cache"]
    monkeypatch.setattr(sys, "argv", ["spikehouse", *words, str(cache)])
    with pytest.raises(SystemExit, match="1"):
        main()
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("Error: 127.0.0.1:1 cannot be reached over http: ")
    assert lines[1] == (
        "Is there a network connection? What is in the cache folder can be used without:"
    )
    assert lines[2] == f"spikehouse {' '.join(words)} '{cache}' --offline"


def test_ask_in_turn__says_each_reason_once() -> None:
    def fail(source: FakeName) -> None:
        raise UnreachableError("host.org cannot be reached")

    sources = [FakeName("s3"), FakeName("dandi")]
    with pytest.raises(SourceError) as caught:
        ask_in_turn(sources, fail, what="table sessions")  # type: ignore[arg-type]
    reasons = "no source could give table sessions. s3, dandi: host.org cannot be reached"
    assert caught.value.message == reasons
    assert str(caught.value) == f"{reasons}. {UnreachableError.advice}"


def test_info__of_a_session_that_is_not_here_simulates_nothing_and_names_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--source", "demo", "--cache", str(tmp_path), "--size", "tiny"]
    monkeypatch.setattr(Survey, "session_file", lambda *_, **__: pytest.fail("simulated"))
    monkeypatch.setattr(sys, "argv", ["spikehouse", "info", "900000001", *place])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert f"(spikehouse fetch 900000001 {' '.join(place)})" in capsys.readouterr().err


def test_command__offline_says_how_to_fetch_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--source", "demo", "--cache", str(tmp_path), "--size", "tiny"]
    monkeypatch.setattr(sys, "argv", ["spikehouse", "units", "--offline", *place])
    with pytest.raises(SystemExit, match="1"):
        main()
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[0].endswith("sessions.csv is not in the cache folder, and no network may be used")
    assert lines[1:] == [
        "Without --offline it is fetched:", f"spikehouse units {' '.join(place)}"
    ]  # fmt: skip
