"""Time the analyses that are run every week on one session, beside the obvious implementations.

    python benchmarks/weekly.py --session FILE [ROW ...]

A row is a function below: it prepares the input of both sides and returns them, with the share of
the work that the obvious side does (1 where it does all); its seconds are extrapolated from that
share, its answer is compared where it has one. Each row runs in a process of its own, ours first,
so that the peak memory is ours. Without --session, a full-size simulated session is made, 1.6 GB.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.ndimage
import scipy.signal
import xarray as xr

from spikehouse import analysis, compute_design_matrix, lfp
from spikehouse.session import EcephysSession
from spikehouse.spikes import count_events


@dataclass
class Row:
    """Two ways to the same answer."""

    ours: Callable[[], Any]
    obvious: Callable[[], Any]
    # part of the work that the obvious side does
    share: float = 1.0
    # fails where the answers differ
    compare: Callable[[Any, Any], None] | None = None


def running_of_presentations(session: EcephysSession) -> Row:
    """Average the running speed in every presentation; obvious: a mask of the samples for each."""
    shown, running = session.stimulus_presentations, session.running_speed
    few = shown.iloc[:: len(shown) // 200]

    def select() -> list[float]:
        start, velocity = running["start_time"], running["velocity"]
        return [
            velocity[(start >= first) & (start < last)].mean()
            for first, last in few[["start_time", "stop_time"]].to_numpy()
        ]

    def compare(ours: Any, obvious: Any) -> None:
        np.testing.assert_allclose(ours[few.index], obvious, atol=1e-8)

    return Row(
        lambda: analysis.compute_trace_means(running, shown, definition="published"),
        select, len(few) / len(shown), compare,
    )  # fmt: skip


def behavior_of_presentations(session: EcephysSession) -> Row:
    """Average running, pupil and gaze in every presentation, from the file; obvious: with masks."""
    shown = session.stimulus_presentations
    few = shown.iloc[:: len(shown) // 200]

    def select() -> None:
        pupil, gaze = session.get_pupil_data(), session.get_screen_gaze_data(True)
        assert pupil is not None
        assert gaze is not None
        running = session.running_speed.set_index("start_time")
        for first, last in few[["start_time", "stop_time"]].to_numpy():
            for table in (running, pupil, gaze):
                table[(table.index >= first) & (table.index < last)].mean()

    return Row(lambda: analysis.summarize_behavior(session, shown), select, len(few) / len(shown))


def states_of_running(session: EcephysSession) -> Row:
    """Find running and resting; obvious: a loop over the samples."""
    running = session.running_speed

    def loop() -> list[str | None]:
        state, found = None, []
        for speed in running["velocity"]:
            state = "run" if speed >= 1.0 else "rest" if speed < 0.5 else state
            found.append(state)
        return found

    def compare(ours: Any, obvious: Any) -> None:
        middle = (running["start_time"] + running["end_time"]) / 2
        of = np.searchsorted(ours["start_time"], middle, side="right") - 1
        is_inside = (of >= 0) & (middle < ours["stop_time"].to_numpy()[np.maximum(of, 0)])
        labels = ours["state"].to_numpy()[of[is_inside]]
        assert (labels == np.array(obvious, dtype=object)[is_inside]).all()

    return Row(lambda: analysis.find_states(running), loop, 1.0, compare)


def running_around_events(session: EcephysSession) -> Row:
    """Average the speed around every presentation; obvious: interpolated at the bins of each."""
    running, edges = session.running_speed, np.arange(-0.5, 2.01, 0.1)
    onsets = session.stimulus_presentations["start_time"]
    few = onsets[:: len(onsets) // 2000]

    def interpolate() -> Any:
        centres = (edges[:-1] + edges[1:]) / 2
        time_, speed = running["start_time"].to_numpy(), running["velocity"].to_numpy()
        return np.mean([np.interp(onset + centres, time_, speed) for onset in few], axis=0)

    return Row(
        lambda: analysis.compute_triggered_average(running, onsets, bin_edges=edges),
        interpolate, len(few) / len(onsets),
    )  # fmt: skip


def layers_of_units(session: EcephysSession) -> Row:
    """Place units between the ends of the cortex; obvious: a search of the channels for each."""
    units, channels = session.units, session.channels

    def search() -> list[float]:
        found = []
        for _, unit in units.iterrows():
            own = channels[channels["probe_id"] == unit["probe_id"]]
            is_cortex = own["ecephys_structure_acronym"].fillna("").str.startswith("VIS")
            heights = own["probe_vertical_position"][is_cortex]
            place = heights.max() - unit["probe_vertical_position"]
            is_inside = str(unit["ecephys_structure_acronym"]).startswith("VIS")
            found.append(place / np.ptp(heights) if is_inside else np.nan)
        return found

    def compare(ours: Any, obvious: Any) -> None:
        known = ours["cortical_depth"].notna()
        np.testing.assert_allclose(ours["cortical_depth"][known], np.array(obvious)[known])

    return Row(lambda: analysis.compute_cortical_layers(units, channels), search, 1.0, compare)


def modes_of_waveforms(session: EcephysSession) -> Row:
    """Test durations for two modes; obvious: scipy's density of 5 of 500 samples."""
    from scipy.stats import gaussian_kde

    durations = session.units["waveform_duration"].dropna().to_numpy()
    grid = np.linspace(durations.min(), durations.max(), 512)

    def smooth() -> None:
        rng = np.random.default_rng(0)
        for _ in range(5):
            gaussian_kde(rng.choice(durations, len(durations)), 0.3)(grid)

    return Row(lambda: analysis.compute_bimodality(durations), smooth, 5 / 500)


