"""Survey, session, probe and units: facets, tables of any length, selection, links."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from spikehouse import EcephysProjectCache, EcephysSession

SESSION = "900000001"
ROWS = "[...document.querySelectorAll('.grid-row:not([hidden])')]"
IDS = (
    f"{ROWS}.sort((a, b) => a.ariaRowIndex - b.ariaRowIndex)"
    ".map((row) => Number(row.firstChild.innerText))"
)


@pytest.fixture(scope="module")
def session(survey):
    with EcephysSession.from_nwb_path(survey.session_file(int(SESSION))) as opened:
        yield opened


def query(tab) -> dict[str, list[str]]:
    return parse_qs(urlsplit(tab.page.url).query)


def facet(tab, title: str, value: str):
    return tab.page.get_by_role("group", name=title).get_by_role("checkbox", name=value)


# ---- the survey


def test_survey__counts_what_passes_and_keeps_its_filters_in_the_link(open_tab, survey):
    tab = open_tab("/")
    cache = EcephysProjectCache.from_demo(size="tiny", folder=survey.folder.parent)
    sessions = cache.get_session_table()
    heading = tab.page.locator(".view-head .facts")
    assert f"{len(sessions)} of {len(sessions)} sessions" in heading.inner_text()
    facet(tab, "Sex", "female").check()
    tab.settle()
    females = sessions[sessions["sex"] == "F"]
    everything = cache.get_units(
        filter_by_validity=False, amplitude_cutoff_maximum=None, presence_ratio_minimum=None,
        isi_violations_maximum=None,
    )  # fmt: skip
    n_sorted = everything["ecephys_session_id"].isin(females.index).sum()
    said = re.sub(r"\s", " ", heading.inner_text())
    assert f"{len(females)} of {len(sessions)} sessions" in said
    assert f"{females['unit_count'].sum()} of {n_sorted} sorted units" in said
    assert tab.page.evaluate(IDS) == females.index.tolist()
    assert query(tab) == {"sex": ["F"]}
    tab.page.reload()
    tab.settle()
    assert tab.page.evaluate(IDS) == females.index.tolist()


def test_survey__a_filter_that_nothing_passes_says_so(open_tab):
    tab = open_tab("/?q=nosuchthing")
    assert "No session passes these filters." in tab.page.inner_text(".table")
    tab.page.get_by_role("button", name="Clear filters").click()
    tab.settle()
    assert tab.page.evaluate(f"{ROWS}.length") > 1
    assert query(tab) == {}


def test_survey__a_value_of_another_survey_is_named(open_tab):
    tab = open_tab("/?genotype=unicorn")
    assert "No session of this survey has genotype unicorn." in tab.page.inner_text("#notices")


# ---- the session


def test_session__time_in_the_link_is_what_is_shown(open_tab):
    tab = open_tab(f"/s/{SESSION}?t=100,400")
    tab.page.get_by_role("button", name="Whole session").click()
    tab.settle()
    assert query(tab) == {}
    tab.page.mouse.move(600, 230)
    tab.page.mouse.down()
    tab.page.mouse.move(800, 232, steps=4)
    tab.page.mouse.up()
    tab.settle()
    start, stop = map(float, query(tab)["t"][0].split(","))
    assert 0 < start < stop
    tab.press("z")
    assert query(tab) == {}


# ---- a probe


def test_probe__keys_go_through_its_units_and_to_the_other_probes(open_tab, session):
    first, second = session.probes.index[:2]
    tab = open_tab(f"/s/{SESSION}/p/{first}")
    units = session.units[session.units["probe_id"] == first]
    order = units.sort_values("probe_vertical_position", ascending=False).index.tolist()
    tab.press("j", "j")
    assert query(tab) == {"unit": [str(order[1])]}
    tab.press("n")
    assert urlsplit(tab.page.url).path == f"/s/{SESSION}/p/{second}"
    tab.press("p", "j", "Enter")
    assert urlsplit(tab.page.url).path == f"/s/{SESSION}/u/{order[0]}"


def test_probe__a_metric_that_is_none_is_named(open_tab, session):
    tab = open_tab(f"/s/{SESSION}/p/{session.probes.index[0]}?metric=beauty")
    assert "Units of this probe have no beauty" in tab.page.inner_text("#notices")


# ---- the units


def test_units__the_list_is_what_the_exported_code_lists(open_tab, session):
    link = f"/s/{SESSION}/units?structure=VISp&limits=snr:2..&sort=-snr"
    tab = open_tab(link)
    units = session.units
    expected = units[(units["ecephys_structure_acronym"] == "VISp") & (units["snr"] >= 2)]
    expected = expected.sort_values("snr", ascending=False, kind="stable").index.tolist()
    shown = tab.page.evaluate(IDS)
    assert shown == expected[: len(shown)]
    assert f"{len(expected)} of {len(units)} units" in tab.page.inner_text(".selection")
    tab.press("e")
    code = tab.page.get_by_role("dialog").locator("pre")
    tab.page.wait_for_function("document.querySelector('dialog pre').innerText.length > 99")
    names: dict = {}
    exec(code.inner_text().replace("answer =", "if 0: answer ="), names)
    call = re.search(r"answer = (selected_units\(.*\))", code.inner_text())
    assert call is not None
    names["session"] = session
    assert eval(call[1], names)["units"].index.tolist() == expected


def test_units__the_selection_is_what_the_unit_view_goes_through(open_tab, session):
    tab = open_tab(f"/s/{SESSION}/units?structure=VISp&sort=-firing_rate")
    units = session.units[session.units["ecephys_structure_acronym"] == "VISp"]
    order = units.sort_values("firing_rate", ascending=False, kind="stable").index.tolist()
    tab.press("j", "Enter")
    assert urlsplit(tab.page.url).path == f"/s/{SESSION}/u/{order[0]}"
    tab.press("j")
    assert urlsplit(tab.page.url).path == f"/s/{SESSION}/u/{order[1]}"
    # the link has the selection, which a reload of the page has only from there
    tab.page.reload()
    tab.settle()
    assert f"2 of {len(order)}" in tab.page.inner_text(".unit-steps")
    tab.press("j")
    assert urlsplit(tab.page.url).path == f"/s/{SESSION}/u/{order[2]}"


def test_units__are_filtered_by_published_metrics(open_tab):
    tab = open_tab(f"/s/{SESSION}/units")
    tab.page.get_by_label("Filter by another column").select_option("area_rf")
    tab.page.get_by_label("area_rf, at least").fill("1e9")
    tab.page.get_by_label("area_rf, at least").press("Enter")
    tab.settle()
    assert query(tab)["limits"] == ["area_rf:1000000000.."]
    assert tab.page.inner_text(".selection").startswith("0 of")


def test_units__a_click_on_a_heading_sorts_and_says_so(open_tab, session):
    tab = open_tab(f"/s/{SESSION}/units")
    heading = tab.page.get_by_role("columnheader", name="firing_rate")
    for direction, sort in (("descending", "-firing_rate"), ("ascending", "firing_rate")):
        heading.get_by_role("button").click()
        tab.settle()
        assert heading.get_attribute("aria-sort") == direction
        assert query(tab) == {"sort": [sort]}
        rates = session.units["firing_rate"].loc[tab.page.evaluate(IDS)]
        assert rates.is_monotonic_increasing == (direction == "ascending")
        assert rates.is_monotonic_decreasing == (direction == "descending")


def test_units__without_the_filters_each_can_be_switched(open_tab, session, survey):
    tab = open_tab(f"/s/{SESSION}/units")
    counts = session.count_filtered_units()["remaining_count"]
    tab.page.get_by_role("link", name=f"Open all {counts.iloc[0]} units").click()
    tab.settle()
    assert urlsplit(tab.page.url).path == f"/s/{SESSION}-all/units"
    line = tab.page.locator(".selection")
    n_default = counts["filter_by_validity"]
    assert f"{n_default} of {counts.iloc[0]} units" in line.inner_text()
    for name in ("amplitude_cutoff", "presence_ratio", "isi_violations", "quality"):
        facet(tab, "Quality", name).uncheck()
        tab.settle()
    assert f"All {counts.iloc[0]} units" in line.inner_text()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("limits=snr", "Ignored in this link: snr"),
        ("limits=beauty:2..", "Ignored in this link: beauty:2.."),
        ("sort=-beauty", "no column beauty"),
        ("columns=snr,beauty", "no column beauty"),
        ("structure=VISx", "No unit of this session is in VISx"),
        ("colour=red", "Ignored in this link: colour=red"),
    ],
)
def test_units__what_a_link_asks_in_vain_is_named(open_tab, given, said):
    tab = open_tab(f"/s/{SESSION}/units?{given}")
    tab.page.wait_for_function("document.querySelector('#notices').innerText.length > 9")
    assert said in tab.page.inner_text("#notices")


def test_units__chosen_columns_are_in_the_link(open_tab, session):
    tab = open_tab(f"/s/{SESSION}/units?columns=snr,max_drift")
    heads = "[...document.querySelectorAll('[role=columnheader]')].map((head) => head.innerText)"
    assert tab.page.evaluate(heads) == ["unit", "snr", "max_drift"]
    tab.page.get_by_role("button", name="Columns").click()
    dialog = tab.page.get_by_role("dialog")
    assert "largest" in dialog.inner_text() or "along the probe" in dialog.inner_text()
    dialog.get_by_role("checkbox", name="d_prime").check()
    dialog.get_by_role("button", name="Done").click()
    tab.settle()
    assert tab.page.evaluate(heads) == ["unit", "snr", "max_drift", "d_prime"]


def test_table__of_100_000_rows_holds_only_those_in_sight(open_tab):
    tab = open_tab(f"/s/{SESSION}/units")
    found = tab.page.evaluate(
        """async () => {
            const {Grid} = await import("/static/js/table.js");
            const values = Int32Array.from({length: 100000}, (_, i) => (i * 7919) % 100003);
            const box = document.createElement("div");
            document.querySelector("main").replaceChildren(box);
            const opened = [];
            const grid = new Grid(box, {label: "long", open: (row) => opened.push(row), sort: "x",
                columns: [{key: "id", values: values.map((_, i) => i)}, {key: "x", values}]});
            grid.setRows(Array.from(values.keys()));
            const second = box.querySelector(".grid-row[aria-rowindex='2']");
            const top = Number(second.lastChild.innerText);
            grid.root.focus();
            grid.onKey({key: "End"});
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            const last = [...box.querySelectorAll(".grid-row:not([hidden])")]
                .find((row) => row.ariaRowIndex === "100001").lastChild.innerText;
            grid.onKey({key: "Enter"});
            return {top, last: Number(last), rows: box.querySelectorAll(".grid-row").length,
                count: grid.root.ariaRowCount, opened: values[opened[0]]};
        }"""
    )
    assert found == {
        "top": 0, "last": 100_002, "rows": found["rows"], "count": "100001", "opened": 100_002,
    }, json.dumps(found)  # fmt: skip
    assert found["rows"] < 100
