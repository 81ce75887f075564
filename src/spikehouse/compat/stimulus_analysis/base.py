"""The base class of AllenSDK's classes of stimulus analysis."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse import session
from spikehouse.analysis import StimulusResponses
from spikehouse.analysis.common import psth_edges
from spikehouse.compat.sessions import EcephysSession
from spikehouse.compat.stimulus_analysis.functions import (
    calculate_time_delayed_correlation,
    fit_exp,
)
from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices
from spikehouse.labelled import to_ids

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SPONTANEOUS = ("spontaneous", "spontaneous_activity")


def list_metrics(suffix: str, names: str) -> list[tuple[str, type]]:
    """Return names and types of metrics: truth values, the number of an image, else numbers."""
    types = {"on_screen": bool, "pref_image": np.int64}
    return [
        (f"{name}_{suffix}", bool if name.endswith("_multi") else types.get(name, np.float64))
        for name in names.split()
    ]


def list_values(column: str) -> tuple[Any, Any]:
    """Return two attributes: the distinct values of a parameter in increasing order, their number.

    ``column`` is the attribute that holds the name of the parameter's column.
    """
    values = cached_property(lambda one: np.asarray(one._list_values(getattr(one, column))))
    return values, property(lambda one: len(getattr(one, str(values.attrname))))


class StimulusAnalysis:
    """The metrics of one stimulus, and the tables and responses they are computed from."""

    # everything is computed when it is first asked for and kept; the session is never changed

    # AllenSDK's name of the stimulus
    name: str
    # names and types of the metrics
    METRICS_COLUMNS: list[tuple[str, type]]
    # name of this class's settings in params
    _section: ClassVar[str] = ""
    # names of the stimulus, in any capitals
    _keys: ClassVar[tuple[str, ...]] = ()
    _are_prefixes: ClassVar[bool] = False
    # name of a parameter in spikehouse.analysis → column of the presentations
    _columns: Mapping[str, str]

    def __init__(
        self,
        ecephys_session: Any,  # noqa: ANN401 - see open_session
        trial_duration: float | None = None,
        *,
        filter: UnitFilter | None = None,
        params: Mapping[str, Any] | None = None,
        stimulus_key: str | Iterable[str] | None = None,
        psth_resolution: float = 0.001,
        spontaneous_threshold: float = 100.0,
        nwb_version: int = 2,  # noqa: ARG002
    ) -> None:
        self._ecephys_session = open_session(ecephys_session)
        self._trial_duration = trial_duration
        self._unit_filter = filter
        self._params = dict(params or {}).get(self._section, {})
        self._stimulus_key = self._params.get("stimulus_key") or stimulus_key
        self._psth_resolution = psth_resolution
        self._spontaneous_threshold = spontaneous_threshold
        self._columns = {}

    # ---- units and presentations

    @property
    def ecephys_session(self) -> session.EcephysSession:
        """The session."""
        return self._ecephys_session

    @cached_property
    def unit_ids(self) -> npt.NDArray[np.int64]:
        """The units, in the order of the filter's ids or of ``session.units``."""
        units = filter_units(self.ecephys_session.units, self._unit_filter)
        if units.empty:
            raise NotFoundError(
                f"no unit of session {self.ecephys_session.ecephys_session_id} passes the filter "
                f"{self._unit_filter!r}; leave the filter out for all units"
            )
        return units.index.to_numpy(dtype=np.int64)

    @property
    def unit_count(self) -> int:
        """Number of units."""
        return len(self.unit_ids)

    @property
    def trial_duration(self) -> float:
        """The duration over which spikes are counted, from the onset [s]."""
        if self._trial_duration is None or self._trial_duration < 0:
            raise TypeError(
                f"trial_duration is {self._trial_duration}; pass the duration of a response [s], "
                "for instance trial_duration=0.25"
            )
        return self._trial_duration

    @cached_property
    def spikes(self) -> dict[int, npt.NDArray[np.float64]]:
        """The spike times [s] of the selected units, by unit id."""
        times = self.ecephys_session.spike_times
        return {unit: times[unit] for unit in self.unit_ids.tolist() if unit in times}

    @cached_property
    def stim_table(self) -> pd.DataFrame:
        """The presentations of the stimulus, with "null" where a parameter does not apply."""
        return self.ecephys_session.get_stimulus_table(self._find_names())

    @property
    def total_presentations(self) -> int:
        """Number of presentations."""
        return len(self.stim_table)

    @cached_property
    def stim_table_spontaneous(self) -> pd.DataFrame:
        """Spontaneous activity that lasts longer than ``spontaneous_threshold``."""
        shown = self.ecephys_session.stimulus_names
        names = [name for name in self.known_spontaneous_keys if name in shown]
        table = self.ecephys_session.get_stimulus_table(names)
        return table[table["duration"] > self._spontaneous_threshold]

    @property
    def known_spontaneous_keys(self) -> list[str]:
        """Names of spontaneous activity."""
        return list(_SPONTANEOUS)

    @cached_property
    def stimulus_conditions(self) -> pd.DataFrame:
        """The conditions of the stimulus, of ``session.stimulus_conditions``."""
        conditions = self.ecephys_session.stimulus_conditions
        return conditions[conditions.index.isin(self.stim_table["stimulus_condition_id"].unique())]

    @property
    def null_condition(self) -> Any:  # noqa: ANN401 - an index where there are blank sweeps, or -1
        """Ids of the conditions that are blank sweeps; −1 where the stimulus has none."""
        return -1

    @classmethod
    def known_stimulus_keys(cls) -> list[str]:
        """List the names of the stimulus, in any capitals."""
        return list(cls._keys)

    # ---- responses

    @cached_property
    def conditionwise_psth(self) -> xr.DataArray:
        """Mean spike counts (stimulus_condition_id, time_relative_to_stimulus_onset, unit_id)."""
        # bins of psth_resolution, up to the last edge before the end of the trial
        return self.ecephys_session.presentationwise_spike_counts(
            bin_edges=psth_edges(self.trial_duration, resolution=self._psth_resolution),
            stimulus_presentation_ids=self.stim_table.index.to_numpy(),
            unit_ids=self.unit_ids,
            mean_over="conditions",
        ).rename("spike_counts")

    @cached_property
    def conditionwise_statistics(self) -> pd.DataFrame:
        """Spikes by unit and condition; ``session.conditionwise_spike_statistics``."""
        return self.ecephys_session.conditionwise_spike_statistics(
            self.stim_table.index.to_numpy(), self.unit_ids
        )

    @cached_property
    def presentationwise_spike_times(self) -> pd.DataFrame:
        """Spikes in presentations; ``session.presentationwise_spike_times``."""
        return self.ecephys_session.presentationwise_spike_times(
            stimulus_presentation_ids=self.stim_table.index.to_numpy(), unit_ids=self.unit_ids
        )

    @cached_property
    def presentationwise_statistics(self) -> pd.DataFrame:
        """Index (stimulus_presentation_id, unit_id): spike_counts, condition, running_speed."""
        counts = self.ecephys_session.presentationwise_spike_counts(
            bin_edges=[0.0, self.trial_duration],
            stimulus_presentation_ids=self.stim_table.index.to_numpy(),
            unit_ids=self.unit_ids,
        )
        names = ["stimulus_presentation_id", "unit_id"]
        rows = pd.MultiIndex.from_product([self.stim_table.index, self.unit_ids], names=names)
        table = pd.DataFrame({"spike_counts": counts.to_numpy().ravel()}, index=rows)
        shown = rows.get_level_values(0)
        conditions = self.stim_table["stimulus_condition_id"]
        table["stimulus_condition_id"] = conditions.loc[shown].to_numpy()
        table["running_speed"] = self.running_speed["running_speed"].loc[shown].to_numpy()
        return table

    @cached_property
    def running_speed(self) -> pd.DataFrame:
        """Mean speed in each presentation [cm/s]; NaN where it was not measured."""
        # speeds are means of whole presentations, whatever the trial's duration
        responses = self._gather(self._find_names(), {}, trial_duration=1.0)
        return pd.DataFrame(
            {"running_speed": responses.defined_as("published").speeds},
            index=self.stim_table.index.rename("stimulus_presentation_id"),
        )

    @cached_property
    def _responses(self) -> StimulusResponses:
        return self._gather(self._find_names(), self._columns)

    def _gather(
        self, names: Sequence[str], columns: Mapping[str, str], trial_duration: float | None = None
    ) -> StimulusResponses:
        """Return the responses to stimuli with renamed columns, given as ours → theirs."""
        table = self.ecephys_session.get_stimulus_table(names, missing="nan")
        missing = [theirs for theirs in columns.values() if theirs not in table]
        if missing:
            raise NotFoundError(
                f"{names[0]} has no parameter {missing[0]!r}: "
                f"{describe_choices(missing[0], table.columns)}"
            )
        renamed = {theirs: ours for ours, theirs in columns.items() if theirs != ours}
        kept = table.drop(columns=[ours for ours in renamed.values() if ours in table])
        duration = self.trial_duration if trial_duration is None else trial_duration
        responses = self.ecephys_session.get_responses(names[0], duration, self.unit_ids)
        return replace(responses, presentations=kept.rename(columns=renamed))

    # ---- metrics

    @property
    def metrics_names(self) -> list[str]:
        """Names of the metrics."""
        return [name for name, _ in self.METRICS_COLUMNS]

    @property
    def metrics_dtypes(self) -> list[type]:
        """Types of the metrics."""
        return [dtype for _, dtype in self.METRICS_COLUMNS]

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """The metrics of every unit; index unit_id, columns as METRICS_COLUMNS."""
        table = self._compute_metrics()
        return table[self.metrics_names].astype(dict(self.METRICS_COLUMNS))

    def _compute_metrics(self) -> pd.DataFrame:
        raise NotImplementedError

    def empty_metrics_table(self) -> pd.DataFrame:
        """Return a table of metrics filled with NaN."""
        index = pd.Index(self.unit_ids, name="unit_id")
        return pd.DataFrame(np.nan, index=index, columns=self.metrics_names)

    def get_intrinsic_timescale(self, unit_ids: npt.ArrayLike) -> float:
        """Fit one exponential to the autocorrelation of several units; returns bins of 25 ms."""
        counts = self.ecephys_session.presentationwise_spike_counts(
            bin_edges=np.arange(0, self.trial_duration, 0.025),
            stimulus_presentation_ids=self.stim_table.index.to_numpy(),
            unit_ids=unit_ids,
        )
        return float(fit_exp(calculate_time_delayed_correlation(counts))[4])

    # ---- figures

    def plot_conditionwise_raster(self, unit_id: int) -> None:
        """Draw the raster of every condition with `plot_raster`."""
        for condition in self.stimulus_conditions.index:
            self.plot_raster(condition, unit_id)

    def plot_raster(self, stimulus_condition_id: int, unit_id: int) -> None:
        """Draw the spikes of a unit in every presentation of one condition."""
        # on the panel of this condition in pyplot's current figure; nothing for blank sweeps
        place = self._find_panel(stimulus_condition_id)
        if place is None:
            return
        import matplotlib.pyplot as plt

        from spikehouse.plots import plot_raster

        table, spikes = self.stim_table, self.presentationwise_spike_times
        shown = table.index[table["stimulus_condition_id"] == stimulus_condition_id]
        is_shown = spikes["stimulus_presentation_id"].isin(shown) & (spikes["unit_id"] == unit_id)
        plot_raster(spikes[is_shown], row_order=shown, ax=plt.subplot(*place)).set_axis_off()

    def _find_panel(self, stimulus_condition_id: int) -> tuple[int, int, int] | None:
        """Return rows, columns and number (from 1) of a condition's panel."""
        raise NotImplementedError(f"{type(self).__name__} has no raster by condition")

    def _draw_gratings(self, unit_id: int, *, angle: str, rings: str, period: float) -> Axes:
        """Draw the mean spike count of every grating as a wedge."""
        from spikehouse.plots import plot_star

        counts = self._list_counts(unit_id).assign(
            orientation=lambda table: table[angle], ring=lambda table: table[rings]
        )
        blank = counts["spike_counts"][counts["orientation"].isna() | counts["ring"].isna()]
        means = counts.groupby(["orientation", "ring"])["spike_counts"].mean().to_xarray()
        return plot_star(
            means.rename(ring=rings),
            rings=rings,
            blank=float(blank.mean()) if len(blank) else None,
            period=period,
            response_label="spikes per presentation",
            title=f"unit {unit_id}",
        )

    def _draw_tuning(self, unit_id: int, labels: dict[str, str]) -> None:
        """Draw the mean spike count against parameters, one panel for each."""
        import matplotlib.pyplot as plt

        from spikehouse.plots import plot_tuning_curve

        counts = self._list_counts(unit_id)
        for number, (column, label) in enumerate(labels.items(), start=1):
            plot_tuning_curve(
                counts["spike_counts"].to_numpy(dtype=np.float64),
                counts[column].to_numpy(dtype=np.float64),
                ax=plt.subplot(len(labels), 1, number),
                value_label=label,
                response_label="spikes per presentation",
            )

    def _list_counts(self, unit_id: int) -> pd.DataFrame:
        """Join the spike counts of a unit with the numeric parameters of each presentation."""
        counts = self.presentationwise_statistics.xs(unit_id, level="unit_id")
        table = self.stim_table.drop(columns="stimulus_condition_id")
        parameters = table.apply(pd.to_numeric, errors="coerce")
        return counts.join(parameters)

    # ---- names and values

    def _find_names(self) -> list[str]:
        key = self._stimulus_key
        if key is None:
            return [self._find_stimulus_key(self.ecephys_session.stimulus_names)]
        return [key] if isinstance(key, str) else list(key)

    def _find_stimulus_key(self, names: Iterable[str]) -> str:
        """Return the first stimulus of the session that this class is for."""
        keys = tuple(key.lower() for key in self.known_stimulus_keys())
        for shown in names:
            if shown.lower() in keys or (self._are_prefixes and shown.lower().startswith(keys)):
                return shown
        raise NotFoundError(
            f"session {self.ecephys_session.ecephys_session_id} has no {self.name.lower()}; it has "
            f"{', '.join(self.ecephys_session.stimulus_names)}. Pass another name as "
            "stimulus_key"
        )

    def _list_values(self, column: str, conditions: pd.DataFrame | None = None) -> Any:  # noqa: ANN401
        """Return the distinct values of a parameter in increasing order, without "null"."""
        table = self.stimulus_conditions if conditions is None else conditions
        if column not in table:
            raise NotFoundError(
                f"{self.name} has no parameter {column!r}: {describe_choices(column, table)}"
            )
        values = table.loc[table[column] != "null", column].unique()
        # as numbers, even if the table holds text
        return np.sort([getattr(value, "value", value) for value in values])

    def _find_blanks(self, column: str) -> pd.Index[int]:
        return self.stimulus_conditions.index[self.stimulus_conditions[column] == "null"]


