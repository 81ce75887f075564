"""
Running, pupil and activity
===========================

The animal's behavior above the firing rates, over one axis of time. Names of stimuli are written
where there is room.
"""

import numpy as np
import xarray as xr

from spikehouse import EcephysProjectCache, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)

bin_width = 2.0
edges = np.arange(240.0, 640.0 + bin_width, bin_width)
rates = [np.histogram(times, edges)[0] / bin_width for times in session.spike_times.values()]
activity = xr.DataArray(
    rates,
    dims=("unit_id", "time"),
    coords={"unit_id": list(session.spike_times), "time": edges[:-1] + bin_width / 2},
)
pupil = session.get_pupil_data()
plots.plot_behavior(
    activity,
    running=session.running_speed.set_index("start_time")["velocity"],
    pupil=np.pi * pupil["pupil_height"] * pupil["pupil_width"],
    epochs=session.get_stimulus_epochs(),
)
