"""Three sessions of the tiny survey."""

from __future__ import annotations

import pytest

from spikehouse import EcephysProjectCache
from spikehouse.cohort import Cohort
from spikehouse.demo import Survey

IDS = [900000001, 900000002, 900000003]


@pytest.fixture
def cohort(project: EcephysProjectCache, survey: Survey) -> Cohort:
    return project.cohort(session_ids=IDS)
