"""Input of the tuning metrics: the presentations of one stimulus, and spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse.analysis.checks import Definition, check_definition
from spikehouse.analysis.responses import check_unit_ids
from spikehouse.analysis.traces import compute_trace_means
from spikehouse.errors import InvalidArgumentError
from spikehouse.labelled import Ids, rows_first, to_ids
from spikehouse.schema import require_columns
from spikehouse.spikes import compute_time_domain, count_spikes
from spikehouse.spikes.counting import read_windows

Floats = npt.NDArray[np.float64]

_NEEDED = ("start_time", "stop_time", "stimulus_condition_id")


@dataclass(frozen=True)
class StimulusResponses:
    """The presentations of one stimulus and the spikes of the units that saw it.

    Every array has its presentations, conditions and units in the order of ``presentations``,
    ``condition_ids`` and ``unit_ids``. What is derived is computed when it is first asked for,
    and kept.

    Attributes
    ----------
    stimulus_name
        Name of the stimulus, such as ``"drifting_gratings"``.
    presentations
        Index ``stimulus_presentation_id``, in order of time; start_time, stop_time [s],
        stimulus_condition_id and the parameters as numbers, NaN where there was none (a blank
        sweep). What ``session.get_stimulus_table(name, missing="nan")`` gives.
    unit_ids
        Ids of the units.
    spike_times
        Unit id → sorted times [s].
    trial_duration
        How long a response is counted from the onset [s]; presentations last a little shorter or
        longer.
    running_speed
        start_time [s] and velocity [cm/s] of the animal; None if it was not measured.
    definition
        Definition of the metrics; the functions ``compute_…_metrics`` set it. ``"published"``
        counts as the published tables do: bins are closed at both ends, so that a spike on an
        inner edge counts in both bins, and presentations are (start, stop].
    given_counts
        Counts that stand in for spike times; see `from_counts`.

    Examples
    --------
    >>> responses = session.get_responses("drifting_gratings", trial_duration=2.0)
    >>> responses.counts.shape  # presentations × units
    (9, 16)
    >>> best = responses.preferred_conditions()
    >>> responses.conditions["orientation"].iloc[best[:3]].tolist()
    [135.0, 270.0, 315.0]
    """

    stimulus_name: str
    presentations: pd.DataFrame
    unit_ids: Sequence[int]
    spike_times: Mapping[int, Floats]
    trial_duration: float
    running_speed: pd.DataFrame | None = None
    definition: Definition = "corrected"
    given_counts: npt.NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        check_definition(self.definition)
        _check_presentations(self.presentations, self.stimulus_name)
        read_windows(self.presentations)
        if not (np.isfinite(self.trial_duration) and self.trial_duration > 0):
            raise InvalidArgumentError(
                f"trial_duration is {self.trial_duration}; give the length of a response [s], "
                "for instance 0.25"
            )
        object.__setattr__(self, "unit_ids", check_unit_ids(self.unit_ids))

    @classmethod
    def from_counts(
        cls,
        counts: npt.ArrayLike | pd.DataFrame | xr.DataArray,
        presentations: pd.DataFrame,
        unit_ids: Ids,
        *,
        running_speed: pd.DataFrame | None = None,
    ) -> StimulusResponses:
        """Create responses from a table of spike counts, without spike times.

        Parameters
        ----------
        counts
            Spikes of each unit in each presentation, shape (n_presentations, n_units). A labelled
            table (index stimulus_presentation_id, columns unit_id) may be in any order.
        presentations, unit_ids, running_speed
            As the attributes of the class.

        Returns
        -------
        StimulusResponses
            Counts of a trial and of a presentation are those given. Metrics that need finer
            times (time to peak, F1/F0, modulation and sustained index) or the spikes between
            presentations (firing rate) are NaN.

        Examples
        --------
        >>> shown = pd.DataFrame(
        ...     {
        ...         "start_time": [0.0, 1.0, 2.0],
        ...         "stop_time": [0.5, 1.5, 2.5],
        ...         "stimulus_condition_id": [10, 11, 10],
        ...     }
        ... )
        >>> StimulusResponses.from_counts([[4], [1], [6]], shown, [7]).condition_means
        array([[5.],
               [1.]])
        """
        units = check_unit_ids(unit_ids)
        counts = rows_first(counts)
        _check_presentations(presentations, "a table of counts")
        if presentations.empty:
            raise InvalidArgumentError("there are no presentations; pass one row for each")
        if isinstance(counts, xr.DataArray) and counts.ndim == 2:
            counts = counts.to_pandas()
        if isinstance(counts, pd.DataFrame):
            try:
                counts = counts.loc[presentations.index, units]
            except KeyError as error:
                raise InvalidArgumentError(
                    f"the table of counts lacks presentations or units: {error.args[0]}; its index "
                    "must hold the presentations' ids and its columns the unit ids"
                ) from error
        values = np.asarray(counts)
        if values.shape != (len(presentations), len(units)):
            raise InvalidArgumentError(
                f"counts have the shape {values.shape}, not one row for each of the "
                f"{len(presentations)} presentations and one column for each of the {len(units)} "
                "units"
            )
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(f"counts must be numbers ({error})") from error
        with np.errstate(invalid="ignore"):
            whole = values.astype(np.int32)
        if (whole != values).any() or (whole < 0).any():
            raise InvalidArgumentError("counts must be whole numbers of 0 or more")
        names = presentations.get("stimulus_name", pd.Series(["stimulus"]))
        duration = presentations["stop_time"] - presentations["start_time"]
        return cls(
            str(names.iloc[0]),
            presentations,
            units,
            {},
            float(duration.dropna().median()),  # NumPy 1 warns where all are NaN
            running_speed,
            given_counts=whole,
        )

    def defined_as(self, definition: Definition) -> StimulusResponses:
        """Return the same responses for metrics of another definition.

        Parameters
        ----------
        definition
            "corrected" or "published".

        Returns
        -------
        StimulusResponses
            Sharing all data with this one.

        Examples
        --------
        >>> responses = session.get_responses("flashes", trial_duration=0.25)
        >>> responses.defined_as("published").definition
        'published'
        """
        return self if definition == self.definition else replace(self, definition=definition)

    @property
    def has_spike_times(self) -> bool:
        """False for responses made of counts, which know no finer times."""
        return self.given_counts is None

    @property
    def n_units(self) -> int:
        """How many units there are."""
        return len(self.unit_ids)

    @cached_property
    def onsets(self) -> Floats:
        """Onsets of the presentations [s], shape (n_presentations,)."""
        return self.presentations["start_time"].to_numpy(dtype=np.float64)

    @cached_property
    def condition_ids(self) -> npt.NDArray[np.int64]:
        """The stimulus conditions, increasing, shape (n_conditions,)."""
        return np.unique(to_ids(self.presentations["stimulus_condition_id"], _NEEDED[2]))

    @cached_property
    def condition_of(self) -> npt.NDArray[np.intp]:
        """For every presentation the position of its condition, shape (n_presentations,)."""
        shown = to_ids(self.presentations["stimulus_condition_id"], _NEEDED[2])
        return np.searchsorted(self.condition_ids, shown)

    @cached_property
    def n_shown(self) -> npt.NDArray[np.intp]:
        """How often each condition was shown, shape (n_conditions,)."""
        return np.bincount(self.condition_of, minlength=len(self.condition_ids))

    @cached_property
    def conditions(self) -> pd.DataFrame:
        """The parameters of every condition; index stimulus_condition_id, increasing."""
        times = {"start_time", "stop_time", "duration", "stimulus_block", "stimulus_name"}
        kept = [name for name in self.presentations if name not in times]
        first = self.presentations[kept].drop_duplicates("stimulus_condition_id")
        return first.set_index("stimulus_condition_id").loc[self.condition_ids]

    @property
    def counts(self) -> npt.NDArray[np.int32]:
        """Spikes from the onset for the trial's duration, shape (n_presentations, n_units)."""
        return self._counts[: len(self.onsets)]

    @property
    def shown_counts(self) -> npt.NDArray[np.int32]:
        """Spikes while a presentation lasted, shape (n_presentations, n_units)."""
        return self._counts[len(self.onsets) :]

    @cached_property
    def _counts(self) -> npt.NDArray[np.int32]:
        if self.given_counts is not None:
            return np.concatenate([self.given_counts, self.given_counts])
        # both at once: the spikes are read once for them
        trials = compute_time_domain(np.array([0.0, self.trial_duration]), self.onsets)
        shown = self.presentations[["start_time", "stop_time"]].to_numpy(dtype=np.float64)
        if self.definition == "published":
            trials[:, 1], shown = _just_after(trials[:, 1]), _just_after(shown)
        units = np.asarray(self.unit_ids).tolist()
        counts = count_spikes(self.spike_times, units, np.concatenate([trials, shown]))
        return np.ascontiguousarray(counts[:, 0, :], dtype=np.int32)

    @cached_property
    def condition_sums(self) -> npt.NDArray[np.int64]:
        """Spikes of all presentations of a condition, shape (n_conditions, n_units)."""
        if not len(self.onsets):
            return np.zeros((0, self.n_units), dtype=np.int64)
        order = np.argsort(self.condition_of, kind="stable")
        first = np.r_[0, np.cumsum(self.n_shown)[:-1]]
        return np.add.reduceat(self.shown_counts[order], first, axis=0, dtype=np.int64)

    @cached_property
    def condition_means(self) -> Floats:
        """Spikes of a presentation of a condition on average, shape (n_conditions, n_units)."""
        means: Floats = self.condition_sums / self.n_shown[:, None]
        return means

    @cached_property
    def speeds(self) -> Floats:
        """Mean speed of the animal in each presentation [cm/s], NaN if unknown."""
        if self.running_speed is None:
            return np.full(len(self.presentations), np.nan)
        means = compute_trace_means(
            self.running_speed, self.presentations, definition=self.definition
        )
        return np.asarray(means)

    def preferred_conditions(
        self, is_candidate: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.intp]:
        """Find for every unit the condition with the largest mean response.

        Parameters
        ----------
        is_candidate
            Which conditions may be preferred, shape (n_conditions,); all if None. Blank sweeps
            are usually left out.

        Returns
        -------
        ndarray of int, shape (n_units,)
            Positions in ``condition_ids``; the first of several equally good ones.
        """
        if not len(self.condition_ids):
            raise InvalidArgumentError(f"{self.stimulus_name} was never shown: no presentations")
        allowed = np.ones(len(self.condition_ids), bool) if is_candidate is None else is_candidate
        if not allowed.any():
            raise InvalidArgumentError(
                f"{self.stimulus_name} has no condition but blank sweeps: nothing can be preferred"
            )
        positions = np.flatnonzero(allowed)
        chosen: npt.NDArray[np.intp] = positions[self.condition_means[positions].argmax(axis=0)]
        return chosen

    def psth_of(self, condition: npt.NDArray[np.intp], bin_edges: npt.ArrayLike) -> Floats:
        """Average each unit's spike counts over the presentations of one condition of its own.

        Parameters
        ----------
        condition
            For every unit the position of a condition, shape (n_units,).
        bin_edges
            Shape (n_bins + 1,) [s] from the onset.

        Returns
        -------
        ndarray, shape (n_units, n_bins)
            Mean count in a bin; NaN for responses made of counts.

        Notes
        -----
        Units with the same condition are counted together; no array of all conditions is made.

        Examples
        --------
        >>> responses = session.get_responses("flashes", trial_duration=0.25)
        >>> best = responses.preferred_conditions()
        >>> responses.psth_of(best, [0.0, 0.05, 0.1])[:2]
        array([[0.25, 1.  ],
               [1.  , 0.5 ]])
        """
        edges = np.asarray(bin_edges, dtype=np.float64)
        means = np.full((self.n_units, len(edges) - 1), np.nan)
        if not self.has_spike_times:
            return means
        units = np.asarray(self.unit_ids)
        for position in np.unique(condition):
            chosen = np.flatnonzero(condition == position)
            onsets = self.onsets[self.condition_of == position]
            means[chosen] = self.count_bins(edges, onsets, units[chosen]).mean(axis=0).T
        return means

    def count_bins(
        self, bin_edges: npt.ArrayLike, onsets: Floats, unit_ids: npt.ArrayLike
    ) -> npt.NDArray[np.generic]:
        """Count spikes in bins from onsets.

        Parameters
        ----------
        bin_edges
            Shape (n_bins + 1,) [s], relative to an onset.
        onsets
            Shape (n_onsets,) [s].
        unit_ids
            Shape (n_units,).

        Returns
        -------
        ndarray, shape (n_onsets, n_bins, n_units)
            With the bounds of the definition: half-open, or closed at both ends (published).

        Examples
        --------
        >>> responses = session.get_responses("flashes", trial_duration=0.25)
        >>> responses.count_bins([0.0, 0.1, 0.2], responses.onsets[:2], [950100404])[:, :, 0]
        array([[2, 1],
               [1, 1]], dtype=int16)
        """
        domain = compute_time_domain(bin_edges, onsets)
        units = np.asarray(unit_ids).tolist()
        if self.definition == "corrected":
            return count_spikes(self.spike_times, units, domain)
        # every edge as a bin of its own, which counts with the bins on either side
        edges = np.stack([domain, _just_after(domain)], axis=-1).reshape(len(domain), -1)
        parts = count_spikes(self.spike_times, units, edges).astype(np.int32)
        return np.asarray(parts[:, :-1:2] + parts[:, 1::2] + parts[:, 2::2])


def _check_presentations(presentations: pd.DataFrame, name: str) -> None:
    require_columns(presentations, *_NEEDED, what=f"the table of presentations of {name}")
    # text among them would fail only where they are used
    presentations[list(_NEEDED)].to_numpy(dtype=np.float64)


def _just_after(times: Floats) -> Floats:
    """Return the next larger floats: a half-open bin that ends there holds the time itself."""
    return np.nextafter(times, np.inf)
