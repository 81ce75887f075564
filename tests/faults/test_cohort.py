"""Killed, interrupted, out of memory, out of space, in company: what a cohort meets."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from file_server import FileServer
from spikehouse import EcephysProjectCache
from spikehouse.cohort import Cohort
from spikehouse.cohort.ready import metrics
from spikehouse.demo import Survey
from spikehouse.errors import CacheError, CohortError, InvalidArgumentError, SourceError
from spikehouse.transfer.disk import try_lock

distributed = pytest.importorskip("distributed")

CHILD = Path(__file__).with_name("cohort_child.py")
IDS = [900000001, 900000002, 900000003, 900000004]
DEADLINE_S = 120.0
pytestmark = pytest.mark.filterwarnings("ignore:.*spikes are missing or wrong:UserWarning")


@pytest.fixture
def cohort(project: EcephysProjectCache) -> Cohort:
    return project.cohort(session_ids=IDS)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Connect to a cluster of the user's own, with two workers."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


class Child:
    """A process that computes a cohort; it leads a process group, as in a terminal."""

    def __init__(self, project: EcephysProjectCache, survey_folder: Path, results: Path) -> None:
        self._task = {
            "manifest": str(project.manifest_path), "folder": str(survey_folder),
            "results": str(results), "ids": IDS,
        }  # fmt: skip

    def start(self, function: str, before: tuple[str, ...] = (), **task: Any) -> Any:
        given = json.dumps({**self._task, "function": function, **task})
        return subprocess.Popen(
            [*before, sys.executable, str(CHILD), given],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, function: str, **task: Any) -> list[str]:
        process = self.start(function, **task)
        out, err = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, err
        return out.splitlines()


@pytest.fixture
def child(project: EcephysProjectCache, survey_folder: Path, tmp_path: Path) -> Child:
    return Child(project, survey_folder, tmp_path / "r")


def wait_for_results(folder: Path, n: int = 1) -> None:
    begun = time.monotonic()
    while len(list(folder.glob("_records/*.json"))) < n:
        assert time.monotonic() - begun < DEADLINE_S
        time.sleep(0.02)


def wait_for_end_of_group(leader: int) -> None:
    """Wait until the workers have ended as well."""
    begun = time.monotonic()
    while True:
        living = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == leader and fields[0] != "Z":
                    living.append(int(entry.name))
        if not living:
            return
        assert time.monotonic() - begun < 30, living
        time.sleep(0.1)


def read_partitions(folder: Path) -> dict[str, bytes]:
    assert not list(folder.rglob("*.part"))
    return {path.parent.name: path.read_bytes() for path in folder.glob("session_id=*/*")}


# --- the same bytes wherever they are computed


def test_results__are_equal_to_the_byte(
    cohort: Cohort, client: Any, child: Child, tmp_path: Path
) -> None:
    parameters = {"stimulus": ["flashes", "gabors"], "n_resamples": 50}
    ways: dict[str, dict[str, Any]] = {
        "here": {},
        "two workers": {"workers": 2},
        "own client": {"client": client},
    }
    for name, options in ways.items():
        run = cohort.map(metrics, parameters=parameters, results=tmp_path / name, **options)
        run.raise_first()
    for task in range(2):
        cohort.map(metrics, parameters=parameters, results=tmp_path / "tasks", task=(task, 2))
    expected = read_partitions(tmp_path / "here")
    assert len(expected) == len(IDS)
    for name in ("two workers", "own client", "tasks"):
        assert read_partitions(tmp_path / name) == expected, name


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="lists processes with /proc")
def test_map__killed_and_resumed(child: Child, cohort: Cohort, tmp_path: Path) -> None:
    process = child.start("slow", options={"workers": 2, "parameters": {"seconds": 0.5}})
    wait_for_results(tmp_path / "r")
    process.kill()
    process.communicate(timeout=DEADLINE_S)
    wait_for_end_of_group(process.pid)
    done = read_partitions(tmp_path / "r")
    assert 0 < len(done) < len(IDS)
    assert (
        "4 done, 0 failed, 0 to do"
        in child.run("slow", options={"parameters": {"seconds": 0.5}})[-1]
    )
    units = cohort.units
    for one in IDS:
        table = pd.read_parquet(tmp_path / "r" / f"session_id={one}")
        assert sorted(table["unit_id"]) == sorted(units.index[units["ecephys_session_id"] == one])
    assert done.items() <= read_partitions(tmp_path / "r").items()


@pytest.mark.skipif(os.name != "posix", reason="sends the signal of Ctrl-C to a process group")
@pytest.mark.parametrize("workers", [None, 2])
def test_map__interrupted(child: Child, tmp_path: Path, workers: int | None) -> None:
    options = {"workers": workers, "parameters": {"seconds": 0.5}, "progress": False}
    process = child.start("slow", options=options)
    wait_for_results(tmp_path / "r")
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE_S)
    last = err.splitlines()[-1]
    assert "of 4 sessions are computed and kept in" in last
    assert "the same call goes on" in last
    # one traceback, of this process alone
    assert (out, err.count("Traceback"), "distributed" in err) == ("", 1, False)
    wait_for_end_of_group(process.pid)
    n_done = len(read_partitions(tmp_path / "r"))
    assert int(last.split()[1]) == n_done
    assert "4 done, 0 failed, 0 to do" in child.run("slow", options=options)[-1]


def test_map__prints_nothing_of_its_workers(child: Child) -> None:
    process = child.start("slow", options={"workers": 2, "progress": False})
    out, err = process.communicate(timeout=DEADLINE_S)
    assert "4 done" in out
    notes = [line for line in err.splitlines() if "spikes are missing" not in line]
    assert [line for line in notes if not line.startswith(" ")] == []


# --- a worker ends


def kill_once(session: Any, folder: str, own: int) -> int:
    flag = Path(folder) / "killed"
    if session.ecephys_session_id == IDS[1] and not flag.exists():
        assert os.getpid() != own
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    with (Path(folder) / "calls").open("a") as file:
        file.write(f"{session.ecephys_session_id}\n")
    return 1


def test_map__a_worker_is_killed(cohort: Cohort, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "parameters": {"folder": str(tmp_path), "own": os.getpid()},
        "results": tmp_path / "r",
        "workers": 2,
    }
    environment = dict(os.environ)
    run = cohort.map(kill_once, **options)
    assert dict(os.environ) == environment
    assert run.failures["type"].to_dict() == {IDS[1]: "KilledWorker"}
    message = run.failures["message"].iloc[0]
    assert message.startswith("its process was ended from outside")
    assert "memory_limit=3GB" in message
    assert run.records["state"].value_counts().to_dict() == {"done": 3, "failed": 1}
    cohort.map(kill_once, **options).raise_first()
    # the others once, and this one again
    assert sorted(map(int, (tmp_path / "calls").read_text().split())) == IDS


class MadeUp:
    """A survey of any number of sessions that have no data."""

    def __init__(self, n: int) -> None:
        self.n = n

    def get_session_table(self) -> pd.DataFrame:
        facts = {"session_type": "x", "sex": "F", "full_genotype": "wt/wt"}
        return pd.DataFrame(facts, index=pd.RangeIndex(self.n, name="id"))

    def get_units(self, suppress: Any = None, **filters: Any) -> pd.DataFrame:
        places = {"ecephys_session_id": range(self.n), "ecephys_structure_acronym": "VISp"}
        return pd.DataFrame(places)

    def get_session_data(self, session_id: int, **options: Any) -> Any:
        return contextlib.nullcontext(session_id)

    def is_cached(self, session_id: int) -> bool:
        return True

    def command_options(self) -> None:
        return None


def kill_always(session: int) -> int:
    if session == 150:
        os.kill(os.getpid(), signal.SIGKILL)
    return session


def test_map__quick_sessions_do_not_die_with_a_neighbour() -> None:
    run = Cohort(MadeUp(200)).map(kill_always, workers=2)  # type: ignore[arg-type]
    assert run.failures["type"].to_dict() == {150: "KilledWorker"}
    assert run.frame()["value"].tolist() == [one for one in range(200) if one != 150]


def need_memory(session: Any, n: int) -> int:
    kept = []
    if session.ecephys_session_id == IDS[2]:
        for _ in range(n):
            kept.append(np.ones(10_000_000))
            time.sleep(0.05)
    return len(kept)


def test_map__a_session_needs_too_much_memory(cohort: Cohort) -> None:
    run = cohort.map(need_memory, parameters={"n": 60}, workers=2, memory_limit="600MB")
    assert run.failures.index.tolist() == [IDS[2]]
    message = run.failures["message"].iloc[0]
    assert "needed more memory than memory_limit=600MB and was ended: raise the limit" in message
    assert len(run.frame()) == 3


def count_threads(session: Any) -> dict[str, Any]:
    from joblib import cpu_count
    from threadpoolctl import threadpool_info

    from spikehouse.spikes.compiling import n_threads

    return {
        "numba": n_threads(),
        "joblib": cpu_count(),
        "blas": max(pool["num_threads"] for pool in threadpool_info()),
        "progress": os.environ["SPIKEHOUSE_PROGRESS"],
    }


def test_map__a_worker_uses_one_thread(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    # also where the user's own processes may use more
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "2")
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    frame = cohort.map(count_threads, workers=1).frame()
    assert (frame[["numba", "joblib", "blas"]] == 1).all(axis=None)
    assert (frame["progress"] == "0").all()


def test_map__no_more_workers_than_cores_and_memory(
    cohort: Cohort, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spikehouse.cohort._engine import Engine

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert cores is not None
    assert Engine(cores, None, "100MB").count_workers(1000) == cores
    assert Engine(cores + 1, None, "100MB").count_workers(1000) == cores
    assert f"{cores} workers instead of {cores + 1}: there are {cores} cores" in caplog.text
    assert Engine(cores, None, "100MB").count_workers(1) == 1
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", int(1e9))
    assert Engine(4, None, "900MB").count_workers(4) == 1


# --- a client of the user's own


def raise_error(session: Any) -> int:
    if session.ecephys_session_id == IDS[1]:
        raise KeyError("a name")
    if session.ecephys_session_id == IDS[2]:
        sys.exit(3)
    return 1


def test_map__errors_on_a_client(cohort: Cohort, client: Any) -> None:
    run = cohort.map(raise_error, client=client)
    assert run.failures["type"].to_dict() == {IDS[1]: "KeyError", IDS[2]: "SystemExit"}
    assert 'raise KeyError("a name")' in run.failures["traceback"].iloc[0]
    with pytest.raises(CohortError, match=r"session 90000000[23]: (Key|System)E"):
        cohort.map(raise_error, client=client, on_error="raise")
    assert client.status == "running"


def make(value: Any) -> Callable[[Any], Any]:
    def closure(session: Any) -> Any:
        return bool(value)

    return closure


def test_map__lambdas_and_closures_travel(cohort: Cohort, client: Any) -> None:
    assert cohort.map(lambda session: 7, client=client).frame()["value"].tolist() == [7] * 4
    assert cohort.map(make(3), client=client).frame()["value"].all()


def test_map__a_function_that_cannot_travel(cohort: Cohort, client: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="closure and its parameters cannot be sent to"):
        cohort.map(make(threading.Lock()), client=client)
    # here nothing travels
    assert cohort.map(make([1])).frame()["value"].all()


class OwnSource:
    """A source with what cannot be pickled."""

    name = "own"

    def __init__(self, source: Any) -> None:
        self._source = source
        self._lock = threading.Lock()

    def locate(self, file: Any) -> Any:
        return self._source.locate(file)

    def read_table(self, file: Any) -> Any:
        return self._source.read_table(file)


def test_map__over_a_source_that_cannot_travel(
    project: EcephysProjectCache, client: Any, tmp_path: Path
) -> None:
    source = OwnSource(project.fetch_api)
    other = EcephysProjectCache(source, manifest=tmp_path / "other" / "manifest.json")
    cohort = other.cohort(session_ids=IDS[:2])
    message = "cannot be sent to other processes: this cache cannot be pickled.*its OwnSource"
    with pytest.raises(InvalidArgumentError, match=message):
        cohort.map(lambda session: 7, client=client)
    run = cohort.map(lambda session: 7, results=tmp_path / "r")
    assert run.frame()["value"].tolist() == [7, 7]
    assert run.facts["cache"] is None


def test_map__a_closed_client(cohort: Cohort, client: Any) -> None:
    with distributed.Client(client.scheduler.address, set_as_default=False) as closed:
        pass
    with pytest.raises(InvalidArgumentError, match="the client is closed: connect a new one"):
        cohort.map(count_threads, client=closed)


def test_map__a_client_that_is_lost_meanwhile(cohort: Cohort, client: Any, tmp_path: Path) -> None:
    parameters = {"seconds": 1.0}
    with distributed.Client(client.scheduler.address, set_as_default=False) as lost:

        def close_after_the_first() -> None:
            wait_for_results(tmp_path / "r")
            lost.close()

        closing = threading.Thread(target=close_after_the_first)
        closing.start()
        with pytest.raises(SourceError, match=r"the Dask cluster was lost: .*goes on where this"):
            cohort.map(wait, parameters=parameters, results=tmp_path / "r", client=lost)
        closing.join()
    run = cohort.map(wait, parameters=parameters, results=tmp_path / "r", client=client)
    assert run.frame()["value"].tolist() == [1] * 4


@pytest.mark.parametrize("call", ["submit", "_gather"])
def test_map__a_client_that_is_lost_within_a_call(
    cohort: Cohort, client: Any, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    with distributed.Client(client.scheduler.address, set_as_default=False) as lost:

        def close_first(*args: Any, **kwargs: Any) -> Any:
            lost.status = "closed"
            raise ConnectionError("the comm is closed")

        monkeypatch.setattr(lost, call, close_first)
        with pytest.raises(SourceError, match="the Dask cluster was lost: connect a new client"):
            cohort.map(wait, parameters={"seconds": 0.0}, client=lost)
        lost.status = "running"


def wait(session: Any, seconds: float) -> int:
    time.sleep(seconds)
    return 1


# --- files


def test_map__an_unreadable_file(project: EcephysProjectCache, tmp_path: Path) -> None:
    path = project.fetch_session(IDS[1])
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    project.fetch_session(IDS[0])
    cohort = project.cohort(session_ids=IDS[:2])
    run = cohort.map(lambda session: len(session.units), data="local", results=tmp_path / "r")
    assert run.failures["type"].to_dict() == {IDS[1]: "InvalidFileError"}
    assert str(path) in run.failures["message"].iloc[0]
    path.write_bytes(content)
    assert run.retry().failures.empty


def test_map__the_results_folder_cannot_be_written(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match=r"file.*cannot be written.*a file stands where a folder"):
        cohort.map(lambda session: 1, results=tmp_path / "file")
    (tmp_path / "odd" / "session_id=5").mkdir(parents=True)
    with pytest.raises(CacheError, match=r"has partitions but no _run.json.*another folder"):
        cohort.map(lambda session: 1, results=tmp_path / "odd")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "_run.json").write_text("{")
    with pytest.raises(CacheError, match=r"_run.json cannot be read: .*use another folder"):
        cohort.map(lambda session: 1, results=tmp_path / "cut")


@pytest.mark.parametrize("workers", [None, 2])
def test_map__the_disk_fills(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int | None
) -> None:
    fsync, n_calls = os.fsync, 0

    def fill(descriptor: int) -> None:
        nonlocal n_calls
        n_calls += 1
        # the run's file, its folder, and the partition and record of one session with theirs
        if n_calls > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(CacheError, match=r"no space left on the disk of .*free some space"):
        cohort.map(lambda session: 1, results=tmp_path / "r", workers=workers)
    monkeypatch.undo()
    assert len(read_partitions(tmp_path / "r")) < len(IDS)
    assert not list((tmp_path / "r").rglob("*.part"))
    run = cohort.map(lambda session: 1, results=tmp_path / "r")
    assert run.frame()["value"].tolist() == [1] * 4


def test_map__a_small_disk(child: Child, tmp_path: Path) -> None:
    own_disk = ("unshare", "--user", "--map-root-user", "--mount")
    tried = shutil.which("unshare") and subprocess.run(
        [*own_disk, "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"], capture_output=True
    )
    if not tried or tried.returncode != 0:
        pytest.skip("a small disk needs Linux and unprivileged user namespaces (unshare)")
    (tmp_path / "r").mkdir()
    said, unfinished, again = child.run("large", before=own_disk, disk="size=2m")[-3:]
    assert said.startswith("CacheError: no space left on the disk of")
    assert unfinished == "[]"
    assert again == str(dict.fromkeys(IDS, 100_000))


# --- in company


def test_map__two_runs_on_one_folder(child: Child, tmp_path: Path) -> None:
    options = {"parameters": {"log": str(tmp_path / "log")}, "progress": False}
    processes = [child.start("log_call", options=options) for _ in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=DEADLINE_S)
        assert "4 done, 0 failed, 0 to do" in out, err
    # no session was computed twice
    assert sorted(map(int, (tmp_path / "log").read_text().split())) == IDS


def test_map__starts_no_cluster_while_another_run_computes_all(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spikehouse.cohort import _engine

    start, starts = _engine._start, []

    def note_start(*arguments: Any) -> Any:
        starts.append(time.monotonic())
        return start(*arguments)

    monkeypatch.setattr(_engine, "_start", note_start)
    others = contextlib.ExitStack()
    begun = time.monotonic()
    for one in IDS:
        assert others.enter_context(try_lock(tmp_path / "r" / "_records" / f"{one}.lock"))
    timer = threading.Timer(1.5, others.close)
    timer.start()
    run = cohort.map(count_units, results=tmp_path / "r", workers=1)
    timer.join()
    assert len(run.frame()) == len(IDS)
    assert min(starts) - begun > 1.5


def test_map__in_threads_leaves_the_environment(cohort: Cohort) -> None:
    from concurrent.futures import ThreadPoolExecutor

    before = dict(os.environ)
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: cohort.map(count_units, workers=1), range(2)))
    assert [len(run.frame()) for run in runs] == [len(IDS)] * 2
    assert dict(os.environ) == before


def fetch_in_a_process(task: tuple[str, str, int]) -> int:
    from spikehouse.cohort._task import Work, compute_session

    address, manifest, session_id = task
    project = EcephysProjectCache.from_s3(manifest, base_url=address, progress=False)
    work = Work(project, count_units, __file__, {}, {}, "fetch", None)
    outcome = compute_session(work, session_id)
    assert not outcome.error, outcome.error
    return outcome.n_rows


def count_units(session: Any) -> int:
    return len(session.units)


def test_map__four_processes_make_one_download(
    project: EcephysProjectCache, survey: Survey, tmp_path: Path
) -> None:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    name = f"session_{IDS[0]}"
    path = survey.session_file(IDS[0])
    with FileServer(folder=project.manifest_path.parent) as server:
        for table in ("sessions", "probes", "channels", "units"):
            project._store.read_table(table)
        project.fetch_session(IDS[0])
        task = (f"http://{server.address}/", str(tmp_path / "four" / "manifest.json"), IDS[0])
        with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
            assert list(pool.map(fetch_in_a_process, [task] * 4)) == [1] * 4
        sent = sum(one.n_sent for one in server.requests if one.path.endswith(f"{name}.nwb"))
    assert sent == path.stat().st_size
