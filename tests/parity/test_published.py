"""Receptive fields of eight real sessions against the released tables, and of simulated ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.ndimage as ndi

from spikehouse.analysis import StimulusResponses
from spikehouse.analysis.receptive_fields import compute_receptive_field_metrics
from spikehouse.demo import Survey
from spikehouse.session import EcephysSession

SESSIONS = (
    715093703, 719161530, 737581020, 760693773, 766640955, 791319847, 797828357, 847657808
)  # fmt: skip
# 49 of its presentations were marked invalid after the tables were made, and are not in the file
INCOMPLETE = 719161530
COLUMNS = ["azimuth_rf", "elevation_rf", "area_rf"]


@pytest.fixture(scope="module")
def released(shared_folder: Path) -> pd.DataFrame:
    path = shared_folder / "data" / "real" / "survey" / "visual_cortex_units.parquet"
    return pd.read_parquet(path).set_index("unit_id")[COLUMNS]


@pytest.mark.parametrize("session_id", SESSIONS)
def test_published_fields__are_those_of_the_released_table(
    session_id: int, shared_folder: Path, released: pd.DataFrame
) -> None:
    folder = shared_folder / "data" / "real" / "survey" / "gabors"
    with np.load(folder / f"{session_id}.npz") as held:
        counts, unit_ids = held["counts"], held["unit_ids"]
        columns = {name: held[name] for name in held.files if name not in ("counts", "unit_ids")}
    presentations = pd.DataFrame(columns).set_index("stimulus_presentation_id")
    is_released = np.isin(unit_ids, released.index)
    units = unit_ids[is_released]
    responses = StimulusResponses.from_counts(counts[is_released].T, presentations, units)
    # the p-values, which take longest, were drawn at random
    ours = compute_receptive_field_metrics(responses, definition="published", n_resamples=1)
    agrees = np.isclose(ours[COLUMNS], released.loc[units], equal_nan=True)
    if session_id == INCOMPLETE:
        assert len(presentations) == 3645 - 49
        assert agrees.mean(axis=0).min() > 0.7
    else:
        assert agrees.mean(axis=0).min() >= 0.99


def test_published_fields__are_those_of_maps_of_whole_numbers(survey: Survey) -> None:
    """Unit by unit, on a simulated session, from counts."""
    session = EcephysSession.from_nwb_path(survey.session_file(survey.session_ids[0]))
    gabors = session.get_stimulus_table("gabors", missing="nan")
    units = session.units.index.to_numpy()
    counts = session.presentationwise_spike_counts([0, 0.249], gabors.index, units)[:, 0]
    responses = StimulusResponses.from_counts(counts, gabors, units)
    ours = compute_receptive_field_metrics(responses, definition="published", n_resamples=1)
    expected = np.full((len(units), 3), np.nan)
    for position, unit in enumerate(units):
        own = gabors.assign(count=counts.sel(unit_id=unit).to_numpy().astype(int))
        if own["count"].sum() < 10:
            continue
        table = own.pivot_table("count", "y_position", "x_position", aggfunc="sum")
        smooth = ndi.gaussian_filter(table.to_numpy()[::-1], 1)
        labels, _ = ndi.label(smooth > smooth.max() - smooth.std())
        part = labels == labels.ravel()[smooth.argmax()]
        if labels.any():
            row, column = ndi.center_of_mass(part)
            expected[position] = 10 + 10 * column, 50 - 10 * row, 100 * part.sum()
        else:
            expected[position, 2] = 0
    assert np.isfinite(expected[:, 0]).mean() > 0.3
    np.testing.assert_allclose(ours[COLUMNS], expected, atol=1e-3)
