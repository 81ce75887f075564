"""One record of a run: printed as it goes, kept for the report.

What the report shows is what was printed, because both are made from the same blocks.
"""

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
    """A sentence or more; a notice is one the reader must not miss."""

    text: str
    is_notice: bool = False


@dataclass(frozen=True)
class TableBlock:
    """A table with a caption."""

    caption: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class Fields:
    """Names and values."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class FigureBlock:
    """A figure that was written to a file."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Origin:
    """Where numbers come from: the file, the rows and units in it, the function.

    Attributes
    ----------
    what
        The numbers.
    file
        The file they were read from.
    rows
        Which rows of which table.
    units
        Which units.
    function
        The public call that made them.
    """

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
    """Prints the steps of a run and keeps them.

    Parameters
    ----------
    stream
        Where to print; the standard output if None.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self.sections: list[Section] = []
        self.headlines: dict[str, str] = {}

    @property
    def seconds(self) -> float:
        """The time all steps took [s]."""
        return sum(section.seconds for section in self.sections)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Open a section, and say at its end how long it took.

        Parameters
        ----------
        title
            What is done.

        Yields
        ------
        None
            Nothing; what is logged inside belongs to the section.
        """
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
        """Log a sentence.

        Parameters
        ----------
        text
            The sentence.
        """
        self._add(Text(text), text)

    def notice(self, text: str) -> None:
        """Log what is not as the reader may expect.

        Parameters
        ----------
        text
            A sentence.
        """
        self._add(Text(text, is_notice=True), f"Note: {text}")

    def table(self, frame: pd.DataFrame, caption: str, *, max_rows: int = 20) -> None:
        """Log a table; of a long one its first and last rows.

        Parameters
        ----------
        frame
            The table.
        caption
            What it holds.
        max_rows
            How many rows are shown at most.
        """
        shown = frame
        if len(frame) > max_rows:
            half = max_rows // 2
            shown = pd.concat([frame.iloc[:half], frame.iloc[-half:]])
            caption = f"{caption}; the first and last {half} of {len(frame):,} rows"
        text = shown.to_string(line_width=WIDTH, max_colwidth=32)
        self._add(TableBlock(caption, shown), f"{caption}:\n{text}")

    def fields(self, values: Mapping[str, object]) -> None:
        """Log names and values, one a line.

        Parameters
        ----------
        values
            Name → value.
        """
        texts = {name: str(value) for name, value in values.items()}
        width = max(map(len, texts), default=0)
        lines = [f"  {name:<{width}}  {text}" for name, text in texts.items()]
        self._add(Fields(texts), "\n".join(lines))

    def figure(self, path: Path, caption: str) -> None:
        """Log a figure that was written.

        Parameters
        ----------
        path
            The figure's file.
        caption
            What it shows.
        """
        self._add(FigureBlock(path, caption), f"Wrote {path}")

    def origin(self, what: str, *, file: str, rows: str, units: str, function: str) -> None:
        """Keep for the report where numbers come from; printed, it would bury them.

        Parameters
        ----------
        what
            Which numbers.
        file, rows, units
            What they were made from.
        function
            What made them.
        """
        self.sections[-1].blocks.append(Origin(what, file, rows, units, function))

    def headline(self, name: str, value: str) -> None:
        """Keep a number for the head of the report.

        Parameters
        ----------
        name
            What it is.
        value
            The number, written out.
        """
        self.headlines[name] = value

    def end(self, text: str) -> None:
        """Print a last line that belongs to no step.

        Parameters
        ----------
        text
            The line.
        """
        self._print(f"\n{text}")

    def _add(self, block: Block, printed: str) -> None:
        self.sections[-1].blocks.append(block)
        self._print(printed)

    def _print(self, text: str) -> None:
        text = printable(text, keep="\n")
        # found anew each time: who redirects the standard output later still gets it all
        stream = self._stream if self._stream is not None else sys.stdout
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        stream.flush()


def _as_notices(caught: list[warnings.WarningMessage]) -> Iterator[str]:
    """Give what was meant for the user as sentences; pass on what was meant for developers."""
    for warning in caught:
        if warning.category is UserWarning:
            text = str(warning.message)
            yield f"{text[:1].upper()}{text[1:]}."
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
