"""
Receptive field
===============

The mean response of one unit to gabors at 9 × 9 positions. Azimuth goes to the right and elevation
upwards. The centre of the screen is at azimuth 50° and elevation 10°, as for the metrics
``azimuth_rf`` and ``elevation_rf``; in the stimulus table, ``x_position`` and ``y_position`` are 0
there.
"""

from spikehouse import EcephysProjectCache, analysis, plots

session = EcephysProjectCache.from_demo().get_session_data(900000001)
metrics = session.analyze("gabors")
unit_id = metrics.query("p_value_rf < 0.01 and area_rf > 0")["firing_rate_rf"].idxmax()

responses = session.get_responses("gabors", 0.25, [unit_id])
field = analysis.compute_receptive_field_maps(responses).sel(unit_id=unit_id)
plots.plot_receptive_field(
    field,
    mask=field > (field.max() + field.min()) / 2,  # outlined: more than half way up
    center=tuple(metrics.loc[unit_id, ["azimuth_rf", "elevation_rf"]]),  # the cross
    title=f"unit {unit_id}",
)

# %%
# ``widths`` and ``angle`` draw a fitted ellipse.

plots.plot_receptive_field(
    field,
    center=tuple(metrics.loc[unit_id, ["azimuth_rf", "elevation_rf"]]),
    widths=tuple(metrics.loc[unit_id, ["width_rf", "height_rf"]]),
    title=f"unit {unit_id}",
)
