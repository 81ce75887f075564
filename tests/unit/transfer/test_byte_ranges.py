"""The plan of requests: covers what is wanted, never twice, within the rules."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikehouse.transfer.byte_ranges import (
    PlanRules,
    align,
    coalesce,
    plan_requests,
    subtract,
    unite,
)

SIZE = 1000
SPANS = st.lists(
    st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(lambda pair: tuple(sorted(pair))),
    max_size=12,
)
RULES = st.builds(
    PlanRules,
    page=st.sampled_from([1, 4, 16]),
    free_gap=st.integers(0, 60),
    largest_gap=st.integers(0, 300),
    most_waste=st.floats(0, 1),
    largest_request=st.integers(1, 400),
    smallest_part=st.integers(1, 100),
    connections=st.integers(1, 8),
)


def cover(spans):
    return {byte for start, stop in spans for byte in range(start, stop)}


@given(SPANS)
def test_unite__same_bytes_apart(spans):
    united = unite(spans)
    assert cover(united) == cover(spans)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(united))


@given(SPANS, SPANS)
def test_subtract__bytes_of_one_and_not_the_other(spans, taken):
    left = subtract(spans, taken)
    assert cover(left) == cover(spans) - cover(taken)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(left))


@given(SPANS, SPANS, RULES)
def test_plan_requests__covers_what_is_missing_once(asked, cached, rules):
    plan = plan_requests(asked, cached, size=SIZE, rules=rules)
    assert cover(asked) - cover(cached) <= cover(plan) <= set(range(SIZE))
    assert sum(stop - start for start, stop in plan) == len(cover(plan))
    for start, stop in plan:
        assert start % rules.page == 0
        assert stop % rules.page == 0 or stop == SIZE
        assert 0 < stop - start <= max(rules.largest_request, rules.page)


@given(SPANS, RULES)
def test_coalesce__bridges_no_more_than_the_rules_allow(spans, rules):
    apart, together = unite(spans), coalesce(spans, rules=rules)
    wanted = cover(apart)
    assert wanted <= cover(together)
    gaps = [b[0] - a[1] for a, b in itertools.pairwise(apart)]
    left = [b[0] - a[1] for a, b in itertools.pairwise(together)]
    assert all(gap > rules.free_gap for gap in left)
    bridged = sorted(gaps)
    for gap in left:
        bridged.remove(gap)
    wide = [gap for gap in bridged if gap > rules.free_gap]
    assert sum(wide) <= rules.most_waste * len(wanted)
    assert all(gap <= rules.largest_gap for gap in wide)


def test_plan_requests__nothing_missing__asks_nothing():
    assert plan_requests([(3, 9)], [(0, 16)], size=SIZE, rules=PlanRules(page=16)) == []


def test_plan_requests__one_long_range__shared_by_the_connections():
    rules = PlanRules(page=10, largest_request=1000, smallest_part=10, connections=4)
    plan = plan_requests([(0, 400)], [], size=SIZE, rules=rules)
    assert plan == [(0, 100), (100, 200), (200, 300), (300, 400)]


@pytest.mark.parametrize("span", [(990, 2000), (-5, 10)])
def test_align__stays_within_the_file(span):
    assert align([span], page=16, size=SIZE) in ([(976, 1000)], [(0, 16)])
