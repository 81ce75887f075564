"""The analyses that a cohort offers by name: functions from a session to one tidy table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Literal

from spikehouse.errors import (
    InvalidArgumentError,
    NotFoundError,
    describe_choices,
    guard_public,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from spikehouse.session import EcephysSession

__all__ = ["correlograms", "decode", "latencies", "metrics", "psth", "timescales"]

STRUCTURE = "ecephys_structure_acronym"


def metrics(
    session: EcephysSession,
    *,
    structure: str | Sequence[str] | None = None,
    stimulus: str | Sequence[str] | None = None,
    definition: Literal["corrected", "published"] = "corrected",
    n_resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute the tuning metrics of the published unit tables.

    Parameters
    ----------
    stimulus
        Names as in ``session.analyze``; all stimuli of a session if None.
    definition, n_resamples
        As in :class:`spikehouse.analysis.MetricOptions`.

    Examples
    --------
    >>> run = cache.cohort(session_ids=900000001).metrics(stimulus="flashes")
    >>> run.frame()[["ecephys_structure_acronym", "on_off_ratio_fl"]].round(2).head(3)
      ecephys_structure_acronym  on_off_ratio_fl
    0                        LP             2.50
    1                        LP             0.83
    2                        LP             4.50
    """
    from spikehouse.analysis import MetricOptions

    options = MetricOptions(n_resamples=n_resamples, seed=seed, definition=definition)
    unit_ids = select_units(session, structure)
    return session.analyze(stimulus, unit_ids=unit_ids, options=options)


def psth(
    session: EcephysSession,
    *,
    structure: str | Sequence[str] | None = None,
    stimulus: str = "flashes",
    window: tuple[float, float] = (-0.1, 0.5),
    bin_width: float = 0.01,
    mean_over: Literal["presentations", "conditions"] = "presentations",
) -> pd.DataFrame:
    """Average the firing rates around the onsets of a stimulus, in one row a unit and bin.

    Parameters
    ----------
    stimulus
        Name of the stimulus; "drifting_gratings" is drifting_gratings_75_repeats as well.
    window, bin_width
        First and last time from the onset, multiples of the width of a bin [s].
    mean_over
        Average over all "presentations", or over those of each of the "conditions", whose
        parameters are columns: of the 243 conditions of the gabors, ten million rows a session.

    Examples
    --------
    >>> run = cache.cohort(session_ids=900000001).psth(stimulus="flashes")
    >>> run.frame().groupby("ecephys_structure_acronym")["rate"].mean().round(1).to_dict()
    {'CA3': 1.0, 'DG': 1.9, 'LGd': 23.6, 'LP': 5.4, 'VISam': 2.7, 'VISp': 6.4}
    """
    from spikehouse.analysis import compute_conditionwise_psth

    if mean_over not in ("presentations", "conditions"):
        choices = describe_choices(mean_over, ("presentations", "conditions"))
        raise InvalidArgumentError(f"mean_over={mean_over!r}; {choices}")
    presentations = list_presentations(session, stimulus)
    conditions = presentations["stimulus_condition_id"]
    averaged = presentations.assign(stimulus_condition_id=0)
    means = compute_conditionwise_psth(
        session,
        select_units(session, structure),
        averaged if mean_over == "presentations" else presentations,
        bin_edges=make_edges(window, bin_width),
    )
    rates = means.transpose("unit_id", ...).to_series().rename("rate").reset_index()
    if mean_over == "presentations":
        return rates.drop(columns="stimulus_condition_id").set_index("unit_id")
    names = session.get_parameter_values_for_stimulus(presentations["stimulus_name"].iloc[0])
    shown = [name for name in names if presentations[name].nunique() > 1]
    parameters = presentations[shown].groupby(conditions).first()
    return rates.join(parameters, on="stimulus_condition_id").set_index("unit_id")


