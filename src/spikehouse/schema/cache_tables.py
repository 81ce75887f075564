"""The tables of a cache folder: sessions, probes, channels, units and the analysis metrics.

These are the columns of the CSV files in the cache folder. `spikehouse.catalogue` builds the
public tables from them and renames some columns (``UNIT_RENAMES``).
"""

from __future__ import annotations

from collections.abc import Mapping

from spikehouse.schema._core import Column, Kind, Table

_CCF_NOTE = "-1000 where the channel is not registered to the atlas"

SESSIONS = Table(
    name="sessions",
    index="id",
    meaning="One row per recording session.",
    columns=(
        Column("date_of_acquisition", "str", "when the session was entered", "ISO 8601, UTC"),
        Column("isi_experiment_id", "int", "intrinsic imaging experiment of the same mouse"),
        Column("published_at", "str", "when the session was released", "ISO 8601, UTC"),
        Column("specimen_id", "int", "the mouse"),
        Column("session_type", "str", "the set of stimuli shown", source="stimulus_name"),
        Column("age_in_days", "float", "age of the mouse at the recording", "day"),
        Column("sex", "str", "M or F"),
        Column("genotype", "str", "full genotype, 'wt' or 'wt/wt' for wild types"),
        Column("has_nwb", "bool", "whether a session file was released"),
    ),
)

PROBES = Table(
    name="probes",
    index="id",
    meaning="One row per inserted Neuropixels probe.",
    columns=(
        Column("air_channel_index", "int", "lowest channel that lies in the air"),
        Column("ecephys_session_id", "int", "the session it belongs to"),
        Column("lfp_sampling_rate", "float", "rate of the LFP before subsampling in time", "Hz"),
        Column(
            "lfp_temporal_subsampling_factor",
            "float",
            "the released LFP keeps every n-th sample; empty where no LFP was processed",
        ),
        Column("name", "str", "probeA … probeF"),
        Column("phase", "str", "hardware generation, 3a or PXI"),
        Column("sampling_rate", "float", "rate of the spike band", "Hz"),
        Column("surface_channel_index", "int", "channel at the surface of the brain"),
        Column("has_lfp_data", "bool", "whether LFP was processed", source="use_lfp_data"),
    ),
)

CHANNELS = Table(
    name="channels",
    index="id",
    meaning="One row per recording site of every probe.",
    columns=(
        Column("ecephys_probe_id", "int", "the probe it belongs to"),
        Column("local_index", "int", "its number on the probe, from the tip"),
        Column("probe_horizontal_position", "int", "across the shank", "µm"),
        Column("probe_vertical_position", "int", "along the shank, from the tip", "µm"),
        Column("anterior_posterior_ccf_coordinate", "int", f"CCFv3; {_CCF_NOTE}", "µm"),
        Column("dorsal_ventral_ccf_coordinate", "int", f"CCFv3; {_CCF_NOTE}", "µm"),
        Column("left_right_ccf_coordinate", "int", f"CCFv3; {_CCF_NOTE}", "µm"),
        Column("ecephys_structure_id", "float", "structure; empty outside the brain"),
        Column("ecephys_structure_acronym", "str", "structure; empty outside the brain"),
    ),
)

UNITS = Table(
    name="units",
    index="id",
    meaning="One row per sorted unit, before any quality filter.",
    columns=(
        Column("PT_ratio", "float", "height of the peak over depth of the trough"),
        Column("amplitude", "float", "peak to trough of the mean waveform", "µV"),
        Column("amplitude_cutoff", "float", "estimated share of spikes missed, 0 to 0.5"),
        Column("cumulative_drift", "float", "distance moved along the probe", "µm"),
        Column("d_prime", "float", "separation from other units by linear discriminant"),
        Column("duration", "float", "trough to peak of the mean waveform", "ms"),
        Column("ecephys_channel_id", "int", "the channel where the waveform is largest"),
        Column("epoch_name_quality_metrics", "str", "what the metrics were computed on"),
        Column("epoch_name_waveform_metrics", "str", "what the waveforms were averaged over"),
        Column("firing_rate", "float", "mean over the session", "Hz"),
        Column("halfwidth", "float", "width of the trough at half its depth", "ms"),
        Column("isi_violations", "float", "rate of contaminating spikes over the true rate"),
        Column("isolation_distance", "float", "Mahalanobis distance to other units' spikes"),
        Column("l_ratio", "float", "contamination from other units, by Mahalanobis distance"),
        Column("max_drift", "float", "largest displacement along the probe", "µm"),
        Column("nn_hit_rate", "float", "share of nearest neighbours that are its own spikes"),
        Column("nn_miss_rate", "float", "share of others' neighbours that are its spikes"),
        Column("presence_ratio", "float", "share of the session in which it fires"),
        Column("quality", "str", "good or noise", optional=True),
        Column("recovery_slope", "float", "slope after the peak", "V/s"),
        Column("repolarization_slope", "float", "slope from trough to peak", "V/s"),
        Column("silhouette_score", "float", "separation of clusters, -1 to 1"),
        Column("snr", "float", "amplitude over the noise of the peak channel"),
        Column("spread", "float", "extent along the probe above 12 % of the amplitude", "µm"),
        Column("velocity_above", "float", "slope of the trough's delay towards the top", "s/m"),
        Column("velocity_below", "float", "slope of the trough's delay towards the tip", "s/m"),
    ),
)

