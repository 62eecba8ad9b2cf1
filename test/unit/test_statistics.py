"""Tests of the statistics of accuracy where arithmetic could pretend to know an answer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from face_perception.statistics import ccc, consistency, correlation, slope

SAME = np.full(3, 0.1)  # whose mean is not exactly 0.1
RISING = np.array([0.1, 0.2, 0.4])


def test_equal_values_have_no_slope_and_no_correlation() -> None:
    assert SAME.mean() != 0.1
    assert math.isnan(slope(SAME, RISING))
    assert slope(RISING, SAME) == pytest.approx(0)
    assert math.isnan(correlation(SAME, RISING))
    assert math.isnan(correlation(RISING, SAME))
    assert math.isnan(ccc(SAME, SAME))
    assert ccc(SAME, RISING) == 0
    assert math.isnan(consistency(SAME, SAME))
    assert math.isnan(consistency(SAME, SAME + 0.2))


def test_without_samples_there_is_no_correlation() -> None:
    assert math.isnan(correlation([], []))
    assert math.isnan(slope([], []))


def test_a_line_is_found() -> None:
    assert slope(RISING, 2 * RISING + 1) == pytest.approx(2)
    assert correlation(RISING, -RISING) == pytest.approx(-1)
    assert ccc(RISING, RISING) == pytest.approx(1)
    assert consistency(RISING, RISING + 0.5) == pytest.approx(1)
