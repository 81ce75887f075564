"""Where things lie in a cache folder, and in the public bucket, which is one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from spikehouse.errors import NotFoundError, describe_choices
from spikehouse.remote.protocol import TABLE_FILES, TableFile

__all__ = [
    "METRICS_FILES",
    "lfp_key",
    "movie_key",
    "scene_key",
    "session_key",
    "session_metrics_key",
    "table_key",
]

# session type → the CSV with the metrics of its units
METRICS_FILES: Mapping[str, TableFile] = MappingProxyType(
    {
        name.removesuffix("_analysis_metrics"): name
        for name in TABLE_FILES
        if name.endswith("_analysis_metrics")
    }
)


def table_key(name: str) -> str:
    """Say where a table lies.

    Parameters
    ----------
    name
        One of :data:`spikehouse.remote.protocol.TABLE_FILES`.

    Returns
    -------
    str
        The path below the folder, with slashes.

    Raises
    ------
    NotFoundError
        If there is no such table.
    """
    if name not in TABLE_FILES:
        raise NotFoundError(f"there is no table {name!r}: {describe_choices(name, TABLE_FILES)}")
    return f"{name}.csv"


def session_key(session_id: int) -> str:
    """Say where the file of a session lies.

    Parameters
    ----------
    session_id
        The session.

    Returns
    -------
    str
        The path below the folder, with slashes.
    """
    return f"session_{session_id:d}/session_{session_id:d}.nwb"


def session_metrics_key(session_id: int) -> str:
    """Say where the analysis metrics of a session's units lie, once they were asked for.

    Parameters
    ----------
    session_id
        The session.

    Returns
    -------
    str
        The path below the folder, with slashes. The bucket has no such files.
    """
    return f"session_{session_id:d}/session_{session_id:d}_analysis_metrics.csv"


def lfp_key(session_id: int, probe_id: int) -> str:
    """Say where the LFP file of a probe lies.

    Parameters
    ----------
    session_id
        The probe's session.
    probe_id
        The probe.

    Returns
    -------
    str
        The path below the folder, with slashes.
    """
    return f"session_{session_id:d}/probe_{probe_id:d}_lfp.nwb"


def scene_key(number: int) -> str:
    """Say where an image lies.

    Parameters
    ----------
    number
        Its number, from 0.

    Returns
    -------
    str
        The path below the folder, with slashes.
    """
    return f"natural_scene_templates/natural_scene_{number:d}.tiff"


def movie_key(number: int) -> str:
    """Say where a movie lies.

    Parameters
    ----------
    number
        1 or 3.

    Returns
    -------
    str
        The path below the folder, with slashes. It ends in ``.h5`` and holds a NumPy array.
    """
    return f"natural_movie_templates/natural_movie_{number:d}.h5"
