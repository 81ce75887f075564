"""Freeze what AllenSDK answers about session files, for test_session.py to compare with.

Run with the Python of a virtual environment that has AllenSDK 2.16.2, which cannot share one with
this package::

    python3.11 -m venv allensdk
    allensdk/bin/pip install "allensdk==2.16.2" "hdmf<4" "ndx-events<0.3"
    python -c "from spikehouse.demo import Survey; survey = Survey(size='tiny', folder='demo');
    [survey.session_file(n) for n in (900000001, 900000002, 900000004, 900000009)];
    [survey.lfp_file(n) for n in (910001000, 910002000)]"
    allensdk/bin/python tests/parity/freeze_session.py FILE [FILE ...]

The FILEs are the session files; an LFP file is looked for beside its session. The answers go to
``tests/parity/frozen`` as JSON, large arrays as digests, with the digests of the files they are of:
when the simulation changes, the test fails and asks for this to be run again. It takes one to two
minutes a file.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import session_questions  # noqa: E402
from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession  # noqa: E402
from pynwb import NWBHDF5IO  # noqa: E402

FROZEN = Path(__file__).parent / "frozen"


def read_nwb(path):
    """Read a file the way AllenSDK does."""
    return NWBHDF5IO(str(path), "r", load_namespaces=True).read()


def ask(session, questions):
    """Ask all; where AllenSDK fails the error's name is kept."""
    answers = {}
    for name, question in questions.items():
        begin = time.perf_counter()
        try:
            answers[name] = session_questions.freeze(question(session))
        except Exception as error:  # noqa: BLE001 - that it fails, and how, is the answer
            answers[name] = {"kind": "error", "type": type(error).__name__, "text": str(error)}
            print(f"    {name}: {type(error).__name__} {error}"[:300])
        elapsed = time.perf_counter() - begin
        if elapsed > 1:
            print(f"    {name}: {elapsed:.1f} s", flush=True)
    return answers


def freeze_file(path):
    """Ask one file everything."""
    lfp_name = session_questions.LFP_FILES[path.stem]
    files = [path]
    columns = session_questions.make_channel_columns(path)
    options = {"external_channel_columns": lambda: columns}
    probe_id = None
    if lfp_name is not None:
        lfp_path = path.with_name(lfp_name)
        files.append(lfp_path)
        probe_id = session_questions.read_probe_id(lfp_path)
        options["probe_lfp_paths"] = {probe_id: lambda: read_nwb(lfp_path)}
    session = EcephysSession.from_nwb_path(path)
    # every member would read the whole tree of the file anew
    session.api._nwbfile = read_nwb(path)
    answers = ask(session, session_questions.list_questions())
    rich = EcephysSession.from_nwb_path(path, api_kwargs=options)
    rich.api._nwbfile = session.api._nwbfile
    answers.update(ask(rich, session_questions.list_rich_questions(probe_id)))
    return {
        # the demo survey keeps its files in a folder named after its own source
        "edition": path.parent.name,
        "files": {file.name: session_questions.digest_file(file) for file in files},
        "answers": answers,
    }


def main():
    """Freeze the files that are given."""
    for path in map(Path, sys.argv[1:]):
        print(path.name, flush=True)
        text = json.dumps(freeze_file(path), sort_keys=True)
        target = FROZEN / f"{path.stem}.json.gz"
        with gzip.GzipFile(target, "wb", mtime=0) as handle:
            handle.write(text.encode())


if __name__ == "__main__":
    main()
