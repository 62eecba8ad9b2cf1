"""Builds the custom operators of MediaPipe's attention mesh from ONNX nodes. Used only at set-up.

Follows mediapipe/util/tflite/operations, version 2 of each operator. An affine map is [N, 3, 2]: it
multiplies a point (row vector) by the first two rows, and adds the last row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from face_perception.inference.conversion.onnx_graph import Graph


def region(graph: Graph, landmarks: str, options: Mapping[str, Any]) -> str:
    """Adds Landmarks2TransformMatrix: the map from an output grid to a region of the image.

    The region surrounds some of the ``landmarks`` [N, M, 3]. It is rotated so that two of them are
    level, and its size is that of their bounding box times a scale.
    """
    size = np.array([options["output_width"], options["output_height"]], np.float32)
    scale = np.array([options["scale_x"], options["scale_y"]], np.float32)

    points = graph.node("Gather", landmarks, graph.indices([0, 1]), axis=2)
    left = graph.node("Gather", points, graph.indices([options["left_rotation_idx"]]), axis=1)
    right = graph.node("Gather", points, graph.indices([options["right_rotation_idx"]]), axis=1)
    line = graph.node("Sub", right, left)
    length = graph.node("ReduceL2", line, axes=[2], keepdims=1)
    length = graph.node("Max", length, graph.constant(1e-9))
    along = graph.node("Div", line, length)
    across = graph.node("MatMul", along, graph.constant([[0, 1], [-1, 0]]))
    upright = graph.node("Concat", along, across, axis=1)  # rows: the region's own axes
    turned = graph.node("Transpose", upright, perm=[0, 2, 1])

    subset = graph.node("Gather", points, graph.indices(options["subset_idxs"]), axis=1)
    subset = graph.node("MatMul", subset, turned)
    high = graph.node("ReduceMax", subset, axes=[1], keepdims=1)
    low = graph.node("ReduceMin", subset, axes=[1], keepdims=1)
    middle = graph.node("Mul", graph.node("Add", high, low), graph.constant(0.5))
    centre = graph.node("MatMul", middle, upright)

    step = graph.node("Mul", graph.node("Sub", high, low), graph.constant(scale / size))
    step = graph.node("Reshape", step, graph.indices([0, 2, 1]))
    axes = graph.node("Mul", upright, step)
    shift = graph.node("MatMul", graph.constant(-size[None, None] / 2), axes)
    return graph.node("Concat", axes, graph.node("Add", centre, shift), axis=1)


def sample(
    graph: Graph, image: str, shape: tuple[int, int], affine: str, options: Mapping[str, Any]
) -> str:
    """Adds TransformTensorBilinear: samples an image [N, C, *shape] bilinearly on a mapped grid.

    Pixel centres are at 0.5. Samples outside the image are 0.
    """
    rows, columns = options["output_height"], options["output_width"]
    y, x = np.mgrid[:rows, :columns] + 0.5
    pixels = np.stack([x, y, np.ones_like(x)], -1).reshape(1, rows * columns, 3)
    size = np.array([shape[1], shape[0]], np.float32)
    grid = graph.node("MatMul", graph.constant(pixels), affine)
    grid = graph.node("Mul", grid, graph.constant(2 / size))
    grid = graph.node("Sub", grid, graph.constant(1))
    # Without this, GridSample fades out over half a pixel around the image.
    outside = graph.node("Greater", graph.node("Abs", grid), graph.constant(1 - 1 / size))
    grid = graph.node("Where", outside, graph.constant(3), grid)
    grid = graph.node("Reshape", grid, graph.indices([0, rows, columns, 2]))
    return graph.node(
        "GridSample", image, grid, mode="bilinear", padding_mode="zeros", align_corners=0
    )


def transform(graph: Graph, points: str, affine: str) -> str:
    """Adds TransformLandmarks: maps points [N, M, 2]."""
    axes = graph.node("Gather", affine, graph.indices([0, 1]), axis=1)
    shift = graph.node("Gather", affine, graph.indices([2]), axis=1)
    return graph.node("Add", graph.node("MatMul", points, axes), shift)
