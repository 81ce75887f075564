"""The log of a run: printed as it goes, and kept for the report."""

from __future__ import annotations

import base64
import html
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


@dataclass
class Section:
    """One step of the run: HTML for the report, the origins of numbers at its end."""

    title: str
    blocks: list[str] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
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
        self._add(f"<p>{escape(text)}</p>", text)

    def notice(self, text: str) -> None:
        """Log a highlighted text about something unexpected."""
        self._add(f'<p class="notice">{escape(text)}</p>', f"Note: {text}")

    def table(self, frame: pd.DataFrame, caption: str, *, max_rows: int = 20) -> None:
        """Log a table, or the first and last rows of a long one."""
        shown = frame
        if len(frame) > max_rows:
            half = max_rows // 2
            shown = pd.concat([frame.iloc[:half], frame.iloc[-half:]])
            caption = f"{caption}; the first and last {half} of {len(frame):,} rows"
        text = shown.to_string(line_width=WIDTH, max_colwidth=40)
        self._add(_table_html(shown, caption), f"{caption}:\n{text}")

    def details(self, frame: pd.DataFrame, caption: str, *, printed: str = "") -> None:
        """Log a table that is folded on the page, and print only this text."""
        table = _table_html(frame, "")
        summary = escape(f"{caption} ({len(frame)} rows)")
        self.sections[-1].blocks.append(f"<details><summary>{summary}</summary>{table}</details>")
        if printed:
            self._print(printed)

    def fields(self, values: Mapping[str, object]) -> None:
        """Log names and values, one per line."""
        texts = {name: str(value) for name, value in values.items()}
        width = max(map(len, texts), default=0)
        lines = [f"  {name:<{width}}  {text}" for name, text in texts.items()]
        self._add(fields_html("fields", texts), "\n".join(lines))

    def figure(self, path: Path, caption: str) -> None:
        """Log a figure that was written to a file."""
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        shown = escape(caption)
        self._add(
            f'<figure><img src="data:image/png;base64,{data}" alt="{shown}">'
            f"<figcaption>{shown} <code>{escape(path.name)}</code></figcaption></figure>",
            f"Wrote {path}",
        )

    def origin(self, what: str, *, file: str, rows: str, units: str, function: str) -> None:
        """Record the origin of numbers for the report; it is not printed."""
        values = {"numbers": what, "file": file, "rows": rows, "units": units, "function": function}
        self.sections[-1].origins.append(
            "<details><summary>Where these numbers come from</summary>"
            f"{fields_html('fields', values)}</details>"
        )

    def headline(self, name: str, value: str) -> None:
        """Record a number for the top of the report."""
        self.headlines[name] = value

    def end(self, text: str) -> None:
        """Print the last line of a run."""
        self._print(f"\n{text}")

    def _add(self, block: str, printed: str) -> None:
        self.sections[-1].blocks.append(block)
        self._print(printed)

    def _print(self, text: str) -> None:
        text = printable(text, keep="\n")
        # looked up each time, because the standard output may be redirected later
        stream = self._stream if self._stream is not None else sys.stdout
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        stream.flush()


def escape(text: str) -> str:
    """Escape a text for HTML, without control characters."""
    return html.escape(printable(text, keep="\n"))


def fields_html(kind: str, values: Mapping[str, str]) -> str:
    """Format names and values as a list of this class; nothing if there are none."""
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        if kind == "headlines"
        else f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        for name, value in values.items()
    )
    return f'<dl class="{kind}">{items}</dl>' if items else ""


def _table_html(frame: pd.DataFrame, caption: str) -> str:
    """Format a table with numbers right-aligned and text left-aligned."""
    frame = frame.reset_index()
    kinds = [
        "" if pd.api.types.is_numeric_dtype(kind) else ' class="text"' for kind in frame.dtypes
    ]
    head = "".join(
        f"<th{kind}>{escape(str(name))}</th>"
        for name, kind in zip(frame.columns, kinds, strict=True)
    )
    rows = "\n".join(
        "<tr>"
        + "".join(f"<td{k}>{_cell(v)}</td>" for v, k in zip(row, kinds, strict=True))
        + "</tr>"
        for row in frame.itertuples(index=False)
    )
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else escape(str(value))


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
