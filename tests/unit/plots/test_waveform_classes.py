"""The histogram of waveform durations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spikehouse import plots
from spikehouse.errors import InvalidArgumentError

UNITS = pd.DataFrame({"waveform_duration": [0.2, 0.3, 0.4, 0.7, 0.7, np.nan]})


def test_plot_waveform_classes__counts_each_class_beside_the_threshold():
    ax = plots.plot_waveform_classes(UNITS, bin_width=0.1, title="units")
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["fast-spiking (n = 2, 40%)", "regular-spiking (n = 3, 60%)"]
    fast, regular = ([bar.get_height() for bar in bars] for bars in ax.containers)
    assert (sum(fast), sum(regular), max(regular)) == (2, 3, 2)
    assert ax.lines[0].get_xdata()[0] == 0.4
    assert ax.get_xlabel() == "time from trough to peak (ms)"


def test_plot_waveform_classes__without_durations_is_empty():
    ax = plots.plot_waveform_classes(UNITS.tail(1))
    assert ax.get_legend().get_texts()[0].get_text() == "fast-spiking (n = 0, 0%)"


@pytest.mark.parametrize("width", [0.0, 1e-5])
def test_plot_waveform_classes__refuses_bins_without_width_and_too_many(width):
    with pytest.raises(InvalidArgumentError, match=r"ms for durations up to 0.7 ms; valid: above"):
        plots.plot_waveform_classes(UNITS, bin_width=width)