COUNTS = Table(
    name="counts",
    index="",
    meaning="Computed from the tables below each session, probe or channel.",
    columns=(
        Column("unit_count", "int", "units that pass the default filters of get_units"),
        Column("channel_count", "int", "channels; of sessions and probes"),
        Column("probe_count", "int", "probes; of sessions"),
        Column("ecephys_structure_acronyms", "list", "structures; of sessions and probes"),
    ),
)

# name in the cache folder and in a session file → name in the public tables
UNIT_RENAMES: Mapping[str, str] = {
    **{
        name: f"waveform_{name}"
        for name in (
            "PT_ratio", "amplitude", "duration", "halfwidth", "recovery_slope",
            "repolarization_slope", "spread", "velocity_above", "velocity_below",
        )
    },
    "l_ratio": "L_ratio",
}  # fmt: skip

# suffix of a metric's name → the stimulus it was computed from
_STIMULI = {
    "dg": "drifting gratings", "sg": "static gratings", "ns": "natural scenes", "fl": "flashes",
    "rf": "gabors", "dm": "dot motion",
}  # fmt: skip

# (name without suffix, suffixes of its stimuli, meaning, unit)
_METRICS: Mapping[Kind, tuple[tuple[str, str, str, str], ...]] = {
    "float": (
        ("c50", "dg", "contrast of half the maximal response", ""),
        ("area", "rf", "area of the receptive field", "deg²"),
        ("fano", "dg fl ns rf sg dm", "variance of the counts over their mean", ""),
        ("f1_f0", "dg", "modulation at the grating's frequency over the mean", ""),
        ("g_dsi", "dg", "global direction selectivity, 0 to 1", ""),
        ("g_osi", "dg sg", "global orientation selectivity, 0 to 1", ""),
        ("width", "rf", "width of the receptive field", "deg"),
        ("height", "rf", "height of the receptive field", "deg"),
        ("azimuth", "rf", "centre of the receptive field, to the right", "deg"),
        ("elevation", "rf", "centre of the receptive field, upwards", "deg"),
        ("mod_idx", "dg", "modulation of the response by the grating's phase", ""),
        ("p_value", "rf", "p value of the test for a receptive field", ""),
        ("pref_sf", "sg", "preferred spatial frequency", "cycles/deg"),
        ("pref_tf", "dg", "preferred temporal frequency", "Hz"),
        ("pref_ori", "dg sg", "preferred orientation or direction", "deg"),
        ("pref_phase", "sg", "preferred phase", "cycles"),
        ("pref_image", "ns", "condition number of the preferred image", ""),
        ("pref_speed", "dm", "preferred speed of the dots", "deg/s"),
        ("pref_dir", "dm", "preferred direction of the dots", "deg"),
        ("run_mod", "dg fl ns rf sg dm", "rate while running relative to resting, -1 to 1", ""),
        ("run_pval", "dg fl ns rf sg dm", "p value of the running modulation", ""),
        ("firing_rate", "dg fl ns rf sg dm", "mean rate during the stimulus", "Hz"),
        ("on_off_ratio", "fl", "response to white over response to black", ""),
        ("sustained_idx", "fl", "mean over peak of the response", ""),
        ("time_to_peak", "fl ns rf sg dm", "from onset to the peak of the response", "s"),
        ("image_selectivity", "ns", "selectivity among images, up to 1", ""),
        (
            "lifetime_sparseness",
            "dg fl ns rf sg dm",
            "0 for equal responses to all conditions, 1 for a response to one",
            "",
        ),
    ),
    "mixed": (
        ("on_screen", "rf", "whether the receptive field lies on the screen", ""),
        ("pref_sf_multi", "sg", "whether several spatial frequencies are equally preferred", ""),
        ("pref_tf_multi", "dg", "whether several temporal frequencies are equally preferred", ""),
        ("pref_ori_multi", "dg sg", "whether several orientations are equally preferred", ""),
        ("pref_phase_multi", "sg", "whether several phases are equally preferred", ""),
        ("pref_images_multi", "ns", "whether several images are equally preferred", ""),
        ("pref_speed_multi", "dm", "whether several speeds are equally preferred", ""),
        ("pref_dir_multi", "dm", "whether several directions are equally preferred", ""),
    ),
}

METRICS = Table(
    name="analysis_metrics",
    index="ecephys_unit_id",
    meaning="Responses of every unit to every stimulus, as published. The columns depend on "
    "the session type.",
    columns=tuple(
        Column(f"{stem}_{short}", kind, f"{_STIMULI[short]}: {meaning}", unit, optional=True)
        for kind, metrics in _METRICS.items()
        for stem, stimuli, meaning, unit in metrics
        for short in stimuli.split()
    ),
)
