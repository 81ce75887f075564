"""Pictures of every view, to be looked at.

    SPIKEHOUSE_SCREENSHOTS=FOLDER python -m pytest tests/browser/test_screenshots.py

writes every view of the small demo, light and dark, at three widths.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

WIDTHS = {390: 844, 1440: 900, 2560: 1440}
FOLDER = os.environ.get("SPIKEHOUSE_SCREENSHOTS")


@pytest.mark.skipif(not FOLDER, reason="pictures to look at: set SPIKEHOUSE_SCREENSHOTS=FOLDER")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_screenshots__of_every_view(
    serve, open_tab, small_survey, results_folder, list_views, width, scheme
):
    folder = Path(FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    server = serve("--source", "demo", "--size", "small", "--results", results_folder)
    size = {"width": width, "height": WIDTHS[width]}
    tab = open_tab(None, of=server, color_scheme=scheme, **size)
    views = list_views(small_survey.session_file(900000001))
    for name, path in views.items():
        # the first view of the cohort simulates all sessions
        page = tab.open(path, timeout=300)
        page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
