"""NWB files as other writers make them: pynwb alone, as NeuroConv writes, as MatNWB writes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import h5py
import numpy as np
import pynwb

N_TRIALS = 40
ANGLES = np.tile([0.0, 90.0], N_TRIALS // 2)
ONSETS = 1.0 + np.arange(N_TRIALS)


def make_trains(rng: np.random.Generator) -> list[np.ndarray]:
    """Return spike times of three units: one prefers 0°, one prefers 90°, one has no preference."""
    rates = np.stack([10 - ANGLES / 10, 1 + ANGLES / 10, np.full(N_TRIALS, 5.0)])
    return [
        np.sort(np.repeat(ONSETS, counts) + rng.uniform(0, 0.5, counts.sum()))
        for counts in rng.poisson(rates)
    ]


def start(identifier: str) -> pynwb.NWBFile:
    return pynwb.NWBFile(
        session_description="a recording of a lab",
        identifier=identifier,
        session_start_time=dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC),
    )


def write(nwb: pynwb.NWBFile, path: Path) -> Path:
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def write_minimal(path: Path, trains: list[np.ndarray]) -> Path:
    """Write units and trials, nothing else."""
    nwb = start("0b8c-minimal")
    for train in trains:
        nwb.add_unit(spike_times=train)
    nwb.add_trial_column("angle", "of the grating")
    nwb.add_trial_column("correct", "whether the animal was right")
    nwb.add_trial_column("side", "of the lick")
    for onset, angle in zip(ONSETS, ANGLES, strict=True):
        nwb.add_trial(onset, onset + 0.5, angle=angle, correct=bool(angle), side="left")
    return write(nwb, path)


def write_neuroconv(path: Path, trains: list[np.ndarray]) -> Path:
    """Write what NeuroConv writes of SpikeInterface: electrodes, metrics, waveforms, animal."""
    nwb = start("123456")
    nwb.subject = pynwb.file.Subject(
        subject_id="mouse 7", age="P9W", sex="F", species="Mus musculus"
    )
    device = nwb.create_device("Neuropixels")
    groups = [
        nwb.create_electrode_group(name, "shank", location=place, device=device)
        for name, place in (("imec0", "cortex"), ("imec1", "thalamus"))
    ]
    nwb.add_electrode_column("channel_name", "of the amplifier")
    for row in range(8):
        nwb.add_electrode(
            group=groups[row // 4], location=["VISp", "unknown"][row // 4], rel_x=16.0,
            rel_y=20.0 * (row % 4), channel_name=f"AP{row}",
        )  # fmt: skip
    nwb.units = pynwb.misc.Units(name="units", waveform_rate=30_000.0)
    nwb.add_unit_column("snr", "signal over noise")
    nwb.add_unit_column("presence_ratio", "share of the recording")
    nwb.add_unit_column("KSLabel", "of the sorter")
    for row, train in enumerate(trains):
        mean = np.zeros((30, 4))
        mean[10, row] = -50.0 - row
        nwb.add_unit(
            id=10 + row, spike_times=train, electrodes=[4, 5, 6, 7] if row == 2 else [0, 1, 2, 3],
            waveform_mean=mean, snr=1.0 + row, presence_ratio=0.5 + 0.2 * row, KSLabel="good",
            obs_intervals=[[0.0, 50.0]],
        )  # fmt: skip
    gratings = pynwb.epoch.TimeIntervals(name="gratings", description="drifting")
    gratings.add_column("orientation", "degrees")
    for onset, angle in zip(ONSETS, ANGLES, strict=True):
        gratings.add_interval(onset, onset + 0.5, orientation=angle)
    nwb.add_time_intervals(gratings)
    nwb.add_epoch(0.0, 1.0, ["baseline"])
    nwb.add_invalid_time_interval(10.9, 11.1)
    return write(nwb, path)


def write_matnwb(path: Path, trains: list[np.ndarray]) -> Path:
    """Write what MatNWB wrote: columns as matrices of one column or one row."""
    write_minimal(path, trains)
    with h5py.File(path, "r+") as file:
        for name, is_row in (
            ("units/id", False), ("units/spike_times", False), ("units/spike_times_index", True),
            ("intervals/trials/start_time", True), ("intervals/trials/stop_time", False),
            ("intervals/trials/angle", True), ("intervals/trials/side", False),
        ):  # fmt: skip
            old = file[name]
            values, dtype, attributes = old[()], old.dtype, dict(old.attrs)
            del file[name]
            new = file.create_dataset(
                name, data=values.reshape((1, -1) if is_row else (-1, 1)), dtype=dtype
            )
            new.attrs.update({k: v for k, v in attributes.items() if k != "target"})
            if "target" in attributes:
                new.attrs["target"] = file["units/spike_times"].ref
    return path
