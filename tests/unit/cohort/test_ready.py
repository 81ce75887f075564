"""The analyses that a cohort offers by name, against direct calls of a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spikehouse.analysis import (
    compute_connections,
    compute_decay_timescales,
    compute_intrinsic_timescales,
    compute_onset_latency,
    compute_time_to_first_spike,
)
from spikehouse.cohort.ready import READY
from spikehouse.decoding import decode_by_area
from spikehouse.demo import Survey
from spikehouse.errors import InvalidArgumentError, NotFoundError
from spikehouse.session import EcephysSession
from spikehouse.spikes import compute_design_matrix

STRUCTURE = "ecephys_structure_acronym"
# each session type: the drifting gratings have another name in the second
SESSIONS = (900000001, 900000009)


@pytest.fixture(scope="module", params=SESSIONS)
def session(request: pytest.FixtureRequest, small_survey: Survey) -> Iterator[EcephysSession]:
    with EcephysSession.from_nwb_path(small_survey.session_file(request.param)) as session:
        yield session


@pytest.fixture
def tiny(session_path: Path) -> Iterator[EcephysSession]:
    with EcephysSession.from_nwb_path(session_path) as session:
        yield session


def find_gratings(session: EcephysSession) -> pd.DataFrame:
    (name,) = {"drifting_gratings", "drifting_gratings_75_repeats"} & set(session.stimulus_names)
    return session.get_stimulus_table(name, missing="nan")


def test_metrics__are_those_of_the_session(session: EcephysSession) -> None:
    options = {"stimulus": ["drifting_gratings", "flashes"]}
    pd.testing.assert_frame_equal(READY["metrics"](session, **options), session.analyze(**options))
    some = READY["metrics"](session, structure=["VISp", "LGd"], stimulus="flashes")
    is_inside = session.units[STRUCTURE].isin(["VISp", "LGd"])
    assert some.index.tolist() == session.units.index[is_inside].tolist()


def test_psth__is_the_mean_of_the_counts_of_presentations(session: EcephysSession) -> None:
    rates = READY["psth"](session, structure="VISp", window=(-0.1, 0.3), bin_width=0.02)
    assert rates.index.name == "unit_id"
    assert rates.columns.tolist() == ["time_relative_to_stimulus_onset", "rate"]
    units = session.units.index[session.units[STRUCTURE] == "VISp"]
    counts = session.presentationwise_spike_counts(
        np.arange(-5, 16) * 0.02, session.get_stimulus_table("flashes").index, units
    )
    expected = counts.mean("stimulus_presentation_id") / 0.02
    assert rates.index.unique().tolist() == units.tolist()
    np.testing.assert_allclose(rates["rate"], expected.T.to_numpy().ravel())
    times = rates["time_relative_to_stimulus_onset"].to_numpy().reshape(len(units), 20)
    np.testing.assert_allclose(times, np.broadcast_to(-0.09 + 0.02 * np.arange(20), times.shape))


def test_psth__by_condition_has_the_parameters_that_vary(session: EcephysSession) -> None:
    rates = READY["psth"](
        session, stimulus="drifting_gratings", window=(0, 1), bin_width=0.5, mean_over="conditions"
    )
    shown = find_gratings(session)
    assert {"orientation", "temporal_frequency"} <= set(rates.columns)
    assert "spatial_frequency" not in rates
    one = rates.iloc[7]
    same = shown[shown["stimulus_condition_id"] == one["stimulus_condition_id"]]
    np.testing.assert_array_equal(same["orientation"], one["orientation"])
    counts = session.presentationwise_spike_counts([0, 0.5, 1], same.index, [rates.index[7]])
    wanted = counts.sel(time_relative_to_stimulus_onset=one["time_relative_to_stimulus_onset"])
    assert one["rate"] == pytest.approx(float(wanted.mean()) / 0.5)
    n_conditions = shown["stimulus_condition_id"].nunique()
    assert len(rates) == session.num_units * n_conditions * 2


def test_decode__has_a_row_for_each_area_with_enough_units(session: EcephysSession) -> None:
    options = {"n_units": 5, "n_draws": 3, "estimator": "poisson-naive-bayes"}
    table = READY["decode"](session, seed=4, **options)
    shown = find_gratings(session)
    shown = shown[shown["orientation"].notna()]
    accuracy = decode_by_area(
        compute_design_matrix(session, session.units.index, shown),
        shown["orientation"],
        session.units,
        cv="stratified",
        seed=4,
        **options,
    )
    counts = session.structurewise_unit_counts
    assert table[STRUCTURE].tolist() == sorted(counts.index[counts >= 5])
    assert table["n_units_available"].tolist() == [counts[area] for area in table[STRUCTURE]]
    np.testing.assert_array_equal(table["accuracy"], accuracy.mean("draw"))
    assert table["chance"].tolist() == [accuracy.attrs["chance"]] * len(table)
    assert set(table["n_trials"]) == {len(shown)}
    assert set(table["n_classes"]) == {shown["orientation"].nunique()}


def test_latencies__are_onsets_of_responses_and_first_spikes(session: EcephysSession) -> None:
    table = READY["latencies"](session, structure="VISp")
    units = session.units.index[session.units[STRUCTURE] == "VISp"]
    onsets = session.get_stimulus_table("flashes")["start_time"]
    onset, first = (
        compute(session, units, onsets)
        for compute in (compute_onset_latency, compute_time_to_first_spike)
    )
    pd.testing.assert_frame_equal(table, onset.join(first))
    assert table["latency"].notna().any()


def test_timescales__are_of_the_decay_and_of_the_firing(session: EcephysSession) -> None:
    table = READY["timescales"](session)
    units = session.units.index
    onsets = session.get_stimulus_table("flashes")["start_time"]
    for prefix, compute in (
        ("decay_", compute_decay_timescales),
        ("intrinsic_", compute_intrinsic_timescales),
    ):
        found = table.filter(regex=f"^{prefix}")
        expected = compute(session, units, onsets).add_prefix(prefix)
        pd.testing.assert_frame_equal(found, expected)
        assert found[f"{prefix}timescale"].notna().any()


def test_correlograms__name_the_structures_of_both_units(session: EcephysSession) -> None:
    table = READY["correlograms"](
        session, structure=["VISp", "LGd"], is_significant_only=False, min_rate=0
    )
    shown = find_gratings(session)
    units = session.units.index[session.units[STRUCTURE].isin(["VISp", "LGd"])]
    expected = compute_connections(
        session, units, shown["start_time"], conditions=shown["orientation"]
    )
    assert len(table) == len(units) * (len(units) - 1) // 2
    pd.testing.assert_frame_equal(table[expected.columns], expected)
    for side in ("source", "target"):
        of_units = session.units[STRUCTURE].loc[table[f"{side}_unit_id"]]
        assert table[f"{side}_structure"].tolist() == of_units.tolist()
    some = READY["correlograms"](session, structure=["VISp", "LGd"], min_rate=0)
    assert some["is_significant"].all()
    assert len(some) == table["is_significant"].sum()
    # two spikes/s during the trials, as published
    fast = READY["correlograms"](session, structure=["VISp", "LGd"], is_significant_only=False)
    starts = shown["start_time"].to_numpy()
    trials = np.column_stack([starts, starts + 2.0])
    rates = {
        unit: np.diff(np.searchsorted(session.spike_times[unit], trials)).sum() / (2 * len(shown))
        for unit in units
    }
    n_fast = sum(rate > 2 for rate in rates.values())
    assert 1 < n_fast < len(units)
    assert len(fast) == n_fast * (n_fast - 1) // 2


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        (
            "psth",
            {"mean_over": "units"},
            InvalidArgumentError,
            "mean_over='units'; did you mean 'conditions'.* Valid: 'presentations', 'conditions'",
        ),
        (
            "psth",
            {"window": (0.0, 0.105)},
            InvalidArgumentError,
            r"window=\(0.0, 0.105\), bin_width=0.01: the window must begin and end at multiples",
        ),
        ("psth", {"window": (0.1, 0.1)}, InvalidArgumentError, "one bin apart or more"),
        ("psth", {"bin_width": 0}, InvalidArgumentError, "bin_width=0: the window must"),
        ("psth", {"stimulus": "flash"}, NotFoundError, "did you mean 'flashes'"),
        (
            "decode",
            {"target": "angle"},
            NotFoundError,
            "presentations of drifting_gratings have no column 'angle'",
        ),
        ("decode", {"cv": None}, InvalidArgumentError, "no area has 20 units"),
        *(
            (name, {"structure": "VISpp"}, NotFoundError, "no unit of this session lies in VISpp")
            for name in READY
        ),
    ],
)
def test_ready__says_what_it_cannot_use(
    tiny: EcephysSession, name: str, options: dict[str, object], error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        READY[name](tiny, **options)
