"""Renew objects in forked processes, where threads are gone, locks held, sockets shared."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["renew_in_child"]


class _Renewable(Protocol):
    def renew(self) -> None:
        """Replace locks, threads and connections."""


_known: weakref.WeakSet[_Renewable] = weakref.WeakSet()


def renew_in_child(owner: _Renewable) -> None:
    """Call `owner.renew()` at the start of every process forked from this one."""
    # holds a weak reference only: `owner` is not kept alive
    _known.add(owner)


def _renew() -> None:
    for owner in list(_known):
        owner.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
