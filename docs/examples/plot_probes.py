"""
Units by depth
==============

One dot a unit, one column a probe. Lines show where one structure ends and the next begins.
"""

from spikehouse import EcephysProjectCache, plots

# units of any quality
session = EcephysProjectCache.from_demo().get_session_data(
    900000001,
    amplitude_cutoff_maximum=None,
    presence_ratio_minimum=None,
    isi_violations_maximum=None,
)
plots.plot_probes(session.units, session.channels)
