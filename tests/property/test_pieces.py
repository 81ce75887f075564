"""The plan of a download against marking bytes one by one."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from spikehouse.transfer.pieces import find_missing, plan_pieces, split_span

SPANS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=12)


def mark(size: int, spans: list[tuple[int, int]]) -> list[int]:
    marks = [0] * size
    for start, stop in spans:
        for place in range(start, min(stop, size)):
            marks[place] += 1
    return marks


@given(size=st.integers(0, 250), present=SPANS)
def test_find_missing__is_the_complement(size: int, present: list[tuple[int, int]]) -> None:
    there = mark(size, present)
    missing = find_missing(size, present)
    assert mark(size, missing) == [int(n == 0) for n in there]
    assert all(start < stop for start, stop in missing)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(missing))


@given(
    size=st.integers(0, 250),
    present=SPANS,
    connections=st.integers(0, 9),
    smallest=st.integers(1, 40),
)
def test_plan_pieces__fetches_every_missing_byte_once_and_no_other(
    size: int, present: list[tuple[int, int]], connections: int, smallest: int
) -> None:
    pieces = plan_pieces(size, present, connections=connections, smallest=smallest)
    assert mark(size, pieces) == [int(n == 0) for n in mark(size, present)]
    assert pieces == sorted(pieces)
    edges = {edge for gap in find_missing(size, present) for edge in gap}
    assert all(edge in edges or edge % smallest == 0 for piece in pieces for edge in piece)


@given(start=st.integers(0, 300), length=st.integers(0, 300), smallest=st.integers(1, 50))
def test_split_span__halves_cover_the_span(start: int, length: int, smallest: int) -> None:
    halves = split_span((start, start + length), smallest=smallest)
    if halves is None:
        assert length < 4 * smallest
        return
    (first, middle), (again, last) = halves
    assert (first, middle, last) == (start, again, start + length)
    assert middle % smallest == 0
    assert min(middle - first, last - middle) >= smallest
