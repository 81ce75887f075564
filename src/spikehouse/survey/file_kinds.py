"""The files of a data set: one table of their kinds, from which paths, names and lists follow."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path, PurePath
from string import Formatter
from typing import TypeAlias

from spikehouse.errors import InvalidArgumentError, NotFoundError, describe_choices, describe_value
from spikehouse.schema import Table
from spikehouse.schema.cache_tables import CHANNELS, METRICS, PROBES, SESSIONS, UNITS
from spikehouse.survey.tables import check_table
from spikehouse.transfer.checks import check_hdf5, check_npy, check_tiff

__all__ = ["VISUAL_CODING", "FileKind", "FileTable", "Ids", "PlannedFile", "ids_in"]

Ids: TypeAlias = tuple[int | str, ...]
# an id that is text becomes part of a file name
_TEXT = re.compile(r"\w[\w. -]*")


@dataclass(frozen=True)
class FileKind:
    """A kind of file: one row of the table of files of a data set."""

    # as in `store.file("lfp", session_id, probe_id)`
    name: str
    # path in a cache folder and in the public bucket, with the ids in braces
    path: str
    # name for plans and messages, with the ids in braces
    label: str
    # raises InvalidFileError unless the path holds a complete file of this kind
    check: Callable[[Path], None]
    # name of its entry in the manifest of a cache folder, and of the entry of its folder
    key: str
    folder_key: str = "BASEDIR"
    # columns of a CSV table, None for other files
    table: Table | None = None
    # the valid values of an id, where there are few
    choices: Mapping[str, Sequence[int] | Sequence[str]] = field(default_factory=dict)
    # how others name such a file; braces that hold no id stand for any text
    other_names: tuple[str, ...] = ()
    # whether the public bucket has files of this kind
    is_published: bool = True
    # names of the ids, in their order in the path
    ids: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(dict.fromkeys(ids_in(self.path))))

    @property
    def group(self) -> str:
        """Name of the kind in lists of files, where all tables are one kind."""
        return self.name if self.table is None else "table"

    def fill(self, template: str, ids: Ids) -> str:
        """Put the ids into a path or name."""
        return template.format(**dict(zip(self.ids, ids, strict=True)))

    def match(self, template: str, text: str) -> dict[str, int | str] | None:
        """Return the ids in a path or name; None if it is none made from the template."""
        found = self.compile(template).fullmatch(text)
        if found is None:
            return None
        ids: dict[str, int | str] = {}
        for name in self.ids:
            word = found.groupdict().get(name)
            if word is not None:
                ids[name] = word if self.is_text(name) else int(word)
                # no 007, and no image that there is not
                if str(ids[name]) != word or ids[name] not in self.choices.get(name, (ids[name],)):
                    return None
        return ids

    def compile(self, template: str) -> re.Pattern[str]:
        """Return the pattern of the paths and names made from a template."""
        texts = frozenset(name for name in self.choices if self.is_text(name))
        return _compile(template, frozenset(self.ids) - texts, texts)

    def is_text(self, name: str) -> bool:
        """Return whether an id is text, not a number."""
        return isinstance(self.choices.get(name, (0,))[0], str)

    def check_ids(self, ids: Sequence[object]) -> Ids:
        """Check ids before a path is made from them."""
        checked: list[int | str] = []
        for name, value in zip(self.ids, ids, strict=True):
            if self.is_text(name):
                # a survey of one's own may have other session types
                if not isinstance(value, str) or _TEXT.fullmatch(value) is None:
                    raise InvalidArgumentError(
                        f"{value!r} cannot be a {name.replace('_', ' ')}: it becomes part of a "
                        "file name"
                    )
                checked.append(value)
                continue
            number = check_id(value)
            choices = self.choices.get(name)
            if choices is not None and number not in choices:
                what = self.label.format(**{name: number})
                raise NotFoundError(f"there is no {what}: {describe_choices(number, choices)}")
            checked.append(number)
        return tuple(checked)


@cache
def ids_in(template: str) -> tuple[str, ...]:
    """Return the names in braces, in order."""
    return tuple(name for _, name, *_ in Formatter().parse(template) if name)


@cache
def _compile(template: str, numbers: frozenset[str], texts: frozenset[str]) -> re.Pattern[str]:
    pattern, seen = "", set[str]()
    for literal, name, *_ in Formatter().parse(template):
        pattern += re.escape(literal)
        if name:
            word = r"\d{1,18}" if name in numbers else "[^/]+" if name in texts else "[^/_]+"
            pattern += f"(?P={name})" if name in seen else f"(?P<{name}>{word})"
            seen.add(name)
    return re.compile(pattern)


@dataclass(frozen=True)
class PlannedFile:
    """A file of a data set, whether it exists or not."""

    kind: FileKind
    # values of `kind.ids`
    ids: Ids
    # path in the cache folder
    path: Path

    @property
    def name(self) -> str:
        """Name for plans and messages."""
        return self.kind.fill(self.kind.label, self.ids)

    @property
    def key(self) -> str:
        """Path below the public bucket, or below a cache folder without a manifest."""
        return self.kind.fill(self.kind.path, self.ids)


class FileTable:
    """The kinds of files of a data set."""

    def __init__(self, *kinds: FileKind) -> None:
        self.kinds = {kind.name: kind for kind in kinds}

    def file(self, name: str, *ids: object) -> PlannedFile:
        """Return a file, with its path relative to the cache folder."""
        if name not in self.kinds:
            choices = describe_choices(name, self.kinds)
            raise NotFoundError(f"there is no kind of file {name!r}: {choices}")
        kind = self.kinds[name]
        checked = kind.check_ids(ids)
        return PlannedFile(kind, checked, Path(kind.fill(kind.path, checked)))

    def parse(self, path: PurePath) -> tuple[FileKind, dict[str, int | str]] | None:
        """Recognise a file by its name; of an LFP file the session may be unknown."""
        for kind in self.kinds.values():
            for template in (kind.path, PurePath(kind.path).name, *kind.other_names):
                tail = path.parts[-1 - template.count("/") :]
                ids = kind.match(template, "/".join(tail))
                if ids is not None:
                    return kind, ids
        return None


def _table(name: str, table: Table) -> FileKind:
    return FileKind(
        name,
        f"{name}.csv",
        key=name,
        label=f"table {name}",
        check=partial(check_table, table=table),
        table=table,
    )


# metrics differ from session type to session type: their types are settled after reading
_ANY_METRICS = Table(name=METRICS.name, index=METRICS.index, columns=())

VISUAL_CODING = FileTable(
    _table("sessions", SESSIONS),
    _table("probes", PROBES),
    _table("channels", CHANNELS),
    _table("units", UNITS),
    FileKind(
        "session",
        "session_{session_id}/session_{session_id}.nwb",
        key="session_nwb",
        folder_key="session_data",
        label="session {session_id}",
        check=check_hdf5,
        other_names=("sub-{subject}_ses-{session_id}.nwb",),
    ),
    FileKind(
        "session_metrics",
        "session_{session_id}/session_{session_id}_analysis_metrics.csv",
        key="session_analysis_metrics",
        folder_key="session_data",
        label="table session_{session_id}_analysis_metrics",
        check=partial(check_table, table=_ANY_METRICS),
        table=_ANY_METRICS,
        is_published=False,
    ),
    FileKind(
        "lfp",
        "session_{session_id}/probe_{probe_id}_lfp.nwb",
        key="probe_lfp_nwb",
        folder_key="session_data",
        label="LFP of probe {probe_id}",
        check=check_hdf5,
        other_names=("sub-{subject}_ses-{session_id}_probe-{probe_id}_ecephys.nwb",),
    ),
    FileKind(
        "type_metrics",
        "{session_type}_analysis_metrics.csv",
        key="typewise_analysis_metrics",
        label="table {session_type}_analysis_metrics",
        check=partial(check_table, table=_ANY_METRICS),
        table=_ANY_METRICS,
        choices={"session_type": ("brain_observatory_1.1", "functional_connectivity")},
    ),
    FileKind(
        "movie",
        "natural_movie_templates/natural_movie_{number}.h5",
        key="natural_movie",
        folder_key="movie_dir",
        label="natural movie {number}",
        check=check_npy,
        choices={"number": (1, 3)},
        other_names=("natural_movie_{number}.npy",),
    ),
    FileKind(
        "scene",
        "natural_scene_templates/natural_scene_{number}.tiff",
        key="natural_scene",
        folder_key="natural_scene_dir",
        label="natural scene {number}",
        check=check_tiff,
        choices={"number": range(118)},
    ),
)


def check_id(value: object) -> int:
    """Check an id before it becomes part of a URL or a path."""
    message = f"{describe_value(value)} is not an id: give a whole number, such as 791319847"
    if isinstance(value, bool):
        raise InvalidArgumentError(message)
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise InvalidArgumentError(message) from error
    if number < 0:
        raise InvalidArgumentError(message)
    return number