def residuals(session: EcephysSession) -> tuple[Any, Any, pd.DataFrame]:
    """Return residual counts of images, the counts, and the presentations."""
    shown = session.get_stimulus_table("natural_scenes")
    counts = compute_design_matrix(session, session.units.index, shown)
    return analysis.compute_residual_counts(counts, shown["frame"]), counts, shown


def residual_counts(session: EcephysSession) -> Row:
    """Subtract the means of images and slow drift; obvious: one regression on all of these."""
    _, counts, shown = residuals(session)
    n, n_waves = len(counts), 2 * len(counts) // 100
    waves = np.cos(np.pi * (np.arange(n)[:, None] + 0.5) / n * np.arange(1, n_waves + 1))
    predictors = np.hstack([pd.get_dummies(shown["frame"]).to_numpy(np.float64), waves])

    def regress() -> Any:
        values = counts.to_numpy().astype(float)
        return values - predictors @ np.linalg.lstsq(predictors, values, rcond=None)[0]

    return Row(
        lambda: analysis.compute_residual_counts(counts, shown["frame"], slower_than=100),
        regress, 1.0, lambda ours, obvious: np.testing.assert_allclose(ours, obvious, atol=1e-8),
    )  # fmt: skip


def correlations_by_area_and_distance(session: EcephysSession) -> Row:
    """Average correlations of all pairs, with errors over units; obvious: a loop over pairs."""
    _, counts, shown = residuals(session)
    noise = analysis.compute_noise_correlations(counts, shown["frame"])
    units = session.units
    few = units.index[:60]

    def loop() -> Any:
        rows = []
        for place, one in enumerate(few):
            for other in few[place + 1 :]:
                a, b = units.loc[one], units.loc[other]
                distance = abs(a["probe_vertical_position"] - b["probe_vertical_position"])
                areas = sorted([a["ecephys_structure_acronym"], b["ecephys_structure_acronym"]])
                value = float(noise.sel(unit_id=one, other_unit_id=other))
                rows.append((*areas, distance // 100, value))
        return pd.DataFrame(rows).groupby([0, 1, 2])[3].agg(["mean", "sem", "size"])

    share = len(few) * (len(few) - 1) / (len(units) * (len(units) - 1))
    return Row(
        lambda: analysis.summarize_correlations(noise, units, by=["area", "probe_distance_um"]),
        loop, share,
    )  # fmt: skip


def make_field(session: EcephysSession, n_channels: int) -> tuple[xr.DataArray, dict[int, Any]]:
    """Make a field of the session's length at 1250 Hz, and list the spikes of one probe's units."""
    units = session.units
    probe = units["probe_id"].value_counts().index[0]
    spikes = {
        int(unit): session.spike_times[unit] for unit in units.index[units["probe_id"] == probe]
    }
    n = int(1250 * max(train[-1] for train in spikes.values()))
    noise = np.random.default_rng(0).standard_normal((n, n_channels), dtype=np.float32)
    field = 1e-5 * (noise + scipy.ndimage.uniform_filter1d(noise, 125, axis=0) * 50)
    coords = {"time": np.arange(n) / 1250, "channel": np.arange(n_channels)}
    return xr.DataArray(field, coords, ("time", "channel")), spikes


def phases_at_spikes(session: EcephysSession) -> Row:
    """Phases of theta at a probe's spikes; obvious: filter the trace, look up unit by unit."""
    field, spikes = make_field(session, 1)

    def ours() -> Any:
        return lfp.compute_phase_consistency(
            lfp.compute_spike_phases(field, spikes, list(spikes), band=(4, 10)), list(spikes)
        )["ppc"]

    def obvious() -> list[float]:
        sections = scipy.signal.butter(3, (4, 10), "bandpass", fs=1250, output="sos")
        trace = field.to_numpy()[:, 0].astype(float)
        angle = np.unwrap(np.angle(scipy.signal.hilbert(scipy.signal.sosfiltfilt(sections, trace))))
        found = []
        for train in spikes.values():
            n = len(train)
            total = abs(np.exp(1j * np.interp(train, field["time"].to_numpy(), angle)).sum())
            found.append((total**2 - n) / (n * (n - 1)))
        return found

    return Row(ours, obvious, 1.0, lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3))


def field_around_spikes(session: EcephysSession) -> Row:
    """Mean field of four channels around a probe's spikes; obvious: cut out every window."""
    field, spikes = make_field(session, 4)
    few = dict(list(spikes.items())[::20])
    share = sum(map(len, few.values())) / sum(map(len, spikes.values()))
    values = field.to_numpy()

    def obvious() -> list[Any]:
        found = []
        for train in few.values():
            rows = np.rint(train * 1250).astype(int)
            rows = rows[(rows >= 125) & (rows + 125 <= len(values))]
            found.append(np.mean([values[row - 125 : row + 125] for row in rows], axis=0))
        return found

    def compare(ours: Any, theirs: Any) -> None:
        np.testing.assert_allclose(ours.sel(unit_id=list(few))["mean"], theirs, atol=1e-6)

    return Row(
        lambda: lfp.compute_spike_triggered_lfp(field, spikes, list(spikes)),
        obvious,
        share,
        compare,
    )


def ripples(session: EcephysSession) -> Row:
    """Ripples of one channel; obvious: the envelope alone, of the whole trace at once."""
    field, _ = make_field(session, 1)

    def obvious() -> Any:
        sections = scipy.signal.butter(6, (120, 250), "bandpass", fs=1250, output="sos")
        trace = field.to_numpy()[:, 0].astype(float)
        return np.abs(scipy.signal.hilbert(scipy.signal.sosfiltfilt(sections, trace)))

    return Row(lambda: lfp.find_ripples(field), obvious)


def counts_around_events(session: EcephysSession) -> Row:
    """Count in two bins around every presentation; obvious: searchsorted of each unit."""
    onsets, trains = session.stimulus_presentations["start_time"], session.spike_times
    bins, units = np.array([(-0.1, 0.0), (0.05, 0.15)]), session.units.index

    def search() -> Any:
        edges = onsets.to_numpy()[:, np.newaxis, np.newaxis] + bins
        counts = [np.diff(np.searchsorted(trains[unit], edges))[..., 0] for unit in units]
        return np.stack(counts, axis=-1)

    def compare(ours: Any, obvious: Any) -> None:
        np.testing.assert_array_equal(ours, obvious)

    for unit in units:  # both sides have the spikes in memory
        trains[unit]
    return Row(lambda: count_events(session, units, onsets, bins), search, 1.0, compare)


def shared_variance(session: EcephysSession) -> Row:
    """Find the number of factors; obvious: scikit-learn's cross_val_score."""
    residual = residuals(session)[0]
    values = residual.to_numpy()
    values = values[:, values.std(axis=0) > 0]
    values = values / values.std(axis=0)

    def score() -> Any:
        from sklearn.decomposition import FactorAnalysis
        from sklearn.model_selection import KFold, cross_val_score

        return cross_val_score(FactorAnalysis(16), values, cv=KFold(4)).mean()

    return Row(lambda: analysis.compute_shared_variance(residual), score, 1 / 13)


def communication(session: EcephysSession) -> Row:
    """Predict one half of the units from the other; obvious: a regression by fold and rank."""
    residual = residuals(session)[0]
    half = residual.sizes["unit_id"] // 2
    source, target = residual[:, :half], residual[:, half:]
    rank, n_folds = 10, 10

    def regress() -> Any:
        x, y = source.to_numpy(), target.to_numpy()
        test, train = np.split(np.arange(len(x)), [len(x) // n_folds])
        weights = np.linalg.lstsq(x[train], y[train], rcond=None)[0]
        axes = np.linalg.svd(x[train] @ weights, full_matrices=False)[2][:rank]
        return ((y[test] - x[test] @ weights @ axes.T @ axes) ** 2).mean()

    return Row(
        lambda: analysis.compute_communication(source, target),
        regress, 1 / (n_folds * (half + 1)),
    )  # fmt: skip


def movie_repeats(session: EcephysSession) -> dict[str, Any]:
    """Return counts of seconds of a movie, as the functions of repeats take them."""
    movie = session.get_stimulus_table("natural_movie_one")
    return {
        "counts": compute_design_matrix(session, session.units.index, movie),
        "conditions": movie["frame"] // 30,
        "repeats": movie.groupby(["stimulus_block", "frame"]).cumcount(),
        "blocks": movie["stimulus_block"],
    }


def stack(shown: dict[str, Any]) -> Any:
    """Average the counts of each repeat and condition: (n_repeats, n_conditions, n_units)."""
    labels = [np.asarray(shown[name]) for name in ("blocks", "repeats", "conditions")]
    means = pd.DataFrame(shown["counts"].to_numpy()).groupby(labels).mean()
    return means.to_numpy().reshape(-1, len(np.unique(labels[2])), means.shape[1])


def representational_drift(session: EcephysSession) -> Row:
    """Correlate population vectors of all repeats; obvious: np.corrcoef for every two vectors."""
    shown = movie_repeats(session)

    def loop() -> Any:
        values = stack(shown)
        pairs = zip(*np.triu_indices(len(values), 1), strict=True)
        return [
            np.nanmean([np.corrcoef(a, b)[0, 1] for a, b in zip(values[i], values[j], strict=True)])
            for i, j in pairs
        ]

    def compare(ours: Any, obvious: Any) -> None:
        np.testing.assert_allclose(ours["population_vector"], obvious, atol=1e-8)

    return Row(lambda: analysis.compute_representational_drift(**shown), loop, 1.0, compare)


def split_half_reliability(session: EcephysSession) -> Row:
    """Correlate 50 halvings of repeats, 201 times; obvious: np.corrcoef for each."""
    shown = movie_repeats(session)
    n_units = shown["counts"].shape[1]

    def loop() -> None:
        rng, values = np.random.default_rng(0), stack(shown)
        for unit in range(5):
            for _ in range(201):
                rolled = np.array(
                    [np.roll(own, rng.integers(own.size)) for own in values[..., unit]]
                )
                for _ in range(50):
                    one, other = np.array_split(rolled[rng.permutation(len(rolled))], 2)
                    np.corrcoef(one.mean(axis=0), other.mean(axis=0))

    return Row(lambda: analysis.compute_split_half_reliability(**shown), loop, 5 / n_units)


ROWS = {
    row.__name__: row
    for row in (
        running_of_presentations,
        behavior_of_presentations,
        states_of_running,
        running_around_events,
        layers_of_units,
        modes_of_waveforms,
        residual_counts,
        correlations_by_area_and_distance,
        shared_variance,
        communication,
        representational_drift,
        split_half_reliability,
        phases_at_spikes,
        field_around_spikes,
        ripples,
        counts_around_events,
    )
}


def measure(name: str, path: Path) -> str:
    """Measure one row in this process, and write it as a row of the table."""
    warnings.simplefilter("ignore")
    with EcephysSession.from_nwb_path(path) as session:
        row = ROWS[name](session)
        begin = time.perf_counter()
        ours = row.ours()
        seconds = time.perf_counter() - begin
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        begin = time.perf_counter()
        obvious = row.obvious()
        others = (time.perf_counter() - begin) / row.share
        if row.compare is not None:
            row.compare(ours, obvious)
    return f"| {name} | {seconds:.2f} s | {peak:.0f} MB | {others:.1f} s | {others / seconds:.1f} |"


def main() -> None:
    """Measure rows, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"all if none: {', '.join(ROWS)}")
    parser.add_argument("--session", type=Path)
    parser.add_argument("--here", action="store_true", help="one row, in this process")
    given = parser.parse_args()
    path = given.session
    if path is None:
        from spikehouse.demo import Survey

        path = Survey(size="full").session_file(900000001)
    unknown = set(given.rows) - set(ROWS)
    if unknown:
        parser.error(f"there is no row {', '.join(sorted(unknown))}; rows are {', '.join(ROWS)}")
    if given.here:
        print(measure(given.rows[0], path))
        return
    print(
        "| analysis | ours | peak memory | obvious | ratio |\n| --- | --- | --- | --- | --- |",
        flush=True,
    )
    for name in given.rows or ROWS:
        command = [sys.executable, __file__, name, "--here", "--session", str(path)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
