"""Create the clients of the sources from their names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from spikehouse.errors import InvalidArgumentError, describe_choices
from spikehouse.schema.addresses import BUCKET_URL, DANDI_URL
from spikehouse.survey.manifest import MANIFEST_NAMES, find_manifest
from spikehouse.survey.source import Source
from spikehouse.survey.sources import warehouse
from spikehouse.survey.sources.dandi import Dandi
from spikehouse.survey.sources.folder import Folder
from spikehouse.survey.sources.s3 import S3
from spikehouse.survey.sources.warehouse import Warehouse
from spikehouse.transfer.retry import HttpOptions

__all__ = [
    "CACHE_VARIABLE",
    "DEFAULT_SOURCES",
    "SourceChoice",
    "default_manifest",
    "find_options",
    "make_sources",
    "name_options",
]

CACHE_VARIABLE = "SPIKEHOUSE_CACHE"

# name → how a client is made
SOURCES: Mapping[str, Callable[[HttpOptions, bool | None], Source]] = {
    "s3": lambda options, _: S3(options=options),
    "dandi": lambda options, _: Dandi(options=options),
    "warehouse": lambda options, progress: Warehouse(
        fetch_tries=options.fetch_tries, progress=progress
    ),
}
# S3 has everything in the fewest requests, DANDI publishes digests, the warehouse came first
DEFAULT_SOURCES = ("s3", "dandi", "warehouse")

SourceChoice: TypeAlias = str | Path | Source


def make_sources(
    choices: SourceChoice | Iterable[SourceChoice],
    *,
    fetch_tries: int,
    progress: bool | None = None,
) -> tuple[Source, ...]:
    """Create a client for each source."""
    # a string is iterable too; a user's source may be of any type
    is_one = isinstance(choices, str | Path) or not isinstance(choices, Iterable)
    listed: list[SourceChoice] = [choices] if is_one else list(choices)  # type: ignore[list-item, arg-type]
    if not listed:
        raise InvalidArgumentError(
            f"no source is given: name at least one of {', '.join(map(repr, SOURCES))}; a cache "
            "that fetches nothing is EcephysProjectCache.fixed(manifest)"
        )
    names = [choice for choice in listed if isinstance(choice, str)]
    if len(set(names)) < len(names):
        raise InvalidArgumentError(f"a source is named twice: {', '.join(names)}")
    options = HttpOptions(fetch_tries=fetch_tries)
    made: list[Source] = []
    for choice in listed:
        if isinstance(choice, str) and choice in SOURCES:
            made.append(SOURCES[choice](options, progress))
        elif isinstance(choice, str | Path):
            made.append(_open_folder(choice))
        else:
            made.append(choice)
    return tuple(made)


def _open_folder(choice: str | Path) -> Folder:
    path = Path(choice).expanduser()
    looks_like_a_name = isinstance(choice, str) and len(path.parts) == 1 and choice != "~"
    if looks_like_a_name and not path.exists():
        hint = (
            " (the simulated survey is EcephysProjectCache.from_demo)" if choice == "demo" else ""
        )
        raise InvalidArgumentError(
            f"there is no source {choice!r}{hint}: "
            f"{describe_choices(choice, SOURCES)}, or the path of a folder"
        )
    return Folder(path)


def default_manifest(sources: Iterable[Source] = ()) -> Path:
    """Return the path of the manifest that is used by default."""
    # Sources that may have another data set, with other sessions under the same ids, never use the
    # folder of the published one: a server at another URL has a folder of its own, and with a
    # user's class the manifest is in the working directory, as with AllenSDK.
    import platformdirs

    in_working_directory = Path(MANIFEST_NAMES[1]).absolute()
    # an existing cache of AllenSDK stays in use
    if in_working_directory.is_file():
        return in_working_directory
    root = platformdirs.user_cache_path("spikehouse")
    usual: tuple[str, ...]
    for source in sources:
        match source:
            case S3() | Dandi():
                address, usual = source.base_url, (BUCKET_URL, DANDI_URL)
            case Warehouse():
                address, usual = source.host, (warehouse.DEFAULT_HOST,)
            case Folder():
                continue
            case _:
                return in_working_directory
        if address not in usual:
            return root / re.sub(r"[^\w.-]+", "-", address) / MANIFEST_NAMES[0]
    given = os.environ.get(CACHE_VARIABLE)
    return find_manifest(Path(given) if given else root / "visual-coding")


def find_options(sources: Iterable[Source], *, fetch_tries: int) -> HttpOptions:
    """Return timeouts and retries from the first source that has them."""
    for source in sources:
        options = getattr(source, "options", None)
        if isinstance(options, HttpOptions):
            return options
    return HttpOptions(fetch_tries=fetch_tries)


def name_options(sources: Iterable[Source]) -> dict[str, Any] | None:
    """Return the command's options for these sources; None if no options stand for them."""
    names: list[str] = []
    special: dict[str, Any] = {}
    for source in sources:
        names.append(str(source.path) if isinstance(source, Folder) else source.name)
        match source:
            case S3() if source.base_url != BUCKET_URL:
                special = {"host": _name_host(source.base_url, "/")}
            case Dandi() if source.base_url != DANDI_URL:
                special = {"host": _name_host(source.base_url, "/api/")}
            case Warehouse() if source.host != warehouse.DEFAULT_HOST:
                special = {"host": source.host if source.scheme == "http" else None}
            case S3() | Dandi() | Warehouse() | Folder():
                pass
            case _:
                # the simulated survey knows its own; a user's class has none
                special = getattr(source, "command_options", None) or {"host": None}
    # they belong to a single source
    if None in special.values() or (special and len(names) > 1):
        return None
    return {"source": names, "offline": not names, **special}


def _name_host(url: str, path: str) -> str | None:
    found = re.fullmatch(rf"http://([^/]+){path}", url)
    return found[1] if found else None
