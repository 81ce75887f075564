from __future__ import annotations

import warnings

import numpy as np
import pytest

from spikehouse import EcephysSession
from spikehouse.errors import InvalidArgumentError
from spikehouse.spikes import _engine, compute_time_domain, count_events, count_spikes
from spikehouse.spikes.counting import check_bin_edges, warn_overlaps


def test_count_spikes__a_spike_on_an_inner_edge_counts_once() -> None:
    counts = count_spikes({7: np.array([0.0, 1.0, 1.5, 2.0])}, [7], np.array([[0.0, 1.0, 2.0]]))
    assert counts[0, :, 0].tolist() == [1, 2]


def test_count_spikes__shape_and_order() -> None:
    spikes = {1: np.array([0.5]), 2: np.array([10.5, 10.6])}
    counts = count_spikes(spikes, [2, 1], np.array([[0.0, 1.0], [10.0, 11.0], [20.0, 21.0]]))
    assert counts.shape == (3, 1, 2)
    assert counts[:, 0, :].tolist() == [[0, 1], [2, 0], [0, 0]]


def test_count_spikes__more_than_65535_spikes_do_not_wrap() -> None:
    spikes = {1: np.linspace(0, 1, 70_000, endpoint=False)}
    counts = count_spikes(spikes, [1], np.array([[0.0, 1.0]]))
    assert counts.dtype == np.int32
    assert counts[0, 0, 0] == 70_000


def test_count_spikes__given_dtype_too_small() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"a bin holds 300 spikes, more than dtype uint8"
    ):
        count_spikes({1: np.zeros(300)}, [1], np.array([[0.0, 1.0]]), dtype=np.uint8)


def test_count_spikes__binarized_is_signed_too() -> None:
    counts = count_spikes({1: np.zeros(300)}, [1], np.array([[0.0, 1.0]]), binarize=True)
    assert counts.dtype == np.int8
    assert counts[0, 0, 0] == 1


def test_count_spikes__no_units_no_rows() -> None:
    assert count_spikes({}, [], np.zeros((4, 3))).shape == (4, 2, 0)
    assert count_spikes({1: np.array([0.0])}, [1], np.zeros((0, 3))).shape == (0, 2, 1)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([0.0], "at least two edges"),
        ([[0.0, 1.0]], "one dimension"),
        ([0.0, np.nan, 1.0], "edge 1 is nan"),
        ([0.0, 1.0, 0.5], r"edge 2 \(0.5 s\) comes before edge 1 \(1 s\)"),
    ],
)
def test_check_bin_edges__says_what_is_wrong(edges: list[float], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        check_bin_edges(edges)


def test_compute_time_domain__callback_of_another_shape() -> None:
    with pytest.raises(InvalidArgumentError, match=r"must keep the shape \(2, 3\).*gave \(2, 2\)"):
        compute_time_domain([0, 1, 2], [0, 10], callback=lambda domain: domain[:, 1:])


def test_compute_time_domain__callback_out_of_order() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"presentation at position 0 has bin 0 from 2 to 1 s.*2 of 2"
    ):
        compute_time_domain([0, 1, 2], [0, 10], callback=lambda domain: domain[:, ::-1])


def test_warn_overlaps__one_short_warning() -> None:
    domain = compute_time_domain([0.0, 2.0], np.arange(1000.0))
    with pytest.warns(UserWarning, match="999 of 1000 windows run into the next one, by up to 1 s"):
        warn_overlaps(domain)


def test_warn_overlaps__touching_windows_are_fine() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_overlaps(compute_time_domain([0.0, 1.0], np.arange(10.0)))


@pytest.mark.parametrize(("apart", "message"), [
    (5.0, None),
    (7.5, "2 of 3 windows run into the next one, by up to 0.5 s"),
    (8.0, None),
])  # fmt: skip
def test_warn_overlaps__between_bins_with_gaps(apart: float, message: str | None) -> None:
    times = {1: [0.0, 30.0]}
    shown = {"start_time": apart * np.arange(1, 4), "duration": 0.5}
    bins = [[-4.0, -3.0], [3.0, 4.0]]
    session = EcephysSession.from_arrays(times, presentations=shown)
    for count in (
        lambda: session.presentationwise_spike_counts(bins),
        lambda: count_events(times, [1], shown["start_time"], bins[::-1]),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            count()
        assert [message in str(one.message) for one in caught] == [True] * bool(message)


def test_warn_overlaps__order_of_rows_does_not_matter() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_overlaps(compute_time_domain([0.0, 1.0], [2.0, 1.0, 0.0]))
    with pytest.warns(UserWarning, match="1 of 3 windows"):
        warn_overlaps(compute_time_domain([0.0, 1.0], [2.0, 0.5, 0.0]))


@pytest.mark.parametrize(
    ("n_spikes", "dtype"), [(32_767, np.int16), (32_768, np.int32), (70_000, np.int32)]
)
@pytest.mark.parametrize("least", [-1, 10**18])
def test_count_spikes__takes_the_smallest_signed_type(
    n_spikes: int, dtype: type, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_engine, "LARGE", least)
    spikes = {1: np.linspace(0, 1, n_spikes, endpoint=False), 2: np.array([1.5])}
    counts = count_spikes(spikes, [1, 2], np.array([[0.0, 1.0], [1.0, 2.0]]))
    assert counts.dtype == dtype
    assert (counts[1] - counts[0]).ravel().tolist() == [-n_spikes, 1]
    assert counts.sum(axis=0).dtype == np.int64
