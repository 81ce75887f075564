"""
Local field potential
=====================

The LFP of one probe around flashes: the mean as a heat map, and one flash as traces.
"""

from spikehouse import EcephysProjectCache, lfp, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
flashes = session.get_stimulus_table("flashes")["start_time"]
depths = session.channels["probe_vertical_position"]
potential = session.get_lfp(session.units["probe_id"].iloc[0])

mean = lfp.align_lfp(potential, flashes, window=(-0.1, 0.4)).mean("stimulus_presentation_id")
plots.plot_lfp_heatmap(mean, depths=depths, stimulus_duration=0.25, title="mean over flashes")

# %%
# Colours reach as far below 0 as above. The pointed ends of the colour bar say that some values lie
# beyond.
#
# Traces
# ------
# Only the part that is selected is read from the file.

start = flashes.iloc[0]
second = potential.sel(time=slice(start - 0.1, start + 0.9)).isel(channel=slice(None, None, 6))
plots.plot_lfp_traces(second, depths=depths, title="around one flash")
