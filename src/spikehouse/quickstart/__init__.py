"""The quick start as one command: from the list of sessions to decoded images."""

from __future__ import annotations

from spikehouse.quickstart.options import QuickstartOptions
from spikehouse.quickstart.run import run_quickstart

__all__ = ["QuickstartOptions", "run_quickstart"]
