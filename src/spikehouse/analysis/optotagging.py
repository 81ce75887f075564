"""Optotagging: units that respond to light, because the neuron carries the opsin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis.checks import divide
from spikehouse.analysis.evoked import adjust_p_values
from spikehouse.analysis.responses import check_unit_ids
from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices
from spikehouse.labelled import Ids
from spikehouse.schema import require_columns
from spikehouse.spikes import SpikeTimes, align_spikes, count_spikes
from spikehouse.spikes.counting import check_windows
from spikehouse.spikes.trains import HasSpikeTimes

Floats = npt.NDArray[np.float64]

_NEEDED = ("start_time", "stop_time", "stimulus_name")
# what the files say of a train: "2.5 ms pulses at 10 Hz"
_TRAIN = r"([0-9.]+) ?ms pulses at ([0-9.]+) ?Hz"


class HasLaser(HasSpikeTimes, Protocol):
    """An object with spikes, units and laser pulses, such as a session."""

    @property
    def units(self) -> pd.DataFrame:
        """Index unit_id."""
        ...

    @property
    def optogenetic_stimulation_epochs(self) -> pd.DataFrame:
        """Laser pulses: start_time, stop_time [s], stimulus_name, condition, level [V]."""
        ...


@dataclass(frozen=True)
class OptotagOptions:
    """Windows that are compared, and the criteria for a tagged unit.

    Attributes
    ----------
    baseline
        First and last time of the baseline from the onset of a pulse [s].
    response
        A response is counted until the pulse ends, and at least this long after its onset [s].
    artifact
        What is left out after the onset, and on both sides of the end, of a pulse [s]: light on
        the electrode makes deflections there that are taken for spikes.
    longest_pulse
        Longer epochs (ramps) tag no unit: what light does directly cannot be told from what
        follows [s].
    alpha
        False discovery rate across units in one condition.
    smallest_ratio
        Smallest ratio of evoked to baseline rate.
    latest
        Largest median latency [s]; light that acts through other neurons takes longer.

    Examples
    --------
    >>> options = OptotagOptions(latest=0.004)
    >>> compute_optotagging(session, conditions=["pulse"], options=options).attrs["latest"]
    0.004
    """

    baseline: tuple[float, float] = (-0.05, -0.002)
    response: float = 0.01
    artifact: float = 0.001
    longest_pulse: float = 0.02
    alpha: float = 0.01
    smallest_ratio: float = 2.0
    latest: float = 0.008

    def __post_init__(self) -> None:
        start, stop = self.baseline
        if not start < stop <= 0:
            raise InvalidArgumentError(
                f"baseline=({start:g}, {stop:g}): it must end after it starts and not after the "
                "onset, for instance (-0.05, -0.002)"
            )
        if not 0 <= self.artifact < self.response:
            raise InvalidArgumentError(
                f"artifact={self.artifact:g} s leaves nothing of a response of {self.response:g} s"
            )


def compute_optotagging(
    spikes_or_session: HasLaser | SpikeTimes,
    unit_ids: Ids | None = None,
    epochs: pd.DataFrame | None = None,
    *,
    conditions: Sequence[str] | None = None,
    by: Sequence[str] = ("stimulus_name", "duration", "level"),
    options: OptotagOptions | None = None,
) -> pd.DataFrame:
    """Compare the rates of units during light with those before, and decide which are tagged.

    Parameters
    ----------
    spikes_or_session
        Unit id → sorted times [s], or a session.
    unit_ids
        Ids of the units; all of the session if None.
    epochs
        Laser pulses: start_time, stop_time [s], stimulus_name, and what ``by`` names;
        ``session.optogenetic_stimulation_epochs`` if None.
    conditions
        Values of stimulus_name to use; all if None.
    by
        The columns that make a condition; ``()`` puts all pulses together.
    options
        Windows and criteria; the defaults if None.

    Returns
    -------
    DataFrame
        Index (unit_id, then the columns of ``by``), units in the order given; n_pulses;
        baseline_rate, evoked_rate [spikes/s]; ratio of the two (infinite without baseline
        spikes, NaN without any); p_value, p_adjusted across units of one condition (NaN without
        spikes); fidelity, the share of pulses with a spike; latency, the median time of the first
        spike after the onset [s], and jitter, its standard deviation [s] (NaN with fewer than one
        and two spikes); is_tagged. ``attrs`` has the options.

    Raises
    ------
    NotFoundError
        If there are no laser pulses, or none of the conditions.

    Notes
    -----
    A unit is tagged by a condition if p_adjusted ≤ alpha, ratio ≥ smallest_ratio, latency ≤
    latest, and its pulses are not longer than longest_pulse.

    Trains ("2.5 ms pulses at 10 Hz") are taken apart into their pulses, whose ``duration`` is
    their own. The time in which a response is counted goes from ``artifact``
    after the onset to the end of the pulse or ``response`` after the onset, whichever is later,
    without ``artifact`` on both sides of the end. Pulses of 10 ms leave 1–9 ms without a gap and
    are what to look at first; of a pulse of 2.5 ms, 1–1.5 and 3.5–10 ms are left.

    p_value: given n spikes in both windows together, the number in the response is binomial with
    the response's share of time if the rates are equal; one-sided, exact for Poisson spikes.
    Bursting units look a little more certain than they are.

    The published tutorial compares 1–9 ms with the 8 ms before −2 ms.

    References
    ----------
    Przyborowski & Wilenski (1940), Biometrika 31, 313, doi:10.1093/biomet/31.3-4.313, for the
    test. Kvitsiani et al. (2013), Nature 498, 363, doi:10.1038/nature12176, for low latency and
    jitter as signs of direct activation.

    Examples
    --------
    >>> onsets = np.arange(20.0)
    >>> pulses = pd.DataFrame(
    ...     {
    ...         "start_time": onsets,
    ...         "stop_time": onsets + 0.01,
    ...         "stimulus_name": "pulse",
    ...         "duration": 0.01,
    ...         "level": 1.3,
    ...     }
    ... )
    >>> found = compute_optotagging({7: onsets + 0.004, 8: onsets + 0.5}, [7, 8], pulses)
    >>> found[["fidelity", "latency", "is_tagged"]].droplevel([1, 2, 3])
             fidelity  latency  is_tagged
    unit_id
    7             1.0    0.004       True
    8             0.0      NaN      False
    """
    chosen = OptotagOptions() if options is None else options
    spike_times, units, table = _unpack(spikes_or_session, unit_ids, epochs)
    pulses = list_pulses(_select(table, conditions))
    missing = [name for name in by if name not in pulses]
    if missing:
        raise InvalidArgumentError(
            f"the laser pulses have no column {missing[0]!r}; "
            f"{describe_choices(missing[0], pulses.columns)}"
        )
    names = list(by)
    if names:
        grouped = pulses.groupby(names, sort=True, dropna=False)
        group: npt.NDArray[np.int64] = np.asarray(grouped.ngroup(), dtype=np.int64)
        keys = [key if isinstance(key, tuple) else (key,) for key, _ in grouped]
    else:
        group, keys = np.zeros(len(pulses), dtype=np.int64), [()]
    columns = _compare(spike_times, units, pulses, group, len(keys), chosen)
    index = [(unit, *key) for unit in units for key in keys]
    result = pd.DataFrame({name: part.T.ravel() for name, part in columns.items()})
    result.index = (
        pd.MultiIndex.from_tuples(index, names=["unit_id", *names])
        if names and units
        else pd.Index(units, name="unit_id", dtype=np.int64)
    )
    result.attrs.update(asdict(chosen))
    return result


def list_pulses(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per laser pulse: trains such as "2.5 ms pulses at 10 Hz" are split."""
    starts, stops = check_windows(epochs[["start_time", "stop_time"]], noun="laser pulse").T
    is_wrong = stops == starts
    if is_wrong.any():
        raise InvalidArgumentError(
            f"{int(is_wrong.sum())} of {len(epochs)} laser pulses do not end after they start, "
            f"the first at position {int(is_wrong.argmax())}; leave them out"
        )
    words = epochs["condition"] if "condition" in epochs else pd.Series("", epochs.index)
    found = words.astype(str).str.extract(_TRAIN).astype(np.float64).to_numpy()
    is_train = np.isfinite(found).all(axis=1) & (found > 0).all(axis=1)
    width = np.where(is_train, found[:, 0] / 1000, stops - starts)
    period = np.where(is_train, 1 / np.where(is_train, found[:, 1], 1), stops - starts)
    # a pulse that would end after the train is not part of it; to the µs, for rounding
    n_pulses = np.floor((stops - starts - width + 1e-6) / period).astype(np.int64) + 1
    n_pulses = np.where(is_train, np.maximum(n_pulses, 1), 1)
    row = np.repeat(np.arange(len(epochs)), n_pulses)
    number = np.arange(len(row)) - np.repeat(np.cumsum(n_pulses) - n_pulses, n_pulses)
    begin = starts[row] + number * period[row]
    # to the ns: stop − start of equal pulses differs in the last digits
    duration = np.round(width[row], 9)
    if "duration" in epochs:
        given = epochs["duration"].to_numpy(dtype=np.float64)[row]
        duration = np.where(is_train[row] | ~np.isfinite(given), duration, given)
    return epochs.iloc[row].assign(
        start_time=begin, stop_time=begin + width[row], duration=duration
    )


