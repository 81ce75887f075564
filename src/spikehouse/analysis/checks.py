"""Definitions of the metrics, checks of responses, and division by what may be zero."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from spikehouse.errors import InvalidArgumentError, describe_choices, describe_value

Definition = Literal["corrected", "published"]
"""``"published"`` computes the numbers of the released tables, faults included; ``"corrected"``,
the default everywhere, a better number where there is one."""

DEFINITIONS: tuple[Definition, ...] = ("corrected", "published")


def check_definition(definition: str) -> None:
    """Raise InvalidArgumentError unless the definition is one of ``DEFINITIONS``."""
    if definition not in DEFINITIONS:
        raise InvalidArgumentError(
            f"there is no definition {definition!r} of the metrics: "
            f"{describe_choices(definition, DEFINITIONS)}"
        )


# Values that differ by less than this part of the largest differ by rounding.
TOLERANCE = 1e-9


def check_not_negative(values: npt.NDArray[np.float64], name: str) -> None:
    """Raise InvalidArgumentError if a response is negative: the index would leave its range."""
    if (values < 0).any():
        raise InvalidArgumentError(
            f"{name} has negative values, the lowest {np.nanmin(values):g}; this index is defined "
            "for counts and rates from 0 up: do not subtract a baseline or standardize them first"
        )


def check_whole(value: object, name: str) -> None:
    """Raise InvalidArgumentError unless the value is a whole number; True is none."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise InvalidArgumentError(f"{name} is {describe_value(value)}; give a whole number")


def is_flat(values: npt.NDArray[np.float64], *, axis: int) -> npt.NDArray[np.bool_]:
    """Return where values differ by nothing but rounding; True without values and where one is NaN.

    Means of equal numbers are often a rounding apart, and an index that divides by their spread
    would be that of the rounding.
    """
    span = values.max(axis=axis, initial=-np.inf) - values.min(axis=axis, initial=np.inf)
    differs = span > TOLERANCE * np.abs(values).max(axis=axis, initial=0.0)
    return np.asarray(~differs, dtype=np.bool_)


def divide(above: npt.ArrayLike, below: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Divide; NaN or infinite, without a warning, where the divisor is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.divide(above, below), dtype=np.float64)
