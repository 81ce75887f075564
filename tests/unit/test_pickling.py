"""Sessions, caches and mappings of spikes pickle as the address they are opened from again."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spikehouse import EcephysProjectCache, EcephysSession
from spikehouse.demo import Survey
from spikehouse.errors import InvalidArgumentError
from spikehouse.survey.manifest import create_manifest

Clone = Callable[[Any], Any]


def pickled(given: Any) -> Any:
    return pickle.loads(pickle.dumps(given))


CLONES = pytest.mark.parametrize("clone", [pickled, copy.deepcopy, copy.copy])


@pytest.fixture
def session(session_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EcephysSession]:
    monkeypatch.chdir(session_path.parent)
    filters = {"isi_violations_maximum": 0.2}
    # opened by a relative path
    with EcephysSession.from_nwb_path(session_path.name, api_kwargs=filters) as session:
        session.spike_times  # noqa: B018 - what was read must not travel
        yield session
    monkeypatch.undo()


@CLONES
def test_session__is_opened_again(session: EcephysSession, clone: Clone) -> None:
    with clone(session) as again:
        assert type(again) is EcephysSession
        assert again.api.filters.isi_violations_maximum == 0.2
        pd.testing.assert_frame_equal(again.units, session.units)
        counts = again.presentationwise_spike_counts([0, 0.1], [1, 2])
        assert counts.identical(session.presentationwise_spike_counts([0, 0.1], [1, 2]))


def test_session__no_data_travel(session: EcephysSession) -> None:
    for given in (session, session.spike_times, session.api.get_spike_times()):
        assert len(pickle.dumps(given)) < 2000


MAPPINGS = {
    "spike_times": lambda s: s.spike_times,
    "spike_amplitudes": lambda s: s.spike_amplitudes,
    "mean_waveforms": lambda s: s.mean_waveforms,
    "all units": lambda s: s.api.get_spike_times(),
    "all waveforms": lambda s: s.api.get_mean_waveforms(),
}


@CLONES
@pytest.mark.parametrize("name", MAPPINGS)
def test_mapping__is_opened_again(session: EcephysSession, name: str, clone: Clone) -> None:
    mapping = MAPPINGS[name](session)
    again = clone(mapping)
    assert type(again) is type(mapping)
    assert list(again) == list(mapping)
    for unit in list(mapping)[:3]:
        np.testing.assert_array_equal(again[unit], mapping[unit])


@pytest.mark.parametrize("name", MAPPINGS)
def test_mapping__copy_is_a_dictionary(session: EcephysSession, name: str) -> None:
    mapping = MAPPINGS[name](session)
    copied = mapping.copy()
    assert type(copied) is dict
    assert list(copied) == list(mapping)
    unit = next(iter(mapping))
    np.testing.assert_array_equal(copied.pop(unit), mapping[unit])


def count_units(session: EcephysSession) -> int:
    return len(session.spike_times)


def test_session__in_another_process_and_folder(
    session: EcephysSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(count_units, [session]) == len(session.spike_times)


class Adapter:
    """A lab's recording, with what cannot be pickled."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def get_spike_times(self) -> Mapping[int, Any]:
        return {}


@pytest.mark.parametrize("clone", [pickled, copy.deepcopy])
def test_session__over_an_adapter_that_does_not_pickle(clone: Clone) -> None:
    session = EcephysSession(Adapter())
    message = "this session cannot be pickled or copied, because its Adapter.*Open it again in eac"
    with pytest.raises(InvalidArgumentError, match=message):
        clone(session)
    assert copy.copy(session).api is session.api


def test_session__deepcopy_of_an_adapter_of_a_function() -> None:
    class Local:
        def get_ecephys_session_id(self) -> int:
            return 5

    session = EcephysSession(Local())
    assert copy.deepcopy(session).ecephys_session_id == 5
    with pytest.raises(InvalidArgumentError, match="because its Local cannot"):
        pickle.dumps(session)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.json"
    create_manifest(path)
    return path


