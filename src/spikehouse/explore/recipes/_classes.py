"""The class of waveforms, a column of units in two views."""

from __future__ import annotations

import contextlib

import pandas as pd

from spikehouse.analysis import classify_waveforms
from spikehouse.errors import InvalidArgumentError


def add_classes(units: pd.DataFrame) -> pd.DataFrame:
    """Add the column waveform_class, unless there are no durations of waveforms in milliseconds."""
    with contextlib.suppress(InvalidArgumentError):
        units = units.assign(waveform_class=classify_waveforms(units))
    return units
