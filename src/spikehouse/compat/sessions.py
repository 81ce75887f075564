"""Sessions whose stimulus tables hold text where AllenSDK's do, for filters written for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from spikehouse import project, session
from spikehouse.compat.functions import as_unsigned

if TYPE_CHECKING:
    from pathlib import Path

    from spikehouse.labelled import Ids
    from spikehouse.remote.streaming.ranges import RemoteBytes
    from spikehouse.stimuli import Missing

__all__ = ["EcephysProjectCache", "EcephysSession"]


class ParameterText(str):
    """The text of a parameter in a file, which also compares as the number or pair it stands for.

    Parameters
    ----------
    text
        As the file has it.
    value
        A number, or a tuple of numbers.
    """

    value: Any
    # numpy leaves comparisons of its scalars and arrays to the methods below
    __array_ufunc__ = None

    def __new__(cls, text: str, value: object) -> Self:
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

    # found as AllenSDK's text is, by `isin`, in sets and as a key
    __hash__ = str.__hash__


class EcephysSession(session.EcephysSession):
    """A session whose stimulus tables hold text where AllenSDK's do.

    ``phase``, ``size`` and ``spatial_frequency`` are text in released files. AllenSDK leaves them
    so; here their values are text that is also equal to the number: ``table["phase"] == "0.0"``
    and ``table["phase"] == 0.0`` select the same rows. Counts are unsigned, as AllenSDK's are.
    """

    def presentationwise_spike_counts(
        self,
        bin_edges: npt.ArrayLike,
        stimulus_presentation_ids: Ids | None = None,
        unit_ids: Ids | None = None,
        binarize: bool = False,
        dtype: npt.DTypeLike | None = None,
        *arguments: Any,  # noqa: ANN401 - handed on
        **options: Any,  # noqa: ANN401
    ) -> xr.DataArray:
        """Count spikes in bins around the onset of presentations.

        Parameters
        ----------
        bin_edges, stimulus_presentation_ids, unit_ids, binarize, *arguments, **options
            As for `spikehouse.session.EcephysSession.presentationwise_spike_counts`.
        dtype
            Of the counts; if None, uint16, or wider where a count needs it; uint8 when binarized.

        Returns
        -------
        DataArray
            As there.
        """
        counts = super().presentationwise_spike_counts(
            bin_edges, stimulus_presentation_ids, unit_ids, binarize, dtype, *arguments, **options
        )
        is_mean = counts.dtype.kind == "f"
        if dtype is not None or is_mean:
            return counts
        return counts.copy(data=as_unsigned(counts.to_numpy()))

    @cached_property
    def _texts(self) -> dict[str, dict[Any, ParameterText]]:
        """The parameters that are text in the file: value → text."""
        return {
            name: {value: ParameterText(text, value) for value, text in column.texts.items()}
            for name, column in self._presentations.parameters.items()
            if column.texts
        }

    def _write_text(self, table: pd.DataFrame) -> pd.DataFrame:
        for name in table.columns.intersection(list(self._texts)):
            codes, values = pd.factorize(table[name], use_na_sentinel=False)
            written = _replace(values, self._texts[name])[codes]
            # pandas 3 would make plain text of it without the type
            table[name] = pd.Series(written, index=table.index, dtype=object)
        return table

    @cached_property
    def stimulus_presentations(self) -> pd.DataFrame:
        """One row a presentation in order of start time, "null" where a parameter does not apply.

        Presentations that touch an invalid interval are named ``invalid_presentation``.
        """
        return self._write_text(super().stimulus_presentations)

    @cached_property
    def stimulus_conditions(self) -> pd.DataFrame:
        """One row a distinct set of parameters, numbered in order of first appearance."""
        return self._write_text(super().stimulus_conditions)

    def get_stimulus_table(
        self,
        stimulus_names: str | Collection[str] | None = None,
        include_detailed_parameters: bool = False,
        include_unused_parameters: bool = False,
        *,
        missing: Missing = "null",
    ) -> pd.DataFrame:
        """Get the presentations of some stimuli.

        Parameters
        ----------
        stimulus_names, include_detailed_parameters, include_unused_parameters
            As for `spikehouse.session.EcephysSession.get_stimulus_table`.
        missing
            "null", or "nan" for columns of numbers.

        Returns
        -------
        DataFrame
            As there; with "null", text where AllenSDK has it.
        """
        table = super().get_stimulus_table(
            stimulus_names,
            include_detailed_parameters,
            include_unused_parameters,
            missing=missing,
        )
        return self._write_text(table) if missing == "null" else table

    def get_stimulus_parameter_values(
        self, stimulus_presentation_ids: Ids | None = None, drop_nulls: bool = True
    ) -> dict[str, npt.NDArray[Any]]:
        """Get the values that each stimulus parameter takes.

        Parameters
        ----------
        stimulus_presentation_ids, drop_nulls
            As for `spikehouse.session.EcephysSession.get_stimulus_parameter_values`.

        Returns
        -------
        dict
            As there, with text where AllenSDK has it.
        """
        values = super().get_stimulus_parameter_values(stimulus_presentation_ids, drop_nulls)
        for name in values.keys() & self._texts:
            values[name] = _replace(values[name], self._texts[name])
        return values


def _replace(values: Iterable[Any], texts: Mapping[Any, ParameterText]) -> npt.NDArray[np.object_]:
    return np.array([texts.get(value, value) for value in values], dtype=object)


class EcephysProjectCache(project.EcephysProjectCache):
    """The survey, whose sessions have stimulus tables with text where AllenSDK's have it."""

    def _open_session(self, file: Path | RemoteBytes, options: dict[str, Any]) -> EcephysSession:
        return EcephysSession.from_nwb_path(file, api_kwargs=options)
