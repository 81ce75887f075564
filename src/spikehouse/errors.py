"""Exceptions of the package, and helpers for their messages.

::

    SpikehouseError
    ├── InvalidArgumentError   (ValueError)            an invalid argument
    ├── NotFoundError          (KeyError, ValueError)  an unknown id or name
    │   └── SessionNotFoundError                       an unknown session
    ├── CacheError             (OSError)               cache folder: manifest, permissions, space
    ├── InvalidFileError       (OSError)               a file with invalid content
    │   └── ChecksumError                              a file with another digest than published
    ├── SourceError            (ConnectionError)       server unreachable or invalid response
    ├── TransferError          (ConnectionError)       an incomplete download
    └── CohortError            (RuntimeError)          a function failed on a session

:mod:`spikehouse.compat` adds ``CompatibilityError`` (ImportError) and its subclass
``MissingModuleError`` (ModuleNotFoundError).

Each exception also derives from the built-in exception a caller would expect, so
``except KeyError`` and ``except OSError`` work. A message says what happened, with which value,
which values are valid, and what to do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = [
    "CacheError",
    "ChecksumError",
    "CohortError",
    "InvalidArgumentError",
    "InvalidFileError",
    "NotFoundError",
    "SessionNotFoundError",
    "SourceError",
    "SpikehouseError",
    "TransferError",
]

# about a damaged file in the cache folder
LEFT_AS_IT_IS = "It was left as it is; delete it and call again to fetch it anew"
N_LISTED = 8
N_CHARACTERS = 80
# what Python, numpy, pandas, xarray and scikit-learn raise about what they cannot use
_FOREIGN = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError)

# user name and password in a URL
_CREDENTIALS = re.compile(r"(?<=://)\S*@(?=[\w.\[])")


def printable(text: object, *, keep: str = "") -> str:
    """Escape characters that could control a terminal, and hide passwords in URLs."""
    shown = _CREDENTIALS.sub("***@", str(text))
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in shown)


class SpikehouseError(Exception):
    """Base class of all exceptions of this package.

    Attributes
    ----------
    advice
        What to do, if many errors of one cause share it; it is then printed once.

    Examples
    --------
    >>> try:
    ...     session.get_stimulus_table("flahses")
    ... except SpikehouseError as error:
    ...     print(error.message.partition(":")[0])
    this session has no stimulus 'flahses'
    """

    advice = ""

    @property
    def message(self) -> str:
        """What happened, without the advice."""
        return printable(self.args[0], keep="\n") if self.args else ""

    def __str__(self) -> str:
        # KeyError.__str__ is the repr of its argument, which would put the message in quotes
        return f"{self.message}. {self.advice}" if self.advice else self.message


class InvalidArgumentError(SpikehouseError, ValueError):
    """An invalid argument: unsorted edges, duplicate ids, an unknown option.

    Examples
    --------
    >>> session.presentationwise_spike_counts([0.2, 0.1])
    Traceback (most recent call last):
    ...
    spikehouse.errors.InvalidArgumentError: bin_edges must not decrease: edge 1 (0.1 s) comes
    before edge 0 (0.2 s)
    """


class NotFoundError(SpikehouseError, KeyError, ValueError):
    """An unknown id or name of a unit, stimulus, structure, probe or file.

    It is a KeyError and also a ValueError, which existing programs catch for a probe without LFP.

    Examples
    --------
    >>> session.get_stimulus_table("flahses")
    Traceback (most recent call last):
    ...
    spikehouse.errors.NotFoundError: this session has no stimulus 'flahses': did you mean
    'flashes'? Valid: 'spontaneous', 'gabors', ...
    """


class SessionNotFoundError(NotFoundError):
    """A session id that is not in the survey.

    Examples
    --------
    >>> cache.get_session_data(900000013)
    Traceback (most recent call last):
    ...
    spikehouse.errors.SessionNotFoundError: there is no session 900000013: did you mean ...
    """


class CacheError(SpikehouseError, OSError):
    """The cache folder cannot be used: no manifest, no write permission, no space left."""


class InvalidFileError(SpikehouseError, OSError):
    """A file with invalid content: not HDF5, truncated, or without the NWB groups.

    Examples
    --------
    >>> from spikehouse import EcephysSession
    >>> EcephysSession.from_nwb_path(cache.manifest_path)
    Traceback (most recent call last):
    ...
    spikehouse.errors.InvalidFileError: ...manifest.json is not an HDF5 file: it begins with ...
    """


class ChecksumError(InvalidFileError):
    """A file whose digest differs from the published or recorded one."""


class SourceError(SpikehouseError, ConnectionError):
    """A server that cannot be reached, or that returned an error or an invalid response."""


class TransferError(SpikehouseError, ConnectionError):
    """An incomplete download; no file was written under the final name."""


class CohortError(SpikehouseError, RuntimeError):
    """A function that failed on a session of a cohort; its traceback is a note.

    Examples
    --------
    >>> try:
    ...     cache.cohort(session_ids=900000001).map(lambda session: 1 / 0, on_error="raise")
    ... except CohortError as error:
    ...     print(error)
    session 900000001: ZeroDivisionError: division by zero
    """


@contextlib.contextmanager
def copying(whole: str, part: object) -> Iterator[None]:
    """Raise a clear error if an object cannot be pickled or copied because of one of its parts."""
    try:
        yield
    except Exception as error:
        raise InvalidArgumentError(
            f"{whole} cannot be pickled or copied, because its {type(part).__name__} cannot: "
            f"{error}. Open it again in each process, or give that class a __reduce__ that "
            "returns how to open it again"
        ) from error


def guard_public(namespace: dict[str, Any]) -> None:
    """Have public functions raise errors of this package about what they are given.

    Public are the names of ``__all__``; without it, what the module defines without an underscore.
    """
    own = [name for name, found in namespace.items() if _is_public(name, found, namespace)]
    for name in namespace.get("__all__", own):
        found = namespace.get(name)
        # a wrapper would change whose line a warning names
        if inspect.isfunction(found) and not name.startswith("warn_"):
            guarded = _guard(found, name)
            # in its own module as well, or it could not be pickled
            setattr(sys.modules[found.__module__], name, guarded)
            namespace[name] = guarded
        elif dataclasses.is_dataclass(found) and "__post_init__" in vars(found):
            setattr(found, "__post_init__", _guard(vars(found)["__post_init__"], name))  # noqa: B010


def _is_public(name: str, found: object, namespace: dict[str, Any]) -> bool:
    is_own = inspect.isfunction(found) and found.__module__ == namespace["__name__"]
    return is_own and not name.startswith("_")


def _guard(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the function
        try:
            return function(*args, **kwargs)
        except _FOREIGN as error:
            # of guarded functions that call each other, the message is about the outermost
            cause = error.__cause__ if getattr(error, "is_guards", False) else error
            if isinstance(cause, SpikehouseError):
                raise
            trace = error.__traceback__
            if trace is None or trace.tb_next is None:
                raise  # the call itself does not fit the signature
            given = inspect.signature(function).bind(*args, **kwargs).arguments
            if name != function.__name__:  # a dataclass: its fields
                given = vars(given["self"])
            listed = ", ".join(f"{key}={describe_value(value)}" for key, value in given.items())
            unusable = InvalidArgumentError(
                f"{name} cannot use what it was given: {type(cause).__name__}: {cause}. "
                f"It was given {listed}"
            )
            setattr(unusable, "is_guards", True)  # noqa: B010
            raise unusable from cause

    return guarded


def describe_value(value: object) -> str:
    """Describe an invalid argument in one line of a message."""
    shape = getattr(value, "shape", ())
    if shape:
        return f"a {type(value).__name__} of shape {shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= N_CHARACTERS else f"{text[:N_CHARACTERS]}…"


def describe_choices(value: object, valid: Iterable[object]) -> str:
    """List the valid values for an invalid one, the most similar first."""
    choices = list(valid)
    if not choices:
        return "there are none here"
    closest = _closest(value, choices)
    listed = ", ".join(repr(choice) for choice in choices[:N_LISTED])
    if len(choices) > N_LISTED:
        listed += f", … ({len(choices)} in total)"
    if not closest:
        # mostly after a colon
        return f"valid {'is' if len(choices) == 1 else 'are'} {listed}"
    return f"did you mean {' or '.join(map(repr, closest))}? Valid: {listed}"


def _closest(value: object, choices: list[object]) -> list[object]:
    if isinstance(value, (int, float)) and all(isinstance(c, (int, float)) for c in choices):
        numbers = [c for c in choices if isinstance(c, (int, float))]
        return list(sorted(numbers, key=lambda c: abs(c - value))[:3])
    by_text = {str(choice).casefold(): choice for choice in choices}
    near = difflib.get_close_matches(str(value).casefold(), by_text, n=3, cutoff=0.5)
    return [by_text[text] for text in near]
