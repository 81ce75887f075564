"""What files, servers and folders say never steers a terminal."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikehouse import errors
from spikehouse.cli._printing import echo, show_table
from spikehouse.errors import SpikehouseError, printable
from spikehouse.report import Log
from spikehouse.session import EcephysSession

ESCAPE = "\x1b[2J\x1b]0;title\x07\u202e\x9b31m"


@given(st.text(alphabet=st.characters(codec=None)))
def test_printable__is_printable_and_keeps_what_is(text):
    shown = printable(text)
    assert shown.isprintable()
    if text.isprintable() and "@" not in text:
        assert shown == text


@pytest.mark.parametrize("secret", ["u:p", "u:p@ss", "u:pa/ss", "u:p#s?s"])
def test_printable__hides_odd_passwords(secret):
    assert printable(f"at http://{secret}@host:1/x now") == "at http://***@host:1/x now"


def test_printable__hides_passwords():
    text = "cannot reach http://me:secret@proxy:3128/ and https://token@host/x, me@home.org"
    shown = printable(text)
    assert shown == "cannot reach http://***@proxy:3128/ and https://***@host/x, me@home.org"


@pytest.mark.parametrize(
    "kind",
    [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, SpikehouseError)],
)
def test_errors__are_printable(kind):
    text = str(kind(f"no file {ESCAPE}\nof http://a:b@c"))
    assert "\x1b" not in text
    assert text == "no file \\x1b[2J\\x1b]0;title\\x07\\u202e\\x9b31m\nof http://***@c"


def test_session__says_what_its_file_says_without_escapes(
    session_path: Path, tmp_path: Path, capsys
):
    path = tmp_path / "session.nwb"
    shutil.copy(session_path, path)
    with h5py.File(path, "r+") as file:
        del file["general/stimulus"], file["general/subject/genotype"]
        file["general/stimulus"] = f"type{ESCAPE}"
        file["general/subject/genotype"] = f"wt{ESCAPE}"
    with EcephysSession.from_nwb_path(path) as session:
        for text in (repr(session), session._repr_html_()):
            assert "\x1b" not in text
            assert "\u202e" not in text
            assert "wt\\x1b[2J" in text


def test_tables_and_lines_of_the_command__are_printable(capsys):
    show_table(
        pd.DataFrame({"a": [f"x{ESCAPE}"]}, index=pd.Index([1], name="id")), what="rows", rows=0
    )
    echo(f"folder {ESCAPE}")
    log = Log()
    with log.step("one"):
        log.say(f"file {ESCAPE}")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count("\\x1b[2J") == 3
