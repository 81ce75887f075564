"""The client of the warehouse, over real sockets."""

from __future__ import annotations

import _thread
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from spikehouse.errors import InvalidArgumentError, NotFoundError, SourceError
from spikehouse.schema.cache_tables import PROBES, SESSIONS, UNITS
from spikehouse.survey.file_kinds import VISUAL_CODING
from spikehouse.survey.sources.warehouse import Warehouse
from spikehouse.transfer.retry import HttpOptions

if TYPE_CHECKING:
    from tests.unit.conftest import Handler, StandIn

FILE = VISUAL_CODING.file
QUERY = "/api/v2/data/query.json"

SESSION_ROW: dict[str, Any] = {
    "id": "900000001",
    "date_of_acquisition": "2019-01-19T08:54:18Z",
    "fail_eye_tracking": False,
    "isi_experiment_id": 705968051,
    "published_at": "2019-10-03T00:00:00Z",
    "specimen_id": "699733581",
    "stimulus_name": "brain_observatory_1.1",
    "specimen": {
        "id": 699733581,
        "donor": {"sex": "M", "full_genotype": None, "age": {"name": "P118", "days": "118.0"}},
    },
    "well_known_files": [
        {"id": 1, "well_known_file_type": {"name": "Other"}},
        {"id": 2, "well_known_file_type": {"name": "EcephysNwb"}},
    ],
}


def make_warehouse(server: StandIn, **options: Any) -> Warehouse:
    return Warehouse(server.address, "http", timeout=2, **options)


def test_read_table__of_sessions_gives_the_columns_of_the_csv(server: StandIn) -> None:
    mutant = {
        **SESSION_ROW,
        "id": 900000002,
        "well_known_files": [],
        "specimen": {"donor": {"sex": "F", "full_genotype": "Vip", "age": {"days": 99}}},
    }
    server.serve_tables({"model::EcephysSession": [SESSION_ROW, mutant]})
    sessions = make_warehouse(server).read_table(FILE("sessions"))
    assert sessions.index.name == "id"
    assert sessions.index.tolist() == [900000001, 900000002]
    assert sessions.columns.tolist() == SESSIONS.column_names
    assert sessions["genotype"].tolist() == ["wt", "Vip"]
    assert sessions["age_in_days"].tolist() == [118.0, 99.0]
    assert sessions["specimen_id"].dtype == np.int64
    assert sessions["has_nwb"].tolist() == [True, False]
    assert sessions["session_type"].tolist() == ["brain_observatory_1.1"] * 2


def test_read_table__of_probes_converts_numbers_that_come_as_strings(server: StandIn) -> None:
    row = {
        "id": "810755797",
        "air_channel_index": "384",
        "ecephys_session_id": "715093703",
        "lfp_sampling_rate": "2499.99728487454",
        "lfp_temporal_subsampling_factor": None,
        "name": "probeA",
        "phase": "3",
        "sampling_rate": 30000,
        "surface_channel_index": 336,
        "use_lfp_data": "true",
    }
    server.serve_tables({"model::EcephysProbe": [row, {**row, "id": 2, "use_lfp_data": None}]})
    probes = make_warehouse(server).read_table(FILE("probes"))
    assert probes.columns.tolist() == PROBES.column_names
    assert probes.loc[810755797, "lfp_sampling_rate"] == 2499.99728487454
    assert np.isnan(probes.loc[810755797, "lfp_temporal_subsampling_factor"])
    # a word stays a word, also where it looks like a number
    assert probes["phase"].tolist() == ["3", "3"]
    assert probes["air_channel_index"].dtype == np.int64
    assert probes["has_lfp_data"].tolist() == [True, False]


def make_units(n: int) -> list[dict[str, Any]]:
    numbers = dict.fromkeys(UNITS.column_names, 0.5)
    return [{**numbers, "id": i, "ecephys_channel_id": i, "quality": "good"} for i in range(n)]


