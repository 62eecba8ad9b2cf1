"""Tests the rates and latencies in the diagnostics."""

import math

import pytest

from face_perception.ros.node_statistics import Statistics


def test_rate_is_of_intervals_not_of_events() -> None:
    statistics = Statistics(window=5.0)
    for i in range(31):
        statistics.count("input", 100 + i / 30)
    assert statistics.rate("input", 101.0) == pytest.approx(30)


def test_rate_over_a_full_window() -> None:
    statistics = Statistics(window=5.0)
    for i in range(600):
        statistics.count("input", i / 30)
    assert statistics.rate("input", 20.0) == pytest.approx(30, rel=0.01)
    assert statistics.rate("input", 100.0) == 0
    assert statistics.total("input") == 600


def test_the_busiest_kind_counts() -> None:
    statistics = Statistics()
    for i in range(31):
        statistics.count("output faces", i / 30)
        if i % 3 == 0:
            statistics.count("output crops", i / 30)
    assert statistics.rate("output", 1.0) == pytest.approx(30)
    assert statistics.rate("out", 1.0) == 0


def test_nothing_yet() -> None:
    statistics = Statistics()
    assert statistics.rate("output", 1.0) == 0
    assert all(math.isnan(v) for v in statistics.latency_percentiles(1.0))


def test_percentiles_forget() -> None:
    statistics = Statistics(window=1.0)
    statistics.record_latency(9.0, now=0.0)
    for i in range(100):
        statistics.record_latency(i / 1000, now=10.0)
    p50, p95 = statistics.latency_percentiles(10.5)
    assert p50 == pytest.approx(0.0495)
    assert p95 == pytest.approx(0.094, abs=1e-3)
