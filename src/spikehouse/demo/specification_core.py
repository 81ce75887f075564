"""The core and table types that demo files use, in our own words; not a schema of the format."""

from __future__ import annotations

__all__ = [
    "Spec",
    "describe_attribute",
    "describe_core",
    "describe_dataset",
    "describe_tables",
    "describe_type",
]

Spec = dict[str, object]
ANY_RANK = [[None], [None, None], [None, None, None], [None, None, None, None]]


def describe_attribute(
    name: str, dtype: object, *, required: bool = True, value: object = None
) -> Spec:
    """Describe an attribute.

    Parameters
    ----------
    name, dtype
        Of the attribute.
    required
        Whether it has to be there.
    value
        What it always is; None if it is free.

    Returns
    -------
    dict
        Its description.
    """
    spec: Spec = {"name": name, "dtype": dtype, "doc": f"{name} of the object"}
    if not required:
        spec["required"] = False
    if value is not None:
        spec["value"] = value
    return spec


def _reference(target: str) -> Spec:
    return {"target_type": target, "reftype": "object"}


def describe_dataset(name: str | None = None, **members: object) -> Spec:
    """Describe a dataset.

    Parameters
    ----------
    name
        None if any name will do.
    **members
        Its dtype, shape, quantity, attributes, type.

    Returns
    -------
    dict
        Its description.
    """
    spec: Spec = {"doc": members.pop("doc", f"{name or 'a dataset'} of the object"), **members}
    if name is not None:
        spec["name"] = name
    return spec


def describe_type(
    type_name: str, doc: str, *, inc: str | None, key: str, **members: object
) -> Spec:
    """Describe a type of object.

    Parameters
    ----------
    type_name, doc
        Its name and what it is.
    inc
        The type it adds to.
    key
        How the namespace writes types: ``"neurodata_type"`` or ``"data_type"``.
    **members
        What it adds.

    Returns
    -------
    dict
        Its description.
    """
    spec: Spec = {f"{key}_def": type_name, "doc": doc, **members}
    if inc is not None:
        spec[f"{key}_inc"] = inc
    return spec


# ---- tables (hdmf-common)


def describe_tables() -> Spec:
    """Describe the types tables are made of.

    Returns
    -------
    dict
        Descriptions of datasets and groups.
    """
    key = "data_type"
    columns = [
        describe_dataset("id", data_type_inc="ElementIdentifiers", dtype="int", shape=[None]),
        describe_dataset(data_type_inc="VectorData", quantity="*"),
    ]
    texts = [
        {**describe_attribute("colnames", "text"), "shape": [None]},
        describe_attribute("description", "text"),
    ]
    groups = [
        describe_type("Container", "Any group with a type.", inc=None, key=key),
        describe_type(
            "DynamicTable",
            "A table: columns of equal length beside the ids of its rows.",
            inc="Container",
            key=key,
            attributes=texts,
            datasets=columns,
        ),
    ]
    return {"datasets": _column_types(key), "groups": groups}


def _column_types(key: str) -> list[Spec]:
    describes = describe_attribute("description", "text")
    return [
        describe_type("Data", "Any dataset with a type.", inc=None, key=key),
        describe_type(
            "VectorData",
            "A column: one entry a row, or one element of a ragged column.",
            inc="Data",
            key=key,
            shape=ANY_RANK,
            attributes=[describes],
        ),
        describe_type(
            "VectorIndex",
            "Where each row of a ragged column ends.",
            inc="VectorData",
            key=key,
            dtype="uint8",
            shape=[None],
            attributes=[describe_attribute("target", _reference("VectorData"))],
        ),
        describe_type(
            "ElementIdentifiers",
            "The ids of the rows.",
            inc="Data",
            key=key,
            dtype="int",
            shape=[None],
        ),
        describe_type(
            "DynamicTableRegion",
            "Rows of another table, by position.",
            inc="VectorData",
            key=key,
            dtype="int",
            shape=[None],
            attributes=[describe_attribute("table", _reference("DynamicTable")), describes],
        ),
    ]


# ---- what the files use of the core


def _member(name: str, inc: str, **members: object) -> Spec:
    """Describe an optional column of a fixed name."""
    return describe_dataset(name, neurodata_type_inc=inc, quantity="?", **members)


def _time_series(
    dtype: str | None = None, shape: object = ANY_RANK, unit: str | None = None
) -> Spec:
    data = describe_dataset(
        "data",
        shape=shape,
        attributes=[
            *(describe_attribute(n, "float32", required=False) for n in ("conversion", "offset")),
            describe_attribute("resolution", "float32", required=False),
            describe_attribute("unit", "text", value=unit),
        ],
    )
    if dtype is not None:
        data["dtype"] = dtype
    return data


def _series_types(key: str) -> list[Spec]:
    timestamps = describe_dataset(
        "timestamps",
        dtype="float64",
        shape=[None],
        quantity="?",
        attributes=[
            describe_attribute("interval", "int32", value=1),
            describe_attribute("unit", "text", value="seconds"),
        ],
    )
    texts = [
        describe_attribute(name, "text", required=False) for name in ("description", "comments")
    ]
    return [
        describe_type("NWBContainer", "Any group of a file.", inc="Container", key=key),
        describe_type(
            "NWBDataInterface", "Any group that holds data.", inc="NWBContainer", key=key
        ),
        describe_type(
            "TimeSeries",
            "Samples and their times.",
            inc="NWBDataInterface",
            key=key,
            attributes=texts,
            datasets=[_time_series(), timestamps],
        ),
        describe_type(
            "ElectricalSeries",
            "Voltages of electrodes over time.",
            inc="TimeSeries",
            key=key,
            datasets=[
                _time_series("numeric", ANY_RANK[:3], "volts"),
                describe_dataset("electrodes", neurodata_type_inc="DynamicTableRegion"),
            ],
        ),
        describe_type(
            "LFP",
            "Local field potentials.",
            inc="NWBDataInterface",
            key=key,
            groups=[{"neurodata_type_inc": "ElectricalSeries", "quantity": "+", "doc": "series"}],
        ),
    ]


