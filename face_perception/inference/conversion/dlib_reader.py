"""Reads the weights of dlib's face recognition network from its file. Needs only NumPy.

The format, from dlib's published code (``dlib/serialize.h``, ``dlib/dnn``): a number is one byte
with its length and sign, then its bytes, the lowest first. A real number is two numbers, mantissa
and exponent of 2. A network is written from the outside: the versions of all layers from the last
to the first, then the layers from the first to the last. A layer has a name, settings, weights,
three flags and three tensors that only training uses.

The architecture, from ``examples/dnn_face_recognition_ex.cpp``: a 7x7 convolution, then 14 residual
blocks of two 3x3 convolutions. Every convolution has a scale and an offset for each channel. The
mean over the remaining positions goes into one linear layer. The reader expects these layers, and
refuses every other file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError, shortened
from face_perception.inference.models.cards import ModelError
from face_perception.outside_files import one_error

Array = npt.NDArray[np.float32]

SIDE = 150  # pixels of the input
NUMBERS = 128  # of the output
# Channels of the residual blocks from the first to the last, and whether the block halves the size.
BLOCKS = (
    *(((32, False),) * 3),
    *((64, True), (64, False), (64, False), (64, False)),
    *((128, True), (128, False), (128, False)),
    *((256, True), (256, False), (256, False)),
    (256, True),
)
_FIRST = 32  # channels of the first convolution
# Versions of the parts of the file that this reader knows.
_LOSS, _LAYER, _LOWEST, _TAG, _TENSOR, _VIEW = 1, 2, 3, 1, 2, 1
_LONGEST = 8  # bytes of a number
# Limits of a real number.
_MOST_EXPONENT, _LARGEST = 512, 1e6


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution: ``filters`` [out, in, height, width], ``stride``, ``padding`` in pixels.

    The result for each channel is ``scale`` [out] times (filters * input + ``bias`` [out]) plus
    ``offset`` [out].
    """

    filters: Array
    bias: Array
    scale: Array
    offset: Array
    stride: int
    padding: int


@dataclass(frozen=True, slots=True)
class FaceRecognitionWeights:
    """Weights of the network.

    ``mean`` [3] is subtracted from red, green and blue (0 to 255) before the division by 256.
    ``blocks`` are the two convolutions of each of ``BLOCKS``. ``linear`` [256, 128] is the last
    layer.
    """

    mean: Array
    first: Convolution
    blocks: tuple[tuple[Convolution, Convolution], ...]
    linear: Array


