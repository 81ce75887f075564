"""The view of one unit: what it shows is what the recipes give, and what is missing says so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikehouse import EcephysSession
from spikehouse.explore.recipes import unit as recipes

RASTER = "section.panel[aria-label*=Raster]"


@pytest.fixture(scope="module")
def session(survey):
    with EcephysSession.from_nwb_path(survey.session_file(900000001)) as session:
        yield session


@pytest.fixture
def unit_id(session):
    return int(session.units["firing_rate"].idxmax())


def words(tab, label):
    """Return what a panel says of itself."""
    panel = tab.page.locator(f"section.panel[aria-label='{label}']").first
    return panel.locator("canvas[role=img]").get_attribute("aria-label")


def choose(tab, label):
    return tab.page.get_by_role("combobox", name=label, exact=True)


def test_raster__is_that_of_the_link(open_tab, session, unit_id):
    query = "align=drifting_gratings&by=temporal_frequency&win=-0.2,1&bin=0.02"
    tab = open_tab(f"/s/900000001/u/{unit_id}?{query}")
    found = recipes.raster(
        session, unit_id, align="drifting_gratings", by="temporal_frequency",
        window=(-0.2, 1), bin=0.02,
    )  # fmt: skip
    n, n_spikes = len(found["rows"]), found["n_different_spikes"]
    expected = f"{n} presentations · {n_spikes} spikes from −0.2 to 1 s · 20 ms bins"
    assert expected in words(tab, "Raster and PSTH")
    shown = tab.page.locator(f"{RASTER} .sub").inner_text()
    # the rest of the line says whether rows share a band
    assert shown.startswith(expected)


def test_raster__two_alignments_stand_side_by_side(open_tab, session, unit_id):
    tab = open_tab(f"/s/900000001/u/{unit_id}?align=flashes&also=natural_scenes")
    titles = tab.page.locator(f"{RASTER} h2").all_inner_texts()
    assert titles == ["flashes", "natural scenes"]
    left, right = (panel.bounding_box() for panel in tab.page.locator(RASTER).all())
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] < right["x"]
    choose(tab, "Beside").select_option("flashes.offset")
    tab.settle()
    assert tab.page.locator(f"{RASTER} h2").all_inner_texts() == ["flashes", "flashes, offset"]
    offset = tab.page.locator(f"{RASTER} canvas[role=img]").nth(1).get_attribute("aria-label")
    found = recipes.raster(
        session, unit_id, align="flashes", event="offset", by="color", window=(-0.35, 0.25)
    )
    assert f"{found['n_different_spikes']} spikes from −0.35 to 0.25 s" in offset


def test_controls__write_the_link_and_the_link_the_controls(open_tab, unit_id):
    tab = open_tab(f"/s/900000001/u/{unit_id}")
    for label, value in (("Align", "static_gratings"), ("Group", "phase"), ("Order", "response")):
        choose(tab, label).select_option(value)
        tab.settle()
    tab.page.get_by_role("spinbutton", name="Bin").fill("10")
    tab.page.keyboard.press("Tab")
    tab.settle()
    expected = "?align=static_gratings&by=phase&order=response&bin=0.01"
    assert tab.page.url.endswith(expected)
    said = words(tab, "Raster and PSTH")
    again = open_tab(f"/s/900000001/u/{unit_id}{expected}")
    assert words(again, "Raster and PSTH") == said
    assert choose(again, "Order").input_value() == "response"
    choose(again, "Tuning while").select_option("resting")
    again.settle()
    assert again.page.url.endswith(f"{expected}&state=resting")
    # another stimulus has other parameters
    choose(again, "Align").select_option("flashes")
    again.settle()
    assert again.page.url.endswith("?align=flashes&state=resting")


def test_keys__group_order_enlarge_and_step(open_tab, session, unit_id):
    tab = open_tab(f"/s/900000001/u/{unit_id}?align=flashes&by=color")
    tab.press("b", "o", "4")
    assert tab.page.url.endswith("?v=rf&align=flashes&by=running_speed&order=color")
    large = tab.page.locator("[data-slot='0']")
    assert "Receptive field" in large.get_attribute("aria-label")
    ids = session.units.index.tolist()
    place = ids.index(unit_id)
    tab.press("k")
    # the same view of the unit before
    assert f"/u/{ids[place - 1]}?v=rf&align=flashes" in tab.page.url
    assert f"{place} of {len(ids)}" in tab.page.locator(".unit-steps").inner_text()


def test_panels__that_have_nothing_to_show_say_why_and_the_others_work(open_tab, unit_id):
    expected = "status of 404"
    tab = open_tab(f"/s/900000001/u/{unit_id}?align=flashs&zoom=3", expected=(expected,))
    assert "did you mean 'flashes'" in words(tab, "Raster and PSTH")
    assert "zoom=3" in tab.page.locator("#notices").inner_text()
    assert "intervals" in words(tab, "Intervals")
    choose(tab, "Align").select_option("flashes")
    tab.settle()
    assert "presentations · " in words(tab, "Raster and PSTH")


def test_unit__that_is_not_in_the_session_is_not_found(open_tab):
    tab = open_tab("/s/900000001/u/1")
    assert "no unit 1 among" in tab.page.locator("main").inner_text()


def test_raster__is_saved_as_two_tables(open_tab, session, unit_id):
    query = "align=flashes&by=color&win=-0.01,0.02&bin=0.01"
    tab = open_tab(f"/s/900000001/u/{unit_id}?{query}")
    found = recipes.raster(session, unit_id, by="color", window=(-0.01, 0.02), bin=0.01)

    def save(label):
        tab.page.locator(RASTER).first.hover()
        tab.page.locator(f"{RASTER} button", has_text="Save").first.click()
        with tab.page.expect_download() as download:
            tab.page.get_by_role("menuitem", name=label, exact=True).click()
        return pd.read_csv(download.value.path())

    spikes = save("CSV")
    assert spikes.columns.tolist() == ["unit_id", "stimulus_presentation_id", "color", "time"]
    assert set(spikes["unit_id"]) == {unit_id}
    # a presentation without spikes has a row too
    assert set(spikes["stimulus_presentation_id"]) == set(found["rows"].index)
    assert spikes["time"].isna().any()
    np.testing.assert_allclose(spikes["time"].dropna(), found["spike_time"], atol=6e-7)
    psth = save("CSV of the PSTH")
    np.testing.assert_allclose(psth["rate"], found["psth"].ravel(), rtol=1e-6)
    np.testing.assert_allclose(psth["sem"], found["psth_sem"].ravel(), rtol=1e-6)
    assert (
        psth["n_presentations"].tolist()
        == np.repeat(found["groups"]["n_presentations"], 3).tolist()
    )
