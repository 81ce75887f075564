"""Figures of the positions of units along the probes."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spikehouse.errors import InvalidArgumentError
from spikehouse.plots._axes import (
    CONDITION_COLORS,
    FAINT,
    INK,
    LINE_MARKERS,
    add_legend,
    count,
    get_axes,
    tidy,
)
from spikehouse.plots._grid import TIP_LABEL
from spikehouse.schema import require_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEPTH = "probe_vertical_position"
STRUCTURE = "ecephys_structure_acronym"
# units within this distance [µm] are drawn side by side
SWARM_STEP = 20.0
# half the width of the column of a probe; the largest distance between two units
SWARM_WIDTH, UNIT_STEP = 0.3, 0.055
# smallest distance between names of structures, as a fraction of the axis
NAME_STEP = 0.03


@dataclass(frozen=True)
class _Stretch:
    """Consecutive channels in one structure ("" outside the brain)."""

    structure: str
    bottom: float
    top: float


def plot_probes(
    units: pd.DataFrame,
    channels: pd.DataFrame | None = None,
    *,
    probe_name_column: str = "probe_description",
    probe_id_column: str = "probe_id",
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the units of a session by depth, one column per probe, coloured by structure.

    Parameters
    ----------
    units
        Table of units such as ``session.units``: ``probe_vertical_position`` [µm from the tip],
        ``ecephys_structure_acronym`` and ``probe_id``.
    channels
        Table of channels such as ``session.channels``, with the same columns, for the boundaries
        between structures. Without it, a legend names the structures.
    probe_name_column
        Column of ``units`` with the names of the probes.
    probe_id_column
        Column of ``units`` and ``channels`` with the ids of the probes.
    ax, title
        Axes to draw on (None makes a new figure), and their title.

    Returns
    -------
    Axes
        One dot per unit at its depth; the horizontal position only separates the dots. A structure
        has the same colour on all probes. If there are more structures than colours, two
        structures share a colour, if possible on different probes. Grey is outside all structures.
    """
    _check_columns(units, (DEPTH, STRUCTURE, probe_id_column, probe_name_column), "units")
    if channels is not None:
        _check_columns(channels, (DEPTH, STRUCTURE, probe_id_column), "channels")
    # units of a laboratory's own table may say the names of their probes alone
    has_id, own_names = units[probe_id_column].notna(), units[probe_name_column]
    if (own_names.isna() & ~has_id).any():
        raise InvalidArgumentError(
            f"{int((own_names.isna() & ~has_id).sum())} of {len(units)} units have neither "
            f"{probe_id_column} nor {probe_name_column}; remove them first"
        )
    if not has_id.all():
        probe_ids = units[probe_id_column].astype(object).where(has_id, own_names)
        units = units.assign(**{probe_id_column: probe_ids})
    probes = units.drop_duplicates(probe_id_column).sort_values(probe_name_column, kind="stable")
    ids, names = probes[probe_id_column].tolist(), probes[probe_name_column].astype(str).tolist()
    stretches = {} if channels is None else _find_stretches(channels, ids, probe_id_column)
    # without channels, neighbouring structures are found from the units
    known = stretches or _find_stretches(units, ids, probe_id_column)
    colors = _structure_colors(units, known)
    markers = _structure_markers(colors) if not stretches else dict.fromkeys(colors, "o")
    ax = get_axes(ax, size=(1.2 + 1.7 * max(len(ids), 2), 6.4))
    for column, probe_id in enumerate(ids):
        part = units[units[probe_id_column] == probe_id]
        depths = part[DEPTH].to_numpy(dtype=np.float64)
        places, acronyms = column + _swarm(depths), np.array(_acronyms(part))
        for name in dict.fromkeys(acronyms.tolist()):
            is_there = acronyms == name
            ax.scatter(
                places[is_there], depths[is_there], s=18, linewidths=0.3, edgecolors="white",
                zorder=3, color=colors[name], marker=markers[name],
            )  # fmt: skip
        _draw_stretches(ax, column, stretches.get(probe_id, []))
    low, high = ax.get_ylim()
    for column, probe_id in enumerate(ids):
        _name_stretches(ax, column, stretches.get(probe_id, []), colors, (high - low) * NAME_STEP)
    counts = units.groupby(probe_id_column).size()
    ax.set_xticks(
        range(len(ids)),
        [f"{n}\n{count(counts[i], 'unit')}" for n, i in zip(names, ids, strict=True)],
    )
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.5, len(ids) - 0.5 + (0.15 if stretches else 0.0))
    ax.set_ylabel(TIP_LABEL)
    if not stretches:
        from matplotlib.lines import Line2D

        handles = [
            Line2D(
                [], [], linestyle="", marker=markers[name], markersize=5, color=color, label=name
            )
            for name, color in colors.items()
            if name
        ]
        add_legend(ax, handles=handles)
    return tidy(ax, title=title)


