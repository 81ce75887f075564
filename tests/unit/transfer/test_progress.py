"""Bars on stderr, or none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from spikehouse.transfer.progress import Progress, is_progress_shown


def test_progress__draws_nothing_when_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(False, n_files=2) as progress, progress.file("a", 10) as bar:
        bar.begin(10, 5)
        bar.update(5)
    assert capsys.readouterr() == ("", "")


def test_progress__draws_a_bar_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(True) as progress, progress.file("a", 10, 4) as bar:
        bar.update(6)
        assert bar.done == 10
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "a: 100%|" in shown.err
    assert "total" not in shown.err


def test_progress__draws_one_in_all_when_there_are_several(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress(True, n_files=2, n_bytes=30) as progress:
        for name, size in (("a", 10), ("b", 20)):
            with progress.file(name, size) as bar:
                bar.update(size)
    assert "total: 100%|" in capsys.readouterr().err


def test_progress__draws_one_in_all_from_the_second_file_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress(True) as progress:
        for name, size in (("a", 10), ("b", 30)):
            with progress.file(name, size) as bar:
                bar.update(size)
    shown = capsys.readouterr().err
    assert "total:  25%|" in shown
    assert "total: 100%|" in shown


def test_progress__adds_up_from_several_threads(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(True, n_files=8) as progress:

        def carry(number: int) -> int:
            with progress.file(f"file {number}", 1000) as bar:
                for _ in range(1000):
                    bar.update(1)
                return bar.done

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(carry, range(8))) == [1000] * 8
        assert progress._total is not None
        assert progress._total.n == 8000
        assert progress._total.total == 8000
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("asked", "variable", "shown"),
    [
        (None, None, True),
        (None, "0", False),
        (None, "False", False),
        (None, "1", True),
        (True, "0", True),
        (False, None, False),
    ],
)
def test_is_progress_shown__asks_caller_then_environment(
    asked: bool | None, variable: str | None, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPIKEHOUSE_PROGRESS", raising=False)
    if variable is not None:
        monkeypatch.setenv("SPIKEHOUSE_PROGRESS", variable)
    assert is_progress_shown(asked) is shown