def read_face_recognition(data: bytes) -> FaceRecognitionWeights:
    """Returns the weights in ``dlib_face_recognition_resnet_model_v1.dat``.

    Raises ModelError if ``data`` is another network, cut off, or damaged so that this can be seen.
    """
    with one_error("the file of dlib's face recognition", "fetch it again", ModelError):
        return _Reader(data).network()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def network(self) -> FaceRecognitionWeights:
        self._expect(_LOSS, "version of the loss")
        self._name("loss_metric_2")
        for what in ("margin", "threshold"):
            self._real(what)
        for version in _versions():
            self._expect(version, "version of a layer")
        self._name("input_rgb_image_sized")
        mean = np.array([self._real("mean") for _ in range(3)], np.float32)
        for _ in range(2):
            self._expect(SIDE, "side of the input")
        first = self._convolution(_FIRST, 3, 7, stride=2, lowest=True)
        self._layer("relu_")
        self._pool("max_pool_2", 3, 2)
        blocks = []
        channels = _FIRST
        for out, halves in BLOCKS:
            one = self._convolution(out, channels, 3, stride=2 if halves else 1)
            self._layer("relu_")
            two = self._convolution(out, out, 3, stride=1)
            if halves:
                self._pool("avg_pool_2", 2, 2)
            self._layer("add_prev_")
            self._layer("relu_")
            blocks.append((one, two))
            channels = out
        self._pool("avg_pool_2", 0, 1)
        linear = self._linear(channels)
        if self._at != len(self._data):
            raise InputError(f"it has {len(self._data) - self._at} bytes after the network")
        return FaceRecognitionWeights(mean, first, tuple(blocks), linear)

    # Layers.

    def _layer(self, name: str) -> None:
        """Reads a layer without settings and weights."""
        self._name(name)
        self._end_layer()

    def _pool(self, name: str, size: int, stride: int) -> None:
        self._name(name)
        for value in (size, size, stride, stride, 0, 0):
            self._expect(value, f"setting of {name}")
        self._end_layer()

    def _convolution(
        self, out: int, channels: int, size: int, *, stride: int, lowest: bool = False
    ) -> Convolution:
        """Reads a convolution and the scale and offset of its channels, two layers of dlib."""
        padding = size // 2 if stride == 1 else 0
        self._name("con_4")
        weights = self._tensor((out * channels * size * size + out, 1, 1, 1))
        for value in (out, size, size, stride, stride, padding, padding):
            self._expect(value, "setting of con_4")
        self._view((out, channels, size, size))
        self._view((1, out, 1, 1))
        self._rates()
        self._end_layer(lowest)
        filters = weights[:-out].reshape(out, channels, size, size)
        self._name("affine_")
        factors = self._tensor((2 * out, 1, 1, 1))
        self._view((1, out, 1, 1))
        self._view((1, out, 1, 1))
        self._expect(0, "mode of affine_")  # one scale for each channel
        self._end_layer()
        return Convolution(filters, weights[-out:], factors[:out], factors[out:], stride, padding)

    def _linear(self, channels: int) -> Array:
        self._name("fc_2")
        self._expect(NUMBERS, "number of outputs of fc_2")
        self._expect(channels, "number of inputs of fc_2")
        weights = self._tensor((channels, NUMBERS, 1, 1))
        self._view((channels, NUMBERS, 1, 1))
        self._view((0, 0, 0, 0))
        self._expect(1, "mode of fc_2")  # without a bias
        self._rates()
        self._end_layer()
        return weights.reshape(channels, NUMBERS)

    def _end_layer(self, lowest: bool = False) -> None:
        """Reads what follows every layer: three flags and three empty tensors."""
        for _ in range(3):
            flag = bytes(self._take(1))
            if flag not in (b"0", b"1"):
                raise InputError(f"a flag is {flag!r}")
        for _ in range(3):
            self._tensor((0, 0, 0, 0))
        if lowest:
            self._expect(1, "number of samples of an image")

    def _rates(self) -> None:
        """Reads learning rates and weight decays, which only training uses."""
        for _ in range(4):
            self._real("rate")

    # Values.

    def _tensor(self, shape: tuple[int, ...]) -> Array:
        """Reads a tensor of a known shape, and returns its values [N]."""
        self._expect(_TENSOR, "version of a tensor")
        for size in shape:
            self._expect(size, "size of a tensor")
        values = np.frombuffer(self._take(4 * int(np.prod(shape))), "<f4").astype(np.float32)
        if not np.isfinite(values).all():
            raise InputError("a weight is not a finite number")
        return values

    def _view(self, shape: tuple[int, ...]) -> None:
        self._expect(_VIEW, "version of a view")
        for size in shape:
            self._expect(size, "size of a view")

    def _name(self, name: str) -> None:
        self._expect(len(name), f"length of the name {name}")
        found = bytes(self._take(len(name)))
        if found != name.encode():
            raise InputError(f"a layer is {shortened(found)} instead of {name}")

    def _expect(self, wanted: int, what: str) -> None:
        found = self._number()
        if found != wanted:
            raise InputError(f"the {what} is {shortened(found)}, not {wanted}")

    def _real(self, what: str) -> float:
        mantissa, exponent = self._number(), self._number()
        value = math.ldexp(mantissa, exponent) if abs(exponent) <= _MOST_EXPONENT else math.inf
        if abs(value) > _LARGEST:
            raise InputError(f"a {what} is not a number of a network")
        return value

    def _number(self) -> int:
        head = self._take(1)[0]
        length, negative = head & 0x7F, head & 0x80
        if length > _LONGEST:
            raise InputError(f"a number has {length} bytes")
        value = int.from_bytes(self._take(length), "little")
        return -value if negative else value

    def _take(self, count: int) -> memoryview:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise InputError(f"it is cut off after {len(self._data)} bytes")
        self._at += count
        return part


def _versions() -> Iterator[int]:
    """Yields the versions of all layers from the last to the first.

    A tag remembers the input of a block for its end, and a skip goes back to it.
    """
    yield from (_LAYER, _LAYER)  # linear layer, mean
    for _, halves in reversed(BLOCKS):
        yield from (_LAYER, _LAYER)  # ReLU, sum
        if halves:
            yield from (_LAYER, _TAG, _TAG)  # mean of the input, skip to it, tag of the result
        yield from (_LAYER,) * 5  # scale, convolution, ReLU, scale, convolution
        yield _TAG  # tag of the input
    yield from (_LAYER,) * 3  # maximum, ReLU, scale
    yield _LOWEST  # the first convolution
