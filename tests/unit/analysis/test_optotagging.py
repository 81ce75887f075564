from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from spikehouse.analysis.optotagging import OptotagOptions, compute_optotagging, list_pulses
from spikehouse.demo.plan import draw_plan
from spikehouse.demo.sessions import get_size
from spikehouse.demo.simulation import start_simulation
from spikehouse.errors import InvalidArgumentError, NotFoundError

SEED = 20191003


def make_epochs(onsets: np.ndarray, *, duration: float = 0.01, level: float = 2.0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "start_time": onsets,
            "condition": "a single square pulse",
            "level": level,
            "stop_time": onsets + duration,
            "stimulus_name": "pulse",
            "duration": duration,
        },
        index=pd.Index(np.arange(len(onsets)), name="id"),
    )


@pytest.fixture
def epochs() -> pd.DataFrame:
    return make_epochs(10.0 + np.arange(20))


def test_compute_optotagging__by_hand(epochs: pd.DataFrame) -> None:
    onsets = epochs["start_time"].to_numpy()
    late = np.sort(np.r_[onsets + 0.0085, onsets + 0.0086])
    spikes = {
        5: np.sort(np.r_[onsets + 0.003, onsets[:2] - 0.01]),
        6: np.array([]),
        7: late,
        8: onsets + 0.0005,  # artifact of the onset
        9: onsets + 0.0095,  # … of the end
    }
    table = compute_optotagging(spikes, list(spikes), epochs)
    assert table.index.names == ["unit_id", "stimulus_name", "duration", "level"]
    assert (table["n_pulses"] == 20).all()
    tagged = table.loc[5].iloc[0]
    assert tagged["evoked_rate"] == pytest.approx(1 / 0.008)
    assert tagged["baseline_rate"] == pytest.approx(2 / (20 * 0.048))
    assert tagged["ratio"] == pytest.approx(60)
    assert tagged["fidelity"] == 1
    assert tagged["latency"] == pytest.approx(0.003)
    assert tagged["jitter"] == pytest.approx(0, abs=1e-9)
    expected = binomtest(20, 22, 8 / 56, alternative="greater").pvalue
    assert tagged["p_value"] == pytest.approx(expected)
    silent = table.loc[6].iloc[0]
    assert silent[["ratio", "p_value", "p_adjusted", "latency", "jitter"]].isna().all()
    assert silent[["baseline_rate", "evoked_rate", "fidelity"]].tolist() == [0, 0, 0]
    # answers, but too late to be light's own doing
    assert table.loc[7, "p_adjusted"].item() < 0.01
    assert table.loc[7, "ratio"].item() == np.inf
    assert table.loc[[8, 9], "evoked_rate"].tolist() == [0, 0]
    assert table["is_tagged"].tolist() == [True, False, False, False, False]


def test_compute_optotagging__short_pulses_leave_a_gap_at_their_end() -> None:
    onsets = 10.0 + np.arange(5)
    spikes = {1: np.sort(np.r_[onsets + 0.0045, onsets + 0.0065])}
    table = compute_optotagging(spikes, [1], make_epochs(onsets, duration=0.005))
    # 1–4 and 6–10 ms are left
    assert table["evoked_rate"].item() == pytest.approx(1 / 0.007)
    assert table["latency"].item() == pytest.approx(0.0065)


def test_compute_optotagging__ramps_tag_nobody() -> None:
    onsets = 10.0 + 2 * np.arange(20)
    spikes = {1: np.sort((onsets[:, None] + 0.003 + 0.05 * np.arange(19)).ravel())}
    table = compute_optotagging(spikes, [1], make_epochs(onsets, duration=1.0))
    assert table["p_adjusted"].item() < 1e-3
    assert table["latency"].item() == pytest.approx(0.003)
    assert not table["is_tagged"].item()


def test_compute_optotagging__conditions_and_by(epochs: pd.DataFrame) -> None:
    weak = make_epochs(100.0 + np.arange(4), level=1.3)
    both = pd.concat([epochs, weak.assign(stimulus_name="other")])
    spikes = {3: epochs["start_time"].to_numpy() + 0.004, 2: np.array([])}
    table = compute_optotagging(spikes, [3, 2], both)
    assert table.index.tolist() == [
        (3, "other", 0.01, 1.3), (3, "pulse", 0.01, 2.0),
        (2, "other", 0.01, 1.3), (2, "pulse", 0.01, 2.0),
    ]  # fmt: skip
    assert table["n_pulses"].tolist() == [4, 20, 4, 20]
    chosen = compute_optotagging(spikes, [3, 2], both, conditions=["pulse"])
    pd.testing.assert_frame_equal(chosen, table.iloc[[1, 3]])
    together = compute_optotagging(spikes, [3, 2], both, by=())
    assert together.index.tolist() == [3, 2]
    assert together["n_pulses"].tolist() == [24, 24]
    assert together.index.name == "unit_id"


