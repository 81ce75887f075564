"""Processes that do not run the user's script again."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

__all__ = ["hide_script"]


@contextlib.contextmanager
def hide_script() -> Iterator[None]:
    """Have new processes not run the user's script again, with or without a guard in it."""
    # what they need of it is sent to them
    main = sys.modules["__main__"]
    hidden = {name: vars(main).get(name) for name in ("__file__", "__spec__")}
    vars(main).update(__spec__=None)
    vars(main).pop("__file__", None)
    try:
        yield
    finally:
        vars(main).update({name: value for name, value in hidden.items() if value is not None})
