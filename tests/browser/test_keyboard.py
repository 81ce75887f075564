"""The whole page without a mouse."""

from __future__ import annotations

import re


def test_enter__leads_from_the_survey_to_a_raster_in_three_keys(open_tab):
    tab = open_tab("/")
    tab.press("Enter", "Enter", "Enter")
    assert re.search(r"/s/\d+/u/\d+$", tab.page.url)
    assert tab.page.locator("section.panel[aria-label*=aster] canvas[role=img]").count()


def test_g__leads_to_every_view(open_tab, views):
    tab = open_tab(views["session"])
    expected = {
        "p": views["probe"], "u": views["units"], "n": views["unit"], "t": views["population"],
        "d": views["decoding"], "s": views["session"], "c": views["cohort"], "h": views["survey"],
    }  # fmt: skip
    for key, path in expected.items():
        tab.page.keyboard.press("g")
        tab.press(key)
        found = tab.page.url.removeprefix(tab.server.base)
        if key in "pn":  # whichever of them comes first
            found, path = (address.rpartition("/")[0] for address in (found, path))
        assert found == path


def test_j_and_k__go_through_the_units(open_tab, views):
    tab = open_tab(views["units"])
    tab.press("Enter")
    first = tab.page.url
    tab.press("j")
    second = tab.page.url
    tab.press("j", "k")
    assert tab.page.url == second != first
    tab.press("k")
    assert tab.page.url == first


def test_slash__goes_to_the_filter_and_escape_leaves_it(open_tab, views):
    for name in ("survey", "units"):
        tab = open_tab(views[name])
        tab.press("/")
        assert tab.page.evaluate("document.activeElement.type") == "search"
        tab.page.keyboard.type("gu")
        tab.press("Escape")
        assert tab.page.evaluate("document.activeElement.type") != "search"


def test_question_mark__lists_the_keys_of_the_page_and_of_the_view(open_tab, views):
    tab = open_tab(views["unit"])
    tab.press("?")
    keys = " ".join(tab.page.locator("dialog[open] kbd").all_inner_texts()).split()
    assert {"j", "k", "Enter", "/", "g", "c", "e", "s", "[", "]", "x", "t", "?"} <= set(keys)
    assert "In this view" in tab.page.locator("dialog[open]").inner_text()
    tab.press("Escape")
    assert tab.page.locator("dialog[open]").count() == 0


def test_e__shows_the_code_and_escape_closes_it(open_tab, views):
    tab = open_tab(views["unit"])
    tab.press("e")
    code = tab.page.locator("dialog[open] pre").inner_text()
    assert "EcephysProjectCache.from_demo" in code
    compile(code, "exported", "exec")
    tab.press("Escape")
    assert tab.page.locator("dialog[open]").count() == 0


def test_s__saves_png_svg_and_csv(open_tab, views):
    tab = open_tab(views["unit"], accept_downloads=True)
    kinds = {"PNG": b"\x89PNG", "SVG": b"<svg", "CSV": b","}
    for label, beginning in kinds.items():
        tab.press("s")
        with tab.page.expect_download() as waited:
            tab.page.get_by_role("menuitem", name=label, exact=True).press("Enter")
        content = waited.value.path().read_bytes()
        assert beginning in content[:2000]
        assert len(content) > 100
