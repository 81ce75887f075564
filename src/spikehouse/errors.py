"""Every exception the package raises on purpose.

::

    SpikehouseError
    ├── InvalidArgumentError   (ValueError)            an argument that cannot be meant
    ├── NotFoundError          (KeyError, ValueError)  an id or a name that is not there
    │   └── SessionNotFoundError                       … a session the survey does not have
    ├── CacheError             (OSError)               the cache folder: manifest, rights, space
    ├── InvalidFileError       (OSError)               a file that is not what it should be
    │   └── ChecksumError                              … whose bytes differ from the published ones
    ├── SourceError            (ConnectionError)       a server: unreachable, status, nonsense
    └── TransferError          (ConnectionError)       a download that did not arrive whole

The room ``compat`` adds two to it: ``CompatibilityError`` (ImportError) and under it
``MissingModuleError`` (ModuleNotFoundError).

Each leaf is also the built-in exception a caller would expect, so ``except KeyError`` and
``except OSError`` go on working. A message says what happened, with which value, what would
have been valid, and what to do.
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
    "InvalidArgumentError",
    "InvalidFileError",
    "NotFoundError",
    "SessionNotFoundError",
    "SourceError",
    "SpikehouseError",
    "TransferError",
    "copying",
    "describe_choices",
    "describe_value",
    "guard_public",
    "printable",
]

N_LISTED = 8
N_CHARACTERS = 80
# what Python, numpy, pandas, xarray and scikit-learn raise about what they cannot use
_FOREIGN = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError)


# the user and password of an address
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s@]*@")


def printable(text: object, *, keep: str = "") -> str:
    """Escape what could steer or mislead a terminal, and hide the passwords of addresses.

    Parameters
    ----------
    text
        What a file, a server or the name of a folder says.
    keep
        Characters to leave as they are, such as the line breaks of our own messages.

    Returns
    -------
    str
        The same text with escapes in place of control characters, marks of text direction and
        halves of surrogate pairs.
    """
    shown = _CREDENTIALS.sub("***@", str(text))
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in shown)


class SpikehouseError(Exception):
    """Base of every error raised on purpose by this package.

    Attributes
    ----------
    advice
        What to do, where many errors of one cause share it: it is then said once.
    """

    advice = ""

    @property
    def message(self) -> str:
        """What happened, without the advice."""
        return printable(self.args[0], keep="\n") if self.args else ""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which turns a sentence into a quoted string
        return f"{self.message}. {self.advice}" if self.advice else self.message


class InvalidArgumentError(SpikehouseError, ValueError):
    """An argument that cannot be meant: unsorted edges, duplicate ids, an unknown option."""


class NotFoundError(SpikehouseError, KeyError, ValueError):
    """An id or a name (unit, stimulus, structure, probe, file) that is not there.

    A KeyError for those who look it up; programs written for AllenSDK catch a ValueError where a
    probe has no LFP.
    """


class SessionNotFoundError(NotFoundError):
    """A session id that the survey does not have."""


class CacheError(SpikehouseError, OSError):
    """The cache folder cannot be used: no manifest, no right to write, no space left."""


class InvalidFileError(SpikehouseError, OSError):
    """A file that is not what its name says: not HDF5, cut short, without the NWB groups."""


class ChecksumError(InvalidFileError):
    """A file whose digest is not the one that was published or recorded for it."""


class SourceError(SpikehouseError, ConnectionError):
    """A server that cannot be reached or that answers with an error or with nonsense."""


class TransferError(SpikehouseError, ConnectionError):
    """A download that did not arrive whole; nothing is left under the final name."""


@contextlib.contextmanager
def copying(whole: str, part: object) -> Iterator[None]:
    """Name the part that keeps the whole from being pickled or copied, and what to do.

    Parameters
    ----------
    whole
        What is pickled, for the message.
    part
        What the body pickles or copies.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    InvalidArgumentError
        If the body fails.
    """
    try:
        yield
    except Exception as error:
        raise InvalidArgumentError(
            f"{whole} cannot be pickled or copied, because its {type(part).__name__} cannot: "
            f"{error}. Open it again in each process, or give that class a __reduce__ that "
            "returns how to open it again"
        ) from error


def guard_public(namespace: dict[str, Any]) -> None:
    """Have the functions of ``__all__`` raise errors of this package about what they are given.

    What other packages raise while such a function works becomes an InvalidArgumentError that says
    what was given; the error itself is its ``__cause__``. Calls that do not fit the signature
    remain Python's TypeError. Dataclasses are guarded where they check themselves.

    Parameters
    ----------
    namespace
        ``globals()``, at the end of the module.
    """
    for name in namespace["__all__"]:
        found = namespace.get(name)
        # a wrapper would change whose line a warning names
        if inspect.isfunction(found) and not name.startswith("warn_"):
            guarded = _guard(found, name)
            # in its own module as well, or it could not be pickled
            setattr(sys.modules[found.__module__], name, guarded)
            namespace[name] = guarded
        elif dataclasses.is_dataclass(found) and "__post_init__" in vars(found):
            setattr(found, "__post_init__", _guard(vars(found)["__post_init__"], name))  # noqa: B010


def _guard(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the function
        try:
            return function(*args, **kwargs)
        except SpikehouseError:
            raise
        except _FOREIGN as error:
            trace = error.__traceback__
            if trace is None or trace.tb_next is None:
                raise  # the call itself does not fit the signature
            given = inspect.signature(function).bind(*args, **kwargs).arguments
            if name != function.__name__:  # a dataclass: its fields
                given = vars(given["self"])
            listed = ", ".join(f"{key}={describe_value(value)}" for key, value in given.items())
            raise InvalidArgumentError(
                f"{name} cannot use what it was given: {type(error).__name__}: {error}. "
                f"It was given {listed}"
            ) from error

    return guarded


def describe_value(value: object) -> str:
    """Name a wrong argument in a message, on one line.

    Parameters
    ----------
    value
        What was given.

    Returns
    -------
    str
        Its repr; type and shape of a table or an array.
    """
    shape = getattr(value, "shape", ())
    if shape:
        return f"a {type(value).__name__} of shape {shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= N_CHARACTERS else f"{text[:N_CHARACTERS]}…"


def describe_choices(value: object, valid: Iterable[object]) -> str:
    """Say which valid values are closest to a wrong one.

    Parameters
    ----------
    value
        What was given.
    valid
        What could have been given.

    Returns
    -------
    str
        ``"did you mean 'flashes'? Valid: 'flashes', 'gabors', …"``; numbers are compared by
        distance, anything else by spelling. At most eight valid values are listed.
    """
    choices = list(valid)
    if not choices:
        return "there are none here"
    closest = _closest(value, choices)
    listed = ", ".join(repr(choice) for choice in choices[:N_LISTED])
    if len(choices) > N_LISTED:
        listed += f", … ({len(choices)} in all)"
    hint = f"did you mean {' or '.join(repr(choice) for choice in closest)}? " if closest else ""
    return f"{hint}Valid: {listed}"


def _closest(value: object, choices: list[object]) -> list[object]:
    if isinstance(value, (int, float)) and all(isinstance(c, (int, float)) for c in choices):
        numbers = [c for c in choices if isinstance(c, (int, float))]
        return list(sorted(numbers, key=lambda c: abs(c - value))[:3])
    by_text = {str(choice).casefold(): choice for choice in choices}
    near = difflib.get_close_matches(str(value).casefold(), by_text, n=3, cutoff=0.5)
    return [by_text[text] for text in near]
