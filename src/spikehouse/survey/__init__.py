"""The files of the data set: which there are, where they are, and the folder that caches them."""

from __future__ import annotations

from spikehouse.survey.choose_sources import DEFAULT_SOURCES
from spikehouse.survey.file_kinds import VISUAL_CODING, FileKind, FileTable, PlannedFile
from spikehouse.survey.manifest import Manifest
from spikehouse.survey.plan import FetchItem, FetchPlan, describe_bytes
from spikehouse.survey.source import Source, write_csv
from spikehouse.survey.sources.dandi import Dandi
from spikehouse.survey.sources.folder import Folder
from spikehouse.survey.sources.s3 import S3
from spikehouse.survey.sources.warehouse import Warehouse
from spikehouse.survey.store import Store

__all__ = [
    "DEFAULT_SOURCES",
    "S3",
    "VISUAL_CODING",
    "Dandi",
    "FetchItem",
    "FetchPlan",
    "FileKind",
    "FileTable",
    "Folder",
    "Manifest",
    "PlannedFile",
    "Source",
    "Store",
    "Warehouse",
    "describe_bytes",
    "write_csv",
]
