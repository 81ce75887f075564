"""The sessions that can be asked for: which there are, how each is opened, which are open."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikehouse.errors import (
    NotFoundError,
    SessionNotFoundError,
    describe_choices,
    describe_value,
    printable,
)

if TYPE_CHECKING:
    from spikehouse.cache import EcephysProjectCache
    from spikehouse.session import EcephysSession

# of those opened here; one that is used longest ago is closed and opened again when it is needed
MOST_OPEN = 8
# at the end of a key: the same session with all of its units
ALL = "-all"
NO_FILTERS: dict[str, Any] = {
    "filter_by_validity": False,
    "filter_out_of_brain_units": False,
    "amplitude_cutoff_maximum": None,
    "presence_ratio_minimum": None,
    "isi_violations_maximum": None,
}
UNNAMED = "# {0} was given in Python and has no address: bind it to the name `{0}` here"


@dataclass
class _Entry:
    key: str
    title: str
    # as code that binds `session`
    write: Callable[[], str]
    # None for a session that was given: it is not ours to close, nor can we open it again
    open: Callable[[], EcephysSession] | None
    # plans the same session under another key, with other filters of units; None as above
    plan: Callable[[str, dict[str, Any]], _Entry] | None = None
    session: EcephysSession | None = None
    # the file that was opened, unless it is on a server
    path: Path | None = None
    stamp: tuple[int, ...] = ()
    n_users: int = 0
    used: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def renew(self) -> EcephysSession:
        """Return the session, opened again if its file is another one now."""
        if self.session is not None and self.path is not None:
            try:
                is_same = _stamp(self.path) == self.stamp
            except OSError as error:
                self.close()
                raise _say_gone(self.path, error) from None
            if not is_same:
                self.close()
        if self.session is None:
            assert self.open is not None
            try:
                self.attach(self.open())
            except FileNotFoundError as error:
                raise _say_gone(error.filename or self.title, error) from None
        assert self.session is not None
        return self.session

    def attach(self, session: EcephysSession) -> None:
        """Take an open session, and note which file it reads."""
        self.session, self.path = session, None
        address = getattr(session.api, "path", None)
        if isinstance(address, str | Path) and "://" not in str(address):
            with contextlib.suppress(OSError):
                self.stamp = _stamp(Path(address))
                self.path = Path(address)

    def close(self) -> None:
        """Close the session, if it was opened here."""
        if self.open is not None and self.session is not None:
            self.session.close()
            self.session = None


def _say_gone(path: str | Path, error: OSError) -> FileNotFoundError:
    return FileNotFoundError(
        f"{printable(path)} is not there any more ({error.strerror or error}): put it back and "
        "ask again"
    )


def _stamp(path: Path) -> tuple[int, ...]:
    found = os.stat(path)  # noqa: PTH116 - a test of files replaces it
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class Sessions:
    """The sessions of a cache, and those that were given by path or as objects."""

    def __init__(
        self, open_cache: Callable[[], EcephysProjectCache] | None = None, *, stream: bool = False
    ) -> None:
        self.has_cache = open_cache is not None
        self.stream = stream
        self._open_cache = open_cache
        self._cache: EcephysProjectCache | None = None
        self._entries: dict[str, _Entry] = {}
        # held for a moment only; what can take long has a lock of its own
        self._lock = threading.Lock()
        self._cache_lock = threading.Lock()
        self._clock = itertools.count(1)

    @property
    def cache(self) -> EcephysProjectCache:
        """The project cache, opened when it is first needed."""
        if self._open_cache is None:
            raise NotFoundError("there is no survey here: only files were opened")
        with self._cache_lock:
            if self._cache is None:
                self._cache = self._open_cache()
            return self._cache

    def write_cache(self) -> str:
        """Write the code that binds `cache`."""
        return write_cache(self.cache)

    # ---- what there is

    def add(self, given: EcephysSession | str | Path | int) -> str:
        """Add a session, its file or its id in the cache, and return its key."""
        if isinstance(given, str | Path):
            entry = self._plan_path(str(given), self._next_key(), {})
        elif not isinstance(given, int):
            entry = self._plan_given(given)
        elif self.has_cache:
            entry = self._plan(given, str(given), {})
        else:
            raise NotFoundError(f"session {given} needs a cache: only a file was given")
        with self._lock:
            return self._entries.setdefault(entry.key, entry).key

    def _plan_path(self, path: str, key: str, filters: dict[str, Any]) -> _Entry:

        def open_file() -> EcephysSession:
            from spikehouse.session import EcephysSession

            return EcephysSession.from_nwb_path(path, api_kwargs=filters)

        return _Entry(
            key,
            name_file(path),
            lambda: _write_file(path, filters),
            open_file,
            partial(self._plan_path, path),
        )

    def _plan_given(self, session: EcephysSession) -> _Entry:
        key = self._next_key()
        path = getattr(session.api, "path", None)
        title = key.replace("file-", "Unnamed session ") if path is None else name_file(path)
        origin = find_origin(session)
        if origin is not None and self.has_cache and origin[0] is self.cache:
            key = title = str(origin[1])
        entry = _Entry(key, title, lambda: write_session(session), None)
        entry.attach(session)
        return entry

    def list_known(self) -> list[dict[str, Any]]:
        """List the sessions that were given or opened."""
        with self._lock:
            return [
                {"key": entry.key, "title": entry.title, "open": entry.session is not None}
                for entry in self._entries.values()
            ]

    def _next_key(self) -> str:
        return f"file-{sum(key.startswith('file-') for key in self._entries) + 1}"

    def _plan(self, session_id: int, key: str, filters: dict[str, Any]) -> _Entry:
        options = {**filters, **({"stream": True} if self.stream else {})}
        given = "".join(f", {name}={value!r}" for name, value in options.items())
        return _Entry(
            key,
            key,
            lambda: f"{self.write_cache()}\nsession = cache.get_session_data({session_id}{given})",
            lambda: self._open(session_id, filters),
            partial(self._plan, session_id),
        )

    def _open(self, session_id: int, filters: dict[str, Any]) -> EcephysSession:
        # never download 2 GB unasked
        if not self.stream and not self.cache.is_cached(session_id):
            item = self.cache.plan([session_id], tables=False).items[0]
            if not item.url.startswith("file:"):
                raise NotFoundError(
                    f"session {session_id} is not in {self.cache.manifest_path.parent}: download "
                    f"it (spikehouse fetch {session_id}), or start spikehouse explore with "
                    "--stream to read it from the server"
                )
        # a cached file, or one of a source on this machine, is read where it is
        return self.cache.get_session_data(session_id, stream=True, **filters)

    # ---- open ones

    @contextlib.contextmanager
    def use(self, key: str) -> Iterator[EcephysSession]:
        """Yield a session, which stays open at least as long."""
        entry = self._find(key)
        with entry.lock:
            session = entry.renew()
            entry.n_users += 1
            entry.used = next(self._clock)
        with self._lock:
            self._entries.setdefault(key, entry)
        try:
            yield session
        finally:
            with entry.lock:
                entry.n_users -= 1
            self._close_idle()

    def is_streamed(self, key: str) -> bool:
        """Return whether a session is read from a server."""
        session = getattr(self._entries.get(key), "session", None)
        return "://" in str(getattr(session and session.api, "path", ""))

    def identify(self, key: str) -> tuple[str, str] | None:
        """Return where the file of an open session is, and its version; None if none tells."""
        from spikehouse.nwb import NwbSessionFile
        from spikehouse.transfer.remote_file import Version

        entry = self._find(key)
        api = getattr(entry.session, "api", None)
        # what another class reads need not be what is in the file
        if type(api) is not NwbSessionFile:
            return None
        remote = getattr(api.file.reader, "remote", None)
        version: object = entry.stamp
        if remote is not None:
            version = Version(remote.size, remote.etag, remote.modified)
        if not (version.validator if isinstance(version, Version) else version):
            return None
        # with other filters it has other counts, which do not take the place of these
        return f"{api.path} {api.filters}", repr(version)

    def find_folder(self, key: str) -> Path:
        """Return the folder for what is kept of a session."""
        from platformdirs import user_cache_path

        from spikehouse.transfer.records import OWN_FOLDER

        if key.removesuffix(ALL).isdigit():
            return self.cache.manifest_path.parent / OWN_FOLDER
        return user_cache_path("spikehouse")

    def title(self, key: str) -> str:
        """Return what a session is called that has no id."""
        return self._find(key).title

    def write(self, key: str) -> str:
        """Write the code that binds `session`."""
        return self._find(key).write()

    def _find(self, key: str) -> _Entry:
        with self._lock:
            if key in self._entries:
                return self._entries[key]
        # keys are what str(int) gives: no +1, no 0x, no other digits
        if self.has_cache and re.fullmatch("0|[1-9][0-9]{0,17}", key):
            # put among the others when it could be opened: a wrong id is forgotten
            self.cache.is_cached(int(key))
            entry = self._plan(int(key), key, {})
        elif key.endswith(ALL) and not key.removesuffix(ALL).endswith(ALL):
            filtered = self._find(key.removesuffix(ALL))
            if filtered.plan is None:
                raise NotFoundError(
                    f"session {filtered.title} was opened in Python, and has the units of its "
                    "filters: open it there without them (filter_by_validity=False, …)"
                )
            entry = filtered.plan(key, NO_FILTERS)
        else:
            raise SessionNotFoundError(
                f"there is no session {describe_value(key)} here: "
                f"{describe_choices(key, self._entries)}"
            )
        with self._lock:
            return self._entries.setdefault(key, entry)

    def _close_idle(self) -> None:
        with self._lock:
            ours = [e for e in self._entries.values() if e.open is not None and e.session]
        for entry in sorted(ours, key=lambda entry: entry.used)[: max(len(ours) - MOST_OPEN, 0)]:
            # a session that is in use, or is being opened, is not idle
            if entry.lock.acquire(blocking=False):
                try:
                    if not entry.n_users:
                        entry.close()
                finally:
                    entry.lock.release()

    def close(self) -> None:
        """Close what was opened here."""
        with self._lock:
            for entry in self._entries.values():
                entry.close()


def name_file(path: str | Path) -> str:
    """Return the last part of a path or an address."""
    return printable(str(path).replace("\\", "/").rstrip("/").rpartition("/")[2])


def find_origin(session: object) -> tuple[EcephysProjectCache, int] | None:
    """Return the project cache that opened a session, and the id there; None if none did."""
    # by what it promised the session: its columns of channels
    additions = getattr(getattr(session, "api", None), "additions", {})
    promise = additions.get("external_channel_columns")
    if not isinstance(promise, partial):
        return None
    from spikehouse.cache import EcephysProjectCache

    owner = getattr(promise.func, "__self__", None)
    return (owner, promise.args[0]) if isinstance(owner, EcephysProjectCache) else None


# ---- as code


def write_cache(cache: EcephysProjectCache) -> str:
    """Write the code that opens a cache again."""
    options = cache.command_options()
    if options is None:
        return UNNAMED.format("cache")
    from spikehouse.survey.choose_sources import DEFAULT_SOURCES, default_manifest, make_sources

    names, host, manifest = options["source"], options.get("host"), options["cache"]
    call = "EcephysProjectCache({})"
    given: list[str] = []
    default: Path | None = None
    match names:
        case []:
            call, default = "EcephysProjectCache.fixed({})", default_manifest()
        case ["demo"]:
            from spikehouse.demo import Survey

            default = Survey(size=options["size"]).folder / "cache" / "manifest.json"
            call, given = "EcephysProjectCache.from_demo({})", [f"size={options['size']!r}"]
        case [name] if host is not None:
            address = {"s3": f"http://{host}/", "dandi": f"http://{host}/api/"}.get(name)
            call = f"EcephysProjectCache.from_{name}({{}})"
            given = [f"host={host!r}"] if address is None else [f"base_url={address!r}"]
        case _:
            default = default_manifest(make_sources(names, fetch_tries=1))
            if tuple(names) != DEFAULT_SOURCES:
                call, given = "EcephysProjectCache.from_sources({})", [repr(names)]
    if default is None or Path(manifest) != default:
        given.append(f"manifest={manifest!r}")
    return f"from spikehouse import EcephysProjectCache\n\ncache = {call.format(', '.join(given))}"


def write_session(session: EcephysSession) -> str:
    """Write the code that opens a session again."""
    from spikehouse.nwb import NwbSessionFile

    api = session.api
    if not isinstance(api, NwbSessionFile):
        return UNNAMED.format("session")
    usual = asdict(api.usual_filters)
    filters = {k: v for k, v in asdict(api.filters).items() if v != usual[k]}
    origin = find_origin(session)
    if origin is not None:
        cache, session_id = origin
        options = {**filters, **({"stream": True} if "://" in api.path else {})}
        given = "".join(f", {name}={value!r}" for name, value in options.items())
        return f"{write_cache(cache)}\nsession = cache.get_session_data({session_id}{given})"
    return UNNAMED.format("session") if api.additions else _write_file(api.path, filters)


def _write_file(path: str, filters: dict[str, Any]) -> str:
    address = path if "://" in path else str(Path(path).expanduser().absolute())
    options = f", api_kwargs={filters!r}" if filters else ""
    return (
        "from spikehouse import EcephysSession\n\n"
        f"session = EcephysSession.from_nwb_path({address!r}{options})"
    )
