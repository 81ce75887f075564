"""Which bytes of a file are still to be fetched, and in which pieces: arithmetic, nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from spikehouse.remote.protocol import Span

__all__ = ["count_bytes", "find_missing", "plan_pieces", "split_span"]

LARGEST_PIECE = 32 << 20
PIECES_PER_CONNECTION = 4


def count_bytes(spans: Iterable[Span]) -> int:
    """Add up the lengths of spans.

    Parameters
    ----------
    spans
        Half-open byte ranges.

    Returns
    -------
    int
        How many bytes they cover, overlaps counted twice.
    """
    return sum(stop - start for start, stop in spans)


def find_missing(size: int, present: Iterable[Span]) -> list[Span]:
    """List the gaps between the bytes that are there.

    Parameters
    ----------
    size
        The length of the file [bytes].
    present
        The byte ranges that are there, in any order; they may overlap or reach past the end.

    Returns
    -------
    list of tuple
        Half-open ranges in the order of the file; none is empty, none touches the next.
    """
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
    """Cut what is missing of a file into pieces for several connections to take in turn.

    Parameters
    ----------
    size
        The length of the file [bytes].
    present
        The byte ranges that are there.
    connections
        How many will share the work.
    smallest
        The grid pieces are cut on [bytes]; none is shorter but at the ends of a gap.

    Returns
    -------
    list of tuple
        Half-open ranges in the order of the file: every missing byte once, none that is there.

    Notes
    -----
    Several pieces a connection, so that a fast one takes more of them; at most 32 MiB (or
    ``smallest``), so that the digest, which needs the bytes in order, stays close behind. Taken
    in the order of the file.
    """
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
    """Cut a span in two, for a second connection to take the further half.

    Parameters
    ----------
    span
        What the first connection still has to fetch.
    smallest
        The grid to cut on [bytes].

    Returns
    -------
    tuple of tuple or None
        The two halves; None where it is not worth cutting, that is where one would be shorter
        than ``smallest``.
    """
    start, stop = span
    middle = -(-(start + (stop - start) // 2) // smallest) * smallest
    if middle - start < smallest or stop - middle < smallest:
        return None
    return (start, middle), (middle, stop)
