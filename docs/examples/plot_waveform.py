"""
Mean waveform
=============

The mean waveform of one unit on the channels around its peak channel, as lines and as a heat map.
"""

import matplotlib.pyplot as plt

from spikehouse import EcephysProjectCache, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
unit_id = session.units["waveform_amplitude"].idxmax()
waveform = session.mean_waveforms[unit_id]
depths = session.channels["probe_vertical_position"]

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.8), layout="constrained")
plots.plot_waveform_lines(waveform, depths=depths, ax=left, title=f"unit {unit_id}")
plots.plot_waveform_heatmap(waveform, depths=depths, ax=right)
