"""Recipes of one probe: its units and channels, current source density and a piece of LFP."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikehouse import EcephysSession
from spikehouse.errors import NotFoundError


def probe_units(session: EcephysSession, *, probe_id: int) -> dict[str, Any]:
    """List the units of a probe from the top down."""
    _require_probe(session, probe_id)
    units = session.units[session.units["probe_id"] == probe_id]
    return {"units": units.sort_values("probe_vertical_position", ascending=False)}


def probe_channels(session: EcephysSession, *, probe_id: int) -> dict[str, Any]:
    """List the valid channels of a probe from the top down."""
    _require_probe(session, probe_id)
    channels = session.channels[session.channels["probe_id"] == probe_id]
    return {"channels": channels.sort_values("probe_vertical_position", ascending=False)}


def _require_probe(session: EcephysSession, probe_id: int) -> None:
    """Check that the session has a probe."""
    known = session.probes["description"]
    if probe_id not in known.index:
        valid = ", ".join(f"{number} ({name})" for number, name in known.items()) or "none"
        raise NotFoundError(f"there is no probe {probe_id} in this session; it has {valid}")


def csd(session: EcephysSession, *, probe_id: int) -> dict[str, Any]:
    """Read the current source density [V/cm²] after flashes; None without an LFP file."""
    _require_probe(session, probe_id)
    try:
        density = session.get_current_source_density(probe_id)
    except NotFoundError as error:
        return {"csd": None, "reason": str(error)}
    return {
        "csd": density.transpose("virtual_channel_index", "time").to_numpy().astype(np.float32),
        "depth_um": density["vertical_position"].to_numpy(),
        "time": density["time"].to_numpy(),
    }


def lfp_piece(
    session: EcephysSession, *, probe_id: int, start: float | None = None, duration: float = 1.0
) -> dict[str, Any]:
    """Read a piece of LFP [V], by default from its middle on; None without an LFP file."""
    _require_probe(session, probe_id)
    try:
        lfp = session.get_lfp(probe_id)
    except NotFoundError as error:
        return {"lfp": None, "reason": str(error)}
    if start is None:
        start = float(lfp["time"][len(lfp["time"]) // 2])
    piece = lfp.sel(time=slice(start, start + duration)).transpose("channel", "time").load()
    lfp.close()
    depth = session.channels["probe_vertical_position"].reindex(piece["channel"].to_numpy())
    return {"lfp": piece.to_numpy(), "depth_um": depth.to_numpy(), "time": piece["time"].to_numpy()}