def _check_columns(table: pd.DataFrame, needed: tuple[str, ...], name: str) -> None:
    require_columns(table, *needed, what=name)
    if table.empty:
        raise InvalidArgumentError(f"{name} has no rows: nothing to draw")
    depths = table[DEPTH].to_numpy(dtype=np.float64)
    if not np.isfinite(depths).all():
        raise InvalidArgumentError(
            f"{DEPTH} of {int((~np.isfinite(depths)).sum())} of {len(table)} rows of {name} is not "
            "a finite number; remove them first"
        )


def _acronyms(table: pd.DataFrame) -> list[str]:
    """Return the structure of each row, "" if there is none."""
    given = table[STRUCTURE]
    return ["" if pd.isna(name) or name == "None" else str(name) for name in given]


def _find_stretches(
    channels: pd.DataFrame, ids: list[Any], column: str
) -> dict[Hashable, list[_Stretch]]:
    return {
        probe_id: _stretches_of(channels[channels[column] == probe_id])
        for probe_id in ids
        if (channels[column] == probe_id).any()
    }


def _stretches_of(channels: pd.DataFrame) -> list[_Stretch]:
    ordered = channels.sort_values(DEPTH, kind="stable")
    names, depths = np.array(_acronyms(ordered)), ordered[DEPTH].to_numpy(dtype=np.float64)
    changes = np.flatnonzero(names[1:] != names[:-1])
    borders = (depths[changes] + depths[changes + 1]) / 2
    edges = np.concatenate([[depths[0]], borders, [depths[-1]]])
    firsts = np.concatenate([[0], changes + 1])
    return [
        _Stretch(str(names[first]), float(bottom), float(top))
        for first, bottom, top in zip(firsts, edges[:-1], edges[1:], strict=True)
    ]


def _structure_colors(
    units: pd.DataFrame, stretches: dict[Hashable, list[_Stretch]]
) -> dict[str, str]:
    """Choose colours so that structures of one probe differ, above all neighbours."""
    rows = [[stretch.structure for stretch in row] for row in stretches.values()]
    # structures with units first, because only their colours are visible
    names = dict.fromkeys([*_acronyms(units), *itertools.chain.from_iterable(rows)])
    pairs = {pair for row in rows for pair in itertools.pairwise(row)}
    colors = {"": FAINT}
    for name in names:
        if name == "":
            continue
        beside = [other for other in colors if {(name, other), (other, name)} & pairs]
        around = [other for row in rows if name in row for other in row if other in colors]
        costs = dict.fromkeys(CONDITION_COLORS, 0)
        for others, cost in ((colors, 1), (around, 100), (beside, 10_000)):
            for other in others:
                if other:
                    costs[colors[other]] += cost
        colors[name] = min(costs, key=costs.__getitem__)
    return colors


def _swarm(depths: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return horizontal offsets that put units of similar depth side by side."""
    levels = np.floor(depths / SWARM_STEP)
    order = np.argsort(levels, kind="stable")
    _, first, counts = np.unique(levels[order], return_index=True, return_counts=True)
    rank = np.arange(len(depths)) - np.repeat(first, counts)
    row_length = np.repeat(counts, counts)
    step = np.minimum(UNIT_STEP, 2 * SWARM_WIDTH / np.maximum(row_length - 1, 1))
    places = np.empty(len(depths))
    places[order] = (rank - (row_length - 1) / 2) * step
    return places


def _draw_stretches(ax: Axes, column: int, stretches: list[_Stretch]) -> None:
    for stretch in stretches[1:]:
        ax.hlines(
            stretch.bottom, column - SWARM_WIDTH - 0.05, column + SWARM_WIDTH + 0.05, colors=INK,
            linewidth=0.7, zorder=1,
        )  # fmt: skip
    if stretches:
        ends = [stretches[0].bottom, stretches[-1].top]
        # the shank of the probe
        ax.plot([column, column], ends, color="#e6e6e6", linewidth=5, zorder=0)


def _name_stretches(
    ax: Axes, column: int, stretches: list[_Stretch], colors: dict[str, str], step: float
) -> None:
    """Write the names of the structures beside the probe, moved up if they would overlap."""
    named = [stretch for stretch in stretches if stretch.structure]
    height = -np.inf
    for stretch in named:
        height = max((stretch.bottom + stretch.top) / 2, height + step)
        ax.text(
            column + SWARM_WIDTH + 0.08, height, stretch.structure, va="center",
            fontsize="x-small", color=colors[stretch.structure],
        )  # fmt: skip


def _structure_markers(colors: dict[str, str]) -> dict[str, str]:
    """Choose different markers for structures that share a colour."""
    seen = dict.fromkeys([*CONDITION_COLORS, FAINT], 0)
    markers = {}
    for name, color in colors.items():
        markers[name] = LINE_MARKERS[seen[color] % len(LINE_MARKERS)]
        seen[color] += 1
    return markers
