"""The base class of adapters, with which labs open their own recordings as sessions."""

from __future__ import annotations

from typing import Any

from spikehouse.session_source import SessionSource

__all__ = ["EcephysSessionApi"]


class EcephysSessionApi(SessionSource):
    """Base class of adapters: override the methods for which the recording has data."""

    session_na = -1

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - what a subclass takes
        del args, kwargs
