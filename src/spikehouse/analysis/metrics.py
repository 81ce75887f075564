"""All tuning metrics of a session: the tables of its stimuli, side by side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from spikehouse.analysis.checks import Definition, check_definition
from spikehouse.analysis.gratings import (
    compute_dot_motion_metrics,
    compute_drifting_gratings_metrics,
    compute_static_gratings_metrics,
)
from spikehouse.analysis.images import (
    compute_flashes_metrics,
    compute_natural_movies_metrics,
    compute_natural_scenes_metrics,
)
from spikehouse.analysis.inputs import StimulusResponses
from spikehouse.analysis.receptive_fields import compute_receptive_field_metrics
from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices

Respond = Callable[[str, float], StimulusResponses]
"""Return the responses to a stimulus, given its name and the length of a response [s]."""

CONTRAST = "drifting_gratings_contrast"
CONTRAST_TRIAL_S = 0.5


@dataclass(frozen=True)
class MetricOptions:
    """Options of the metrics.

    Attributes
    ----------
    n_resamples
        Number of resamples in the test of receptive fields. If None, 10 000, or 1000 with the
        published definition.
    seed
        Seed of these resamples.
    definition
        ``"corrected"``, or ``"published"`` for every column as the released tables have it.

    Examples
    --------
    >>> for definition in ("corrected", "published"):
    ...     metrics = session.analyze("flashes", options=MetricOptions(definition=definition))
    ...     print(definition, metrics.loc[950100404, "sustained_idx_fl"].round(2))
    corrected 0.4
    published 0.07
    """

    n_resamples: int | None = None
    seed: int = 0
    definition: Definition = "corrected"

    def __post_init__(self) -> None:
        check_definition(self.definition)


@dataclass(frozen=True)
class Analysis:
    """A stimulus: its names in released files, the usual one first, and how long to count [s]."""

    names: tuple[str, ...]
    trial_duration: float
    compute: Callable[..., pd.DataFrame]


ANALYSES = {
    "drifting_gratings": Analysis(
        ("drifting_gratings", "drifting_gratings_75_repeats"),
        2.0,
        compute_drifting_gratings_metrics,
    ),
    "static_gratings": Analysis(("static_gratings",), 0.25, compute_static_gratings_metrics),
    "natural_scenes": Analysis(("natural_scenes",), 0.25, compute_natural_scenes_metrics),
    "flashes": Analysis(("flashes",), 0.25, compute_flashes_metrics),
    "gabors": Analysis(("gabors",), 0.25, compute_receptive_field_metrics),
    "dot_motion": Analysis(("dot_motion",), 1.0, compute_dot_motion_metrics),
    "natural_movie_one": Analysis(
        ("natural_movie_one", "natural_movie_one_more_repeats"),
        1 / 30,
        partial(compute_natural_movies_metrics, suffix="nm1"),
    ),
    "natural_movie_three": Analysis(
        ("natural_movie_three",), 1 / 30, partial(compute_natural_movies_metrics, suffix="nm3")
    ),
}
"""The analyses by name, in the order in which their columns stand."""


def list_analyses(shown: Collection[str]) -> list[str]:
    """List the analyses that the stimuli of a session allow.

    Parameters
    ----------
    shown
        Names of the stimuli of the session.

    Returns
    -------
    list of str
        Keys of ``ANALYSES``.

    Examples
    --------
    >>> list_analyses(["spontaneous", "flashes", "drifting_gratings_75_repeats"])
    ['drifting_gratings', 'flashes']
    """
    return [name for name, kind in ANALYSES.items() if _find_name(kind, shown) is not None]


def compute_metrics(
    analyses: str | Sequence[str] | None,
    respond: Respond,
    *,
    shown: Collection[str],
    options: MetricOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Compute the tuning metrics of all units.

    Parameters
    ----------
    analyses
        One of ``ANALYSES``, or several; None for all that the session allows. Names of released
        stimuli work as well.
    respond
        Called with the name of a stimulus and the length of a response [s]; returns a
        `StimulusResponses`, as ``session.get_responses`` does.
    shown
        Names of the stimuli of the session.
    options
        Definition, resamples and seed; the defaults if None.
    progress
        Called with (done, total) after every analysis.

    Returns
    -------
    DataFrame
        Index ``unit_id``; the columns of the published tables, whose last letters name the stimulus
        (dg, sg, ns, fl, rf, dm; nm1 and nm3 for the movies).

    Examples
    --------
    >>> metrics = compute_metrics(["flashes"], session.get_responses, shown=session.stimulus_names)
    >>> metrics[["on_off_ratio_fl", "time_to_peak_fl"]].round(2).head(3)
               on_off_ratio_fl  time_to_peak_fl
    unit_id
    950100383             2.50             0.07
    950100404             0.83             0.16
    950100393             4.50             0.17
    """
    chosen = _choose(analyses, shown)
    options = options or MetricOptions()
    tables = []
    for n_done, name in enumerate(chosen):
        tables.append(_compute(name, respond, shown=shown, options=options))
        if progress is not None:
            progress(n_done + 1, len(chosen))
    return pd.concat(tables, axis="columns")


def _compute(
    name: str, respond: Respond, *, shown: Collection[str], options: MetricOptions
) -> pd.DataFrame:
    kind = ANALYSES[name]
    stimulus = _find_name(kind, shown)
    if stimulus is None:
        allowed = describe_choices(name, list_analyses(shown))
        raise NotFoundError(
            f"there are no presentations of {' or '.join(kind.names)}, so {name} cannot be "
            f"analysed: {allowed}"
        )
    responses = respond(stimulus, kind.trial_duration)
    more: dict[str, Any] = {}
    if name == "gabors":
        more = {"n_resamples": options.n_resamples, "seed": options.seed}
    elif name == "drifting_gratings" and CONTRAST in shown:
        more = {"contrast": respond(CONTRAST, CONTRAST_TRIAL_S)}
    return kind.compute(responses, definition=options.definition, **more)


def _find_name(kind: Analysis, shown: Collection[str]) -> str | None:
    return next((name for name in kind.names if name in shown), None)


def _choose(analyses: str | Sequence[str] | None, shown: Collection[str]) -> list[str]:
    if analyses is None:
        chosen = list_analyses(shown)
        if not chosen:
            raise InvalidArgumentError(
                f"none of {', '.join(ANALYSES)} was shown in this session, only "
                f"{', '.join(shown) or 'nothing'}"
            )
        return chosen
    asked = [analyses] if isinstance(analyses, str) else list(analyses)
    by_name = {name: key for key, kind in ANALYSES.items() for name in (key, *kind.names)}
    for name in asked:
        if name not in by_name:
            raise InvalidArgumentError(
                f"there is no analysis of {name!r}: {describe_choices(name, by_name)}. Of other "
                "stimuli, see compute_design_matrix, plots.plot_tuning_curve and decode"
            )
    # asked for twice, it is one set of columns
    return list(dict.fromkeys(by_name[name] for name in asked))
