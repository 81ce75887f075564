"""The differences that run_allensdk_tests.py expects are those of the differences page."""

from __future__ import annotations

import runpy
from pathlib import Path

HERE = Path(__file__).parent


def test_expected_differences__have_their_rows() -> None:
    page = HERE.parents[1] / "docs" / "differences-from-allensdk.md"
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    expected = runpy.run_path(str(HERE / "run_allensdk_tests.py"))["EXPECTED"]
    reasons = {reason for tests in expected.values() for reason in tests.values()}
    assert [reason for reason in reasons if not any(reason in row for row in rows)] == []
