"""The statistics of Siegle et al. from one table of units, with hand-made units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from spikehouse.analysis import HIERARCHY_SCORES
from spikehouse.errors import InvalidArgumentError
from spikehouse.reproduce import siegle2021
from spikehouse.reproduce.siegle2021 import FIGURE_3, UNITS, summarize_units
from spikehouse.reproduce.study import KEYS, Findings, compare, read_published


@pytest.fixture
def units(rng: np.random.Generator) -> pd.DataFrame:
    """Make 1600 units that pass every limit; measures follow the hierarchy as published."""
    n = 1600
    area = rng.choice([*HIERARCHY_SCORES], n)
    score = pd.Series(HIERARCHY_SCORES)[area].to_numpy()
    return pd.DataFrame(
        {
            "session_id": rng.integers(700, 712, n),
            "ecephys_structure_acronym": area,
            "p_value_rf": 0.001,
            "snr": 2.0,
            "firing_rate_dg": 3.0,
            "firing_rate": 10 ** rng.normal(0.5, 0.1, n),
            "time_to_first_spike_fl": (0.06 + 0.01 * score + rng.normal(0, 0.002, n)).round(3),
            "area_rf": 600 + 300 * score + rng.normal(0, 60, n),
            "mod_idx_dg": 10 ** (-0.5 * score + rng.normal(0, 0.1, n)),
            "timescale_ac": 40 + 12 * score + rng.normal(0, 3, n),
            "err_ac": 5.0,
            "spike_count_ac": 100,
            "timescale_it": rng.normal(70, 5, n),
            "err_it": 5.0,
            "spike_count_it": 200,
            "cortical_layer": rng.choice([0, 1, 2, 4, 5, 6], n),
        },
        index=pd.Index(np.arange(n) + 950000000, name="unit_id"),
    )


def get(found: Findings, measure: str, quantity: str, area: str = "") -> float:
    table = pd.DataFrame(found.values)
    rows = table[(table[KEYS[1:]] == [measure, quantity, area]).all(axis=1)]
    assert len(rows) == 1
    return float(rows["value"].iloc[0])


def test_summarize_units__is_the_selection_of_the_authors_in_plain_pandas(units):
    spoilt = ["p_value_rf", "area_rf", "snr", "firing_rate_dg", "time_to_first_spike_fl", "err_ac"]
    for place, (name, value) in enumerate(
        zip(spoilt, (0.01, 2500, 1.0, 0.1, 0.1, 20.0), strict=True)
    ):
        # on the limit is outside
        units.loc[units.index[place * 10 : place * 10 + 10], name] = value
    found = summarize_units(units, n_resamples=20)
    kept = units[
        (units.p_value_rf < 0.01) & (units.area_rf < 2500) & (units.snr > 1)
        & (units.firing_rate_dg > 0.1) & (units.time_to_first_spike_fl < 0.1)
    ]  # fmt: skip
    assert len(kept) == 1550
    for measure, values in {
        "time_to_first_spike": kept.time_to_first_spike_fl * 1000,
        "rf_area": kept.area_rf,
        "modulation_index": np.log10(kept.mod_idx_dg),
        "decay_timescale": kept.timescale_ac[kept.err_ac < 20],
    }.items():
        means = values.groupby(kept["ecephys_structure_acronym"]).mean()[[*HIERARCHY_SCORES]]
        for area in HIERARCHY_SCORES:
            np.testing.assert_allclose(get(found, measure, "mean", area), means[area])
        r, p = stats.pearsonr([*HIERARCHY_SCORES.values()], means)
        np.testing.assert_allclose(get(found, measure, "pearson_r"), r)
        np.testing.assert_allclose(get(found, measure, "pearson_p"), p)
    counts = [get(found, "units", step) for step in [*siegle2021.STEPS][3:]]
    assert counts == [1590, 1550, 1540]


def test_summarize_units__sees_the_planted_hierarchy(units):
    found = summarize_units(units, n_resamples=50)
    signs = {name: np.sign(get(found, name, "pearson_r")) for name in siegle2021.MEASURES}
    assert signs["time_to_first_spike"] == signs["rf_area"] == signs["decay_timescale"] == 1
    assert signs["modulation_index"] == -1
    assert {*found.drawings} == {
        "units", "figure_3", "extended_data_figure_9", "extended_data_figure_10",
    }  # fmt: skip


def test_summarize_units__correlates_within_layers(units):
    units["cortical_depth"] = 0.5
    # CA1 and CA3 have codes of layers, and no depth in the cortex
    units.loc[units.index[:200], "cortical_depth"] = 0.0
    found = summarize_units(units, n_resamples=5)
    cortex = [name for name in HIERARCHY_SCORES if name.startswith("VIS")]
    four = units[(units["cortical_layer"] == 4) & (units["cortical_depth"] > 0)]
    means = four.groupby("ecephys_structure_acronym")["area_rf"].mean()[cortex]
    r, _ = stats.pearsonr([HIERARCHY_SCORES[name] for name in cortex], means)
    np.testing.assert_allclose(get(found, "rf_area", "L4: pearson_r"), r)
    np.testing.assert_allclose(get(found, "rf_area", "L4: mean", "VISp"), means["VISp"])


# six cortical areas in the order of the hierarchy: number of units, and the mean of each measure
REAL = {
    "VISp": (2876, 63.245, 567.976, 0.148, 1299, 39.577),
    "VISl": (1914, 66.165, 713.271, -0.087, 1008, 40.582),
    "VISrl": (2146, 69.021, 698.276, -0.128, 1100, 46.275),
    "VISal": (2601, 67.901, 739.331, -0.149, 1394, 41.230),
    "VISpm": (1311, 72.902, 810.526, -0.194, 578, 49.618),
    "VISam": (2221, 72.327, 864.701, -0.218, 854, 48.792),
}
REAL_R = {
    "time_to_first_spike": (0.932, 0.886),
    "rf_area": (0.977, 0.943),
    "modulation_index": (-0.903, -1.0),
    "decay_timescale": (0.788, 0.886),
}


def test_summarize_units__of_real_units_gives_the_known_means(shared_folder):
    table = pd.read_parquet(shared_folder / "data/real/survey/visual_cortex_units.parquet")
    assert len(table) == 36_430
    table = table.rename(columns={"ecephys_session_id": "session_id"}).set_index("unit_id")
    found = summarize_units(table, n_resamples=20)
    for area, (n, first_spike, field, modulation, n_decay, decay) in REAL.items():
        assert get(found, "time_to_first_spike", "n_units", area) == n, area
        assert get(found, "decay_timescale", "n_units", area) == n_decay, area
        means = [round(get(found, measure, "mean", area), 3) for measure in REAL_R]
        assert means == [first_spike, field, modulation, decay], area
    for measure, expected in REAL_R.items():
        known = (get(found, measure, "pearson_r"), get(found, measure, "spearman_r"))
        assert tuple(round(value, 3) for value in known) == expected, measure
    assert get(found, "units", "responsive") == sum(row[0] for row in REAL.values())
    assert get(found, "units", "decay_timescale") == sum(row[4] for row in REAL.values())


def test_summarize_units__says_which_file_brings_a_missing_measure(units):
    few = units.drop(columns=["time_to_first_spike_fl", "timescale_ac", "cortical_layer"])
    found = summarize_units(few, n_resamples=5)
    why = found.reasons[FIGURE_3, "time_to_first_spike"]
    assert "give the authors' time_to_first_spike.csv with --tables" in why
    assert "timescale_metrics.csv" in found.reasons[FIGURE_3, "decay_timescale"]
    assert "layer_info.csv" in found.notes[0]
    assert "not selected by time_to_first_spike_fl" in found.notes[1]
    assert get(found, "rf_area", "n_units") == 1600
    assert found.reasons[UNITS, "decay_timescale"] == (
        "time_to_first_spike_fl is not in the tables here"
    )


def test_summarize_units__takes_log_of_no_zeros(units):
    units.loc[units.index[:5], "mod_idx_dg"] = 0.0
    found = summarize_units(units, n_resamples=5)
    assert get(found, "modulation_index", "n_units") == 1595


def test_summarize_units__counts_units_of_any_quality_and_place(units):
    elsewhere = units.iloc[:30].assign(ecephys_structure_acronym="CA1", quality="good")
    noise = units.iloc[:20].assign(quality="noise")
    more = pd.concat([units.assign(quality="good"), elsewhere, noise], ignore_index=True)
    found = summarize_units(more, n_resamples=5)
    assert [get(found, "units", step) for step in [*siegle2021.STEPS][:4]] == [
        1650, 1630, 1630, 1600,
    ]  # fmt: skip


def test_summarize_units__uses_no_noise(units):
    noise = units.assign(quality="noise", area_rf=10_000.0)
    both = pd.concat([units.assign(quality="good"), noise])
    found = summarize_units(both, n_resamples=5)
    assert get(found, "rf_area", "n_units") == 1600


def test_summarize_units__of_no_units_says_so(units):
    found = summarize_units(units.assign(snr=0.5), n_resamples=5)
    assert found.reasons[FIGURE_3, "rf_area"] == "no unit is left after the selection"


def test_summarize_units__refuses_text(units):
    slow = units.astype({"timescale_ac": object})
    slow.loc[slow.index[3], "timescale_ac"] = "slow"
    with pytest.raises(InvalidArgumentError, match="timescale_ac holds 'slow' for unit 950000003"):
        summarize_units(slow, n_resamples=5)


def test_compare__verdicts(units):
    published = read_published("siegle2021")
    found = Findings()
    found.add(FIGURE_3, "rf_area", "pearson_r", 0.978)
    found.add(FIGURE_3, "rf_area", "spearman_r", -0.6)
    found.add(FIGURE_3, "rf_area", "slope", 3.0)
    found.add("Ext. Data Fig. 9", "firing_rate", "pearson_r", 0.2)
    found.reasons[FIGURE_3, "decay_timescale"] = "because"
    for simulated, expected in (
        (False, ["reproduced", "differs", "", "differs"]),
        (True, ["same sign", "other sign", "", "not comparable"]),
    ):
        table = compare({"units": found}, published, is_simulated=simulated)
        assert len(table) == len(published) + 1
        known = table[table["value"].notna()].set_index(["measure", "quantity"])["verdict"]
        keys = [("rf_area", "pearson_r"), ("rf_area", "spearman_r"), ("rf_area", "slope"),
                ("firing_rate", "pearson_r")]  # fmt: skip
        assert known.loc[keys].tolist() == expected
    missing = table[table["verdict"] == "not computed"]
    is_decay = (missing["measure"] == "decay_timescale") & (missing["figure"] == FIGURE_3)
    why = missing[is_decay]["reason"]
    assert set(why) == {"because"}


def test_compare__says_why_there_is_no_value_and_whether_a_sign_is_sure():
    found = Findings()
    for area in ("LGd", "VISp"):
        found.add(FIGURE_3, "rf_area", "mean", 500.0, area=area)
    found.add(FIGURE_3, "rf_area", "pearson_r", 0.4, ends=(-0.2, 0.7))
    found.add(FIGURE_3, "decay_timescale", "pearson_r", 0.4, ends=(0.2, 0.7))
    table = compare({"units": found}, read_published("siegle2021"), is_simulated=True)
    keys = ["figure", "measure", "quantity", "area"]
    rows = table.set_index(keys)[["verdict", "reason"]].sort_index().T
    of = rows[FIGURE_3]
    assert of["rf_area", "pearson_r", ""].tolist() == ["same sign", "the 95 % interval includes 0"]
    assert of["decay_timescale", "pearson_r", ""].tolist() == ["same sign", ""]
    assert of["rf_area", "mean", "LP"].tolist() == [
        "not computed", "no units in VISl, VISrl, LP, VISal, VISpm, VISam after the selection",
    ]  # fmt: skip
    assert of["rf_area", "spearman_r", ""]["reason"] == "fewer than three areas have a value"


def test_summarize_units__captions_say_how_many_units_and_what_is_simulated(units):
    alone = units["ecephys_structure_acronym"] == "LP"
    units.loc[units.index[alone][1:], "area_rf"] = 5000.0
    units.loc[units.index[alone][:1], "timescale_ac"] = 500.0
    found = summarize_units(units, n_resamples=5)
    caption = found.drawings["figure_3"].caption
    n = units.loc[units["area_rf"] < 2500, "ecephys_structure_acronym"].value_counts()
    assert f"Units: a b c: LGd {n['LGd']}, VISp {n['VISp']}" in caption
    assert "LP 1, VISal" in caption
    assert "; d: LGd" in caption
    assert caption.endswith("An area of one unit has no bar.")
    ninth = "extended_data_figure_9"
    assert "simulated" not in found.drawings[ninth].caption
    simulated = summarize_units(units.assign(session_id=900000001), n_resamples=5)
    assert "Not so in the simulated survey" in simulated.drawings[ninth].caption


def test_studies__name_every_drawing(units):
    part = siegle2021.STUDY.parts[0]
    assert {*summarize_units(units, n_resamples=5).drawings} == {*part.drawings}


def test_published__values_are_complete():
    table = read_published("siegle2021")
    assert set(table["how"]) == {"printed", "read off", "derived"}
    assert not table[KEYS].duplicated().any()
    assert (table["tolerance"] >= 0).all()
    assert (table["source"].str.len() > 10).all()
    assert {*table["figure"]} == {name for part in siegle2021.STUDY.parts for name in part.figures}
    of_pairs = {"connections", "directionality_score", "directionality_median_lag"}
    assert {*table["measure"]} == {"units", *of_pairs, *siegle2021.MEASURES}
    assert len(table[table["quantity"] == "mean"]) == 6 * 8
    # a number that is the same of any data tests nothing
    assert not table["quantity"].isin(["n", "off_diagonal_n"]).any()
    counts = table[table["quantity"] == "n_units"].set_index("measure")["value"]
    assert counts.sum() == table.set_index("quantity").loc["decay_timescale", "value"] == 7837


@pytest.mark.parametrize("measure", siegle2021.MEASURES)
def test_published__means_give_the_published_correlations(measure):
    table = read_published("siegle2021")
    table = table[(table["measure"] == measure) & (table["figure"] != "Ext. Data Fig. 10")]
    means = table[table["quantity"] == "mean"].set_index("area")["value"]
    r = table[table["area"] == ""].set_index("quantity")["value"]
    scores = [HIERARCHY_SCORES[area] for area in means.index]
    np.testing.assert_allclose(stats.pearsonr(scores, means).statistic, r["pearson_r"], atol=0.012)
    np.testing.assert_allclose(
        stats.spearmanr(scores, means).statistic, r["spearman_r"], atol=0.006
    )


def judge(rows, **options):
    """Return the verdicts of rows of measure, quantity, value and area."""
    found = Findings()
    for measure, quantity, value, area in rows:
        figure = "Fig. 2" if measure == "connections" else FIGURE_3
        found.add(figure, measure, quantity, value, area=area)
    table = compare({"units": found}, read_published("siegle2021"), is_simulated=False, **options)
    known = table[table["value"].notna()].set_index(["measure", "quantity", "area"])["verdict"]
    return [known[measure, quantity, area] for measure, quantity, _, area in rows]


def test_compare__p_is_part_of_r():
    p = ("rf_area", "pearson_p", 8.3e-05, "")
    assert judge([("rf_area", "pearson_r", 0.97, ""), p]) == ["reproduced"] * 2
    assert judge([("rf_area", "pearson_r", -0.97, ""), p]) == ["differs"] * 2
    assert judge([("rf_area", "pearson_r", 0.97, ""), (*p[:2], 0.01, "")]) == [
        "reproduced", "differs",
    ]  # fmt: skip


def test_compare__a_file_cannot_test_what_was_derived_from_it():
    rows = [
        ("decay_timescale", "n_units", 574, "LGd"),
        ("decay_timescale", "n_units", 574, "VISp"),
        ("decay_timescale", "pearson_r", 0.86, ""),
    ]
    assert judge(rows) == ["reproduced", "differs", "reproduced"]
    assert judge(rows, files={"timescale_metrics.csv"}) == ["same file", "differs", "reproduced"]
    assert judge(rows, files={"mine.csv"}) == ["reproduced", "differs", "reproduced"]


def test_compare__the_opposite_sign_differs_where_the_sign_is_known():
    rows = [("connections", "score", -0.01, "VISp-VISl"), ("connections", "median_lag", -0.01,
            "VISp-VISam"), ("connections", "score", -0.01, "VISp-VISrl")]  # fmt: skip
    assert judge(rows) == ["differs", "differs", "reproduced"]
