"""The page of a report: one HTML file with all tables and figures."""

from __future__ import annotations

import datetime as dt
import io
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from spikehouse.errors import CacheError
from spikehouse.report.log import Log, escape, fields_html

DPI = 150
PACKAGES = ("spikehouse", "numpy", "pandas", "xarray", "h5py", "scikit-learn", "matplotlib")

STYLE = """
:root { color-scheme: light dark; --ink: #1d2126; --soft: #5c6570; --line: #d9dde2;
  --paper: #fdfdfc; --card: #f3f4f2; --accent: #0072b2; --warn: #b35900; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e3; --soft: #a2a9b1;
  --line: #3a4047; --paper: #16181b; --card: #1f2327; --accent: #56b4e9; --warn: #e69f00; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 17px/1.6 Charter, "Bitstream Charter", "Iowan Old Style", Georgia, serif; }
main { max-width: 46rem; margin: 0 auto; padding: 3rem 1.25rem 5rem; }
h1, h2, summary, table, dl, .figures dt, code, figcaption, footer, .meta {
  font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.2rem; margin: 3rem 0 .8rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
h2 .seconds { float: right; font-size: .8rem; font-weight: 400; color: var(--soft); }
.meta, figcaption, footer, caption { color: var(--soft); font-size: .85rem; line-height: 1.45; }
.headlines { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.75rem 0; padding: 0; }
.headlines div { flex: 1 1 8rem; background: var(--card); border-radius: 6px; padding: .8rem 1rem; }
.headlines dt { font-size: .8rem; color: var(--soft); }
.headlines dd { margin: 0; font-size: 1.6rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: 1.2rem 0; }
table { border-collapse: collapse; font-size: .8rem; font-variant-numeric: tabular-nums;
  line-height: 1.4; min-width: 60%; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { padding: .25rem .7rem .25rem 0; text-align: right; vertical-align: top; }
th { font-weight: 600; }
thead th { border-bottom: 1px solid var(--line); }
td.text, th.text { text-align: left; }
dl.fields { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem;
  font-size: .85rem; margin: 1rem 0; }
dl.fields dt { color: var(--soft); }
dl.fields dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.notice { border-left: 3px solid var(--warn); padding: .2rem 0 .2rem 1rem; }
.banner { border: 1px solid var(--warn); border-left-width: 6px; padding: .6rem 1rem; }
figure { margin: 1.5rem 0; }
figure img { width: 100%; height: auto; background: #fff; border-radius: 4px; }
details { background: var(--card); border-radius: 6px; padding: .6rem 1rem; margin: 1rem 0; }
summary { font-size: .85rem; color: var(--accent); cursor: pointer; }
code { font-size: .85em; overflow-wrap: anywhere; }
footer { margin-top: 4rem; border-top: 1px solid var(--line); padding-top: 1rem; }
@media print { details { background: none; } h2, figure { break-inside: avoid; } }
"""


def write_page(
    log: Log, path: Path, *, title: str, kind: str, about: str, command: str, banner: str = ""
) -> Path:
    """Write the log as one HTML page without external files or scripts, below a banner if any."""
    above = f'<p class="notice banner">{escape(banner)}</p>' if banner else ""
    body = "\n".join(
        f'<section>\n<h2><span class="seconds">{section.seconds:.1f} s</span>'
        f"{number}. {escape(section.title)}</h2>\n"
        + "\n".join([*section.blocks, *section.origins, "</section>"])
        for number, section in enumerate(log.sections, start=1)
    )
    made = dt.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    versions = {name: metadata.version(name) for name in PACKAGES}
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} – spikehouse {escape(kind)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p class="meta">{escape(about)} {escape(made)}, {log.seconds:.1f} s in total.</p>
{above}
{fields_html("headlines", log.headlines)}
{body}
<footer><p>Run again with <code>{escape(command)}</code></p><p>Python {platform.python_version()}, \
{escape(listed)}; {escape(platform.platform(terse=True))}.</p></footer>
</main>
</body>
</html>
"""
    return write_whole(path, page.encode("utf-8"))


def save_figure(figure: Any, path: Path) -> Path:  # noqa: ANN401 - only plots imports matplotlib
    """Write a matplotlib Figure in the format that the name ends in."""
    drawn = io.BytesIO()
    # without versions and dates, so that equal figures have equal bytes
    kind = path.suffix[1:]
    left_out = {"Software": None} if kind == "png" else {"Creator": None, "CreationDate": None}
    figure.savefig(drawn, format=kind, dpi=DPI, metadata=left_out)
    return write_whole(path, drawn.getvalue())


def make_folder(folder: Path) -> Path:
    """Create the output folder if it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheError(
            f"the output folder {folder} cannot be created: {error.strerror}; choose another"
        ) from error
    return folder


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file atomically, by renaming a temporary file."""
    part = path.with_name(f".{path.name}.part")
    try:
        # always a new file: what stands there may be a link to another one
        part.unlink(missing_ok=True)
        with part.open("xb") as file:
            file.write(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise CacheError(
            f"{path} cannot be written: {error.strerror}; choose another folder"
        ) from error
    return path
