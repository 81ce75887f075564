"""The counts of open sessions, kept in the cache folder, from which some answers are slices."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from spikehouse.errors import SourceError
from spikehouse.transfer.disk import OWN_FOLDER

if TYPE_CHECKING:
    from spikehouse.explore._sessions import Sessions
    from spikehouse.explore.pyramid import CountKeeper
    from spikehouse.session import EcephysSession

BYTES_A_SPIKE = 8
CLOSING_S = 2.0
# the recipes of which answers are slices
SLICED = ("population_counts", "area_rates")


class Counts:
    """Builds the counts of a session when the page asks for it."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        # (place, identity) of a file → its counts
        self._keepers: dict[tuple[str, str], CountKeeper] = {}
        self._lock = threading.Lock()
        self._is_closing = False

    def describe(self, key: str, session: EcephysSession, *, build: bool) -> dict[str, Any]:
        """Say how far the counts of a session are, and begin to build them if asked to."""
        keeper = self._find(key, session)
        if keeper is None:
            message = (
                "counts are kept of an NWB file, or of one whose server tells its version (ETag or "
                "Last-Modified)"
            )
            return {"state": "failed", "done": 0, "total": 0, "message": message}
        # what is kept in the folder needs no building
        if build and keeper.status()["state"] != "ready":
            keeper.start()
        return keeper.status()

    def describe_reading(self, key: str, session: EcephysSession) -> dict[str, Any]:
        """Say whether building reads from a server, and about how many bytes."""
        if not self._sessions.is_streamed(key):
            return {"is_streamed": False, "n_bytes": 0}
        seconds = session.stimulus_presentations["stop_time"].max()
        units = session.units
        rate = units["firing_rate"].sum() if "firing_rate" in units else math.nan
        n_bytes = rate * seconds * BYTES_A_SPIKE
        # without rates, or presentations that end, nobody knows how many spikes there are
        is_known = math.isfinite(n_bytes) and n_bytes > 0
        return {"is_streamed": True, "n_bytes": round(n_bytes) if is_known else None}

    def answer(
        self, key: str, session: EcephysSession, recipe: str, arguments: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Return what a recipe would, if counts that are there tell it."""
        if recipe not in SLICED:
            return None
        identity = self._identify(key, session)
        with self._lock:
            keeper = self._keepers.get(identity or ("", ""))
        if keeper is None or keeper.pyramid is None:
            return None
        return keeper.pyramid.answer(recipe, session, dict(arguments))

    def _identify(self, key: str, session: EcephysSession) -> tuple[str, str] | None:
        if self._sessions.identify(key) is None:
            return None
        # read first: the version of a file on a server is settled when something was read of it
        units = ",".join(map(str, session.units.index))
        found = self._sessions.identify(key)
        return found and (found[0], f"{found[1]} {units}")

    def _find(self, key: str, session: EcephysSession) -> CountKeeper | None:
        from spikehouse.explore.pyramid import CountKeeper

        identity = self._identify(key, session)
        if identity is None:
            return None
        folder = self._sessions.find_folder(key)
        with self._lock:
            if identity not in self._keepers and not self._is_closing:
                place, version = identity
                self._keepers[identity] = CountKeeper(
                    partial(self._use, key, identity),
                    folder / "counts",
                    place=place,
                    identity=version,
                    # beside the files of a cache as readable as these, else for the user alone
                    mode=0o777 if folder.name == OWN_FOLDER else 0o700,
                )
            return self._keepers.get(identity)

    @contextlib.contextmanager
    def _use(self, key: str, identity: tuple[str, str]) -> Iterator[EcephysSession]:
        """Yield a session, which may be opened again for it, if its file is still the same."""
        with self._sessions.use(key) as session:
            if self._identify(key, session) != identity:
                raise SourceError("the file has changed meanwhile: load the page again")
            yield session

    def close(self) -> None:
        """Stop building."""
        with self._lock:
            self._is_closing = True
            keepers = list(self._keepers.values())
        for keeper in keepers:
            keeper.stop()
        # not for a server that does not answer
        until = time.monotonic() + CLOSING_S
        for keeper in keepers:
            keeper.wait(max(until - time.monotonic(), 0.0))
