"""A file on the stand-in server that serves ranges, and misbehaves on demand."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from spikehouse.transfer.remote_file import RemoteFile

if TYPE_CHECKING:
    from tests.unit.conftest import Handler, StandIn

MiB = 1 << 20
# not a multiple of anything
BODY = random.Random(1).randbytes(9 * MiB + 12345)
Fault = Callable[["Handler", int, int], bool]


class RangedFile:
    """Answers ranges of a body; ``fault`` may answer instead, and says so by returning True."""

    def __init__(self, server: StandIn, *, body: bytes = BODY, path: str = "/file") -> None:
        self.server = server
        self.path = path
        self.body = body
        self.etag: str | None = '"one"'
        self.modified: str | None = None
        self.fault: Fault | None = None
        self.asked: list[tuple[int, int]] = []
        self.if_ranges: list[str | None] = []
        server.routes[path] = self.answer

    def remote(self, **known: object) -> RemoteFile:
        return RemoteFile(self.server.url(self.path), "the file", **known)  # type: ignore[arg-type]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @property
    def n_asked(self) -> int:
        return sum(stop - start for start, stop in self.asked)

    def answer(self, handler: Handler) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
        start, stop = (int(match[1]), int(match[2]) + 1) if match else (0, len(self.body))
        stop = min(stop, len(self.body))
        if_range = handler.headers.get("If-Range")
        with self.server.lock:
            self.asked.append((start, stop))
            self.if_ranges.append(if_range)
        if self.fault is not None and self.fault(handler, start, stop):
            return
        if match is None or if_range not in (None, self.etag, self.modified):
            handler.reply(self.body, **self.headers())
        else:
            self.send(handler, start, stop)

    def break_off(self, n_good: int) -> None:
        """Serve some bytes of the file; every further request meets a server in trouble."""
        left_over = [n_good]

        def fault(handler: Handler, start: int, stop: int) -> bool:
            with self.server.lock:
                n = min(left_over[0], stop - start)
                left_over[0] -= n
            if n == 0:
                handler.reply(b"", status=503)
            else:
                self.send(handler, start, stop, n_sent=n)
                if n < stop - start:
                    handler.hang_up()
            return True

        self.fault = fault

    def send(self, handler: Handler, start: int, stop: int, *, n_sent: int | None = None) -> None:
        """Answer with a range, or only with its first bytes."""
        some = self.body[start:stop]
        handler.reply(
            some if n_sent is None else some[:n_sent],
            status=206,
            length=len(some),
            Content_Range=f"bytes {start}-{stop - 1}/{len(self.body)}",
            **self.headers(),
        )

    def headers(self) -> dict[str, str]:
        given = {"ETag": self.etag, "Last_Modified": self.modified}
        return {name: value for name, value in given.items() if value is not None}
