"""Every code block of the README and of the pages in docs runs, on the demo survey.

What a page does with the real survey is done with the demo: ``AS_DEMO`` lists the replacements.
The tutorial on real recordings is run by ``tests/integration/test_real_recordings.py``.
"""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import xarray as xr

from spikehouse import EcephysProjectCache, EcephysSession
from spikehouse.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "how-to").rglob("*.md")),
    ROOT / "docs" / "gallery" / "gallery.md",
]
AS_DEMO = {
    r"791319847": "900000001",
    r"766640955": "900000002",
    r"EcephysProjectCache\.from_(sources|s3|dandi|warehouse|folder)\(.*?\)$": (
        'EcephysProjectCache.from_demo("~/data/manifest.json", size="tiny")'
    ),
}
# commands of other programs, or that never end
NOT_RUN = re.compile(r"^(python3? |git |pytest |\.venv|spikehouse demo serve)")


def blocks(page: Path) -> list[tuple[int, str, str]]:
    """Give (line number, language, code) of every block."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [(text[: m.start()].count("\n") + 2, m.group(1), m.group(2)) for m in found]


def as_demo(code: str) -> str:
    for real, demo in AS_DEMO.items():
        code = re.sub(real, demo, code, flags=re.MULTILINE)
    return code


def run_python(code: str, names: dict[str, object], *, page: Path, line: int) -> None:
    tree = ast.parse("\n" * (line - 1) + as_demo(code), filename=str(page))
    for statement in tree.body:
        if not isinstance(statement, ast.Expr):
            exec(compile(ast.Module([statement], []), str(page), "exec"), names)
            continue
        value = eval(compile(ast.Expression(statement.value), str(page), "eval"), names)
        where = f"{page.name}:{statement.lineno}: {ast.unparse(statement)}"
        assert getattr(value, "size", 1), f"{where} is empty on the demo"
        if isinstance(value, xr.DataArray):
            assert value.notnull().any(), f"{where} is NaN on the demo"


def run_shell(
    code: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in code.splitlines():
        command = shlex.split(as_demo(line.split("  #")[0]), comments=True)
        if not command or NOT_RUN.match(line):
            continue
        assert command[0] == "spikehouse", f"how is {line!r} tested?"
        arguments = command[1:]
        while "--source" in arguments:
            at = arguments.index("--source")
            del arguments[at : at + 2]
        if arguments[:2] == ["cache", "clean"]:
            arguments.append("--yes")
        if "--cache" not in arguments and arguments[0] != "quickstart":
            arguments += ["--cache", "~/data"]
        if arguments[0] != "cache":
            arguments += ["--source", "demo", "--size", "tiny"]
        monkeypatch.setattr(
            "sys.argv",
            [
                "spikehouse",
                *(str(Path(a).expanduser()) if a.startswith("~") else a for a in arguments),
            ],
        )
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code, f"{line}: {capsys.readouterr().err}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.filterwarnings("ignore:spikes are missing or wrong:UserWarning")
def test_page__every_block_runs(session_path, page, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("Agg")
    names: dict[str, object] = {"manifest": tmp_path / "manifest.json"}
    if page.parent.name == "how-to":
        names["session"] = EcephysSession.from_nwb_path(session_path)
        for folder in ("allensdk", "data"):
            manifest = tmp_path / folder / "manifest.json"
            with EcephysProjectCache.from_demo(manifest, size="tiny") as cache:
                cache.get_session_data(900000001).close()
    shutil.copy(session_path, tmp_path / "session_900000001.nwb")
    for line, language, code in blocks(page):
        if language == "python":
            run_python(code, names, page=page, line=line)
            plt.close("all")
        elif language == "sh":
            run_shell(code, capsys, monkeypatch)