def _unpack(
    subject: HasLaser | SpikeTimes, unit_ids: Ids | None, epochs: pd.DataFrame | None
) -> tuple[SpikeTimes, list[int], pd.DataFrame]:
    if isinstance(subject, Mapping):
        if unit_ids is None or epochs is None:
            raise InvalidArgumentError(
                "spike times alone say neither which units nor when there was light: give "
                "unit_ids and epochs as well, or a session"
            )
        return subject, check_unit_ids(unit_ids), epochs
    units = subject.units.index if unit_ids is None else unit_ids
    table = subject.optogenetic_stimulation_epochs if epochs is None else epochs
    return subject.spike_times, check_unit_ids(units), table


def _select(epochs: pd.DataFrame, conditions: Sequence[str] | None) -> pd.DataFrame:
    if not len(epochs):
        raise NotFoundError(
            "there are no optogenetic stimulation epochs: this session has no optotagging part; "
            "session.optogenetic_stimulation_epochs lists the laser pulses of those that do"
        )
    require_columns(epochs, *_NEEDED, what="the table of laser pulses")
    if conditions is None:
        return epochs
    names = epochs["stimulus_name"]
    asked = [conditions] if isinstance(conditions, str) else list(conditions)
    unknown = [name for name in asked if name not in set(names)]
    if unknown or not asked:
        wrong = unknown[0] if unknown else None
        raise NotFoundError(
            f"no laser pulse has the stimulus_name {wrong!r}: "
            f"{describe_choices(wrong, names.drop_duplicates())}"
        )
    return epochs[names.isin(asked)]


