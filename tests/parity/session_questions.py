"""What the parity suite asks a session: once of AllenSDK to be frozen, then of us in every run.

Both sides have the same interface, so both are asked by the same code. It runs with the pandas of
either side (1.5 there) and imports neither package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

# the files that are asked, and the one LFP file that goes with some of them
LFP_FILES = {
    "session_999000001": "probe_805009000_lfp.nwb",
    "session_900000001": "probe_910001000_lfp.nwb",
    "session_900000002": "probe_910002000_lfp.nwb",
    "session_900000004": None,
    "session_900000009": None,
}
STIMULI = (
    "flashes",
    "gabors",
    "drifting_gratings",
    "drifting_gratings_75_repeats",
    "static_gratings",
    "natural_scenes",
    "natural_movie_one",
    "dot_motion",
)
# edges that no spike time hits, so that closed and half-open bins agree
EDGES = np.arange(-0.05, 0.25, 0.01) + 0.000123456789
N_LISTED = 200
MEMBERS = [
    "ecephys_session_id",
    "specimen_name",
    "session_type",
    "full_genotype",
    "sex",
    "age_in_days",
    "rig_equipment_name",
    "rig_geometry_data",
    "num_units",
    "num_channels",
    "num_probes",
    "num_stimulus_presentations",
    "stimulus_names",
    "units",
    "channels",
    "probes",
    "stimulus_presentations",
    "stimulus_conditions",
    "invalid_times",
    "optogenetic_stimulation_epochs",
    "running_speed",
    "inter_presentation_intervals",
    "structure_acronyms",
    "metadata",
]


# ---- the files


def digest_file(path: Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def read_probe_id(lfp_path: Path) -> int:
    return int(Path(lfp_path).name.split("_")[1])


def make_channel_columns(path: Path) -> pd.DataFrame:
    """Give what a cache adds to the channels of a file, made up from the file alone."""
    with h5py.File(path, "r") as file:
        electrodes = file["general/extracellular_ephys/electrodes"]
        ids = electrodes["id"][:]
        locations = [str(name) for name in electrodes["location"].asstr()[:]]
    acronyms = [None if name in ("", "None") else name for name in locations]
    numbers = {name: 100.0 + n for n, name in enumerate(sorted(set(acronyms) - {None}))}
    table = {
        "ecephys_structure_id": [numbers.get(name, np.nan) for name in acronyms],
        "ecephys_structure_acronym": [np.nan if name is None else name for name in acronyms],
        "anterior_posterior_ccf_coordinate": 8000.0 - np.arange(len(ids)),
        "dorsal_ventral_ccf_coordinate": 500.0 + np.arange(len(ids)),
        "left_right_ccf_coordinate": 9000.0 - 2.0 * np.arange(len(ids)),
    }
    return pd.DataFrame(table, index=pd.Index(ids, name="id"))


# ---- the questions


def about(name: str, question: Callable[[Any, str], Any]) -> Callable[[Any], Any]:
    """Ask about one stimulus, where it is shown; the two sets of stimuli share some only."""
    return lambda s: question(s, name) if name in s.stimulus_names else "not shown"


def ask_counts(session: Any, name: str, **options: Any) -> Any:
    table = session.get_stimulus_table(name)
    return session.presentationwise_spike_counts(
        EDGES, table.index.values[:20], session.units.index.values[:10], **options
    )


def ask_spike_rows(session: Any, name: str) -> pd.DataFrame:
    """List spikes strictly inside presentations; the two sides own the edges differently."""
    table = session.get_stimulus_table(name)
    rows = session.presentationwise_spike_times(table.index.values, session.units.index.values[:10])
    is_edge = rows.index.isin(table["start_time"]) | rows.index.isin(table["stop_time"])
    rows = rows[~is_edge].reset_index()
    # spikes at one time come in any order there
    rows = rows.sort_values(["spike_time", "unit_id", "stimulus_presentation_id"])
    return rows.set_index("spike_time")


def ask_statistics(
    session: Any, name: str, n_units: int, use_rates: bool = False, with_edges: bool = False
) -> pd.DataFrame:
    table = session.get_stimulus_table(name)
    units = session.units.index.values[:n_units]
    if not with_edges:
        table = leave_out_edges(session, table, units)
    return session.conditionwise_spike_statistics(table.index.values, units, use_rates=use_rates)


def ask_all_statistics(session: Any) -> pd.DataFrame:
    table = session.get_stimulus_table("flashes").iloc[:6]
    table = leave_out_edges(session, table, session.units.index.values)
    return session.conditionwise_spike_statistics(table.index.values)


def leave_out_edges(session: Any, table: pd.DataFrame, units: Any) -> pd.DataFrame:
    """Leave out presentations with a spike exactly at an end, which the two sides own otherwise."""
    for unit in units:
        times = session.spike_times[unit]
        table = table[~table["start_time"].isin(times) & ~table["stop_time"].isin(times)]
    return table


def ask_structures(session: Any) -> tuple[Any, Any]:
    channels = session.channels
    first = channels[channels["probe_id"] == session.probes.index[0]]
    ids = first.sort_values("probe_channel_number").index.values
    return session.channel_structure_intervals(ids)


def ask_several(mapping: Any, ids: Any) -> dict[str, Any]:
    return {str(unit): mapping[unit] for unit in ids}


def ask_lfp(session: Any, probe_id: int, mask: bool) -> dict[str, Any]:
    lfp = session.get_lfp(probe_id, mask_invalid_intervals=mask)
    times = lfp["time"].values
    middle = times[len(times) // 2]
    pieces = {
        "name": str(lfp.name),
        "shape": list(lfp.shape),
        "is_missing": int(np.isnan(lfp.values).sum()),
        "all": lfp,
        "slice": lfp.sel(time=slice(middle, middle + 0.01)),
        "nearest": lfp.sel(time=middle + 1e-4, method="nearest"),
        "corner": lfp.isel(time=slice(-3, None), channel=[0, 2]),
    }
    invalid = session.invalid_times
    # without any, the table has no columns there
    for number, start in enumerate(invalid["start_time"] if len(invalid) else []):
        window = slice(start - 0.002, start + 0.002)
        pieces[f"around invalid {number}"] = lfp.sel(time=window).isel(channel=slice(0, 2))
    return pieces


def list_questions() -> dict[str, Callable[[Any], Any]]:
    """Name every question a session file can answer without a cache's columns or LFP."""
    questions: dict[str, Callable[[Any], Any]] = {
        "session_start_time": lambda s: s.session_start_time.isoformat(),
        "spike_times": lambda s: ask_several(s.spike_times, s.units.index.values[:12]),
        "spike_amplitudes": lambda s: ask_several(s.spike_amplitudes, s.units.index.values[:4]),
        "mean_waveforms": lambda s: ask_several(s.mean_waveforms, s.units.index.values[:3]),
        "get_screen_gaze_data filtered": lambda s: s.get_screen_gaze_data(
            include_filtered_data=True
        ),
        "get_stimulus_epochs thresholds": lambda s: s.get_stimulus_epochs(
            duration_thresholds={"spontaneous": 1.0, "natural_scenes": 2.0}
        ),
        "intervals of flashes": lambda s: s.get_inter_presentation_intervals_for_stimulus(
            "flashes"
        ),
        "intervals of two": lambda s: s.get_inter_presentation_intervals_for_stimulus(
            ["flashes", "gabors"]
        ),
        "values": lambda s: s.get_stimulus_parameter_values(),
        "values of some": lambda s: s.get_stimulus_parameter_values(
            s.stimulus_presentations.index.values[5:50:3]
        ),
        "values with nulls": lambda s: s.get_stimulus_parameter_values(drop_nulls=False),
        "table of two": lambda s: s.get_stimulus_table(["flashes", "gabors"]),
        "table of all": lambda s: s.get_stimulus_table(),
        "table detailed": lambda s: s.get_stimulus_table(
            "flashes", include_detailed_parameters=True
        ),
        "table unused": lambda s: s.get_stimulus_table("flashes", include_unused_parameters=True),
        "table detailed and unused": lambda s: s.get_stimulus_table(
            ["flashes"], include_detailed_parameters=True, include_unused_parameters=True
        ),
        "statistics of all units": ask_all_statistics,
    }
    for member in MEMBERS:
        questions[member] = lambda s, member=member: getattr(s, member)
    for method in ["get_pupil_data", "get_screen_gaze_data", "get_stimulus_epochs"]:
        questions[method] = lambda s, method=method: getattr(s, method)()
    for name in STIMULI:
        questions[f"table of {name}"] = about(name, lambda s, name: s.get_stimulus_table(name))
        questions[f"counts of {name}"] = about(name, ask_counts)
        questions[f"spikes in {name}"] = about(name, ask_spike_rows)
        questions[f"values of {name}"] = about(
            name, lambda s, name: s.get_parameter_values_for_stimulus(name)
        )
        questions[f"values of {name} with nulls"] = about(
            name, lambda s, name: s.get_parameter_values_for_stimulus(name, drop_nulls=False)
        )
    questions["counts binarized"] = lambda s: ask_counts(
        s, "flashes", binarize=True, large_bin_size_threshold=1.0
    )
    questions["counts as int32"] = lambda s: ask_counts(s, "flashes", dtype=np.int32)
    questions["counts shifted"] = lambda s: ask_counts(
        s, "flashes", time_domain_callback=lambda domain: domain + 0.0031
    )
    for name, n_units in (("flashes", 5), ("drifting_gratings", 3), ("dot_motion", 3)):
        questions[f"statistics of {name}"] = about(
            name, lambda s, name, n=n_units: ask_statistics(s, name, n)
        )
        questions[f"statistics of {name} with edges"] = about(
            name, lambda s, name, n=n_units: ask_statistics(s, name, n, with_edges=True)
        )
        questions[f"rates of {name}"] = about(
            name, lambda s, name, n=n_units: ask_statistics(s, name, n, use_rates=True)
        )
    return questions


