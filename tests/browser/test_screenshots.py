"""Pictures of every view, to be looked at.

    SPIKEHOUSE_SCREENSHOTS=FOLDER python -m pytest tests/browser/test_screenshots.py

writes every view of the small demo, light and dark, at three widths, and the figures of the guide
(docs/tutorials/explorer-tour.md) as they stand in docs/figures.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from PIL import Image

WIDTHS = {390: 844, 1440: 900, 2560: 1440}
FOLDER = os.environ.get("SPIKEHOUSE_SCREENSHOTS")


GUIDE = {
    "explore-survey": "/",
    "explore-units": "/s/900000001/units?structure=VISp",
    "explore-unit": "/s/900000001/u/950100481?align=drifting_gratings&by=orientation",
    "explore-probe": "/s/900000001/p/910001004",
    "explore-decoding": "/s/900000001/decoding",
    "explore-population": "/s/900000001/population",
}

pytestmark = pytest.mark.skipif(
    not FOLDER, reason="pictures to look at: set SPIKEHOUSE_SCREENSHOTS=FOLDER"
)


@pytest.fixture
def folder():
    path = Path(FOLDER)
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def small_demo(serve, results_folder):
    return serve("--source", "demo", "--size", "small", "--results", results_folder)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_screenshots__of_every_view(
    small_demo, open_tab, small_survey, list_views, folder, width, scheme
):
    size = {"width": width, "height": WIDTHS[width]}
    tab = open_tab(None, of=small_demo, color_scheme=scheme, **size)
    for name, path in list_views(small_survey.session_file(900000001)).items():
        # the metrics of all sessions are computed at their first use
        page = tab.open(path, timeout=300)
        page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)


def test_figures__of_the_guide(small_demo, open_tab, folder):
    tab = open_tab(None, of=small_demo, width=1280, height=860, color_scheme="light")
    for name, path in GUIDE.items():
        page = tab.open(path, timeout=300)
        # what is computed only when asked for
        for button in page.get_by_role("button", name=re.compile("^(Read LFP|Run all)$")).all():
            button.click()
            tab.settle(timeout=300)
        page.get_by_text("counting spikes").first.wait_for(state="hidden")
        picture = folder / f"{name}.png"
        page.screenshot(path=picture)
        with Image.open(picture) as image:
            image.convert("RGB").quantize(200).save(picture, optimize=True)
        assert picture.stat().st_size < 150_000
