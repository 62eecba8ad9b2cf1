"""Makes each default model from its source file: ``RECIPES[name](bytes) -> bytes``.

Used only at set-up. Needs onnx and tflite.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from face_perception.inference.conversion.face_api import SIDE, ExpressionGraph, read_weights
from face_perception.inference.conversion.face_recognition import face_recognition
from face_perception.inference.conversion.onnx_graph import Graph
from face_perception.inference.conversion.tflite_reader import TFLiteModel
from face_perception.inference.conversion.tflite_to_onnx import Conversion
from face_perception.types import EXPRESSIONS

# Landmarks that the partial outputs of the attention mesh replace, from MediaPipe's
# tensors_to_face_landmarks_with_attention.pbtxt. MediaPipe's left eye is on the left of the image,
# which is the person's right eye.
_LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
    *(185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
    *(191, 80, 81, 82, 13, 312, 311, 310, 415),
    *(76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    *(184, 74, 73, 72, 11, 302, 303, 304, 408),
    *(62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
    *(183, 42, 41, 38, 12, 268, 271, 272, 407),
)
_RIGHT_EYE_CONTOUR = (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173)
_RIGHT_EYE = (
    *_RIGHT_EYE_CONTOUR,
    *(130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190),
    *(226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189),
    *(35, 124, 46, 53, 52, 65),
    *(143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193),
)
_LEFT_EYE_CONTOUR = (
    *(263, 249, 390, 373, 374, 380, 381, 382, 362),
    *(466, 388, 387, 386, 385, 384, 398),
)
_LEFT_EYE = (
    *_LEFT_EYE_CONTOUR,
    *(359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414),
    *(446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413),
    *(265, 353, 276, 283, 282, 295),
    *(372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417),
)
_RIGHT_IRIS = tuple(range(468, 473))
_LEFT_IRIS = tuple(range(473, 478))

# Class order of the networks in face-api and in fer, with the names of this package.
_FACE_API = ("neutral", "happy", "sad", "angry", "scared", "disgusted", "surprised")
_FER = ("angry", "disgusted", "scared", "happy", "sad", "surprised", "neutral")

# Calibration of face-api's expressions. The network is overconfident, so its logits are multiplied
# by _SHARPNESS (1 / temperature). It calls too many neutral faces sad, so _SAD is added to that
# logit. Both were fitted by cross-entropy to half of the people (by hash of their names) in the
# peak images of CK+48 (175 images) and in muxspace/facial_expressions, names A to H (452 images,
# classes weighted by the square root of their frequency there). docs/affect.md has the accuracy on
# the other half.
_SHARPNESS = 0.37
_SAD = -0.46


def face_detector(data: bytes) -> bytes:
    """Converts MediaPipe's full-range BlazeFace.

    Input: ``image`` [N, 192, 192, 3], RGB in [-1, 1]. Outputs: raw ``boxes`` [N, 2304, 16] and
    ``scores`` [N, 2304, 1] (logits), one row for each anchor.
    """
    graph = Graph("face_detector")
    source = TFLiteModel(data, "face_detector")
    network = Conversion(graph, source, graph.input("image", (192, 192, 3)))
    graph.output("boxes", network.output(0), (2304, 16))
    graph.output("scores", network.output(1), (2304, 1))
    return graph.serialise()


def face_mesh(data: bytes) -> bytes:
    """Converts MediaPipe's attention mesh.

    Input: ``image`` [N, 192, 192, 3], RGB in [0, 1]. Outputs: ``landmarks`` [N, 478, 3] in input
    pixels (z in the same scale), and ``presence`` [N, 1], a probability.

    Lips and eyes have x and y from their own branch of the network, and z from the mesh. An iris
    has the mean z of the contour of its eye.
    """
    graph = Graph("face_mesh")
    source = TFLiteModel(data, "face_mesh")
    network = Conversion(graph, source, graph.input("image", (192, 192, 3)))

    def points(k: int, dimensions: int) -> str:
        return graph.node("Reshape", network.output(k), graph.indices([0, -1, dimensions]))

    mesh = points(0, 3)
    parts = [graph.node("Gather", mesh, graph.indices([0, 1]), axis=2)]
    origin = np.arange(478)
    start = 468
    # In the order of MediaPipe: a later part replaces an earlier one.
    replaced = (_LIPS, _RIGHT_EYE, _LEFT_EYE, _RIGHT_IRIS, _LEFT_IRIS)
    for output, part in zip((1, 2, 3, 4, 5), replaced, strict=True):
        parts.append(points(output, 2))
        origin[list(part)] = start + np.arange(len(part))
        start += len(part)
    xy = graph.node("Concat", *parts, axis=1)
    xy = graph.node("Gather", xy, graph.indices(origin), axis=1)

    depth = graph.node("Gather", mesh, graph.indices([2]), axis=2)
    depths = [depth]
    for contour in (_RIGHT_EYE_CONTOUR, _LEFT_EYE_CONTOUR):
        eye = graph.node("Gather", depth, graph.indices(contour), axis=1)
        depths += [graph.node("ReduceMean", eye, axes=[1], keepdims=1)] * 5
    z = graph.node("Concat", *depths, axis=1)

    graph.output("landmarks", graph.node("Concat", xy, z, axis=2), (478, 3))
    flag = graph.node("Reshape", network.output(6), graph.indices([0, 1]))
    graph.output("presence", graph.node("Sigmoid", flag), (1,))
    return graph.serialise()


def expression(data: bytes) -> bytes:
    """Converts face-api's expression network, with calibrated probabilities.

    Input: ``face`` [N, 112, 112, 3], RGB, float32 in [0, 255]. Output: ``probability`` [N, 7] in
    the order of ``types.EXPRESSIONS``.
    """
    graph = Graph("expression")
    network = ExpressionGraph(graph, read_weights(data), graph.input("face", (SIDE, SIDE, 3)))
    order = [_FACE_API.index(name) for name in EXPRESSIONS]
    weight = network.tensor("fc/weights")[:, order] * np.float32(_SHARPNESS)
    bias = network.tensor("fc/bias")[order] * np.float32(_SHARPNESS)
    bias[EXPRESSIONS.index("sad")] += np.float32(_SAD)
    logits = network.logits(weight, bias)
    graph.output("probability", graph.node("Softmax", logits, axis=1), (7,))
    return graph.serialise()


def expression_fer(data: bytes) -> bytes:
    """Converts the Mini-Xception of fer.

    Input: ``face`` [N, 64, 64, 1], gray, float32 in [0, 255]. Output: ``probability`` [N, 7] in the
    order of ``types.EXPRESSIONS``.
    """
    graph = Graph("expression_fer")
    source = TFLiteModel(data, "expression_fer")
    face = graph.input("face", (64, 64, 1))
    scaled = graph.node("Mul", face, graph.constant(1 / 127.5))
    scaled = graph.node("Sub", scaled, graph.constant(1))
    network = Conversion(graph, source, scaled)
    order = graph.indices([_FER.index(name) for name in EXPRESSIONS])
    graph.output("probability", graph.node("Gather", network.output(0), order, axis=1), (7,))
    return graph.serialise()


def blendshapes(data: bytes) -> bytes:
    """Converts MediaPipe's blendshape network.

    Input: ``landmarks`` [N, 146, 2], x and y of a part of the mesh in any unit, because the network
    removes mean and scale. Output: ``strength`` [N, 52] in [0, 1].
    """
    graph = Graph("blendshapes")
    source = TFLiteModel(data, "blendshapes")
    network = Conversion(graph, source, graph.input("landmarks", (146, 2)))
    graph.output("strength", network.output(0), (52,))
    return graph.serialise()


RECIPES: dict[str, Callable[[bytes], bytes]] = {
    "face_detector": face_detector,
    "face_mesh": face_mesh,
    "expression": expression,
    "expression_fer": expression_fer,
    "blendshapes": blendshapes,
    "dlib_face_recognition": face_recognition,
}