def list_rich_questions(probe_id: int | None) -> dict[str, Callable[[Any], Any]]:
    """Name what needs the columns a cache adds, and the LFP where there is a file of it."""
    questions: dict[str, Callable[[Any], Any]] = {
        "rich units": lambda s: s.units,
        "rich channels": lambda s: s.channels,
        "rich structure_acronyms": lambda s: s.structure_acronyms,
        # as a dict: what pandas calls such counts differs between its versions
        "rich structurewise_unit_counts": lambda s: s.structurewise_unit_counts.to_dict(),
        "rich metadata": lambda s: {**s.metadata, "session_start_time": None},
        "channel_structure_intervals": ask_structures,
    }
    if probe_id is not None:
        questions["lfp masked"] = lambda s: ask_lfp(s, probe_id, mask=True)
        questions["lfp unmasked"] = lambda s: ask_lfp(s, probe_id, mask=False)
        questions["csd"] = lambda s: s.get_current_source_density(probe_id)
    return questions


# ---- the form in which answers are kept


def plain(value: Any) -> Any:
    """Make JSON of a scalar or of nested lists of them; None is whatever is missing."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return value


def digest(array: np.ndarray) -> str:
    if array.dtype.kind == "f":
        # a NaN has many bit patterns; take one
        array = np.where(np.isnan(array), array.dtype.type(np.nan), array)
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def freeze_array(array: Any) -> dict[str, Any]:
    """Freeze an array: all of it when small, a digest when large, distinct values of strings."""
    array = np.asarray(array)
    frozen: dict[str, Any] = {
        "kind": "array",
        "shape": list(array.shape),
        "dtype": str(array.dtype),
    }
    if array.dtype.kind in "OUS":
        values = [plain(v) for v in array.ravel()]
        distinct = {repr(v): v for v in values}
        number = {text: n for n, text in enumerate(distinct)}
        if len(distinct) < len(values) / 2:
            return {
                **frozen,
                "distinct": list(distinct.values()),
                "codes": [number[repr(v)] for v in values],
            }
        return {**frozen, "values": values}
    if array.size <= N_LISTED:
        return {**frozen, "values": [plain(v) for v in array.ravel()]}
    return {**frozen, "sha256": digest(array), "head": [plain(v) for v in array.ravel()[:5]]}


def freeze(answer: Any) -> dict[str, Any]:
    """Make JSON of any answer of a session."""
    if isinstance(answer, pd.Series):
        answer = answer.to_frame()
    if isinstance(answer, pd.DataFrame):
        index = answer.index.to_frame(index=False)
        return {
            "kind": "frame",
            "index_names": list(answer.index.names),
            "index": [freeze_array(index.iloc[:, n].to_numpy()) for n in range(index.shape[1])],
            "columns": {name: freeze_array(answer[name].to_numpy()) for name in answer.columns},
        }
    if hasattr(answer, "coords"):
        return {
            "kind": "labelled",
            "name": answer.name,
            "dims": list(answer.dims),
            "data": freeze_array(answer.values),
            "coords": {str(name): freeze_array(c.values) for name, c in answer.coords.items()},
        }
    if isinstance(answer, dict):
        return {"kind": "dict", "items": {str(k): freeze(v) for k, v in answer.items()}}
    if isinstance(answer, tuple):
        return {"kind": "tuple", "items": [freeze(v) for v in answer]}
    if isinstance(answer, np.ndarray):
        return freeze_array(answer)
    return {"kind": "plain", "value": plain(answer)}
