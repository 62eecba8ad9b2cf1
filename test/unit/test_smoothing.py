import math

import numpy as np
import pytest

from face_perception.smoothing import OneEuro


def test_first_value_passes_and_a_constant_stays():
    smooth = OneEuro(1.0, 0.1)
    for i in range(5):
        np.testing.assert_array_equal(smooth([3.0, -4.0], i / 30), [3.0, -4.0])


def test_one_step_is_the_first_order_low_pass():
    smooth = OneEuro(min_cutoff=1.0, beta=0.0)
    smooth(0.0, 0.0)
    turn = 2 * math.pi * 0.1
    assert smooth(1.0, 0.1) == pytest.approx(turn / (turn + 1))


def test_noise_is_reduced_and_speed_reduces_the_lag():
    rng = np.random.default_rng(1)
    stamps = np.arange(300) / 30
    noise = rng.normal(0, 1, 300)
    smooth = OneEuro(1.0, 0.0)
    out = np.array([smooth(v, t) for v, t in zip(noise, stamps, strict=True)])
    assert out[30:].std() < 0.5 * noise[30:].std()

    def lag(beta: float) -> float:
        filt = OneEuro(1.0, beta)
        return float(10 * stamps[-1] - [filt(10 * t, t) for t in stamps][-1])

    assert lag(1.0) < 0.3 * lag(0.0)


def test_elements_are_independent():
    both, one = OneEuro(1.0, 0.5), OneEuro(1.0, 0.5)
    for i in range(10):
        pair = both([math.sin(i), 100.0 * i], i / 30)
        assert pair[0] == pytest.approx(float(one(math.sin(i), i / 30)))


def test_repeated_stamp_gives_the_last_result():
    smooth = OneEuro(1.0, 0.0)
    smooth(0.0, 0.0)
    first = smooth(1.0, 0.1)
    assert smooth(50.0, 0.1) == first


def test_stamp_that_goes_back_another_shape_and_reset_start_afresh():
    smooth = OneEuro(1.0, 0.0)
    smooth(0.0, 5.0)
    assert smooth(7.0, 1.0) == 7.0
    np.testing.assert_array_equal(smooth([1.0, 2.0], 2.0), [1.0, 2.0])
    smooth.reset()
    np.testing.assert_array_equal(smooth([5.0, 6.0], 3.0), [5.0, 6.0])


def test_nan_passes_and_is_forgotten():
    smooth = OneEuro(1.0, 0.1)
    smooth([1.0, 1.0], 0.0)
    out = smooth([math.nan, 1.0], 0.1)
    assert np.isnan(out[0])
    assert out[1] == 1.0
    np.testing.assert_array_equal(smooth([4.0, 1.0], 0.2), [4.0, 1.0])


def test_a_stamp_that_is_nan_does_not_stop_the_filter():
    smooth = OneEuro(1.0, 0.0)
    smooth(0.0, math.nan)
    assert smooth(1.0, 0.1) == 1.0
    assert 1.0 < smooth(2.0, 0.2) < 2.0


def test_infinity_is_nan_and_is_forgotten():
    smooth = OneEuro(1.0, 0.1)
    for stamp in (0.0, 0.1):
        assert np.isnan(smooth(math.inf, stamp))
    assert smooth(4.0, 0.2) == 4.0


def test_results_are_the_callers_own():
    smooth = OneEuro(1.0, 0.0)
    out = smooth(np.zeros(2), 0.0)
    out += 100
    np.testing.assert_array_equal(smooth(np.zeros(2), 0.1), 0.0)


@pytest.mark.parametrize("args", [(0, 0), (1, -1), (1, 0, 0), (math.nan, 0)])
def test_bad_settings(args):
    with pytest.raises(ValueError, match="one-euro"):
        OneEuro(*args)
