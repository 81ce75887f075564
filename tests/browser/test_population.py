"""Population, decoding and cohort: time by wheel and keys, links, cancelling, simulations."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from spikehouse import EcephysSession
from spikehouse.decoding import decode
from spikehouse.explore.recipes.population import population_span, population_spikes
from spikehouse.spikes import count_spikes

SESSION = "900000001"
POPULATION = f"/s/{SESSION}/population"


@pytest.fixture(scope="module")
def session(survey):
    with EcephysSession.from_nwb_path(survey.session_file(int(SESSION))) as opened:
        yield opened


def window(tab) -> list[float] | None:
    found = parse_qs(urlsplit(tab.page.url).query).get("t")
    return found and [float(edge) for edge in found[0].split(",")]


def say(tab, panel: str) -> str:
    return tab.page.locator(f"{panel} canvas[role=img]").get_attribute("aria-label")


def units_box(tab) -> dict[str, float]:
    return tab.page.locator(".units .plot").bounding_box()


# ---- population


def test_population__wheel_keys_and_drag_move_in_time_and_in_the_link(open_tab, session):
    tab = open_tab(POPULATION)
    stop = population_span(session)["stop"]
    assert window(tab) is None
    box = units_box(tab)
    tab.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 200)
    for _ in range(3):
        tab.page.mouse.wheel(0, -100)
        tab.settle()
    zoomed = window(tab)
    assert 0 < zoomed[0] < stop / 2 < zoomed[1] < stop
    tab.press("ArrowRight")
    moved = window(tab)
    assert moved[0] > zoomed[0]
    assert np.diff(moved) == pytest.approx(np.diff(zoomed), rel=0.01)
    tab.press("+")
    assert np.diff(window(tab)) == pytest.approx(np.diff(moved) / 2, rel=0.01)
    tab.press("0")
    assert window(tab) is None
    tab.page.mouse.move(box["x"] + 400, box["y"] + 200)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + 600, box["y"] + 210, steps=4)
    tab.page.mouse.up()
    tab.settle()
    dragged = window(tab)
    assert dragged[0] > 0
    tab.page.go_back()
    tab.settle()
    assert window(tab) is None
    tab.page.go_forward()
    tab.settle()
    assert window(tab) == dragged


def test_population__dragging_with_shift_moves_and_opens_no_unit(open_tab):
    tab = open_tab(f"{POPULATION}?t=30,50")
    box = units_box(tab)
    tab.page.keyboard.down("Shift")
    tab.page.mouse.move(box["x"] + 600, box["y"] + 200)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + 400, box["y"] + 200, steps=4)
    tab.page.mouse.up()
    tab.page.keyboard.up("Shift")
    tab.settle()
    assert urlsplit(tab.page.url).path == POPULATION
    assert window(tab)[0] > 30
    assert np.diff(window(tab)) == pytest.approx(20, rel=0.01)


def test_population__below_ten_seconds_are_single_spikes(open_tab, session):
    tab = open_tab(f"{POPULATION}?t=30,34")
    n = len(population_spikes(session, window=(30, 34))["times"])
    assert f"{n} spikes" in tab.page.locator(".units .sub").inner_text()
    assert "single spikes" in tab.page.locator(".facts").inner_text()


def test_population__a_block_is_a_button_and_a_row_opens_its_unit(open_tab, session):
    tab = open_tab(POPULATION)
    blocks = population_span(session)["blocks"]
    flashes = blocks[blocks["stimulus_name"] == "flashes"].iloc[0]
    tab.page.get_by_role("button", name="flashes").click()
    tab.settle()
    assert window(tab) == pytest.approx([flashes["start_time"], flashes["stop_time"]], abs=0.1)
    box = units_box(tab)
    tab.page.mouse.move(box["x"] + 500, box["y"] + 150)
    said = tab.page.locator("#tip").inner_text()
    assert "flashes" in said
    assert "spikes/s" in said
    unit_id = int(re.match(r"Unit (\d+)", said)[1])
    assert unit_id in session.units.index
    tab.page.mouse.click(box["x"] + 500, box["y"] + 150)
    tab.settle()
    assert urlsplit(tab.page.url).path == f"/s/{SESSION}/u/{unit_id}"


def test_population__order_and_values_are_in_the_link(open_tab):
    tab = open_tab(f"{POPULATION}?t=20,50")
    for key, name, value in (
        ("o", "order", "area"),
        ("v", "values", "z"),
        ("o", "order", "waveform"),
        ("o", "order", "latency"),
    ):
        tab.press(key)
        assert parse_qs(urlsplit(tab.page.url).query)[name] == [value]
    assert "latency to flashes" in say(tab, ".units")


def test_population__the_selection_is_in_the_link(open_tab, session):
    ids = session.units.index[3:6].tolist()
    tab = open_tab(f"{POPULATION}?t=20,50&units={','.join(map(str, ids))}")
    assert f"3 of {len(session.units)} units" in tab.page.locator(".facts").inner_text()
    assert "Activity of 3 units" in say(tab, ".units")
    tab.page.get_by_role("button", name="Show all units").click()
    tab.page.locator(".facts", has_text=f"{len(session.units)} units").wait_for()
    tab.settle()
    assert "units=" not in tab.page.url


def test_population__windows_outside_of_the_recording_are_moved_into_it(open_tab, session):
    tab = open_tab(f"{POPULATION}?t=90000,90010")
    assert "units" in tab.page.locator(".facts").inner_text()
    tab.press("ArrowLeft")
    assert window(tab)[1] <= population_span(session)["stop"]


def test_population__lfp_is_read_when_asked_for(open_tab):
    tab = open_tab(f"{POPULATION}?t=30,34")
    tab.page.locator(".lfp .message button").first.click()
    tab.settle()
    assert "lfp=" in tab.page.url
    assert "channels" in say(tab, ".lfp")


# ---- decoding


def decode_in(tab, query: str) -> None:
    """Open the view without waiting for what it decodes."""
    server = tab.server
    tab.page.goto(f"{server.base}/s/{SESSION}/decoding?{query}&token={server.token}")


def test_decoding__is_that_of_the_library(open_tab, session):
    tab = open_tab(None)
    decode_in(tab, "stim=static_gratings&win=0,0.2")
    tab.page.locator(".confusion .sub", has_text="right").wait_for(timeout=90_000)
    shown = session.get_stimulus_table("static_gratings", missing="nan")
    shown = shown.dropna(subset=["orientation"])
    domain = shown["start_time"].to_numpy()[:, None] + [0, 0.2]
    counts = count_spikes(session, session.units.index, domain)[:, 0]
    found = decode(counts, shown["orientation"].to_numpy(), estimator="poisson-naive-bayes")
    # the others wait until the user says so
    assert tab.page.get_by_role("button", name="Run", exact=True).count() == 4
    said = tab.page.locator(".confusion .sub").inner_text()
    assert float(said.split()[0]) == pytest.approx(100 * found.mean_accuracy, abs=0.06)


def test_decoding__slow_ones_ask_first_and_can_be_cancelled(open_tab):
    tab = open_tab(None)
    decode_in(tab, "stim=natural_movie_three&decoder=linear-svc&shuffles=1000")
    chance = tab.page.locator("[aria-label='Against shuffled labels'] .message")
    chance.filter(has_text="This takes about").wait_for()
    chance.get_by_role("button", name="Run").click()
    chance.filter(has_text=re.compile("Decoding:|Waits for")).wait_for()
    chance.get_by_role("button", name="Cancel").click()
    assert "Cancelled." in chance.inner_text()


# ---- cohort


def test_cohort__says_what_is_simulated_and_what_r_is_of(open_tab):
    # some metric has too few units here to be summarized
    tab = open_tab("/cohort?metric=area_rf", expected=("404",))
    assert tab.page.locator("h1 .chip").inner_text() == "simulated"
    assert "means of" in tab.page.locator(".note").inner_text()
    assert "Pearson's r 0." in tab.page.locator(
        "[aria-label='Along the hierarchy'] canvas[role=img]"
    ).get_attribute("aria-label")
    tab.press("j")
    assert "metric=area_rf" not in tab.page.url
    tab.press("l")
    assert "log=1" in tab.page.url


def test_cohort__published_values_have_verdicts(open_tab):
    tab = open_tab("/cohort")
    # a comparison of simulated units is made when asked for, and judges nothing
    assert not tab.page.locator(".verdicts").count()
    tab.page.get_by_role("button", name="Compute from the tables here").click()
    tab.page.locator(".verdicts").wait_for()
    # of so few units hardly anything is
    assert "not computed" in tab.page.locator(".verdicts").inner_text()
    assert not tab.page.locator(".verdict.good, .verdict.bad").count()


def test_results__have_runs_failures_and_distributions(open_tab, views):
    tab = open_tab(views["results"])
    # a warning of the second session is an error where tests compute it
    facts = tab.page.locator(".facts").inner_text()
    assert "1 of 2 sessions done" in facts
    assert "1 failed" in facts
    assert "session.invalid_times" in tab.page.locator("[aria-label=Failures]").inner_text()
    assert "900000001 median" in say(tab, ".violins")