@pytest.mark.parametrize("server_page", [7, 10, 5000])
@pytest.mark.parametrize("n_rows", [1, 10, 11, 57])
def test_read_table__of_units_puts_the_pages_together_in_order(
    server: StandIn, n_rows: int, server_page: int
) -> None:
    server.serve_tables({"model::EcephysUnit": make_units(n_rows)}, page=server_page)
    units = make_warehouse(server, page_rows=10).read_table(FILE("units"))
    assert units.index.tolist() == list(range(n_rows))
    assert server.n_seen(QUERY) == -(-n_rows // min(server_page, 10))


def test_read_table__of_units_ctrl_c_waits_for_no_page(server: StandIn) -> None:
    server.serve_tables({"model::EcephysUnit": make_units(30)})
    answer = server.routes[QUERY]
    interrupt = iter([_thread.interrupt_main])

    def route(handler: Handler) -> None:
        if "start_row$eq0]" not in handler.criteria():
            next(interrupt, lambda: None)()
            server.released.wait(60)
        answer(handler)

    server.routes[QUERY] = route
    warehouse = make_warehouse(server, page_rows=10, options=HttpOptions(answer_timeout=300))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        warehouse.read_table(FILE("units"))
    # a second of farewell and not a minute of waiting; this machine may be busy
    assert time.monotonic() - began < 10


def test_read_table__of_units_says_which_page_fails_and_asks_for_no_more(
    server: StandIn, hasty: HttpOptions
) -> None:
    server.serve_tables({"model::EcephysUnit": make_units(1000)})
    answer = server.routes[QUERY]

    def route(handler: Handler) -> None:
        if "start_row$eq10]" in handler.criteria():
            handler.reply(b"", status=400)
        else:
            answer(handler)
            time.sleep(0.05)

    server.routes[QUERY] = route
    with pytest.raises(SourceError, match="status 400"):
        make_warehouse(server, page_rows=10, options=hasty).read_table(FILE("units"))
    assert server.n_seen(QUERY) < 50


def test_read_table__of_units_of_nobody_has_all_columns(server: StandIn) -> None:
    server.serve_tables({"model::EcephysUnit": []})
    units = make_warehouse(server).read_table(FILE("units"))
    assert units.shape == (0, len(UNITS.columns))
    assert units.columns.tolist() == UNITS.column_names


def test_read_table__of_units_draws_no_bar_for_a_quick_answer(
    server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    server.serve_tables({"model::EcephysUnit": make_units(30)})
    make_warehouse(server, page_rows=10).read_table(FILE("units"))
    assert capsys.readouterr().err == ""


def test_read_table__of_units_draws_a_bar_for_a_slow_one(
    server: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikehouse.survey.sources.warehouse.BAR_DELAY_S", 0.0)
    server.serve_tables({"model::EcephysUnit": make_units(30)})
    make_warehouse(server, page_rows=10).read_table(FILE("units"))
    assert "Listing units: 100%|" in capsys.readouterr().err


def test_read_table__of_metrics_unpacks_the_bundles(server: StandIn) -> None:
    rows = [
        {"id": 1, "ecephys_unit_id": "950907522", "data": '{"g_osi_dg": 0.5, "area_rf": null}'},
        {"id": 2, "ecephys_unit_id": 950907205, "data": '{"g_osi_dg": NaN, "area_rf": 500.0}'},
    ]
    server.serve_tables({"stimulus_name$in'functional_connectivity'": rows})
    metrics = make_warehouse(server).read_table(FILE("type_metrics", "functional_connectivity"))
    expected = pd.DataFrame(
        {"g_osi_dg": [0.5, np.nan], "area_rf": [np.nan, 500.0]},
        index=pd.Index([950907522, 950907205], name="ecephys_unit_id"),
    )
    pd.testing.assert_frame_equal(metrics, expected)


@pytest.mark.parametrize(
    ("data", "message"), [("{", "invalid metrics"), ("[1]", "metrics without names")]
)
def test_read_table__of_metrics_refuses_nonsense(server: StandIn, data: str, message: str) -> None:
    server.serve_tables({"UnitMetricBundle": [{"id": 1, "ecephys_unit_id": 2, "data": data}]})
    with pytest.raises(SourceError, match=message):
        make_warehouse(server).read_table(FILE("session_metrics", 7))


def test_locate__says_where_the_file_is(server: StandIn) -> None:
    link = "/api/v2/well_known_file_download/1026124469"
    server.serve_tables({"[attachable_id$eq715093703]": [{"id": 1, "download_link": link}]})
    found = make_warehouse(server).locate(FILE("session", 715093703))
    assert found.url == server.url(link)
    assert (found.name, found.source) == ("session 715093703", "warehouse")


def test_locate__says_when_none_was_released(server: StandIn) -> None:
    server.serve_tables({"EcephysLfpNwb": []})
    with pytest.raises(
        NotFoundError, match="no file for LFP of probe 846401838: none was released"
    ):
        make_warehouse(server).locate(FILE("lfp", 1, 846401838))


@pytest.mark.parametrize(
    "link",
    [
        "http://elsewhere.org/file",
        "//elsewhere.org/file",
        "http://127.0.0.1:1/file",
        "http://{host}@elsewhere.org/file",
        "http://{host}.elsewhere.org/file",
        "https://{host}/file",
        "/api/\\elsewhere.org",
        "/a b",
        "/a\x00b",
        "/file#part",
        "/" + "a" * 3000,
        "/",
        "file:///etc/passwd",
        "",
        None,
        7,
    ],
)
def test_locate__does_not_follow_links_elsewhere(server: StandIn, link: object) -> None:
    if isinstance(link, str):
        link = link.replace("{host}", server.address)
    server.serve_tables({"EcephysNwb": [{"id": 1, "download_link": link}]})
    with pytest.raises(SourceError, match="which is not on that host: not followed"):
        make_warehouse(server).locate(FILE("session", 1))


def test_locate__refuses_two_files(server: StandIn) -> None:
    server.serve_tables({"EcephysNwb": [{"download_link": "/a"}, {"download_link": "/b"}]})
    with pytest.raises(SourceError, match="has 2 files for session 1 instead of one"):
        make_warehouse(server).locate(FILE("session", 1))


def test_locate__of_templates_are_found_by_the_end_of_their_path(server: StandIn) -> None:
    rows = [
        {"id": 1, "path": "/some/where/scenes/5.tiff", "download_link": "/wkf/1"},
        {"id": 2, "path": "/some/where/scenes/15.tiff", "download_link": "/wkf/2"},
        {"id": 3, "path": "/some/where/natural_movie_1.npy", "download_link": "/wkf/3"},
        {"id": 4, "path": "/some/where/readme.txt", "download_link": "/wkf/4"},
        {"id": 5, "path": None, "download_link": "/wkf/5"},
    ]
    server.serve_tables({"name$eq'Stimulus'": rows})
    warehouse = make_warehouse(server)
    assert warehouse.locate(FILE("scene", 5)).url == server.url("/wkf/1")
    assert warehouse.locate(FILE("scene", 15)).url == server.url("/wkf/2")
    assert warehouse.locate(FILE("movie", 1)).url == server.url("/wkf/3")
    with pytest.raises(NotFoundError, match="has no file for natural movie 3"):
        warehouse.locate(FILE("movie", 3))
    # the list was asked for once
    assert server.n_seen(QUERY) == 1


def answer_json(document: object, **options: Any) -> Callable[[Handler], None]:
    def route(handler: Handler) -> None:
        handler.reply(json.dumps(document).encode(), kind="application/json", **options)

    return route


def test_query__passes_on_what_the_warehouse_says(server: StandIn) -> None:
    server.routes[QUERY] = answer_json({"success": False, "msg": "undefined method for nil"})
    with pytest.raises(SourceError, match="rejected the query: undefined method for nil"):
        make_warehouse(server).read_table(FILE("sessions"))


def test_query__says_when_rows_are_missing(server: StandIn) -> None:
    page = {"success": True, "msg": make_units(2), "num_rows": 2, "total_rows": 5}
    server.routes[QUERY] = answer_json(page)
    with pytest.raises(SourceError, match="announced 5 rows and delivered 6"):
        make_warehouse(server).read_table(FILE("units"))


def test_query__says_when_the_answer_is_a_page(server: StandIn) -> None:
    server.routes[QUERY] = lambda handler: handler.reply(b"<html>log in</html>", kind="text/html")
    with pytest.raises(SourceError, match=r"an HTML page that begins with b'<html>log in</html>'"):
        make_warehouse(server).read_table(FILE("sessions"))


def test_query__says_when_the_answer_is_nonsense(server: StandIn) -> None:
    server.routes[QUERY] = lambda handler: handler.reply(b"\xff\xfenothing")
    with pytest.raises(SourceError, match="returned no valid JSON"):
        make_warehouse(server).read_table(FILE("sessions"))


def test_query__says_when_a_column_is_missing(server: StandIn) -> None:
    row = {name: value for name, value in SESSION_ROW.items() if name != "published_at"}
    server.serve_tables({"model::EcephysSession": [row]})
    with pytest.raises(SourceError, match="returned a sessions table without 'published_at'"):
        make_warehouse(server).read_table(FILE("sessions"))


def test_query__says_when_a_value_cannot_be_converted(server: StandIn) -> None:
    server.serve_tables({"model::EcephysSession": [{**SESSION_ROW, "specimen_id": "many"}]})
    with pytest.raises(SourceError, match=r"invalid sessions table: .*'specimen_id'"):
        make_warehouse(server).read_table(FILE("sessions"))


def test_read_table__of_units_shows_nothing_that_steers_a_terminal(server: StandIn) -> None:
    server.serve_tables({"model::EcephysUnit": [{**make_units(1)[0], "snr": "\x1b[2J"}]})
    with pytest.raises(SourceError, match="'snr'") as caught:
        make_warehouse(server).read_table(FILE("units"))
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("status", [404, 500])
def test_query__checks_the_status(server: StandIn, status: int, hasty: HttpOptions) -> None:
    server.routes[QUERY] = answer_json({"success": True, "msg": []}, status=status)
    with pytest.raises(SourceError, match=f"status {status}"):
        make_warehouse(server, options=hasty).read_table(FILE("sessions"))


def test_query__tries_again_when_the_answer_breaks_off(server: StandIn) -> None:
    def break_off(handler: Handler) -> None:
        handler.reply(b'{"success"', length=1000)
        handler.hang_up()

    good = answer_json({"success": True, "msg": make_units(1), "num_rows": 1, "total_rows": 1})
    routes = iter([break_off, good])
    server.routes[QUERY] = lambda handler: next(routes)(handler)
    assert len(make_warehouse(server).read_table(FILE("units"))) == 1


def test_query__says_which_host_does_not_answer(closed_address: str) -> None:
    warehouse = Warehouse(closed_address, "http", fetch_tries=1)
    with pytest.raises(SourceError, match=f"{closed_address} cannot be reached over http"):
        warehouse.read_table(FILE("sessions"))


@pytest.mark.parametrize(
    ("host", "scheme"),
    [
        ("api.brain-map.org", "https"),
        ("10.0.0.7:8000", "https"),
        ("127.0.0.1:8000", "http"),
        ("localhost", "http"),
        ("[::1]:8000", "http"),
    ],
)
def test_warehouse__speaks_tls_but_to_this_machine(host: str, scheme: str) -> None:
    assert Warehouse(host).scheme == scheme
    assert Warehouse(host, "https").scheme == "https"


def test_warehouse__never_asks_in_the_clear_after_tls_failed(server: StandIn) -> None:
    server.serve_tables({"model::EcephysUnit": make_units(3)})
    with pytest.raises(SourceError, match="cannot be reached over https"):
        Warehouse(server.address, "https", fetch_tries=1).read_table(FILE("units"))
    assert server.seen == []


@pytest.mark.parametrize("host", ["", "http://a.org", "a.org/path", "user@a.org", "a b", "a:b"])
def test_warehouse__refuses_what_is_no_host(host: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a host"):
        Warehouse(host)


def test_warehouse__refuses_other_schemes() -> None:
    with pytest.raises(InvalidArgumentError, match="the scheme is 'ftp'"):
        Warehouse(scheme="ftp")


@pytest.mark.parametrize("total", [10**12, 5_000_001, 0, -1])
def test_query__does_not_believe_any_number_of_rows(server: StandIn, total: int) -> None:
    server.routes[QUERY] = answer_json({"success": True, "msg": [{"id": 1}], "total_rows": total})
    with pytest.raises(
        SourceError,
        match=rf"announces {total} rows and returned 1: the total must lie between that and",
    ):
        make_warehouse(server).query("model::EcephysUnit")
    assert server.n_seen(QUERY) == 1


def test_query__does_not_go_on_for_ever_in_tiny_pages(server: StandIn) -> None:
    server.routes[QUERY] = answer_json({"success": True, "msg": [{"id": 1}], "total_rows": 50_000})
    with pytest.raises(SourceError, match="gives 1 of 50000 rows at a time: it would take more"):
        make_warehouse(server).query("model::EcephysUnit")
    assert server.n_seen(QUERY) == 1


def test_query__refuses_more_rows_than_it_asked_for(server: StandIn) -> None:
    rows = [{"id": i} for i in range(11)]
    server.routes[QUERY] = answer_json({"success": True, "msg": rows, "total_rows": 11})
    with pytest.raises(SourceError, match="gives 11 rows where 10 were asked for"):
        make_warehouse(server, page_rows=10).query("model::EcephysUnit")


def test_query__shows_nothing_that_steers_a_terminal(server: StandIn) -> None:
    server.routes[QUERY] = answer_json({"success": False, "msg": "\x1b[2Jgone\n"})
    with pytest.raises(SourceError, match=r"rejected the query: \\x1b\[2Jgone\\n") as caught:
        make_warehouse(server).query("model::EcephysUnit")
    assert "\x1b" not in str(caught.value)


def test_read_table__of_units_refuses_an_id_that_is_there_twice(server: StandIn) -> None:
    # pages that overlap because a row was added in between look like this
    server.serve_tables({"model::EcephysUnit": [*make_units(5), *make_units(1)]})
    with pytest.raises(SourceError, match="invalid units table: id 0 occurs twice"):
        make_warehouse(server).read_table(FILE("units"))


@pytest.mark.parametrize("unit_id", [1.5, -1, 2**70, "1e3", None, True, [1], float("inf")])
def test_read_table__of_units_refuses_what_is_no_id(server: StandIn, unit_id: object) -> None:
    server.serve_tables({"model::EcephysUnit": [{**make_units(1)[0], "id": unit_id}]})
    with pytest.raises(SourceError, match=r"invalid units table: .*(is not an id|invalid literal)"):
        make_warehouse(server).read_table(FILE("units"))


def test_read_table__of_metrics_refuses_a_unit_that_is_there_twice(server: StandIn) -> None:
    rows = [{"id": i, "ecephys_unit_id": u, "data": "{}"} for i, u in enumerate([100, 101] * 2)]
    server.routes[QUERY] = answer_json({"success": True, "msg": rows, "total_rows": 4})
    with pytest.raises(SourceError, match="the metrics of unit 100 twice; call again"):
        make_warehouse(server).read_table(FILE("session_metrics", 7))


@pytest.mark.parametrize("name", ["a'][id$gt0", b"bytes", "a/b"])
def test_read_table__lets_nothing_else_into_the_query(server: StandIn, name: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        make_warehouse(server).read_table(FILE("type_metrics", name))
    assert server.seen == []


def test_read_table__of_metrics_refuses_more_than_a_table_can_have(server: StandIn) -> None:
    rows = [
        {"id": i, "ecephys_unit_id": i, "data": json.dumps({f"m{i}_{n}": 1 for n in range(100)})}
        for i in range(50)
    ]
    server.serve_tables({"UnitMetricBundle": rows})
    with pytest.raises(SourceError, match="returned more than 1000 metrics"):
        make_warehouse(server).read_table(FILE("session_metrics", 7))


def test_read_table__of_metrics_refuses_endless_brackets(server: StandIn) -> None:
    row = {"id": 1, "ecephys_unit_id": 2, "data": "[" * 100_000}
    server.serve_tables({"UnitMetricBundle": [row]})
    with pytest.raises(SourceError, match="invalid metrics"):
        make_warehouse(server).read_table(FILE("session_metrics", 7))


def test_warehouse__takes_options_in_place_of_single_ones(hasty: HttpOptions) -> None:
    assert Warehouse(options=hasty, fetch_tries=9).options == hasty
    assert Warehouse(timeout=10, fetch_tries=9).options.fetch_tries == 9
    assert Warehouse().name == "warehouse"
