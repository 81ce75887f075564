"""Recipes of the view of a population: all units over time, and what happened meanwhile."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.linalg import eigh

from spikehouse.analysis import HIERARCHY_SCORES, compute_time_to_first_spike
from spikehouse.errors import InvalidArgumentError, NotFoundError, SpikehouseError
from spikehouse.explore.recipes._bins import average_structures, check_stop, make_edges
from spikehouse.explore.recipes._classes import add_classes
from spikehouse.spikes import count_spikes

if TYPE_CHECKING:
    from spikehouse.session import EcephysSession

Floats = npt.NDArray[np.float64]

HEAVY: frozenset[str] = frozenset()
# more bins of a component cost seconds and hundreds of megabytes
MOST_BINS = 20_000


def population_span(session: EcephysSession) -> dict[str, Any]:
    """Return when the recording starts and stops [s], and the blocks of stimuli."""
    blocks = pd.DataFrame(columns=["start_time", "stop_time", "stimulus_name", "stimulus_block"])
    ends = []
    # an adapter may have none of these
    absent = (SpikehouseError, AttributeError, KeyError, NotImplementedError)
    with contextlib.suppress(*absent):
        blocks = session.get_stimulus_epochs()[blocks.columns]
        ends.append(blocks["stop_time"])
    with contextlib.suppress(*absent):
        ends.append(session.optogenetic_stimulation_epochs["stop_time"])
    with contextlib.suppress(*absent):
        ends.append(session.running_speed["end_time"])
    times = np.concatenate([np.asarray(end, dtype=np.float64) for end in [*ends, []]])
    if not np.isfinite(times).any():
        times = np.array([train[-1] for train in session.spike_times.values() if len(train)])
    # an end that is infinite or missing says nothing; a bin wide at least
    stop = times[np.isfinite(times)].max(initial=0.1)
    return {"start": 0.0, "stop": float(stop), "blocks": blocks}


def order_units(
    session: EcephysSession,
    *,
    order: Literal["depth", "area", "waveform", "latency", "rate", "component"] = "depth",
    stimulus: str = "flashes",
    bin: float = 10.0,
) -> dict[str, Any]:
    """Return the units in order: by depth, area, waveform, latency, rate or first component."""
    units = session.units
    table = pd.DataFrame(index=units.index.rename("unit_id"))
    table["probe"] = units["probe_description"]
    table["structure"] = units.get("ecephys_structure_acronym")
    # from the tip of the probe: the surface of the brain is at its largest value
    table["depth_um"] = units["probe_vertical_position"].astype(float)
    table["firing_rate"] = units["firing_rate"].astype(float) if "firing_rate" in units else np.nan
    by_depth, is_rising = ["probe", "depth_um"], [True, False]
    if order == "area":
        ranks = {name: rank for rank, name in enumerate(HIERARCHY_SCORES)}
        rank = table["structure"].map(ranks).fillna(len(ranks))
        table = table.assign(rank=rank).sort_values(
            ["rank", "structure", *by_depth], ascending=[True, True, *is_rising], kind="stable"
        )
        return {"units": table.drop(columns="rank"), "order": order, "unit": ""}
    table = table.sort_values(by_depth, ascending=is_rising, kind="stable")
    if order == "waveform":
        classes = add_classes(units).get("waveform_class")
        if classes is None:
            raise NotFoundError("the units of this session have no waveform_duration to go by")
        table["waveform_class"] = classes
        table = table.sort_values("waveform_class", kind="stable", na_position="last")
    if order in ("depth", "waveform"):
        return {"units": table, "order": order, "unit": ""}
    if order == "latency":
        onsets = session.get_stimulus_table(stimulus)["start_time"]
        found = compute_time_to_first_spike(session, table.index, onsets)
        table["value"], unit = found["time_to_first_spike"], "s"
    elif order == "rate":
        if table["firing_rate"].isna().all():
            raise NotFoundError("the units of this session have no firing_rate to order them by")
        table["value"], unit = -table["firing_rate"], "spikes/s"
    else:
        stop = check_stop(population_span(session))
        least = max(1.0, np.ceil(stop / MOST_BINS))
        if bin < least:
            raise InvalidArgumentError(
                f"bin={bin:g} s is not valid for order=component: {least:g} s or more"
            )
        counted = population_counts(session, span=(0.0, stop), bin=bin)
        weights = pd.Series(_weigh_units(counted["counts"]), counted["unit_ids"])
        table["value"], unit = -weights, ""
    table = table.sort_values("value", kind="stable", na_position="last")
    if order != "latency":
        table["value"] = -table["value"]
    return {"units": table, "order": order, "unit": unit}


def _weigh_units(counts: npt.NDArray[Any]) -> Floats:
    """Return the weight of each unit in the first principal component of the z-scored counts."""
    centred = counts - counts.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    scored = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    # the smaller of the two matrices of products has the same component
    is_tall = len(scored) > scored.shape[1]
    products = scored.T @ scored if is_tall else scored @ scored.T
    last = (len(products) - 1, len(products) - 1)
    found: Floats = eigh(products, subset_by_index=last)[1][:, 0]
    weights = scored @ found if is_tall else found
    weights /= np.linalg.norm(weights) or 1
    # its sign is arbitrary: let most units fire with it
    return weights if weights.sum() >= 0 else -weights


def population_counts(
    session: EcephysSession,
    *,
    unit_ids: tuple[int, ...] = (),
    span: tuple[float, float] = (0.0, 100.0),
    bin: float = 0.1,
) -> dict[str, Any]:
    """Count the spikes of all units, or of some, in bins that begin at multiples of their width."""
    chosen = list(unit_ids) or list(session.spike_times)
    edges = make_edges(span, bin)
    counts = count_spikes(session, chosen, edges[None, :])[0].T
    return {
        "unit_ids": np.asarray(chosen, dtype=np.int64),
        "edges": edges,
        "counts": counts.astype(np.min_scalar_type(counts.max(initial=0))),
    }


def population_spikes(
    session: EcephysSession,
    *,
    unit_ids: tuple[int, ...] = (),
    window: tuple[float, float] = (0.0, 1.0),
) -> dict[str, Any]:
    """List the spikes of units in a window: times [s], and for each the place of its unit."""
    spike_times = session.spike_times
    chosen = list(unit_ids) or list(spike_times)
    trains = []
    for unit_id in chosen:
        times = spike_times[unit_id]
        # a copy, or all spikes of all units would stay in memory until the end
        trains.append(times[slice(*np.searchsorted(times, window))].copy())
    sizes = [len(train) for train in trains]
    return {
        "unit_ids": np.asarray(chosen, dtype=np.int64),
        "times": np.concatenate([np.empty(0), *trains]),
        "rows": np.repeat(np.arange(len(chosen), dtype=np.min_scalar_type(len(chosen))), sizes),
    }


def area_rates(
    session: EcephysSession, *, span: tuple[float, float] = (0.0, 100.0), bin: float = 0.1
) -> dict[str, Any]:
    """Compute the mean rate [spikes/s] of the units of each structure in bins."""
    found = population_counts(session, span=span, bin=bin)
    return average_structures(session.units, found)


def lfp_traces(
    session: EcephysSession,
    *,
    probe_id: int,
    window: tuple[float, float] = (0.0, 2.0),
    n_channels: int = 12,
) -> dict[str, Any]:
    """Read the LFP [µV] of channels spread evenly along a probe, from the top."""
    lfp = session.get_lfp(probe_id)
    try:
        channels = session.channels.loc[session.channels.index.isin(lfp["channel"].to_numpy())]
        channels = channels.sort_values("probe_vertical_position", ascending=False, kind="stable")
        places = np.linspace(0, len(channels) - 1, min(n_channels, len(channels)))
        chosen = channels.iloc[places.round().astype(int)]
        # [start, stop), as for spikes
        until = np.nextafter(window[1], -np.inf)
        part = lfp.sel(time=slice(window[0], until)).sel(channel=chosen.index.to_numpy()).load()
        if not part.sizes["time"]:
            raise NotFoundError(
                f"probe {probe_id} has no LFP from {window[0]:g} to {window[1]:g} s; it lasts from "
                f"{float(lfp['time'][0]):g} to {float(lfp['time'][-1]):g} s"
            )
    finally:
        lfp.close()
    return {
        "channel_ids": chosen.index.to_numpy(),
        "depth_um": chosen["probe_vertical_position"].to_numpy(dtype=np.float64),
        "structures": chosen["ecephys_structure_acronym"].tolist(),
        "times": part["time"].to_numpy(),
        "values": (part.to_numpy().T * 1e6).astype(np.float32),
    }
