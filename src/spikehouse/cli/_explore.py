"""``spikehouse explore``: the recordings in a browser."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlencode, urlsplit

import typer

from spikehouse.cli._common import Cache, Host, Offline, Size, Sources, open_cache, plain_errors
from spikehouse.errors import InvalidArgumentError, NotFoundError, printable


def explore(
    target: Annotated[
        str | None,
        typer.Argument(
            help="A session id, a session file or its URL, or a link that was copied from the "
            "page. Default: the survey.",
            metavar="[SESSION|FILE|URL|LINK]",
        ),
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Read sessions that are not cached from the server.")
    ] = False,
    results: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of results of a cohort; may be repeated."),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on. Default: 8045, or the next free one.")
    ] = None,
    source: Sources = None,
    cache: Cache = None,
    host: Host = None,
    size: Size = "small",
    offline: Offline = False,
) -> None:
    """Show recordings in the browser, served by this machine to its own user, until Ctrl-C."""
    with plain_errors("stopped"):
        from spikehouse.explore import explore as start

        sessions, link = _read_target(target)
        # opened after the page is there: that takes a second, most of it for pandas
        open_once = functools.cache(lambda: open_cache(source, cache, host, size, offline=offline))
        is_file = any(isinstance(one, str) for one in sessions)
        has_survey = not is_file or bool(source or cache or host or offline)
        explorer = start(
            *sessions,
            cache=open_once if has_survey else None,
            results=results or (),
            stream=stream,
            source=_describe(source, size, offline=offline) if has_survey else "",
            link=link,
            port=port,
        )
        with explorer, contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as own:
            # flushed, because scripts read the address from a pipe
            sys.stdout.write(f"spikehouse explore: {explorer.url}\n(Ctrl-C ends it)\n")
            sys.stdout.flush()
            if not is_file:
                open_once()  # what is wrong with the options is said here
            if browser:
                _open_browser(explorer.url, Path(own) / "open.html")
            explorer.wait()
        # threads that still import or read would crash or delay the end of Python
        sys.stdout.flush()
        os._exit(0)


def _open_browser(url: str, page: Path) -> None:
    """Open an address that other users do not see, as they see the words of a command."""
    import html
    import webbrowser

    page.touch(0o600)
    address = html.escape(url)
    page.write_text(f"<!doctype html><meta http-equiv=refresh content='0;url={address}'>")
    webbrowser.open(page.as_uri())


def _read_target(target: str | None) -> tuple[list[str | int], str | None]:
    """Return the sessions to open, and the view to begin with."""
    if target is None:
        return [], None
    if target.isascii() and target.isdigit():
        return [int(target)], None
    found = urlsplit(target)
    is_page = found.scheme == "http" and found.hostname in ("127.0.0.1", "localhost")
    if is_page and not found.path.endswith(".nwb"):
        return [], _read_link(found.path or "/", found.query)
    if "://" in target:
        return [target], None
    if target == "/" or (found.path.startswith(("/s/", "/cohort")) and not Path(target).exists()):
        return [], _read_link(found.path, found.query)
    path = Path(target).expanduser()
    if not path.is_file():
        raise NotFoundError(
            f"there is no file {printable(path)}: give a session id, the path of a session file, "
            "or a link that was copied from the page"
        )
    return [str(path)], None


def _read_link(path: str, query: str) -> str:
    # the token is that of another server
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True)]
    rest = urlencode([(name, value) for name, value in kept if name != "token"], safe=",")
    if not path.startswith("/") or path.startswith("//"):
        raise InvalidArgumentError(f"{printable(path)!r} is no link of the page")
    return f"{path}?{rest}" if rest else path


def _describe(sources: list[str] | None, size: str, *, offline: bool) -> str:
    if sources and "demo" in sources:
        return f"demo, {size}"
    if offline:
        return "cache folder"
    return ", ".join(sources or ("s3", "dandi", "warehouse"))
