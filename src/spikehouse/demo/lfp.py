"""Local field potentials: a 1/f background, theta and ripples in CA1, gamma in VISp, responses.

The responses are defined as a current source density, sinks with their return currents in the
layers of cortex; the potential is its double integral over depth. Both therefore agree:
CSD = −d²φ/dz², in V/cm².
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from spikehouse.demo.anatomy import N_CHANNELS, STRUCTURES
from spikehouse.demo.behavior import draw_running
from spikehouse.demo.nwb_writer import (
    CORE,
    ELECTRODES,
    EXTENSION,
    TABLES,
    NwbWriter,
    write_general,
    write_module,
)
from spikehouse.demo.plan import SessionPlan
from spikehouse.demo.rhythms import draw_rhythms
from spikehouse.demo.sessions import make_rng
from spikehouse.demo.timeline import Timeline, make_timeline

STEP_CM = 1e-3
DEPTH_UM = 10.0 * np.arange(N_CHANNELS)
CSD_TIMES = np.linspace(-0.1, 0.25, 875)
SLAB_SAMPLES = 16_384
# Depth in the layer stack (0 surface, 1 white matter), delay after the area's latency [s], time
# constant [s], strength of the sink [V/cm²]: input to layer 4, then layers 2/3 and 5.
SINKS = ((0.42, -0.006, 0.012, 4.0), (0.2, 0.012, 0.022, 2.2), (0.66, 0.02, 0.03, 1.6))
SINK_WIDTH_UM, RETURN_UM = 55.0, 160.0
N_SOURCES = 6
TIME_CONSTANTS_S = (0.003, 0.012, 0.05, 0.3)
BACKGROUND_V, CHANNEL_NOISE_V, THETA_V = 55e-6, 5e-6, 220e-6
GAMMA_V, SHARP_WAVE_V = 20e-6, 180e-6
# Growth of gamma by a stimulus of full contrast, and by running at 30 cm/s or more.
GAMMA_STIMULUS_GAIN, GAMMA_RUNNING_GAIN = 1.25, 0.6
# The sharp wave is longer than its ripple by this, on both sides.
SHARP_WAVE_MARGIN_S = 0.02
RESPONSE_S = 0.3
# Response to the onset of each stimulus relative to a flash; movies evoke none.
ONSET_GAIN = {
    "flashes": 1.0,
    "drifting_gratings": 0.6,
    "drifting_gratings_75_repeats": 0.6,
    "static_gratings": 0.3,
    "natural_scenes": 0.35,
    "gabors": 0.08,
}
OFF_GAIN = 0.45


@dataclass(frozen=True)
class FieldModel:
    """Profiles of sinks and sources along a probe, every 10 µm from the tip up."""

    # (sinks, 384) current source density of each at its peak [V/cm²]
    sinks: np.ndarray
    # (sinks, 384) potential of each [V]
    potentials: np.ndarray
    # delay after a stimulus, and time constant
    delays_s: np.ndarray
    constants_s: np.ndarray
    # (background sources, 384) potential of each [V]
    sources: np.ndarray
    # (384) amplitude [V]; theta reverses its sign in the layers of CA1
    theta: np.ndarray
    # (384) amplitude in VISp [V]
    gamma: np.ndarray
    # (384) relative to the amplitude of a ripple
    ripple: np.ndarray
    # (384) amplitude [V], negative in the dendrites of CA1
    sharp_wave: np.ndarray


def make_field_model(plan: SessionPlan, probe_id: int) -> FieldModel:
    """Draw the sinks and sources along a probe."""
    rng = make_rng(plan.seed, probe_id, "field")
    channels = plan.channels[plan.channels["ecephys_probe_id"] == probe_id]
    area = str(channels["ecephys_structure_acronym"].dropna().iloc[-1])
    low, high = _find_extent(channels, area)
    latency = STRUCTURES[area].latency_ms / 1000
    densities = []
    for depth, _, _, strength in SINKS:
        centre = high - depth * (high - low)
        densities.append(-strength * rng.uniform(0.85, 1.15) * _make_sink(centre))
    sinks = np.array(densities)
    potentials = -np.cumsum(np.cumsum(sinks, axis=1), axis=1) * STEP_CM**2
    centres = rng.uniform(0, DEPTH_UM[-1], size=N_SOURCES)
    widths = rng.uniform(300, 1100, size=N_SOURCES)
    sources = np.exp(-0.5 * ((DEPTH_UM - centres[:, None]) / widths[:, None]) ** 2)
    sources *= rng.choice([-1.0, 1.0], size=(N_SOURCES, 1)) * BACKGROUND_V
    sources[0] = 0.6 * BACKGROUND_V
    in_brain = 1 / (1 + np.exp(np.clip((DEPTH_UM - high - 60) / 60, -60, 60)))
    return FieldModel(
        sinks=sinks,
        potentials=potentials,
        delays_s=np.array([latency + delay for _, delay, _, _ in SINKS]),
        constants_s=np.array([constant for _, _, constant, _ in SINKS]),
        sources=sources * (0.25 + 0.75 * in_brain),
        **_make_rhythm_profiles(channels),
    )


def _find_extent(channels: pd.DataFrame, area: str) -> tuple[float, float]:
    """Return the lowest and highest position [µm above the tip] of a structure."""
    of_area = channels[channels["ecephys_structure_acronym"] == area]
    vertical = of_area["probe_vertical_position"]
    return float(vertical.min()), float(vertical.max())


def _make_sink(centre_um: float) -> np.ndarray:
    """Compute a sink with half its return current on either side: no net current, no dipole."""

    def peak(at: float) -> np.ndarray:
        return np.asarray(np.exp(-0.5 * ((DEPTH_UM - at) / SINK_WIDTH_UM) ** 2))

    around = peak(centre_um - RETURN_UM) + peak(centre_um + RETURN_UM)
    return np.asarray(peak(centre_um) - 0.5 * around)


def _make_rhythm_profiles(channels: pd.DataFrame) -> dict[str, np.ndarray]:
    present = channels["ecephys_structure_acronym"]
    profiles = dict.fromkeys(("theta", "gamma", "ripple", "sharp_wave"), np.zeros(DEPTH_UM.size))
    if (present == "CA1").any():
        above = DEPTH_UM - np.mean(_find_extent(channels, "CA1"))
        # theta reverses between the pyramidal layer and the dendrites below it
        reversal = np.tanh((above - 80) / 110)
        profiles["theta"] = THETA_V * np.exp(-0.5 * (above / 350) ** 2) * reversal
        profiles["ripple"] = np.exp(-0.5 * ((above - 160) / 80) ** 2)
        profiles["sharp_wave"] = -SHARP_WAVE_V * np.exp(-0.5 * ((above + 60) / 120) ** 2)
    if (present == "VISp").any():
        low, high = _find_extent(channels, "VISp")
        spread = (high - low) / 3
        profiles["gamma"] = GAMMA_V * np.exp(-0.5 * ((DEPTH_UM - (low + high) / 2) / spread) ** 2)
    return profiles


def _respond(model: FieldModel, since: np.ndarray) -> np.ndarray:
    """Compute the time course of each sink, with a peak of 1: (sinks, times)."""
    after = (since - model.delays_s[:, None]) / model.constants_s[:, None]
    after = np.clip(after, 0, 40)
    return np.asarray(after * np.exp(1 - after))


def make_csd(plan: SessionPlan, probe_id: int) -> np.ndarray:
    """Compute the current source density around a flash: (875 times, 384 channels) [V/cm²]."""
    model = make_field_model(plan, probe_id)
    rng = make_rng(plan.seed, probe_id, "csd")
    course = _respond(model, CSD_TIMES)
    density = np.einsum("kt,kz->tz", course, model.sinks)
    # the rest of the background after averaging, smooth in depth and time
    coarse = rng.standard_normal((CSD_TIMES.size // 25 + 2, N_CHANNELS // 8 + 2))
    noise = _interpolate_rows(_interpolate_rows(coarse, 25, CSD_TIMES.size).T, 8, N_CHANNELS).T
    return np.asarray(density + 0.08 * noise)


def _interpolate_rows(coarse: np.ndarray, step: int, n: int) -> np.ndarray:
    """Interpolate rows linearly, ``step`` new ones for each."""
    at = np.arange(n) / step
    low = at.astype(int)
    return np.asarray(coarse[low] + (at - low)[:, None] * (coarse[low + 1] - coarse[low]))


def _find_events(timeline: Timeline) -> tuple[np.ndarray, np.ndarray]:
    """Return the times [s] and strengths of the events that evoke responses, in order."""
    shown = timeline.presentations
    gains = shown["name"].map(ONSET_GAIN).fillna(0.0).to_numpy(dtype=float)
    rows = np.flatnonzero(gains > 0)
    flashes = np.flatnonzero((shown["name"] == "flashes").to_numpy())
    times = np.concatenate(
        [shown["start_time"].to_numpy()[rows], shown["stop_time"].to_numpy()[flashes]]
    )
    strength = np.concatenate([gains[rows], np.full(flashes.size, OFF_GAIN)])
    order = np.argsort(times, kind="stable")
    return times[order], strength[order]


def iterate_lfp(
    plan: SessionPlan, probe_id: int, timeline: Timeline, times: np.ndarray, channels: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield the potential [V] in slabs of at most 16384 samples: (samples, channels) float32."""
    from scipy.signal import lfilter

    model = make_field_model(plan, probe_id)
    rng = make_rng(plan.seed, probe_id, "lfp")
    rate = (times.size - 1) / (times[-1] - times[0])
    running = draw_running(plan.seed, plan.facts.id, timeline.duration_s, plan.size.running_hz)
    rhythms = draw_rhythms(plan.seed, plan.facts.id, timeline.duration_s, running)
    onsets, strength = _find_events(timeline)
    changes, contrasts = _find_contrasts(timeline)
    # channel c sits 10·(c // 2 + 1)·2 µm above the tip
    depth = np.minimum(2 * (channels // 2 + 1), N_CHANNELS - 1)
    profiles = np.vstack([model.sources, model.potentials, model.theta, model.gamma])[:, depth]
    profiles = profiles.astype(np.float32)
    ripple, sharp_wave = model.ripple[depth], model.sharp_wave[depth]
    decay = np.exp(-1 / (rate * np.array(TIME_CONSTANTS_S)))
    state = rng.standard_normal((decay.size, N_SOURCES)) * decay[:, None]
    for start in range(0, times.size, SLAB_SAMPLES):
        at = times[start : start + SLAB_SAMPLES]
        background = np.zeros((N_SOURCES, at.size))
        for index, pole in enumerate(decay):
            kick = rng.standard_normal((N_SOURCES, at.size)) * np.sqrt(1 - pole**2)
            walk, last = lfilter([1.0], [1.0, -pole], kick, zi=state[index][:, None])
            state[index] = last[:, 0]
            background += walk / np.sqrt(decay.size)
        course = np.zeros((model.delays_s.size, at.size))
        _add_events(course, model, at, onsets, strength)
        speed = np.interp(at, running.times[:-1], np.abs(running.speed))
        effort = np.minimum(speed, 30) / 30
        theta = (0.35 + 0.65 * effort) * np.cos(rhythms.theta.compute_phase(at))
        contrast = contrasts[np.searchsorted(changes, at, side="right") - 1]
        size = 1 + GAMMA_STIMULUS_GAIN * contrast + GAMMA_RUNNING_GAIN * effort
        gamma = size * np.cos(rhythms.gamma.compute_phase(at))
        signals = np.concatenate([background, course, [theta, gamma]]).astype(np.float32)
        slab = CHANNEL_NOISE_V * rng.standard_normal((at.size, channels.size), dtype=np.float32)
        slab = slab.astype(np.float32)
        # sums in a fixed order give the same bits for any number of threads
        for signal, profile in zip(signals, profiles, strict=True):
            if profile.any():
                slab += signal[:, None] * profile
        if ripple.any():
            _add_ripples(slab, at, rhythms.ripples, ripple, sharp_wave)
        yield slab


def _add_events(
    course: np.ndarray, model: FieldModel, at: np.ndarray, onsets: np.ndarray, strength: np.ndarray
) -> None:
    """Add the responses to all events that reach into a slab."""
    first = np.searchsorted(onsets, at[0] - RESPONSE_S)
    last = np.searchsorted(onsets, at[-1])
    for event in range(int(first), int(last)):
        low, high = np.searchsorted(at, [onsets[event], onsets[event] + RESPONSE_S])
        course[:, low:high] += strength[event] * _respond(model, at[low:high] - onsets[event])


def _add_ripples(
    slab: np.ndarray, at: np.ndarray, ripples: pd.DataFrame, ripple: np.ndarray, wave: np.ndarray
) -> None:
    """Add the ripples that reach into a slab, each on a sharp wave."""
    margin = SHARP_WAVE_MARGIN_S
    near = ripples[
        (ripples["stop_time"] + margin > at[0]) & (ripples["start_time"] - margin < at[-1])
    ]
    columns = ("start_time", "stop_time", "peak_time", "frequency", "amplitude")
    for start, stop, peak, hz, amplitude in near[list(columns)].to_numpy():
        low, high = np.searchsorted(at, [start - margin, stop + margin])
        since = at[low:high] - peak

        def rise(length: float, since: np.ndarray = since) -> np.ndarray:
            return np.cos(np.pi * np.clip(since / length, -0.5, 0.5)) ** 2

        fast = amplitude * rise(stop - start) * np.cos(2 * np.pi * hz * since)
        slow = rise(stop - start + 2 * margin)
        slab[low:high] += fast[:, None] * ripple + slow[:, None] * wave


def _find_contrasts(timeline: Timeline) -> tuple[np.ndarray, np.ndarray]:
    """Return the times [s] at which the contrast changes, and the contrast from then on."""
    shown = timeline.presentations
    contrast = np.zeros(len(shown))
    for name, sequence in timeline.sequences.items():
        if name == "flashes" or "grating" in name:
            here = np.flatnonzero((shown["name"] == name).to_numpy())
            row = shown["row"].to_numpy()[here]
            # blank sweeps have no orientation
            is_blank = np.isnan(sequence.shown.get("orientation", np.zeros(here.size)))
            values = sequence.shown.get("contrast", np.where(is_blank, 0.0, 0.8))
            contrast[here] = np.nan_to_num(values[row])
    times = np.column_stack([shown["start_time"], shown["stop_time"]]).ravel()
    values = np.column_stack([contrast, np.zeros(len(shown))]).ravel()
    order = np.argsort(times, kind="stable")
    return np.append(-np.inf, times[order]), np.append(0.0, values[order])


# The LFP has channels 2, 6, 10, …, none of which is a reference, except those above the cement.
FIRST_CHANNEL, LAST_CHANNEL = 2, 380
SHANK_MIDDLE_UM = 24.0


def write_lfp(
    plan: SessionPlan, probe_id: int, path: Path, progress: Callable[[int, int], None] | None = None
) -> None:
    """Simulate the LFP of a probe and write it in slabs, with at most 350 MB of memory."""
    timeline = make_timeline(plan)
    times = _make_times(plan, probe_id, timeline)
    channels = plan.channels[plan.channels["ecephys_probe_id"] == probe_id]
    number = channels["local_index"]
    step = plan.size.lfp_channel_step
    kept = channels[(number % step == FIRST_CHANNEL) & (number <= LAST_CHANNEL)]
    with h5py.File(path, "w") as file:
        writer = NwbWriter(file, f"probe_{probe_id}_{plan.size.name}_{plan.seed}")
        description = "LFP data and metadata for an Ecephys session"
        write_general(writer, plan, kept, description=description)
        name = f"probe_{probe_id}_lfp"
        group = f"acquisition/{name}"
        writer.mark(group, CORE, "LFP")
        series = f"{group}/{name}_data"
        shape = (times.size, len(kept))
        data = file.create_dataset(f"{series}/data", shape=shape, dtype="float32")
        writer.write_series(series, None, times, "volts", kind="ElectricalSeries")
        # a second path to the series, as in the released files
        file[f"acquisition/{name}_data"] = h5py.SoftLink(f"/{series}")
        _write_region(writer, series, len(kept), probe_id)
        _write_csd(writer, plan, probe_id)
        start = 0
        for slab in iterate_lfp(plan, probe_id, timeline, times, kept["local_index"].to_numpy()):
            data[start : start + len(slab)] = slab
            start += len(slab)
            if progress is not None:
                progress(start, times.size)


def _make_times(plan: SessionPlan, probe_id: int, timeline: Timeline) -> np.ndarray:
    """Return the sample times: all, or those around the flashes in the smaller sizes."""
    probe = plan.probes.loc[[probe_id]].iloc[0]
    rate = float(probe["lfp_sampling_rate"] / probe["lfp_temporal_subsampling_factor"])
    offset = float(make_rng(plan.seed, probe_id, "lfp start").uniform(0, 1 / rate))
    first, last = 0.5, timeline.duration_s - 0.5
    margin = plan.size.lfp_margin_s
    if margin is not None:
        shown = timeline.presentations
        flashes = shown[shown["name"] == "flashes"]
        first = float(flashes["start_time"].iloc[0]) - margin[0]
        last = float(flashes["stop_time"].iloc[-1]) + margin[1]
    n = int((last - first) * rate)
    return np.asarray(first + offset + np.arange(n) / rate)


def _write_region(writer: NwbWriter, series: str, n: int, probe_id: int) -> None:
    path = f"{series}/electrodes"
    writer.write_array(path, np.arange(n))
    description = f"lfp channels on probe {probe_id}"
    writer.mark(path, TABLES, "DynamicTableRegion", description=description)
    writer.file[path].attrs["table"] = writer.file[ELECTRODES].ref


def _write_csd(writer: NwbWriter, plan: SessionPlan, probe_id: int) -> None:
    write_module(writer, "current_source_density", "Precalculated current source density")
    group = "processing/current_source_density/ecephys_csd"
    writer.mark(group, EXTENSION, "EcephysCSD")
    density = make_csd(plan, probe_id)
    writer.write_series(f"{group}/current_source_density", density, CSD_TIMES, "V/cm^2")
    middle = np.full(N_CHANNELS, SHANK_MIDDLE_UM)
    for axis, values in (("x", middle), ("y", DEPTH_UM)):
        writer.write_array(f"{group}/virtual_electrode_{axis}_positions", values, unit="um")
