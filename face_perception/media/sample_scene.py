"""The sample scene: photographs of two people that move in front of a virtual camera.

The people lean, approach, cross, leave and return. They are flat pictures, so no head turns. The
scene also gives the true positions of the faces.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.geometry import smoothstep
from face_perception.media.sample_outlines import OUTLINES, PersonOutline, cut_out
from face_perception.types import Image

PHOTOS = tuple(OUTLINES)

LOOP_SECONDS = 36.0

# Photograph and rows of one appearance. A row has time (s), x and y of the face (1 = image width
# and height), face height (1 = image height), and roll (degrees). The motion between two rows is
# smooth and stops at each row. Before the first and after the last of its rows, the person is not
# in the image. Earlier entries are behind later ones.
_SCRIPT: tuple[tuple[str, tuple[tuple[float, float, float, float, float], ...]], ...] = (
    (
        "grace_hopper",
        (
            (10.0, 1.40, 0.42, 0.34, 0),
            (12.5, 0.73, 0.42, 0.34, 0),
            (15.5, 0.73, 0.42, 0.34, 0),
            (19.0, 0.27, 0.40, 0.27, 0),  # crosses behind the astronaut
            (21.5, 0.27, 0.42, 0.34, 0),
            (24.5, 0.50, 0.46, 0.60, 0),
            (26.0, 0.50, 0.46, 0.60, -18),
            (28.0, 0.50, 0.44, 0.50, 15),
            (29.0, 0.45, 0.44, 0.46, 0),
            (31.0, -0.50, 0.42, 0.40, 0),
        ),
    ),
    (
        "astronaut",
        (
            (0.0, 0.50, 0.40, 0.36, 0),
            (2.0, 0.50, 0.40, 0.36, 0),
            (4.5, 0.52, 0.45, 0.60, 0),
            (6.5, 0.55, 0.42, 0.40, 25),
            (8.5, 0.40, 0.42, 0.36, -20),
            (10.5, 0.27, 0.40, 0.34, 0),
            (15.5, 0.27, 0.40, 0.34, 0),
            (19.0, 0.73, 0.42, 0.38, 0),
            (21.5, 0.73, 0.42, 0.38, 0),
            (24.0, 1.45, 0.42, 0.38, 0),
        ),
    ),
    (
        "astronaut",  # returns from far away, and ends where the loop begins
        (
            (32.0, -0.35, 0.30, 0.14, 0),
            (34.0, 0.30, 0.30, 0.14, 0),
            (LOOP_SECONDS, 0.50, 0.40, 0.36, 0),
        ),
    ),
)


@dataclass(frozen=True)
class FaceTruth:
    """True position of one visible face, in pixels and radians.

    ``x``, ``y`` and ``height`` are the middle and the height of the upright box around the face
    mesh. ``roll`` is positive clockwise. ``visible`` is the share of the face, 0 to 1, that is
    inside the image and not behind another person.
    """

    photo: str
    x: float
    y: float
    height: float
    roll: float
    visible: float


class SampleScene:
    """A deterministic scene that repeats every ``LOOP_SECONDS`` seconds.

    ``photos`` are the RGB photographs named in ``PHOTOS``. ``width`` and ``height`` are the size of
    the image in pixels. Raises InputError for a wrong or missing photograph, and for a size that is
    not positive.

    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import PHOTOS, FrameReader, SampleScene
    >>> photos = {name: next(iter(FrameReader(sample_photo(name)))).image for name in PHOTOS}
    >>> scene = SampleScene(photos, width=320, height=240)
    >>> scene.render(1.0).shape
    (240, 320, 3)
    >>> [(face.photo, round(face.x), round(face.height)) for face in scene.truth(1.0)]
    [('astronaut', 160, 86)]
    """

    def __init__(self, photos: Mapping[str, Image], width: int = 640, height: int = 480) -> None:
        missing = [name for name in PHOTOS if name not in photos]
        if missing:
            raise InputError(
                f"sample photographs missing: {', '.join(missing)}: run `face-perception models "
                "fetch`"
            )
        if width < 1 or height < 1:
            raise InputError(f"sample image size must be positive, not {width}x{height}")
        self.width = width
        self.height = height
        self._background = _room(width, height)
        # Keep copies of half size each, because shrinking by more than 2 in one step causes
        # aliasing.
        self._levels = {name: _pyramid(cut_out(name, photos[name])) for name in PHOTOS}

    def render(self, t: float) -> Image:
        """Returns the RGB image at ``t`` seconds, a new uint8 array [height, width, 3]."""
        image = self._background.copy()
        for name, place in self._places(t):
            self._compose(image, name, place)
        return image

    def truth(self, t: float) -> list[FaceTruth]:
        """Returns the visible faces at ``t`` seconds, from left to right."""
        places = self._places(t)
        sightings = []
        for i, (name, place) in enumerate(places):
            portrait = OUTLINES[name]
            face = self._transform(name, place) @ _face_points(portrait)
            inside = (abs(face[0] - self.width / 2) <= self.width / 2) & (
                abs(face[1] - self.height / 2) <= self.height / 2
            )
            for nearer, its_place in places[i + 1 :]:
                inside &= ~self._covers(nearer, its_place, face)
            if inside.any():
                x, y, height, roll = place
                sightings.append(FaceTruth(name, x, y, height, roll, float(inside.mean())))
        return sorted(sightings, key=lambda sighting: sighting.x)

    def _places(self, t: float) -> list[tuple[str, tuple[float, float, float, float]]]:
        """Returns each person as photograph and place, farthest first.

        A place is x, y, height (pixels) and roll (radians) of the face.
        """
        t = t % LOOP_SECONDS
        places = []
        for name, rows in _SCRIPT:
            for a, b in itertools.pairwise(rows):
                if a[0] <= t < b[0]:
                    s = float(smoothstep(t, a[0], b[0]))
                    x, y, size, roll = (p + s * (q - p) for p, q in zip(a[1:], b[1:], strict=True))
                    place = (
                        x * self.width - 0.5,
                        y * self.height - 0.5,
                        size * self.height,
                        math.radians(roll),
                    )
                    places.append((name, place))
        return places

    def _transform(
        self, name: str, place: tuple[float, float, float, float]
    ) -> npt.NDArray[np.float64]:
        """Returns the affine map [2, 3] from pixels of the photograph to pixels of the image."""
        portrait = OUTLINES[name]
        x, y, height, roll = place
        c = math.cos(roll) * height / portrait.face_height
        s = math.sin(roll) * height / portrait.face_height
        return np.array(
            [
                [c, -s, x - c * portrait.face_x + s * portrait.face_y],
                [s, c, y - s * portrait.face_x - c * portrait.face_y],
            ]
        )

    def _covers(
        self, name: str, place: tuple[float, float, float, float], points: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        opacity = self._levels[name][0][..., 3]
        inverse = cv2.invertAffineTransform(self._transform(name, place))
        x, y = np.rint(inverse @ np.vstack([points, np.ones(points.shape[1])])).astype(int)
        inside = (x >= 0) & (y >= 0) & (x < opacity.shape[1]) & (y < opacity.shape[0])
        covered: npt.NDArray[np.bool_] = inside.copy()
        covered[inside] = opacity[y[inside], x[inside]] > 127
        return covered

    def _compose(self, image: Image, name: str, place: tuple[float, float, float, float]) -> None:
        transform = self._transform(name, place)
        portrait = OUTLINES[name]
        scale = place[2] / portrait.face_height
        levels = self._levels[name]
        level = min(max(int(math.log2(1 / scale)), 0), len(levels) - 1)
        corners = np.array(
            [
                [0, 0, 1],
                [portrait.width, 0, 1],
                [0, portrait.height, 1],
                [portrait.width, portrait.height, 1],
            ]
        )
        outer = transform @ corners.T
        x0, y0 = np.maximum(np.floor(outer.min(axis=1)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(outer.max(axis=1)).astype(int), (self.width, self.height))
        if x0 >= x1 or y0 >= y1:
            return
        # A pixel of the level covers 2^level pixels of the photograph. Pixel centres are integers.
        transform[:, 2] += transform[:, :2].sum(axis=1) * (2**level - 1) / 2 - (x0, y0)
        transform[:, :2] *= 2**level
        person = cv2.warpAffine(levels[level], transform, (int(x1 - x0), int(y1 - y0)))
        region = image[y0:y1, x0:x1]
        through = cv2.cvtColor(255 - person[..., 3], cv2.COLOR_GRAY2RGB)
        behind = cv2.multiply(region, through, scale=1 / 255)
        cv2.add(behind, cv2.cvtColor(person, cv2.COLOR_RGBA2RGB), dst=region)


def _face_points(portrait: PersonOutline) -> npt.NDArray[np.float64]:
    """Returns homogeneous points [3, N] that fill the ellipse of the face in the photograph."""
    x, y = np.meshgrid(np.linspace(-1, 1, 15), np.linspace(-1, 1, 15))
    disc = x**2 + y**2 <= 1
    half = portrait.face_height / 2
    return np.stack(
        [
            portrait.face_x + 0.8 * half * x[disc],
            portrait.face_y + half * y[disc],
            np.ones(int(disc.sum())),
        ]
    )


def _pyramid(cut: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    levels = [cut]
    for _ in range(3):
        height, width = levels[-1].shape[:2]
        # With INTER_AREA, a pixel of the next level is exactly the mean of 2 x 2 pixels.
        levels.append(
            cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        )
    return levels


def _room(width: int, height: int) -> Image:
    """Returns the background: a plain wall with daylight from the left."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x /= width
    y /= height
    light = 0.62 + 0.42 * np.exp(-(((x - 0.22) / 0.45) ** 2) - ((y - 0.3) / 0.6) ** 2) - 0.22 * y
    wall = light[..., None] * np.array([158, 166, 172], np.float32)
    # Add noise, or the shading shows visible bands.
    wall += np.random.default_rng(0).normal(0, 2, wall.shape).astype(np.float32)
    image: Image = np.clip(wall, 0, 255).astype(np.uint8)
    return image
