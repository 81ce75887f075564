"""What the user of the quick start may choose."""

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
    """The choices of one run.

    Attributes
    ----------
    source
        ``"demo"`` (simulated, no network), ``"s3"`` (the public bucket), ``"dandi"`` (the DANDI
        Archive), ``"warehouse"`` (the Allen Institute's), or the path of a session file.
    session_id
        Which session; None picks the first of type brain_observatory_1.1 that has units in the
        area.
    area
        Acronym of the brain structure whose units are used.
    cache
        Folder of the cache; None is one in the user's cache folder, a different one a source.
    out
        Folder for the figures and the report; made if absent.
    size
        Size of the demo survey.
    host
        ``HOST`` or ``HOST:PORT`` of another warehouse, such as one of ``spikehouse demo serve``.
    """

    source: str = "demo"
    session_id: int | None = None
    area: str = "VISp"
    cache: Path | None = None
    out: Path = DEFAULT_OUT
    size: Size = "small"
    host: str | None = None

    def __post_init__(self) -> None:
        if self.source not in SOURCES and not self._looks_like_a_path():
            raise InvalidArgumentError(
                f"there is no source {self.source!r}: {describe_choices(self.source, SOURCES)}, "
                "or the path of a session file (.nwb)"
            )
        if self.size not in SIZES:
            raise InvalidArgumentError(
                f"there is no demo survey of size {self.size!r}: "
                f"{describe_choices(self.size, SIZES)}"
            )
        if self.host is not None and self.source != "warehouse":
            raise InvalidArgumentError(
                f"--host {self.host} is for --source warehouse, not for --source {self.source}"
            )

    @property
    def path(self) -> Path | None:
        """The session file, where the source is one."""
        return None if self.source in SOURCES else Path(self.source)

    @property
    def command(self) -> str:
        """The command line that repeats this run."""
        words = ["spikehouse", "quickstart", "--source", self.source]
        if self.source == "demo":
            words += ["--size", self.size]
        for name, value in (("host", self.host), ("session", self.session_id)):
            words += [] if value is None else [f"--{name}", str(value)]
        words += ["--area", self.area]
        words += [] if self.cache is None else ["--cache", str(self.cache)]
        words += ["--out", str(self.out)]
        return shlex.join(words)

    def _looks_like_a_path(self) -> bool:
        return self.source.endswith((".nwb", ".h5")) or Path(self.source).exists()
