"""For how long failures are borne, with a clock of our own."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikehouse.errors import SourceError, TransferError
from spikehouse.transfer import retry as retry_module
from spikehouse.transfer.retry import (
    HttpOptions,
    RetryState,
    TransientError,
    UnreachableError,
    retry,
)

BUSY = TransientError("busy")


class Clock:
    """Time that passes only where a test lets it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, wait: float) -> None:
        self.now += wait


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(retry_module, "time", clock)
    monkeypatch.setattr(retry_module, "say", lambda text: None)
    return clock


def count_tries(
    clock: Clock,
    error: TransientError | TransferError,
    *,
    took: float = 0.1,
    has_met: bool = False,
    options: HttpOptions | None = None,
) -> tuple[int, float]:
    """Fail always, and say how often and for how long."""
    n_tries = 0
    begun = clock.now

    def attempt() -> None:
        nonlocal n_tries
        n_tries += 1
        clock.now += took
        raise error

    with pytest.raises(type(error)) as caught:
        retry(attempt, options=options or HttpOptions(), has_met=has_met, sleep=clock.sleep)
    assert caught.value is error
    return n_tries, clock.now - begun


@pytest.mark.parametrize("fetch_tries", [0, 1, 2, 100])
def test_retry__bears_what_passes_for_a_minute_whatever_fetch_tries(
    clock: Clock, fetch_tries: int
) -> None:
    for error in (BUSY, UnreachableError("reset"), TransferError("broke off")):
        n_tries, lasted = count_tries(clock, error, options=HttpOptions(fetch_tries=fetch_tries))
        assert 6 <= n_tries <= 10
        # what the last try takes counts twice
        assert 59.8 <= lasted <= 62


@pytest.mark.parametrize(("fetch_tries", "n_tries"), [(0, 1), (1, 1), (2, 2), (5, 5)])
def test_retry__makes_few_tries_where_they_seldom_help(
    clock: Clock, fetch_tries: int, n_tries: int
) -> None:
    error = TransientError("a page", is_lasting=True)
    assert count_tries(clock, error, options=HttpOptions(fetch_tries=fetch_tries))[0] == n_tries


def test_retry__gives_up_on_a_silent_host_after_one_time_out(clock: Clock) -> None:
    silence = UnreachableError("timed out")
    assert count_tries(clock, silence, took=30.0) == (1, 30.0)
    # it is tried again where it has answered before, or is given up on sooner
    assert count_tries(clock, silence, took=30.0, has_met=True)[0] == 2
    assert count_tries(clock, silence, took=10.0)[0] == 5


def test_retry__tries_again_however_long_the_first_try_took_to_break_off(clock: Clock) -> None:
    n_tries, lasted = count_tries(clock, TransferError("broke off"), took=1000.0)
    assert n_tries == 2
    assert lasted == pytest.approx(2000, abs=1)


def test_retry__bears_a_host_that_was_there_before(clock: Clock) -> None:
    gone = UnreachableError("no route", is_lasting=True)
    assert count_tries(clock, gone)[0] == 2
    assert count_tries(clock, gone, has_met=True)[0] >= 6
    page = TransientError("a page", is_lasting=True)
    assert count_tries(clock, page, has_met=True)[0] == 2


@pytest.mark.parametrize(
    ("asked", "n_tries", "lasted"), [(7.0, 10, 63), (60.0, 2, 60), (3600.0, 2, 60)]
)
def test_retry__waits_as_long_as_the_server_asks_up_to_a_limit(
    clock: Clock, asked: float, n_tries: int, lasted: float
) -> None:
    error = TransientError("busy", retry_after=asked)
    counted = count_tries(clock, error, took=0.0)
    assert counted == (pytest.approx(n_tries, abs=1), pytest.approx(lasted, abs=1))


def test_retry__is_no_flood_where_the_server_asks_for_no_wait(clock: Clock) -> None:
    n_tries, _ = count_tries(clock, TransientError("busy", retry_after=0.0), took=0.0)
    assert n_tries < 10


def test_retry__does_not_try_other_errors_again() -> None:
    tries = []

    def refuse() -> None:
        tries.append(1)
        raise SourceError("404")

    with pytest.raises(SourceError, match="404"):
        retry(refuse, options=HttpOptions(), sleep=lambda wait: None)
    assert tries == [1]


def test_retry__ends_when_it_is_told_to_stop() -> None:
    tries = []

    def fail() -> None:
        tries.append(1)
        raise BUSY

    with pytest.raises(TransientError):
        retry(fail, options=HttpOptions(), sleep=lambda wait: True)
    assert tries == [1]


def test_retry_state__is_new_whenever_something_came(clock: Clock) -> None:
    patient = RetryState(HttpOptions(), has_met=True)
    for _ in range(50):
        for _ in range(4):
            clock.sleep(patient.next_wait(BUSY))
        clock.sleep(1000.0)
        patient.restart()


@given(st.integers(1, 10_000), st.floats(0.001, 10), st.floats(0.001, 100))
def test_retry_state__waits_double_with_jitter_up_to_a_limit(
    n_failed: int, backoff: float, longest: float
) -> None:
    options = HttpOptions(backoff=backoff, longest_wait=longest)
    patient = RetryState(options)
    patient._n_failed = n_failed
    wait = patient._choose_wait(BUSY, until=math.inf)
    middle = backoff * 2.0 ** min(n_failed - 1, 32)
    assert min(0.75 * middle, longest) <= wait <= min(1.25 * middle, longest)
    assert patient._choose_wait(BUSY, until=0.0) <= backoff


def test_say__says_the_same_once(
    caplog: pytest.LogCaptureFixture, say: Callable[..., None]
) -> None:
    say("waiting for a")
    say("waiting for a")
    say("waiting for b")
    assert caplog.messages == ["waiting for a", "waiting for b"]


@pytest.fixture
def say() -> Callable[..., None]:
    from spikehouse.transfer.progress import _said, say

    _said.clear()
    return say
