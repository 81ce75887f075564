"""Freeze what AllenSDK 2.16.2 answers for the tables of a small cache folder.

Run it in an environment of its own (Python 3.11)::

    pip install "allensdk==2.16.2" "hdmf<4" "ndx-events<0.3"
    python tests/parity/freeze_project_tables.py

It makes up a folder of CSV tables (``project_tables/folder``), has AllenSDK read it, and keeps
the answers (``project_tables/answers.json.gz``). The folder holds what is awkward: channels and
units out of order, missing values in every metric, units marked noise, channels outside the
brain, a probe without LFP, metrics of units that are not listed, counts of zero.
"""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent / "project_tables"
FOLDER = HERE / "folder"
SEED = 20191003
SESSIONS = {
    900000002: "functional_connectivity",
    900000001: "brain_observatory_1.1",
    900000003: "brain_observatory_1.1",
}
N_CHANNELS = 12
N_UNITS = 140
STRUCTURES = [("VISp", 385.0), ("CA1", 382.0), ("LGd", 170.0), ("grey", 8.0)]


def make_sessions() -> pd.DataFrame:
    rows = [
        {
            "id": session_id,
            "date_of_acquisition": f"2019-01-{day:02d}T08:54:18Z",
            "isi_experiment_id": 705968050 + day,
            "published_at": "2019-10-03T00:00:00Z",
            "specimen_id": 699733580 + day,
            "session_type": session_type,
            "age_in_days": 100.0 + day,
            "sex": "MF"[day % 2],
            "genotype": ["wt/wt", "Sst-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt"][day % 2],
            "has_nwb": True,
        }
        for day, (session_id, session_type) in enumerate(SESSIONS.items(), start=1)
    ]
    return pd.DataFrame(rows).set_index("id")


