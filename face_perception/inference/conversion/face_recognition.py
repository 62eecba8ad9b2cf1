"""Builds dlib's face recognition network as an ONNX graph. Used only at set-up. Needs onnx."""

from __future__ import annotations

import numpy as np

from face_perception.inference.conversion.dlib_reader import (
    BLOCKS,
    NUMBERS,
    SIDE,
    Array,
    Convolution,
    read_face_recognition,
)
from face_perception.inference.conversion.onnx_graph import Graph

_SCALE = np.float32(1 / 256)  # of the pixels, after the mean is subtracted


def face_recognition(data: bytes) -> bytes:
    """Converts dlib's face recognition network, version 1.

    Input: ``face`` [N, 150, 150, 3], RGB, float32 in [0, 255]. Output: ``template`` [N, 128]. Two
    pictures of one person are nearer than 0.6 (Euclidean), by the author's choice. The mean of the
    pixels, their scale, and the scale and offset of each channel are in the convolutions. Raises
    ModelError if ``data`` is not the published file.
    """
    weights = read_face_recognition(data)
    graph = Graph("dlib_face_recognition")
    image = graph.input("face", (SIDE, SIDE, 3))
    value = graph.node("Transpose", image, perm=[0, 3, 1, 2])
    value = graph.node("Relu", _convolve(graph, value, _on_pixels(weights.first, weights.mean)))
    value = graph.node("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2])
    channels = len(weights.first.filters)
    side = ((SIDE - 7) // 2 + 1 - 3) // 2 + 1
    for (one, two), (out, halves) in zip(weights.blocks, BLOCKS, strict=True):
        kept = value
        value = graph.node("Relu", _convolve(graph, value, one))
        value = _convolve(graph, value, two)
        if halves:
            kept = graph.node("AveragePool", kept, kernel_shape=[2, 2], strides=[2, 2])
            kept = _grown(graph, kept, (out - channels, 0))
            # dlib adds pictures of different sizes from their first pixel on.
            convolved, side = (side - 3) // 2 + 1, side // 2
            value = _grown(graph, value, (0, side - convolved))
        value = graph.node("Relu", graph.node("Add", value, kept))
        channels = out
    value = graph.node("Flatten", graph.node("GlobalAveragePool", value), axis=1)
    value = graph.node("MatMul", value, graph.constant(weights.linear))
    graph.output("template", value, (NUMBERS,))
    return graph.serialise()


def _on_pixels(layer: Convolution, mean: Array) -> Convolution:
    """Returns the first convolution for pixels from 0 to 255. It has no padding."""
    filters = layer.filters * _SCALE
    shift = (filters.astype(np.float64) * mean[:, None, None]).sum(axis=(1, 2, 3))
    bias = (layer.bias - shift).astype(np.float32)
    return Convolution(filters, bias, layer.scale, layer.offset, layer.stride, layer.padding)


def _convolve(graph: Graph, value: str, layer: Convolution) -> str:
    filters = layer.filters * layer.scale[:, None, None, None]
    bias = layer.bias * layer.scale + layer.offset
    return graph.node(
        "Conv",
        value,
        graph.constant(filters),
        graph.constant(bias),
        strides=[layer.stride] * 2,
        pads=[layer.padding] * 4,
        kernel_shape=list(filters.shape[2:]),
    )


def _grown(graph: Graph, value: str, more: tuple[int, int]) -> str:
    """Adds zeros: so many channels, and so many pixels on the right and below."""
    channels, pixels = more
    if not channels and not pixels:
        return value
    pads = [0, 0, 0, 0, 0, channels, pixels, pixels]
    return graph.node("Pad", value, graph.indices(pads))
