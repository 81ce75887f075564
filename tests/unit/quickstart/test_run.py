"""The whole quick start on a survey that fits on a page."""

from __future__ import annotations

import io
import re
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest

from spikehouse.errors import CacheError, InvalidFileError, NotFoundError, SessionNotFoundError
from spikehouse.quickstart import QuickstartOptions, run_quickstart
from spikehouse.report import Log

FIGURES = ("psth.png", "raster.png", "confusion.png", "images.png")


class Outline(HTMLParser):
    """Collects what a page would fetch or run, and checks that tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def printed(log: Log) -> str:
    return log._stream.getvalue()


def test_run_quickstart__writes_figures_and_a_report(cache, session, log, tmp_path):
    report = run_quickstart(QuickstartOptions(out=tmp_path / "new" / "out"), log=log)
    for name in (*FIGURES, "report.html"):
        assert (tmp_path / "new" / "out" / name).stat().st_size > 1000
    assert report == tmp_path / "new" / "out" / "report.html"
    text = printed(log)
    assert "brain_observatory_1.1    1 sessions" in text
    assert "Session 7: the first of type brain_observatory_1.1 with channels in VISp." in text
    assert re.search(r"mean accuracy +0\.\d{4}", text)
    assert re.search(r"chance +0\.2000 \(1 / 5 classes\)", text)
    assert "50 presentations × 6 units" in text
    assert re.search(r"units without a spike +1\n", text)
    assert f"spikehouse quickstart --source demo --size small --area VISp --out {tmp_path}" in text
    assert cache.is_closed
    assert session.is_closed


def test_run_quickstart__report_needs_nothing_else(cache, log, tmp_path):
    page = run_quickstart(QuickstartOptions(out=tmp_path), log=log).read_text("utf-8")
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert not outline.tags & {"script", "link", "iframe"}
    assert len(outline.sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in outline.sources)
    assert "url(" not in page
    assert "mouse &lt;7&gt;" in page
    assert "<h1>VISp, session 7 (simulated)</h1>" in page
    assert "simulated, not recorded from an animal" in page
    assert page.count("Where these numbers come from") == 7
    assert "amplitude_cutoff ≤ 0.1, presence_ratio ≥ 0.95, isi_violations ≤ 0.5" in page
    assert "stimulus presentations 8–57, 50 in total (natural_scenes)" in page
    assert "decoding.decode(design, frame): SVC(kernel=&#x27;rbf&#x27;" in page
    assert "scikit-learn" in page


def test_run_quickstart__the_same_survey_gives_the_same_figures(cache, tmp_path):
    for name in ("a", "b"):
        run_quickstart(QuickstartOptions(out=tmp_path / name), log=Log(io.StringIO()))
    for name in FIGURES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_run_quickstart__without_scenes_decodes_gratings(cache, gratings_session, log, tmp_path):
    cache.session = gratings_session
    run_quickstart(QuickstartOptions(out=tmp_path), log=log)
    text = printed(log)
    assert "no natural scenes (functional_connectivity); drifting gratings (75 repeats)" in text
    assert "no flashes; psth.png is not written" in text
    assert "10 blank presentations have no orientation and are left out" in text
    assert re.search(r"chance +0\.2500 \(1 / 4 classes\)", text)
    assert "have no images to show" in text
    assert not (tmp_path / "psth.png").exists()
    assert (tmp_path / "images.png").exists()


def test_run_quickstart__all_classes_decoded_alike(cache, session, log, tmp_path):
    # units that fire with the clock alone tell nothing: every presentation looks the same
    clock = np.arange(0, 60, 0.05) + 0.01
    session.spike_times = dict.fromkeys(session.spike_times, clock)
    session._tables["natural_scenes"] = session._tables["natural_scenes"].query("frame >= 1")
    run_quickstart(QuickstartOptions(out=tmp_path), log=log)
    assert (tmp_path / "images.png").exists()


def test_run_quickstart__no_stimulus_to_decode(cache, gratings_session, log, tmp_path):
    cache.session = gratings_session
    gratings_session.stimulus_names = ["dot_motion"]
    with pytest.raises(NotFoundError, match=r"session 7 has none of the stimuli.*dot_motion"):
        run_quickstart(QuickstartOptions(out=tmp_path), log=log)


def test_run_quickstart__an_area_without_units_lists_those_that_have(cache, log, tmp_path):
    with pytest.raises(NotFoundError) as caught:
        run_quickstart(QuickstartOptions(session_id=7, area="visp", out=tmp_path), log=log)
    assert str(caught.value) == (
        "session 7 has no units in 'visp'; did you mean 'VISp'? "
        "Areas with units: VISp (6), LGd (1). Choose one with --area"
    )


def test_run_quickstart__no_session_has_the_area(cache, log, tmp_path):
    with pytest.raises(
        NotFoundError, match="no session has channels in 'XYZ': valid are 'CA1', 'LGd"
    ):
        run_quickstart(QuickstartOptions(area="XYZ", out=tmp_path), log=log)


def test_run_quickstart__picks_another_type_for_an_area_only_it_has(cache, log, tmp_path):
    with pytest.raises(NotFoundError, match="session 7 has no units in 'CA1'"):
        run_quickstart(QuickstartOptions(area="CA1", out=tmp_path), log=log)
    assert "Session 6: the first of type functional_connectivity" in printed(log)


def test_run_quickstart__unknown_session(cache, log, tmp_path):
    with pytest.raises(SessionNotFoundError, match="no session 8 in demo: did you mean 7 or 6"):
        run_quickstart(QuickstartOptions(session_id=8, out=tmp_path), log=log)


def test_run_quickstart__out_that_is_a_file(cache, log, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(CacheError, match=r"out cannot be created: .*; choose another"):
        run_quickstart(QuickstartOptions(out=tmp_path / "out"), log=log)


def test_run_quickstart__a_figure_that_cannot_be_written(cache, log, tmp_path):
    (tmp_path / "psth.png").mkdir()
    with pytest.raises(CacheError, match=r"psth\.png cannot be written: .*; choose another folder"):
        run_quickstart(QuickstartOptions(out=tmp_path), log=log)
    assert [path.name for path in tmp_path.iterdir()] == ["psth.png"]


def test_run_quickstart__a_path_that_is_not_there(log, tmp_path):
    options = QuickstartOptions(source=str(tmp_path / "s.nwb"), out=tmp_path)
    with pytest.raises(InvalidFileError, match=r"s\.nwb does not exist; a session file"):
        run_quickstart(options, log=log)
    options = QuickstartOptions(source=str(tmp_path), out=tmp_path)
    with pytest.raises(InvalidFileError, match="is a folder; a session file"):
        run_quickstart(options, log=log)


@pytest.mark.filterwarnings("always")
def test_log__warnings_become_notices_once_each(log):
    def warn_twice():
        warnings.warn("some spikes are missing", stacklevel=1)
        warnings.warn("some spikes are missing", stacklevel=1)
        warnings.warn("an old call", DeprecationWarning, stacklevel=1)

    with pytest.warns(DeprecationWarning, match="an old call"), log.step("A step"):
        warn_twice()
    assert printed(log).count("Note: Some spikes are missing.") == 1
    assert "old call" not in printed(log)


def test_log__prints_on_a_terminal_without_the_characters():
    raw = io.BytesIO()
    log = Log(io.TextIOWrapper(raw, encoding="ascii"))
    with log.step("One"):
        log.fields({"width": "5 µm"})
    assert b"5 ? m"[:3] in raw.getvalue()
    assert log.sections[0].seconds >= 0


def test_log__shortens_long_tables(log):
    import pandas as pd

    with log.step("Table"):
        log.table(pd.DataFrame({"a": np.arange(1000)}), "numbers", max_rows=4)
    assert "numbers; the first and last 2 of 1,000 rows" in printed(log)
    rows = re.findall(r"<td>(\d+)</td></tr>", log.sections[0].blocks[0])
    assert rows == ["0", "1", "998", "999"]
