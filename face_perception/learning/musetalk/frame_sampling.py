"""Which frame of a video MuseTalk gets as the reference for another, and where the mouth is.

The reference has a similar head pose and another mouth, so that the network takes the face from it,
but not the mouth. Source: the released code (musetalk/data). Points are the 68 usual ones, relative
to the face box.
"""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt

from face_perception.avatar import Box
from face_perception.types import FloatArray

SIDE = 256  # pixels of a face
_JAW = slice(0, 16)
_INNER_LIPS = slice(60, 67)  # as released, without the last point
_LIPS = slice(48, 67)
_SHARE = 0.51  # of the frames that count as similar in pose, and as different in the mouth
_LEAST_APART = 5  # frames between a frame and its reference
_REACH = 5  # a reference without such frames is at most so many clip lengths away


def union_box(detected: npt.ArrayLike, points: npt.NDArray[np.integer]) -> Box:
    """Returns the box that covers a detected box and the points [68, 2], from 0 on."""
    box = np.asarray(detected)
    left, top = (int(v) for v in np.maximum(np.minimum(box[:2], points.min(0)), 0))
    right, bottom = (int(v) for v in np.maximum(box[2:], points.max(0)))
    return left, top, right, bottom


def similar_poses(points: FloatArray, frame: int) -> npt.NDArray[np.int64]:
    """Returns the half of all frames that is nearest to ``frame`` in pose, without it.

    ``points`` [N, 68, 2] are those of faces that are scaled to 256 x 256 pixels.
    """
    count = int(_SHARE * len(points))
    order: npt.NDArray[np.int64] = np.argsort(_distances(points[:, _JAW], frame))
    return order[1 : count + 1]


def other_mouths(points: FloatArray, frame: int) -> npt.NDArray[np.int64]:
    """Returns the half of all frames whose mouth differs most from that of ``frame``."""
    count = int(_SHARE * len(points))
    order: npt.NDArray[np.int64] = np.argsort(-_distances(points[:, _INNER_LIPS], frame))
    return order[:count]


def reference_frame(
    points: FloatArray, frame: int, length: int, draw: random.Random, *, similar: bool = True
) -> int:
    """Draws the reference of ``frame`` in a clip of ``length`` frames.

    With ``similar``, it has a similar pose and another mouth. Without, or if there is no such frame
    at least five frames away, it is any frame within five clip lengths, or the first or last one.
    """
    last = len(points) - 1
    # In the order of Python's sets, so that equal random numbers draw what the released code draws.
    found = list({*similar_poses(points, frame).tolist()} & {*other_mouths(points, frame).tolist()})
    chosen = draw.choice(found) if similar and found else frame
    low, high = frame - _REACH * length, frame + _REACH * length
    while abs(chosen - frame) < _LEAST_APART:
        chosen = draw.randint(low, high)
    return min(max(chosen, 0), last)


def mouth_box(
    points: FloatArray,
    margin: float,
    *,
    limits: npt.ArrayLike = (SIDE, SIDE),
    padding: float = 10.0,
) -> Box:
    """Returns the box (left, top, right, bottom) of the mouth in a face of 256 x 256.

    ``points`` [68, 2] are scaled to the face, and ``margin`` are the pixels that were added below
    the chin. The box is half as high as wide, and ends at ``limits`` (width, height). The released
    code gives the size of the face in the film for ``limits``, although the face was resized, which
    cuts the boxes of small faces.
    """
    lips = points[_LIPS]
    left, right = float(lips[:, 0].min()) - padding, float(lips[:, 0].max()) + padding
    middle = (float(lips[:, 1].min()) + float(lips[:, 1].max())) / 2
    quarter = (right - left) / 4
    width, height = np.asarray(limits, np.float64)
    edges = (
        max(left, 0.0),
        max(middle - quarter - margin, 0.0),
        min(right, width),
        min(middle + quarter - margin, height),
    )
    found = tuple(round(edge) for edge in edges)
    return found[0], found[1], found[2], found[3]


def _distances(points: FloatArray, frame: int) -> FloatArray:
    """Returns the mean distance [N] of the points [N, K, 2] from those of ``frame``."""
    found: FloatArray = np.linalg.norm(points - points[frame], axis=2).mean(1)
    return found
