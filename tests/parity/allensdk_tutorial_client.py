"""The tutorial with AllenSDK's client, checked: ``… EXPECTED_FOLDER HOST CACHE_FOLDER``.

Runs in AllenSDK's environment and knows nothing of this package: what it compares with was
written by ``run_allensdk_tutorial.py``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache

failures: list[str] = []


def check(what: str, agrees: bool, detail: object = "") -> None:
    print(f"{'ok  ' if agrees else 'FAIL'} {what} {detail if not agrees else ''}".rstrip())
    if not agrees:
        failures.append(what)


def read_table(path: Path, index: str = "id") -> pd.DataFrame:
    return pd.read_csv(path, index_col=index, float_precision="round_trip")


def check_table(what: str, found: pd.DataFrame, expected: pd.DataFrame) -> None:
    check(f"{what}: rows", found.index.equals(expected.index), (len(found), len(expected)))
    check(f"{what}: columns", list(found) == list(expected), set(found) ^ set(expected))
    different = [
        name
        for name in expected
        if name in found and not is_same(found[name].to_numpy(), expected[name].to_numpy())
    ]
    check(f"{what}: values", not different, different)


def is_same(found: np.ndarray, expected: np.ndarray) -> bool:
    if len(found) != len(expected):
        return False
    missing = pd.isna(expected)
    is_missing_alike = np.array_equal(pd.isna(found), missing)
    return is_missing_alike and bool(np.all(found[~missing] == expected[~missing]))


def check_tables(cache: EcephysProjectCache, folder: Path, expected_folder: Path) -> None:
    print(cache.get_all_session_types())
    sessions = cache.get_session_table()
    print(sessions)
    probes, channels, units = cache.get_probes(), cache.get_channels(), cache.get_units()
    tables = {}
    for name in ("sessions", "probes", "channels", "units"):
        tables[name] = read_table(expected_folder / f"{name}.csv")
        check_table(f"{name}.csv", read_table(folder / f"{name}.csv"), tables[name])

    good = tables["units"].query(
        "amplitude_cutoff <= 0.1 and presence_ratio >= 0.95 and isi_violations <= 0.5"
        " and quality == 'good'"
    )
    # a unit is kept only if its channel, probe and session are there
    probe_of = tables["channels"]["ecephys_probe_id"]
    session_of = tables["probes"]["ecephys_session_id"]
    of_session = {
        "unit_count": good["ecephys_channel_id"].map(probe_of).map(session_of),
        "channel_count": probe_of.map(session_of),
        "probe_count": session_of,
    }
    for column, owners in of_session.items():
        counted = owners.value_counts().reindex(sessions.index, fill_value=0)
        check(f"session table: {column}", is_same(sessions[column].values, counted.values))
    check("units that pass", set(units.index) == set(good.index), (len(units), len(good)))
    check("channels", len(channels) == len(tables["channels"]))
    check("probes", len(probes) == len(tables["probes"]))
    expected_rates = (
        tables["probes"]["lfp_sampling_rate"] / tables["probes"]["lfp_temporal_subsampling_factor"]
    )
    rates = probes["lfp_sampling_rate"].reindex(expected_rates.index)
    check("lfp sampling rates", bool(np.allclose(rates, expected_rates, rtol=1e-12)))
    genotypes = sessions["full_genotype"].value_counts().to_dict()
    check("genotypes", genotypes == tables["sessions"]["genotype"].value_counts().to_dict())
    print(f"genotypes: {cache.get_all_full_genotypes()}")
    print(f"structures: {cache.get_structure_acronyms()}")
    print(f"ages: {cache.get_all_ages()}, sexes: {cache.get_all_sexes()}")


def check_metrics(
    cache: EcephysProjectCache, folder: Path, expected_folder: Path, session_id: int
) -> None:
    expected = read_metrics(expected_folder, session_id)
    print(cache.get_unit_analysis_metrics_for_session(session_id, annotate=False))
    # the client's own reader of the file is not exact in the last digit
    written = folder / f"session_{session_id}" / f"session_{session_id}_analysis_metrics.csv"
    found = read_table(written, "ecephys_unit_id")
    check_table(f"metrics of {session_id}", found.sort_index(), expected.sort_index())
    annotated = cache.get_unit_analysis_metrics_for_session(session_id)
    units = cache.get_units()
    members = set(units.index[units["ecephys_session_id"] == session_id]) & set(expected.index)
    check("annotated metrics", set(annotated.index) == members, len(annotated))
    sessions = cache.get_session_table()
    for session_type in cache.get_all_session_types():
        ids = sessions.index[sessions["session_type"] == session_type]
        n_units = sum(len(read_metrics(expected_folder, session)) for session in ids)
        by_type = cache.get_unit_analysis_metrics_by_session_type(session_type, annotate=False)
        check(f"metrics of {session_type}: {len(by_type)} units", len(by_type) == n_units, n_units)


def read_metrics(folder: Path, session_id: int) -> pd.DataFrame:
    path = folder / f"session_{session_id}_analysis_metrics.csv"
    metrics = read_table(path, "ecephys_unit_id")
    names = ["p_value_rf", "on_screen_rf"]
    if set(names) <= set(metrics) and metrics["p_value_rf"].dtype == bool:
        # the client exchanges the two where it finds them exchanged
        metrics[names] = metrics[names[::-1]].to_numpy()
        metrics = metrics.astype({"p_value_rf": float})
    return metrics


def check_session(cache: EcephysProjectCache, folder: Path, expected: dict) -> None:
    session_id, probe_id = expected["session_id"], expected["probe_id"]
    session = cache.get_session_data(session_id)
    print(session.metadata)
    print(session.structurewise_unit_counts)
    units = cache.get_units()
    of_session = units[units["ecephys_session_id"] == session_id]
    in_brain = of_session.index[of_session["ecephys_structure_acronym"].notna()]
    check("units of the session", set(session.units.index) == set(in_brain), len(session.units))
    check("spikes", all(len(times) for times in session.spike_times.values()))
    lfp = session.get_lfp(probe_id)
    print(lfp)
    check("lfp is not empty", lfp.size > 0)
    files = {
        "session": folder / f"session_{session_id}" / f"session_{session_id}.nwb",
        "lfp": folder / f"session_{session_id}" / f"probe_{probe_id}_lfp.nwb",
    }
    for number in expected["scenes"]:
        scene = cache.get_natural_scene_template(number)
        check(f"scene {number}", (scene.shape, scene.dtype) == ((918, 1174), np.uint8))
        files[f"scene {number}"] = (
            folder / "natural_scene_templates" / f"natural_scene_{number}.tiff"
        )
    for number in expected["movies"]:
        movie = cache.get_natural_movie_template(number)
        print(f"movie {number}: {movie.shape} {movie.dtype}")
        files[f"movie {number}"] = folder / "natural_movie_templates" / f"natural_movie_{number}.h5"
    for name, path in files.items():
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        check(f"{name}: the bytes that were simulated", found == expected["sha256"][name])


def check_absent(cache: EcephysProjectCache, expected: dict) -> None:
    for probe_id in expected["probe_ids_without_lfp"]:
        check_refused(f"lfp of probe {probe_id}", cache.fetch_api.get_probe_lfp_data, probe_id)
    check_refused("unknown session", cache.fetch_api.get_session_data, 1)
    check_refused("scene 118", cache.fetch_api.get_natural_scene_template, 118)


def check_refused(what: str, fetch: object, number: int) -> None:
    try:
        fetch(number)
    except ValueError as error:
        check(f"{what}: refused", "expected exactly" in str(error), error)
    else:
        check(f"{what}: refused", False, "no error")


def main() -> int:
    expected_folder, host, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    expected = json.loads((expected_folder / "expected.json").read_text())
    cache = EcephysProjectCache.from_warehouse(
        scheme="http", host=host, manifest=str(folder / "manifest.json")
    )
    check_tables(cache, folder, expected_folder)
    check_metrics(cache, folder, expected_folder, expected["session_id"])
    check_session(cache, folder, expected)
    check_absent(cache, expected)
    print(f"{len(failures)} discrepancies" + "".join(f"\n  {what}" for what in failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