UnitFilter = Mapping[str, Any] | Sequence[int] | npt.NDArray[Any] | pd.Series


def open_session(given: Any) -> session.EcephysSession:  # noqa: ANN401 - three kinds
    """Return a session from a session, the path of its NWB file, or an adapter."""
    if isinstance(given, session.EcephysSession):
        return given
    if isinstance(given, (str, os.PathLike)):
        return EcephysSession.from_nwb_path(given)
    if hasattr(given, "get_stimulus_presentations"):
        return EcephysSession(api=given)
    raise TypeError(
        f"a stimulus analysis cannot be made of a {type(given).__name__}: pass an EcephysSession, "
        "the path of its NWB file, or an adapter (EcephysSessionApi)"
    )


def filter_units(units: pd.DataFrame, chosen: UnitFilter | None) -> pd.DataFrame:
    """Select units by ids, or by a mapping of columns to one or several values."""
    if chosen is None:
        return units
    if not isinstance(chosen, Mapping):
        return _pick_units(units, chosen)
    if "unit_id" in chosen:
        return _pick_units(units, chosen["unit_id"])
    for column, value in chosen.items():
        if column not in units:
            raise NotFoundError(
                f"units have no column {column!r} to filter by: {describe_choices(column, units)}"
            )
        values = [value] if np.isscalar(value) or value is None else value
        units = units[units[column].isin(values)]
    return units


def _pick_units(units: pd.DataFrame, ids: Any) -> pd.DataFrame:  # noqa: ANN401 - ids of any kind
    wanted = to_ids(ids, "unit_id")
    if len(np.unique(wanted)) < len(wanted):
        raise InvalidArgumentError("the filter holds a unit more than once; pass each id once")
    absent = [unit for unit in wanted.tolist() if unit not in units.index]
    if absent:
        raise NotFoundError(
            f"{len(absent)} of {len(wanted)} units of the filter are not in this session; there is "
            f"no unit {absent[0]!r}: {describe_choices(absent[0], units.index.tolist())}"
        )
    return units.loc[wanted]
