"""Which byte ranges to ask a server for: pure arithmetic on half-open spans."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from spikehouse.remote.protocol import Span


@dataclass(frozen=True)
class PlanRules:
    """What a request may look like.

    Attributes
    ----------
    page
        Requests begin and end at multiples of this many bytes (and at the end of the file).
    free_gap
        Spans this close are always asked for in one request: a request costs more than these
        bytes.
    largest_gap
        Wider gaps are never bridged.
    most_waste
        What bridged gaps wider than ``free_gap`` may add up to, as a share of the bytes missing.
    largest_request
        Longer spans are split, so that connections share them.
    smallest_part
        Nothing is split into parts shorter than this.
    connections
        How many requests may be under way at once.
    """

    page: int = 16 << 10
    free_gap: int = 64 << 10
    largest_gap: int = 1 << 20
    most_waste: float = 0.1
    largest_request: int = 4 << 20
    smallest_part: int = 1 << 20
    connections: int = 6


def unite(spans: Iterable[Span]) -> list[Span]:
    """Merge spans that overlap or touch.

    Parameters
    ----------
    spans
        In any order; empty ones are dropped.

    Returns
    -------
    list of Span
        Increasing, with bytes in between that no span has.
    """
    united: list[Span] = []
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(stop, united[-1][1]))
        else:
            united.append((start, stop))
    return united


def subtract(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """Leave out of spans what others cover.

    Parameters
    ----------
    spans, taken
        In any order.

    Returns
    -------
    list of Span
        Increasing, disjoint.
    """
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
    """Widen spans to whole pages, within the file.

    Parameters
    ----------
    spans
        In any order; what lies beyond the file is cut off.
    page
        Bytes.
    size
        Length of the file.

    Returns
    -------
    list of Span
        Increasing, disjoint.
    """
    widened = (
        (max(start, 0) // page * page, min(-(-stop // page) * page, size)) for start, stop in spans
    )
    return unite(widened)


def coalesce(spans: Iterable[Span], *, rules: PlanRules) -> list[Span]:
    """Bridge gaps, the narrowest first, as far as the rules allow.

    Parameters
    ----------
    spans
        In any order.
    rules
        How wide a gap may be, and all of them together.

    Returns
    -------
    list of Span
        Increasing, disjoint; they cover the given ones.
    """
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
    """Cut long spans into parts of about equal length, for several connections.

    Parameters
    ----------
    spans
        Disjoint.
    rules
        How long a part may and should be.

    Returns
    -------
    list of Span
        The same bytes; every part but the last of a span ends at a page.
    """
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
    """Decide which ranges to ask the server for.

    Parameters
    ----------
    asked
        What is wanted, in any order, overlapping or not.
    cached
        What is there, or on its way.
    size
        Length of the file.
    rules
        What a request may look like.

    Returns
    -------
    list of Span
        Increasing, disjoint, within the file: everything wanted and not there, and the bridged
        gaps in between.
    """
    missing = subtract(align(asked, page=rules.page, size=size), cached)
    aligned = align(missing, page=rules.page, size=size)
    return split(coalesce(aligned, rules=rules), rules=rules)