def _compare(
    spike_times: SpikeTimes,
    units: list[int],
    pulses: pd.DataFrame,
    group: npt.NDArray[np.int64],
    n_groups: int,
    options: OptotagOptions,
) -> dict[str, npt.NDArray[Any]]:
    """Return every column as an array (n_groups, n_units)."""
    from scipy.stats import binom

    onsets = pulses["start_time"].to_numpy(dtype=np.float64)
    width = pulses["stop_time"].to_numpy(dtype=np.float64) - onsets
    pieces = _lay_windows(onsets, width, options)
    before = count_spikes(spike_times, units, onsets[:, None] + np.array(options.baseline))[:, 0]
    counts, first = _find_spikes(spike_times, units, pieces, onsets)
    n_pulses = np.bincount(group, minlength=n_groups)[:, None]

    def add(values: npt.NDArray[Any]) -> Floats:
        total = np.zeros((n_groups, *values.shape[1:]))
        np.add.at(total, group, values)
        return total

    evoked, baseline = add(counts), add(before)
    seconds = add((pieces[..., 1] - pieces[..., 0]).sum(axis=1))[:, None]
    seconds_before = n_pulses * (options.baseline[1] - options.baseline[0])
    rate, rate_before = divide(evoked, seconds), baseline / seconds_before
    total, share = evoked + baseline, seconds / (seconds + seconds_before)
    p_value = np.asarray(binom.sf(evoked - 1, total, share), dtype=np.float64)
    # without spikes, or without time to respond in, there is nothing to test
    p_value[(total == 0) | np.broadcast_to(share == 0, total.shape)] = np.nan
    p_adjusted = adjust_p_values(p_value, axis=1)
    ratio = divide(rate, rate_before)
    by_condition, groups = pd.DataFrame(first).groupby(group), np.arange(n_groups)
    latency = by_condition.median().reindex(groups).to_numpy(dtype=np.float64)
    jitter = by_condition.std().reindex(groups).to_numpy(dtype=np.float64)
    is_pulse = divide(add(width), n_pulses[:, 0]) <= options.longest_pulse + 1e-9
    is_tagged = (p_adjusted <= options.alpha) & (ratio >= options.smallest_ratio)
    return {
        "n_pulses": np.broadcast_to(n_pulses, evoked.shape),
        "baseline_rate": rate_before,
        "evoked_rate": rate,
        "ratio": ratio,
        "p_value": p_value,
        "p_adjusted": p_adjusted,
        "fidelity": add(np.isfinite(first)) / n_pulses,
        "latency": latency,
        "jitter": jitter,
        "is_tagged": is_tagged & (latency <= options.latest) & is_pulse[:, None],
    }


def _lay_windows(onsets: Floats, width: Floats, options: OptotagOptions) -> Floats:
    """Return the parts of each pulse in which spikes count, (n_pulses, 2 parts, 2 bounds) [s]."""
    begin = np.full_like(onsets, options.artifact)
    end = np.maximum(width, options.response)
    first_stop = np.clip(width - options.artifact, begin, end)
    second_start = np.clip(width + options.artifact, begin, end)
    first = np.stack([begin, first_stop], axis=-1)
    second = np.stack([second_start, end], axis=-1)
    pieces: Floats = onsets[:, None, None] + np.stack([first, second], axis=1)
    return pieces


def _find_spikes(
    spike_times: SpikeTimes, units: list[int], pieces: Floats, onsets: Floats
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Count each pulse's spikes and return the time of the first, NaN without one."""
    parts = pd.DataFrame(
        pieces.reshape(-1, 2), np.arange(len(onsets)).repeat(2), ["start_time", "stop_time"]
    )
    spikes = align_spikes(spike_times, units, parts)
    pulse = spikes["stimulus_presentation_id"].to_numpy(dtype=np.int64)
    place = pd.Index(units).get_indexer(pd.Index(spikes["unit_id"]))
    counts = np.zeros((len(onsets), len(units)), dtype=np.int64)
    np.add.at(counts, (pulse, place), 1)
    first = np.full(counts.shape, np.inf)
    np.minimum.at(first, (pulse, place), spikes.index.to_numpy(dtype=np.float64) - onsets[pulse])
    return counts, np.where(np.isfinite(first), first, np.nan)
