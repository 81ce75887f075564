"""Recordings that are not of the survey: their views show what there is, and leave the rest out."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import other_files
import pandas as pd

from spikehouse import EcephysSession


def test_views__of_arrays_have_no_empty_panel_and_no_word_of_the_survey(open_tab):
    presentations = pd.DataFrame(
        {"start_time": other_files.ONSETS, "duration": 0.5, "angle": other_files.ANGLES}
    )
    session = EcephysSession.from_arrays(
        other_files.make_trains(np.random.default_rng(1)), presentations=presentations
    )
    with session.explore(port=0) as explorer:
        base, _, token = explorer.url.partition("/s/")
        server = SimpleNamespace(base=base, token=token.partition("token=")[2])
        shown = {}
        for view in ("", "/units", "/population", "/decoding", "/u/0"):
            page = open_tab(f"/s/file-1{view}", of=server).page
            shown[view] = page.inner_text("body")
            words = ("NaN", "undefined", "outside the brain", "file-1")
            assert [word for word in words if word in shown[view]] == [], view
        titles = page.locator("main section.panel h2").all_inner_texts()
        assert "Unnamed session 1" in shown[""]
        assert "Structure" not in shown["/units"]
        assert "These units have no metrics." in shown["/u/0"]
        assert "unit id from top to bottom" in shown["/population"]
        assert "By structure" not in shown["/decoding"]
        left = ["stimulus", "Tuning", "Intervals", "Autocorrelogram", "Over the session"]
        assert titles == left


def test_units__of_a_lab_show_its_columns_and_none_is_filtered_out(open_tab, serve, tmp_path):
    path = other_files.write_neuroconv(
        tmp_path / "lab.nwb", other_files.make_trains(np.random.default_rng(1))
    )
    page = open_tab("/s/file-1/units", of=serve(path)).page
    assert "All 3 units" in page.inner_text("main")
    assert "KSLabel" in page.inner_text("main")
