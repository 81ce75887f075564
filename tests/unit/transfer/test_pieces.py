"""What is missing, and how it is cut."""

from __future__ import annotations

import pytest

from spikehouse.transfer.pieces import count_bytes, find_missing, plan_pieces, split_span


@pytest.mark.parametrize(
    ("size", "present", "missing"),
    [
        (0, [], []),
        (10, [], [(0, 10)]),
        (10, [(0, 10)], []),
        (10, [(4, 6)], [(0, 4), (6, 10)]),
        (10, [(6, 8), (0, 2), (1, 4)], [(4, 6), (8, 10)]),
        (10, [(8, 20)], [(0, 8)]),
        (10, [(5, 5)], [(0, 10)]),
    ],
)
def test_find_missing__lists_the_gaps(size, present, missing):
    assert find_missing(size, present) == missing


def test_plan_pieces__gives_every_connection_several_pieces_on_the_grid():
    pieces = plan_pieces(160, [], connections=4, smallest=10)
    assert pieces == [(start, start + 10) for start in range(0, 160, 10)]


def test_plan_pieces__keeps_pieces_below_32_MiB():
    pieces = plan_pieces(10 << 30, [], connections=4, smallest=1 << 20)
    assert {stop - start for start, stop in pieces} == {32 << 20}


def test_plan_pieces__has_no_pieces_for_a_complete_file():
    assert plan_pieces(100, [(0, 100)], connections=4, smallest=10) == []


def test_split_span__cuts_on_the_grid():
    assert split_span((13, 100), smallest=10) == ((13, 60), (60, 100))


@pytest.mark.parametrize("span", [(0, 10), (0, 19), (5, 20), (9, 20)])
def test_split_span__leaves_short_ones_alone(span):
    assert split_span(span, smallest=10) is None


def test_count_bytes__adds_up():
    assert count_bytes([(0, 3), (10, 11)]) == 4
