"""Importing this module puts AllenSDK's import paths in place: see :mod:`spikehouse.compat`."""

from __future__ import annotations

from spikehouse.compat.aliases import install

install()
