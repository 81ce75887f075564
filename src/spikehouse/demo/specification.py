"""What a demo file says about its own types, under ``/specifications``.

A reader such as pynwb learns the extension types of the data set (``EcephysProbe``, …) from the
file. It resolves an extension only together with the namespaces it builds on, so the file also
carries an abridged description of the core and table types it uses: their names, members, dtypes
and quantities, written here and not taken from anybody's schema files. A reader that knows the
core types from its own installation uses those and ignores the abridged ones; only
``pynwb.validate`` reads a file by nothing but its own description.
"""

from __future__ import annotations

import json
from functools import cache

from spikehouse.demo.specification_core import (
    Spec,
    describe_attribute,
    describe_core,
    describe_dataset,
    describe_tables,
    describe_type,
)

__all__ = ["NAMESPACE_VERSIONS", "describe_namespaces"]

NAMESPACE_VERSIONS = {"core": "2.7.0", "hdmf-common": "1.8.0", "ndx-aibs-ecephys": "0.2.0"}


# ---- the extension


def _positions(name: str) -> Spec:
    unit = describe_attribute("unit", "text")
    return describe_dataset(name, dtype="float32", shape=[None], attributes=[unit])


def _extension_types() -> Spec:
    key = "neurodata_type"
    return {"groups": [*_probe_types(key), *_data_types(key)]}


def _probe_types(key: str) -> list[Spec]:
    return [
        describe_type(
            "EcephysProbe",
            "A Neuropixels probe.",
            inc="Device",
            key=key,
            attributes=[
                describe_attribute("sampling_rate", "float64"),
                describe_attribute("probe_id", "int"),
            ],
        ),
        describe_type(
            "EcephysElectrodeGroup",
            "The channels of one probe.",
            inc="ElectrodeGroup",
            key=key,
            attributes=[
                describe_attribute("has_lfp_data", "bool"),
                describe_attribute("probe_id", "int"),
                describe_attribute("lfp_sampling_rate", "float64"),
            ],
        ),
        describe_type(
            "EcephysSpecimen",
            "The animal, with its name in the survey and its age as a number.",
            inc="Subject",
            key=key,
            attributes=[
                describe_attribute("specimen_name", "text"),
                describe_attribute("age_in_days", "float"),
            ],
        ),
    ]


def _data_types(key: str) -> list[Spec]:
    rig = ("monitor_position", "camera_position", "led_position")
    angles = ("monitor_rotation", "camera_rotation")
    virtual = ("virtual_electrode_x_positions", "virtual_electrode_y_positions")
    return [
        describe_type(
            "EcephysEyeTrackingRigMetadata",
            "Where monitor, camera and light stood.",
            inc="NWBDataInterface",
            key=key,
            attributes=[describe_attribute("equipment", "text")],
            datasets=[_positions(name) for name in (*rig, *angles)],
        ),
        describe_type(
            "EcephysCSD",
            "A current source density and the virtual electrodes it is given on.",
            inc="NWBDataInterface",
            key=key,
            datasets=[_positions(name) for name in virtual],
            groups=[{"neurodata_type_inc": "TimeSeries", "doc": "the density over time"}],
        ),
    ]


@cache
def describe_namespaces() -> dict[str, dict[str, str]]:
    """Describe the namespaces a demo file embeds.

    Returns
    -------
    dict
        Namespace name → document name → JSON text, as they go under
        ``/specifications/<name>/<version>/<document>``.
    """
    parts = {
        "hdmf-common": (None, "Tables, abridged to what this file uses", describe_tables()),
        "core": ("hdmf-common", "Core types, abridged to what this file uses", describe_core()),
        "ndx-aibs-ecephys": (
            "core",
            "Probes, specimens, rigs and current source densities",
            _extension_types(),
        ),
    }
    documents: dict[str, dict[str, str]] = {}
    for name, (parent, doc, types) in parts.items():
        source = f"{name}.types"
        schema = [{"namespace": parent}] if parent else []
        namespace = {
            "name": name,
            "version": NAMESPACE_VERSIONS[name],
            "doc": doc,
            "author": "The spikehouse developers",
            "contact": "the spikehouse developers",
            "schema": [*schema, {"source": source}],
        }
        documents[name] = {
            "namespace": json.dumps({"namespaces": [namespace]}, sort_keys=True),
            source: json.dumps(types, sort_keys=True),
        }
    return documents
