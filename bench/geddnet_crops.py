"""Measures the time of GEDDnet's crops of a 1080p frame: our method and the published one.

    python3 bench/geddnet_crops.py [--rounds 40]

Ours warps only the window of the crop; the published method warps the whole frame. Both make the
same crops of the same faces, in turns in one process, on one thread and on all threads of OpenCV. A
figure is the median of the ratios of all rounds. The crops are compared as well.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.gaze import make_gaze_crops_from_points, rotation_facing_eyes
from face_perception.types import Camera

CAMERA = Camera(1920, 1080, 1456.1, 1457.0, 923.1, 538.0)
# 12 points around the eyes in the order of `gaze.eye_points`, metres, x right and y down.
_RIGHT = [(-45, 0), (-36, -5), (-27, -5), (-18, 0), (-27, 4), (-36, 4)]
_LEFT = [(-x, y) for x, y in (_RIGHT[i] for i in (3, 2, 1, 0, 5, 4))]
EYES = np.array(_RIGHT + _LEFT) / 1000
DISTANCES = (0.4, 0.6, 1.0, 2.0, 4.0)  # metres

Crops = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
VIRTUAL = np.array([[1536, 0, 960], [0, 1536, 540], [0, 0, 1]], np.float64)


def warp_whole(image: npt.NDArray[np.uint8], matrix: npt.NDArray[Any], rays: Any) -> Any:
    """Does the first published step: warps the whole frame into the virtual camera."""
    warp = VIRTUAL @ rotation_facing_eyes(rays[:, :2]).T @ np.linalg.inv(matrix)
    return warp, cv2.warpPerspective(image, warp, (image.shape[1], image.shape[0]))


def published(image: npt.NDArray[np.uint8], matrix: npt.NDArray[Any], points: Any) -> Crops:
    """Returns crops of face, left eye and right eye, made in the two steps of the released code.

    It warps the whole frame, and then scales the whole warped frame.
    """
    homogeneous = np.c_[points, np.ones(12)]
    warp, whole = warp_whole(image, matrix, homogeneous @ np.linalg.inv(matrix).T)
    seen = homogeneous @ warp.T
    eyes = (seen[:, :2] / seen[:, 2:]).astype(int)
    scale = 32 / abs(eyes[6:, 0].mean() - eyes[:6, 0].mean())
    small = cv2.resize(whole, (0, 0), fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    y, x = small.shape[0] // 2 - 55, small.shape[1] // 2 - 60
    face = _equalised(small[y : y + 120, x : x + 120])[12:-12, 12:-12]
    found = []
    for eye in (eyes[6:], eyes[:6]):
        x, y = eye[[0, 3]].mean(axis=0).astype(int) - 80
        across, along = eye[3] - eye[0]
        turn = cv2.getRotationMatrix2D(
            (79.5, 79.5), np.degrees(np.arctan2(along, across)), 67.2 / np.hypot(across, along)
        )
        level = cv2.warpAffine(whole[y : y + 160, x : x + 160], turn, (160, 160))
        found.append(_equalised(level[35:115, 20:140])[8:-8, 12:-12])
    return face, found[0], found[1]


def _equalised(part: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return cv2.equalizeHist(cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY))


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (135, 240, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (1920, 1080), interpolation=cv2.INTER_CUBIC)
    matrix = CAMERA.matrix
    print("threads  face at  eyes apart   ours    / whole warp   / warp and crops   off by")
    for threads in sorted({1, cv2.getNumThreads()}):
        cv2.setNumThreads(threads)
        for distance in DISTANCES:
            points = (EYES + (0.02, 0.0)) * (CAMERA.fx, CAMERA.fy) / distance
            points = np.trunc(points + (CAMERA.cx, CAMERA.cy))
            rays = np.c_[points, np.ones(12)] @ np.linalg.inv(matrix).T
            one, other = (
                make_gaze_crops_from_points(image, CAMERA, points),
                published(image, matrix, points),
            )
            off = max(
                int(np.abs(a.astype(int) - b).max())
                for a, b in zip((one.face, one.left_eye, one.right_eye), other, strict=True)
            )
            times = [
                (
                    seconds(lambda p=points: make_gaze_crops_from_points(image, CAMERA, p)),
                    seconds(lambda r=rays: warp_whole(image, matrix, r)),
                    seconds(lambda p=points: published(image, matrix, p)),
                )
                for _ in range(rounds)
            ]
            ours = statistics.median(t[0] for t in times)
            warp = statistics.median(t[0] / t[1] for t in times)
            both = statistics.median(t[0] / t[2] for t in times)
            apart = points[6:, 0].mean() - points[:6, 0].mean()
            print(
                f"{threads:7} {distance:6.1f} m {apart:8.0f} px {ours * 1e3:6.2f} ms"
                f" {warp:14.3f} {both:18.3f} {off:8}"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
