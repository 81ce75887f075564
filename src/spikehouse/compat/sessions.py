"""Sessions whose stimulus tables hold text where AllenSDK's do, so that its filters work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse import cache, session
from spikehouse.compat.functions import as_unsigned
from spikehouse.compat.queries import FetchApi
from spikehouse.session_source import SessionSource

if TYPE_CHECKING:
    from pathlib import Path

    from spikehouse.labelled import Ids
    from spikehouse.transfer.remote_bytes import RemoteBytes


class ParameterText(str):
    """A parameter's text in the file that also compares equal to its number or pair of numbers."""

    value: Any
    # makes numpy use the comparisons below
    __array_ufunc__ = None

    def __new__(cls, text: str, value: object) -> Self:  # noqa: D102
        self = super().__new__(cls, text)
        self.value = value
        return self

    def __reduce__(self) -> tuple[type[ParameterText], tuple[str, Any]]:
        return ParameterText, (str(self), self.value)

    def __eq__(self, other: object) -> Any:  # noqa: ANN401 - an array for an array
        if isinstance(other, str):
            return str.__eq__(self, other)
        if isinstance(other, np.ndarray) and other.ndim:
            return np.array([self == one for one in other.ravel()]).reshape(other.shape)
        plain = other.item() if isinstance(other, (np.generic, np.ndarray)) else other
        return bool(self.value == (tuple(plain) if isinstance(plain, list) else plain))

    def __ne__(self, other: object) -> Any:  # noqa: ANN401
        return np.logical_not(self == other) if isinstance(other, np.ndarray) else not self == other

    # so that `isin`, sets and dictionaries find it as they find text
    __hash__ = str.__hash__


class EcephysSession(session.EcephysSession):
    """A session whose stimulus tables hold text where AllenSDK's do."""

    # phase, size and spatial_frequency are text in released files, and AllenSDK leaves them so.
    # Here these texts are also equal to the number: table["phase"] == "0.0" and
    # table["phase"] == 0.0 select the same rows. Counts are unsigned, as AllenSDK's are.

    def _count_spikes(
        self,
        units: list[int],
        domain: npt.NDArray[np.float64],
        **options: Any,  # noqa: ANN401
    ) -> npt.NDArray[Any]:
        counts = super()._count_spikes(units, domain, **options)
        return counts if options["dtype"] is not None else as_unsigned(counts)

    @cached_property
    def _texts(self) -> dict[str, dict[Any, ParameterText]]:
        """Parameter → value → text, of the parameters that are text in the file."""
        return {
            name: {value: ParameterText(text, value) for value, text in column.texts.items()}
            for name, column in self._presentations.parameters.items()
            if column.texts
        }

    def _write_text(self, table: pd.DataFrame) -> pd.DataFrame:
        for name in table.columns.intersection(list(self._texts)):
            codes, values = pd.factorize(table[name], use_na_sentinel=False)
            written = _replace(values, self._texts[name])[codes]
            # without the dtype pandas 3 would convert it to plain text
            table[name] = pd.Series(written, index=table.index, dtype=object)
        return table

    def _list_presentations(self, **options: Any) -> pd.DataFrame:  # noqa: ANN401
        table = super()._list_presentations(**options)
        return table if options.get("missing") == "nan" else self._write_text(table)

    @cached_property
    def stimulus_conditions(self) -> pd.DataFrame:
        """The stimulus conditions with text where AllenSDK has text."""
        return self._write_text(super().stimulus_conditions)

    def get_stimulus_parameter_values(
        self, stimulus_presentation_ids: Ids | None = None, drop_nulls: bool = True
    ) -> dict[str, npt.NDArray[Any]]:
        """Return the values of each stimulus parameter, as text where AllenSDK has text."""
        values = super().get_stimulus_parameter_values(stimulus_presentation_ids, drop_nulls)
        for name in values.keys() & self._texts:
            values[name] = _replace(values[name], self._texts[name])
        return values


def _replace(values: Iterable[Any], texts: Mapping[Any, ParameterText]) -> npt.NDArray[np.object_]:
    return np.array([texts.get(value, value) for value in values], dtype=object)


class EcephysProjectCache(cache.EcephysProjectCache):
    """The project cache, whose sessions have stimulus tables with text where AllenSDK's do."""

    @property
    def fetch_api(self) -> Any:  # noqa: ANN401 - also what was passed as `fetch_api`
        """The preferred source, with the methods of AllenSDK's sources."""
        source = super().fetch_api
        return FetchApi(source) if hasattr(source, "locate") else source

    def _open_session(self, file: Path | RemoteBytes, options: dict[str, Any]) -> EcephysSession:
        return EcephysSession.from_nwb_path(file, api_kwargs=options)


class EcephysSessionApi(SessionSource):
    """Base class of adapters, with which labs open their own recordings as sessions.

    Override the methods for which the recording has data.
    """

    session_na = -1

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - what a subclass takes
        del args, kwargs
