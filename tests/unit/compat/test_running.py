"""What a notebook's cells are to Python."""

from __future__ import annotations

import json
import os
import sys

import pytest

from spikehouse.compat.running import choose_backend, list_cells, run_cells, run_script
from spikehouse.errors import InvalidFileError


@pytest.fixture
def run(tmp_path, capsys):
    """Run cells; give what was printed and what was left out."""

    def run_them(*cells, arguments=()):
        notices = []
        run_cells(cells, tmp_path / "a.ipynb", arguments, notify=notices.append)
        return capsys.readouterr().out, notices

    return run_them


def test_run_cells__share_one_namespace(run):
    assert run("x = 2\n", "def f():\n    return x", "x = 3\nprint(f(), __name__)") == (
        "3 __main__\n",
        [],
    )


def test_run_cells__see_the_arguments_and_leave_no_trace(run, tmp_path):
    before = sys.argv[:], sys.path[:], sys.modules["__main__"]
    text, _ = run(
        "import sys\nprint(sys.argv[1:], sys.path[0])\nassert sys.modules['__main__'].sys is sys",
        arguments=["a", "-b"],
    )
    assert text == f"['a', '-b'] {tmp_path}\n"
    assert (sys.argv, sys.path, sys.modules["__main__"]) == before


@pytest.mark.parametrize(
    "line",
    ["%matplotlib inline", "!pip install x", "  ", "?len", "len?", "files = !ls", "x = %env HOME"],
)
def test_run_cells__leave_out_lines_for_the_shell(run, line):
    text, notices = run(f"print(1)\n{line}\nprint(2)")
    assert text == "1\n2\n"
    wanted = [f"a.ipynb, code cell 1 of 1: left out the line {line!r}"] if line.strip() else []
    assert notices == wanted


def test_run_cells__keep_python_that_looks_like_magic(run):
    text, notices = run('text = """\n%matplotlib\n!ls\n"""\nprint(7\n% 4, len(text))')
    assert text == "3 17\n"
    assert notices == []


def test_run_cells__leave_out_magic_but_not_the_expression_beside_it(run):
    text, notices = run("%matplotlib inline\nx = (7\n% 4)\nprint(x)")
    assert text == "3\n"
    assert len(notices) == 1


def test_run_cells__leave_out_magic_in_a_block(run):
    text, notices = run("if True:\n    !pip install \\\n        x\nprint('on')")
    assert text == "on\n"
    assert len(notices) == 1


def test_run_cells__run_what_is_only_timed(run):
    text, notices = run("%time x = 5\nprint(x)", "%%time\nprint('cell')")
    assert text == "5\ncell\n"
    assert notices == ["a.ipynb, code cell 2 of 2: left out the line '%%time'"]


def test_run_cells__leave_out_cells_in_other_languages(run):
    text, notices = run("%%bash\nrm -rf x\n", "print('on')")
    assert text == "on\n"
    assert notices == ["a.ipynb, code cell 1 of 2: left out, because it begins with '%%bash'"]


def test_run_cells__raise_what_python_cannot_read(run):
    with pytest.raises(SyntaxError) as caught:
        run("x = 1", "%matplotlib inline\nx = = 2")
    assert (caught.value.filename, caught.value.lineno) == ("a.ipynb, code cell 2 of 2", 2)


@pytest.mark.parametrize(
    "mask", ["(s > 0) & [True, False, True]", "[i != 1 for i in range(3)] & (s > 0)"]
)
def test_run_cells__take_lists_beside_and_as_arrays(run, mask):
    text, notices = run(f"import pandas as pd\ns = pd.Series([1, 2, -3])\nprint(list({mask}))")
    assert text == "[True, False, False]\n"
    assert len(notices) == 1
    assert notices[0].startswith("a.ipynb, code cell 1 of 1: a list beside &, | or ^ is taken as")


def test_run_cells__leave_lists_of_other_values_to_python(run):
    with pytest.raises(TypeError, match="unsupported operand"):
        run("x = 3 | [1]")


def test_run_cells__point_at_a_list_that_fails(run):
    with pytest.raises(ZeroDivisionError) as raised:
        run("import numpy as np\nx = (np.ones(2) > 0) & (\n[1 / 0,\nTrue])")
    assert raised.traceback[-1].lineno + 1 == 3


def test_run_cells__display_prints(run):
    assert run("display(3)")[0] == "3\n"


def test_list_cells__of_formats_3_and_4(tmp_path):
    path = tmp_path / "a.ipynb"
    code = {"cell_type": "code", "source": ["a\n", "b"]}
    text = {"cell_type": "markdown", "source": "# c"}
    path.write_text(json.dumps({"cells": [text, code, code | {"source": "c"}]}), encoding="utf-8")
    assert list_cells(path) == ["a\nb", "c"]
    old = {"worksheets": [{"cells": [text, {"cell_type": "code", "input": ["d"]}]}]}
    path.write_text(json.dumps(old), encoding="utf-8")
    assert list_cells(path) == ["d"]


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"cells": [{}]}', "\x00"])
def test_list_cells__says_what_is_no_notebook(tmp_path, text):
    path = tmp_path / "a.ipynb"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFileError, match=r"a\.ipynb is not a notebook"):
        list_cells(path)


def test_run_script__is_main(tmp_path, capsys):
    script = tmp_path / "a.py"
    script.write_text("import sys\nprint(__name__, sys.argv[1:], __file__)", encoding="utf-8")
    run_script(script, ["x"])
    assert capsys.readouterr().out == f"__main__ ['x'] {script}\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has DISPLAY")
def test_choose_backend__draws_into_memory_without_a_screen(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    choose_backend()
    assert "MPLBACKEND" not in os.environ
    monkeypatch.delenv("DISPLAY")
    monkeypatch.setenv("MPLBACKEND", "pdf")
    choose_backend()
    assert os.environ["MPLBACKEND"] == "pdf"
    monkeypatch.delenv("MPLBACKEND")
    choose_backend()
    assert os.environ.pop("MPLBACKEND") == "Agg"
