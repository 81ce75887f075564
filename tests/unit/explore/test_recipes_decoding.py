"""The recipes of decoding against the functions of the library, and a stimulus that can be told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from odd_recording import open_recording

from spikehouse.decoding import decode
from spikehouse.errors import NotFoundError
from spikehouse.explore.recipes.decoding import (
    decode_confusion,
    decoding_by_area,
    decoding_by_units,
    decoding_chance,
    decoding_choices,
    decoding_over_time,
)
from spikehouse.session import EcephysSession
from spikehouse.spikes import count_spikes

LEFT, RIGHT = range(0, 12), range(12, 24)
SAID = {"stimulus": "bars", "label": "side"}


@pytest.fixture
def session() -> EcephysSession:
    """Give a recording in which LGd fires 0.1 s after bars at the left and VISp never tells."""
    onsets = np.arange(60.0) * 2
    is_left = np.arange(60) % 3 > 0
    shown = pd.DataFrame(
        {
            "start_time": onsets,
            "stop_time": onsets + 1,
            "stimulus_name": "bars",
            "stimulus_block": np.repeat([0.0, 1.0, 2.0], 20),
            "side": np.where(is_left, "left", "right"),
            "contrast": 0.8,
        }
    )
    answers = {unit: onsets[is_left] + 0.11 + unit / 1000 for unit in LEFT}
    blind = dict.fromkeys(RIGHT, onsets + 0.12)
    # channels alternate between structures, and units are 37 channels apart
    trains = {
        unit: {**answers, **blind}[unit] for pair in zip(LEFT, RIGHT, strict=True) for unit in pair
    }
    return open_recording(trains, structures=("LGd", "VISp"), presentations=shown)


@pytest.fixture
def demo(session_path: Path) -> Iterator[EcephysSession]:
    with EcephysSession.from_nwb_path(session_path) as opened:
        yield opened


def test_decoding_choices__lists_labels_with_repeated_values(session: EcephysSession) -> None:
    found = decoding_choices(session)
    row = found["labels"].set_index(["stimulus", "label"]).loc[("bars", "side")]
    assert row.to_dict() == {"n_values": 2, "n_presentations": 60, "shortest": 1.0}
    # it has one value
    assert "contrast" not in found["labels"]["label"].tolist()
    assert dict(zip(found["structures"], found["n_units"].tolist(), strict=True)) == {
        "LGd": 12, "VISp": 12,
    }  # fmt: skip


def test_decoding_choices__without_stimuli_are_none() -> None:
    assert not len(decoding_choices(open_recording({1: np.array([1.0])}))["labels"])


def test_decode_confusion__is_that_of_counts_in_the_window(demo: EcephysSession) -> None:
    found = decode_confusion(demo, stimulus="static_gratings", label="orientation", window=(0, 0.2))
    shown = demo.get_stimulus_table("static_gratings", missing="nan").dropna(subset=["orientation"])
    domain = shown["start_time"].to_numpy()[:, None] + [0, 0.2]
    counts = count_spikes(demo, demo.units.index, domain)[:, 0]
    theirs = decode(counts, shown["orientation"].to_numpy(), estimator="poisson-naive-bayes")
    assert found["confusion"].tolist() == theirs.confusion.values.tolist()
    assert found["labels"] == theirs.labels.tolist()
    assert found["accuracy"] == theirs.mean_accuracy
    assert found["n_presentations"] == len(shown)


@pytest.mark.parametrize("folds", ["kfold", "stratified", "blocked"])
def test_decode_confusion__tells_sides_from_the_units_that_do(
    session: EcephysSession, folds: str
) -> None:
    right = decode_confusion(session, **SAID, folds=folds, structures=("LGd",))  # type: ignore[arg-type]
    assert right["accuracy"] == 1
    assert right["n_units"] == 12
    wrong = decode_confusion(session, **SAID, folds=folds, structures=("VISp",))  # type: ignore[arg-type]
    assert wrong["accuracy"] < 0.8


def test_decoding_chance__of_shuffled_labels(session: EcephysSession) -> None:
    found = decoding_chance(session, **SAID, n_resamples=19)  # type: ignore[arg-type]
    assert found["accuracy"] == 1
    assert len(found["shuffled"]) == 19
    assert found["shuffled"].max() < 1
    assert found["p_value"] == 1 / 20


def test_decoding_over_time__rises_when_units_answer(session: EcephysSession) -> None:
    found = decoding_over_time(session, **SAID, window=(-0.1, 0.3), bin=0.1)  # type: ignore[arg-type]
    means = found["accuracies"].mean(axis=1)
    assert found["starts"].tolist() == [-0.1, 0.0, 0.1, 0.2]
    assert means[2] == 1
    assert (means[[0, 1, 3]] < 0.8).all()
    assert found["chance"] == 0.5


def test_decoding_by_units__more_units_do_not_tell_less(session: EcephysSession) -> None:
    found = decoding_by_units(session, **SAID, n_draws=3)  # type: ignore[arg-type]
    assert found["n_units"].tolist() == [1, 2, 5, 10, 20, 24]
    assert found["accuracies"].shape == (6, 3)
    assert found["accuracies"][-1].mean() == 1


def test_decoding_by_area__names_the_area_that_tells(session: EcephysSession) -> None:
    found = decoding_by_area(session, **SAID, n_draws=2)  # type: ignore[arg-type]
    accuracy = dict(zip(found["structures"], found["accuracies"].mean(axis=1), strict=True))
    assert accuracy["LGd"] == 1
    assert accuracy["VISp"] < 0.8
    assert found["n_units"] == 12


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stimulus": "dots"}, "no stimulus 'dots'"),
        ({"label": "colour"}, "bars has no column 'colour'; it has .*side"),
        ({"structures": ("CA1",)}, "no units in CA1"),
    ],
)
def test_decode_confusion__names_what_is_not_there(
    session: EcephysSession, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(NotFoundError, match=said):
        decode_confusion(session, **{**SAID, **changes})  # type: ignore[arg-type]
