"""What a forked process makes anew: threads are gone, locks may be held, sockets are shared."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["renew_in_child"]


class _Renewable(Protocol):
    def renew(self) -> None:
        """Make locks, threads and connections anew."""


_known: weakref.WeakSet[_Renewable] = weakref.WeakSet()


def renew_in_child(owner: _Renewable) -> None:
    """Have ``owner.renew()`` called at the beginning of every process that is forked from this one.

    Parameters
    ----------
    owner
        What holds locks, threads or connections; it is not kept alive.
    """
    _known.add(owner)


def _renew() -> None:
    for owner in list(_known):
        owner.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
