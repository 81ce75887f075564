"""Freeze what AllenSDK answers about a session file, for test_session.py to compare with.

Run with the Python of a virtual environment that has AllenSDK 2.16.2::

    python3.11 -m venv allensdk
    allensdk/bin/pip install "allensdk==2.16.2" "hdmf<4" "ndx-events<0.3"
    allensdk/bin/python tests/parity/freeze_session.py SESSION.nwb tests/parity/frozen/NAME.json.gz

The answers are kept as JSON, large arrays as their length, sum and a digest of their bytes.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import json
import sys
import warnings

import numpy as np
import pandas as pd

warnings.simplefilter("ignore")

from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession  # noqa: E402

N_LISTED = 400
STIMULI = ("flashes", "gabors", "drifting_gratings", "static_gratings", "natural_scenes")


def plain(value):
    """Make JSON of a scalar."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return value


def freeze_array(array):
    """Freeze an array: all of it when small, a digest when large."""
    array = np.ascontiguousarray(array)
    if array.size <= N_LISTED or array.dtype == object:
        return {"values": [plain(v) for v in array.ravel()], "shape": list(array.shape)}
    return {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "sum": float(np.nansum(array.astype(np.float64))),
        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
        "head": [plain(v) for v in array.ravel()[:10]],
    }


def freeze_frame(frame):
    """Freeze a table column by column."""
    return {
        "index_name": frame.index.name,
        "index": freeze_array(frame.index.to_numpy()),
        "columns": {name: freeze_array(frame[name].to_numpy()) for name in frame.columns},
    }


def freeze(path):
    """Ask one session everything."""
    session = EcephysSession.from_nwb_path(path)
    units = session.units
    presentations = session.stimulus_presentations
    frozen = {
        "session_start_time": session.session_start_time.isoformat(),
        "stimulus_names": session.stimulus_names,
        "units": freeze_frame(units),
        "channels": freeze_frame(session.channels),
        "probes": freeze_frame(session.probes),
        "stimulus_presentations": freeze_frame(presentations),
        "stimulus_conditions": freeze_frame(session.stimulus_conditions),
        "invalid_times": freeze_frame(session.invalid_times),
        "optogenetic_stimulation_epochs": freeze_frame(session.optogenetic_stimulation_epochs),
        "rig_geometry_data": freeze_frame(session.rig_geometry_data)
        if session.rig_geometry_data is not None
        else None,
        "spike_times": {
            str(unit): freeze_array(times) for unit, times in list(session.spike_times.items())[:20]
        },
        "stimulus_tables": {},
        "spike_counts": {},
        "spike_rows": {},
    }
    unit_ids = units.index.values[:10]
    for name in STIMULI:
        if name not in session.stimulus_names:
            continue
        table = session.get_stimulus_table(name)
        frozen["stimulus_tables"][name] = freeze_frame(table)
        # windows with edges that no spike time hits, so that open and half-open bins agree
        edges = np.arange(-0.05, 0.25, 0.01) + 0.000123456789
        counts = session.presentationwise_spike_counts(edges, table.index.values[:20], unit_ids)
        frozen["spike_counts"][name] = freeze_array(counts.values)
        rows = session.presentationwise_spike_times(table.index.values, unit_ids)
        frozen["spike_rows"][name] = freeze_frame(rows)
    return frozen


def main():
    """Freeze one file."""
    source, target = sys.argv[1:]
    with gzip.GzipFile(target, "wb", mtime=0) as handle:
        handle.write(json.dumps(freeze(source), sort_keys=True).encode())


if __name__ == "__main__":
    main()
