"""
Current source density
======================

Sinks, current that flows into cells, are negative and blue; sources are red.
"""

from spikehouse import EcephysProjectCache, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
csd = session.get_current_source_density(session.units["probe_id"].iloc[0])
plots.plot_csd(
    csd, density_unit="V/cm²", stimulus_duration=0.25, title="flashes, as stored in the file"
)
