"""Draw the units of a probe: position, tuning, and other properties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spikehouse.demo.anatomy import STRUCTURES, Structure
from spikehouse.demo.sessions import SizeOptions, make_rng
from spikehouse.survey.file_kinds import VISUAL_CODING

N_SCENES = len(VISUAL_CODING.kinds["scene"].choices["number"])
N_FEATURES = 8
VISUAL_CORTEX = ("VISp", "VISl", "VISrl", "VISal", "VISpm", "VISam")
# Weights of the structures when peak channels are drawn: cortex and LGd give most units.
UNIT_WEIGHTS = {"LGd": 1.7, "LP": 1.1, "CA1": 1.0, "CA3": 0.6, "DG": 0.6}
TEMPORAL_FREQUENCIES = np.array([1.0, 2.0, 4.0, 8.0, 15.0])
SPATIAL_FREQUENCIES = np.array([0.02, 0.04, 0.08, 0.16, 0.32])
# Median of the beta distribution that modulations are drawn from.
MEDIAN_MODULATION = 0.4
# Mean rate of the events of an assembly; a session has one for each area of VISUAL_CORTEX.
EVENT_RATE_HZ = 1.0
MIN_EVENT_GAP_S = 0.02
# Shares: of the visual cortical units that are coupled, if they are present throughout; of those,
# that take the assembly of their area (the others take any one).
P_COUPLED = 0.5
P_OWN_ASSEMBLY = 0.4
# Share of a coupled unit's spikes that come with events, and the largest chance of one at an event.
SHARE_OF_EVENTS = 0.12
MAX_COUPLING = 0.9
# Share of the visual units of VISp without an assembly that are locked to gamma.
P_GAMMA = 0.7

TRUTH_COLUMNS = {
    "structure": "structure acronym; missing outside the brain",
    "is_visual": "whether the unit responds to visual stimuli",
    "is_passing": "whether the unit passes the default filters",
    "is_narrow": "whether its waveform is narrow (fast-spiking)",
    "is_optotagged": "whether it expresses the opsin and responds to the laser",
    "opto_latency_s": "mean latency of responses to light pulses [s]; missing if not optotagged",
    "firing_rate": "mean rate over the whole recording [spikes/s]",
    "latency_s": "latency of visual responses, at a quarter of their rise [s]; 0 if not visual",
    "refractory_s": "dead time after a spike [s]",
    "contamination": "share of spikes that come from other neurons and ignore the dead time",
    "drive": "size of visual responses relative to the baseline",
    "transience": "share of a response that has decayed in the steady state, 0–1",
    "decay_s": "time constant of that decay [s]",
    "on_gain": "response to a bright flash relative to the drive",
    "off_gain": "response to a dark flash relative to the drive",
    "preferred_direction": "preferred direction of drifting gratings [degrees, 0–360)",
    "preferred_orientation": "preferred direction modulo 180 [degrees, 0–180)",
    "tuning_width": "standard deviation of orientation tuning [degrees]",
    "orientation_strength": "tuned share of the response to gratings, 0–1",
    "direction_strength": "loss of response in the opposite direction, 0–1",
    "preferred_tf": "preferred temporal frequency [Hz]",
    "preferred_sf": "preferred spatial frequency [cycles/degree]",
    "preferred_phase": "preferred phase of static gratings [cycles]",
    "f1_modulation": "modulation at the temporal frequency of a grating, 0–1 (simple cells high)",
    "contrast_50": "contrast of half the response",
    "rf_x_position": "centre of the receptive field, as x_position of a gabor [degrees]",
    "rf_y_position": "centre of the receptive field, as y_position of a gabor [degrees]",
    "rf_width": "standard deviation of the receptive field [degrees]",
    "image_gain": "spread of the log response over natural images",
    "image_selectivity": "lifetime sparseness of the responses to the 118 images, 0–1",
    "preferred_image": "number of the most effective image",
    "preferred_speed": "preferred speed of dot motion, as in the stimulus table",
    "running_gain": "change of log rate per standard deviation of running speed",
    "shared_gain": "loading on the fluctuation shared by the population",
    "drift": "standard deviation of the slow drift of log rate",
    "assembly": "number of the assembly the unit fires with, in its session; missing if none",
    "coupling": "chance of a spike at an event of that assembly, 0–1; 0 if none",
    "lag_s": "mean delay of that spike behind the event [s]; missing if none",
    "movie_drift": "change of the log rate during a movie from its first block to its second",
    "theta_phase": "mean phase of theta at spikes [rad], 0 at the peak in the upper part of CA1; "
    "missing if not locked",
    "theta_locking": "length of the mean vector of those phases, 0–0.5; 0 if not locked",
    "gamma_phase": "mean phase of gamma at spikes [rad], 0 at its peak; missing if not locked",
    "gamma_locking": "length of the mean vector of those phases, 0–0.5; 0 if not locked",
    "ripple_spikes": "mean number of spikes that a ripple adds; 0 outside CA1",
    **{f"feature_{i}": f"weight of image feature {i}" for i in range(N_FEATURES)},
}


@dataclass(frozen=True)
class ProbeContext:
    """Session, probe and size that the units of a probe depend on."""

    seed: int
    session_id: int
    letter: str
    genotype: str
    size: SizeOptions


def make_image_features(seed: int) -> np.ndarray:
    """Draw the features of the natural scenes, the same in every session: (118, features)."""
    return make_rng(seed, "image features").standard_normal((N_SCENES, N_FEATURES))


def draw_units(context: ProbeContext, channels: pd.DataFrame) -> pd.DataFrame:
    """Draw the units of a probe: truth, metrics as named in units.csv, and peak channels."""
    rng = make_rng(context.seed, context.session_id, "units", context.letter)
    rows, passing = _draw_places(rng, context, channels)
    peak = channels.iloc[rows].reset_index(drop=True)
    # a dict of arrays, because adding a column to a data frame takes a hundred times as long
    units: Columns = {
        "ecephys_channel_id": peak["id"].to_numpy(),
        "peak_index": peak["local_index"].to_numpy(),
        "structure": peak["ecephys_structure_acronym"].to_numpy(dtype=object),
        "is_passing": passing,
    }
    _draw_identity(rng, units, context)
    _draw_tuning(rng, units)
    _draw_receptive_fields(rng, units)
    _draw_image_tuning(rng, units, make_image_features(context.seed))
    outside = np.array([name is None for name in units["structure"]], dtype=bool)
    draw_quality(rng, units, is_outside=outside)
    draw_waveform_shape(rng, units)
    _draw_coupling(rng, units)
    rng = make_rng(context.seed, context.session_id, "rhythms", context.letter)
    _draw_locking(rng, units)
    rng = make_rng(context.seed, context.session_id, "movie drift", context.letter)
    units["movie_drift"] = np.where(units["is_visual"], rng.normal(0, 0.3, peak.shape[0]), 0.0)
    structure = pd.Series(units["structure"], dtype=object)
    return pd.DataFrame({**units, "structure": structure})


def _draw_places(
    rng: np.random.Generator, context: ProbeContext, channels: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the peak channel of each unit (by row) and whether it passes the filters."""
    size = context.size
    acronyms = channels["ecephys_structure_acronym"].to_numpy()
    weights = np.array([_weigh_channel(name) for name in acronyms])
    fixed_visp = context.letter == "C" and size.n_visp_units > 0
    if not fixed_visp:
        n_units = int(rng.integers(size.n_units_range[0], size.n_units_range[1] + 1))
        rows = rng.choice(len(channels), n_units, p=weights / weights.sum())
        return rows, _draw_passing(rng, acronyms[rows], round(size.p_passing * n_units))
    visp = acronyms == "VISp"
    first = rng.choice(np.flatnonzero(visp), size.n_visp_units)
    rest = np.where(visp, 0.0, weights)
    second = rng.choice(len(channels), size.n_other_units, p=rest / rest.sum())
    n_rest = max(3, round(size.p_passing * size.n_other_units))
    passing = np.concatenate(
        [
            _draw_passing(rng, acronyms[first], size.n_visp_passing),
            _draw_passing(rng, acronyms[second], n_rest),
        ]
    )
    order = rng.permutation(passing.size)
    return np.concatenate([first, second])[order], passing[order]