def _table_like_types(key: str) -> list[Spec]:
    index = "VectorIndex"
    return [
        describe_type(
            "TimeIntervals",
            "Intervals with a start and a stop.",
            inc="DynamicTable",
            key=key,
            datasets=[
                describe_dataset("start_time", neurodata_type_inc="VectorData", dtype="float32"),
                describe_dataset("stop_time", neurodata_type_inc="VectorData", dtype="float32"),
                _member("tags", "VectorData", dtype="text"),
                _member("tags_index", index),
                _member("timeseries", "TimeSeriesReferenceVectorData"),
                _member("timeseries_index", index),
            ],
        ),
        describe_type(
            "Units",
            "Sorted units: spikes, waveforms, metrics.",
            inc="DynamicTable",
            key=key,
            default_name="Units",
            datasets=[
                _member("spike_times", "VectorData", dtype="float64"),
                _member("spike_times_index", index),
                _member(
                    "waveform_mean",
                    "VectorData",
                    dtype="float32",
                    shape=ANY_RANK[1:3],
                    attributes=[describe_attribute("unit", "text", required=False, value="volts")],
                ),
            ],
        ),
    ]


def _hardware_types(key: str) -> list[Spec]:
    texts = [
        describe_attribute(name, "text", required=False) for name in ("description", "manufacturer")
    ]
    subject = ("age", "genotype", "sex", "species", "strain", "subject_id")
    return [
        describe_type(
            "Device", "A recording device.", inc="NWBContainer", key=key, attributes=texts
        ),
        describe_type(
            "ElectrodeGroup",
            "Electrodes of one device.",
            inc="NWBContainer",
            key=key,
            attributes=[
                describe_attribute("description", "text"),
                describe_attribute("location", "text"),
            ],
            links=[{"name": "device", "target_type": "Device", "doc": "the device"}],
        ),
        describe_type(
            "Subject",
            "The animal.",
            inc="NWBContainer",
            key=key,
            datasets=[describe_dataset(name, dtype="text", quantity="?") for name in subject],
        ),
        describe_type(
            "ProcessingModule",
            "Derived data of one kind.",
            inc="NWBContainer",
            key=key,
            attributes=[describe_attribute("description", "text")],
            groups=[
                {"neurodata_type_inc": "NWBDataInterface", "quantity": "*", "doc": "data"},
                {"neurodata_type_inc": "DynamicTable", "quantity": "*", "doc": "tables"},
            ],
        ),
    ]


def _group(name: str, *members: Spec, quantity: str | None = None) -> Spec:
    spec: Spec = {"name": name, "doc": f"the group {name}", "groups": list(members)}
    if quantity is not None:
        spec["quantity"] = quantity
    return spec


def _any_of(inc: str, name: str | None = None, quantity: str = "*") -> Spec:
    spec: Spec = {"neurodata_type_inc": inc, "quantity": quantity, "doc": f"{inc} objects"}
    if name is not None:
        spec["name"] = name
    return spec


def _file_type(key: str) -> Spec:
    texts = ("institution", "session_id", "stimulus")
    general = _group(
        "general",
        _group("devices", _any_of("Device"), quantity="?"),
        _any_of("Subject", "subject", "?"),
        _group(
            "extracellular_ephys",
            _any_of("ElectrodeGroup"),
            _any_of("DynamicTable", "electrodes", "?"),
            quantity="?",
        ),
    )
    general["datasets"] = [
        *(describe_dataset(name, dtype="text", quantity="?") for name in texts),
        describe_dataset("keywords", dtype="text", shape=[None], quantity="?"),
    ]
    scalars = ("identifier", "session_description")
    dates = ("session_start_time", "timestamps_reference_time")
    return describe_type(
        "NWBFile",
        "The file.",
        inc="NWBContainer",
        key=key,
        name="root",
        attributes=[describe_attribute("nwb_version", "text")],
        datasets=[
            *(describe_dataset(name, dtype="text") for name in scalars),
            *(describe_dataset(name, dtype="isodatetime") for name in dates),
            describe_dataset("file_create_date", dtype="isodatetime", shape=[None]),
        ],
        groups=[
            _group("acquisition", _any_of("NWBDataInterface"), _any_of("DynamicTable")),
            _group("analysis", _any_of("NWBContainer"), _any_of("DynamicTable")),
            _group("processing", _any_of("ProcessingModule")),
            _group("stimulus", _group("presentation"), _group("templates")),
            general,
            _group("intervals", _any_of("TimeIntervals"), quantity="?"),
            _any_of("Units", "units", "?"),
        ],
    )


def describe_core() -> Spec:
    """Describe the core types.

    Returns
    -------
    dict
        Descriptions of datasets and groups.
    """
    key = "neurodata_type"
    series = _reference("TimeSeries")
    reference = describe_type(
        "TimeSeriesReferenceVectorData",
        "Samples of a time series that belong to each row.",
        inc="VectorData",
        key=key,
        default_name="timeseries",
        dtype=[
            {"name": "idx_start", "dtype": "int32", "doc": "first sample"},
            {"name": "count", "dtype": "int32", "doc": "number of samples"},
            {"name": "timeseries", "dtype": series, "doc": "the series"},
        ],
    )
    groups = [*_series_types(key), *_table_like_types(key), *_hardware_types(key), _file_type(key)]
    return {"datasets": [reference], "groups": groups}
