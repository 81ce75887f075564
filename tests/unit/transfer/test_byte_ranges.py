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
    count_bytes,
    halve,
    plan_download,
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


@given(
    size=st.integers(0, SIZE),
    present=SPANS,
    connections=st.integers(0, 9),
    smallest=st.integers(1, 40),
)
def test_plan_download__every_missing_byte_once_cut_on_the_grid(
    size, present, connections, smallest
):
    plan = plan_download(size, present, connections=connections, smallest=smallest)
    assert cover(plan) == set(range(size)) - cover(present)
    assert count_bytes(plan) == len(cover(plan))
    assert plan == sorted(plan)
    edges = {edge for gap in subtract([(0, size)], present) for edge in gap}
    assert all(edge in edges or edge % smallest == 0 for found in plan for edge in found)


def test_plan_download__gives_every_connection_several_ranges():
    plan = plan_download(160, [], connections=4, smallest=10)
    assert plan == [(start, start + 10) for start in range(0, 160, 10)]


def test_plan_download__keeps_ranges_below_32_MiB():
    plan = plan_download(10 << 30, [], connections=4, smallest=1 << 20)
    assert {stop - start for start, stop in plan} == {32 << 20}


@given(start=st.integers(0, 300), length=st.integers(0, 300), smallest=st.integers(1, 50))
def test_halve__halves_cover_the_range(start, length, smallest):
    halves = halve((start, start + length), smallest=smallest)
    if halves is None:
        assert length < 4 * smallest
        return
    (first, middle), (again, last) = halves
    assert (first, middle, last) == (start, again, start + length)
    assert middle % smallest == 0
    assert min(middle - first, last - middle) >= smallest


@pytest.mark.parametrize("given_range", [(0, 10), (0, 19), (5, 20), (9, 20)])
def test_halve__leaves_short_ones_alone(given_range):
    assert halve(given_range, smallest=10) is None
