"""Writes a file of dlib's face recognition network with random weights, as dlib writes it."""

from __future__ import annotations

import numpy as np

from face_perception.inference.conversion.dlib_reader import BLOCKS, NUMBERS, SIDE

EMPTY = b"000" + (b"\x01\x02" + b"\x01\x00" * 4) * 3  # three flags and three empty tensors


def number(value: int) -> bytes:
    size = max(1, (abs(value).bit_length() + 7) // 8)
    head = size | (0x80 if value < 0 else 0)
    return bytes([head]) + abs(value).to_bytes(size, "little")


def numbers(*values: int) -> bytes:
    return b"".join(map(number, values))


def name(text: str) -> bytes:
    return number(len(text)) + text.encode()


def real(mantissa: int, exponent: int = 0) -> bytes:
    return numbers(mantissa, exponent)


def tensor(values: np.ndarray, *shape: int) -> bytes:
    return numbers(2, *shape) + values.astype("<f4").tobytes()


def layer(text: str, settings: bytes = b"") -> bytes:
    return name(text) + settings + EMPTY


def convolution(
    rng: np.random.Generator, out: int, channels: int, size: int, stride: int, lowest: bool = False
) -> bytes:
    padding = size // 2 if stride == 1 else 0
    count = out * channels * size * size
    weights = np.concatenate(
        [rng.normal(0, (2 / (channels * size * size)) ** 0.5, count), rng.normal(0, 0.1, out)]
    )
    settings = tensor(weights, count + out, 1, 1, 1)
    settings += numbers(out, size, size, stride, stride, padding, padding)
    settings += numbers(1, out, channels, size, size, 1, 1, out, 1, 1) + real(1) * 4
    scale = np.concatenate([rng.uniform(0.5, 1, out), rng.normal(0, 0.1, out)])
    affine = tensor(scale, 2 * out, 1, 1, 1) + numbers(1, 1, out, 1, 1) * 2 + number(0)
    more = number(1) if lowest else b""
    return layer("con_4", settings) + more + layer("affine_", affine)


def face_recognition_file(seed: int = 11) -> bytes:
    """Returns the file's content, 22 MB."""
    rng = np.random.default_rng(seed)
    versions = [2, 2]
    for _, halves in reversed(BLOCKS):
        versions += [2, 2, *([2, 1, 1] if halves else []), 2, 2, 2, 2, 2, 1]
    versions += [2, 2, 2, 3]
    parts = [number(1), name("loss_metric_2"), real(5368709, -27), real(10066330, -24)]
    parts += [numbers(*versions), name("input_rgb_image_sized")]
    parts += [real(122), real(117), real(104), numbers(SIDE, SIDE)]
    parts += [convolution(rng, 32, 3, 7, 2, lowest=True), layer("relu_")]
    parts += [layer("max_pool_2", numbers(3, 3, 2, 2, 0, 0))]
    channels = 32
    for out, halves in BLOCKS:
        parts += [convolution(rng, out, channels, 3, 2 if halves else 1), layer("relu_")]
        parts += [convolution(rng, out, out, 3, 1)]
        parts += [layer("avg_pool_2", numbers(2, 2, 2, 2, 0, 0))] if halves else []
        parts += [layer("add_prev_"), layer("relu_")]
        channels = out
    parts += [layer("avg_pool_2", numbers(0, 0, 1, 1, 0, 0))]
    linear = tensor(rng.normal(0, 0.05, channels * NUMBERS), channels, NUMBERS, 1, 1)
    views = numbers(1, channels, NUMBERS, 1, 1, 1, 0, 0, 0, 0) + number(1) + real(1) * 4
    parts += [layer("fc_2", numbers(NUMBERS, channels) + linear + views)]
    return b"".join(parts)