def _weigh_channel(acronym: str | None) -> float:
    if acronym is None:
        return 0.35
    return 1.6 if acronym in VISUAL_CORTEX else UNIT_WEIGHTS.get(acronym, 0.8)


def _draw_passing(rng: np.random.Generator, acronyms: np.ndarray, n: int) -> np.ndarray:
    inside = np.flatnonzero(np.array([name is not None for name in acronyms], dtype=bool))
    passing = np.zeros(acronyms.size, dtype=bool)
    passing[rng.choice(inside, min(n, inside.size), replace=False)] = True
    return passing


def _draw_identity(rng: np.random.Generator, units: Columns, context: ProbeContext) -> None:
    n = units["is_passing"].size
    names = units["structure"].tolist()
    facts = [STRUCTURES.get(name) if isinstance(name, str) else None for name in names]
    units["is_visual"] = rng.random(n) < [0.0 if f is None else f.p_visual for f in facts]
    units["is_narrow"] = rng.random(n) < 0.22
    in_cortex = np.isin(units["structure"].astype(str), VISUAL_CORTEX)
    share = {"Pvalb": 0.6, "Sst": 0.07, "Vip": 0.06}.get(context.genotype.split("-")[0], 0.0)
    candidates = units["is_narrow"] if share == 0.6 else np.ones(n, dtype=bool)
    tagged = in_cortex & candidates & (rng.random(n) < share)
    if share and context.letter == "C":
        _ensure_tagged(tagged, units, in_cortex)
    if share == 0.6:
        units["is_narrow"] |= tagged
    units["is_optotagged"] = tagged
    units["opto_latency_s"] = np.where(tagged, rng.uniform(0.0022, 0.0055, size=n), np.nan)
    median = np.array([2.0 if f is None else f.median_rate_hz for f in facts])
    rate = median * np.exp(rng.normal(0, 0.87, size=n)) * np.where(units["is_narrow"], 2.0, 1.0)
    units["firing_rate"] = np.clip(rate, 0.12, 45.0)
    latency = np.array([0.0 if f is None else f.latency_ms for f in facts]) / 1000
    jitter = np.exp(rng.normal(0, 0.06, size=n))
    units["latency_s"] = np.where(units["is_visual"], latency * jitter, 0.0)
    refractory = rng.uniform(0.0021, 0.0035, size=n)
    units["refractory_s"] = np.where(units["is_narrow"], 0.0016, refractory)


