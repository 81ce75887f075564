"""Install AllenSDK's import paths on import: see :mod:`spikehouse.compat`."""

from __future__ import annotations

from spikehouse.compat.aliases import install

install()
