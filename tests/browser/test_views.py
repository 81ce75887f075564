"""Each view is drawn, fits every screen, and its address brings it back."""

from __future__ import annotations

import itertools

import pytest

VIEWS = (
    "survey", "session", "probe", "units", "unit", "population", "decoding", "cohort", "results",
)  # fmt: skip
LARGEST_ANSWER = 2_500_000
LARGEST_PAGE = 250_000
TEXTS = "[...document.querySelectorAll('main, header')].map((e) => e.innerText).join('\\n')"
# what a page shows: pixels of canvases, values of fields and text
CONTENT = """() => [document.querySelector("main").innerText,
    ...[...document.querySelectorAll("main canvas")].map((canvas) => canvas.toDataURL()),
    ...[...document.querySelectorAll("main input, main select")].map(
        (field) => (field.type === "checkbox" ? field.checked : field.value))]"""


@pytest.mark.parametrize("name", VIEWS)
def test_view__is_drawn_without_a_fault(open_tab, views, name):
    tab = open_tab(views[name])
    assert tab.page.locator("main h1").count() == 1
    assert tab.page.locator("main canvas:not([aria-hidden]), main table, main [role=grid]").count()
    words = tab.page.evaluate(TEXTS)
    for wrong in ("undefined", "NaN", "[object", "Traceback", "failed in spikehouse itself"):
        assert wrong not in words
    answers = {url: size for url, size in tab.sizes.items() if "/api/" in url}
    assert answers
    assert max(answers.values()) <= LARGEST_ANSWER, answers


def test_views__never_scroll_sideways(open_tab, views):
    tab = open_tab(None, width=390)
    wide = {}
    for name, path in views.items():
        tab.open(path)
        for width in (390, 1440, 2560):
            tab.page.set_viewport_size({"width": width, "height": 900})
            extent = tab.settle().evaluate("document.documentElement.scrollWidth")
            if extent > width:
                wide[name, width] = extent
        tab.page.set_viewport_size({"width": 390, "height": 900})
    assert wide == {}
    # in passing: what the whole page takes on its way here
    code = {url: size for url, size in tab.sizes.items() if url.endswith((".js", ".css"))}
    assert len(code) > 20
    assert sum(code.values()) <= LARGEST_PAGE, code


def test_history__goes_back_and_forward(open_tab, views):
    tab = open_tab(views["unit"])
    page = tab.page
    visited = [(page.url, page.evaluate(CONTENT))]
    for query in ("?align=drifting_gratings&by=orientation", "?align=flashes&win=-0.05,0.3"):
        page.evaluate("(query) => history.pushState({}, '', location.pathname + query)", query)
        page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
        tab.settle()
        visited.append((page.url, page.evaluate(CONTENT)))
    tab.press("g", "u")
    visited.append((page.url, page.evaluate(CONTENT)))
    assert len({url for url, _ in visited}) == 4
    assert all(before[1] != after[1] for before, after in itertools.pairwise(visited))
    for url, content in reversed(visited[:-1]):
        page.go_back()
        tab.settle()
        assert (page.url, page.evaluate(CONTENT)) == (url, content)
    for url, content in visited[1:]:
        page.go_forward()
        tab.settle()
        assert (page.url, page.evaluate(CONTENT)) == (url, content)
    page.go_back()
    tab.settle()
    url, content = visited[2]
    page.reload()
    tab.settle()
    assert (page.url, page.evaluate(CONTENT)) == (url, content)


@pytest.mark.parametrize("name", ["unit", "population", "units"])
def test_copied_link__gives_the_same_pixels_in_another_browser(open_tab, views, name):
    queries = {"unit": "?align=drifting_gratings&by=orientation&win=-0.2,1.5"}
    first = open_tab(views[name] + queries.get(name, ""), permissions=["clipboard-read"])
    first.press("c")
    link = first.page.evaluate("navigator.clipboard.readText()")
    assert first.page.locator("#notices").inner_text() == (
        "The link of this view is on the clipboard."
    )
    second = open_tab(None)
    second.page.goto(link)
    second.settle()
    assert "token" not in second.page.url
    # notices of the first tab go away after a while
    first.page.locator("#notices > *").wait_for(state="detached")
    first.page.mouse.move(0, 0)
    assert first.page.screenshot() == second.page.screenshot()


def test_link__of_another_version_says_what_it_ignores(open_tab, views):
    tab = open_tab(f"{views['unit']}?align=flashes&colour=red&win=5,1&bin=zero")
    notice = tab.page.locator("#notices").inner_text()
    assert "Ignored in this link: colour=red, win=5,1, bin=zero" in notice
    assert tab.page.locator("main canvas").count()


def test_tabs__of_one_browser_do_not_disturb_each_other(open_tab, views):
    tab = open_tab(views["unit"])
    before = tab.page.evaluate(CONTENT)
    other = tab.page.context.new_page()
    other.goto(tab.server.base + views["population"])
    other.locator("main canvas").first.wait_for()
    other.keyboard.press("t")
    other.close()
    assert tab.page.evaluate(CONTENT) == before
    tab.page.reload()
    tab.settle()
    # the theme is the user's, not the tab's
    assert tab.page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_sessions__are_open_side_by_side(open_tab):
    tab = open_tab("/s/900000001")
    tab.open("/s/900000002")
    tab.press("[")
    assert tab.page.url.endswith("/s/900000001")
    tab.press("]")
    assert tab.page.url.endswith("/s/900000002")
    tab.press("x")
    assert tab.page.url.endswith("/s/900000001")
    assert tab.page.locator("nav .tab", has_text="900000002").count() == 0
