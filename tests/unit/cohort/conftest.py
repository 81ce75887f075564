"""A cache of the tiny survey, and three of its sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spikehouse import EcephysProjectCache
from spikehouse.cohort import Cohort
from spikehouse.demo import Survey

IDS = [900000001, 900000002, 900000003]


@pytest.fixture
def project(
    tmp_path: Path, survey_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EcephysProjectCache]:
    monkeypatch.setenv("SPIKEHOUSE_PROGRESS", "0")
    with EcephysProjectCache.from_demo(
        tmp_path / "cache" / "manifest.json", size="tiny", folder=survey_folder
    ) as project:
        yield project


@pytest.fixture
def cohort(project: EcephysProjectCache, survey: Survey) -> Cohort:
    return project.cohort(session_ids=IDS)
