"""What all views share: questions and answers, links, files that are saved."""

from __future__ import annotations

import re
import shutil
from xml.etree import ElementTree as ET

import h5py
import pytest

LOAD = "(name) => import(`/static/js/${name}.js`).then((module) => { window[name] = module; })"


@pytest.fixture
def modules(open_tab, views):
    """Give the page's own modules by their names, on a page."""
    tab = open_tab(views["session"])
    for name in ("api", "axes", "state", "surface"):
        tab.page.evaluate(LOAD, name)
    return tab.page


def save(tab, label: str) -> tuple[str, bytes]:
    tab.press("s")
    with tab.page.expect_download() as waited:
        tab.page.get_by_role("menuitem", name=label, exact=True).press("Enter")
    return waited.value.suggested_filename, waited.value.path().read_bytes()


# ---- questions and answers


def test_get__equal_questions_at_once_are_one(modules, views):
    found = modules.evaluate(
        """async (url) => {
            api.forget(url);
            const ask = window.fetch;
            let n = 0;
            window.fetch = (...given) => { n++; return ask(...given); };
            const gone = new AbortController();
            const first = api.get(url, { signal: gone.signal }).catch((error) => error.name);
            const others = [api.get(url), api.get(url)];
            gone.abort();
            const answers = await Promise.all([first, ...others, api.get(url)]);
            const alone = new AbortController();
            const last = api.get(url + "?words=x", { signal: alone.signal })
                .catch((error) => error.name);
            alone.abort();
            window.fetch = ask;
            const areSame = answers[1] === answers[2] && answers[1] === answers[3];
            return [n, answers[0], areSame, await last];
        }""",
        f"/api{views['session']}/units",
    )  # fmt: skip
    assert found == [2, "AbortError", True, "AbortError"]


def test_get__says_the_notices_of_an_answer_again(modules):
    modules.route(
        "**/api/survey/said",
        lambda route: route.fulfill(
            json={}, headers={"X-Notice": '["Mind this."]', "Content-Type": "application/json"}
        ),
    )
    said = modules.evaluate(
        """async () => {
            const said = [];
            const notice = (words) => said.push(words);
            for (let i = 0; i < 2; i++) await api.get("/api/survey/said", { notice });
            return said;
        }"""
    )
    assert said == ["Mind this.", "Mind this."]


def test_view__that_is_addressed_again_while_it_loads(open_tab, views):
    tab = open_tab(views["session"])
    for key in "uptd":
        for pressed in ("g", key, "g", key):
            tab.page.keyboard.press(pressed)
        tab.settle()
        assert tab.page.locator("main h1").count() == 1
    # and with another query
    for query in ("", "?align=drifting_gratings&by=orientation"):
        tab.page.evaluate("(url) => history.pushState({}, '', url)", views["unit"] + query)
        tab.page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    tab.settle()
    assert tab.page.get_by_label("Align").input_value() == "drifting_gratings"


def test_file__that_is_replaced_is_shown_anew(open_tab, serve, session_path, tmp_path):
    path = tmp_path / "session.nwb"
    shutil.copy(session_path, path)
    tab = open_tab("/s/file-1/units", of=serve(path))
    tab.press("g", "s")
    other = tmp_path / "other.nwb"
    shutil.copy(session_path, other)
    with h5py.File(other, "r+") as file:
        file["units"]["snr"][...] = 7.77
    other.replace(path)
    tab.page.keyboard.press("g")
    tab.press("p")
    assert "The file of this session was replaced" in tab.page.inner_text("#notices")
    tab.page.keyboard.press("g")
    tab.press("u")
    assert "7.77" in tab.page.inner_text("main")


def test_e__after_the_server_has_ended(open_tab, serve, session_path):
    server = serve(session_path)
    tab = open_tab("/s/file-1", of=server, expected=("ERR_CONNECTION_REFUSED",))
    server.process.terminate()
    server.process.wait(20)
    tab.page.keyboard.press("e")
    code = tab.page.locator("dialog[open] pre", has_text="still running in its terminal")
    code.wait_for()


