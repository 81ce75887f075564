"""Damage copies of a session or LFP file at random, and read all that is left of each.

    python tests/unit/nwb/fuzz_session.py FILE.nwb FOLDER KIND FIRST LAST

Run in a process of its own, under limits of memory and time. KIND is "cut" (the file ends too
soon), "values" (what datasets hold: numbers, ends of runs, references to strings, strings),
"any" (a byte anywhere but there: headers, lists of members, attributes) or "holes" (zeros, as a
disk or a download leaves them, anywhere or in the strings). Whatever comes is a value or an error
of the package, and takes at most ten times as long as of the undamaged file, or two seconds of
computing. The process ends with 1 if it was anything else, by a signal if it took longer or the
HDF5 library crashed. The seed of the file at hand, and what is read of it, are on stderr.
"""

from __future__ import annotations

import contextlib
import faulthandler
import itertools
import random
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py

from spikehouse.errors import SpikehouseError
from spikehouse.nwb import NwbSessionFile
from spikehouse.nwb.lfp import open_lfp, read_current_source_density

MEMORY = 4 << 30
# of computing, which a busy machine does not change
SECONDS_A_READ = 2.0
MOST_TIMES = 10
N_UNITS = 3

Spans = list[tuple[int, int]]


def find_values(path: Path) -> list[Spans]:
    """Say where numbers, ends, references and strings lie; a list for each of these kinds."""
    numbers: Spans = []
    ends: Spans = []
    references: Spans = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.id.get_offset() is not None:
            span = (item.id.get_offset(), item.id.get_offset() + item.id.get_storage_size())
            is_end = name.endswith(("_index", "/id"))
            (ends if is_end else references if item.dtype.kind == "O" else numbers).append(span)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    content = path.read_bytes()
    strings: Spans = []
    start = content.find(b"GCOL")
    while start >= 0:
        strings.append((start, start + int.from_bytes(content[start + 8 : start + 16], "little")))
        start = content.find(b"GCOL", start + 4)
    return [numbers, ends, references, strings]


def find_gaps(kinds: list[Spans], size: int) -> Spans:
    """Say what lies between them: the file's structure."""
    gaps, place = [], 0
    for start, stop in sorted(span for spans in kinds for span in spans):
        if start > place:
            gaps.append((place, start))
        place = max(place, stop)
    return [*gaps, (place, size)] if place < size else gaps


def damage(content: bytes, kinds: list[Spans], rng: random.Random) -> bytes:
    """Change one, a few or many places."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 4, 64])):
        start, stop = rng.choice(rng.choice(kinds))
        place = rng.randrange(start, stop)
        n_bytes = min(rng.choice([1, 4, 8]), stop - place)
        one_bit = bytes([changed[place] ^ 1 << rng.randrange(8)])
        garbage = rng.choice([b"\xff", b"\0", b"\x7f", rng.randbytes(1)]) * n_bytes
        new = rng.choice([one_bit, garbage, rng.randbytes(n_bytes)])
        changed[place : place + len(new)] = new
    return bytes(changed)


def make_holes(content: bytes, strings: Spans, rng: random.Random) -> bytes:
    """Blank one or a few stretches."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 4])):
        start, stop = rng.choice(strings) if rng.random() < 0.7 else (0, len(content))
        n_bytes = rng.choice([8, 16, 64, 512, 4096])
        place = rng.randrange(start, stop) // 8 * 8
        changed[place : place + n_bytes] = bytes(min(n_bytes, len(content) - place))
    return bytes(changed)


def list_reads(session: NwbSessionFile) -> Iterator[Callable[[], object]]:
    """Give everything that can be asked of a session file."""
    yield session.get_ecephys_session_id
    yield session.get_session_start_time
    yield session.get_metadata
    yield session.get_rig_metadata
    yield session.get_probes
    yield session.get_channels
    yield session.get_units
    yield session.get_stimulus_presentations
    yield session.get_running_speed
    yield session.get_pupil_data
    yield lambda: session.get_screen_gaze_data(include_filtered_data=True)
    yield session.get_invalid_times
    yield session.get_optogenetic_stimulation
    for get in (
        session.get_spike_times,
        session.get_spike_amplitudes,
        session.get_mean_waveforms,
    ):
        yield lambda get=get: [rows[unit] for rows in [get()] for unit in list(rows)[:N_UNITS]]


def list_lfp_reads(path: Path) -> Iterator[Callable[[], object]]:
    """Give what can be asked of an LFP file; each opens it."""
    yield lambda: open_lfp(path)[100:200].values
    yield lambda: open_lfp(path)[-300:, ::7].values
    yield lambda: open_lfp(path).time.values
    yield lambda: read_current_source_density(path)


def read_all(path: Path, usual: list[float]) -> tuple[int, int, list[float]]:
    """Read everything; count values and errors of the package, and measure each read [s]."""
    values: list[str] = []
    seconds: list[float] = []
    limits = itertools.chain([MOST_TIMES * time for time in usual], itertools.repeat(0.0))

    def attempt(read: Callable[[], object], name: str) -> object:
        print(f"  {name}", file=sys.stderr, flush=True)
        # ends the process, also while it is inside the library
        signal.setitimer(signal.ITIMER_PROF, max(SECONDS_A_READ, next(limits)))
        begin, found = time.process_time(), None
        with contextlib.suppress(SpikehouseError):
            found = read()
            values.append(name)
        seconds.append(time.process_time() - begin)
        return found

    for number, read in enumerate(list_lfp_reads(path)):
        attempt(read, f"LFP {number}")
    session = attempt(lambda: NwbSessionFile(path), "open")
    if isinstance(session, NwbSessionFile):
        with contextlib.closing(session):
            for number, read in enumerate(list_reads(session)):
                attempt(read, f"{number} {read.__name__}")
    signal.setitimer(signal.ITIMER_PROF, 0)
    return len(values), len(seconds) - len(values), seconds


def main() -> None:
    """Damage and read, seed after seed."""
    source, folder, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    seeds = range(int(sys.argv[4]), int(sys.argv[5]))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    faulthandler.enable()
    warnings.simplefilter("ignore")
    content = source.read_bytes()
    values = find_values(source)
    kinds = [find_gaps(values, len(content))] if kind == "any" else values
    *_, usual = read_all(source, [60.0] * 100)
    target = folder / "session_1.nwb"
    n_values = n_errors = 0
    for seed in seeds:
        print(f"{kind} {seed}", file=sys.stderr, flush=True)
        rng = random.Random(seed)
        if kind == "cut":
            damaged = content[: rng.randrange(len(content))]
        elif kind == "holes":
            damaged = make_holes(content, values[3], rng)
        else:
            damaged = damage(content, kinds, rng)
        target.write_bytes(damaged)
        found = read_all(target, usual)
        n_values += found[0]
        n_errors += found[1]
    print(f"{len(seeds)} files: {n_values} values, {n_errors} errors of the package")


if __name__ == "__main__":
    main()
