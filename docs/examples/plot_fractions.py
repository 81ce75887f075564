"""
Fraction of units in each area
==============================

Which fraction of the units of each area is tuned to a movie.
"""

from spikehouse import EcephysProjectCache, analysis, plots

# units of any quality
session = EcephysProjectCache.from_demo().get_session_data(
    900000001,
    amplitude_cutoff_maximum=None,
    presence_ratio_minimum=None,
    isi_violations_maximum=None,
)
responses = session.get_responses("natural_movie_one", 1 / 30)
is_tuned = analysis.compute_movie_tuning(responses)["is_tuned"]
areas = session.units["ecephys_structure_acronym"]
fractions = is_tuned.groupby(areas).agg(fraction="mean", n="size")
plots.plot_fractions(fractions.query("n >= 5"), ylabel="fraction tuned", title="natural movie one")