def decode(
    session: EcephysSession,
    *,
    structure: str | Sequence[str] | None = None,
    stimulus: str = "drifting_gratings",
    target: str = "orientation",
    n_units: int = 20,
    n_draws: int = 10,
    estimator: object = None,
    cv: object = "stratified",
    seed: int = 0,
) -> pd.DataFrame:
    """Decode a parameter of a stimulus from the spike counts of each area, in one row an area.

    Parameters
    ----------
    stimulus, target
        Name of the stimulus ("drifting_gratings" is drifting_gratings_75_repeats as well), and
        the column of its table that is decoded; presentations without a value are left out.
    n_units, n_draws
        Number of units that are drawn from each area, and how often; areas with fewer units are
        left out. One number for all sessions makes their accuracies comparable.
    estimator, cv
        As in :func:`~spikehouse.decode`, but with equal shares of every class in the folds.
        With few trials, unequal ones put accuracies without information below chance.

    Examples
    --------
    >>> cohort = cache.cohort(session_ids=900000001)
    >>> run = cohort.decode(stimulus="flashes", target="color", n_units=4, n_draws=2, cv=2)
    >>> run.frame()[["ecephys_structure_acronym", "n_units", "n_trials"]]
      ecephys_structure_acronym  n_units  n_trials
    0                        LP        4         8
    1                      VISp        4         8
    """
    import pandas as pd

    from spikehouse.decoding import decode_by_area
    from spikehouse.spikes import compute_design_matrix

    presentations = list_presentations(session, stimulus)
    if target not in presentations:
        choices = describe_choices(target, presentations.columns)
        raise NotFoundError(f"the presentations of {stimulus} have no column {target!r}: {choices}")
    shown = presentations[presentations[target].notna()]
    units = session.units.loc[select_units(session, structure)]
    accuracies = decode_by_area(
        compute_design_matrix(session, units.index, shown),
        shown[target],
        units,
        n_units=n_units,
        n_draws=n_draws,
        estimator=estimator,
        cv=cv,
        seed=seed,
        # sums in other processes may have other last digits, and so another class
        n_jobs=1,
    )
    columns = {
        STRUCTURE: accuracies["area"].to_numpy().astype(str),
        "accuracy": accuracies.mean("draw"),
        "accuracy_sd": accuracies.std("draw", ddof=1) if n_draws > 1 else float("nan"),
        "chance": accuracies.attrs["chance"],
        "n_units": n_units,
        "n_units_available": accuracies["n_units_available"],
        "n_draws": n_draws,
        "n_trials": len(shown),
        "n_classes": shown[target].nunique(),
    }
    return pd.DataFrame(columns)


def latencies(
    session: EcephysSession,
    *,
    structure: str | Sequence[str] | None = None,
    stimulus: str = "flashes",
    window: tuple[float, float] = (-0.2, 0.25),
    bin_width: float = 0.001,
    alpha: float = 0.01,
) -> pd.DataFrame:
    """Find when the response to a stimulus begins, and the median time to the first spike.

    Parameters
    ----------
    stimulus
        Name of the stimulus.
    window, bin_width, alpha
        As in :class:`spikehouse.analysis.LatencyOptions`.

    Examples
    --------
    >>> run = cache.cohort(session_ids=900000001).latencies(stimulus="flashes")
    >>> run.frame()[["unit_id", "time_to_first_spike", "n_trials"]].round(3).head(3)
         unit_id  time_to_first_spike  n_trials
    0  950100383                0.075         5
    1  950100404                0.057         8
    2  950100393                0.059         5
    """
    from spikehouse.analysis import (
        LatencyOptions,
        compute_onset_latency,
        compute_time_to_first_spike,
    )

    onsets = list_presentations(session, stimulus)["start_time"]
    units = select_units(session, structure)
    options = LatencyOptions(window=window, bin_width=bin_width, alpha=alpha)
    found = compute_onset_latency(session, units, onsets, options=options)
    return found.join(compute_time_to_first_spike(session, units, onsets, bin_width=bin_width))


def timescales(
    session: EcephysSession,
    *,
    structure: str | Sequence[str] | None = None,
    stimulus: str = "flashes",
    bin_width: float = 0.01,
    definition: Literal["corrected", "published"] = "corrected",
) -> pd.DataFrame:
    """Compute the timescales of the response's decay and of the firing's fluctuations.

    Parameters
    ----------
    stimulus
        Name of the stimulus; of flashes, two seconds apart, the second half of the time is grey.
    bin_width, definition
        As in :func:`spikehouse.analysis.compute_decay_timescales`.

    Examples
    --------
    >>> run = cache.cohort(session_ids=900000001).timescales(stimulus="flashes")
    >>> run.frame()[["unit_id", "decay_n_spikes", "intrinsic_n_spikes"]].head(3)
         unit_id  decay_n_spikes  intrinsic_n_spikes
    0  950100383               6                   3
    1  950100404              28                 130
    2  950100393              14                  19
    """
    from spikehouse.analysis import compute_decay_timescales, compute_intrinsic_timescales

    onsets = list_presentations(session, stimulus)["start_time"]
    units = select_units(session, structure)
    options: dict[str, Any] = {"bin_width": bin_width, "definition": definition}
    decay = compute_decay_timescales(session, units, onsets, **options)
    intrinsic = compute_intrinsic_timescales(session, units, onsets, **options)
    return decay.add_prefix("decay_").join(intrinsic.add_prefix("intrinsic_"))


