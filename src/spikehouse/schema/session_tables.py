"""Tables of one session."""

from __future__ import annotations

from spikehouse.schema._core import Column, Table

PROBES = Table(
    name="probes",
    index="id",
    meaning="One row per probe.",
    columns=(
        Column("description", "str", "the probe's name, probeA to probeF"),
        Column("location", "str", "where it was inserted"),
        Column("sampling_rate", "float", "of the spike band", unit="Hz"),
        Column("lfp_sampling_rate", "float", "of the local field potential", unit="Hz"),
        Column("has_lfp_data", "bool", "whether an LFP file was released"),
    ),
)

_MISSING = "missing outside the brain"
_POSITION = (
    Column(
        "anterior_posterior_ccf_coordinate", "float",
        "common coordinate framework, NaN where not registered",
        "µm", "electrodes/x", optional=True,
    ),
    Column(
        "dorsal_ventral_ccf_coordinate", "float", "the same", "µm", "electrodes/y", optional=True
    ),
    Column("filtering", "str", "band limits of the amplifier", optional=True),
    Column(
        "left_right_ccf_coordinate", "float",
        "the same; a copy of y in the released files, correct with the channels.csv of a cache",
        "µm", "electrodes/z", optional=True,
    ),
    Column("probe_channel_number", "int", "0 at the tip", source="electrodes/local_index"),
    Column("probe_horizontal_position", "int", "across the shank", "µm"),
    Column("probe_id", "int", "the probe"),
    Column("probe_vertical_position", "int", "from the tip", "µm"),
    Column("structure_acronym", "str", _MISSING, source="electrodes/location"),
    Column(
        "ecephys_structure_id", "float", "of the Allen ontology", "", "channels.csv", optional=True
    ),
    Column(
        "ecephys_structure_acronym", "str", _MISSING,
        source="channels.csv, else electrodes/location",
    ),
)  # fmt: skip

CHANNELS = Table(
    name="channels", index="id", meaning="One row per valid channel.", columns=_POSITION
)

# columns that a session reads; the others say nothing where there are no channels
NO_CHANNELS = Table(
    name="channels",
    index="id",
    meaning="The channels of a recording whose places nobody knows.",
    columns=tuple(c for c in _POSITION if not c.optional),
)
NO_PROBES = Table(
    name="probes",
    index="id",
    meaning="The probes of such a recording.",
    columns=tuple(c for c in PROBES.columns if c.name in ("description", "sampling_rate")),
)

_METRICS = (
    Column("waveform_PT_ratio", "float", "peak over trough", source="PT_ratio", optional=True),
    Column("waveform_amplitude", "float", "peak to trough", unit="µV", source="amplitude"),
    Column("amplitude_cutoff", "float", "estimated fraction of spikes missed below threshold"),
    Column("cluster_id", "int", "the spike sorter's number", optional=True),
    Column("cumulative_drift", "float", "along the probe", unit="µm", optional=True),
    Column("d_prime", "float", "separation from other clusters", optional=True),
    Column("firing_rate", "float", "over the session", unit="spikes/s"),
    Column("isi_violations", "float", "rate of refractory violations over the unit's rate"),
    Column("isolation_distance", "float", "in Mahalanobis units", optional=True),
    Column("L_ratio", "float", "contamination by neighbours", source="l_ratio", optional=True),
    Column("local_index", "int", "number of the unit on its probe", optional=True),
    Column("max_drift", "float", "along the probe", unit="µm", optional=True),
    Column("nn_hit_rate", "float", "nearest neighbours inside the cluster", optional=True),
    Column("nn_miss_rate", "float", "nearest neighbours outside it", optional=True),
    Column("peak_channel_id", "int", "the channel with the largest waveform"),
    Column("presence_ratio", "float", "fraction of the session with spikes"),
    Column("waveform_recovery_slope", "float", "after the peak", source="recovery_slope"),
    Column("waveform_repolarization_slope", "float", "after the trough"),
    Column("silhouette_score", "float", "of the cluster", optional=True),
    Column("snr", "float", "waveform over noise", optional=True),
    Column("waveform_spread", "float", "along the probe", unit="µm", source="spread"),
    Column("waveform_velocity_above", "float", "of the spike along the probe", unit="s/m"),
    Column("waveform_velocity_below", "float", "the same below the peak", unit="s/m"),
    Column("waveform_duration", "float", "trough to peak", unit="ms"),
    Column("waveform_halfwidth", "float", "at half the amplitude", unit="ms"),
)

UNITS = Table(
    name="units",
    index="unit_id",
    meaning="One row per unit, with its peak channel and its probe.",
    columns=(
        *_METRICS,
        *_POSITION,
        Column("probe_description", "str", "the probe's name", source="probes.description"),
        Column("location", "str", "where the probe was inserted"),
        Column("probe_sampling_rate", "float", "of the spike band", unit="Hz"),
        Column("probe_lfp_sampling_rate", "float", "of the LFP", unit="Hz"),
        Column("probe_has_lfp_data", "bool", "whether an LFP file was released"),
    ),
)

