"""Recipes of the survey: its sessions, their files, and the units in each structure."""

from __future__ import annotations

from typing import Any

import pandas as pd

from spikehouse import EcephysProjectCache
from spikehouse.schema import list_data_notes, list_structures


def sessions(cache: EcephysProjectCache) -> dict[str, Any]:
    """List the sessions with their structures and known faults, and whether their file is here."""
    table = cache.get_session_table()
    acronyms = table["ecephys_structure_acronyms"]
    notes = list_data_notes(table.index)
    table = table.drop(columns="ecephys_structure_acronyms").assign(
        structures=[" ".join(name for name in names if not pd.isna(name)) for names in acronyms],
        is_here=[cache.is_cached(session_id) for session_id in table.index],
    )
    return {"sessions": table, "notes": notes}


def files(
    cache: EcephysProjectCache, *, session_ids: tuple[int, ...] = (), lfp: bool = False
) -> dict[str, Any]:
    """List the files of sessions (all without ids) and their sizes; asks for those not here."""
    ids = list(session_ids) or cache.get_session_table().index
    rows = [
        {
            "file": item.file,
            "session_id": item.ids[0],
            "probe_id": item.ids[1] if item.kind == "lfp" else None,
            "n_bytes": item.n_bytes,
            "n_bytes_here": item.n_bytes_there,
            "is_here": item.state == "cached",
            "source": item.source,
            "problem": item.problem,
        }
        for item in cache.plan(ids, lfp=lfp, tables=False).items
    ]
    return {"files": pd.DataFrame(rows).astype({"probe_id": float, "n_bytes": float})}


def structure_counts(cache: EcephysProjectCache) -> dict[str, Any]:
    """Count the units of each session and structure that pass the default filters."""
    units = cache.get_units()
    unfiltered = cache.get_units(
        filter_by_validity=False,
        amplitude_cutoff_maximum=None,
        presence_ratio_minimum=None,
        isi_violations_maximum=None,
    )
    by = ["ecephys_session_id", "ecephys_structure_acronym"]
    counts = units.groupby(by, dropna=False).size().rename("unit_count").reset_index(by[1])
    passing = units["ecephys_session_id"].value_counts()
    totals = unfiltered["ecephys_session_id"].value_counts().rename("sorted_count").to_frame()
    return {
        "by_structure": counts,
        "by_session": totals.assign(unit_count=passing).fillna({"unit_count": 0}).sort_index(),
    }


def structures(cache: EcephysProjectCache) -> dict[str, Any]:
    """List the structures of the survey in the order and the colours of the atlas."""
    known = list_structures()
    others = [name for name in cache.get_structure_acronyms() if name not in known.index]
    table = known.reindex([*known.index, *pd.Index(others).dropna()])
    return {"structures": table.fillna({"color": "#9a9a9a"})}
