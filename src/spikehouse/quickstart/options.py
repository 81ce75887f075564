"""Options of the quick start."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from spikehouse.errors import InvalidArgumentError, describe_choices

Size = Literal["tiny", "small", "full"]

SIZES: tuple[str, ...] = get_args(Size)
SOURCES = ("demo", "warehouse", "s3", "dandi")
DEFAULT_OUT = Path("spikehouse-quickstart")


@dataclass(frozen=True)
class QuickstartOptions:
    """Options of one run.

    Attributes
    ----------
    source
        ``"demo"`` (simulated, no network), ``"s3"`` (public bucket), ``"dandi"`` (DANDI Archive),
        ``"warehouse"`` (Allen Institute), or the path of a session file.
    session_id
        Id of the session; default: the first of type brain_observatory_1.1 with channels in the
        area.
    area
        Acronym of the brain structure whose units are used.
    cache
        Cache folder; default: a folder for each source in the user's cache folder.
    out
        Folder for the figures and the report; created if it does not exist.
    size
        Size of the demo survey: ``"tiny"``, ``"small"`` or ``"full"``.
    host
        ``HOST`` or ``HOST:PORT`` of another warehouse, or, with the source ``"s3"``, of a server of
        the files of a bucket, such as ``spikehouse demo serve``.

    Examples
    --------
    >>> QuickstartOptions(source="demo", area="VISl").command
    'spikehouse quickstart --source demo --size small --area VISl --out spikehouse-quickstart'
    """

    source: str = "demo"
    session_id: int | None = None
    area: str = "VISp"
    cache: Path | None = None
    out: Path = DEFAULT_OUT
    size: Size = "small"
    host: str | None = None

    def __post_init__(self) -> None:
        is_path = self.source.endswith((".nwb", ".h5")) or Path(self.source).exists()
        if self.source not in SOURCES and not is_path:
            raise InvalidArgumentError(
                f"unknown source {self.source!r}: {describe_choices(self.source, SOURCES)}, "
                "or the path of a session file (.nwb)"
            )
        if self.size not in SIZES:
            raise InvalidArgumentError(
                f"unknown size of the demo survey {self.size!r}: "
                f"{describe_choices(self.size, SIZES)}"
            )
        if self.host is not None and self.source not in ("s3", "warehouse"):
            raise InvalidArgumentError(
                f"--host {self.host} needs --source s3 or warehouse, not --source {self.source}"
            )

    @property
    def path(self) -> Path | None:
        """Path of the session file, if the source is a file."""
        return None if self.source in SOURCES else Path(self.source)

    @property
    def command(self) -> str:
        """Command line that repeats this run."""
        words = ["spikehouse", "quickstart", "--source", self.source]
        if self.source == "demo":
            words += ["--size", self.size]
        for name, value in (("host", self.host), ("session", self.session_id)):
            words += [] if value is None else [f"--{name}", str(value)]
        words += ["--area", self.area]
        words += [] if self.cache is None else ["--cache", str(self.cache)]
        words += ["--out", str(self.out)]
        return shlex.join(words)