def _ensure_tagged(tagged: np.ndarray, units: Columns, in_cortex: np.ndarray) -> None:
    """Make at least two passing units respond to the laser."""
    good = np.flatnonzero(in_cortex & units["is_passing"])
    missing = 2 - int(tagged[good].sum())
    untagged = good[~tagged[good]]
    tagged[untagged[: max(missing, 0)]] = True


def _draw_tuning(rng: np.random.Generator, units: Columns) -> None:
    n = units["is_passing"].size
    visual = units["is_visual"]
    cortical = np.isin(units["structure"].astype(str), VISUAL_CORTEX)
    drive = np.exp(rng.normal(np.log(1.7), 0.45, size=n))
    units["drive"] = np.where(visual, drive, 0.04 * drive)
    units["transience"] = rng.beta(2.2, 1.8, size=n)
    facts = [STRUCTURES.get(name, Structure(0)) for name in units["structure"].tolist()]
    decay = np.array([fact.decay_ms for fact in facts]) / 1000
    units["decay_s"] = decay * rng.uniform(0.7, 1.3, size=n)
    polarity = rng.beta(0.7, 0.7, size=n)
    units["on_gain"] = 2 * polarity
    units["off_gain"] = 2 * (1 - polarity)
    direction = rng.choice(np.arange(0, 360, 45), size=n) + rng.normal(0, 8, size=n)
    units["preferred_direction"] = direction % 360
    units["preferred_orientation"] = direction % 180
    units["tuning_width"] = rng.uniform(16, 36, size=n)
    strength = np.where(cortical, rng.beta(3.0, 1.2, size=n), rng.beta(1.2, 4.0, size=n))
    units["orientation_strength"] = strength
    units["direction_strength"] = rng.beta(1.2, 1.6, size=n)
    slow = np.where(cortical, 1.1, 1.7)
    tf = np.clip(np.rint(rng.normal(slow, 1.0, size=n)), 0, 4).astype(int)
    units["preferred_tf"] = TEMPORAL_FREQUENCIES[tf]
    sf = np.clip(np.rint(rng.normal(1.3, 0.9, size=n)), 0, 4).astype(int)
    units["preferred_sf"] = SPATIAL_FREQUENCIES[sf]
    units["preferred_phase"] = rng.random(n)
    # a power of a fraction has any median, and still covers 0–1
    modulation = np.log([fact.f1_modulation for fact in facts]) / np.log(MEDIAN_MODULATION)
    units["f1_modulation"] = rng.beta(0.9, 1.2, size=n) ** modulation
    units["contrast_50"] = np.clip(np.exp(rng.normal(np.log(0.25), 0.5, size=n)), 0.05, 0.9)
    units["preferred_speed"] = rng.choice([0.005, 0.01, 0.02, 0.03], size=n)
    units["running_gain"] = rng.normal(np.where(cortical, 0.22, 0.08), 0.16, size=n)
    units["shared_gain"] = np.abs(rng.normal(0.14, 0.08, size=n))
    units["drift"] = rng.uniform(0.03, 0.22, size=n)


