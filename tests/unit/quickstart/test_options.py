"""What may be chosen, and what is said when it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikehouse.errors import InvalidArgumentError
from spikehouse.quickstart import QuickstartOptions
from spikehouse.quickstart.survey import open_cache


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (
            {"source": "dandi", "host": "127.0.0.1:1"},
            r"--host 127\.0\.0\.1:1 needs --source s3 or warehouse",
        ),
        ({"source": "warehose"}, "unknown source 'warehose': did you mean 'warehouse'"),
        ({"size": "smal"}, "unknown size of the demo survey 'smal': did you mean 'small'"),
        ({"host": "localhost:1"}, "--host localhost:1 needs --source s3 or warehouse, not"),
    ],
)
def test_options__refuse_what_does_not_exist(choices, message):
    with pytest.raises(InvalidArgumentError, match=message):
        QuickstartOptions(**choices)


@pytest.mark.parametrize("source", ["s3", "dandi", "warehouse"])
def test_open_cache__asks_the_chosen_source(source, tmp_path):
    with open_cache(QuickstartOptions(source=source, cache=tmp_path)) as cache:
        assert cache.fetch_api.name == source
        assert cache.manifest_path == tmp_path / "manifest.json"


def test_options__path_of_a_file(tmp_path):
    assert QuickstartOptions().path is None
    assert QuickstartOptions(source="a/session_1.nwb").path == Path("a/session_1.nwb")
    assert QuickstartOptions(source=str(tmp_path)).path == tmp_path


def test_options__command_repeats_the_run():
    options = QuickstartOptions(
        source="warehouse", host="127.0.0.1:80", session_id=5, cache=Path("my cache")
    )
    assert options.command == (
        "spikehouse quickstart --source warehouse --host 127.0.0.1:80 --session 5 --area VISp "
        "--cache 'my cache' --out spikehouse-quickstart"
    )


def test_open_cache__the_real_survey_is_kept_once_and_others_apart(tmp_path, monkeypatch):
    monkeypatch.delenv("SPIKEHOUSE_CACHE", raising=False)
    monkeypatch.chdir(tmp_path)

    def folder(**choices):
        with open_cache(QuickstartOptions(**choices)) as cache:
            return cache.manifest_path.parent

    real = {folder(source=source) for source in ("s3", "dandi", "warehouse")}
    assert {path.name for path in real} == {"visual-coding"}
    others = [folder(), folder(size="tiny"), folder(source="warehouse", host="127.0.0.1:80")]
    assert len(real.union(others)) == 4
    assert folder(cache=tmp_path / "here") == tmp_path / "here"
