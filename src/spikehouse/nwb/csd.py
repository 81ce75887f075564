"""Read the current source density that is stored in an LFP file."""

from __future__ import annotations

import numpy as np
import xarray as xr

from spikehouse.errors import InvalidFileError
from spikehouse.nwb._series import read_times, read_values
from spikehouse.nwb.hdf5 import Hdf5File, NwbPath

__all__ = ["read_current_source_density"]

CSD = "processing/current_source_density/ecephys_csd"


def read_current_source_density(path: NwbPath) -> xr.DataArray:
    """Read the current source density [V/cm²] around the onset of flashes from an LFP file."""
    # The second spatial derivative of the mean response, not smoothed in space; 2.7 MB for a
    # released probe. Times are in s from the onset, positions in µm.
    file = Hdf5File(path)
    try:
        return _read_csd(file)
    finally:
        file.close()


def _read_csd(file: Hdf5File) -> xr.DataArray:
    name = f"{CSD}/current_source_density"
    values = read_values(file, name).T
    times = read_times(file, name)
    vertical = file.read_array(f"{CSD}/virtual_electrode_y_positions")
    horizontal = file.read_array(f"{CSD}/virtual_electrode_x_positions")
    if values.shape != (len(vertical), len(times)) or len(vertical) != len(horizontal):
        raise InvalidFileError(
            f"{file.path}: /{name}/data has shape {values.shape[::-1]}, but there are "
            f"{len(times)} timestamps, {len(vertical)} vertical and {len(horizontal)} horizontal "
            "positions"
        )
    return xr.DataArray(
        name="CSD",
        data=values,
        dims=("virtual_channel_index", "time"),
        coords={
            "virtual_channel_index": np.arange(len(vertical)),
            "time": times,
            "vertical_position": ("virtual_channel_index", vertical),
            "horizontal_position": ("virtual_channel_index", horizontal),
        },
        attrs={"units": "V/cm^2", "source": f"{file.path}:/{name}"},
    )