def correlograms(
    session: EcephysSession,
    *,
    structure: str | Sequence[str] | None = None,
    stimulus: str = "drifting_gratings",
    duration: float = 2.0,
    max_lag: float = 0.1,
    bin_width: float = 0.001,
    jitter_window: float | None = 0.025,
    min_rate: float = 2.0,
    is_significant_only: bool = True,
) -> pd.DataFrame:
    """Find the peak of the jitter-corrected correlogram of every pair of units.

    Trials are jittered with those of the same condition, of drifting gratings the same direction.

    Parameters
    ----------
    stimulus
        Name of the stimulus; "drifting_gratings" is drifting_gratings_75_repeats as well.
    duration, max_lag, bin_width, jitter_window
        As in :func:`spikehouse.analysis.compute_correlograms`.
    min_rate
        Only pairs of two units that fire more than this during the trials [spikes/s], as published:
        among slower units single coincidences look like peaks.
    is_significant_only
        Leave out the other pairs: a session has 200 000.

    Examples
    --------
    >>> run = cache.cohort(session_ids=900000001).correlograms(is_significant_only=False)
    >>> run.frame()[["source_unit_id", "target_unit_id", "is_significant"]].head(2)
       source_unit_id  target_unit_id  is_significant
    0       950100404       950100393           False
    1       950100404       950100434           False
    """
    from spikehouse.analysis import compute_connections

    shown = list_presentations(session, stimulus)
    # as published: of the 15 trials of one condition the correction takes a third of the peaks
    is_drifting = stimulus in ("drifting_gratings", "drifting_gratings_75_repeats")
    pairs = compute_connections(
        session,
        select_units(session, structure),
        shown["start_time"],
        conditions=shown["orientation" if is_drifting else "stimulus_condition_id"],
        duration=duration,
        max_lag=max_lag,
        bin_width=bin_width,
        jitter_window=jitter_window,
        min_rate=min_rate,
    )
    for side in ("source", "target"):
        pairs[f"{side}_structure"] = pairs[f"{side}_unit_id"].map(session.units[STRUCTURE])
    return pairs[pairs["is_significant"]] if is_significant_only else pairs


guard_public(globals())
# name of the command and of the method of a cohort → function
READY: Mapping[str, Callable[..., pd.DataFrame]] = {
    function.__name__: function
    for function in (metrics, psth, decode, latencies, timescales, correlograms)
}


def list_options(function: Callable[..., pd.DataFrame]) -> list[Parameter]:
    """List what a caller chooses; units and seed are those of the cohort and of the run."""
    given = ("session", "structure", "seed")
    return [one for name, one in signature(function).parameters.items() if name not in given]


def join_tables(table: pd.DataFrame, sessions: pd.DataFrame, units: pd.DataFrame) -> pd.DataFrame:
    """Put beside results what the survey's tables say of their sessions and units."""
    import pandas as pd

    keys = [name for name in ("session_id", "unit_id") if name in table]
    facts = table[keys].join(sessions[["session_type", "full_genotype", "sex"]], on="session_id")
    if "unit_id" in keys:
        # no cortical layer: none of the released tables has it
        facts = facts.join(units[[STRUCTURE, "probe_vertical_position"]], on="unit_id")
    new = [name for name in facts if name in keys or name not in table]
    return pd.concat([facts[new], table.drop(columns=keys)], axis="columns")


def select_units(session: EcephysSession, structure: str | Sequence[str] | None) -> list[int]:
    """Return the ids of the units in some structures, all by default."""
    found = session.units[STRUCTURE]
    if structure is None:
        return found.index.tolist()
    names = [structure] if isinstance(structure, str) else list(structure)
    is_inside = found.isin(names)
    if not is_inside.any():
        held = describe_choices(names[0], session.structurewise_unit_counts.index)
        raise NotFoundError(f"no unit of this session lies in {' or '.join(names)}: {held}")
    return found.index[is_inside].tolist()


def list_presentations(session: EcephysSession, stimulus: str) -> pd.DataFrame:
    """Return the presentations of a stimulus by the name that the session has for it."""
    from spikehouse.analysis import ANALYSES

    names = ANALYSES[stimulus].names if stimulus in ANALYSES else (stimulus,)
    shown = [name for name in names if name in session.stimulus_names]
    try:
        return session.get_stimulus_table(shown or [stimulus], missing="nan")
    except NotFoundError as error:
        raise NotFoundError(
            f"{error}. Sessions of this type do not show it: select others with session_type=, "
            f"which is {session.session_type!r} here"
        ) from error


def make_edges(window: tuple[float, float], bin_width: float) -> npt.NDArray[np.float64]:
    """Return the edges of bins, of which the onset is one exactly."""
    import numpy as np

    bounds = np.divide(window, bin_width) if bin_width > 0 else np.full(2, np.nan)
    whole = np.round(bounds)
    if not (np.allclose(bounds, whole) and whole[0] < whole[1]):
        raise InvalidArgumentError(
            f"window={window}, bin_width={bin_width:g}: the window must begin and end at multiples "
            "of the width, one bin apart or more; for instance (-0.1, 0.5) and 0.01"
        )
    return np.arange(whole[0], whole[1] + 1) * bin_width
