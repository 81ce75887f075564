"""Whatever takes windows refuses those that make no sense, and takes spikes in any order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spikehouse import analysis, decoding, spikes
from spikehouse.analysis import timescale, variability
from spikehouse.compat.functions import build_spike_histogram
from spikehouse.errors import InvalidArgumentError

N = 24
RNG = np.random.default_rng(5)
SPIKES = {7: np.sort(RNG.uniform(0, N, 300)), 9: np.sort(RNG.uniform(0, N, 40))}
UNITS = [7, 9]
SHOWN = pd.DataFrame(
    {
        "start_time": np.arange(N, dtype=float),
        "stop_time": np.arange(N) + RNG.uniform(0.3, 0.9, N),
        "stimulus_condition_id": np.tile([3, 4], N // 2),
        "stimulus_name": "pulse",
        "level": 1.0,
        "duration": 0.5,
    },
    index=pd.Index(np.arange(N) + 900, name="stimulus_presentation_id"),
)
SPEED = pd.Series(1.0, np.arange(N))
STATES = pd.DataFrame({"start_time": [0.0], "stop_time": [9.0], "state": "run"})
Call = Callable[[Any, pd.DataFrame], Any]


def respond(times: Any, shown: pd.DataFrame) -> analysis.StimulusResponses:
    speed = pd.DataFrame({"start_time": np.arange(0, N, 0.1), "velocity": 1.0})
    return analysis.StimulusResponses("flashes", shown, UNITS, times, 0.25, speed)


def windows(shown: pd.DataFrame) -> pd.DataFrame:
    return shown[["start_time", "stop_time"]]


CALLS: dict[str, Call] = {
    "count_spikes": lambda t, p: spikes.count_spikes(t, UNITS, windows(p)),
    "compute_mean_counts": lambda t, p: spikes.compute_mean_counts(t, UNITS, windows(p)),
    "compute_design_matrix": lambda t, p: spikes.compute_design_matrix(t, UNITS, p),
    "align_spikes": lambda t, p: spikes.align_spikes(t, UNITS, p),
    "compute_condition_statistics": lambda t, p: spikes.compute_condition_statistics(t, UNITS, p),
    "firing_rate": lambda t, p: variability.firing_rate(t, UNITS, windows(p)),
    "stimulus_blocks": lambda t, p: variability.stimulus_blocks(
        p["start_time"], p["stop_time"], longest_interval=1.5
    ),
    "compute_trace_means": lambda t, p: analysis.compute_trace_means(SPEED, p),
    "label_presentations": lambda t, p: analysis.label_presentations(p, STATES),
    "label_presentations states": lambda t, p: analysis.label_presentations(
        SHOWN, p.assign(state="run")
    ),
    "StimulusResponses": lambda t, p: respond(t, p).shown_counts,
    "psth_of": lambda t, p: respond(t, p).psth_of(np.array([0, 1]), [0, 0.1, 0.2]),
    "compute_timescales": lambda t, p: timescale.compute_timescales(respond(t, p)),
    "compute_rasters_by_condition": lambda t, p: analysis.compute_rasters_by_condition(t, UNITS, p),
    "decode_over_time": lambda t, p: decoding.decode_over_time(
        t, UNITS, p, "stimulus_condition_id", bin_width=0.2, n_jobs=1
    ),
    "compute_optotagging": lambda t, p: analysis.compute_optotagging(t, UNITS, p),
    "build_spike_histogram": lambda t, p: build_spike_histogram(windows(p), t, UNITS),
}  # fmt: skip
# of these only the start matters
ONSETS: dict[str, Call] = {
    "compute_time_domain": lambda t, p: spikes.compute_time_domain([0, 0.1], p["start_time"]),
    "compute_conditionwise_psth": lambda t, p: analysis.compute_conditionwise_psth(
        t, UNITS, p, bin_edges=[0, 0.1, 0.3]
    ),
    "compute_evoked_responses": lambda t, p: analysis.compute_evoked_responses(
        t, UNITS, p["start_time"]
    ),
    "compute_onset_latency": lambda t, p: analysis.compute_onset_latency(t, UNITS, p["start_time"]),
    "compute_time_to_first_spike": lambda t, p: analysis.compute_time_to_first_spike(
        t, UNITS, p["start_time"]
    ),
    "compute_decay_timescales": lambda t, p: analysis.compute_decay_timescales(
        t, UNITS, p["start_time"]
    ),
    "compute_rasters_by_condition": lambda t, p: analysis.compute_rasters_by_condition(
        t, UNITS, p, window=(-0.1, 0.3)
    ),
}
# these have nothing but positions to name a row by
UNNAMED = {"firing_rate", "build_spike_histogram"}
WRONG = {
    "stop before start": {"stop_time": -1.0},
    "no start": {"start_time": np.nan},
    "no stop": {"stop_time": np.nan},
    "endless": {"stop_time": np.inf},
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", CALLS)
def test_windows__that_make_no_sense_are_refused(name: str, wrong: str) -> None:
    shown = SHOWN.copy()
    for column, value in WRONG[wrong].items():
        shown.loc[905, column] = value
    which = "at position 5" if name in UNNAMED else "905"
    with pytest.raises(InvalidArgumentError, match=rf"{which} (lasts|has bin 0) from.*\(1 of 24\)"):
        CALLS[name](SPIKES, shown)


@pytest.mark.parametrize("name", ONSETS)
def test_onsets__that_are_not_finite_are_refused(name: str) -> None:
    shown = SHOWN.copy()
    shown.loc[905, "start_time"] = np.nan
    with pytest.raises(InvalidArgumentError, match=r"1 of 24 onsets are not finite, .* of 905"):
        ONSETS[name](SPIKES, shown)


@pytest.mark.parametrize("name", [*CALLS, *ONSETS])
def test_spike_times__in_any_order_give_the_same_answer(name: str) -> None:
    call = CALLS.get(name) or ONSETS[name]
    shuffled = {unit: RNG.permutation(times) for unit, times in SPIKES.items()}
    expected, found = (np.asarray(call(times, SHOWN)) for times in (SPIKES, shuffled))
    assert found.shape == expected.shape
    assert pd.DataFrame(np.ravel(found)).equals(pd.DataFrame(np.ravel(expected)))


def test_spike_times__that_are_missing_are_refused() -> None:
    for times in ([np.nan], [3.0, np.nan, 1.0]):
        with pytest.raises(InvalidArgumentError, match=r"1 of the . spike times of unit 7 are NaN"):
            spikes.compute_design_matrix({7: np.array(times)}, [7], SHOWN)


@pytest.mark.parametrize("name", ["compute_conditionwise_psth", "compute_rasters_by_condition"])
def test_condition_ids__that_are_no_whole_numbers_are_refused(name: str) -> None:
    shown = SHOWN.assign(stimulus_condition_id=np.tile([0.02, 0.04], N // 2))
    for call in (ONSETS[name], CALLS["compute_condition_statistics"], CALLS["psth_of"]):
        with pytest.raises(InvalidArgumentError, match=r"takes whole numbers, but 0\.02"):
            call(SPIKES, shown)
