"""Paths within one file, followed without leaving it, going round in circles or opening others."""

from __future__ import annotations

from typing import Any

import h5py
from h5py import h5d, h5g, h5l, h5o

from spikehouse.errors import InvalidFileError
from spikehouse.io._stored import charge, reading, where

# soft links on the way to one object; NWB files have one
LARGEST_DEPTH = 16
LONGEST_TARGET = 4096
_N_SHOWN = 200
_N_LISTED = 50


def list_names(group: h5py.Group) -> list[str]:
    """List the members of a group without opening them; a name that is no UTF-8 is left out."""
    return list(list_links(group))


def list_links(group: h5py.Group, *, addresses: bool = False) -> dict[str, int | None]:
    """Give the members of a group and, if asked (3 µs each), where their headers lie in the file.

    The place is None where it was not asked for, and of soft and external links.
    """
    with reading(group, verb="listed"):
        # a name that is no UTF-8 is none that anybody asks for, and cannot be shown
        keys = [key for key in group.id if "\ufffd" not in key.decode("utf-8", "replace")]
        found: dict[str, int | None] = dict.fromkeys(map(_decode, keys))
        for key in keys if addresses else ():
            info = group.id.links.get_info(key)
            found[_decode(key)] = int(info.u) if info.type == h5l.TYPE_HARD else None
    return found


def _decode(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")


def find(start: h5py.Group, path: str) -> h5py.HLObject | None:
    """Follow a path within one file; give what is there, None where nothing is.

    A path that leads out of the file (an external link, a virtual dataset, values in other files),
    round in circles or to something that cannot be opened raises InvalidFileError. One component
    costs about 20 µs, less than ``group[name]``.
    """
    return _walk(start, path)[0]


def _walk(start: h5py.Group, path: str) -> tuple[h5py.HLObject | None, Any]:
    """Follow a path; of a dataset give how it was created too, which takes a while to get."""
    node, plan = (start["/"] if path.startswith("/") else start), None
    pending = path.split("/")[::-1]
    n_soft = 0
    while pending:
        name = pending.pop()
        if name in ("", "."):
            continue
        if not isinstance(node, h5py.Group):
            return None, None
        found, plan, target = _look(node, name.encode("utf-8", "surrogateescape"))
        if target is None:
            if found is None:
                return None, None
            node = found
            continue
        n_soft += 1
        if n_soft > LARGEST_DEPTH or len(target) > LONGEST_TARGET:
            raise InvalidFileError(
                f"{where(node, f'/{name}')} is a soft link to {_shown(target)}, the {n_soft}th on "
                "the way: it leads round in circles and was not followed"
            )
        text = _decode(target)
        node = node["/"] if text.startswith("/") else node
        pending.extend(text.split("/")[::-1])
    return node, plan


def _look(group: h5py.Group, key: bytes) -> tuple[h5py.HLObject | None, Any, bytes | None]:
    """Open one member of a group, a dataset with how it was created; a soft link's target."""
    shown = "/" + key.decode("utf-8", "replace")
    with reading(group, shown, verb="opened"):
        links = group.id.links
        try:
            kind = links.get_info(key).type
        except (KeyError, RuntimeError):  # which of them depends on the version
            if links.exists(key):
                raise
            return None, None, None
        if kind == h5l.TYPE_HARD:
            return *_open(group, key), None
        target = links.get_val(key) if kind in (h5l.TYPE_SOFT, h5l.TYPE_EXTERNAL) else None
    if kind == h5l.TYPE_SOFT:
        return None, None, bytes(target or b"")
    place = where(group, shown)
    if target is None:
        raise InvalidFileError(f"{place} is a link of unknown kind {kind}; it was not followed")
    raise InvalidFileError(
        f"{place} is an external link to {_shown(target[1])} in {_shown(target[0])}; it was not "
        "followed, because a recording's file must hold what it shows. If you trust it, copy "
        "what it points at into the file"
    )


def _open(group: h5py.Group, key: bytes) -> tuple[h5py.HLObject, Any]:
    found = h5o.open(group.id, key)
    if isinstance(found, h5d.DatasetID):
        dataset, plan = h5py.Dataset(found, readonly=True), found.get_create_plist()
        _check_layout(dataset, plan)
        return dataset, plan
    is_group = isinstance(found, h5g.GroupID)
    return (h5py.Group(found) if is_group else h5py.Datatype(found)), None


def _check_layout(dataset: h5py.Dataset, plan: Any) -> None:  # noqa: ANN401 - of h5py
    layout = plan.get_layout()
    # the others cannot have external files
    if layout not in (h5d.VIRTUAL, h5d.CONTIGUOUS):
        return
    if layout == h5d.VIRTUAL:
        targets = [plan.get_virtual_filename(n) for n in range(min(plan.get_virtual_count(), 3))]
        raise InvalidFileError(
            f"{where(dataset)} is a virtual dataset put together from "
            f"{', '.join(map(_shown, targets))}; it was not followed, because a recording's file "
            "must hold what it shows"
        )
    if plan.get_external_count():
        raise InvalidFileError(
            f"{where(dataset)} keeps its values in the file {_shown(plan.get_external(0)[0])}; it "
            "was not followed, because a recording's file must hold what it shows"
        )


def find_dataset(start: h5py.Group, path: str) -> h5py.Dataset | None:
    """Follow a path to a dataset, which is charged to the budget; None where there is none."""
    found, plan = _walk(start, path)
    if not isinstance(found, h5py.Dataset):
        return None
    charge(found, plan)
    return found


def find_group(start: h5py.Group, path: str) -> h5py.Group | None:
    """Follow a path to a group; None where there is none."""
    found = find(start, path)
    return found if isinstance(found, h5py.Group) else None


def member(group: h5py.Group, name: str) -> h5py.Dataset:
    """Open a dataset that must be in a group, and charge it to the budget."""
    found = find_dataset(group, name)
    if found is None:
        raise InvalidFileError(
            f"{where(group)} has no dataset {name!r}; the group holds {describe_members(group)}"
        )
    return found


def reopen(root: h5py.Group, path: str) -> h5py.Dataset:
    """Open a dataset that was charged before; only the way to it is checked again."""
    found = find(root, path)
    if not isinstance(found, h5py.Dataset):
        raise InvalidFileError(f"{where(root, f'/{path}')} is no longer there")
    return found


def describe_members(group: h5py.Group) -> str:
    """Name up to fifty members of a group, for a message."""
    return ", ".join(list_names(group)[:_N_LISTED]) or "nothing"


def _shown(target: bytes | str) -> str:
    text = target.decode("utf-8", "replace") if isinstance(target, bytes) else target
    return repr(text[:_N_SHOWN]) + ("…" if len(text) > _N_SHOWN else "")
