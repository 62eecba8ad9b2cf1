"""Compares our aligned face of 112 pixels with the two that the published networks were trained on.

    python3 bench/alignment.py

- OpenFace: its procedure (a similarity transform of 24 of the usual 68 points, with the origin of
  the shape model in the middle), with MediaPipe's canonical face in place of OpenFace's shape
  model, which is not free to use. The difference between the two mean shapes is not measured.
- The five-point crop: eyes level, a square around eyes and mouth.

Uses the sample photographs and every 20th frame of the sample clip. Distances are in pixels of the
aligned face, over the 68 points of eyes, nose, mouth, brows and jaw.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from face_perception.faces import ALIGNED_SIDE, CROP_SIDE, crop_face, load_tracker
from face_perception.inference import sample_photo
from face_perception.types import Camera, Face, Frame, Image

ROOT = Path(__file__).resolve().parent.parent
CANONICAL_FACE = ROOT / "test" / "data" / "golden" / "canonical_face.npy"
Array = NDArray[np.float64]

# Indices of the usual 68 points in MediaPipe's mesh: jaw, brows, nose, eyes, mouth.
# fmt: off
POINTS = np.array([
    127, 234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
])
RIGID = [1, 2, 3, 4, 12, 13, 14, 15, 27, 28, 29, 31, 32, 33, 34, 35, 36, 39, 40, 41, 42, 45, 46, 47]
# fmt: on
PIXELS_PER_CM = 7.0


def similarity(source: Array, target: Array) -> Array:
    """Returns the similarity transform [2, 3] with the least squared error."""
    a, b = source - source.mean(0), target - target.mean(0)
    factor = np.vdot(a @ (1, 1j), b @ (1, 1j)) / np.vdot(a @ (1, 1j), a @ (1, 1j))
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([linear, target.mean(0) - linear @ source.mean(0)])


def openface(points: Array, shape: Array) -> Array:
    """Returns OpenFace's transform of ``points`` [68, 3] in the image.

    ``shape`` [68, 3] is the face model in centimetres, with its mean at the origin.
    """
    wanted = PIXELS_PER_CM * shape[:, :2] * (1, -1)
    linear = similarity(points[RIGID, :2], wanted[RIGID])[:, :2]
    # The origin of the shape model in the image, from a fit in three dimensions.
    model = shape * (1, -1, -1)
    centre = points.mean(0)
    u, s, v = np.linalg.svd((points - centre).T @ model)
    turn = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
    scale = s.sum() / (model**2).sum()
    origin = centre - scale * turn @ model.mean(0)
    return np.column_stack([linear, ALIGNED_SIDE / 2 - linear @ origin[:2]])


def five_points(points: Array) -> Array:
    right, left = points[[36, 39], :2].mean(0), points[[42, 45], :2].mean(0)
    eyes, mouth = (right + left) / 2, points[[48, 54], :2].mean(0)
    angle = math.atan2(left[1] - right[1], left[0] - right[0])
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    down = (turn @ (mouth - eyes))[1]
    half = max(float(np.linalg.norm(left - right)), down)
    scale = ALIGNED_SIDE / (2 * half)
    middle = np.array([ALIGNED_SIDE / 2] * 2)
    return np.column_stack([scale * turn, middle - scale * turn @ ((eyes + mouth) / 2)])


def compare(ours: Array, other: Array, points: Array) -> str:
    def parts(matrix: Array) -> tuple[float, float]:
        factor = complex(matrix[0, 0], matrix[1, 0])
        return abs(factor), math.degrees(math.atan2(factor.imag, factor.real))

    (a, angle), (b, other_angle) = parts(ours), parts(other)
    apart = (points[:, :2] @ (ours - other)[:, :2].T) + (ours - other)[:, 2]
    x, y = apart.mean(0)
    # Distances that remain after both have the same scale and middle.
    return (
        f"scale x {b / a:.3f}, turn {other_angle - angle:+5.2f} deg, shift "
        f"{-x:+5.1f} {-y:+5.1f}, points {np.linalg.norm(apart, axis=1).mean():4.1f} mean "
        f"{np.linalg.norm(apart, axis=1).max():4.1f} most"
    )


def faces() -> Iterator[tuple[str, Image, Face]]:
    tracker = load_tracker()
    for name in ("astronaut", "grace_hopper"):
        image = cv2.cvtColor(cv2.imread(str(sample_photo(name))), cv2.COLOR_BGR2RGB)
        camera = Camera.assume(image.shape[1], image.shape[0])
        for degrees in (0, 20):
            turned = image
            if degrees:
                centre = (image.shape[1] / 2, image.shape[0] / 2)
                turn = cv2.getRotationMatrix2D(centre, degrees, 1.0)
                turned = cv2.warpAffine(image, turn, image.shape[1::-1])
            for face in tracker.detect(Frame(turned, 0.0, camera)):
                yield f"{name}{f', turned by {degrees}' if degrees else ''}", turned, face
    clip, tracker, t = cv2.VideoCapture(str(ROOT / "test" / "data" / "yongen.mp4")), tracker, 0
    while (read := clip.read())[0]:
        image = cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
        frame = Frame(image, t / 25, Camera.assume(image.shape[1], image.shape[0]))
        tracked = tracker.track(frame)
        if t % 20 == 0 and tracked:
            yield f"clip, frame {t}", image, tracked[0]
        t += 1


def main() -> int:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    ).parse_args()
    vertices = np.load(CANONICAL_FACE).astype(np.float64)
    shape = vertices[POINTS] - vertices[POINTS].mean(0)
    border = (CROP_SIDE - ALIGNED_SIDE) / 2
    for name, image, face in faces():
        points = face.landmarks[POINTS].astype(np.float64)
        ours = crop_face(image, face).transform.copy()
        ours[:, 2] -= border
        pose = face.pose
        yaw = (
            f"yaw {math.degrees(pose.yaw):+.0f} pitch {math.degrees(pose.pitch):+.0f}"
            if pose
            else ""
        )
        print(f"{name} ({yaw})")
        print(f"  OpenFace's  {compare(ours, openface(points, shape), points)}")
        print(f"  five-point  {compare(ours, five_points(points), points)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