def _draw_receptive_fields(rng: np.random.Generator, units: Columns) -> None:
    """Draw receptive fields that move in order along the probe, in each structure."""
    n = units["is_passing"].size
    azimuth, elevation, width = (np.zeros(n) for _ in range(3))
    depth = units["peak_index"].astype(float)
    for name in sorted({str(s) for s in units["structure"] if s is not None}):
        here = np.flatnonzero(units["structure"] == name)
        inside = (depth[here] - depth[here].min()) / max(np.ptp(depth[here]), 1.0) - 0.5
        sign = 1 if rng.random() < 0.5 else -1
        start = rng.uniform(-8, 8, size=2)
        jitter = rng.normal(0, 2.5, size=(2, here.size))
        azimuth[here] = start[0] + sign * rng.uniform(36, 48) * inside + jitter[0]
        elevation[here] = start[1] + rng.uniform(-18, 18) * inside + jitter[1]
        width[here] = STRUCTURES[name].rf_width_deg
    units["rf_x_position"] = np.clip(azimuth, -38, 38)
    units["rf_y_position"] = np.clip(elevation, -34, 34)
    units["rf_width"] = width * np.exp(rng.normal(0, 0.12, size=n))


def _draw_coupling(rng: np.random.Generator, units: Columns) -> None:
    """Draw which visual cortical units fire with an assembly, how often and how late."""
    n = units["is_passing"].size
    names = units["structure"].astype(str)
    # a unit that is lost during the session would fire with its assembly when it is not there
    coupled = units["is_visual"] & np.isin(names, VISUAL_CORTEX) & (units["presence_ratio"] >= 0.95)
    coupled &= rng.random(n) < P_COUPLED
    # units prefer the assembly of their area, so more pairs are coupled within an area
    area = np.array([VISUAL_CORTEX.index(s) if s in VISUAL_CORTEX else 0 for s in names])
    any_one = rng.integers(0, len(VISUAL_CORTEX), size=n)
    assembly = np.where(rng.random(n) < P_OWN_ASSEMBLY, area, any_one)
    units["assembly"] = np.where(coupled, assembly, np.nan)
    chance = np.minimum(SHARE_OF_EVENTS * units["firing_rate"] / EVENT_RATE_HZ, MAX_COUPLING)
    units["coupling"] = np.where(coupled, chance, 0.0)
    lag = np.array([STRUCTURES.get(s, Structure(0)).lag_ms for s in names])
    units["lag_s"] = np.where(coupled, (lag + rng.normal(0, 0.8, size=n)) / 1000, np.nan)