def test_unit_seen_last__of_another_server_is_forgotten(open_tab, views):
    tab = open_tab(views["session"])
    for token, known in (("of another", False), (tab.server.token, True)):
        last = f"{{token: '{token}', of: {{'900000001': {{unit: '42'}}}}}}"
        tab.page.evaluate(f"sessionStorage.setItem('last', JSON.stringify({last}))")
        tab.open(views["session"])
        tab.page.keyboard.press("g")
        tab.press("n")
        assert tab.page.url.endswith("/u/42") is known


# ---- links


def test_list__with_commas_in_its_items_comes_back(modules):
    items = ["a,b", "50%", "%2C", "c/d", "VISp"]
    found = modules.evaluate(
        """(items) => {
            const params = { some: state.list() };
            const query = state.writeState(params, { some: items });
            const url = api.address("s/1", "units", { some: items });
            const sent = new URLSearchParams(url.split("?")[1]).get("some");
            return [state.readState(params, new URLSearchParams(query)).state.some, sent];
        }""",
        items,
    )  # fmt: skip
    assert found == [items, "a%2Cb,50%25,%252C,c/d,VISp"]


# ---- what is saved and written


def test_csv__has_no_formulas(modules):
    csv = modules.evaluate(
        r"""api.toCsv({
            text: ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "x=1", "-0.5", null],
            number: [-1, 0, -2.5e-7, 3, NaN, 1, 2, 3, 4] })"""
    )
    assert csv.split("\n") == [
        "text,number", "'=1+1,-1", "'+x,0", "'-x,-2.5e-7", "'@x,3", "'\tx,", "\"'\rx\",1",
        "x=1,2", "-0.5,3", ",4", "",
    ]  # fmt: skip


def test_svg__is_well_formed_whatever_a_text_holds(modules):
    svg = modules.evaluate(
        r"""(() => {
            const s = new surface.SvgSurface(100, 50);
            s.text("a\u0000\u0008\u001b<b>\ufffe\ud800 😀", 0, 0, { color: "#000" });
            return s.toString();
        })()"""
    )
    assert "".join(ET.fromstring(svg).itertext()).strip() == "a<b> 😀"


def test_number__has_its_power_raised(modules):
    found = modules.evaluate(
        "[5.634e-4, -1.5e-12, 12345678.9, 0.5].map((n) => axes.formatNumber(n))"
    )
    assert found == ["5.63 × 10⁻⁴", "−1.50 × 10⁻¹²", "1.23 × 10⁷", "0.5"]


def test_saved_files__say_what_they_are_of(open_tab, views):
    tab = open_tab(views["unit"] + "?align=drifting_gratings", accept_downloads=True)
    unit = views["unit"].rpartition("/")[2]
    for label in ("SVG", "PNG", "CSV"):
        name, content = save(tab, label)
        assert name == f"900000001-unit-{unit}-raster.{label.lower()}"
        if label == "SVG":
            words = "".join(ET.fromstring(content).itertext())
    said = re.sub(r"\s+", "", words)
    assert f"Unit{unit}·900000001·driftinggratings" in said
    assert f"{views['unit']}?align=drifting_gratings" in said


def test_keys__speak_of_the_panel_that_was_enlarged(open_tab, views):
    tab = open_tab(views["unit"], accept_downloads=True)
    tab.page.locator("section.panel").nth(4).hover()
    tab.press("2")
    assert save(tab, "SVG")[0].endswith("-tuning.svg")
    assert "v=tuning" in tab.page.url
    tab.press("Escape")
    assert "v=" not in tab.page.url
    assert save(tab, "SVG")[0].endswith("-raster.svg")


def test_bars__keep_what_is_needed_in_sight_on_a_phone(open_tab, views):
    tab = open_tab(views["decoding"], width=390)
    for name in ("Copy link", "Theme", "Help: all keys"):
        box = tab.page.get_by_role("button", name=name).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    box = tab.page.locator(".views [aria-current]").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
