"""The session view, on a simulated session and on a file that AllenSDK's writer made."""

from __future__ import annotations

import shutil
import warnings
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from spikehouse.demo import Survey
from spikehouse.errors import InvalidArgumentError, NotFoundError
from spikehouse.session import EcephysSession
from spikehouse.spikes import compute_design_matrix, count_events

pytestmark = [
    pytest.mark.filterwarnings("ignore:spikes are missing or wrong:UserWarning"),
    pytest.mark.filterwarnings("ignore:.* windows run into the next one:UserWarning"),
]


SIMULATED, WRITTEN = 900000002, 999000001
KNOWN = {
    SIMULATED: {
        "num_units": 16,
        "num_stimulus_presentations": 312,
        "structure_acronyms": ["TH", "LP", "DG", "CA1", "VISam", None, "LGd", "CA3", "VISp"],
        "counts": {"VISp": 6, "VISam": 3, "LGd": 3, "CA1": 2, "TH": 1, "DG": 1},
        "all units": 40,
        "lfp": (22826, 24),
    },
    WRITTEN: {
        "num_units": 24,
        "num_stimulus_presentations": 1704,
        "structure_acronyms": [None, "CA1", "VISp", "CA3", "VISl"],
        "counts": {"VISl": 8, "CA3": 6, "CA1": 5, "VISp": 5},
        "all units": 72,
        "lfp": (71250, 16),
    },
}


