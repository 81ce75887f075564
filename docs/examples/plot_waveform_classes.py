"""
Classes of waveforms
====================

How long the waveforms of the survey's units last, and which units are called fast-spiking.
"""

from spikehouse import EcephysProjectCache, plots

units = EcephysProjectCache.from_demo().get_units()
plots.plot_waveform_classes(units, title=f"{len(units)} units of 12 sessions")
