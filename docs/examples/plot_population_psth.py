"""
PSTH of a population
====================

The mean rate of all units, one line a condition. The band is ± one standard error over units.
"""

import numpy as np

from spikehouse import EcephysProjectCache, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
flashes = session.get_stimulus_table("flashes")
means = {
    name: session.presentationwise_spike_counts(
        np.arange(-0.1, 0.4, 0.01),
        flashes.index[flashes["color"] == color],
        mean_over="presentations",
    )
    for name, color in {"dark": -1, "bright": 1}.items()
}
plots.plot_population_psth(means, stimulus_duration=0.25, title="flashes")
