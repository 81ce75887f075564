"""Names for those who do not see, contrast for those who see little, rest for those who need it."""

from __future__ import annotations

import itertools

import pytest
from contrast import CONTRAST

CONTROLS = {
    "button", "link", "textbox", "searchbox", "combobox", "checkbox", "radio", "slider",
    "spinbutton", "switch", "tab", "menuitem", "option", "image", "img", "dialog", "grid",
}  # fmt: skip
# the inks that are drawn on canvases, whose text no style describes
DRAWN = ("ink", "ink-2", "muted", "bad")
VARIABLES = """(names) => names.map(
    (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim())"""


FIRST_WORDS = "(document.activeElement.ariaLabel ?? document.activeElement.innerText).slice(0, 40)"
OUTLINE = f"""() => {{
    const style = getComputedStyle(document.activeElement);
    return [document.activeElement.tagName, {FIRST_WORDS},
        style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1.5];
}}"""
# of what can be seen: title of its panel, role and name of each canvas
CANVASES = """() => [...document.querySelectorAll("main canvas:not([aria-hidden])")]
    .filter((canvas) => canvas.checkVisibility())
    .map((c) => [c.closest("section")?.ariaLabel, c.getAttribute("role"), c.ariaLabel])"""
HEADINGS = "[...document.querySelectorAll('main h1, main h2, main h3')].map((h) => +h.tagName[1])"


def list_names(page):
    """List role and name of what can be operated, as screen readers are told."""
    client = page.context.new_cdp_session(page)
    nodes = client.send("Accessibility.getFullAXTree")["nodes"]
    client.detach()
    return [
        (node["role"]["value"], node["name"].get("value"), node.get("backendDOMNodeId"))
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in CONTROLS
    ]


def walk_with_tab(page):
    """Press Tab many times and list what has the focus, and whether that is seen."""
    page.evaluate("document.activeElement.blur()")
    found = []
    for _ in range(25):
        page.keyboard.press("Tab")
        found.append(page.evaluate(OUTLINE))
    return [one for one in found if one[0] != "BODY"]


@pytest.fixture(scope="module")
def inspected(new_tab, views):
    """Look at every view once, light and dark: what each test asks about."""
    found = {}
    for scheme in ("light", "dark"):
        tab = new_tab(None, color_scheme=scheme)
        for name, path in views.items():
            page = tab.open(path)
            seen = {"contrast": page.evaluate(CONTRAST)}
            if scheme == "light":
                seen |= {
                    "names": list_names(page),
                    "canvases": page.evaluate(CANVASES),
                    "headings": page.evaluate(HEADINGS),
                    "focus": walk_with_tab(page),
                }
            found[scheme, name] = seen
        tab.press("?")
        found[scheme, "help"] = {"contrast": tab.page.evaluate(CONTRAST)}
        found[scheme, "inks"] = tab.page.evaluate(VARIABLES, ["panel", *DRAWN])
        tab.page.context.close()
    return found


def test_controls__have_names(inspected, views):
    unnamed = {
        name: [(role, node) for role, label, node in inspected["light", name]["names"] if not label]
        for name in views
    }
    assert not any(unnamed.values()), unnamed


def test_canvases__say_in_words_what_they_show(inspected, views):
    # the title of a panel alone describes nothing
    silent = {
        name: [
            (title, label)
            for title, role, label in inspected["light", name]["canvases"]
            if role != "img" or not label or label == title
        ]
        for name in views
    }
    assert not any(silent.values()), silent


def test_headings__begin_with_one_h1_and_skip_no_level(inspected, views):
    for name in views:
        levels = inspected["light", name]["headings"]
        assert levels[0] == 1, name
        assert levels.count(1) == 1, name
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), (name, levels)


def test_focus__is_always_visible(inspected, views):
    unseen = {
        name: [
            (tag, words) for tag, words, is_seen in inspected["light", name]["focus"] if not is_seen
        ]
        for name in views
    }
    assert not any(unseen.values()), unseen
    assert all(inspected["light", name]["focus"] for name in views)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text__has_contrast(inspected, views, scheme):
    faint = {name: inspected[scheme, name]["contrast"][:5] for name in (*views, "help")}
    assert not any(faint.values()), faint


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_drawn_text__has_contrast(inspected, scheme):
    def luminance(color):
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    ground, *inks = map(luminance, inspected[scheme, "inks"])
    for ink in inks:
        dark, light = sorted([ground, ink])
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_motion__stops_where_it_is_not_wanted(open_tab, views):
    counts = {}
    for wish in ("reduce", "no-preference"):
        page = open_tab(views["session"], reduced_motion=wish).page
        page.evaluate("document.getElementById('progress').classList.add('busy')")
        counts[wish] = page.evaluate("document.getAnimations().length")
    assert counts["reduce"] == 0
    assert counts["no-preference"] > 0