@pytest.fixture(scope="module", params=[SIMULATED, WRITTEN], ids=["simulated", "written"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a session file beside which the LFP of the first of its two probes lies."""
    if request.param == WRITTEN:
        return Path(request.getfixturevalue("shared_session_path"))
    survey: Survey = request.getfixturevalue("survey")
    lfp_path = survey.lfp_file(int(survey.read_plan(SIMULATED).probes.index[0]))
    folder = tmp_path_factory.mktemp("session")
    shutil.copy(lfp_path, folder)
    return Path(shutil.copy(survey.session_file(SIMULATED), folder))


@pytest.fixture(scope="module")
def session(path: Path) -> EcephysSession:
    return EcephysSession.from_nwb_path(path)


def test_from_nwb_path__unknown_option(session_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"'isi_violation_maximum': did you mean 'isi_v"):
        EcephysSession.from_nwb_path(session_path, api_kwargs={"isi_violation_maximum": 0.5})


def test_from_nwb_path__nwb_1(session_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="nwb_version is 1; only 2 is supported"):
        EcephysSession.from_nwb_path(session_path, nwb_version=1)


def test_metadata__without_a_cache(session: EcephysSession) -> None:
    known = KNOWN[session.ecephys_session_id]
    for name in ("num_units", "num_stimulus_presentations", "structure_acronyms"):
        assert session.metadata[name] == known[name]
    assert session.structurewise_unit_counts.to_dict() == known["counts"]


@pytest.mark.parametrize("is_simulated", [True, False])
def test_is_simulated__the_file_decides(
    session_path: Path, tmp_path: Path, is_simulated: bool
) -> None:
    path = tmp_path / "session.nwb"
    shutil.copy(session_path, path)
    if not is_simulated:
        with h5py.File(path, "r+") as file:
            for name in ("general/institution", "session_description"):
                del file[name]
            file["general/institution"] = "Allen Institute"
    with EcephysSession.from_nwb_path(path) as session:
        assert session.is_simulated is is_simulated
        title = repr(session).splitlines()[0]
        assert title.endswith("(brain_observatory_1.1): simulated data") is is_simulated
        assert ("simulated data" in session._repr_html_()) is is_simulated


def test_units__no_limits(path: Path) -> None:
    everything = EcephysSession.from_nwb_path(
        path,
        api_kwargs={
            "amplitude_cutoff_maximum": None,
            "presence_ratio_minimum": None,
            "isi_violations_maximum": None,
            "filter_by_validity": False,
            "filter_out_of_brain_units": False,
        },
    )
    assert everything.num_units == KNOWN[everything.ecephys_session_id]["all units"]


def test_spike_times__warns_once_about_invalid_intervals(path: Path) -> None:
    session = EcephysSession.from_nwb_path(path)
    with pytest.warns(UserWarning, match=r"see session\.invalid_times"):
        assert len(session.spike_times) == session.num_units
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(session.spike_times) == session.num_units


@pytest.mark.parametrize("call", ["presentationwise_spike_times", "presentationwise_spike_counts"])
def test_presentationwise__unknown_and_repeated_ids(session: EcephysSession, call: str) -> None:
    first = [] if call == "presentationwise_spike_times" else [[0.0, 1.0]]
    ask = getattr(session, call)
    with pytest.raises(
        NotFoundError, match=r"1 of 2 stimulus_presentation_ids.*no presentation 90"
    ):
        ask(*first, [1, 9000], None)
    with pytest.raises(NotFoundError, match=r"there is no unit 12: did you mean 9\d+"):
        ask(*first, [1], [12])
    with pytest.raises(InvalidArgumentError, match="holds 3 more than once"):
        ask(*first, [3, 3], None)


def test_presentationwise_spike_counts__scalar_ids_and_empty_selections(
    session: EcephysSession,
) -> None:
    unit = int(session.units.index[0])
    assert session.presentationwise_spike_counts([0, 1], 5, unit).shape == (1, 1, 1)
    assert session.presentationwise_spike_counts([0, 1], [], [unit]).shape == (0, 1, 1)
    assert session.presentationwise_spike_counts([0, 1], [5], []).shape == (1, 1, 0)
    assert len(session.presentationwise_spike_times([], [unit])) == 0


def test_presentationwise_spike_counts__labels(session: EcephysSession) -> None:
    counts = session.presentationwise_spike_counts([-0.1, 0.0, 0.2], [80, 75], None)
    assert counts.name == "spike_counts"
    assert counts.dims == (
        "stimulus_presentation_id", "time_relative_to_stimulus_onset", "unit_id",
    )  # fmt: skip
    assert counts["stimulus_presentation_id"].values.tolist() == [80, 75]
    assert counts["time_relative_to_stimulus_onset"].values.tolist() == [-0.05, 0.1]
    assert counts["unit_id"].values.tolist() == session.units.index.tolist()
    again = session.presentationwise_spike_counts([-0.1, 0.0, 0.2], [75, 80], None)
    assert (counts.sel(stimulus_presentation_id=75) == again.sel(stimulus_presentation_id=75)).all()


def test_presentationwise_spike_counts__gaps(session: EcephysSession) -> None:
    flashes = session.get_stimulus_table("flashes").index
    gaps, edges = [(-0.1, 0.0), (0.05, 0.1), (0.2, 0.3)], [-0.1, 0.0, 0.05, 0.1, 0.2, 0.3]
    ask = session.presentationwise_spike_counts
    without = ask(edges, flashes)[:, [0, 2, 4]]
    counts = ask(gaps, flashes)
    xr.testing.assert_allclose(counts.drop_vars(["window_start", "window_stop"]), without)
    around = count_events(session, session.units.index, session.get_stimulus_table("flashes"), gaps)
    xr.testing.assert_equal(counts, around.drop_vars("onset_time"))
    for mean_over in ("presentations", "conditions"):
        means = ask(gaps, flashes, mean_over=mean_over)
        expected = ask(edges, flashes, mean_over=mean_over)
        np.testing.assert_array_equal(means, expected[..., [0, 2, 4], :])
        assert means["window_stop"].values.tolist() == [0.0, 0.1, 0.3]
    late = ask(gaps, flashes, time_domain_callback=lambda domain: domain + 0.1)
    np.testing.assert_array_equal(late, ask(np.array(gaps) + 0.1, flashes))
    # neither type nor warnings are about the gaps
    narrow = [(-100.0, -99.9995), (0.0, 0.0005)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few = ask(narrow, flashes, dtype="int8", binarize=True)
        assert ask(narrow, flashes, dtype="int8").max() < 5
    assert (few.dtype, few.shape[1]) == (np.int8, 2)
    with pytest.raises(InvalidArgumentError, match=r"\(2, 2\) are intervals, and these overlap"):
        ask([(0.0, 0.2), (0.1, 0.3)], flashes)


def test_presentationwise_spike_counts__binarized_wide_bins_warn(session: EcephysSession) -> None:
    with pytest.warns(UserWarning, match=r"bins of up to 1 s says only whether"):
        counts = session.presentationwise_spike_counts([0, 1], [75], None, binarize=True)
    assert counts.max() <= 1


def test_compute_design_matrix__equals_listed_spikes(session: EcephysSession) -> None:
    table = session.get_stimulus_table("natural_scenes")
    design = compute_design_matrix(session, session.units.index.values, table)
    listed = session.presentationwise_spike_times(table.index.values)
    assert int(design.sum()) == len(listed)
    busiest = listed.groupby(["stimulus_presentation_id", "unit_id"]).size()
    (presentation, unit), n_spikes = busiest.idxmax(), busiest.max()
    assert design.sel(stimulus_presentation_id=presentation, unit_id=unit) == n_spikes


def test_get_stimulus_table__one_stimulus_is_numeric(session: EcephysSession) -> None:
    scenes = session.get_stimulus_table("natural_scenes")
    assert scenes["frame"].dtype == np.float64
    # blank gratings have no orientation, so "null" and object stay
    gratings = session.get_stimulus_table(["drifting_gratings"])
    assert gratings["orientation"].dtype == object
    typed = session.get_stimulus_table(["drifting_gratings"], missing="nan")
    assert typed["orientation"].dtype == np.float64


def test_close__reading_afterwards_raises(path: Path) -> None:
    with EcephysSession.from_nwb_path(path) as session:
        assert session.num_probes == 2
    with pytest.raises(InvalidArgumentError, match="was closed; open the session again"):
        _ = session.units


def test_nwbfile__is_the_same_file_for_pynwb(path: Path) -> None:
    pytest.importorskip("pynwb")
    with warnings.catch_warnings():
        # pynwb comments on the age of the schema in the file
        warnings.simplefilter("ignore")
        with EcephysSession.from_nwb_path(path) as session:
            nwbfile = session.nwbfile
            assert nwbfile.identifier == str(session.ecephys_session_id)
            unit = int(session.units.index[0])
            row = list(nwbfile.units.id[:]).index(unit)
            assert (nwbfile.units["spike_times"][row] == session.spike_times[unit]).all()


def test_get_pupil_data__axes_are_doubled(session: EcephysSession) -> None:
    pupil = session.get_pupil_data()
    assert pupil is not None
    half = session.api.file.read_array("processing/eye_tracking/pupil_ellipse_fits/width")
    np.testing.assert_array_equal(pupil["pupil_width"], 2 * half)
    assert pupil.index.name == "Time (s)"


def test_get_screen_gaze_data__x_is_the_second_column(session: EcephysSession) -> None:
    gaze = session.get_screen_gaze_data(include_filtered_data=True)
    assert gaze is not None
    path = "processing/filtered_gaze_mapping/screen_coordinates/data"
    stored = session.api.file.read_array(path)
    np.testing.assert_array_equal(gaze["filtered_screen_coordinates_x_cm"], stored[:, 1])
    assert not [name for name in session.get_screen_gaze_data() if name.startswith("filtered")]


def test_mean_waveforms__are_labelled(session: EcephysSession) -> None:
    unit = session.units.index[0]
    waveform = session.mean_waveforms[unit]
    assert waveform.shape == (374, 82)
    assert session.units.loc[unit, "peak_channel_id"] in waveform["channel_id"]
    assert len(session.spike_amplitudes[unit]) == len(session.spike_times[unit])


def test_conditionwise_spike_statistics__by_hand(session: EcephysSession) -> None:
    flashes = session.get_stimulus_table("flashes")
    units = session.units.index[:3]
    found = session.conditionwise_spike_statistics(flashes.index, units)
    design = compute_design_matrix(session, units, flashes)
    for condition, rows in flashes.groupby("stimulus_condition_id"):
        counts = design.sel(stimulus_presentation_id=rows.index)
        for unit in units:
            mine = counts.sel(unit_id=unit).values.astype(float)
            row = found.loc[(unit, condition)]
            assert row["spike_count"] == mine.sum()
            assert row["stimulus_presentation_count"] == len(mine)
            assert row["spike_std"] == pytest.approx(mine.std(ddof=1))
    rates = session.conditionwise_spike_statistics(flashes.index, units, use_rates=True)
    assert "spike_count" not in rates


def test_presentationwise_spike_counts__mean_over(session: EcephysSession) -> None:
    flashes = session.get_stimulus_table("flashes")
    edges = [-0.1, 0.0, 0.1, 0.3]
    counts = session.presentationwise_spike_counts(edges, flashes.index, None)
    mean = session.presentationwise_spike_counts(
        edges, flashes.index, None, mean_over="presentations"
    )
    np.testing.assert_array_equal(mean, counts.mean("stimulus_presentation_id").astype(float))
    grouped = session.presentationwise_spike_counts(
        edges, flashes.index, None, mean_over="conditions"
    )
    for condition, rows in flashes.groupby("stimulus_condition_id"):
        expected = counts.sel(stimulus_presentation_id=rows.index).mean("stimulus_presentation_id")
        np.testing.assert_array_equal(grouped.sel(stimulus_condition_id=condition), expected)
    with pytest.raises(InvalidArgumentError, match="it excludes binarize and dtype"):
        session.presentationwise_spike_counts(
            edges, flashes.index, None, binarize=True, mean_over="presentations"
        )
    with pytest.raises(InvalidArgumentError, match="mean_over is 'units'"):
        session.presentationwise_spike_counts(
            edges,
            flashes.index,
            None,
            mean_over="units",  # type: ignore[arg-type]
        )


def test_get_lfp__is_found_beside_the_session(session: EcephysSession) -> None:
    probe_id = session.probes.index[0]
    lfp = session.get_lfp(probe_id)
    assert lfp.dims == ("time", "channel")
    assert lfp.shape == KNOWN[session.ecephys_session_id]["lfp"]
    assert session.get_current_source_density(probe_id).dims == ("virtual_channel_index", "time")


@pytest.mark.parametrize(("place", "n_intervals"), [(0, 2), (1, 1)])
def test_get_lfp__masks_the_invalid_intervals_of_its_probe(
    survey: Survey, place: int, n_intervals: int
) -> None:
    # this simulated session has one interval of probeA, one of all probes and one of the stimulus
    probe_id = int(survey.read_plan(900000002).probes.index[place])
    kwargs = {"probe_lfp_paths": {probe_id: survey.lfp_file(probe_id)}}
    path = survey.session_file(900000002)
    with EcephysSession.from_nwb_path(path, api_kwargs=kwargs) as session:
        masked = session.get_lfp(probe_id).load()
        plain = session.get_lfp(probe_id, mask_invalid_intervals=False).load()
        names = {"all_probes", session.probes.loc[probe_id, "description"]}
        table = session.invalid_times
    times = plain["time"].to_numpy()
    wrong = table[[bool(names & set(tags)) for tags in table["tags"]]]
    inside = [
        (times >= start) & (times <= stop)
        for start, stop in zip(wrong["start_time"], wrong["stop_time"], strict=True)
    ]
    assert len(inside) == n_intervals
    assert all(found.any() for found in inside)
    is_wrong = np.logical_or.reduce(inside)
    assert not np.isnan(plain).any()
    np.testing.assert_array_equal(masked, np.where(is_wrong[:, None], np.nan, plain))


def test_get_lfp__says_what_is_missing(session: EcephysSession) -> None:
    other = session.probes.index[1]
    with pytest.raises(NotFoundError, match=f"no LFP file of probe {other}.*put probe_{other}"):
        session.get_lfp(other)
    with pytest.raises(NotFoundError, match="there is no probe 5 in this session"):
        session.get_lfp(5)


def test_tables__stand_for_their_ids(session: EcephysSession) -> None:
    shown, units = session.get_stimulus_table("flashes"), session.units[:3]
    ids = {"stimulus_presentation_ids": shown.index, "unit_ids": units.index}
    tables = {"stimulus_presentation_ids": shown, "unit_ids": units}
    for ask in (
        session.presentationwise_spike_times, session.conditionwise_spike_statistics,
        partial(session.presentationwise_spike_counts, [0, 0.2]),
    ):  # fmt: skip
        found, expected = (ask(**given) for given in (tables, ids))
        assert found.equals(expected)
    assert session.get_responses("flashes", 0.25, units).unit_ids == units.index.tolist()
    assert session.analyze("flashes", unit_ids=units).index.equals(units.index)
    values = session.get_stimulus_parameter_values(shown)
    assert values.keys() == session.get_stimulus_parameter_values(shown.index).keys()
    probe = session.channels[session.channels["probe_id"] == session.probes.index[0]]
    assert session.channel_structure_intervals(probe)[1][-1] == len(probe)
    lfp = session.get_lfp(session.probes[session.probes["has_lfp_data"].astype(bool)][:1])
    assert lfp.dims == ("time", "channel")
    with pytest.raises(InvalidArgumentError, match="probe_id takes one id, not 2"):
        session.get_lfp(session.probes)
    # of other presentations, moved out of the index
    again = session.presentationwise_spike_times(shown.reset_index(), units)
    assert again.equals(session.presentationwise_spike_times(**ids))
