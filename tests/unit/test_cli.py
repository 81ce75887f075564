"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spikehouse import __version__, cli, quickstart
from spikehouse.errors import NotFoundError


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command as the entry point does; gives exit code, output and errors."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["spikehouse", *words])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        code = caught.value.code
        return (0 if code is None else code), captured.out, captured.err

    return call


@pytest.fixture
def asked(monkeypatch):
    """Note the options instead of running."""
    seen = []
    monkeypatch.setattr(quickstart, "run_quickstart", seen.append)
    return seen


def test_main__version(run):
    assert run("--version") == (0, f"spikehouse {__version__}\n", "")


def test_main__without_words_shows_help(run):
    _, out, err = run()
    assert "quickstart" in out + err
    assert "demo" in out + err


def test_main__help_needs_nothing_heavy():
    code = (
        "import sys, spikehouse.cli\n"
        "heavy = {'numpy', 'pandas', 'matplotlib', 'sklearn', 'h5py', 'xarray'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_quickstart__passes_on_every_choice(run, asked, tmp_path):
    code, _, err = run(
        *("quickstart", "--source", "warehouse", "--host", "127.0.0.1:8000"),
        *("--session", "7", "--area", "LGd"),
        *("--cache", str(tmp_path / "c"), "--out", str(tmp_path / "o"), "--size", "tiny"),
    )
    assert (code, err) == (0, "")
    options = asked[0]
    assert (options.source, options.host, options.session_id) == ("warehouse", "127.0.0.1:8000", 7)
    assert (options.area, options.size) == ("LGd", "tiny")
    assert (options.cache, options.out) == (tmp_path / "c", tmp_path / "o")


def test_quickstart__defaults(run, asked):
    assert run("quickstart")[0] == 0
    assert asked == [quickstart.QuickstartOptions()]


@pytest.mark.parametrize("source", ["s3", "dandi"])
def test_quickstart__takes_every_source(run, asked, source):
    assert run("quickstart", "--source", source)[0] == 0
    assert asked[0].source == source


def test_quickstart__an_error_for_the_user_is_one_line(run, monkeypatch):
    def fail(options):
        raise NotFoundError("session 7 has no units in 'XYZ'; Areas with units: VISp (6)")

    monkeypatch.setattr(quickstart, "run_quickstart", fail)
    code, out, err = run("quickstart")
    assert (code, out) == (1, "")
    assert err == "Error: session 7 has no units in 'XYZ'; Areas with units: VISp (6)\n"


def test_quickstart__a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    def fail(options):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(quickstart, "run_quickstart", fail)
    monkeypatch.setattr(sys, "argv", ["spikehouse", "quickstart"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_quickstart__ctrl_c(run, monkeypatch):
    def interrupt(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(quickstart, "run_quickstart", interrupt)
    code, out, err = run("quickstart")
    assert (code, out) == (130, "")
    assert err == (
        "\nInterrupted: stopped; the cache can be used as it is, run the same command again.\n"
    )


def test_quickstart__unknown_option(run):
    code, _, err = run("quickstart", "--aera", "VISp")
    assert code == 2
    assert "--aera" in err


def test_demo_serve__unknown_size(run):
    code, _, err = run("demo", "serve", "--size", "smal")
    assert code == 1
    assert err.startswith(
        "Error: size 'smal' is not a size of the demo survey: did you mean 'small'?"
    )
