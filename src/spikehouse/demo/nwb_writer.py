"""Write the objects an NWB file is made of with h5py: groups, tables, series, references.

Everything is written contiguous and uncompressed, as in the released files, so a slice of a
dataset is one range of bytes. Object ids are made from the file's name and the object's path:
the same file has the same bytes whenever it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import h5py
import numpy as np

from spikehouse.demo.specification import NAMESPACE_VERSIONS, describe_namespaces
from spikehouse.demo.streams import make_uuid

__all__ = ["Column", "NwbWriter", "Ragged", "make_tags", "narrow_index"]

CORE, TABLES, EXTENSION = "core", "hdmf-common", "ndx-aibs-ecephys"
TEXT = h5py.string_dtype("utf-8")
REFERENCE_TYPE = np.dtype([("idx_start", "<i4"), ("count", "<i4"), ("timeseries", h5py.ref_dtype)])


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    values
        One entry a row; objects are written as text.
    description
        What it is.
    """

    values: np.ndarray
    description: str = "no description"


@dataclass(frozen=True)
class Ragged:
    """A column of several elements a row.

    Attributes
    ----------
    values
        The elements of all rows, one after the other.
    ends
        Where each row ends.
    description
        What it is.
    """

    values: np.ndarray
    ends: np.ndarray
    description: str = "no description"


def narrow_index(ends: np.ndarray) -> np.ndarray:
    """Store end offsets in the smallest unsigned type that holds them.

    Parameters
    ----------
    ends
        Offsets, rising.

    Returns
    -------
    numpy.ndarray
        The same numbers.
    """
    largest = int(ends[-1]) if ends.size else 0
    return ends.astype(np.min_scalar_type(largest))


