"""The cache against the demo warehouse: over sockets, into a folder, and back out of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from warehouse_server import DemoWarehouse

from spikehouse import EcephysProjectCache
from spikehouse.demo import Survey
from spikehouse.errors import CacheError, InvalidArgumentError, SessionNotFoundError


@pytest.fixture(scope="module")
def warehouse(survey: Survey) -> Iterator[DemoWarehouse]:
    with DemoWarehouse(survey) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def project(
    warehouse: DemoWarehouse, tmp_path_factory: pytest.TempPathFactory
) -> EcephysProjectCache:
    manifest = tmp_path_factory.mktemp("cache") / "manifest.json"
    return EcephysProjectCache.from_warehouse("http", warehouse.address, manifest=manifest)


def test_tables__hold_every_row_of_the_survey(project: EcephysProjectCache, survey: Survey) -> None:
    sessions, channels = project.get_session_table(), project.get_channels()
    assert sessions.index.tolist() == survey.session_ids
    assert sorted(project.get_probes().index) == sorted(survey.read_table("probes").index)
    assert sorted(channels.index) == sorted(survey.read_table("channels").index)
    # no channel and no unit is lost or counted twice
    assert sessions["channel_count"].sum() == len(channels)
    assert sessions["unit_count"].sum() == len(project.get_units())
    assert channels["unit_count"].sum() == len(project.get_units())
    no_limits = project.get_units(
        amplitude_cutoff_maximum=None,
        presence_ratio_minimum=None,
        isi_violations_maximum=None,
        filter_by_validity=False,
        filter_out_of_brain_units=False,
    )
    assert sorted(no_limits.index) == sorted(survey.read_table("units").index)


@pytest.mark.parametrize("name", ["sessions", "probes", "channels", "units"])
def test_tables__have_the_columns_and_values_of_the_survey(
    name: str, project: EcephysProjectCache, survey: Survey
) -> None:
    project.get_session_table()
    ours = pd.read_csv(project.manifest_path.parent / f"{name}.csv", index_col="id")
    theirs = survey.read_table(name)  # type: ignore[arg-type]
    assert ours.columns.tolist() == theirs.columns.tolist()
    theirs = theirs.loc[ours.index]
    for column in ours.columns:
        if pd.api.types.is_numeric_dtype(ours[column]):
            np.testing.assert_allclose(
                ours[column].astype(float), theirs[column].astype(float), rtol=1e-12
            )
        else:
            assert ours[column].fillna("-").tolist() == theirs[column].fillna("-").tolist()


def test_metrics__are_those_of_the_survey(project: EcephysProjectCache, survey: Survey) -> None:
    session_id = survey.session_ids[0]
    ours = project.get_unit_analysis_metrics_for_session(session_id, annotate=False)
    theirs = survey.read_analysis_metrics(session_id)
    assert sorted(ours.index) == sorted(theirs.index)
    assert set(ours.columns) == set(theirs.columns)
    annotated = project.get_unit_analysis_metrics_for_session(session_id)
    assert annotated.index.name == "ecephys_unit_id"
    assert set(annotated.index) <= set(ours.index)
    assert (annotated["ecephys_session_id"] == session_id).all()


def test_get_session_data__gives_a_session_that_agrees_with_the_table(
    project: EcephysProjectCache, survey: Survey
) -> None:
    session_id = survey.session_ids[0]
    session = project.get_session_data(session_id)
    row = project.get_session_table().loc[session_id]
    assert session.ecephys_session_id == session_id
    assert session.metadata["num_units"] == row["unit_count"]
    assert session.metadata["num_probes"] == row["probe_count"]
    assert session.session_type == row["session_type"]
    units = project.get_units()
    expected = units[units["ecephys_session_id"] == session_id]
    assert sorted(session.units.index) == sorted(expected.index)
    ours = session.units["ecephys_structure_acronym"]
    assert ours.to_dict() == expected["ecephys_structure_acronym"].to_dict()


def test_fetch_session__brings_the_bytes_of_the_survey(
    project: EcephysProjectCache, survey: Survey
) -> None:
    session_id = survey.session_ids[0]
    path = project.fetch_session(session_id)
    name = f"session_{session_id}"
    assert path == project.manifest_path.parent / name / f"{name}.nwb"
    ours = hashlib.sha256(path.read_bytes()).hexdigest()
    assert ours == hashlib.sha256(survey.session_file(session_id).read_bytes()).hexdigest()


def test_templates__are_those_of_the_survey(project: EcephysProjectCache, survey: Survey) -> None:
    scene = project.get_natural_scene_template(np.int64(17))
    assert scene.shape == (918, 1174)
    assert scene.dtype == np.uint8
    np.testing.assert_array_equal(scene, survey.read_scene(17))
    movie = project.get_natural_movie_template(1)
    assert movie.dtype == np.uint8
    np.testing.assert_array_equal(movie, np.load(survey.movie_file(1)))


def test_cache__goes_on_offline(project: EcephysProjectCache, survey: Survey) -> None:
    session_id = survey.session_ids[0]
    project.fetch_session(session_id)
    fixed = EcephysProjectCache.fixed(project.manifest_path)
    pd.testing.assert_frame_equal(fixed.get_session_table(), project.get_session_table())
    assert fixed.get_session_data(session_id).ecephys_session_id == session_id
    with pytest.raises(CacheError, match=f"session_{survey.session_ids[1]}.nwb is not in the"):
        fixed.get_session_data(survey.session_ids[1])


def test_get_session_data__of_nobody_fetches_nothing(
    project: EcephysProjectCache, survey: Survey
) -> None:
    unknown = max(survey.session_ids) + 1
    with pytest.raises(SessionNotFoundError, match=f"did you mean {max(survey.session_ids)} or"):
        project.get_session_data(unknown)
    assert not (project.manifest_path.parent / f"session_{unknown}").exists()


def test_from_demo__its_files_lie_on_the_disk_once(tmp_path: Path) -> None:
    with EcephysProjectCache.from_demo(size="tiny", folder=tmp_path) as project:
        session_id = project.get_session_table().index[0]
        project.get_session_data(session_id).close()
        project.get_natural_scene_template(1)
        folder = project.manifest_path.parent
        for name in (f"session_{session_id}/session_{session_id}.nwb",
                     "natural_scene_templates/natural_scene_1.tiff"):  # fmt: skip
            file = folder / name
            assert file.samefile(folder.parent / file.name)
        states = project.verify().set_index("file")["state"]
        assert set(states) == {"ok"}
        metrics = project.get_unit_analysis_metrics_for_session(session_id)
        assert metrics["pref_image_ns"].notna().any()


def test_from_demo__keeps_surveys_apart(tmp_path: Path) -> None:
    with (
        EcephysProjectCache.from_demo(size="tiny", folder=tmp_path) as one,
        EcephysProjectCache.from_demo(size="tiny", seed=7, folder=tmp_path) as other,
    ):
        assert one.manifest_path != other.manifest_path
        assert one.manifest_path.is_relative_to(tmp_path)


def test_verify__repairs_what_it_can_and_says_what_it_could_not(tmp_path: Path) -> None:
    manifest = tmp_path / "cache" / "manifest.json"
    with EcephysProjectCache.from_demo(manifest, size="tiny", folder=tmp_path) as project:
        first, second = project.get_session_table().index[:2]
        damaged = [Path(project.get_session_data(number).api.path) for number in (first, second)]
        for path in damaged:
            content = bytearray(path.read_bytes())
            content[-1000] ^= 1
            path.unlink()  # it has a second name beside the simulated files
            path.write_bytes(content)
        with EcephysProjectCache.fixed(manifest) as offline:
            table = offline.verify(repair=True).set_index("file")
        bad = table[table["state"] == "changed"]
        assert len(bad) == 2
        assert bad["advice"].str.startswith("could not be repaired: ").all()
        repaired = project.verify(repair=True).set_index("file")
        assert (repaired["state"] == "repaired").sum() == 2
        # what was kept is listed, and goes when asked for
        kept = [f"session_{n}/session_{n}.nwb.bad-1" for n in (first, second)]
        files = project.list_files()
        assert files.loc[files["kind"] == "replaced", "file"].tolist() == kept
        project.remove_leftovers(project.list_leftovers())
        assert not any((manifest.parent / name).exists() for name in kept)
        assert set(project.verify()["state"]) == {"ok"}


def test_num_units__says_why_the_session_table_counts_more(project: EcephysProjectCache) -> None:
    sessions = project.get_session_table()
    session = project.get_session_data(sessions.loc[[900000003]])
    assert (sessions.loc[900000003, "unit_count"], session.num_units) == (17, 16)
    said = "16: VISp [0-9].* \\(1 more outside the brain, which unit_count includes\\)"
    assert re.search(said, repr(session))
    whole = project.get_session_data(900000003, filter_out_of_brain_units=False)
    assert whole.num_units == 17
    assert "outside the brain" not in repr(whole) + repr(project.get_session_data(900000001))


def test_tables__stand_for_the_ids_of_sessions_and_probes(project: EcephysProjectCache) -> None:
    sessions, probes = project.get_session_table()[:2], project.get_probes()
    planned = project.plan(sessions, tables=False).items
    assert planned == project.plan([*sessions.index], tables=False).items
    with_lfp = probes[probes["has_lfp_data"].astype(bool)][:1]
    assert project.fetch_probe_lfp(with_lfp) == project.fetch_probe_lfp(with_lfp.index[0])
    with pytest.raises(InvalidArgumentError, match="session_id takes one id, not 2: choose one"):
        project.get_session_data(sessions)
