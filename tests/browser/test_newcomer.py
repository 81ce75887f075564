"""What the explorer is for, from the address in the terminal to numbers of one's own."""

from __future__ import annotations

import re
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

KEEP = """
from spikehouse.explore._answers import encode
open("answer", "wb").write(encode(answer))
print(answer["n_spikes"])
"""
# eight directions and the blank
GROUPED = "section.panel:not([aria-busy]) canvas[aria-label*='in 9 groups by orientation']"
PIXELS = "document.querySelector(\"canvas[aria-label*='in 9 groups']\").toDataURL()"
BYTES = """(url) => fetch(url).then((answer) => answer.arrayBuffer())
    .then((content) => [...new Uint8Array(content)])"""


def test_newcomer__finds_a_unit_and_takes_its_numbers_away(serve, open_tab, small_survey, tmp_path):
    """Find a unit with a receptive field, group its gratings raster by direction, share, export."""
    small_survey.session_file(900000001)
    server = serve("--source", "demo", "--size", "small")
    tab = open_tab("/", of=server, permissions=["clipboard-read"])
    page = tab.page
    # the metrics of the demo are computed at their first use, beside everything else
    page.set_default_timeout(120_000)
    field = page.locator(
        "section.panel[aria-label='Receptive field']:not([aria-busy]) canvas[role=img]"
    )
    # from the survey to the units of its first session, and of these to those of VISp
    tab.press("Enter", "Enter", "/")
    page.keyboard.type("VISp")
    tab.press("Escape")
    page.keyboard.press("Enter")
    # on through the units to one that a Gaussian fits
    drawn = field.and_(page.locator("[aria-label^='Map of']"))
    fitted = field.and_(page.locator("[aria-label*='the fitted field is at']"))
    drawn.wait_for()
    for _ in range(30):
        if fitted.count():
            break
        page.keyboard.press("j")
        # the map is asked for when the raster is there
        page.wait_for_timeout(500)
        drawn.wait_for()
    assert fitted.count()
    # its responses to gratings by direction
    asked = []
    is_raster = re.compile(r"/api/s/\d+/raster\?").search
    page.on("response", lambda r: asked.append(r.url) if is_raster(r.url) else None)
    page.locator("label:text('Align') select").select_option("drifting_gratings")
    page.locator("label:text('Group') select").first.select_option("orientation")
    page.locator(GROUPED).wait_for()
    assert parse_qs(urlsplit(page.url).query)["by"] == ["orientation"]
    # the link, in a browser that has never seen the page
    page.keyboard.press("c")
    link = page.evaluate("navigator.clipboard.readText()")
    other = open_tab(None, of=server).page
    other.goto(link)
    other.locator(GROUPED).wait_for()
    assert other.evaluate(PIXELS) == page.evaluate(PIXELS)
    # the code, in a Python that has never seen the server
    page.locator("section.panel").first.hover()
    page.keyboard.press("e")
    code = page.locator("dialog[open] pre").filter(has_text="answer = raster(")
    code.wait_for()
    program = tmp_path / "exported.py"
    program.write_text(code.inner_text() + KEEP)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    # the page also asks ahead, for the next unit
    unit = urlsplit(page.url).path.rpartition("/")[2]
    url = next(url for url in reversed(asked) if f"unit_id={unit}&" in url)
    assert int(done.stdout) > 100
    assert (tmp_path / "answer").read_bytes() == bytes(page.evaluate(BYTES, url))
