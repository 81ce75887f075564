"""Mean waveforms with their channels and times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.schema import require_columns


class LabelledWaveforms(Mapping[int, xr.DataArray]):
    """A mapping of unit id → mean waveform (probe channel number, sample), labelled on access.

    Waveforms are in the unit of the file: µV in the released files, although their attribute says
    volts.
    """

    def __init__(
        self,
        waveforms: Mapping[int, npt.NDArray[Any]],
        *,
        units: pd.DataFrame,
        channels: pd.DataFrame,
        probes: pd.DataFrame,
    ) -> None:
        require_columns(channels, "probe_channel_number", what="the table of channels")
        require_columns(probes, "sampling_rate", what="the table of probes")
        self._waveforms = waveforms
        self._probe_of = units.loc[units.index.isin(list(waveforms)), "probe_id"]
        self._channels = channels
        self._probes = probes

    def copy(self) -> dict[int, xr.DataArray]:
        """Read all waveforms into a dictionary."""
        return dict(self)

    def __len__(self) -> int:
        return len(self._probe_of)

    def __iter__(self) -> Iterator[int]:
        return iter(self._probe_of.index.tolist())

    def __contains__(self, unit_id: object) -> bool:
        return unit_id in self._probe_of.index

    def __getitem__(self, unit_id: int) -> xr.DataArray:
        data = np.asarray(self._waveforms[unit_id])
        probe_id = self._probe_of.loc[unit_id]
        channels = self._channels[self._channels["probe_id"] == probe_id]
        numbers = channels["probe_channel_number"]
        recorded = numbers[numbers < len(data)].sort_values()
        return xr.DataArray(
            data[recorded.to_numpy()],
            dims=["channel_id", "time"],
            coords={
                "channel_id": recorded.index.to_numpy(),
                "time": np.arange(data.shape[1]) / self._probes.loc[probe_id, "sampling_rate"],
            },
        )
