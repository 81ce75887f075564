"""AllenSDK's classes of stimulus analysis: what they accept, and what they draw.

Their numbers are compared with AllenSDK's in tests/parity/test_analysis.py.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from spikehouse.compat import stimulus_analysis as sa
from spikehouse.compat.stimulus_analysis import fields, functions
from spikehouse.errors import InvalidArgumentError, NotFoundError
from spikehouse.session import EcephysSession

UNITS = [1, 2, 3, 4]


class Lab:
    """Four units that saw gabors on 3 × 3 places, gratings, flashes and a movie."""

    def get_ecephys_session_id(self) -> int:
        return 42

    def get_session_start_time(self) -> dt.datetime:
        return dt.datetime(2026, 1, 2, tzinfo=dt.UTC)

    def get_invalid_times(self) -> pd.DataFrame:
        return pd.DataFrame({"start_time": [], "stop_time": [], "label": [], "tags": []})

    def get_probes(self) -> pd.DataFrame:
        columns = {"description": ["probeA"], "location": ["V1"], "sampling_rate": [3e4],
                   "lfp_sampling_rate": [1250.0], "has_lfp_data": [False]}  # fmt: skip
        return pd.DataFrame(columns, index=pd.Index([7], name="id"))

    def get_channels(self) -> pd.DataFrame:
        columns = {
            "probe_id": [7] * 4, "probe_channel_number": range(4),
            "probe_vertical_position": [20, 40, 60, 80], "probe_horizontal_position": [11] * 4,
            "structure_acronym": ["CA1", "VISp", "VISp", "VISl"],
        }  # fmt: skip
        return pd.DataFrame(columns, index=pd.Index([100, 101, 102, 103], name="id"))

    def get_units(self) -> pd.DataFrame:
        columns = {"peak_channel_id": [100, 101, 102, 103], "snr": [1.0, 2.0, 3.0, 4.0]}
        return pd.DataFrame(columns, index=pd.Index(UNITS, name="id"))

    def get_stimulus_presentations(self) -> pd.DataFrame:
        places = [(x, y) for x in (-10.0, 0.0, 10.0) for y in (-10.0, 0.0, 10.0)]
        rows: list[dict[str, Any]] = [{"stimulus_name": "spontaneous", "length": 5.0}]
        rows += [
            {"stimulus_name": "gabors", "x_position": x, "y_position": y, "length": 0.25}
            for x, y in places * 3
        ]
        rows += [{"stimulus_name": "spontaneous", "length": 120.0}]
        rows += [
            {"stimulus_name": "drifting_gratings", "orientation": angle, "contrast": 0.8,
             "temporal_frequency": tf, "length": 2.0}
            for angle in (0.0, 90.0, np.nan) for tf in ([2.0, 4.0] if angle == angle else [np.nan])
            for _ in range(3)
        ]  # fmt: skip
        rows += [
            {"stimulus_name": "static_gratings", "orientation": angle, "phase": 0.5,
             "spatial_frequency": sf, "length": 0.25}
            for angle in (0.0, 90.0) for sf in (0.02, 0.04) for _ in range(3)
        ]  # fmt: skip
        rows += [{"stimulus_name": "flashes", "color": c, "length": 0.25} for c in [1.0, -1.0] * 4]
        rows += [
            {"stimulus_name": "natural_movie_three", "frame": float(frame), "length": 1 / 30}
            for frame in [*range(6)] * 3
        ]
        table = pd.DataFrame(rows)
        length = table.pop("length")
        table["start_time"] = length.cumsum() - length + 1.0
        table["stop_time"] = table["start_time"] + length
        return table.assign(stimulus_block=0.0).rename_axis("id")

    def get_spike_times(self) -> dict[int, np.ndarray]:
        rng = np.random.default_rng(1)
        return {unit: np.sort(rng.uniform(1.0, 190.0, 1500 * unit)) for unit in UNITS}

    def get_running_speed(self) -> pd.DataFrame:
        times = np.arange(0.0, 200.0, 0.05)
        return pd.DataFrame(
            {"start_time": times, "end_time": times + 0.05, "velocity": 5 * np.sin(times)}
        )


@pytest.fixture
def session() -> EcephysSession:
    return EcephysSession(api=Lab())


@pytest.fixture
def figure():
    backend = mpl.get_backend()
    plt.switch_backend("Agg")
    yield plt.figure()
    plt.close("all")
    plt.switch_backend(backend)


# ---- what they are made of


def test_analysis__of_an_adapter(session: EcephysSession) -> None:
    assert sa.Flashes(Lab()).metrics.equals(sa.Flashes(session).metrics)


def test_analysis__of_something_else_says_what_it_takes() -> None:
    with pytest.raises(TypeError, match="cannot be made of a int: pass an EcephysSession"):
        sa.Flashes(42)


def test_analysis__of_a_path_opens_it(tmp_path) -> None:
    with pytest.raises(OSError, match=r"absent\.nwb"):
        sa.Flashes(str(tmp_path / "absent.nwb"))


def test_analysis__unknown_argument_is_an_error(session: EcephysSession) -> None:
    with pytest.raises(TypeError, match="trial_durration"):
        sa.Flashes(session, trial_durration=0.25)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, UNITS),
        ([3, 1], [3, 1]),
        (np.array([2]), [2]),
        (pd.Series([4, 2]), [4, 2]),
        ({"unit_id": [4, 1]}, [4, 1]),
        ({"ecephys_structure_acronym": "VISp"}, [2, 3]),
        ({"ecephys_structure_acronym": ["VISp", "VISl"], "snr": [3.0, 4.0]}, [3, 4]),
    ],
)
def test_filter__chooses_units(session: EcephysSession, chosen: Any, expected: list[int]) -> None:
    analysis = sa.Flashes(session, filter=chosen)
    assert analysis.unit_ids.tolist() == expected
    assert analysis.unit_count == len(expected)
    assert sorted(analysis.spikes) == sorted(expected)
    assert analysis.metrics.index.tolist() == expected


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ([1, 9], r"1 of 2 units of the filter are not in this session; there is no unit 9"),
        ({"structure": "VISp"}, r"units have no column 'structure' to filter by: did you mean"),
        ({"snr": 99.0}, r"no unit of session 42 passes the filter \{'snr': 99.0\}"),
    ],
)
def test_filter__that_cannot_be_met(session: EcephysSession, chosen: Any, message: str) -> None:
    with pytest.raises(NotFoundError, match=message):
        _ = sa.Flashes(session, filter=chosen).unit_ids


def test_filter__unit_named_twice(session: EcephysSession) -> None:
    with pytest.raises(InvalidArgumentError, match="holds a unit more than once"):
        _ = sa.Flashes(session, filter=[1, 1]).unit_ids


@pytest.mark.parametrize("duration", [None, -1.0])
def test_trial_duration__is_needed(session: EcephysSession, duration: float | None) -> None:
    with pytest.raises(TypeError, match=r"trial_duration is (None|-1\.0); pass the duration"):
        _ = sa.Flashes(session, trial_duration=duration).metrics


def test_stimulus_key__is_found_given_or_in_params(session: EcephysSession) -> None:
    assert sa.NaturalMovies(session).stim_table["stimulus_name"].unique() == "natural_movie_three"
    given = sa.DriftingGratings(session, stimulus_key="drifting_gratings")
    params = {"drifting_gratings": {"stimulus_key": "drifting_gratings"}}
    assert given.metrics.equals(sa.DriftingGratings(session, params=params).metrics)
    with pytest.raises(NotFoundError, match="drifting"):
        _ = sa.DriftingGratings(session, stimulus_key="drifting_grating").stim_table
    with pytest.raises(NotFoundError, match=r"session 42 has no natural scenes; it has spontane"):
        _ = sa.NaturalScenes(session).metrics


def test_columns__may_have_other_names(session: EcephysSession) -> None:
    class Renamed(Lab):
        def get_stimulus_presentations(self) -> pd.DataFrame:
            names = {"x_position": "across", "y_position": "up"}
            return super().get_stimulus_presentations().rename(columns=names)

    renamed = sa.ReceptiveFieldMapping(Renamed(), col_pos_x="across", col_pos_y="up")
    plain = sa.ReceptiveFieldMapping(session)
    pd.testing.assert_frame_equal(renamed.metrics, plain.metrics)
    assert renamed.receptive_fields["spike_counts"].dims == ("up", "across", "unit_id")
    with pytest.raises(NotFoundError, match=r"gabors has no parameter 'across'"):
        _ = sa.ReceptiveFieldMapping(session, col_pos_x="across").metrics


def test_spontaneous__longer_than_the_threshold(session: EcephysSession) -> None:
    assert len(sa.Flashes(session).stim_table_spontaneous) == 1
    assert len(sa.Flashes(session, spontaneous_threshold=1.0).stim_table_spontaneous) == 2


# ---- what they give


@pytest.mark.parametrize(
    "make",
    [
        sa.DriftingGratings, sa.StaticGratings, sa.NaturalMovies, sa.Flashes,
        sa.ReceptiveFieldMapping,
    ],
)  # fmt: skip
def test_metrics__have_the_columns_and_types_listed(session: EcephysSession, make: Any) -> None:
    analysis = make(session)
    metrics = analysis.metrics
    assert metrics.index.name == "unit_id"
    assert list(metrics) == analysis.metrics_names == list(analysis.empty_metrics_table())
    assert [np.dtype(t) for t in analysis.metrics_dtypes] == metrics.dtypes.tolist()
    assert analysis.metrics is metrics
    assert analysis.total_presentations == len(analysis.stim_table)


def test_presentationwise_statistics__agree_with_the_session(session: EcephysSession) -> None:
    analysis = sa.Flashes(session, filter=[2, 1])
    table = analysis.presentationwise_statistics
    assert table.index.names == ["stimulus_presentation_id", "unit_id"]
    first = analysis.stim_table.index[0]
    counts = session.presentationwise_spike_counts([0, 0.25], [first], [2, 1]).values.ravel()
    assert table.loc[first, "spike_counts"].tolist() == counts.tolist()
    speeds = analysis.running_speed["running_speed"]
    assert table.loc[first, "running_speed"].tolist() == [speeds[first]] * 2


def test_receptive_field__rows_from_the_top(session: EcephysSession) -> None:
    analysis = sa.ReceptiveFieldMapping(session)
    field = analysis.get_receptive_field(3)
    assert field.shape == (3, 3)
    assert field.dtype.kind == "i"
    table = analysis.stim_table
    top_left = table.index[(table["x_position"] == -10) & (table["y_position"] == 10)]
    counts = session.presentationwise_spike_counts([0, 0.249], top_left, [3])
    assert field[0, 0] == int(counts.sum())
    with pytest.raises(NotFoundError, match="there is no unit 9 here"):
        analysis.get_receptive_field(9)


def test_receptive_field__seed_is_the_test_s(session: EcephysSession) -> None:
    first, same, other = (sa.ReceptiveFieldMapping(session, seed=n).metrics for n in (1, 1, 2))
    pd.testing.assert_frame_equal(first, same)
    assert not first["p_value_rf"].equals(other["p_value_rf"])


def test_timescale__of_several_units(session: EcephysSession) -> None:
    with pytest.raises(InvalidArgumentError, match="lags have a correlation"):
        sa.Flashes(session, trial_duration=0.06).get_intrinsic_timescale([1, 2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: functions.overall_firing_rate([0.0], [1.0, 2.0], []), "1 start_times and 2 stop"),
        (lambda: functions.running_modulation([1.0], [], 1.0), "1 spike_counts and 0 running"),
        (lambda: functions.osi([0.0], [1.0, 2.0]), "1 orivals and 2 tuning"),
        (lambda: functions.dsi([], []), "0 orivals and 0 tuning"),
        (lambda: functions.c50([0.1, 0.2], []), "2 contrasts and 0 responses"),
    ],
)
def test_functions__of_arrays_that_do_not_fit_are_nan(call: Any, message: str) -> None:
    with pytest.warns(UserWarning, match=f"there are {message}") as caught:
        assert np.isnan(call()).all()
    assert caught[0].filename == __file__


@pytest.mark.parametrize("harmonic", [1, 2])
def test_osi_and_dsi__are_the_vector_sums_of_any_angles(harmonic: int, rng: Any) -> None:
    angles, tuning = rng.uniform(0, 2 * np.pi, 5), rng.uniform(0, 9, 5)
    function = {1: functions.dsi, 2: functions.osi}[harmonic]
    expected = abs((tuning * np.exp(1j * harmonic * angles)).sum()) / tuning.sum()
    assert function(angles + 0j, tuning) == pytest.approx(expected)
    assert np.isnan(function(angles, np.where(tuning == tuning.max(), np.nan, tuning)))
    assert np.isnan(function(angles, np.zeros(5)))


def test_get_sfdi__is_one_without_noise_and_falls_with_it(rng: Any) -> None:
    means = np.array([1.0, 4.0, 2.0])
    assert functions.get_sfdi(means, np.ones(9), 3) == 1.0
    # nine trials of squared deviation 4, six degrees of freedom
    noise = 2 * np.array([1.0, -1] * 4 + [0])
    assert functions.get_sfdi(means, noise, 3) == pytest.approx(3 / (3 + 2 * np.sqrt(32 / 6)))


SF = 0.02 * 2.0 ** np.arange(5)


@pytest.mark.parametrize("center", [1.2, 2.0, 2.7])
def test_fit_sf_tuning__finds_the_peak_and_lower_half_of_a_gaussian(center: float) -> None:
    width = 0.5
    tuning = 7 * np.exp(-((np.arange(5) - center) ** 2) / (2 * width**2))
    index, frequency, low, high = functions.fit_sf_tuning(tuning, SF, round(center))
    assert index == pytest.approx(center)
    assert frequency == pytest.approx(0.02 * 2**center)
    # cutoffs are read off a curve in steps of 0.1 octaves
    half = center - width * np.sqrt(2 * np.log(2))
    assert np.log2(low / 0.02) == pytest.approx(half, abs=0.06)
    assert np.isnan(high)


def test_fit_sf_tuning__of_the_first_or_last_has_one_cutoff() -> None:
    tuning = 3 * np.exp(-np.arange(5.0))
    index, frequency, low, high = functions.fit_sf_tuning(tuning, SF, 0)
    assert (index, frequency) == (0, SF[0])
    assert np.isnan(low)
    assert np.log2(high / 0.02) == pytest.approx(np.log(2), abs=0.06)
    index, frequency, low, high = functions.fit_sf_tuning(tuning[::-1], SF, 4)
    assert (index, frequency) == (4, SF[4])
    assert SF[0] < low < SF[4]
    assert np.isnan(high)


@pytest.mark.parametrize("pref", [0, 2])
def test_fit_sf_tuning__of_unknown_responses_is_nan(pref: int) -> None:
    index, frequency, low, high = functions.fit_sf_tuning(np.full(5, np.nan), SF, pref)
    expected = (0.0, 0.02) if pref == 0 else (np.nan, np.nan)
    assert np.array_equal([index, frequency], expected, equal_nan=True)
    assert np.isnan([low, high]).all()


def test_running_speed__does_not_need_a_trial_duration(session: EcephysSession) -> None:
    analysis = sa.StimulusAnalysis(session, stimulus_key="flashes")
    expected = sa.Flashes(session).running_speed
    pd.testing.assert_frame_equal(analysis.running_speed, expected)
    assert expected["running_speed"].notna().all()


def test_functions__refuse_what_does_not_fit() -> None:
    with pytest.raises(InvalidArgumentError, match="a decay needs all of at least three"):
        functions.fit_exp(np.full((2, 3, 3), np.nan))
    assert fields.gaussian_moments_2d(np.zeros((9, 9))) is None
    assert fields.fit_2d_gaussian(np.zeros((9, 9)))[1] is False
    assert isinstance(fields.convert_pixels_to_degrees(2.5), float)


def test_get_fr__several_spikes_in_a_bin_count_once() -> None:
    once = functions.get_fr([1.0, 2.0])
    assert once.shape == (93,)
    np.testing.assert_array_equal(once, functions.get_fr([1.0, 1.01, 2.0, 2.02]))
    assert once.sum() == pytest.approx(2.0)
    assert once.argmax() == 30


@pytest.mark.parametrize("spike", [3.2, -0.1])
def test_get_fr__spike_outside_the_sweep(spike: float) -> None:
    with pytest.raises(InvalidArgumentError, match=f"a spike at {spike:g} s is outside the sweep"):
        functions.get_fr([1.0, spike])


def test_convert__gives_degrees_from_the_centre_of_gaze() -> None:
    assert fields.convert_azimuth_to_degrees([0, 4, 8]).tolist() == [10, 50, 90]
    assert fields.convert_elevation_to_degrees([0, 4, 8]).tolist() == [50, 10, -30]
    assert fields.convert_pixels_to_degrees(2.5) == 25
    assert fields.convert_pixels_to_degrees(2, 5) == 10
    assert fields.convert_pixel_area_to_degrees(3) == 300


# ---- what they draw


@pytest.mark.parametrize(
    ("make", "n_panels"),
    [(sa.DriftingGratings, 4), (sa.StaticGratings, 4), (sa.Flashes, 2),
     (sa.ReceptiveFieldMapping, 9)],
)  # fmt: skip
def test_plot_conditionwise_raster__one_panel_a_condition(
    session: EcephysSession, figure: Any, make: Any, n_panels: int
) -> None:
    make(session).plot_conditionwise_raster(2)
    assert len(figure.axes) == n_panels


def test_plots__of_gratings(session: EcephysSession, figure: Any) -> None:
    drifting, static = sa.DriftingGratings(session), sa.StaticGratings(session)
    assert drifting.make_star_plot(2).name == "polar"
    assert static.make_fan_plot(2).name == "polar"
    for analysis in (drifting, static):
        figure.clear()
        plt.figure(figure.number)
        analysis.plot_response_summary(2)
        assert len(figure.axes) == 2


def test_plot_rf__elevation_upwards(session: EcephysSession, figure: Any) -> None:
    ax = sa.ReceptiveFieldMapping(session).plot_rf(2)
    assert ax.get_ylim()[0] < ax.get_ylim()[1]
    assert ax.figure is figure


def test_plots__that_are_not_offered_say_so(session: EcephysSession) -> None:
    with pytest.raises(NotImplementedError, match="plot_response is not offered: draw condition"):
        sa.Flashes(session).plot_response(2)
    with pytest.raises(NotImplementedError, match="NaturalMovies has no raster by condition"):
        sa.NaturalMovies(session).plot_conditionwise_raster(2)
