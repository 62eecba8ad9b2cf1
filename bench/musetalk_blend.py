"""Measures the time to blend a face of 512x512 into its picture: our method and the published one.

    python3 bench/musetalk_blend.py

The published method needs Pillow (pip install pillow).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np

from face_perception.avatar import Blender, crop_box, soft_mask

Frame = np.ndarray


def published(picture: Frame, generated: Frame, box: tuple[int, ...], mask: Frame) -> Frame:
    """Blends an image as MuseTalk's real-time writer does, with Pillow."""
    from PIL import Image as Pillow

    left, top, right, bottom = box
    crop = crop_box((left, top, right, bottom))
    face = cv2.resize(generated, (right - left, bottom - top))
    body, front = Pillow.fromarray(picture[:, :, ::-1]), Pillow.fromarray(face[:, :, ::-1])
    large = body.crop(crop)
    large.paste(front, (left - crop[0], top - crop[1], right - crop[0], bottom - crop[1]))
    body.paste(large, crop[:2], Pillow.fromarray(mask).convert("L"))
    return np.asarray(body)[:, :, ::-1]


def main() -> int:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    ).parse_args()
    cv2.setNumThreads(1)
    random = np.random.default_rng(0)
    generated = random.integers(0, 256, (256, 256, 3), np.uint8)
    area = np.zeros((512, 512), np.uint8)
    cv2.ellipse(area, (256, 270), (150, 190), 0, 0, 360, 255, -1)
    for height, width, box in ((512, 512, (106, 100, 406, 440)), (720, 1280, (490, 200, 750, 500))):
        picture = random.integers(0, 256, (height, width, 3), np.uint8)
        crop = crop_box(box)
        mask = soft_mask(area, box, crop)
        blender = Blender.create(picture.shape, box, crop, mask)
        ways: dict[str, Callable[[], Frame]] = {
            "prepared": lambda b=blender, p=picture: b.blend(p, b.resized(generated)),
            "published": lambda p=picture, x=box, m=mask: published(p, generated, x, m),
        }
        try:
            np.testing.assert_array_equal(ways["prepared"](), ways["published"]())
        except ImportError:
            print("Pillow is missing: the published method is not measured", file=sys.stderr)
            del ways["published"]
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(100):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                times[name].append(1000 * (time.perf_counter() - start))
        medians = {name: statistics.median(values) for name, values in times.items()}
        text = ", ".join(f"{name} {value:.2f} ms" for name, value in medians.items())
        ratio = f", {medians['published'] / medians['prepared']:.1f}x" if len(ways) > 1 else ""
        print(f"{width}x{height}, face {box[2] - box[0]}x{box[3] - box[1]}: {text}{ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