class NwbWriter:
    """An NWB file being written.

    Parameters
    ----------
    file
        Open for writing.
    name
        Of the file; object ids are made from it.
    """

    def __init__(self, file: h5py.File, name: str) -> None:
        self.file = file
        self._name = name

    def mark(self, path: str, namespace: str, kind: str, **attributes: object) -> h5py.HLObject:
        """Make an object of a type, or make one of what is there.

        Parameters
        ----------
        path
            Of the object; a group is made if there is nothing.
        namespace, kind
            Its type.
        **attributes
            Its other attributes.

        Returns
        -------
        h5py.Group or h5py.Dataset
            The object.
        """
        item = self.file[path] if path in self.file else self.file.create_group(path)
        for key, value in attributes.items():
            item.attrs[key] = value
        item.attrs["namespace"] = namespace
        item.attrs["neurodata_type"] = kind
        item.attrs["object_id"] = make_uuid(self._name, path)
        return item

    def write_root(self, scalars: Mapping[str, str], created: str) -> None:
        """Write what every NWB file has: version, description of types, dates, empty groups.

        Parameters
        ----------
        scalars
            Path → text of the scalar datasets, such as ``identifier``.
        created
            Date of creation; fixed, because the same simulation gives the same file.
        """
        self.mark("/", CORE, "NWBFile", nwb_version=NAMESPACE_VERSIONS[CORE])
        for path in ("acquisition", "analysis", "processing", "stimulus/presentation"):
            self.file.require_group(path)
        self.file.require_group("stimulus/templates")
        for namespace, documents in describe_namespaces().items():
            for name, text in documents.items():
                self.file[f"specifications/{namespace}/{NAMESPACE_VERSIONS[namespace]}/{name}"] = (
                    text
                )
        self.file.attrs[".specloc"] = self.file["specifications"].ref
        for path, text in scalars.items():
            self.file[path] = text
        self.file.create_dataset("file_create_date", data=[created], dtype=TEXT)

    def write_array(self, path: str, values: np.ndarray, **attributes: object) -> h5py.Dataset:
        """Write a dataset; arrays of objects are text.

        Parameters
        ----------
        path
            Of the dataset.
        values
            Its contents.
        **attributes
            Its attributes.

        Returns
        -------
        h5py.Dataset
            The dataset.
        """
        values = np.asarray(values)
        is_text = values.dtype == object and h5py.check_ref_dtype(values.dtype) is None
        dtype = TEXT if is_text else values.dtype
        dataset = self.file.create_dataset(path, data=values, dtype=dtype)
        for key, value in attributes.items():
            dataset.attrs[key] = value
        return dataset

    def write_series(
        self,
        path: str,
        data: np.ndarray | None,
        timestamps: np.ndarray | str,
        unit: str,
        *,
        kind: str = "TimeSeries",
    ) -> h5py.Group:
        """Write a time series.

        Parameters
        ----------
        path
            Of the series.
        data
            Samples, time first; None where the caller has written them already.
        timestamps
            Times [s], or the path of those of another series to share.
        unit
            Of the data.
        kind
            The type of series.

        Returns
        -------
        h5py.Group
            The series.
        """
        group = self.mark(path, CORE, kind, comments="no comments", description="no description")
        if data is not None:
            self.write_array(f"{path}/data", data)
        for key, value in (("conversion", 1.0), ("offset", 0.0), ("resolution", -1.0)):
            group["data"].attrs[key] = np.float64(value)
        group["data"].attrs["unit"] = unit
        if isinstance(timestamps, str):
            group["timestamps"] = h5py.SoftLink(timestamps)
        else:
            self.write_array(f"{path}/timestamps", timestamps, interval=1, unit="seconds")
        return group

    def write_table(
        self,
        path: str,
        ids: np.ndarray,
        columns: Mapping[str, Column | Ragged],
        *,
        description: str,
        kind: tuple[str, str] = (TABLES, "DynamicTable"),
    ) -> h5py.Group:
        """Write a table.

        Parameters
        ----------
        path
            Of the table.
        ids
            Of its rows.
        columns
            Name → column, in the order ``colnames`` lists them.
        description
            Of the table.
        kind
            Namespace and type.

        Returns
        -------
        h5py.Group
            The table.
        """
        names = np.array(list(columns), dtype=object)
        table = self.mark(path, *kind, description=description)
        table.attrs.create("colnames", names, dtype=TEXT)
        self.write_array(f"{path}/id", np.asarray(ids, dtype=np.int64))
        self.mark(f"{path}/id", TABLES, "ElementIdentifiers")
        for name, column in columns.items():
            self.write_array(f"{path}/{name}", column.values)
            self.mark_column(f"{path}/{name}", column.description)
            if isinstance(column, Ragged):
                self.write_index(f"{path}/{name}", column.ends)
        return table

    def mark_column(self, path: str, description: str) -> None:
        """Make a column of a dataset.

        Parameters
        ----------
        path
            Of the dataset.
        description
            What it is.
        """
        is_reference = self.file[path].dtype.names is not None
        kind = (CORE, "TimeSeriesReferenceVectorData") if is_reference else (TABLES, "VectorData")
        self.mark(path, *kind, description=description)

    def write_index(self, path: str, ends: np.ndarray) -> None:
        """Write where each row of a ragged column ends.

        Parameters
        ----------
        path
            Of the column.
        ends
            End offsets.
        """
        name = path.rsplit("/", 1)[-1]
        index = f"{path}_index"
        self.write_array(index, narrow_index(np.asarray(ends)))
        target = self.file[path].ref
        self.mark(index, TABLES, "VectorIndex", description=f"Index for VectorData {name!r}")
        self.file[index].attrs["target"] = target

    def make_references(self, path: str, start: np.ndarray) -> Ragged:
        """Refer each row of a table to one sample of a series.

        Parameters
        ----------
        path
            Of the series.
        start
            The sample of each row.

        Returns
        -------
        Ragged
            The ``timeseries`` column.
        """
        values = np.empty(start.size, dtype=REFERENCE_TYPE)
        values["idx_start"] = start
        values["count"] = 1
        values["timeseries"] = self.file[path].ref
        ends = np.arange(1, start.size + 1)
        return Ragged(values, ends, "index into a TimeSeries object")


def make_tags(tags: Sequence[Sequence[str]]) -> Ragged:
    """Make the ``tags`` column of a table of intervals.

    Parameters
    ----------
    tags
        The tags of each row.

    Returns
    -------
    Ragged
        The column.
    """
    flat = np.array([tag for row in tags for tag in row], dtype=object)
    return Ragged(flat, np.cumsum([len(row) for row in tags]), "user-defined tags")
