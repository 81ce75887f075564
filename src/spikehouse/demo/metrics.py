"""The stimulus metrics of a session's units, worked out from their true tuning."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spikehouse.demo.neurons import SPATIAL_FREQUENCIES, TEMPORAL_FREQUENCIES
from spikehouse.demo.plan import SessionPlan
from spikehouse.demo.rates import FLASH_SHARE, GABOR_SHARE, GRATING_SHARE, SCENE_SHARE
from spikehouse.demo.streams import make_rng

__all__ = ["make_analysis_metrics"]

# Units of the first sorting that the units table no longer has.
N_ORPHANS = 2
GRID_STEP_DEG = 10.0
# How the numbered images of the released metrics begin (image 0 is 4929 there).
FIRST_IMAGE = 4929
ONLY_FIRST_SET = ("_ns", "_sg")


def make_analysis_metrics(plan: SessionPlan) -> pd.DataFrame:
    """Give the stimulus metrics of a session.

    Parameters
    ----------
    plan
        The session.

    Returns
    -------
    pandas.DataFrame
        Index ``ecephys_unit_id``. Functional connectivity sessions have no columns of natural
        scenes and static gratings.

    Notes
    -----
    Nothing is simulated: selectivities, receptive fields and rates follow from the parameters,
    with estimation noise. The last rows belong to units that the units table does not have.
    """
    rng = make_rng(plan.seed, plan.facts.id, "metrics")
    orphans = plan.units.iloc[rng.choice(len(plan.units), N_ORPHANS, replace=False)]
    last = int(plan.units.index[-1])
    units = pd.concat([plan.units, orphans.set_axis([last + 3, last + 7])])
    columns: dict[str, np.ndarray] = {}
    _add_gratings(columns, rng, units)
    _add_receptive_fields(columns, rng, units)
    _add_images(columns, rng, units)
    _add_rates(columns, rng, units)
    frame = pd.DataFrame(columns, index=units.index.rename("ecephys_unit_id"))
    if plan.facts.session_type == "functional_connectivity":
        keep = [name for name in frame if not str(name).split("_multi")[0].endswith(ONLY_FIRST_SET)]
        frame = frame[[name for name in keep if not str(name).endswith(ONLY_FIRST_SET)]]
    return frame.sort_index(axis="columns")


def _noisy(rng: np.random.Generator, values: np.ndarray, width: float) -> np.ndarray:
    return np.clip(values + rng.normal(0, width, size=values.size), 0, 1)


def _get(units: pd.DataFrame, name: str) -> np.ndarray:
    return units[name].to_numpy(dtype=float)


def _snap(values: np.ndarray, step: float, period: float) -> np.ndarray:
    return (step * np.rint(values / step)) % period


def _add_gratings(
    columns: dict[str, np.ndarray], rng: np.random.Generator, units: pd.DataFrame
) -> None:
    n = len(units)
    visual = units["is_visual"].to_numpy()
    angle = np.deg2rad(np.arange(0, 360, 5.0))
    width = np.deg2rad(_get(units, "tuning_width"))[:, None]
    strength = _get(units, "orientation_strength")[:, None]
    kept = 1 - _get(units, "direction_strength")[:, None]
    apart = np.abs((angle + np.pi) % (2 * np.pi) - np.pi)
    same = np.exp(-0.5 * (apart / width) ** 2)
    opposite = kept * np.exp(-0.5 * ((np.pi - apart) / width) ** 2)
    share = GRATING_SHARE * _get(units, "drive")[:, None]
    response = 1 + share * (1 - strength + strength * (same + opposite))
    total = response.sum(axis=1)
    columns["g_osi_dg"] = _noisy(rng, np.abs((response * np.exp(2j * angle)).sum(1)) / total, 0.02)
    columns["g_dsi_dg"] = _noisy(rng, np.abs((response * np.exp(1j * angle)).sum(1)) / total, 0.02)
    columns["g_osi_sg"] = _noisy(rng, columns["g_osi_dg"], 0.03)
    random_direction = rng.choice(np.arange(0, 360, 45.0), size=n)
    preferred = _snap(_get(units, "preferred_direction"), 45, 360)
    columns["pref_ori_dg"] = np.where(visual, preferred, random_direction)
    columns["pref_ori_sg"] = _snap(_get(units, "preferred_orientation"), 30, 180)
    random_tf = rng.choice(TEMPORAL_FREQUENCIES, size=n)
    columns["pref_tf_dg"] = np.where(visual, _get(units, "preferred_tf"), random_tf)
    random_sf = rng.choice(SPATIAL_FREQUENCIES, size=n)
    columns["pref_sf_sg"] = np.where(visual, _get(units, "preferred_sf"), random_sf)
    columns["pref_phase_sg"] = _snap(_get(units, "preferred_phase"), 0.25, 1.0)
    modulation = _get(units, "f1_modulation")
    columns["f1_f0_dg"] = np.abs(modulation + rng.normal(0, 0.08, size=n))
    columns["mod_idx_dg"] = np.abs(1.2 * modulation + rng.normal(0, 0.2, size=n))
    contrast = _get(units, "contrast_50")
    columns["c50_dg"] = np.where(visual & (rng.random(n) < 0.8), contrast, np.nan)
    for name in ("pref_ori_multi_dg", "pref_tf_multi_dg", "pref_ori_multi_sg"):
        columns[name] = rng.random(n) < 0.03
    for name in ("pref_sf_multi_sg", "pref_phase_multi_sg", "pref_images_multi_ns"):
        columns[name] = rng.random(n) < 0.03


def _add_receptive_fields(
    columns: dict[str, np.ndarray], rng: np.random.Generator, units: pd.DataFrame
) -> None:
    n = len(units)
    visual = units["is_visual"].to_numpy()
    width = _get(units, "rf_width")
    # pixels of the 9 × 9 grid above half height count as the field
    radius = np.sqrt(2 * np.log(2)) * np.sqrt(width**2 + 49)
    area = GRID_STEP_DEG**2 * np.rint(np.pi * radius**2 / GRID_STEP_DEG**2)
    columns["area_rf"] = np.where(visual, area, rng.choice([0.0, 100.0, 6800.0], size=n))
    for name, key in (("azimuth", "rf_x_position"), ("elevation", "rf_y_position")):
        centre = _get(units, key) + rng.normal(0, 2.0, size=n)
        # on the released scale the screen's centre is at 50° azimuth and 10° elevation
        offset = 50.0 if name == "azimuth" else 10.0
        columns[f"{name}_rf"] = offset + np.where(visual, centre, rng.uniform(-40, 40, size=n))
    for name in ("width_rf", "height_rf"):
        columns[name] = np.where(visual, width * rng.uniform(0.9, 1.1, size=n), np.nan)
    columns["p_value_rf"] = np.where(visual, rng.exponential(0.003, size=n), rng.random(n))
    inside = np.maximum(np.abs(_get(units, "rf_x_position")), np.abs(_get(units, "rf_y_position")))
    columns["on_screen_rf"] = visual & (inside < 36)


def _add_images(
    columns: dict[str, np.ndarray], rng: np.random.Generator, units: pd.DataFrame
) -> None:
    n = len(units)
    sparseness = _get(units, "image_selectivity")
    columns["image_selectivity_ns"] = _noisy(rng, 0.9 * sparseness, 0.03)
    columns["pref_image_ns"] = FIRST_IMAGE + _get(units, "preferred_image")
    columns["lifetime_sparseness_ns"] = _noisy(rng, sparseness, 0.02)
    columns["lifetime_sparseness_dg"] = _noisy(rng, 0.8 * columns["g_osi_dg"] ** 2, 0.02)
    columns["lifetime_sparseness_sg"] = _noisy(rng, 0.8 * columns["g_osi_sg"] ** 2, 0.02)
    visual = units["is_visual"].to_numpy()
    columns["lifetime_sparseness_rf"] = _noisy(rng, np.where(visual, 0.25, 0.05), 0.05)
    on, off = _get(units, "on_gain"), _get(units, "off_gain")
    ratio = (on - off) / (on + off)
    columns["on_off_ratio_fl"] = np.where(visual, ratio, np.nan)
    columns["lifetime_sparseness_fl"] = _noisy(rng, 0.5 * ratio**2, 0.02)
    columns["sustained_idx_fl"] = np.clip(rng.normal(1 - _get(units, "transience"), 0.05), 0.01, 1)
    latency = np.where(visual, _get(units, "latency_s"), rng.uniform(0.01, 0.24, size=n))
    for stimulus in ("fl", "ns", "rf", "sg"):
        jitter = rng.normal(0.012, 0.008, size=n)
        columns[f"time_to_peak_{stimulus}"] = 0.0005 * np.rint((latency + jitter) / 0.0005)


def _add_rates(
    columns: dict[str, np.ndarray], rng: np.random.Generator, units: pd.DataFrame
) -> None:
    n = len(units)
    rate, drive = _get(units, "firing_rate"), _get(units, "drive")
    gain = _get(units, "running_gain")
    shares = {
        "dg": 0.4 * GRATING_SHARE,
        "fl": 0.15 * FLASH_SHARE,
        "ns": 0.4 * SCENE_SHARE,
        "rf": 0.15 * GABOR_SHARE,
        "sg": 0.3 * GRATING_SHARE,
    }
    mean = 1 + drive * float(np.mean(list(shares.values())))
    for stimulus, share in shares.items():
        scatter = np.exp(rng.normal(0, 0.08, size=n))
        columns[f"firing_rate_{stimulus}"] = rate * (1 + drive * share) / mean * scatter
        columns[f"fano_{stimulus}"] = np.exp(rng.normal(0.25, 0.3, size=n)) + 0.02 * rate
        modulation = np.tanh(gain + rng.normal(0, 0.04, size=n))
        columns[f"run_mod_{stimulus}"] = modulation
        p_value = np.exp(-np.abs(gain) * rng.exponential(30, size=n))
        columns[f"run_pval_{stimulus}"] = np.clip(p_value, 1e-12, 1)
