"""The log of a run: printed as it goes, and kept for the report."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import pandas as pd

from spikehouse.errors import printable

WIDTH = 140


@dataclass(frozen=True)
class Text:
    """A text block; a notice is highlighted in the report."""

    text: str
    is_notice: bool = False


@dataclass(frozen=True)
class TableBlock:
    """A table with a caption."""

    caption: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class Fields:
    """A list of names and values."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class FigureBlock:
    """A figure file with a caption."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Origin:
    """Origin of some numbers: file, rows, units and function."""

    what: str
    file: str
    rows: str
    units: str
    function: str


Block = Text | TableBlock | Fields | FigureBlock | Origin


@dataclass
class Section:
    """One step of the run."""

    title: str
    blocks: list[Block] = field(default_factory=list)
    seconds: float = 0.0


class Log:
    """Print the steps of a run and keep them for the report."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self.sections: list[Section] = []
        self.headlines: dict[str, str] = {}

    @property
    def seconds(self) -> float:
        """Duration of all steps [s]."""
        return sum(section.seconds for section in self.sections)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Begin a section, and print its duration at the end."""
        section = Section(title)
        self.sections.append(section)
        heading = f"{len(self.sections)}. {title}"
        self._print(f"\n{heading}\n{'─' * len(heading)}")
        start = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            yield
        for text in dict.fromkeys(_as_notices(caught)):
            self.notice(text)
        section.seconds = time.perf_counter() - start
        self._print(f"[{section.seconds:.1f} s]")

    def say(self, text: str) -> None:
        """Log a text."""
        self._add(Text(text), text)

    def notice(self, text: str) -> None:
        """Log a highlighted text about something unexpected."""
        self._add(Text(text, is_notice=True), f"Note: {text}")

    def table(self, frame: pd.DataFrame, caption: str, *, max_rows: int = 20) -> None:
        """Log a table, or the first and last rows of a long one."""
        shown = frame
        if len(frame) > max_rows:
            half = max_rows // 2
            shown = pd.concat([frame.iloc[:half], frame.iloc[-half:]])
            caption = f"{caption}; the first and last {half} of {len(frame):,} rows"
        text = shown.to_string(line_width=WIDTH, max_colwidth=32)
        self._add(TableBlock(caption, shown), f"{caption}:\n{text}")

    def fields(self, values: Mapping[str, object]) -> None:
        """Log names and values, one per line."""
        texts = {name: str(value) for name, value in values.items()}
        width = max(map(len, texts), default=0)
        lines = [f"  {name:<{width}}  {text}" for name, text in texts.items()]
        self._add(Fields(texts), "\n".join(lines))

    def figure(self, path: Path, caption: str) -> None:
        """Log a figure that was written to a file."""
        self._add(FigureBlock(path, caption), f"Wrote {path}")

    def origin(self, what: str, *, file: str, rows: str, units: str, function: str) -> None:
        """Record the origin of numbers for the report; it is not printed."""
        self.sections[-1].blocks.append(Origin(what, file, rows, units, function))

    def headline(self, name: str, value: str) -> None:
        """Record a number for the top of the report."""
        self.headlines[name] = value

    def end(self, text: str) -> None:
        """Print the last line of a run."""
        self._print(f"\n{text}")

    def _add(self, block: Block, printed: str) -> None:
        self.sections[-1].blocks.append(block)
        self._print(printed)

    def _print(self, text: str) -> None:
        text = printable(text, keep="\n")
        # looked up each time, because the standard output may be redirected later
        stream = self._stream if self._stream is not None else sys.stdout
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        stream.flush()


def _as_notices(caught: list[warnings.WarningMessage]) -> Iterator[str]:
    """Return user warnings as sentences, and pass on all others."""
    for warning in caught:
        if warning.category is UserWarning:
            text = str(warning.message)
            yield f"{text[:1].upper()}{text[1:]}."
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
