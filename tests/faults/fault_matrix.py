"""Every fault that is tried, and what must come of it: the tests and the page read this alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, TypeAlias

from file_server import RIGHT, Behaviour
from spikehouse.errors import ChecksumError, InvalidFileError, SourceError, TransferError

Column: TypeAlias = Literal["warehouse", "s3", "dandi", "warehouse table", "s3 table", "streaming"]
FILES: tuple[Column, ...] = ("warehouse", "s3", "dandi")
TABLES: tuple[Column, ...] = ("warehouse table", "s3 table")
COLUMNS: tuple[Column, ...] = (*FILES, *TABLES, "streaming")

HTML = b"<html><body>Please log in to the wireless network.</body></html>"
N_TIMES = 2
"""How often what passes goes wrong before it does."""


@dataclass(frozen=True)
class Completes:
    """Everything arrives, and is right."""

    said: str = "complete"


@dataclass(frozen=True)
class Fails:
    """Nothing gets the name of what was wanted, and an error says why.

    Attributes
    ----------
    error
        Its class.
    message
        What its message must match.
    said
        The same for the page.
    """

    error: type[Exception] | tuple[type[Exception], ...]
    message: str
    said: str


Outcome: TypeAlias = Completes | Fails
COMPLETE = Completes()


@dataclass(frozen=True)
class Fault:
    """One row of the matrix.

    Attributes
    ----------
    name
        What to call it.
    does
        What the server does, for the page.
    behaviour
        The same for the server; None where it is not the server's answer that is wrong.
    after, times
        How many requests are answered rightly before, and how many go wrong; None is for ever.
    files, tables, streaming
        What must come of it; None where it cannot happen.
    besides
        What is otherwise in single columns.
    before
        How the right answers before are given.
    how
        "refused" and "tls" are no answers: nobody listens, or nobody speaks TLS.
    """

    name: str
    does: str
    behaviour: Behaviour | None
    files: Outcome
    tables: Outcome | None
    streaming: Outcome | None
    after: int = 0
    times: int | None = None
    besides: Mapping[Column, Outcome | None] = field(default_factory=lambda: MappingProxyType({}))
    before: Behaviour = RIGHT
    how: Literal["answer", "refused", "tls"] = "answer"

    def outcome(self, column: Column) -> Outcome | None:
        if column in self.besides:
            return self.besides[column]
        if column in FILES:
            return self.files
        return self.streaming if column == "streaming" else self.tables


def fails(message: str, said: str) -> Fails:
    return Fails((SourceError, TransferError), message, said)


AGAIN = Completes(f"complete after {N_TIMES} faults")
GOES_ON = Completes("complete: every try goes on where the last one ended")


def _passes(
    name: str, does: str, behaviour: Behaviour, always: Fails, **kept: Outcome
) -> list[Fault]:
    """Make two rows: it passes after some times, or it never does."""
    return [
        Fault(f"{name}, {N_TIMES} times", does, behaviour, AGAIN, AGAIN, AGAIN, times=N_TIMES),
        Fault(
            f"{name}, always",
            does,
            behaviour,
            kept.get("files", always),
            kept.get("tables", always),
            kept.get("streaming", always),
        ),
    ]


def _statuses() -> Iterator[Fault]:
    for status in (500, 502, 503):
        always = fails(f"status {status}", f"error: status {status}")
        yield from _passes(
            str(status), "answers with this status", Behaviour(status=status), always
        )
    for status in (429, 503):
        behaviour = Behaviour(status=status, retry_after="1")
        yield from _passes(
            f"{status} with Retry-After",
            "asks to come back in 1 s (the tests wait 0.05 s at most)",
            behaviour,
            fails(f"status {status}", f"error: status {status}"),
        )
    for status in (403, 404):
        always = fails(f"status {status}|is not there", f"error at once: status {status}")
        yield Fault(
            f"{status}",
            "answers with this status",
            Behaviour(status=status),
            always,
            always,
            always,
        )


def _broken_bodies() -> Iterator[Fault]:
    for name, does, behaviour in (
        ("reset", "resets the connection at a random byte", Behaviour(stop="reset")),
        (
            "cut",
            "announces the right length, sends a random part, closes",
            Behaviour(stop="close"),
        ),
        ("stall", "sends nearly all, then nothing", Behaviour(stop="stall", stop_at=0.99)),
    ):
        always = fails("broke off|stalled", "error: broke off")
        yield from _passes(name, does, behaviour, always, files=GOES_ON)


def _slow() -> Iterator[Fault]:
    yield from _passes(
        "silence",
        "takes the request and never answers",
        Behaviour(delay_s=1.2),
        fails("cannot be reached|stalled|time", "error: no answer"),
    )
    yield Fault(
        "slow first byte",
        "answers late, but within the limit",
        Behaviour(delay_s=0.15),
        COMPLETE,
        COMPLETE,
        COMPLETE,
    )
    yield Fault(
        "slow all the way",
        "pauses again and again: longer in all than the limit for one silence",
        Behaviour(pause_s=0.025),
        COMPLETE,
        COMPLETE,
        COMPLETE,
    )


def _lengths() -> Iterator[Fault]:
    disagree = fails("announces the bytes|broke off|promised", "error: length and bytes disagree")
    yield Fault(
        "Content-Length too long",
        "announces 1000 bytes more than there are",
        Behaviour(longer=1000),
        disagree,
        disagree,
        disagree,
    )
    yield Fault(
        "Content-Length too short",
        "announces 7 bytes less than there are",
        Behaviour(longer=-7),
        disagree,
        None,
        disagree,
    )
    cut = Fails(
        (InvalidFileError, SourceError, TransferError), "cut short|bytes", "error: cut short"
    )
    yield Fault(
        "file cut short there",
        "has lost the last 1000 bytes, and every length says so",
        Behaviour(says_less=1000),
        cut,
        None,
        None,
    )


def _endless() -> Iterator[Fault]:
    much = fails("sends more than|say how long|serves no ranges", "error: more than there may be")
    for name, does, behaviour in (
        ("chunked without end", "sends chunks for ever", Behaviour(framing="chunks", surplus=None)),
        (
            "no length, no end",
            "announces no length and sends for ever",
            Behaviour(framing="close", surplus=None),
        ),
    ):
        yield Fault(
            name,
            does,
            replace(behaviour, ranges="no"),
            much,
            much,
            much,
            besides=MappingProxyType({"dandi": Completes("complete: the listing has its length")}),
        )
    yield Fault(
        "206 longer than asked",
        "sends 1000 bytes more than the range that it announces",
        Behaviour(framing="chunks", surplus=1000),
        Completes("complete: what lies behind the range is not read"),
        None,
        fails("sends more than", "error: more than was asked for"),
    )
    late = fails("timed out|stalled", "error: no answer in time")
    yield Fault(
        "trickling headers",
        "sends one header after the other, for ever",
        Behaviour(trickles=True),
        late,
        late,
        late,
    )
    odd = fails("contradict", "error: lengths contradict each other")
    for name, does, behaviour, outcome in (
        ("nonsense as Content-Length", '"many"', Behaviour(length="many"), COMPLETE),
        ("two Content-Lengths", '"5, 6"', Behaviour(length="5, 6"), odd),
        ("Content-Length and chunks", "both", Behaviour(framing="both", longer=-7), COMPLETE),
    ):
        yield Fault(name, f"announces {does}", behaviour, outcome, outcome, outcome)


def _altered() -> Iterator[Fault]:
    forged = Fails(ChecksumError, "sha256", "error: not the published digest")
    yield Fault(
        "a byte altered",
        "alters one byte of every answer, lengths unchanged",
        Behaviour(flips_a_byte=True),
        forged,
        None,
        None,
        besides=MappingProxyType({"warehouse": None, "s3": None}),
    )


def _ranges() -> Iterator[Fault]:
    needs = fails("range", "error: cannot be streamed, fetch it")
    yield Fault(
        "no ranges",
        "sends the whole file, whatever is asked",
        Behaviour(ranges="no"),
        Completes("complete, in one stream"),
        None,
        needs,
    )
    yield Fault(
        "ranges ignored",
        "says it serves ranges, does so once, then sends the whole file (200 for 206)",
        Behaviour(ranges="ignored"),
        Completes("complete, in one stream"),
        None,
        needs,
        after=1,
    )
    yield Fault(
        "416",
        "refuses every range with this status, after the first",
        Behaviour(refuses_range=True),
        Completes("complete, in one stream"),
        None,
        fails("416|has no bytes", "error: status 416"),
        after=1,
    )


def _versions() -> Iterator[Fault]:
    changed = fails("chang", "error: it has changed")
    forged = Fails(
        (ChecksumError, TransferError), "sha256|changed", "error: not the published digest"
    )
    yield Fault(
        "changed midway",
        "has another file of the same length, with another ETag, from the fourth request on",
        Behaviour(version=1),
        Completes("complete: the new file, begun anew"),
        None,
        changed,
        after=3,
        besides=MappingProxyType({"dandi": forged}),
    )
    for name, does, validators in (
        ("weak ETag", "told by its weak ETag alone", "weak"),
        ("date", "told by its date alone", "date"),
    ):
        new = Completes("complete: the new file, begun anew")
        yield Fault(
            f"{name} changes midway",
            f"has another file of the same length, {does}, from the fourth request on",
            Behaviour(version=1, validators=validators),
            new,
            None,
            changed,
            after=3,
            before=Behaviour(validators=validators),
            besides=MappingProxyType({"dandi": forged}),
        )
    yield Fault(
        "changes all the time",
        "has another file with another ETag at every request",
        Behaviour(version=-1),
        Completes("complete: one version, never a mixture"),
        None,
        changed,
        besides=MappingProxyType({"dandi": forged}),
    )
    yield Fault(
        "no ETag",
        "does not name the version of the file",
        Behaviour(validators="none"),
        COMPLETE,
        None,
        COMPLETE,
    )
    broken = fails("broke off", "error: broke off, begun anew at every try")
    yield Fault(
        "no ETag, cut always",
        "does not name the version, and every answer ends too soon",
        Behaviour(validators="none", stop="close", stop_at=0.5),
        broken,
        None,
        fails("broke off", "error: broke off"),
        besides=MappingProxyType({"dandi": Completes("complete: the digest vouches for it")}),
    )


def _strange_answers() -> Iterator[Fault]:
    gzipped = fails("gzip", "error: encoded unasked")
    yield Fault(
        "gzip",
        "compresses what it sends unasked",
        Behaviour(is_gzipped=True),
        gzipped,
        gzipped,
        gzipped,
    )
    yield Fault(
        "HTML page, once",
        "answers with a page and status 200 the first time",
        Behaviour(page=(HTML, "text/html")),
        COMPLETE,
        COMPLETE,
        COMPLETE,
        times=1,
    )
    page = fails("page|HTML", "error: a page, not the file")
    yield Fault(
        "HTML page",
        "answers with a page and status 200",
        Behaviour(page=(HTML, "text/html")),
        page,
        page,
        page,
    )
    short = fails("should have|HTML page", "error: not the published length")
    disguised = fails("HTML page|serves no ranges", "error: a page, not the file")
    yield Fault(
        "HTML page in disguise",
        "the same, called application/octet-stream",
        Behaviour(page=(HTML, "application/octet-stream")),
        disguised,
        disguised,
        disguised,
        besides=MappingProxyType({"dandi": short}),
    )
    loop = fails("redirect", "error: redirect loop")
    yield Fault(
        "redirect loop", "redirects to itself", Behaviour(redirect="{path}"), loop, loop, loop
    )
    away = fails("another host|redirects", "error: not followed")
    odd = fails("not an address|names a user", "error: not followed")
    for name, does, location in (
        ("backslash", "whose Location reads as two hosts", "http://localhost:9/\\@127.0.0.1/"),
        ("user", "whose Location names a user", "http://127.0.0.1@localhost:9/"),
        ("blank", "whose Location holds a blank", "{path}?a b"),
    ):
        yield Fault(
            f"redirect with a {name}",
            f"redirects to an address {does}",
            Behaviour(redirect=location),
            odd,
            odd,
            odd,
        )
    yield Fault(
        "redirect to another host",
        "redirects to a host the source does not declare",
        Behaviour(redirect="http://localhost:9/elsewhere"),
        away,
        away,
        away,
    )


def _no_connection() -> Iterator[Fault]:
    gone = fails("cannot be reached", "error: cannot be reached")
    yield Fault(
        "connection refused, then not",
        "begins to listen when the first try has failed",
        None,
        COMPLETE,
        COMPLETE,
        None,
        how="refused",
        times=1,
    )
    yield Fault("connection refused", "nobody listens", None, gone, gone, gone, how="refused")
    yield Fault(
        "TLS error",
        "does not speak TLS where https is asked for",
        None,
        gone,
        gone,
        gone,
        how="tls",
    )


FAULTS: tuple[Fault, ...] = (
    *_no_connection(),
    *_broken_bodies(),
    *_slow(),
    *_statuses(),
    *_lengths(),
    *_endless(),
    *_altered(),
    *_ranges(),
    *_versions(),
    *_strange_answers(),
)


def tabulate() -> str:
    """Write the matrix as a table in Markdown."""
    head = ["fault", "what the server does", *COLUMNS]
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for fault in FAULTS:
        outcomes = [fault.outcome(column) for column in COLUMNS]
        said = ["–" if outcome is None else outcome.said for outcome in outcomes]
        lines.append(" | ".join([fault.name, fault.does, *said]))
    return "\n".join(f"| {line} |" for line in lines)
