"""Replace the sources of pages by what a language model can use, before llms.txt collects them.

A page of the reference is otherwise a directive without its docstring, and one of the gallery is
mostly HTML.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

from parameter_types import add_types, find_types
from public_names import list_public

FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)
MEMBERS = (FunctionType, classmethod, staticmethod, property, functools.cached_property)
PACKAGE = re.compile(r"```\{eval-rst\}\n\.\. automodule:: (\S+)\n```\n")


def describe(name: str, thing: Any) -> Iterator[str]:  # noqa: ANN401
    """Write the docstring of a name, and those of the methods and properties of a class."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    if callable(thing):
        add_types(lines, find_types(thing))
    is_function = callable(thing) and not inspect.isclass(thing)
    yield f"{name}{_strip_annotations(thing) if is_function else ''}"
    yield ""
    yield from (f"    {line}".rstrip() for line in lines)
    yield ""
    for member, raw in vars(thing).items() if inspect.isclass(thing) else ():
        if not member.startswith("_") and isinstance(raw, MEMBERS):
            yield from describe(f"{name}.{member}", getattr(thing, member))


def _strip_annotations(function: Any) -> inspect.Signature:  # noqa: ANN401
    shown = inspect.signature(function)
    parameters = [p.replace(annotation=p.empty) for p in shown.parameters.values()]
    return shown.replace(parameters=parameters, return_annotation=shown.empty)


def replace_sources(app: Any, error: Exception | None) -> None:  # noqa: ANN401
    """Rewrite the files below _sources."""
    folder = Path(app.outdir) / "_sources"
    if error or not folder.exists():
        return
    for name, thing in list_public().items():
        path = folder / "reference" / "generated" / f"{name}.rst.txt"
        if path.exists():
            path.write_text("\n".join(describe(name, thing)), encoding="utf-8")
    examples = Path(app.srcdir) / "examples"
    header = (examples / "GALLERY_HEADER.rst").read_text(encoding="utf-8")
    (folder / "gallery" / "index.rst.txt").write_text(header, encoding="utf-8")
    for example in examples.glob("plot_*.py"):
        text = f"```python\n{example.read_text(encoding='utf-8')}```\n"
        (folder / "gallery" / f"{example.stem}.rst.txt").write_text(text, encoding="utf-8")
    for page in folder.rglob("*.md.txt"):
        text = FRONT_MATTER.sub("", page.read_text(encoding="utf-8"))
        text = PACKAGE.sub(
            lambda found: f"{inspect.getdoc(importlib.import_module(found[1]))}\n", text
        )
        page.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:  # noqa: ANN401
    """Connect to Sphinx, before sphinx_llms_txt."""
    app.connect("build-finished", replace_sources, priority=100)
    return {"parallel_read_safe": True}