def test_compute_optotagging__a_session_will_do(epochs: pd.DataFrame) -> None:
    class Session:
        def __init__(self) -> None:
            self.spike_times = {4: np.array([1.0]), 1: np.array([])}
            self.units = pd.DataFrame(index=pd.Index([4, 1], name="unit_id"))
            self.optogenetic_stimulation_epochs = epochs

    table = compute_optotagging(Session())
    assert table.index.get_level_values("unit_id").tolist() == [4, 1]
    pd.testing.assert_frame_equal(table, compute_optotagging(Session().spike_times, [4, 1], epochs))
    assert len(compute_optotagging(Session(), [1])) == 1


def test_compute_optotagging__one_pulse_and_no_units(epochs: pd.DataFrame) -> None:
    one = compute_optotagging({1: epochs["start_time"].to_numpy() + 0.004}, [1], epochs[:1])
    assert np.isnan(one["jitter"].item())
    assert one["latency"].item() == pytest.approx(0.004)
    none = compute_optotagging({}, [], epochs)
    assert none.empty
    assert list(none.columns) == list(one.columns)


def test_compute_optotagging__errors(epochs: pd.DataFrame) -> None:
    with pytest.raises(NotFoundError, match="no optogenetic stimulation epochs: this session has"):
        compute_optotagging({}, [], epochs[:0])
    with pytest.raises(NotFoundError, match=r"stimulus_name 'puls': did you mean 'pulse'\?"):
        compute_optotagging({}, [], epochs, conditions=["puls"])
    with pytest.raises(InvalidArgumentError, match="unit 1 is 2 times among the 3 unit_ids"):
        compute_optotagging({}, [1, 2, 1], epochs)
    with pytest.raises(InvalidArgumentError, match="give unit_ids and epochs as well, or a sess"):
        compute_optotagging({1: np.array([])}, [1])
    with pytest.raises(InvalidArgumentError, match="pulses has no column 'start_time'"):
        compute_optotagging({}, [], epochs.drop(columns="start_time"))
    with pytest.raises(InvalidArgumentError, match=r"no column 'levels'; did you mean 'level'"):
        compute_optotagging({}, [], epochs, by=["levels"])
    epochs.loc[3, "stop_time"] = 0
    with pytest.raises(InvalidArgumentError, match=r"laser pulse 3 lasts from 13 to 0 s.*\(1 of 2"):
        compute_optotagging({}, [], epochs)
    with pytest.raises(InvalidArgumentError, match=r"baseline=\(-0.01, 0.01\): it must end after"):
        OptotagOptions(baseline=(-0.01, 0.01))
    with pytest.raises(InvalidArgumentError, match=r"artifact=0.02 s leaves nothing of a response"):
        OptotagOptions(artifact=0.02)


def test_list_pulses__trains_are_taken_apart(epochs: pd.DataFrame) -> None:
    train = make_epochs(np.array([50.0]), duration=1.0).assign(condition="2.5 ms pulses at 10 Hz")
    pulses = list_pulses(pd.concat([epochs[:1], train, epochs[1:2]]))
    assert pulses["start_time"].tolist() == pytest.approx([10.0, *(50 + 0.1 * np.arange(10)), 11.0])
    assert pulses["duration"].tolist() == [0.01] + [0.0025] * 10 + [0.01]
    np.testing.assert_allclose(pulses["stop_time"] - pulses["start_time"], pulses["duration"])
    assert list(pulses.columns) == list(epochs.columns)


@pytest.mark.parametrize("session_id", [900000002, 900000003, 900000001])
def test_compute_optotagging__the_demos_neurons(session_id: int) -> None:
    """All units that carry the opsin are found by nine pulses of 10 ms, and no other."""
    simulation = start_simulation(draw_plan(SEED, session_id, get_size("small")))
    units = simulation.plan.units
    spikes = dict(zip(units.index.tolist(), simulation.iterate_spike_times(), strict=True))
    by = ["stimulus_name", "duration"]
    table = compute_optotagging(spikes, units.index.tolist(), simulation.timeline.laser, by=by)
    square = table.xs(("pulse", 0.01), level=by)
    is_tagged = units["is_optotagged"].astype(bool)
    assert square["is_tagged"].tolist() == is_tagged.tolist()
    error = (square["latency"] - units["opto_latency_s"])[is_tagged]
    assert (error.abs() < 0.0006).all()
    assert not (table["is_tagged"].unstack(by).any(axis=1) & ~is_tagged).any()
