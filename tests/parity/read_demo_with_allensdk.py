"""Read demo files with AllenSDK 2.16.2, through every member it offers.

Run it with an environment that has AllenSDK (which cannot share one with this package)::

    python tests/parity/read_demo_with_allensdk.py session_900000001.nwb [probe_910001004_lfp.nwb]

It prints what each member gives, and ends with an error at the first that fails.
"""

from __future__ import annotations

import sys
import warnings

import h5py

warnings.simplefilter("ignore")


def read_session(path, lfp_path):
    from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession

    kwargs = {
        "amplitude_cutoff_maximum": 0.1,
        "presence_ratio_minimum": 0.95,
        "isi_violations_maximum": 0.5,
    }
    probe_id = None
    if lfp_path:
        with h5py.File(lfp_path) as file:
            probe_id = int(next(iter(file["general/devices"].values())).attrs["probe_id"])
        kwargs["probe_lfp_paths"] = {probe_id: (lambda: _open(lfp_path))}
    session = EcephysSession.from_nwb_path(path, api_kwargs=kwargs)
    print("session", session.ecephys_session_id, session.session_start_time)
    for name in ("units", "channels", "probes", "stimulus_presentations", "running_speed"):
        frame = getattr(session, name)
        print(f"{name}: {frame.shape}, columns {list(frame.columns)}")
        assert len(frame)
    print("stimuli:", session.stimulus_names)
    print("opto:", session.optogenetic_stimulation_epochs.head(3).to_string())
    print("invalid:", session.invalid_times.to_string() if len(session.invalid_times) else "none")
    unit = session.units.index[0]
    print("spikes:", session.spike_times[unit][:3], len(session.spike_times[unit]))
    print("amplitudes:", session.spike_amplitudes[unit][:3])
    print("waveform:", session.mean_waveforms[unit].shape)
    assert session.mean_waveforms[unit].shape == (374, 82)
    flashes = session.get_stimulus_table("flashes")
    print(flashes.head(2).to_string())
    counts = session.presentationwise_spike_counts(
        [0.0, 0.05, 0.1, 0.25], flashes.index.values, session.units.index.values
    )
    print("counts:", counts.shape, float(counts.sum()))
    for name in session.stimulus_names:
        if name != "invalid_presentation":
            table = session.get_stimulus_table(name)
            print(f"{name}: {table.shape} {list(table.columns)}")
    print("blocks:", len(session.get_stimulus_epochs()))
    for member in ("get_pupil_data", "get_screen_gaze_data"):
        frame = getattr(session, member)()
        print(member, None if frame is None else (frame.shape, list(frame.columns)[:5]))
    print("rig:", session.rig_equipment_name, session.rig_geometry_data)
    if probe_id is not None:
        lfp = session.get_lfp(probe_id)
        print("LFP:", lfp.shape, float(abs(lfp).max()))
        csd = session.get_current_source_density(probe_id)
        print("CSD:", csd.shape, float(abs(csd).max()), csd.coords["vertical_position"].values[:3])


def _open(lfp_path):
    from pynwb import NWBHDF5IO

    return NWBHDF5IO(str(lfp_path), "r", load_namespaces=True).read()


if __name__ == "__main__":
    read_session(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
