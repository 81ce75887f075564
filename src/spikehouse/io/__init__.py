"""An open NWB file → tables and arrays. The only room that knows where HDF5 keeps what."""

from __future__ import annotations

from spikehouse.io.hdf5 import NwbPath
from spikehouse.io.session_file import NwbSessionFile
from spikehouse.io.units import ReadAhead, Selection

__all__ = ["NwbPath", "NwbSessionFile", "ReadAhead", "Selection"]
