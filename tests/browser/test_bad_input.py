"""Files that lack something, or go away while they are shown: a message each, never a blank."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from types import SimpleNamespace
from urllib.parse import urlsplit

import h5py
import numpy as np
import pytest

from file_server import Behaviour, FileServer

MARKUP = "<img src=x onerror=alert(1)>"
SERVE = """
import sys
from spikehouse.explore import explore
explorer = explore(*sys.argv[1:], port=0)
print(explorer.url, flush=True)
explorer.wait()
"""
RAGGED = ("spike_times", "spike_amplitudes")


def select_rows(file: h5py.File, rows: list[int]) -> None:
    """Keep these rows of the table of units, some perhaps many times; waveforms become empty."""
    units = file["units"]
    ragged = [name for name in units if f"{name}_index" in units]
    for name in set(units) - {*ragged, *(f"{name}_index" for name in ragged)}:
        values, attributes = units[name][:], dict(units[name].attrs)
        del units[name]
        units.create_dataset(name, data=values[rows]).attrs.update(attributes)
    for name in RAGGED:
        ends = np.r_[0, units[f"{name}_index"][:]].astype(int)
        parts = [units[name][ends[row] : ends[row + 1]] for row in rows]
        _replace(units, name, np.concatenate([[], *parts]))
        _replace(units, f"{name}_index", np.cumsum([part.size for part in parts]), np.uint64)
    # chunks that were never written take no room
    n_channels, n_samples = 384, units["waveform_mean"].shape[1]
    shape = (len(rows) * n_channels, n_samples)
    attributes = dict(units["waveform_mean"].attrs)
    del units["waveform_mean"]
    units.create_dataset(
        "waveform_mean", shape, "f4", chunks=(n_channels, n_samples), maxshape=(None, None)
    )
    units["waveform_mean"].attrs.update(attributes)
    _replace(units, "waveform_mean_index", np.arange(1, len(rows) + 1) * n_channels, np.uint64)


def _replace(
    group: h5py.Group, name: str, values: np.ndarray, kind: type[np.generic] | None = None
) -> None:
    attributes, kind = dict(group[name].attrs), kind or group[name].dtype
    del group[name]
    group.create_dataset(name, data=values.astype(kind)).attrs.update(attributes)


def without_stimuli(file: h5py.File) -> None:
    del file["intervals"]
    file.create_group("intervals")


def only_spontaneous(file: h5py.File) -> None:
    for name in set(file["intervals"]) - {"spontaneous_presentations", "invalid_times"}:
        del file[f"intervals/{name}"]


def without_units(file: h5py.File) -> None:
    select_rows(file, [])


def one_unit(file: h5py.File) -> None:
    select_rows(file, [_find_good(file)[0]])


def many_units(file: h5py.File) -> None:
    good = _find_good(file)
    select_rows(file, [good[i % len(good)] for i in range(3000)])
    _replace(file["units"], "id", np.arange(3000) + 1)


def silent_unit(file: h5py.File) -> None:
    units, row = file["units"], _find_good(file)[0]
    for name in RAGGED:
        ends = np.r_[0, units[f"{name}_index"][:]].astype(int)
        kept = np.r_[units[name][: ends[row]], units[name][ends[row + 1] :]]
        ends[row + 1 :] -= ends[row + 1] - ends[row]
        _replace(units, name, kept)
        _replace(units, f"{name}_index", ends[1:])


def with_markup(file: h5py.File) -> None:
    for name in ("genotype", "subject_id", "strain"):
        del file[f"general/subject/{name}"]
        file[f"general/subject/{name}"] = MARKUP
    names = file["intervals/flashes_presentations/stimulus_name"]
    attributes, n_rows = dict(names.attrs), len(names)
    del file["intervals/flashes_presentations/stimulus_name"]
    file["intervals/flashes_presentations"].create_dataset(
        "stimulus_name", data=[MARKUP] * n_rows, dtype=h5py.string_dtype()
    ).attrs.update(attributes)
    places = file["general/extracellular_ephys/electrodes/location"]
    attributes, values = dict(places.attrs), places[:]
    del file["general/extracellular_ephys/electrodes/location"]
    values = [MARKUP if value == values[-1] else value for value in values]
    file["general/extracellular_ephys/electrodes"].create_dataset(
        "location", data=values, dtype=h5py.string_dtype()
    ).attrs.update(attributes)


def _find_good(file: h5py.File) -> list[int]:
    units = file["units"]
    is_good = units["quality"].asstr()[:] == "good"
    is_good &= (units["amplitude_cutoff"][:] <= 0.1) & (units["presence_ratio"][:] >= 0.95)
    is_good &= units["isi_violations"][:] <= 0.5
    return np.flatnonzero(is_good).tolist()


ODD = (
    without_stimuli, only_spontaneous, without_units, one_unit, many_units, silent_unit,
    with_markup,
)  # fmt: skip
# panels that show neither a drawing nor a sentence
BLANK = """() => [...document.querySelectorAll("main section.panel")].filter((panel) => {
    const message = panel.querySelector(".message:not([hidden])");
    if (message) return message.innerText.trim().length < 10;
    const canvases = [...panel.querySelectorAll("canvas")];
    return canvases.length && !canvases.some((canvas) => {
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.some((value) => value !== 0);
    });
}).map((panel) => panel.ariaLabel)"""
MESSAGES = "[...document.querySelectorAll('main .message:not([hidden])')].map((m) => m.innerText)"
# the browser writes to its console that an answer was an error; that is ours to show, and shown
REFUSED = "Failed to load resource: the server responded with a status of 4"


@pytest.fixture(scope="module")
def odd(browser, session_path, tmp_path_factory):
    """Serve all of them at once: name → its address, unit and probe."""
    folder = tmp_path_factory.mktemp("odd")
    paths = {}
    for spoil in ODD:
        paths[spoil.__name__] = folder / f"{spoil.__name__}.nwb"
        shutil.copyfile(session_path, paths[spoil.__name__])
        with h5py.File(paths[spoil.__name__], "r+") as file:
            spoil(file)
    command = [sys.executable, "-W", "ignore", "-c", SERVE, *map(str, paths.values())]
    with (folder / "stderr").open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    yield process.stdout.readline().strip(), list(paths)
    process.terminate()
    process.wait(20)
    process.stdout.close()
    assert "Traceback" not in (folder / "stderr").read_text()


@pytest.fixture
def visit(odd, open_tab, session_path):
    """Open a view of an odd file: visit("one_unit", "/units") → tab."""
    url, names = odd
    server = SimpleNamespace(
        base="http://" + urlsplit(url).netloc, token=url.partition("token=")[2]
    )
    tab = open_tab(None, of=server, expected=(REFUSED,))
    failed = []
    tab.page.on("response", lambda r: failed.append(r.url) if r.status >= 500 else None)

    def open_view(name, path):
        tab.open(f"/s/file-{names.index(name) + 1}{path}")
        words = tab.page.locator("main").inner_text()
        assert len(words) > 20
        assert "Traceback" not in words
        assert failed == []
        assert tab.page.evaluate(BLANK) == []
        return tab

    return open_view


@pytest.fixture(scope="module")
def first_unit(session_path):
    with h5py.File(session_path) as file:
        return int(file["units/id"][_find_good(file)[0]])


# with_markup is visited below
@pytest.mark.parametrize("name", [spoil.__name__ for spoil in ODD if spoil is not with_markup])
def test_odd_file__leaves_no_view_blank(visit, first_unit, name):
    unit = 1 if name == "many_units" else first_unit
    for path in ("", "/units", f"/u/{unit}", "/p/910001004", "/population"):
        visit(name, path)
    if name != "silent_unit":  # which changes nothing for decoding
        visit(name, "/decoding")


def test_file_without_stimuli__says_that_it_has_none(visit):
    words = visit("without_stimuli", "").page.locator("main").inner_text()
    assert "has no stimulus tables" in words


def test_session_without_stimuli_to_decode__says_so(visit, first_unit):
    for path in (f"/u/{first_unit}?align=flashes", "/decoding"):
        tab = visit("only_spontaneous", path)
        said = " ".join([*tab.page.evaluate(MESSAGES), tab.page.locator("main").inner_text()])
        assert "flashes" in said or "stimul" in said


def test_session_without_units__says_so_in_every_view_of_units(visit, first_unit):
    for path in ("/units", "/population", "/decoding", f"/u/{first_unit}"):
        words = visit("without_units", path).page.locator("main").inner_text()
        assert "no unit" in words.lower() or f"unit {first_unit}" in words


def test_unit_without_spikes__says_so(visit, first_unit):
    said = " ".join(visit("silent_unit", f"/u/{first_unit}").page.evaluate(MESSAGES))
    assert "no spike" in said


def test_3000_units__are_counted_and_scrolled(visit):
    tab = visit("many_units", "/units")
    assert "3000" in tab.page.locator("main").inner_text().replace("\u202f", "").replace(",", "")
    assert tab.page.locator("main [role=row], main tr").count() < 200
    tab.press("End", "Enter")
    assert "/u/" in tab.page.url


def test_unknown_unit__is_named(visit):
    words = visit("one_unit", "/u/1").page.locator("main").inner_text()
    assert "unit 1" in words


@pytest.mark.parametrize("query", ["win=1000000,1000001", "win=-59,0.5", "align=nothing", "only=x"])
def test_window_or_stimulus_that_is_not_there__is_a_message(visit, first_unit, query):
    tab = visit("one_unit", f"/u/{first_unit}?{query}")
    said = [*tab.page.evaluate(MESSAGES), tab.page.locator("#notices").inner_text()]
    assert [words for words in said if words.strip()] or tab.page.locator("main canvas").count()


def test_span_outside_the_recording__is_a_message(visit):
    visit("one_unit", "/population?span=90000,90100")


def test_markup__stays_text(visit, first_unit):
    seen = ""
    for path in ("", "/units", f"/u/{first_unit}", "/p/910001004", "/population", "/decoding"):
        page = visit("with_markup", path).page
        assert page.locator("img[src=x]").count() == 0
        seen += page.locator("main").inner_text()
        options = page.locator("option").all_inner_texts()
        seen += " ".join(options)
    assert MARKUP in seen


def test_file_that_goes_away__is_a_message(serve, open_tab, session_path, first_unit, tmp_path):
    path = tmp_path / "gone.nwb"
    shutil.copyfile(session_path, path)
    tab = open_tab(f"/s/file-1/u/{first_unit}", of=serve(path), expected=(REFUSED,))
    path.unlink()
    tab.press("g", "t")
    words = tab.page.locator("main").inner_text()
    assert "gone.nwb is not there any more" in words
    shutil.copyfile(session_path, path)
    tab.page.reload()
    tab.settle()
    assert "not there" not in tab.page.locator("main").inner_text()


def test_server_that_ends__is_a_message(serve, open_tab, session_path, first_unit):
    server = serve(session_path)
    refused = ("Failed to load resource: net::ERR_CONNECTION",)
    tab = open_tab(f"/s/file-1/u/{first_unit}", of=server, expected=refused)
    server.process.terminate()
    server.process.wait(20)
    tab.press("g", "t")
    assert "is `spikehouse explore` still running" in tab.page.locator("main").inner_text()


def test_stream_that_stops__is_a_message(serve, open_tab, small_survey):
    refused = ("Failed to load resource: the server responded with a status of",)
    # so large that not all of it is read at once
    path = small_survey.session_file(900000001)
    with h5py.File(path) as file:
        unit = int(file["units/id"][_find_good(file)[-1]])
    with FileServer(folder=path.parent) as remote:
        server = serve(remote.url(f"/{path.name}"))
        tab = open_tab("/s/file-1", of=server, expected=refused)
        # what streaming reads is shown
        assert re.search(r"\d+ [kM]B read", tab.page.locator("#top").inner_text())
        remote.right = Behaviour(status=403)
        tab.page.goto(f"{server.base}/s/file-1/u/{unit}")
        tab.settle(60)
    said = " ".join([*tab.page.evaluate(MESSAGES), tab.page.locator("main").inner_text()])
    assert "127.0.0.1" in said
    assert "Traceback" not in said