INVALID_TIMES = Table(
    name="invalid_times",
    index="id",
    meaning="Intervals with invalid data.",
    columns=(
        Column("start_time", "float", "start", unit="s"),
        Column("stop_time", "float", "end", unit="s"),
        Column("tags", "list", "scope (EcephysSession, EcephysProbe), id, label"),
    ),
)

# tags of an interval of which nobody says what is invalid in it: every probe and every stimulus
ALWAYS_INVALID = ("all_probes", "stimulus")

OPTOGENETIC_EPOCHS = Table(
    name="optogenetic_stimulation_epochs",
    index="id",
    meaning="Light pulses of the optotagging stimulus.",
    columns=(
        Column("start_time", "float", "start", unit="s"),
        Column("condition", "str", "in words"),
        Column("level", "float", "command voltage of the laser", unit="V"),
        Column("stop_time", "float", "end", unit="s"),
        Column("stimulus_name", "str", "pulse, fast_pulses, raised_cosine"),
        Column("duration", "float", "of the pulse", unit="s"),
    ),
)

PRESENTATIONWISE_SPIKE_TIMES = Table(
    name="presentationwise_spike_times",
    index="spike_time",
    meaning="One row per spike in each presentation that contains it.",
    columns=(
        Column("stimulus_presentation_id", "int", "the presentation"),
        Column("unit_id", "int", "the unit that fired"),
        Column("time_since_stimulus_presentation_onset", "float", "≥ 0", unit="s"),
    ),
)

_ELLIPSES = (
    ("corneal_reflection", "of the corneal reflection"), ("pupil", "of the pupil"),
    ("eye", "of the eye"),
)  # fmt: skip

STIMULUS_PRESENTATIONS = Table(
    name="stimulus_presentations",
    index="stimulus_presentation_id",
    meaning='One row per presentation; a parameter that does not apply is "null", or missing with '
    'missing="nan". Columns of other stimuli are their parameters.',
    columns=(
        Column(
            "stimulus_block", "mixed", "number of the block; missing in spontaneous activity",
            optional=True,
        ),
        Column("start_time", "float", "onset", "s"),
        Column("stop_time", "float", "end", "s"),
        Column("stimulus_name", "str", "the stimulus"),
        Column("color", "mixed", "-1 is black, 1 is white", optional=True),
        Column("contrast", "mixed", "0 to 1", optional=True),
        Column(
            "frame", "mixed", "number of the image or the movie's frame; image -1 is a grey screen",
            optional=True,
        ),
        Column(
            "orientation", "mixed", "of static gratings; direction of drifting ones", "deg",
            optional=True,
        ),
        Column("phase", "mixed", "of static gratings", "cycles", optional=True),
        Column("size", "mixed", "width and height, as text", "deg", optional=True),
        Column("spatial_frequency", "mixed", "of gratings", "cycles/deg", optional=True),
        Column("temporal_frequency", "mixed", "of drifting gratings", "Hz", optional=True),
        Column("x_position", "mixed", "of gabors, from the centre", "deg", optional=True),
        Column("y_position", "mixed", "of gabors, from the centre", "deg", optional=True),
        Column("duration", "float", "stop_time less start_time", "s", "computed"),
        Column(
            "stimulus_condition_id", "int", "number of the distinct set of parameters", "",
            "computed",
        ),
    ),
)  # fmt: skip

RUNNING_SPEED = Table(
    name="running_speed",
    index="",
    meaning="One row per interval between two frames.",
    columns=(
        Column("start_time", "float", "start", "s"),
        Column("end_time", "float", "end", "s"),
        Column(
            "velocity",
            "float",
            "of the running wheel; which direction is positive is not documented, and running "
            "modulation takes 1 cm/s and more for running",
            "cm/s",
        ),
    ),
)

PUPIL_DATA = Table(
    name="pupil_data",
    index="Time (s)",
    meaning="One row per frame of the eye camera: the ellipses fitted to it.",
    columns=tuple(
        Column(f"{name}_{part}", "float", f"{meaning} {of}", unit)
        for name, of in _ELLIPSES
        for part, meaning, unit in (
            ("center_x", "horizontal centre", "px"),
            ("center_y", "vertical centre", "px"),
            ("height", "full height", "px"),
            ("width", "full width", "px"),
            ("phi", "rotation", "rad"),
        )
    ),
)

SCREEN_GAZE = Table(
    name="screen_gaze",
    index="Time (s)",
    meaning="One row per frame of the eye camera: where on the screen the animal looked.",
    columns=tuple(
        Column(f"{kind}_{name}", "float", f"{meaning}{note}", unit, optional=kind == "filtered")
        for kind, note in (("raw", ""), ("filtered", "; NaN at blinks and jumps"))
        for name, meaning, unit in (
            ("eye_area", "area of the eye", "as in the file"),
            ("pupil_area", "area of the pupil", "as in the file"),
            ("screen_coordinates_x_cm", "horizontal position on the screen", "cm"),
            ("screen_coordinates_y_cm", "vertical position on the screen", "cm"),
            ("screen_coordinates_spherical_x_deg", "horizontal angle", "deg"),
            ("screen_coordinates_spherical_y_deg", "vertical angle", "deg"),
        )
    ),
)