def make_probes(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    # the probes of one session do not stand together, and not in the order of the sessions
    for number, session_id in enumerate([900000003, 900000001, 900000002, 900000001, 900000003]):
        rows.append(
            {
                "id": 810000000 + 7 * number,
                "air_channel_index": 384 - number,
                "ecephys_session_id": session_id,
                "lfp_sampling_rate": 2500 + rng.normal(scale=0.01),
                "lfp_temporal_subsampling_factor": np.nan if number == 3 else 2.0,
                "name": f"probe{'ABCDE'[number]}",
                "phase": "PXI" if number == 4 else "3a",
                "sampling_rate": 30000 + rng.normal(scale=0.1),
                "surface_channel_index": 340 + number,
                "has_lfp_data": number != 3,
            }
        )
    return pd.DataFrame(rows).set_index("id")


def make_channels(rng: np.random.Generator, probes: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for probe_number, probe_id in enumerate(probes.index):
        for index in range(N_CHANNELS):
            is_outside = index >= N_CHANNELS - 2
            acronym, structure_id = STRUCTURES[(probe_number + index // 3) % len(STRUCTURES)]
            place = rng.integers(2000, 9000, size=3)
            rows.append(
                {
                    "id": 850000000 + 1000 * probe_number + index,
                    "ecephys_probe_id": probe_id,
                    "local_index": index,
                    "probe_horizontal_position": [43, 11, 59, 27][index % 4],
                    "probe_vertical_position": 20 * (1 + index // 2),
                    "anterior_posterior_ccf_coordinate": -1000 if is_outside else place[0],
                    "dorsal_ventral_ccf_coordinate": -1000 if is_outside else place[1],
                    "left_right_ccf_coordinate": -1000 if is_outside else place[2],
                    "ecephys_structure_id": np.nan if is_outside else structure_id,
                    "ecephys_structure_acronym": np.nan if is_outside else acronym,
                }
            )
    channels = pd.DataFrame(rows).set_index("id")
    return channels.iloc[rng.permutation(len(channels))]


def make_units(rng: np.random.Generator, channels: pd.DataFrame) -> pd.DataFrame:
    inside = channels.index[channels["ecephys_structure_id"].notna()].to_numpy()
    # the last two channels in the list never have a unit: counts of zero
    peaks = rng.choice(inside[:-2], size=N_UNITS)
    columns = {
        "PT_ratio": rng.gamma(2.0, 0.3, N_UNITS),
        "amplitude": rng.gamma(4.0, 40.0, N_UNITS),
        "amplitude_cutoff": rng.choice([0.0, 0.1, 0.05, 0.2, 0.5, np.nan], N_UNITS),
        "cumulative_drift": rng.gamma(3.0, 100.0, N_UNITS).round(2),
        "d_prime": rng.gamma(4.0, 1.0, N_UNITS),
        "duration": rng.gamma(4.0, 0.1, N_UNITS),
        "ecephys_channel_id": peaks,
        "epoch_name_quality_metrics": "complete_session",
        "epoch_name_waveform_metrics": "complete_session",
        "firing_rate": rng.lognormal(1.0, 1.0, N_UNITS),
        "halfwidth": rng.gamma(4.0, 0.05, N_UNITS),
        "isi_violations": rng.choice([0.0, 0.5, 0.1, 0.7, 12.5, np.nan], N_UNITS),
        "isolation_distance": rng.gamma(4.0, 15.0, N_UNITS),
        "l_ratio": rng.gamma(1.0, 0.02, N_UNITS),
        "max_drift": rng.gamma(3.0, 8.0, N_UNITS).round(2),
        "nn_hit_rate": rng.uniform(0.3, 1.0, N_UNITS),
        "nn_miss_rate": rng.uniform(0.0, 0.05, N_UNITS),
        "presence_ratio": rng.choice([0.95, 0.99, 0.97, 0.81, np.nan], N_UNITS),
        "quality": rng.choice(["good", "good", "good", "noise"], N_UNITS),
        "recovery_slope": -rng.gamma(2.0, 0.03, N_UNITS),
        "repolarization_slope": rng.gamma(4.0, 0.1, N_UNITS),
        "silhouette_score": rng.uniform(-0.1, 0.3, N_UNITS),
        "snr": rng.gamma(4.0, 0.7, N_UNITS),
        "spread": rng.choice([30.0, 50.0, 90.0], N_UNITS),
        "velocity_above": rng.choice([0.686767169, 0.0, np.nan], N_UNITS),
        "velocity_below": rng.choice([-0.5, np.nan], N_UNITS),
    }
    unit_ids = pd.Index(rng.permutation(950000000 + 3 * np.arange(N_UNITS)), name="id")
    units = pd.DataFrame(columns, index=unit_ids)
    # outside the brain there is only one, and it is noise (see the intended differences)
    outside = channels.index[channels["ecephys_structure_id"].isna()][0]
    units.loc[units.index[0], ["ecephys_channel_id", "quality"]] = [outside, "noise"]
    return units.astype({"ecephys_channel_id": int})


def make_metrics(rng: np.random.Generator, unit_ids: np.ndarray) -> pd.DataFrame:
    strangers = 960000000 + np.arange(4)
    # some units have no metrics, some metrics no unit
    ids = rng.permutation(np.concatenate([unit_ids[3:], strangers]))
    n = len(ids)
    columns = {
        "c50_dg": rng.choice([0.25, np.nan], n),
        "g_osi_dg": rng.uniform(0.0, 1.0, n),
        "on_screen_rf": rng.choice([True, False], n),
        "p_value_rf": rng.choice([0.0, 0.058, np.nan], n),
        "pref_image_ns": rng.integers(4908, 5027, n),
        "pref_ori_multi_dg": rng.choice([True, False], n),
        "time_to_peak_fl": rng.uniform(0.0, 0.25, n),
    }
    return pd.DataFrame(columns, index=pd.Index(ids, name="ecephys_unit_id"))


def write_folder() -> None:
    rng = np.random.default_rng(SEED)
    sessions, probes = make_sessions(), make_probes(rng)
    channels = make_channels(rng, probes)
    units = make_units(rng, channels)
    session_of = (
        units["ecephys_channel_id"]
        .map(channels["ecephys_probe_id"])
        .map(probes["ecephys_session_id"])
    )
    tables = {
        "sessions": sessions,
        "probes": probes,
        "channels": channels,
        "units": units,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(FOLDER / f"{name}.csv")
    session_id = 900000001
    of_session = make_metrics(rng, units.index[session_of == session_id].to_numpy())
    (FOLDER / f"session_{session_id}").mkdir(exist_ok=True)
    of_session.to_csv(
        FOLDER / f"session_{session_id}" / f"session_{session_id}_analysis_metrics.csv"
    )
    session_type = "brain_observatory_1.1"
    of_type = session_of.map(SESSIONS) == session_type
    make_metrics(rng, units.index[of_type].to_numpy()).to_csv(
        FOLDER / f"{session_type}_analysis_metrics.csv"
    )


class Offline:
    """A source that has nothing: everything must come from the folder."""

    def __getattr__(self, name: str) -> object:
        def refuse(*args: object, **kwargs: object) -> object:
            raise RuntimeError(f"{name} was asked for although the folder has everything")

        return refuse


def describe(frame: pd.DataFrame) -> dict[str, object]:
    values = {name: [to_json(value) for value in frame[name]] for name in frame.columns}
    return {
        "index_name": frame.index.name,
        "index": frame.index.tolist(),
        "columns": frame.columns.tolist(),
        "dtypes": [str(dtype) for dtype in frame.dtypes],
        "values": values,
    }


def to_json(value: object) -> object:
    if isinstance(value, np.ndarray):
        return [to_json(item) for item in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value


def ask_allensdk() -> dict[str, object]:
    from allensdk.brain_observatory.ecephys.ecephys_project_cache import EcephysProjectCache

    cache = EcephysProjectCache(
        manifest=str(FOLDER / "manifest.json"), fetch_api=Offline(), stream_writer=print
    )
    no_limits = {
        "amplitude_cutoff_maximum": np.inf,
        "presence_ratio_minimum": -np.inf,
        "isi_violations_maximum": np.inf,
    }
    for_session = cache.get_unit_analysis_metrics_for_session
    by_type = cache.get_unit_analysis_metrics_by_session_type
    frames = {
        "session_table": cache.get_session_table(),
        "session_table_nothing_suppressed": cache.get_session_table(suppress=[]),
        "probes": cache.get_probes(),
        "probes_nothing_suppressed": cache.get_probes(suppress=[]),
        "channels": cache.get_channels(),
        "channels_nothing_suppressed": cache.get_channels(suppress=[]),
        "units": cache.get_units(),
        "units_nothing_suppressed": cache.get_units(suppress=[]),
        "units_no_limits": cache.get_units(**no_limits),
        "units_any_quality": cache.get_units(filter_by_validity=False, **no_limits),
        "units_isi_zero": cache.get_units(isi_violations_maximum=0),
        "metrics_for_session": for_session(900000001),
        "metrics_for_session_bare": for_session(900000001, annotate=False),
        "metrics_for_session_no_limits": for_session(900000001, **no_limits),
        "metrics_by_type": by_type("brain_observatory_1.1"),
        "metrics_by_type_bare": by_type("brain_observatory_1.1", annotate=False),
    }
    lists = {
        "session_types": cache.get_all_session_types(),
        "full_genotypes": cache.get_all_full_genotypes(),
        "structure_acronyms": cache.get_structure_acronyms(),
        "ages": cache.get_all_ages(),
        "sexes": cache.get_all_sexes(),
    }
    return {"frames": {name: describe(frame) for name, frame in frames.items()}, "lists": lists}


def main() -> None:
    write_folder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers = ask_allensdk()
    text = json.dumps(answers, separators=(",", ":"))
    # no time stamp inside: the same answers give the same file
    (HERE / "answers.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    for name, frame in answers["frames"].items():
        print(name, len(frame["index"]), "x", len(frame["columns"]))


if __name__ == "__main__":
    main()
