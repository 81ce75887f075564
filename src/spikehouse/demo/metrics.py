"""Compute the published stimulus metrics of a simulated session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from spikehouse.analysis import StimulusResponses
    from spikehouse.demo.plan import SessionPlan

__all__ = ["list_analysed_units", "make_analysis_metrics"]

# Stimuli in the released tables; sessions of functional connectivity lack the last two.
STIMULI = ("_dg", "_fl", "_rf", "_ns", "_sg")


def list_analysed_units(plan: SessionPlan) -> list[int]:
    """List the units of a session that have metrics; the units table lacks the last two."""
    last = int(plan.units.index[-1])
    return [*plan.units.index.tolist(), last + 3, last + 7]


def make_analysis_metrics(plan: SessionPlan, session_file: Path) -> pd.DataFrame:
    """Compute the published metrics of a session from its file."""
    # as in the real tables, there are units of an earlier sorting that the units table does not
    # have: copies of the first two
    from spikehouse.analysis import MetricOptions, StimulusResponses, compute_metrics
    from spikehouse.session import EcephysSession

    units = plan.units.index.tolist()
    with EcephysSession.from_nwb_path(session_file) as session:
        # from the file, because units that a session filters out have metrics too
        spike_times = session.api.get_spike_times()

        def respond(name: str, duration: float) -> StimulusResponses:
            shown = session.get_stimulus_table(name, missing="nan")
            return StimulusResponses(
                name, shown, units, spike_times, duration, session.running_speed
            )

        options = MetricOptions(definition="published")
        table = compute_metrics(None, respond, shown=session.stimulus_names, options=options)
    table = table.loc[[*units, *units[:2]]].set_axis(list_analysed_units(plan))
    kept = [name for name in table.columns.astype(str) if name.endswith(STIMULI)]
    return table[kept].rename_axis("ecephys_unit_id").sort_index(axis="columns")
