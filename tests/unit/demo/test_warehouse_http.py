from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikehouse.demo.warehouse_http import FileState, plan_file, read_range

STATE = FileState(size=1000, modified_ns=1_570_060_800_123_456_789)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-499", (0, 500)),
        ("bytes=500-", (500, 1000)),
        ("bytes=-200", (800, 1000)),
        ("bytes=-2000", (0, 1000)),
        ("bytes=990-2000", (990, 1000)),
        ("BYTES = 1 - 2", (1, 3)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("bytes=a-b", None),
        ("items=0-1", None),
        ("bytes=" + "9" * 5000 + "-", None),
        ("", None),
    ],
)
def test_read_range__reads_one_range_or_ignores_the_header(header, expected):
    assert read_range(header, 1000) == expected


@given(st.integers(0, 60), st.integers(0, 80), st.integers(0, 80))
def test_read_range__bounds_are_those_of_a_slice(size, first, last):
    content = bytes(range(size))
    if first <= last:
        start, stop = read_range(f"bytes={first}-{last}", size)
        assert content[start:stop] == content[first : last + 1]
    start, stop = read_range(f"bytes={first}-", size)
    assert content[start:stop] == content[first:]
    start, stop = read_range(f"bytes=-{last}", size)
    assert content[start:stop] == (content[-last:] if last else b"")


def test_plan_file__whole_file_with_validators():
    plan = plan_file("GET", {}, STATE)
    assert (plan.status, plan.start, plan.stop) == (HTTPStatus.OK, 0, 1000)
    assert plan.headers == {
        "ETag": '"3e8-15c9f9faab1fcd15"',
        "Last-Modified": "Thu, 03 Oct 2019 00:00:00 GMT",
        "Accept-Ranges": "bytes",
        "Content-Length": "1000",
    }


def test_plan_file__range_is_partial_content():
    plan = plan_file("GET", {"range": "bytes=10-19"}, STATE)
    assert (plan.status, plan.start, plan.stop) == (HTTPStatus.PARTIAL_CONTENT, 10, 20)
    assert plan.headers["Content-Range"] == "bytes 10-19/1000"
    assert plan.headers["Content-Length"] == "10"


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-1001", "bytes=-0"])
def test_plan_file__range_beyond_the_end_cannot_be_met(header):
    plan = plan_file("GET", {"range": header}, STATE)
    assert plan.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    assert plan.headers["Content-Range"] == "bytes */1000"
    assert plan.start == plan.stop == 0


def test_plan_file__head_has_no_ranges():
    plan = plan_file("HEAD", {"range": "bytes=0-9"}, STATE)
    assert (plan.status, plan.headers["Content-Length"]) == (HTTPStatus.OK, "1000")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (STATE.etag, 206),
        (STATE.last_modified, 206),
        ('"other"', 200),
        (f"W/{STATE.etag}", 200),
        ("Thu, 03 Oct 2019 00:00:01 GMT", 200),
    ],
)
def test_plan_file__if_range_guards_the_range(header, status):
    assert plan_file("GET", {"range": "bytes=0-9", "if-range": header}, STATE).status == status


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("*", 304),
        (STATE.etag, 304),
        (f"W/{STATE.etag}", 304),
        (f'"other", {STATE.etag}', 304),
        ('"other"', 200),
    ],
)
def test_plan_file__if_none_match_saves_the_transfer(header, status):
    plan = plan_file("GET", {"if-none-match": header}, STATE)
    assert plan.status == status
    assert plan.headers["ETag"] == STATE.etag
    assert plan.stop == (0 if status == 304 else 1000)


def test_etag__changes_with_size_and_time():
    tags = {FileState(1, 5).etag, FileState(2, 5).etag, FileState(1, 6).etag}
    assert len(tags) == 3