def _draw_locking(rng: np.random.Generator, units: Columns) -> None:
    """Draw how strongly and where units are locked to theta and gamma, and fire with ripples."""
    n = units["is_passing"].size
    in_ca1 = units["structure"] == "CA1"
    # the spikes that come with an assembly's events keep their lags, so its units are not locked
    in_visp = (units["structure"] == "VISp") & units["is_visual"] & (units["coupling"] == 0)
    in_visp &= rng.random(n) < P_GAMMA
    locked = {"theta": (in_ca1, 0.06, 0.3, 0.6), "gamma": (in_visp, 0.06, 0.18, 0.4)}
    for name, (which, weakest, strongest, spread) in locked.items():
        # most units prefer the trough
        phase = np.mod(rng.normal(np.pi, spread, size=n) + np.pi, 2 * np.pi) - np.pi
        units[f"{name}_phase"] = np.where(which, phase, np.nan)
        strength = rng.uniform(weakest, strongest, size=n)
        units[f"{name}_locking"] = np.where(which, strength, 0.0)
    # the rate in a ripple of 60 ms is that of other times, several times over
    added = 0.06 * units["firing_rate"] * (np.exp(rng.normal(np.log(6.0), 0.4, size=n)) - 1)
    with_ripples = in_ca1 & (units["presence_ratio"] >= 0.95)
    units["ripple_spikes"] = np.where(with_ripples, np.clip(added, 0, 2.5), 0.0)


def draw_events(seed: int, session_id: int, duration_s: float) -> list[np.ndarray]:
    """Draw the times [s] of the events of each assembly of a session."""
    events = []
    for assembly in range(len(VISUAL_CORTEX)):
        rng = make_rng(seed, session_id, "assembly", assembly)
        # far enough apart for the dead time of any unit
        gaps = MIN_EVENT_GAP_S + rng.exponential(
            1 / EVENT_RATE_HZ - MIN_EVENT_GAP_S, size=round(1.2 * EVENT_RATE_HZ * duration_s) + 60
        )
        times = np.cumsum(gaps)
        events.append(times[times < duration_s - MIN_EVENT_GAP_S])
    return events


def _draw_image_tuning(rng: np.random.Generator, units: Columns, features: np.ndarray) -> None:
    n = units["is_passing"].size
    weights = rng.standard_normal((n, N_FEATURES))
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    gain = np.exp(rng.normal(np.log(1.1), 0.3, size=n))
    gain = np.where(units["is_visual"], gain, 0.1 * gain)
    # einsum instead of BLAS gives the same bits for any number of threads
    score = np.einsum("if,uf->ui", features, weights)
    response = np.exp(gain[:, None] * score)
    mean, square = response.mean(axis=1), (response**2).mean(axis=1)
    units["image_gain"] = gain
    units["image_selectivity"] = (1 - mean**2 / square) / (1 - 1 / len(features))
    units["preferred_image"] = score.argmax(axis=1)
    for feature in range(N_FEATURES):
        units[f"feature_{feature}"] = weights[:, feature]


# ---- quality and waveform metrics

# Column name → one value per unit.
Columns = dict[str, np.ndarray]
# The metric columns of units.csv and of the session file, in the order of the file.
METRICS = (
    "quality", "firing_rate", "isi_violations", "presence_ratio", "amplitude_cutoff",
    "isolation_distance", "l_ratio", "d_prime", "nn_hit_rate", "nn_miss_rate", "max_drift",
    "cumulative_drift", "silhouette_score", "duration", "halfwidth", "PT_ratio",
    "repolarization_slope", "recovery_slope", "amplitude", "spread", "velocity_above",
    "velocity_below", "snr",
)  # fmt: skip
# Names in the session file that differ.
FILE_NAMES = {"duration": "waveform_duration", "halfwidth": "waveform_halfwidth"}
MAX_CONTAMINATION = 0.9


def compute_contamination(isi_violations: np.ndarray) -> np.ndarray:
    """Compute the share of spikes of other neurons that explains a rate of ISI violations."""
    # With a share f of independent spikes among clean ones, f·(1 − f) + f²/2 of the expected
    # coincidences happen, so f = 1 − sqrt(1 − 2·v). Rates from 0.5 need bursts as well; here they
    # get the largest share.
    share = 1 - np.sqrt(np.clip(1 - 2 * isi_violations, 0, None))
    return np.asarray(np.minimum(share, MAX_CONTAMINATION))


