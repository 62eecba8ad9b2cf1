"""Measures what is told of the mouth of people whose mouth is covered.

    python3 bench/hidden_mouth.py DATA [--people N]

DATA is the folder of `bench/people.py`. Draws masks, a scarf and fingers on press photographs, one
of each person, or cuts the picture at the nose, and finds the faces again. Prints for each cover
the share of the faces that are still found, and of those the shares

* whose mouth counts as hidden, so that AU 12, 25 and 26 have no value (before, they had one),
* whose expression has a confidence of 0.3 or more: before, without regard to the mouth, and after.

Also prints the share of uncovered faces whose mouth counts as hidden, at smaller sizes of the crop,
too. Reads only the half of the people on whom nothing was chosen: those whose name has an odd sum
of code points.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from face_perception.affect import load_affect
from face_perception.affect.confidence import entropy_confidence
from face_perception.faces import HIDDEN_BELOW, crop_face, load_tracker, mouth_visibility
from face_perception.media import read_picture
from face_perception.types import Camera, Face, Frame, Image

_JAW = [132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361]
_CHEEKS = [50, 280, 205, 425, 101, 330]
_SMALLEST = 60  # pixels between the sides of the face
_SIDES = (80, 40, 20)  # pixels of a smaller crop


class Canvas(NamedTuple):
    """A picture to draw on, with the landmarks of its face, and the axes of the face."""

    image: Image
    points: np.ndarray
    up: np.ndarray
    right: np.ndarray
    width: float
    rng: np.random.Generator

    def noise(self, sigma: float, strength: float) -> np.ndarray:
        values = self.rng.normal(size=self.image.shape[:2]).astype(np.float32)
        smooth = cv2.GaussianBlur(values, (0, 0), sigma)
        return (smooth / smooth.std() * strength)[..., None]

    def fill(self, corners: np.ndarray, colour: np.ndarray) -> Image:
        inside = np.zeros(self.image.shape[:2], np.float32)
        cv2.fillPoly(inside, [np.rint(corners).astype(np.int32)], 1.0)
        return self.blend(self.image, inside, colour)

    @staticmethod
    def blend(image: Image, inside: np.ndarray, colour: np.ndarray) -> Image:
        share = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 1.0)[..., None]
        return np.clip(image * (1 - share) + colour * share, 0, 255).astype(np.uint8)


def canvas_of(image: Image, face: Face, person: str) -> Canvas:
    points = face.landmarks[:, :2].astype(float)
    up = points[10] - points[152]
    up /= np.linalg.norm(up)
    width = float(np.linalg.norm(points[454] - points[234]))
    rng = np.random.default_rng(zlib.crc32(person.encode()))
    return Canvas(image, points, up, np.array([-up[1], up[0]]), width, rng)


def mask(*colour: int, print_strength: float = 0.0) -> Callable[[Canvas], Image]:
    def draw(canvas: Canvas) -> Image:
        p, up, width = canvas.points, canvas.up, canvas.width
        right, left = (0.35 * p[a] + 0.65 * p[b] for a, b in ((234, 50), (454, 280)))
        corners = np.vstack([right, p[_JAW] - 0.02 * width * up, left, p[197]])
        shade = np.array(colour) + canvas.noise(width / 8, 8) + canvas.noise(1, 2)
        shade = shade + canvas.noise(width / 15, print_strength)
        for fold in range(3):
            middle = p[2] - up * width * (0.05 + 0.13 * fold)
            ends = [middle + side * 0.4 * width * canvas.right for side in (-1, 1)]
            line = np.zeros(canvas.image.shape[:2], np.float32)
            cv2.line(line, *(np.rint(end).astype(int).tolist() for end in ends), 1.0, 2)
            shade = shade - 25 * cv2.GaussianBlur(line, (0, 0), 1.2)[..., None]
        return canvas.fill(corners, shade)

    return draw


def scarf(canvas: Canvas) -> Image:
    p, up, width = canvas.points, canvas.up, canvas.width
    right, left = ((p[a] + p[b]) / 2 for a, b in ((234, 205), (454, 425)))
    corners = np.vstack([right, p[_JAW] - 0.25 * width * up, left, p[1]])
    places = np.indices(canvas.image.shape[:2])[::-1].transpose(1, 2, 0) @ up
    stripes = np.sin(places / width * 40 + canvas.noise(width / 6, 0.8)[..., 0]) > 0
    shade = np.array((90, 60, 50)) + 60 * stripes[..., None] + canvas.noise(width / 8, 12)
    return canvas.fill(corners, shade)


def fingers(angle: float) -> Callable[[Canvas], Image]:
    """Draws four fingers at an angle, rad, to the line between the eyes."""

    def draw(canvas: Canvas) -> Image:
        p, width, image = canvas.points, canvas.width, canvas.image
        places = np.clip(np.rint(p[_CHEEKS]).astype(int), 0, np.array(image.shape[1::-1]) - 1)
        skin = np.median(image[places[:, 1], places[:, 0]], axis=0) * canvas.rng.uniform(0.8, 1.1)
        turned = angle + canvas.rng.uniform(-0.3, 0.3)
        along = np.cos(turned) * canvas.right + np.sin(turned) * canvas.up
        across = np.array([-along[1], along[0]])
        for number in range(4):
            middle = (p[13] + p[14]) / 2 + across * 0.156 * width * (number - 1.5)
            ends = (middle - along * 0.35 * width, middle + along * 0.65 * width)
            finger = np.zeros(image.shape[:2], np.uint8)
            pixels = (np.rint(end).astype(int).tolist() for end in ends)
            cv2.line(finger, *pixels, 1, max(int(0.17 * width), 1))
            depth = cv2.distanceTransform(finger, cv2.DIST_L2, 3) / (0.085 * width)
            shade = skin * (0.72 + 0.3 * np.clip(depth, 0, 1))[..., None] + canvas.noise(1.5, 3)
            image = canvas.blend(image, finger, shade)
        return image

    return draw


def cut_below(canvas: Canvas) -> Image:
    end = int(canvas.points[2][1] + 0.06 * canvas.width)
    return np.ascontiguousarray(canvas.image[: max(end, 20)])


def cut_side(canvas: Canvas) -> Image:
    end = int(canvas.points[168][0] + 0.04 * canvas.width)
    return np.ascontiguousarray(canvas.image[:, : max(end, 20)])


COVERS: dict[str, Callable[[Canvas], Image]] = {
    "nothing": lambda canvas: canvas.image,
    "blue mask": mask(120, 165, 200),
    "white mask": mask(225, 225, 222),
    "black mask": mask(35, 35, 38),
    "printed mask": mask(150, 100, 95, print_strength=35.0),
    "striped scarf": scarf,
    "fingers upright": fingers(np.pi / 2),
    "fingers across": fingers(0.0),
    "cut below the nose": cut_below,
    "cut in half": cut_side,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--people", type=int, default=100, metavar="N")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    tracker, affect = load_tracker(), load_affect()

    def largest(image: Image) -> Face | None:
        height, width = image.shape[:2]
        found = tracker.detect(Frame(image, 0.0, Camera.assume(width, height)))
        return max(found, key=lambda face: np.ptp(face.landmarks[:, 0]), default=None)

    folder = args.data / "facial_expressions" / "images"
    paths = [path for path in sorted(folder.glob("*_0001.jpg")) if sum(map(ord, person(path))) % 2]
    order = np.random.default_rng(7).permutation(len(paths))
    rows: dict[str, list[tuple[float, float, float] | None]] = {name: [] for name in COVERS}
    small: dict[int, list[float]] = {side: [] for side in _SIDES}
    for number in order:
        image = read_picture(paths[number])
        face = largest(image)
        canvas = canvas_of(image, face, person(paths[number])) if face is not None else None
        if canvas is None or canvas.width < _SMALLEST:
            continue
        for name, cover in COVERS.items():
            drawn = cover(canvas)
            found = largest(drawn)
            if found is None or abs(found.landmarks[168, :2] - canvas.points[168]).max() > (
                canvas.width / 2
            ):
                rows[name].append(None)
                continue
            crop = crop_face(drawn, found)
            seen = mouth_visibility(crop)
            (told,) = affect.estimate(0.0, [crop])
            affect.reset()
            before = entropy_confidence(told.expression.probability)
            rows[name].append((seen, told.expression.confidence, before))
            if name == "nothing":
                for side in _SIDES:
                    less = cv2.resize(crop.image, (side, side), interpolation=cv2.INTER_AREA)
                    again = replace(crop, image=cv2.resize(less, (160, 160)))
                    small[side].append(mouth_visibility(again))
        if len(rows["nothing"]) == args.people:
            break
    print(f"{len(rows['nothing'])} people | found | hidden | confidence >= 0.3: before | after")
    for name, seen_rows in rows.items():
        known = np.array([row for row in seen_rows if row is not None])
        hidden = float((known[:, 0] < HIDDEN_BELOW).mean()) if len(known) else np.nan
        after, before = (
            (known[:, column] >= 0.3).mean() if len(known) else np.nan for column in (1, 2)
        )
        share = len(known) / len(seen_rows)
        print(f"{name} | {share:.2f} | {hidden:.3f} | {before:.2f} | {after:.2f}")
    for side, values in small.items():
        share = float((np.array(values) < HIDDEN_BELOW).mean())
        print(f"nothing, crop of {side} pixels: hidden {share:.3f}")


def person(path: Path) -> str:
    return path.name.rpartition("_")[0]


if __name__ == "__main__":
    main()
