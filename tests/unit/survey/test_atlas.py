"""The atlas from a loopback server: fetched once, checked, and kept."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from file_server import FileServer
from spikehouse import EcephysProjectCache
from spikehouse.analysis import compute_cortical_layers
from spikehouse.errors import CacheError, InvalidFileError

SHAPE = (66, 40, 57)
STRUCTURES = pd.DataFrame(
    {
        "id": [1, 2, 3],
        "acronym": ["VISp1", "VISp2/3", "cc"],
        "name": "n",
        "structure_id_path": ["/997/8/315/1/", "/997/8/315/2/", "/997/1009/3/"],
    }
)


def write_nrrd(volume: np.ndarray, **fields: str) -> bytes:
    head = {
        "type": "unsigned int", "dimension": "3", "sizes": " ".join(map(str, volume.shape)),
        "endian": "little", "encoding": "gzip", **fields,
    }  # fmt: skip
    lines = ["NRRD0004", "# made for a test", *(f"{key}: {value}" for key, value in head.items())]
    data = gzip.compress(volume.astype("<u4").tobytes(order="F"))
    return "\n".join([*lines, "", ""]).encode() + data


@pytest.fixture(scope="module")
def volume() -> np.ndarray:
    # voxels of 200 µm: five outside, two of layer 1, two of layer 2/3, white matter
    column = np.array([0] * 5 + [1] * 2 + [2] * 2 + [3] * 31)
    made = np.broadcast_to(column[:, None], SHAPE).copy()
    made[0, 0, 0] = 3
    return made


@pytest.fixture
def server(volume: np.ndarray) -> Iterator[FileServer]:
    with FileServer() as started:
        started.routes["/a.nrrd"] = write_nrrd(volume)
        started.routes["/s.csv"] = STRUCTURES.to_csv(index=False).encode()
        yield started


def urls(server: FileServer) -> dict[str, str]:
    return {"annotation_url": server.url("/a.nrrd"), "structures_url": server.url("/s.csv")}


@pytest.fixture
def cache(tmp_path: Path) -> EcephysProjectCache:
    return EcephysProjectCache.from_demo(tmp_path / "manifest.json", size="tiny")


def test_get_atlas__is_fetched_once_and_read_voxel_by_voxel(
    cache: EcephysProjectCache, server: FileServer, volume: np.ndarray
) -> None:
    atlas = cache.get_atlas(**urls(server))
    np.testing.assert_array_equal(atlas["structure_id"], volume)
    assert atlas["anterior_posterior"].values[[0, -1]].tolist() == [100, 13_100]
    assert atlas["left_right"].values[-1] == 11_300
    assert atlas["is_cortex"].values.tolist() == [True, True, False]
    n_asked = len(server.requests)
    again = EcephysProjectCache.fixed(cache.manifest_path).get_atlas(**urls(server))
    assert (cache.manifest_path.parent / "ccf_2017" / "a.nrrd").is_file()
    assert again.identical(atlas)
    assert len(server.requests) == n_asked == 2
    columns = [f"{axis}_ccf_coordinate" for axis in atlas["structure_id"].dims]
    units = pd.DataFrame([[5000, 1100, 5000], [5000, 1700, 5000]], columns=columns)
    found = compute_cortical_layers(units, atlas=atlas)
    assert found["cortical_layer"].tolist() == ["1", "2/3"]
    assert found["cortical_depth"].tolist() == pytest.approx([0.125, 0.875])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda good: b"MATLAB" + good, "is not an NRRD volume: it begins with b'MATLAB"),
        (lambda good: good[:-200], "is damaged"),
        (lambda good: good[:-7] + bytes([good[-7] ^ 1]) + good[-6:], "is damaged"),
        (lambda good: good.replace(b"unsigned int", b"float"), "type 'float'"),
        (lambda good: good.replace(b"66 40 57", b"66 40 58"), "sizes '66 40 58'"),
        (lambda good: good.replace(b"66 40 57", b"33 20 28.5"), "no annotation of the atlas"),
        (lambda good: good.replace(b"66 40 57", b"132 80 114"), "its header says 4815360"),
        (lambda good: good.replace(b"66 40 57", b"5280 3200 4560"), "or '528 320 456' or '264 160"),
        (lambda good: good.replace(b"66 40 57", "66 40 ²".encode("latin-1")), "sizes '66 40 ²'"),
    ],
)
def test_get_atlas__does_not_keep_a_damaged_or_another_volume(
    damage, said: str, cache: EcephysProjectCache, server: FileServer, volume: np.ndarray
) -> None:
    server.routes["/a.nrrd"] = damage(write_nrrd(volume))
    with pytest.raises(InvalidFileError, match=said):
        cache.get_atlas(**urls(server))
    assert not list((cache.manifest_path.parent / "ccf_2017").glob("a.nrrd*"))


def test_get_atlas__refuses_another_table(cache: EcephysProjectCache, server: FileServer) -> None:
    for text, said in ((b"id,name\n1,x\n", "acronym"), (b"id,acronym,structure_id_path\n", "ids")):
        server.routes["/s.csv"] = text
        with pytest.raises(InvalidFileError, match=rf"is no table of structures: .*{said}"):
            cache.get_atlas(**urls(server))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: text.rfind("2,VISp2/3")],
        lambda text: text[: text.rfind("/2/")],
        lambda text: text.replace("/997/8/315/2/", ""),
        lambda text: text.replace("VISp2/3", ""),
    ],
)
def test_get_atlas__does_not_keep_a_table_without_structures_of_the_annotation(
    damage, cache: EcephysProjectCache, server: FileServer
) -> None:
    text = STRUCTURES.iloc[[2, 0, 1]].to_csv(index=False)
    server.routes["/s.csv"] = damage(text).encode()
    said = r"structures.csv.*not kept.*cut off, or .* of 1 structures in the annotation, such as"
    with pytest.raises(InvalidFileError, match=said):
        cache.get_atlas(**urls(server))
    assert not list((cache.manifest_path.parent / "ccf_2017").glob("structures.csv*"))
    server.routes["/s.csv"] = text.encode()
    assert cache.get_atlas(**urls(server))["acronym"].values.tolist() == ["cc", "VISp1", "VISp2/3"]


@pytest.mark.parametrize("name", ["a.nrrd", "structures.csv"])
def test_get_atlas__says_what_to_do_about_a_damaged_file_in_the_folder(
    name: str, cache: EcephysProjectCache, server: FileServer
) -> None:
    atlas = cache.get_atlas(**urls(server))
    path = cache.manifest_path.parent / "ccf_2017" / name
    path.write_bytes(path.read_bytes()[:-70])
    with pytest.raises(InvalidFileError, match=rf"{name} is .*delete it and call again to fetch"):
        cache.get_atlas(**urls(server))
    path.unlink()
    assert cache.get_atlas(**urls(server)).identical(atlas)
    path.unlink()
    path.mkdir()
    with pytest.raises(InvalidFileError, match=rf"directory: .*{name}'\. It was left as it is"):
        cache.get_atlas(**urls(server))


def test_get_atlas__is_not_fetched_where_nothing_may_be(cache: EcephysProjectCache) -> None:
    cache.get_session_table()
    with pytest.raises(CacheError, match=r"annotation_25.nrrd is not in the cache folder, and no"):
        EcephysProjectCache.fixed(cache.manifest_path).get_atlas()
