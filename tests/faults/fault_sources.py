"""The three sources, each set up on a faulty server that holds one small recording."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any, Literal

import h5py
import numpy as np

from file_server import Document, FileServer, Handler, answer_page
from spikehouse.survey.source import Source
from spikehouse.survey.sources import warehouse
from spikehouse.survey.sources.dandi import Dandi
from spikehouse.survey.sources.s3 import S3
from spikehouse.survey.sources.warehouse import Warehouse
from spikehouse.transfer import downloader, downloads
from spikehouse.transfer.retry import HttpOptions

SourceName = Literal["warehouse", "s3", "dandi"]

SESSION_ID = 721123822
PROBE_ID = 760213137
FILE_ID = 1026124469
ASSET_ID = "7d6bd755-e75b-48c8-bc37-2e11333c5f29"
SMALL_BLOCK = 256 << 10

PROBES: list[dict[str, Any]] = [
    {
        "id": PROBE_ID + n,
        "air_channel_index": 300 + n,
        "ecephys_session_id": SESSION_ID,
        "lfp_sampling_rate": 2500.0,
        "lfp_temporal_subsampling_factor": 2.0,
        "name": f"probe{'ABCDEF'[n % 6]}",
        "phase": "3a",
        "sampling_rate": 30000.0,
        "surface_channel_index": 280 + n,
        "use_lfp_data": True,
    }
    for n in range(200)
]


SESSIONS = (
    "id,date_of_acquisition,isi_experiment_id,published_at,specimen_id,session_type,age_in_days,"
    "sex,genotype,has_nwb\n"
    f"{SESSION_ID},2019-01-08T00:26:20Z,707296982,2019-10-03T00:00:00Z,707296975,"
    "brain_observatory_1.1,125.0,M,wt/wt,True\n"
)


def make_recording(seed: int, n_spikes: int = 250_000) -> bytes:
    """Make a small HDF5 file: two of different seeds have the same length and other bytes."""
    spikes = np.random.default_rng(seed).uniform(0, 9000, n_spikes)
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file["identifier"] = str(SESSION_ID)
        file["units/spike_times"] = np.sort(spikes)
        file["units/id"] = np.arange(20)
    return memory.getvalue()


def write_probes() -> bytes:
    columns = [name for name in PROBES[0] if name != "use_lfp_data"]
    lines = [",".join([*columns, "has_lfp_data"])]
    lines += [",".join([*(str(row[name]) for name in columns), "True"]) for row in PROBES]
    return "\n".join(lines).encode() + b"\n"


def _answer_warehouse(handler: Handler) -> None:
    criteria = handler.criteria()
    rows: list[dict[str, Any]] = []
    if "EcephysProbe'" not in criteria and "model::EcephysProbe" in criteria:
        rows = PROBES
    elif "model::WellKnownFile" in criteria:
        link = f"/api/v2/well_known_file_download/{FILE_ID}"
        rows = [{"id": FILE_ID, "download_link": link}]
    handler.send_json(answer_page(criteria, rows))


def serve_everything(server: FileServer, versions: tuple[bytes, ...]) -> None:
    """Put the recording and its tables where each of the sources looks for them."""
    file = Document(versions)
    blob = f"http://{host_of_bytes(server.address)}/blobs/7d6/bd7/{ASSET_ID}"
    path = f"sub-707296975/sub-707296975_ses-{SESSION_ID}.nwb"
    asset = {"asset_id": ASSET_ID, "path": path, "size": len(versions[0])}
    digest = {"dandi:sha2-256": hashlib.sha256(versions[0]).hexdigest()}
    described = {"id": f"dandiasset:{ASSET_ID}", "contentSize": len(versions[0]), "digest": digest}
    listing = {"count": 1, "next": None, "previous": None, "results": [asset]}
    server.routes |= {
        r".*/session_\d+\.nwb": file,
        r".*/probes\.csv": Document((write_probes(),), "text/csv", "table"),
        r".*/sessions\.csv": Document((SESSIONS.encode(),), "text/csv", "query"),
        r".*/well_known_file_download/\d+": file,
        r".*/api/v2/data/query\.json": _answer_warehouse,
        r".*/blobs/.*": file,
        r".*/assets/[0-9a-f-]+/download/?": blob,
        r".*/assets/[0-9a-f-]+/?": lambda handler: handler.send_json({**described, "path": path}),
        r".*/assets/?": lambda handler: handler.send_json(listing),
    }


def cut_small(patch: Callable[[object, str, int], None] = setattr) -> None:
    """Fetch a small file in as many pieces as a large one."""
    patch(downloader, "BLOCK_BYTES", SMALL_BLOCK)
    patch(downloads, "FIRST_BYTES", SMALL_BLOCK)
    # and give up on what has no end before it is as long
    patch(downloader, "MAX_FILE_BYTES", 4 << 20)
    patch(warehouse, "MAX_PAGE_BYTES", 4 << 20)


def choose_options() -> HttpOptions:
    """Be as patient as the defaults, only much quicker."""
    return HttpOptions(
        retry_seconds=0.5,
        connect_timeout=1.0,
        answer_timeout=0.4,
        stall_timeout=0.25,
        backoff=0.01,
        longest_wait=0.05,
    )


def make_source(
    name: SourceName, server: FileServer, options: HttpOptions, *, tls: bool = False
) -> Source:
    """Make a client of one of the three, whose host is the faulty server."""
    return make_source_at(name, server.address, options, tls=tls)


def make_source_at(name: str, address: str, options: HttpOptions, *, tls: bool = False) -> Source:
    """Make a client of one of the three, whose host is at an address."""
    if name == "warehouse":
        return Warehouse(address, "https" if tls else "http", page_rows=64, options=options)
    url = f"{'https' if tls else 'http'}://{address}/"
    if name == "s3":
        return S3(url, options=options)
    hosts = [host_of_bytes(address)]
    return Dandi(f"{url}api/", tables=S3(url, options=options), hosts=hosts, options=options)


def host_of_bytes(address: str) -> str:
    """Name the host the archive redirects to: the same server, by another name."""
    return f"localhost:{address.split(':')[1]}"
