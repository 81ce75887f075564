"""Plan the byte ranges of a parallel download: pure arithmetic on half-open ranges."""

from __future__ import annotations

from collections.abc import Iterable

from spikehouse.transfer.remote_file import Span

__all__ = ["count_bytes", "find_missing", "plan_pieces", "split_span"]

LARGEST_PIECE = 32 << 20
PIECES_PER_CONNECTION = 4


def count_bytes(spans: Iterable[Span]) -> int:
    """Add up the lengths of byte ranges, counting overlaps twice."""
    return sum(stop - start for start, stop in spans)


def find_missing(size: int, present: Iterable[Span]) -> list[Span]:
    """List the gaps between the byte ranges that are present."""
    missing = []
    front = 0
    for start, stop in sorted(present):
        if start >= stop:
            continue
        if front < min(start, size):
            missing.append((front, min(start, size)))
        front = max(front, stop)
    if front < size:
        missing.append((front, size))
    return missing


def plan_pieces(
    size: int, present: Iterable[Span], *, connections: int, smallest: int
) -> list[Span]:
    """Cut the missing bytes of a file into ranges for several connections to take in turn."""
    # Several ranges per connection, so that a fast one takes more of them; at most 32 MiB (or
    # `smallest`) each and in file order, so that the digest, which needs the bytes in order, stays
    # close behind.
    missing = find_missing(size, present)
    wanted = count_bytes(missing) // (max(connections, 1) * PIECES_PER_CONNECTION)
    length = max(min(wanted, LARGEST_PIECE) // smallest, 1) * smallest
    pieces = []
    for start, stop in missing:
        while start < stop:
            # up to the next multiple: pieces then end where blocks of the part do
            end = min((start // smallest) * smallest + length, stop)
            pieces.append((start, end))
            start = end
    return pieces


def split_span(span: Span, *, smallest: int) -> tuple[Span, Span] | None:
    """Cut a byte range in two at a multiple of `smallest`; None where a half would be shorter."""
    start, stop = span
    middle = -(-(start + (stop - start) // 2) // smallest) * smallest
    if middle - start < smallest or stop - middle < smallest:
        return None
    return (start, middle), (middle, stop)
