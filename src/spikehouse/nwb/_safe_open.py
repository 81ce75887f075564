"""Follow paths within one HDF5 file, never into another file and never along circular links."""

from __future__ import annotations

from typing import Any

import h5py
from h5py import h5d, h5g, h5l, h5o

from spikehouse.errors import InvalidFileError
from spikehouse.nwb._check_size import charge, reading, where

# soft links that are followed to reach one object; NWB files need one
LARGEST_DEPTH = 16
LONGEST_TARGET = 4096
_N_SHOWN = 200
_N_LISTED = 50


def list_names(group: h5py.Group) -> list[str]:
    """List the members of a group without opening them; names that are not UTF-8 are left out."""
    return list(list_links(group))


def list_links(group: h5py.Group, *, addresses: bool = False) -> dict[str, int | None]:
    """Map the members of a group to the addresses of their headers, None if not asked for."""
    # Looking up an address takes 3 µs; soft and external links have none.
    with reading(group, verb="listed"):
        # nobody asks for a name that is not UTF-8, and it cannot be printed
        keys = [key for key in group.id if "\ufffd" not in key.decode("utf-8", "replace")]
        found: dict[str, int | None] = dict.fromkeys(map(_decode, keys))
        for key in keys if addresses else ():
            info = group.id.links.get_info(key)
            found[_decode(key)] = int(info.u) if info.type == h5l.TYPE_HARD else None
    return found


def _decode(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")


def find(start: h5py.Group, path: str) -> h5py.HLObject | None:
    """Follow a path within one file and open what it leads to; return None if nothing is there."""
    # Every object is opened here, so that no file can make the library open another file: a path
    # that leads to an external link, a virtual dataset, values stored in another file or a circle
    # of soft links raises InvalidFileError. A component takes about 20 µs, less than group[name].
    return _walk(start, path)[0]


def _walk(start: h5py.Group, path: str) -> tuple[h5py.HLObject | None, Any]:
    """Follow a path; return the object and, of a dataset, its creation property list."""
    node, creation = (start["/"] if path.startswith("/") else start), None
    pending = path.split("/")[::-1]
    n_soft = 0
    while pending:
        name = pending.pop()
        if name in ("", "."):
            continue
        if not isinstance(node, h5py.Group):
            return None, None
        found, creation, target = _look(node, name.encode("utf-8", "surrogateescape"))
        if target is None:
            if found is None:
                return None, None
            node = found
            continue
        n_soft += 1
        if n_soft > LARGEST_DEPTH or len(target) > LONGEST_TARGET:
            raise InvalidFileError(
                f"{where(node, f'/{name}')} is a soft link to {_shown(target)}, link number "
                f"{n_soft} of this path: the links are circular and were not followed"
            )
        text = _decode(target)
        node = node["/"] if text.startswith("/") else node
        pending.extend(text.split("/")[::-1])
    return node, creation


def _look(group: h5py.Group, key: bytes) -> tuple[h5py.HLObject | None, Any, bytes | None]:
    """Open a member of a group; return it, its creation property list and a soft link's target."""
    shown = "/" + key.decode("utf-8", "replace")
    with reading(group, shown, verb="opened"):
        links = group.id.links
        try:
            kind = links.get_info(key).type
        except (KeyError, RuntimeError):  # which of the two depends on the version of h5py
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
        "followed, because a recording's file must contain its own data. If you trust the link, "
        "copy what it points at into the file"
    )


def _open(group: h5py.Group, key: bytes) -> tuple[h5py.HLObject, Any]:
    found = h5o.open(group.id, key)
    if isinstance(found, h5d.DatasetID):
        dataset, creation = h5py.Dataset(found, readonly=True), found.get_create_plist()
        _check_layout(dataset, creation)
        return dataset, creation
    is_group = isinstance(found, h5g.GroupID)
    return (h5py.Group(found) if is_group else h5py.Datatype(found)), None


def _check_layout(dataset: h5py.Dataset, creation: Any) -> None:  # noqa: ANN401 - of h5py
    layout = creation.get_layout()
    # datasets of other layouts cannot refer to other files
    if layout not in (h5d.VIRTUAL, h5d.CONTIGUOUS):
        return
    if layout == h5d.VIRTUAL:
        n_shown = min(creation.get_virtual_count(), 3)
        targets = [creation.get_virtual_filename(n) for n in range(n_shown)]
        raise InvalidFileError(
            f"{where(dataset)} is a virtual dataset assembled from "
            f"{', '.join(map(_shown, targets))}; it was not followed, because a recording's file "
            "must contain its own data"
        )
    if creation.get_external_count():
        target = _shown(creation.get_external(0)[0])
        raise InvalidFileError(
            f"{where(dataset)} keeps its values in the file {target}; it "
            "was not followed, because a recording's file must contain its own data"
        )


def find_dataset(start: h5py.Group, path: str) -> h5py.Dataset | None:
    """Open the dataset at a path and charge it to the budget; return None if there is none."""
    found, creation = _walk(start, path)
    if not isinstance(found, h5py.Dataset):
        return None
    charge(found, creation)
    return found


def find_group(start: h5py.Group, path: str) -> h5py.Group | None:
    """Open the group at a path; return None if there is none."""
    found = find(start, path)
    return found if isinstance(found, h5py.Group) else None


def member(group: h5py.Group, name: str) -> h5py.Dataset:
    """Open a required dataset of a group and charge it to the budget."""
    found = find_dataset(group, name)
    if found is None:
        raise InvalidFileError(
            f"{where(group)} has no dataset {name!r}; the group holds {describe_members(group)}"
        )
    return found


def reopen(root: h5py.Group, path: str) -> h5py.Dataset:
    """Open a dataset again without charging it a second time; only the path is checked again."""
    found = find(root, path)
    if not isinstance(found, h5py.Dataset):
        raise InvalidFileError(f"{where(root, f'/{path}')} is no longer there")
    return found


def describe_members(group: h5py.Group) -> str:
    """List up to fifty members of a group for an error message."""
    return ", ".join(list_names(group)[:_N_LISTED]) or "nothing"


def _shown(target: bytes | str) -> str:
    text = target.decode("utf-8", "replace") if isinstance(target, bytes) else target
    return repr(text[:_N_SHOWN]) + ("…" if len(text) > _N_SHOWN else "")
