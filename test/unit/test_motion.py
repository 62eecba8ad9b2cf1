"""Tests phase differences against a plain Fourier transform, and the 30 Hz clock."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from face_perception import motion
from face_perception.motion.pyramid import band_masks

Array = NDArray[np.floating]


def clip(frames: int, seed: int = 0) -> Array:
    """Returns drifting blobs with a little noise, [T, 48, 48]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :48]
    images = np.zeros((frames, 48, 48))
    for _ in range(6):
        at, speed = random.uniform(5, 43, 2), random.normal(0, 0.4, 2)
        for t in range(frames):
            cx, cy = at + t * speed
            images[t] += random.uniform(0.2, 0.25) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 40)
    return (images + random.normal(0, 0.01, images.shape)).clip(0, 1).astype(np.float32)


def by_fourier(images: Array) -> list[NDArray[np.complexfloating]]:
    """Returns the bands by the method of the paper, in double precision."""
    wide = np.concatenate([images, images[:, :, ::-1]], 2).astype(np.float64)
    spectrum = np.fft.fftshift(np.fft.fft2(np.concatenate([wide, wide[:, ::-1]], 1)), axes=(1, 2))
    bands = []
    for masks in band_masks():
        masked = -1j * masks * spectrum[:, None]
        size = masks.shape[-1] // 2
        band = np.fft.ifft2(np.fft.ifftshift(masked, axes=(2, 3)))
        bands.append(band[..., :size, :size])
        inner = slice(size // 2, 3 * size // 2)
        spectrum = spectrum[:, inner, inner]
    return bands


def test_bands_equal_those_of_a_fourier_transform() -> None:
    images = np.random.default_rng(1).random((3, 48, 48)).astype(np.float32)
    for band, wanted in zip(motion.pyramid_bands(images), by_fourier(images), strict=True):
        assert band.dtype == np.complex64
        np.testing.assert_allclose(band, wanted, atol=1e-6)


def test_a_batch_gives_the_same_as_single_images() -> None:
    """Bit for bit, so that streaming gives the same as the whole clip."""
    images = clip(15)
    together = motion.image_phases(images)
    alone = [motion.image_phases(images[t : t + 1])[0] for t in range(15)]
    wanted = motion.phase_differences(together[1:14])
    for got, want in zip(motion.phase_differences(alone[1:14]), wanted, strict=True):
        np.testing.assert_array_equal(got, want)
    of_clip = motion.clip_phase_differences(images)
    for level in (0, 1):
        np.testing.assert_array_equal(of_clip[level][7], wanted[level])
    last = motion.phase_differences([together[min(t, 14)] for t in range(8, 21)])
    np.testing.assert_array_equal(of_clip[1][14], last[1])


def plain_differences(images: Array, level: int, *, one_sided: bool) -> Array:
    """Returns phase differences [12, 2, S, S], computed step by step in double precision."""
    band = by_fourier(images)[level]
    phase, weight = np.angle(band), np.abs(band) + 1e-10
    unwrapped = phase.copy()
    for t in range(1, len(phase)):
        step = phase[t] - phase[t - 1]
        turns = (step >= np.pi).astype(float) - (0 if one_sided else step <= -np.pi)
        unwrapped[t] = unwrapped[t - 1] + step - 2 * np.pi * turns
    kernel = np.exp(-(np.arange(-5, 6) ** 2) / 8)

    def blur(values: Array) -> Array:
        for axis in (2, 3):
            values = np.apply_along_axis(np.convolve, axis, values, kernel, "same")
        return values

    moved = np.diff(blur(weight * unwrapped) / blur(weight), axis=0)
    moved -= moved.mean((2, 3), keepdims=True)
    return moved.clip(-5 * np.pi, 5 * np.pi)


@pytest.mark.parametrize("one_sided", [True, False])
def test_unwrapping(one_sided: bool) -> None:
    images = clip(13, seed=5)
    got = motion.phase_differences(motion.image_phases(images), one_sided=one_sided)[1]
    wanted = plain_differences(images, 1, one_sided=one_sided)
    np.testing.assert_allclose(got.reshape(2, 12, 24, 24), wanted.swapaxes(0, 1), atol=2e-4)
    other = motion.phase_differences(motion.image_phases(images), one_sided=not one_sided)[1]
    assert np.abs(other - got).max() > 0.01, "the clip has jumps of both kinds"


def test_equal_images_have_no_phase_differences() -> None:
    images = np.repeat(clip(1), 13, 0)
    for level in motion.phase_differences(motion.image_phases(images)):
        assert not level.any()


def test_errors_name_the_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"must be \[N, 48, 48\], not \[2, 47, 48\]"):
        motion.image_phases(np.zeros((2, 47, 48), np.float32))
    with pytest.raises(ValueError, match="13 images, not 12"):
        motion.phase_differences(motion.image_phases(clip(12)))
    with pytest.raises(ValueError, match=r"RGB uint8 \[112, 112, 3\], not uint8 \[160, 160, 3\]"):
        motion.gray_image(np.zeros((160, 160, 3), np.uint8))


def steps(stamps: Array, **settings: float) -> list[int]:
    clock = motion.TickClock(**settings)
    ticks = [clock.tick(float(stamp)) for stamp in stamps]
    return [-1 if tick.restarted else tick.steps for tick in ticks]


@pytest.mark.parametrize("rate", [30.0, 29.97, 30.1])
def test_a_camera_of_nearly_the_rate_has_one_image_for_each_tick(rate: float) -> None:
    random = np.random.default_rng(0)
    stamps = 1e9 + np.arange(3000) / rate + random.uniform(-0.006, 0.006, 3000)
    assert steps(stamps) == [-1] + 2999 * [1]


@pytest.mark.parametrize(("rate", "in_a_second"), [(15.0, 15 * [2]), (25.0, 20 * [1] + 5 * [2])])
def test_images_of_slower_cameras_are_repeated(rate: float, in_a_second: list[int]) -> None:
    found = steps(np.arange(0, 20, 1 / rate))
    assert sum(found[100:]) == pytest.approx(30 / rate * len(found[100:]), abs=2)
    assert sorted(found[-int(rate) :]) == sorted(in_a_second)


def test_images_of_faster_cameras_are_skipped() -> None:
    found = steps(np.arange(0, 10, 1 / 60))
    assert set(found[1:]) == {0, 1}
    assert sum(found[1:]) == pytest.approx(300, abs=2)


def test_the_clock_restarts_after_a_gap_and_when_stamps_go_back() -> None:
    assert steps(np.array([0, 1 / 30, 0.2, 0.5, 0.5 + 1 / 30, 0.4, 0.4])) == [
        -1,
        1,
        5,
        -1,
        1,
        -1,
        0,
    ]
    with pytest.raises(ValueError, match="rate must be positive, not 0"):
        motion.TickClock(0.0)