CACHES: dict[str, Callable[[Path], EcephysProjectCache]] = {
    "default": lambda path: EcephysProjectCache(manifest=path, fetch_tries=7),
    "s3": lambda path: EcephysProjectCache.from_s3(path, fetch_tries=7),
    "dandi": lambda path: EcephysProjectCache.from_dandi(path, fetch_tries=7),
    "warehouse": lambda path: EcephysProjectCache.from_warehouse(
        "http", "127.0.0.1:9", manifest=path, timeout=3, fetch_tries=7
    ),
    "folder": lambda path: EcephysProjectCache.from_folder(path.parent, path),
    "fixed": EcephysProjectCache.fixed,
}


@CLONES
@pytest.mark.parametrize("name", CACHES)
def test_cache__is_made_again(name: str, manifest: Path, clone: Clone) -> None:
    project = CACHES[name](manifest)
    again = clone(project)
    assert again.manifest_path == project.manifest_path
    assert len(again._store.sources) == len(project._store.sources)
    for copied, source in zip(again._store.sources, project._store.sources, strict=True):
        assert type(copied) is type(source)
        assert getattr(copied, "options", None) == getattr(source, "options", None)
        for where in ("base_url", "host", "path"):
            assert getattr(copied, where, None) == getattr(source, where, None)


def test_cache__that_keeps_nothing_gets_a_folder_of_its_own() -> None:
    with EcephysProjectCache(cache=False) as project, pickled(project) as again:
        assert again.manifest_path != project.manifest_path
        assert again.manifest_path.exists()


@CLONES
def test_lfp__is_opened_again(
    session_path: Path, survey: Survey, clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    # times that are long enough stay in the file, too
    monkeypatch.setattr("spikehouse.nwb._searchsorted.N_SPREAD", 1)
    monkeypatch.setattr("spikehouse.lfp.lazy_times.LARGEST_READ", 100)
    with EcephysSession.from_nwb_path(session_path) as session:
        probe = int(session.probes.index[session.probes["has_lfp_data"]][0])
        paths = {"probe_lfp_paths": {probe: survey.lfp_file(probe)}}
    with EcephysSession.from_nwb_path(session_path, api_kwargs=paths) as session:
        lfp = session.get_lfp(probe)
        assert len(pickle.dumps(lfp)) < 5000 < lfp.nbytes
        part = {"time": slice(500, 520), "channel": [2, 0]}
        for given in (lfp, lfp.isel(part)):
            again = clone(given)
            np.testing.assert_array_equal(again.isel(time=[0, -1]), given.isel(time=[0, -1]))
            assert again.isel(time=slice(0, 9)).identical(given.isel(time=slice(0, 9)))
        # also where it was read meanwhile
        lfp.isel(part).values  # noqa: B018
        assert len(pickle.dumps(lfp)) < 5000


def read_first(lfp: Any) -> Any:
    return lfp.isel(time=0).values


def test_lfp__in_another_process(session_path: Path, survey: Survey) -> None:
    with EcephysSession.from_nwb_path(session_path) as session:
        probe = int(session.probes.index[session.probes["has_lfp_data"]][0])
    paths = {"probe_lfp_paths": {probe: survey.lfp_file(probe)}}
    with EcephysSession.from_nwb_path(session_path, api_kwargs=paths) as session:
        lfp = session.get_lfp(probe)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            np.testing.assert_array_equal(pool.apply(read_first, [lfp]), read_first(lfp))


@CLONES
def test_cache__its_sessions_know_it(tmp_path: Path, clone: Clone) -> None:
    with EcephysProjectCache.from_demo(tmp_path / "m.json", size="tiny") as project:
        session = project.get_session_data(project.get_session_table().index[0])
        again = clone(session)
        pd.testing.assert_frame_equal(again.channels, session.channels)
        pd.testing.assert_frame_equal(again.units_with_metrics, session.units_with_metrics)


def test_cache__over_a_source_that_does_not_pickle(manifest: Path) -> None:
    source = Adapter()
    source.name = "ours"  # type: ignore[attr-defined]
    project = EcephysProjectCache(source, manifest=manifest)  # type: ignore[arg-type]
    message = "this cache cannot be pickled or copied, because its Adapter cannot"
    with pytest.raises(InvalidArgumentError, match=message):
        pickle.dumps(project)
