"""The ready functions of a cohort: a session in, a tidy table out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

    from spikehouse.session import EcephysSession

__all__ = ["READY", "metrics"]


def metrics(
    session: EcephysSession,
    *,
    structure: Collection[str] | None = None,
    stimulus: str | Sequence[str] | None = None,
    definition: Literal["corrected", "published"] = "corrected",
    n_resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute the tuning metrics of the units; one row a unit, the released tables' names."""
    from spikehouse.analysis import MetricOptions

    options = MetricOptions(n_resamples=n_resamples, seed=seed, definition=definition)
    return session.analyze(stimulus, unit_ids=select_units(session, structure), options=options)


def select_units(session: EcephysSession, structure: Collection[str] | None) -> list[int]:
    """Return the units of a session that are in these structures, all if None."""
    units = session.units
    if structure is not None:
        units = units[units["ecephys_structure_acronym"].isin(structure)]
    return [int(unit) for unit in units.index]


# name of the command and of the method → function
READY: dict[str, Callable[..., pd.DataFrame]] = {"metrics": metrics}
