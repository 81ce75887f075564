"""The atlas of the mouse brain (CCFv3, 2017): fetched once, checked, kept in the cache folder."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from spikehouse.errors import LEFT_AS_IT_IS, InvalidFileError
from spikehouse.transfer.downloads import download
from spikehouse.transfer.remote_file import RemoteFile

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from spikehouse.survey.store import Store

__all__ = ["ANNOTATION_URL", "STRUCTURES_URL", "fetch_atlas"]

ANNOTATION_URL = (
    "https://download.alleninstitute.org/informatics-archive/current-release/mouse_ccf/annotation/"
    "ccf_2017/annotation_25.nrrd"
)
STRUCTURES_URL = (
    "https://api.brain-map.org/api/v2/data/query.csv?criteria=model::Structure,rma::criteria,"
    "[ontology_id$eq1],rma::options[num_rows$eqall]"
)
# of the atlas, whatever the size of its voxels: from front to back, top to bottom, left to right
AXES_UM = {"anterior_posterior": 13_200, "dorsal_ventral": 8_000, "left_right": 11_400}
# sizes of the published voxels
VOXELS_UM = (10, 25, 50, 100, 200)
ISOCORTEX = "/315/"
COLUMNS = ("id", "acronym", "structure_id_path")
TYPES = {"unsigned int": "u4", "uint": "u4", "uint32": "u4", "unsigned short": "u2", "uint16": "u2"}
HEADER_BYTES = 1 << 16


def fetch_atlas(store: Store, annotation_url: str, structures_url: str) -> xr.Dataset:
    """Fetch annotation and structures unless they are in the cache folder, and read them."""
    import xarray as xr

    name = PurePosixPath(urlsplit(annotation_url).path).name or "annotation.nrrd"
    folder = store.folder / "ccf_2017"
    volume: NDArray[np.uint32] = _fetch(store, annotation_url, folder / name, _read_annotation)
    read = partial(_read_structures, ids=_list_ids(volume))
    structures: pd.DataFrame = _fetch(store, structures_url, folder / "structures.csv", read)
    steps = [extent / n for extent, n in zip(AXES_UM.values(), volume.shape, strict=True)]
    centres = {
        axis: [(i + 0.5) * step for i in range(n)]
        for axis, step, n in zip(AXES_UM, steps, volume.shape, strict=True)
    }
    paths_of = structures["structure_id_path"]
    return xr.Dataset(
        {
            "structure_id": (tuple(AXES_UM), volume),
            "acronym": ("structure", structures["acronym"].to_numpy(dtype=object)),
            "is_cortex": ("structure", paths_of.str.contains(ISOCORTEX, regex=False).to_numpy()),
        },
        coords={**centres, "structure": structures["id"].to_numpy()},
    )


def _fetch(store: Store, url: str, path: Path, read: Callable[[Path], Any]) -> Any:  # noqa: ANN401
    """Download a file that can be read, unless a file is there, and read it."""
    if not (store.sources or path.exists()):
        raise store.say_missing(path)
    store.check_inside(path)
    download(
        RemoteFile(url, path.name, source="atlas"),
        path,
        check=read,
        options=store.options,
        lock=store.lock_for(path),
        progress=store.progress,
        records=store.records,
    )
    try:
        return read(path)
    except OSError as error:
        raise InvalidFileError(f"{error}. {LEFT_AS_IT_IS}") from error


def _read_annotation(path: Path) -> NDArray[np.uint32]:
    """Read a volume of structure ids in the NRRD format, as the atlas is published."""
    import numpy as np

    with path.open("rb") as file:
        head, _, _ = file.read(HEADER_BYTES).partition(b"\n\n")
        if not head.startswith(b"NRRD"):
            raise InvalidFileError(f"{path} is not an NRRD volume: it begins with {head[:16]!r}")
        lines = [line.partition(": ") for line in head.decode("latin-1").splitlines()[1:]]
        fields = {key: value.strip() for key, _, value in lines if not key.startswith("#")}
        kind = TYPES.get(fields.get("type", ""))
        shapes = [[um // step for um in AXES_UM.values()] for step in VOXELS_UM]
        valid = {" ".join(map(str, shape)): shape for shape in shapes}
        shape = valid.get(" ".join(fields.get("sizes", "").split()))
        is_plain = fields.get("encoding") in ("gzip", "gz") and fields.get("endian") == "little"
        if kind is None or not is_plain or shape is None:
            raise InvalidFileError(
                f"{path} is no annotation of the atlas: type {fields.get('type')!r}, sizes "
                f"{fields.get('sizes')!r}, encoding {fields.get('encoding')!r}, endian "
                f"{fields.get('endian')!r}; needed: unsigned integers, little-endian, gzip, and "
                f"the sizes {' or '.join(map(repr, valid))}"
            )
        file.seek(len(head) + 2)
        n_bytes = math.prod(shape) * np.dtype(kind).itemsize
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                # one more byte than expected, and the check sum at the end is compared
                data = unpacked.read(n_bytes + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise InvalidFileError(f"{path} is damaged: {error}") from error
    if len(data) != n_bytes:
        raise InvalidFileError(f"{path} has {len(data)} bytes of voxels; its header says {n_bytes}")
    return np.frombuffer(data, f"<{kind}").reshape(shape, order="F")


def _list_ids(volume: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """List the ids of a volume in which most voxels have that of the one before."""
    import numpy as np

    flat = volume.ravel(order="K")
    return np.unique(flat[np.append(True, flat[1:] != flat[:-1])])


def _read_structures(path: Path, ids: NDArray[np.uint32]) -> pd.DataFrame:
    """Read the table of structures, which must have those with these ids, and 0 is none."""
    import numpy as np
    import pandas as pd

    text = {"acronym": str, "structure_id_path": str}
    try:
        table = pd.read_csv(path, usecols=list(COLUMNS), dtype=text, keep_default_na=False)
    except ValueError as error:
        raise InvalidFileError(f"{path} is no table of structures: {error}") from error
    if not pd.api.types.is_integer_dtype(table["id"]) or not table["id"].is_unique:
        raise InvalidFileError(f"{path} is no table of structures: ids must be different numbers")
    rows = zip(table["id"], table["acronym"], table["structure_id_path"], strict=True)
    whole = [key for key, name, line in rows if name and str(line).endswith(f"/{key}/")]
    missing = np.setdiff1d(ids, [0, *whole]).tolist()
    if missing:
        raise InvalidFileError(
            f"{path} is cut off, or is not of this annotation: of {len(missing)} structures in the "
            f"annotation, such as {missing[0]}, it has no row with an acronym and a "
            "structure_id_path that ends with the id"
        )
    return table
