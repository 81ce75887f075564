"""What the view of one unit shows: responses, tuning, waveform, spike train and metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis import (
    StimulusResponses,
    compute_autocorrelograms,
    compute_eye_traces,
    compute_receptive_field_maps,
    compute_receptive_field_metrics,
    find_states,
    fit_receptive_fields,
    label_presentations,
    smooth_rates,
)
from spikehouse.errors import InvalidArgumentError, NotFoundError, SpikehouseError
from spikehouse.schema import CHANNELS, METRICS, UNITS
from spikehouse.session import EcephysSession
from spikehouse.spikes import align_spikes
from spikehouse.stimuli import select_tagged_intervals

State = Literal["all", "running", "resting", "large_pupil", "small_pupil"]


def alignments(session: EcephysSession) -> dict[str, Any]:
    """List what the spikes of a unit can be aligned to, and the parameters of each stimulus."""
    names = [name for name in session.stimulus_names if name != "invalid_presentation"]
    events = {name: session.get_stimulus_table(name, missing="nan") for name in names}
    pulses = _read(lambda: session.optogenetic_stimulation_epochs, pd.DataFrame())
    if len(pulses):
        events["optotagging"] = pulses
    stimuli, parameters = [], []
    for name, table in events.items():
        duration = (table["stop_time"] - table["start_time"]).median()
        stimuli.append((name, len(table), duration, table["start_time"].diff().median()))
        for parameter, values in _find_varied(table).items():
            parameters.append((name, parameter, values.nunique()))
    columns = ["stimulus", "n_presentations", "duration", "interval"]
    return {
        "stimuli": pd.DataFrame(stimuli, columns=columns),
        "parameters": pd.DataFrame(parameters, columns=["stimulus", "parameter", "n_values"]),
    }


def raster(
    session: EcephysSession,
    unit_id: int,
    *,
    align: str = "flashes",
    event: Literal["onset", "offset"] = "onset",
    only: str | None = None,
    by: str | None = None,
    order: str = "time",
    window: tuple[float, float] = (-0.1, 0.5),
    bin: float = 0.005,
    smoothing: float = 0.0,
    n_bands: int = 800,
    max_spikes: int = 140_000,
) -> dict[str, Any]:
    """Align a unit's spikes to presentations, sort these into groups, and average each group."""
    n_bins = int((window[1] - window[0]) / bin + 1e-9)
    edges = np.round(window[0] + bin * np.arange(n_bins + 1), 9)
    if n_bins < 1:
        raise InvalidArgumentError(
            f"the window from {window[0]:g} to {window[1]:g} s holds no bin of {bin:g} s; "
            "make the window longer or the bins smaller"
        )
    rows = _describe_presentations(session, unit_id, align)
    if only is not None:
        name, _, value = only.partition(":")
        rows = rows[np.array(_as_labels(_get_column(rows, name, align))) == value]
    if not len(rows):
        raise NotFoundError(f"no presentation of {align} has {only!r}")
    stimulus_duration = float(rows.pop("duration").median())
    if event == "offset":
        rows["zero"] = rows["stop_time"]
    group, labels = _group(rows, by, align)
    # the strongest response at the top, as groups with larger values are below
    keys = {"time": rows["zero"], "response": -rows["response"]}
    key = keys[order] if order in keys else _get_column(rows, order, align)
    rows = rows.assign(group=group, key=key).sort_values(["group", "key", "zero"], kind="stable")
    zero = rows["zero"].to_numpy()
    windows = pd.DataFrame({"start_time": zero + edges[0], "stop_time": zero + edges[-1]})
    spikes = align_spikes(session, [unit_id], windows.rename_axis(index="stimulus_presentation_id"))
    rows["is_invalid"] = _find_invalid(session, unit_id, windows)
    row = spikes["stimulus_presentation_id"].to_numpy()
    absolute = spikes.index.to_numpy(dtype=np.float64)
    time = absolute - zero[row]
    column = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, n_bins - 1)
    # the difference may be rounded to the other side of an edge
    column -= absolute < zero[row] + edges[column]
    column += absolute >= zero[row] + edges[column + 1]
    n_shown = np.bincount(rows["group"])
    mean, sem = _average_groups(row, column, n_shown, edges, smoothing)
    found = {
        "rows": rows.drop(columns=["key", "stop_time"]),
        "groups": pd.DataFrame({"label": labels, "n_presentations": n_shown}),
        "bin_edges": edges,
        "psth": mean,
        "psth_sem": sem,
        "n_spikes": len(time),
        # fewer where windows overlap
        "n_different_spikes": len(np.unique(absolute)),
        "stimulus_duration": stimulus_duration,
    }
    if len(time) <= max_spikes:
        by_row = np.lexsort((time, row))
        spike_time = time[by_row].astype(np.float32)
        return found | {"spike_time": spike_time, "spike_row": row[by_row].astype(np.int32)}
    # too many to draw one by one: counts in bands of neighbouring rows
    n_bands = min(n_bands, len(rows))
    cell = (row * n_bands // len(rows)) * n_bins + column
    counts = np.bincount(cell, minlength=n_bands * n_bins)
    return found | {"band_counts": counts.reshape(n_bands, -1).astype(np.uint32)}


def tuning(
    session: EcephysSession,
    unit_id: int,
    *,
    stimulus: str = "drifting_gratings",
    state: State = "all",
) -> dict[str, Any]:
    """Average a unit's firing rate during presentations over all with the same parameter value."""
    rates, varied = _measure_rates(session, unit_id, stimulus, state)
    columns = ["parameter", "label", "value", "rate", "sem", "n_presentations"]
    curves = [pd.DataFrame(columns=columns)]
    for parameter in map(str, varied):
        means = rates.groupby(varied[parameter]).agg(["mean", "sem", "count"])
        means = means[means["count"] > 0]
        values = means.index.to_series()
        is_number = pd.api.types.is_numeric_dtype(values)
        table = {
            "parameter": parameter,
            "label": _as_labels(values),
            "value": values.to_numpy() if is_number else np.nan,
            "rate": means["mean"].to_numpy(),
            "sem": means["sem"].to_numpy(),
            "n_presentations": means["count"].to_numpy(),
        }
        curves.append(pd.DataFrame(table))
    blank = rates[varied.isna().all(axis=1) & (varied.shape[1] > 0)].dropna()
    return {
        "curves": pd.concat(curves[1:] or curves, ignore_index=True),
        "blank_rate": blank.mean() if len(blank) else None,
        "blank_sem": blank.sem() if len(blank) > 1 else None,
        "n_blank": len(blank),
    }


def star(
    session: EcephysSession,
    unit_id: int,
    *,
    stimulus: str = "drifting_gratings",
    state: State = "all",
) -> dict[str, Any]:
    """Average a unit's firing rate by direction, and by what else varies: rings, and arcs."""
    rates, varied = _measure_rates(session, unit_id, stimulus, state)
    numbers = varied.select_dtypes("number")
    angle = next((name for name in ("orientation", "Dir") if name in numbers), None)
    if angle is None:
        raise InvalidArgumentError(
            f"{stimulus} has no orientation or Dir that varies; give a stimulus of gratings or dots"
        )
    ring = next(
        (
            name
            for name in ("temporal_frequency", "spatial_frequency", "contrast", "Speed")
            if name in varied
        ),
        None,
    )
    arc = "phase" if "phase" in varied else None
    one = pd.Series(0.0, varied.index)
    axes = [varied[name] if name else one for name in (angle, ring, arc)]
    known = pd.concat([rates, *axes], axis=1, keys=["rate", "angle", "ring", "arc"])
    known = known.dropna(subset=["angle", "ring", "arc"])
    means = known.groupby(["angle", "ring", "arc"])["rate"].agg(["mean", "sem", "count"])
    places = [np.unique(known[name]) for name in ("angle", "ring", "arc")]
    shape = [len(values) for values in places]
    grid = means.reindex(pd.MultiIndex.from_product(places))
    blank = rates[varied.isna().all(axis=1)].dropna()
    return {
        "angles": places[0],
        "rings": places[1] if ring else None,
        "ring_parameter": ring,
        "arcs": places[2] if arc else None,
        "arc_parameter": arc,
        # static gratings look the same after half a turn
        "period": 180 if stimulus.startswith("static_gratings") else 360,
        "rates": grid["mean"].to_numpy().reshape(shape),
        "sem": grid["sem"].to_numpy().reshape(shape),
        "n_presentations": grid["count"].fillna(0).to_numpy(dtype=np.int64).reshape(shape),
        "blank": float(blank.mean()) if len(blank) else None,
    }


def receptive_field(
    session: EcephysSession, unit_id: int, *, stimulus: str = "gabors", n_resamples: int = 1000
) -> dict[str, Any]:
    """Map a unit's response over the screen, fit a Gaussian, and compute the map's measures."""
    responses = session.get_responses(stimulus, 0.25, [unit_id])
    maps = compute_receptive_field_maps(responses)
    fit = fit_receptive_fields(maps).isel(unit_id=0)
    measures = compute_receptive_field_metrics(responses, n_resamples=n_resamples).iloc[0]
    columns = {column.name: column for column in METRICS.columns}
    described = [columns[name] for name in measures.index]
    published = _read(lambda: session.units_with_metrics, session.units).loc[unit_id]
    names = ("center_azimuth", "center_elevation", "width", "height", "baseline", "peak")
    return {
        "azimuth": maps["azimuth"].to_numpy(),
        "elevation": maps["elevation"].to_numpy(),
        "map": maps.to_numpy()[0],
        "mask": fit["mask"].to_numpy(),
        **{name: float(fit[name]) for name in names},
        "is_fitted": bool(fit["is_fitted"]),
        "is_suppressed": bool(fit["is_suppressed"]),
        "n_resamples": n_resamples,
        "measures": pd.DataFrame(
            {
                "value": measures.astype(np.float64),
                "published": published.reindex(measures.index).astype(np.float64),
                "unit": [column.unit for column in described],
                "meaning": [column.meaning for column in described],
            },
            index=pd.Index(measures.index, name="measure"),
        ),
    }


def waveform(session: EcephysSession, unit_id: int, *, reach_um: float = 120.0) -> dict[str, Any]:
    """Return a unit's mean waveform on the channels near its peak channel, from the tip up."""
    unit = _get_unit(session, unit_id)
    waveforms = _read(lambda: session.mean_waveforms, {})
    if unit_id not in waveforms:
        raise NotFoundError(f"there is no mean waveform of unit {unit_id} in this session")
    mean = waveforms[unit_id]
    position = ["probe_vertical_position", "probe_horizontal_position"]
    channels = session.channels.loc[mean["channel_id"].to_numpy()].sort_values(position)
    away = channels["probe_vertical_position"] - unit["probe_vertical_position"]
    near = channels[away.abs() <= reach_um].rename_axis(index="channel_id")
    return {
        "channels": near[[*position, "ecephys_structure_acronym"]],
        "time": mean["time"].to_numpy(),
        "waveform": mean.sel(channel_id=near.index).to_numpy().astype(np.float32),
        "peak_channel_id": int(unit["peak_channel_id"]),
    }


def interspike_intervals(
    session: EcephysSession,
    unit_id: int,
    *,
    max_interval: float = 0.05,
    bin: float = 0.0005,
    refractory: float = 0.0015,
) -> dict[str, Any]:
    """Count the intervals between a unit's successive spikes, and those too short for one cell."""
    intervals = np.diff(session.spike_times[unit_id])
    n_bins = max(1, round(max_interval / bin))
    shorter = intervals[intervals < max_interval]
    counts, edges = np.histogram(shorter, bins=n_bins, range=(0.0, max_interval))
    n_violations = int((intervals < refractory).sum())
    published = _get_unit(session, unit_id).get("isi_violations")
    return {
        "counts": counts,
        "bin_edges": edges,
        "refractory": refractory,
        "n_intervals": len(intervals),
        "n_longer": len(intervals) - len(shorter),
        "n_violations": n_violations,
        "violation_fraction": n_violations / len(intervals) if len(intervals) else None,
        "isi_violations": None if published is None else float(published),
        "median_interval": float(np.median(intervals)) if len(intervals) else None,
    }


def autocorrelogram(
    session: EcephysSession, unit_id: int, *, max_lag: float = 0.1, bin: float = 0.001
) -> dict[str, Any]:
    """Average a unit's firing rate around each of its spikes."""
    found = compute_autocorrelograms(session, [unit_id], max_lag=max_lag, bin_width=bin)
    return {
        "lags": found["time_lag"].to_numpy(),
        "rates": found.to_numpy()[0],
        "bin": bin,
        "n_spikes": len(session.spike_times[unit_id]),
    }


def stability(session: EcephysSession, unit_id: int, *, bin: float = 30.0) -> dict[str, Any]:
    """Follow a unit's firing rate and spike amplitudes over the session, with the stimuli shown."""
    times = session.spike_times[unit_id]
    blocks = session.get_stimulus_epochs()
    ends = [*blocks["start_time"], *blocks["stop_time"], *times[[0, -1][: len(times)]]]
    if not ends:
        raise NotFoundError(f"unit {unit_id} has no spikes, and the session no stimuli")
    start, stop = np.min(ends), np.max(ends)
    if start == stop:
        # one spike alone
        stop = start + bin
    if not stop - start < 1e6 * bin:
        raise InvalidArgumentError(
            f"stimuli and spikes of unit {unit_id} last from {start:g} to {stop:g} s, which cannot "
            f"be divided into bins of {bin:g} s: a start_time or stop_time of the stimuli is wrong"
        )
    # bins of one width, about as wide as asked for
    n_bins = max(1, round((stop - start) / bin))
    edges = np.linspace(start, stop, n_bins + 1)
    counts, _ = np.histogram(times, edges)
    found = {
        "bin_edges": edges,
        "firing_rate": counts / np.diff(edges),
        "blocks": blocks[["start_time", "stop_time", "stimulus_name"]].reset_index(drop=True),
        "amplitude_quantiles": None,
    }
    measured = _read(lambda: session.spike_amplitudes, {})
    if unit_id not in measured:
        return found
    amplitudes = np.split(measured[unit_id] * 1e6, np.searchsorted(times, edges[1:-1]))
    quantiles = [np.quantile(a, (0.1, 0.5, 0.9)) if len(a) else [np.nan] * 3 for a in amplitudes]
    return found | {"amplitude_quantiles": np.array(quantiles).T}


def metric_percentiles(session: EcephysSession, unit_id: int) -> dict[str, Any]:
    """List a unit's metrics, with their percentile among the session's units of its structure."""
    unit = _get_unit(session, unit_id)
    units = _read(lambda: session.units_with_metrics, session.units)
    structure = unit.get("ecephys_structure_acronym")
    same = units
    if "ecephys_structure_acronym" in units:
        of_unit = units["ecephys_structure_acronym"]
        same = units[of_unit.isna() if pd.isna(structure) else of_unit == structure]
    place = {column.name for column in CHANNELS.columns}
    ids = {"cluster_id", "local_index", "peak_channel_id"}
    metrics = [
        column
        for column in (*UNITS.columns, *METRICS.columns)
        if column.name in units
        and column.kind in ("int", "float")
        and column.name not in place | ids
        and not column.name.startswith("probe_")
    ]
    names = [column.name for column in metrics]
    values = same[names].astype(np.float64)
    own = values.T[unit_id]
    n_units = values.notna().sum()
    # the share below, and half of those that are equal
    rank = ((values < own).sum() + (values == own).sum() / 2) / n_units
    return {
        "metrics": pd.DataFrame(
            {
                "value": own,
                "percentile": np.where(own.notna(), 100 * rank, np.nan),
                "n_units": n_units,
                "unit": [column.unit for column in metrics],
                "meaning": [column.meaning for column in metrics],
            },
            index=pd.Index(names, name="metric"),
        ),
        "structure": None if pd.isna(structure) else str(structure),
        "n_units_in_structure": len(same),
        "probe": _known(unit["probe_description"], str),
        "probe_id": _known(unit["probe_id"], int),
        "peak_channel_id": _known(unit["peak_channel_id"], int),
        "probe_vertical_position": _known(unit["probe_vertical_position"], float),
        "n_spikes": len(session.spike_times[unit_id]),
    }


def _read(read: Callable[[], Any], default: Any) -> Any:  # noqa: ANN401 - whatever it reads
    """Return what is read, or a default if the session's adapter does not have it."""
    try:
        return read()
    except (SpikehouseError, AttributeError, NotImplementedError, KeyError):
        return default


def _known(value: Any, kind: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - a value of a table
    """Return a value as its type, None if nobody knows it."""
    return None if pd.isna(value) else kind(value)


def _get_unit(session: EcephysSession, unit_id: int) -> pd.Series[Any]:
    """Return the row of a unit in the session's table."""
    if unit_id not in session.units.index:
        raise NotFoundError(
            f"session {session.ecephys_session_id} has no unit {unit_id} among the "
            f"{session.num_units} that pass its filters"
        )
    return next(session.units.loc[[unit_id]].iterrows())[1]


def _find_invalid(
    session: EcephysSession, unit_id: int, windows: pd.DataFrame
) -> npt.NDArray[np.bool_]:
    """Tell which windows overlap an interval in which the data of the unit's probe are invalid."""
    names = {"all_probes", str(_get_unit(session, unit_id)["probe_description"])}
    found = np.zeros(len(windows), dtype=bool)
    for _, wrong in select_tagged_intervals(session.invalid_times, names).iterrows():
        is_before_end = windows["start_time"].to_numpy() < wrong["stop_time"]
        found |= is_before_end & (windows["stop_time"].to_numpy() > wrong["start_time"])
    return found


def _respond(session: EcephysSession, unit_id: int, name: str) -> StimulusResponses:
    """Return a unit's responses to a stimulus, or to the light pulses of optotagging."""
    pulses = _read(lambda: session.optogenetic_stimulation_epochs, pd.DataFrame())
    if name == "optotagging" and len(pulses):
        one = pulses.assign(stimulus_condition_id=0)
        return StimulusResponses(name, one, [unit_id], session.spike_times, 1.0)
    return session.get_responses(name, 1.0, [unit_id])


def _find_varied(presentations: pd.DataFrame) -> pd.DataFrame:
    """Select the parameters with several values; NaN where a presentation has none."""
    fixed = ["start_time", "stop_time", "duration", "stimulus_name", "stimulus_condition_id"]
    varied = {}
    for name in presentations.columns.difference(fixed, sort=False):
        values = presentations[name]
        if name == "frame":
            # the grey screen among natural scenes has the number -1
            values = values.where(values >= 0)
        if values.nunique() > 1:
            is_text = values.dtype == object
            varied[name] = values.map(str, na_action="ignore") if is_text else values
    return pd.DataFrame(varied, index=presentations.index)


def _measure_rates(
    session: EcephysSession, unit_id: int, stimulus: str, state: State
) -> tuple[pd.Series[Any], pd.DataFrame]:
    """Return a unit's rate by presentation, NaN in other states, and what varies but blocks."""
    responses = _respond(session, unit_id, stimulus)
    shown = responses.presentations
    rates: pd.Series[Any] = 1 / (shown["stop_time"] - shown["start_time"])
    rates = rates * responses.shown_counts[:, 0]
    varied = _find_varied(shown).drop(columns="stimulus_block", errors="ignore")
    if state == "all":
        return rates, varied
    is_in = label_presentations(shown, _find_states(session, state)) == state
    if not is_in.any():
        raise NotFoundError(
            f"the animal was in the state {state.replace('_', ' ')} during no presentation of "
            f"{stimulus}, from start to stop; choose another state"
        )
    return rates.where(is_in), varied


def _find_states(session: EcephysSession, state: State) -> pd.DataFrame:
    """Find when the animal ran and rested, or when its pupil was in the lower or upper third."""
    if state in ("running", "resting"):
        return find_states(session.running_speed, names=("resting", "running"))
    pupil = session.get_pupil_data()
    if pupil is None:
        raise NotFoundError("this session has no eye tracking: its pupil has no states")
    diameter = compute_eye_traces(pupil)["pupil_diameter"]
    names = ("small_pupil", "middle", "large_pupil")
    return find_states(diameter, quantiles=(1 / 3, 2 / 3), names=names)


def _describe_presentations(session: EcephysSession, unit_id: int, align: str) -> pd.DataFrame:
    """List presentations with their parameters, the unit's response and the running speed."""
    responses = _respond(session, unit_id, align)
    shown = responses.presentations
    duration = shown["stop_time"] - shown["start_time"]
    rows = pd.DataFrame(
        {
            "zero": shown["start_time"],
            "stop_time": shown["stop_time"],
            "duration": duration,
            "response": (responses.shown_counts[:, 0] / duration).astype(np.float32),
        }
    )
    if np.isfinite(responses.speeds).any():
        rows["running_speed"] = responses.speeds.astype(np.float32)
    varied = _find_varied(shown)
    # parameters of a laboratory's own may have the names of what is computed
    computed = (*rows, "running_speed", "group", "key", "is_invalid")
    varied = varied.rename(columns={name: f"{name}_parameter" for name in computed})
    narrow = varied.select_dtypes("float64").astype(np.float32)
    return rows.join(varied.assign(**narrow))


def _get_column(rows: pd.DataFrame, name: str, align: str) -> pd.Series[Any]:
    """Return a column of presentations by name."""
    valid = [str(column) for column in rows if column not in ("zero", "stop_time", "duration")]
    if name not in valid:
        raise NotFoundError(
            f"presentations of {align} have no {name!r} that varies; valid: {', '.join(valid)}"
        )
    return rows[name]


def _as_labels(values: pd.Series[Any]) -> list[str]:
    """Write values of a parameter as text."""
    return [f"{v:g}" if isinstance(v, int | float) else str(v) for v in values.to_list()]


def _group(
    rows: pd.DataFrame, by: str | None, align: str
) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Sort presentations into groups by value: a number for each, and the names of the groups."""
    if by is None:
        return np.zeros(len(rows), np.int32), [align]
    values = _get_column(rows, by, align)
    missing = "blank"
    if by == "running_speed":
        # the limit of the published running modulation
        names = ["still (below 1 cm/s)", "running (1 cm/s or faster)"]
        values = pd.cut(values, [-np.inf, 1.0, np.inf], right=False, labels=names)
        missing = "speed unknown"
    elif by == "response":
        quarters = ["weakest quarter", "second quarter", "third quarter", "strongest quarter"]
        values = pd.cut(
            values.rank(method="first", pct=True), [0, 0.25, 0.5, 0.75, 1], labels=quarters
        )
    codes, uniques = pd.factorize(values, sort=True)
    labels = _as_labels(pd.Series(uniques))
    if (codes < 0).any():
        codes = np.where(codes < 0, len(labels), codes)
        labels.append(missing)
    return codes.astype(np.int32), labels


def _average_groups(
    row: npt.NDArray[np.int64],
    column: npt.NDArray[np.int64],
    n_shown: npt.NDArray[np.int64],
    edges: npt.NDArray[np.float64],
    smoothing: float,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Average rates [spikes/s] over the rows of each group, with standard errors."""
    n_rows, n_bins = int(n_shown.sum()), len(edges) - 1
    if n_rows * n_bins > 30_000_000:
        raise InvalidArgumentError(
            f"{n_bins} bins of {n_rows} presentations are too many to average; use wider bins or a "
            "shorter window"
        )
    counts = np.bincount(row * n_bins + column, minlength=n_rows * n_bins).reshape(n_rows, n_bins)
    rates = counts / np.diff(edges)
    if smoothing > 0:
        centres = {"time_relative_to_stimulus_onset": (edges[:-1] + edges[1:]) / 2}
        labelled = xr.DataArray(rates, centres, ("row", "time_relative_to_stimulus_onset"))
        rates = smooth_rates(labelled, sigma=smoothing).to_numpy()
    first = np.cumsum(n_shown) - n_shown
    n = n_shown[:, None]
    mean = np.add.reduceat(rates, first, axis=0) / n
    variance = np.add.reduceat(np.square(rates, out=rates), first, axis=0) / n - mean**2
    with np.errstate(divide="ignore", invalid="ignore"):
        sem = np.where(n > 1, np.sqrt(np.maximum(variance, 0.0) / (n - 1)), np.nan)
    return mean.astype(np.float32), sem.astype(np.float32)
