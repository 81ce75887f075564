"""Arithmetic on half-open byte ranges: what is missing, and which requests to send for it.

A byte range is the first byte and the one behind the last. Ranges are given in any order and
returned increasing and disjoint.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "ByteRange",
    "PlanRules",
    "align",
    "coalesce",
    "count_bytes",
    "halve",
    "plan_download",
    "plan_requests",
    "split",
    "subtract",
    "unite",
]

ByteRange: TypeAlias = tuple[int, int]

# of a download: several ranges per connection, so that a fast one takes more of them, and none so
# long that the digest, which needs the bytes in order, falls behind
RANGES_PER_CONNECTION = 4
LARGEST_DOWNLOAD = 32 << 20


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


def count_bytes(ranges: Iterable[ByteRange]) -> int:
    """Add up the lengths of byte ranges, counting overlaps twice."""
    return sum(stop - start for start, stop in ranges)


def unite(ranges: Iterable[ByteRange]) -> list[ByteRange]:
    """Merge byte ranges that overlap or touch."""
    united: list[ByteRange] = []
    for start, stop in sorted(ranges):
        if start >= stop:
            continue
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(stop, united[-1][1]))
        else:
            united.append((start, stop))
    return united


def subtract(ranges: Iterable[ByteRange], taken: Iterable[ByteRange]) -> list[ByteRange]:
    """Remove from byte ranges what other ranges cover."""
    holes = unite(taken)
    left: list[ByteRange] = []
    position = 0
    for start, stop in unite(ranges):
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


def align(ranges: Iterable[ByteRange], *, page: int, size: int) -> list[ByteRange]:
    """Extend byte ranges to whole pages within the file."""
    widened = (
        (max(start, 0) // page * page, min(-(-stop // page) * page, size)) for start, stop in ranges
    )
    return unite(widened)


def coalesce(ranges: Iterable[ByteRange], *, rules: PlanRules) -> list[ByteRange]:
    """Bridge gaps between byte ranges, the narrowest first, as far as the rules allow."""
    apart = unite(ranges)
    gaps = [after[0] - before[1] for before, after in itertools.pairwise(apart)]
    allowance = rules.most_waste * count_bytes(apart)
    bridged = set()
    for place in sorted(range(len(gaps)), key=gaps.__getitem__):
        gap = gaps[place]
        if gap > rules.free_gap:
            allowance -= gap
            if gap > rules.largest_gap or allowance < 0:
                break
        bridged.add(place)
    return unite([*apart, *((apart[place][1], apart[place + 1][0]) for place in bridged)])


def split(ranges: Iterable[ByteRange], *, rules: PlanRules) -> list[ByteRange]:
    """Cut long byte ranges at pages into parts of about equal length."""
    given = list(ranges)
    fair = max(count_bytes(given) // rules.connections, rules.smallest_part, rules.page)
    length = max(min(fair, rules.largest_request) // rules.page * rules.page, rules.page)
    parts: list[ByteRange] = []
    for start, stop in given:
        n_parts = -(-(stop - start) // length)
        step = -(-(stop - start) // n_parts)
        step = min(-(-step // rules.page) * rules.page, length)
        parts.extend((first, min(first + step, stop)) for first in range(start, stop, step))
    return parts


def plan_requests(
    asked: Iterable[ByteRange], cached: Iterable[ByteRange], *, size: int, rules: PlanRules
) -> list[ByteRange]:
    """Return the ranges to request: all that is asked and not cached, and bridged gaps."""
    missing = subtract(align(asked, page=rules.page, size=size), cached)
    aligned = align(missing, page=rules.page, size=size)
    return split(coalesce(aligned, rules=rules), rules=rules)


def plan_download(
    size: int, present: Iterable[ByteRange], *, connections: int, smallest: int
) -> list[ByteRange]:
    """Cut what is missing of a file into ranges that several connections take in turn."""
    missing = subtract([(0, size)], present)
    wanted = count_bytes(missing) // (max(connections, 1) * RANGES_PER_CONNECTION)
    length = max(min(wanted, LARGEST_DOWNLOAD) // smallest, 1) * smallest
    planned = []
    for start, stop in missing:
        while start < stop:
            # up to the next multiple of `smallest`
            end = min(start // smallest * smallest + length, stop)
            planned.append((start, end))
            start = end
    return planned


def halve(given: ByteRange, *, smallest: int) -> tuple[ByteRange, ByteRange] | None:
    """Cut a byte range in two at a multiple of `smallest`; None where a half would be shorter."""
    start, stop = given
    middle = -(-(start + (stop - start) // 2) // smallest) * smallest
    if middle - start < smallest or stop - middle < smallest:
        return None
    return (start, middle), (middle, stop)
