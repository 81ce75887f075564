"""Read and write the state file beside a partly downloaded file."""

from __future__ import annotations

import dataclasses
import json
import logging
import stat
from dataclasses import dataclass
from pathlib import Path

from spikehouse.transfer.disk import explain_storage_errors, write_whole
from spikehouse.transfer.remote_file import Span
from spikehouse.transfer.versions import Version

__all__ = [
    "PartState",
    "count_kept",
    "forget_part",
    "part_of",
    "read_state",
    "state_of",
    "write_state",
]

log = logging.getLogger(__name__)

FORMAT = 1
MAX_STATE_BYTES = 64 << 20


@dataclass(frozen=True)
class PartState:
    """The content of a state file, not yet compared with the bytes of the part."""

    # version of the remote file that the bytes belong to
    version: Version
    # length of a block [bytes]; the last one may be shorter
    block_bytes: int
    # block number → CRC-32
    blocks: dict[int, int]

    def span_of(self, number: int) -> Span:
        """Return the byte range of a block."""
        start = number * self.block_bytes
        return start, min(start + self.block_bytes, self.version.size or 0)


def part_of(target: Path) -> Path:
    """Return the path of the part of a file."""
    return target.with_name(f"{target.name}.part")


def state_of(target: Path) -> Path:
    """Return the path of the state of a part."""
    return target.with_name(f"{target.name}.part.json")


def count_kept(target: Path) -> int:
    """Count the bytes that a later download would resume from."""
    state = read_state(target)
    if state is None:
        return 0
    length = part_of(target).stat().st_size
    spans = [state.span_of(number) for number in state.blocks]
    return sum(stop - start for start, stop in spans if stop <= length)


def forget_part(target: Path) -> None:
    """Delete the part of a file and its state."""
    with explain_storage_errors(target):
        # the state first: a part without one is started over
        state_of(target).unlink(missing_ok=True)
        part_of(target).unlink(missing_ok=True)


def read_state(target: Path) -> PartState | None:
    """Read the state of a part; None if there is no usable one."""
    place = state_of(target)
    if not _is_ours(part_of(target)) or not place.is_file():
        return None
    try:
        with place.open("rb") as file:
            lines = file.read(MAX_STATE_BYTES).split(b"\n")
        header = _parse_header(lines[0])
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s cannot be used, starting over: %s", place, error)
        return None
    # the last line has no end: it is empty, or torn
    return PartState(*header, blocks=_parse_blocks(lines[1:-1], *header))


def _is_ours(part: Path) -> bool:
    """Return whether writing to the part changes no other file (it is no link)."""
    try:
        facts = part.lstat()
    except OSError:
        return False
    return stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1


def _parse_header(line: bytes) -> tuple[Version, int]:
    document = json.loads(line)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"it is not the state of a part in format {FORMAT}")
    size, block_bytes = document.get("size"), document.get("block_bytes")
    if type(size) is not int or type(block_bytes) is not int or size < 0 or block_bytes < 1:
        raise ValueError(f"its size is {size!r} and its block_bytes {block_bytes!r}")
    names = [field.name for field in dataclasses.fields(Version) if field.name != "size"]
    texts = {name: document.get(name) for name in names}
    for name, value in texts.items():
        if not isinstance(value, str) and (value is not None or name in {"url", "source"}):
            raise ValueError(f"its {name} is {value!r}")
    return Version(size=size, **texts), block_bytes  # type: ignore[arg-type]


def _parse_blocks(lines: list[bytes], version: Version, block_bytes: int) -> dict[int, int]:
    n_blocks = -(-(version.size or 0) // block_bytes)
    blocks: dict[int, int] = {}
    for line in lines:
        try:
            number, checksum = (int(text) for text in line.strip(b"[]").split(b","))
        except ValueError:
            # torn by a power loss: what follows cannot be told from rubbish
            break
        if 0 <= number < n_blocks:
            blocks[number] = checksum
    return blocks


def write_state(target: Path, state: PartState) -> None:
    """Write the state of a part, replacing the previous one."""
    version = dataclasses.asdict(state.version)
    document = {"format": FORMAT, "block_bytes": state.block_bytes, **version}
    lines = [json.dumps(document).encode()]
    lines += [b"[%d,%d]" % block for block in state.blocks.items()]
    with write_whole(state_of(target)) as file:
        file.write(b"\n".join(lines) + b"\n")
