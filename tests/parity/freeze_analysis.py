"""Freeze what AllenSDK's stimulus analysis answers, for test_analysis.py to compare with.

Run in the virtual environment that freeze_session.py describes, with the same files::

    allensdk/bin/python tests/parity/freeze_analysis.py FILE [FILE ...]

Twelve units of each file, of a simulated recording with many repeats of every condition
(``analysis_questions.Repeats``), and the functions on small arrays. Of two recordings with spikes
on edges also the metrics of all units, as published. The answers go to
``tests/parity/frozen`` as ``analysis_*.json.gz``. It takes about a minute.
"""

from __future__ import annotations

import gzip
import importlib
import json
import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import analysis_questions as asked  # noqa: E402
import session_questions  # noqa: E402
from allensdk.brain_observatory.ecephys import stimulus_analysis  # noqa: E402
from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession  # noqa: E402
from pynwb import NWBHDF5IO  # noqa: E402

FROZEN = Path(__file__).parent / "frozen"
MODULES = (
    "stimulus_analysis",
    "drifting_gratings",
    "static_gratings",
    "natural_scenes",
    "receptive_field_mapping",
)


_find_peak = stimulus_analysis.StaticGratings._get_time_to_peak


def find_peak(analysis, unit_id, preferred_condition):
    """Give the time of the peak as a number: pandas refuses a list of arrays without dimensions."""
    return float(_find_peak(analysis, unit_id, preferred_condition))


def ask(subject, questions, name):
    """Ask all; where AllenSDK fails the error's name is kept."""
    answers = {}
    for key, question in questions.items():
        begin = time.perf_counter()
        try:
            answers[key] = session_questions.freeze(asked.tidy(question(subject)))
        except Exception as error:  # noqa: BLE001 - that it fails, and how, is the answer
            text = str(error)[:300]
            answers[key] = {"kind": "error", "type": type(error).__name__, "text": text}
            print(f"    {name} {key}: {type(error).__name__} {text}"[:200])
        elapsed = time.perf_counter() - begin
        if elapsed > 2:
            print(f"    {name} {key}: {elapsed:.1f} s", flush=True)
    return answers


def find_function(name):
    """Look a function up, wherever it lives."""
    for module in MODULES:
        found = importlib.import_module(f"{stimulus_analysis.__name__}.{module}")
        if hasattr(found, name):
            return getattr(found, name)
    raise AttributeError(name)


def ask_classes(session):
    """Ask every class about one session."""
    answers = {}
    for name in asked.CLASSES:
        one = asked.make_analysis(getattr(stimulus_analysis, name), name, session)
        answers[name] = ask(one, asked.list_class_questions(name), name)
    return answers


def ask_published(session):
    """Ask for the metrics of all units, made as the released tables were."""
    found = {}
    for name, options in asked.PUBLISHED.items():
        one = getattr(stimulus_analysis, name)(session, **options)
        found[name] = session_questions.freeze(asked.tidy(asked.ask_metrics(one)))
    return found


def write(stem, document):
    """Write a document the same way each time."""
    target = FROZEN / f"analysis_{stem}.json.gz"
    with gzip.GzipFile(target, "wb", mtime=0) as handle:
        handle.write(json.dumps(document, sort_keys=True).encode())
    print(f"{target.name}: {target.stat().st_size} bytes", flush=True)


def main():
    """Freeze the functions, the simulated recording and the files that are given."""
    stimulus_analysis.stimulus_analysis.StimulusAnalysis._get_time_to_peak = find_peak
    write("functions", {"answers": ask(find_function, asked.list_function_questions(), "")})
    for path in map(Path, sys.argv[1:]):
        session = EcephysSession.from_nwb_path(path)
        # every member would read the whole tree of the file anew
        session.api._nwbfile = NWBHDF5IO(str(path), "r", load_namespaces=True).read()
        document = {
            "edition": asked.name_edition(path),
            "file": session_questions.digest_file(path),
            "answers": ask_classes(EcephysSession(api=asked.Shifted(session.api))),
        }
        if path.stem in asked.PUBLISHED_STEMS:
            document["published"] = ask_published(EcephysSession(api=session.api))
        write(path.stem, document)
    adapter = asked.Repeats()
    document = {
        "spikes": asked.digest_spikes(adapter.spikes),
        "answers": ask_classes(EcephysSession(api=adapter)),
        "published": ask_published(EcephysSession(api=asked.OnEdges())),
    }
    write(asked.REPEATS, document)


if __name__ == "__main__":
    main()
