"""Reports of commands: what is printed as they run, and one HTML page with tables and figures."""

from __future__ import annotations

from spikehouse.report.log import Log
from spikehouse.report.page import make_folder, save_figure, write_page

__all__ = ["Log", "make_folder", "save_figure", "write_page"]
