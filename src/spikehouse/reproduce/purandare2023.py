"""Purandare & Mehta (2023), doi:10.7554/eLife.85069: units that are tuned to a movie."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.analysis import compute_movie_tuning
from spikehouse.reproduce import figures
from spikehouse.reproduce.study import Drawing, Findings, Part, Study, is_simulated, read_published

if TYPE_CHECKING:
    from spikehouse.session import EcephysSession

FIGURE = "Fig. 1"
TUNED = "movie_tuning"
# name of the movie here → stimulus, and delay of the response [s], which matters only where the
# order of the frames is another in every repeat
MOVIES = {
    "continuous": ("natural_movie_one_more_repeats", 0.0),
    "scrambled": ("natural_movie_one_shuffled", 0.05),
}
REGIONS = {
    "LGN": ("LGd",), "V1": ("VISp",), "AM-PM": ("VISam", "VISpm"),
    "DG": ("DG",), "CA3": ("CA3",), "CA1": ("CA1",), "SUB": ("SUB",),
}  # fmt: skip
GROUPS = {"visual": ("LGN", "V1", "AM-PM"), "hippocampus": ("DG", "CA3", "CA1", "SUB")}
# broad spikes have a duration [ms] between these; active units fire more [spikes/s] in the movie
DURATIONS_MS = (0.45, 1.5)
LOWEST_RATE_HZ = 0.5


def measure_movie_tuning(session: EcephysSession) -> pd.DataFrame:
    """Compute the movie tuning of the broad-spiking units of a session: a row a unit and movie."""
    units = session.units
    region_of = {area: region for region, areas in REGIONS.items() for area in areas}
    region = units["ecephys_structure_acronym"].map(region_of)
    duration = units["waveform_duration"].abs()
    chosen = units[region.notna() & duration.gt(DURATIONS_MS[0]) & duration.lt(DURATIONS_MS[1])]
    tables = []
    for movie, (stimulus, delay) in MOVIES.items():
        responses = session.get_responses(stimulus, 1 / 30, chosen.index)
        table = compute_movie_tuning(responses, delay=delay)
        tables.append(table.assign(movie=movie, region=region[table.index]))
    return pd.concat(tables)


def summarize_movie_tuning(units: pd.DataFrame, *, n_resamples: int = 1000) -> Findings:
    """Compute the fractions of tuned units by region, with intervals over sessions."""
    found = Findings()
    active = units[units["firing_rate"] > LOWEST_RATE_HZ]
    panels = {}
    for movie, of_movie in active.groupby("movie", sort=False):
        table = _count(of_movie, n_resamples)
        # what is published is of the continuous movie
        figure, measure = (FIGURE, TUNED) if movie == "continuous" else ("Scrambled", TUNED)
        for name, row in table.iterrows():
            ends = (row["low"], row["high"])
            found.add(figure, measure, "fraction", row["fraction"], area=str(name), ends=ends)
            for quantity in ("n_tuned", "n_units"):
                found.add(figure, measure, quantity, row[quantity], area=str(name))
        fractions = table["fraction"]
        gap = fractions.get("visual", np.nan) - fractions.get("hippocampus", np.nan)
        found.add(figure, measure, "fraction_difference", gap, area="visual − hippocampus")
        drawn = table.drop(index=[*GROUPS], errors="ignore").rename(columns={"n_units": "n"})
        panels[f"{movie} movie"] = drawn
        if movie == "continuous" and np.isnan(gap):
            found.reasons[FIGURE, "fraction_difference"] = (
                "it needs units of both the visual areas and the hippocampus"
            )
    if panels:
        table = read_published("purandare2023")
        published = table[table["quantity"] == "fraction"].set_index("area")["value"]
        simulated = is_simulated(units)
        draw = partial(figures.draw_fractions, panels, None if simulated else published)
        has_interval = units["session_id"].nunique() > 1
        found.drawings["movie_tuning"] = Drawing(
            draw,
            "Fraction of broad-spiking, active units that are tuned to the movie (a), and to the "
            "same frames in another order (b), with the number of units."
            + (" Thin bars: 95 % over sessions." if has_interval else "")
            + ("" if simulated else " Strokes in a: published."),
        )
    found.notes.append(
        "The null is our own: repeats shifted in time. How the authors shuffled, which 24 sessions "
        "they used and whether their rate is that during the movie is not known to us. Fields of "
        "the movie (number and duration) are not computed: we do not know their definition."
    )
    return found


def _count(units: pd.DataFrame, n_resamples: int) -> pd.DataFrame:
    """Count units and tuned units by region and group: n_units, n_tuned, fraction, low, high."""
    counts = units.groupby(["region", "session_id"])["is_tuned"].agg(["sum", "size"])
    sessions = np.unique(units["session_id"])
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(sessions), (n_resamples, len(sessions)))
    rows = {}
    for name, regions in {**{region: (region,) for region in REGIONS}, **GROUPS}.items():
        mine = counts[counts.index.get_level_values("region").isin(regions)]
        of_session = mine.groupby("session_id").sum().reindex(sessions, fill_value=0)
        if not of_session["size"].sum():
            continue
        n_tuned, n_units = of_session.sum()
        resampled = of_session.to_numpy()[drawn].sum(axis=1)
        some = resampled[resampled[:, 1] > 0]
        low, high = _bound(some[:, 0] / some[:, 1]) if len(sessions) > 1 else (np.nan, np.nan)
        rows[name] = (n_units, n_tuned, n_tuned / n_units, low, high)
    columns = ["n_units", "n_tuned", "fraction", "low", "high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _bound(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


STUDY = Study(
    title="Tuning to a movie in the visual areas and the hippocampus",
    reference="Purandare & Mehta (2023), Mega-scale movie-fields in the mouse visuo-hippocampal "
    "network, eLife 12, RP85069",
    doi="10.7554/eLife.85069",
    parts=(
        Part(
            name="movie_tuning",
            title="Units tuned to the movie",
            figures=(FIGURE,),
            measure=measure_movie_tuning,
            summarize=summarize_movie_tuning,
            drawings=("movie_tuning",),
        ),
    ),
    session_type="functional_connectivity",
)
