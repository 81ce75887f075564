"""The counts of open sessions, kept in the cache folder, from which some answers are slices."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikehouse.explore._sessions import Sessions
    from spikehouse.explore.pyramid import CountKeeper
    from spikehouse.session import EcephysSession

BYTES_A_SPIKE = 8


class Counts:
    """Builds the counts of a session when the page asks for it."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        # (place, identity) of a file → its counts
        self._keepers: dict[tuple[str, str], CountKeeper] = {}
        self._lock = threading.Lock()

    def describe(self, key: str, session: EcephysSession, *, build: bool) -> dict[str, Any]:
        """Say how far the counts of a session are, and begin to build them if asked to."""
        keeper = self._find(key, session)
        if keeper is None:
            message = "a session without a file has nothing by which its counts could be kept"
            return {"state": "failed", "done": 0, "total": 0, "message": message}
        is_kept = keeper.path.exists()
        if (build or is_kept) and keeper.status()["state"] == "absent":
            builder = threading.Thread(target=self._build, args=(key, keeper), daemon=True)
            builder.start()
            # what was kept is there in a moment, so that the first answer is a slice already
            builder.join(1.0 if is_kept else 0.0)
        status = keeper.status()
        return {**status, "state": "building"} if build and status["state"] == "absent" else status

    def describe_reading(self, key: str, session: EcephysSession) -> dict[str, Any]:
        """Say whether building reads from a server, and about how many bytes."""
        if not self._sessions.is_streamed(key):
            return {"is_streamed": False, "n_bytes": 0}
        seconds = session.stimulus_presentations["stop_time"].max()
        n_spikes = session.units["firing_rate"].sum() * seconds
        # without presentations nobody knows how long the recording is
        return {
            "is_streamed": True,
            "n_bytes": round(n_spikes * BYTES_A_SPIKE) if n_spikes > 0 else None,
        }

    def answer(
        self, key: str, session: EcephysSession, recipe: str, arguments: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Return what a recipe would, if counts that are there tell it."""
        with self._lock:
            keeper = self._keepers.get(self._sessions.identify(key) or ("", ""))
        if keeper is None or keeper.pyramid is None:
            return None
        return keeper.pyramid.answer(recipe, session, dict(arguments))

    def _find(self, key: str, session: EcephysSession) -> CountKeeper | None:
        from spikehouse.explore.pyramid import CountKeeper

        identity = self._sessions.identify(key)
        if identity is None:
            return None
        with self._lock:
            if identity not in self._keepers:
                place, version = identity
                folder = self._sessions.find_folder(key) / "counts"
                self._keepers[identity] = CountKeeper(
                    session, folder, place=place, identity=version
                )
            return self._keepers[identity]

    def _build(self, key: str, keeper: CountKeeper) -> None:
        # the session stays open meanwhile
        with self._sessions.use(key):
            keeper.start()
            keeper.wait()

    def close(self) -> None:
        """Stop building."""
        with self._lock:
            for keeper in self._keepers.values():
                keeper.close()
