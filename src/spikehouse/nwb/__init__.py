"""Read tables and arrays from an NWB file; the only package that knows the layout of the file."""

from __future__ import annotations

from spikehouse.nwb.hdf5 import NwbPath
from spikehouse.nwb.session_file import NwbSessionFile

__all__ = ["NwbPath", "NwbSessionFile"]
