"""Plan the byte ranges to request: pure arithmetic on half-open byte ranges.

All functions take ranges in any order and return them increasing and disjoint.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from spikehouse.transfer.remote_file import Span


@dataclass(frozen=True)
class PlanRules:
    """What a request may look like.

    Attributes
    ----------
    page
        Requests begin and end at multiples of this number of bytes (or at the end of the file).
    free_gap
        Gaps up to this size are always bridged, because another request costs more [bytes].
    largest_gap
        Wider gaps are never bridged [bytes].
    most_waste
        Limit for the sum of bridged gaps wider than ``free_gap``, as a fraction of the missing
        bytes.
    largest_request
        Longer byte ranges are split among connections [bytes].
    smallest_part
        Byte ranges are not split into shorter parts than this [bytes].
    connections
        Number of simultaneous requests.
    """

    page: int = 16 << 10
    free_gap: int = 64 << 10
    largest_gap: int = 1 << 20
    most_waste: float = 0.1
    largest_request: int = 4 << 20
    smallest_part: int = 1 << 20
    connections: int = 6


def unite(spans: Iterable[Span]) -> list[Span]:
    """Merge byte ranges that overlap or touch."""
    united: list[Span] = []
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(stop, united[-1][1]))
        else:
            united.append((start, stop))
    return united


def subtract(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """Remove from byte ranges what other ranges cover."""
    holes = unite(taken)
    left: list[Span] = []
    position = 0
    for start, stop in unite(spans):
        while position < len(holes) and holes[position][1] <= start:
            position += 1
        here = position
        while here < len(holes) and holes[here][0] < stop:
            if start < holes[here][0]:
                left.append((start, holes[here][0]))
            start = holes[here][1]
            here += 1
        if start < stop:
            left.append((start, stop))
    return left


def align(spans: Iterable[Span], *, page: int, size: int) -> list[Span]:
    """Extend byte ranges to whole pages within the file."""
    widened = (
        (max(start, 0) // page * page, min(-(-stop // page) * page, size)) for start, stop in spans
    )
    return unite(widened)


def coalesce(spans: Iterable[Span], *, rules: PlanRules) -> list[Span]:
    """Bridge gaps between byte ranges, the narrowest first, as far as the rules allow."""
    apart = unite(spans)
    gaps = [after[0] - before[1] for before, after in itertools.pairwise(apart)]
    allowance = rules.most_waste * sum(stop - start for start, stop in apart)
    bridged = set()
    for place in sorted(range(len(gaps)), key=gaps.__getitem__):
        gap = gaps[place]
        if gap > rules.free_gap:
            allowance -= gap
            if gap > rules.largest_gap or allowance < 0:
                break
        bridged.add(place)
    return unite([*apart, *((apart[place][1], apart[place + 1][0]) for place in bridged)])


def split(spans: Iterable[Span], *, rules: PlanRules) -> list[Span]:
    """Cut long byte ranges at pages into parts of about equal length."""
    given = list(spans)
    total = sum(stop - start for start, stop in given)
    fair = max(total // rules.connections, rules.smallest_part, rules.page)
    length = max(min(fair, rules.largest_request) // rules.page * rules.page, rules.page)
    parts: list[Span] = []
    for start, stop in given:
        n_parts = -(-(stop - start) // length)
        step = -(-(stop - start) // n_parts)
        step = min(-(-step // rules.page) * rules.page, length)
        parts.extend((first, min(first + step, stop)) for first in range(start, stop, step))
    return parts


def plan_requests(
    asked: Iterable[Span], cached: Iterable[Span], *, size: int, rules: PlanRules
) -> list[Span]:
    """Return the ranges to request: all that is asked and not cached, and bridged gaps."""
    missing = subtract(align(asked, page=rules.page, size=size), cached)
    aligned = align(missing, page=rules.page, size=size)
    return split(coalesce(aligned, rules=rules), rules=rules)