def draw_quality(rng: np.random.Generator, units: Columns, *, is_outside: np.ndarray) -> None:
    """Add quality metrics with which exactly the units marked as passing pass the filters."""
    n = units["is_passing"].size
    fails = ~units["is_passing"]
    reasons = rng.random((4, n)) < np.array([0.17, 0.62, 0.27, 0.26])[:, None]
    reasons &= fails
    without = fails & ~reasons.any(axis=0) & ~is_outside
    reasons[1] |= without
    is_noise, is_cut, is_absent, is_mixed = reasons
    units["quality"] = np.where(is_noise, "noise", "good")
    cut = np.minimum(0.5, 0.1005 + rng.exponential(0.25, size=n))
    units["amplitude_cutoff"] = np.where(is_cut, cut, 0.0004 + 0.0995 * rng.beta(0.6, 1.6, size=n))
    present = np.where(rng.random(n) < 0.8, 0.99, np.round(rng.uniform(0.95, 0.985, size=n), 2))
    absent = np.round(rng.uniform(0.3, 0.94, size=n), 2)
    units["presence_ratio"] = np.where(is_absent, absent, present)
    mixed = 0.505 + rng.exponential(0.6, size=n)
    units["isi_violations"] = np.where(is_mixed, mixed, 0.499 * rng.beta(0.5, 3.0, size=n))
    units["contamination"] = compute_contamination(units["isi_violations"])
    good = np.where(fails, 0.6, 1.0)
    units["snr"] = np.exp(rng.normal(np.log(2.6), 0.35, size=n)) * good
    units["d_prime"] = np.clip(rng.normal(4.4, 1.4, size=n) * good, 0.1, None)
    isolation = np.exp(rng.normal(np.log(60), 0.5, size=n)) * good
    units["isolation_distance"] = np.where(rng.random(n) < 0.01, np.nan, isolation)
    units["l_ratio"] = rng.exponential(0.03, size=n) / good**3
    units["nn_hit_rate"] = np.clip(rng.beta(5, 1.5, size=n) * good, 0, 1)
    units["nn_miss_rate"] = rng.exponential(0.01, size=n) / good
    score = rng.uniform(0.02, 0.25, size=n)
    units["silhouette_score"] = np.where(rng.random(n) < 0.03, np.nan, score)
    units["max_drift"] = np.round(rng.gamma(3.0, 9.0, size=n), 2)
    units["cumulative_drift"] = np.round(rng.gamma(5.0, 60.0, size=n), 2)


def draw_waveform_shape(rng: np.random.Generator, units: Columns) -> None:
    """Add the waveform metrics: duration, halfwidth, slopes, spread, velocities."""
    n = units["is_passing"].size
    narrow = units["is_narrow"]
    duration = np.where(narrow, rng.normal(0.26, 0.045, size=n), rng.normal(0.58, 0.1, size=n))
    noise = units["quality"] == "noise"
    duration = np.where(noise, rng.uniform(0.1, 1.4, size=n), duration)
    # measured on a grid of 1/200 of the 2.73 ms window
    step = 82 / 30 / 199
    units["duration"] = step * np.rint(np.clip(duration, 0.14, 1.6) / step)
    half = np.where(narrow, rng.normal(0.13, 0.02, size=n), rng.normal(0.21, 0.035, size=n))
    units["halfwidth"] = step * np.rint(np.clip(half, 0.05, 0.6) / step)
    units["PT_ratio"] = np.clip(rng.normal(np.where(narrow, 0.62, 0.45), 0.12), 0.08, 1.4)
    amplitude = np.exp(rng.normal(np.log(45), 0.3, size=n)) * units["snr"]
    units["amplitude"] = amplitude
    repolarization = 0.0045 * amplitude * np.where(narrow, 1.5, 1.0)
    units["repolarization_slope"] = repolarization * np.exp(rng.normal(0, 0.15, size=n))
    recovery = -0.09 * repolarization / units["PT_ratio"] * np.exp(rng.normal(0, 0.3, size=n))
    units["recovery_slope"] = np.where(rng.random(n) < 0.01, np.nan, recovery)
    units["spread"] = 10.0 * rng.integers(3, 12, size=n)
    for side in ("above", "below"):
        speed = np.round(rng.normal(0.35 if side == "above" else -0.25, 0.45, size=n) / 0.1717)
        units[f"velocity_{side}"] = np.where(rng.random(n) < 0.08, np.nan, speed * 0.1717)
