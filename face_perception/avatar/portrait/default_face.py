"""Draws the synthetic face that comes with the package: a person who does not exist.

It is the default avatar until the robot's owner has chosen a picture. All coordinates are in
centimetres from the middle of the mouth: x to the right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.float32]
Points = tuple[tuple[float, float], ...]
Colour = tuple[float, float, float]

SIDE = 768  # pixels
_SCALE = 17.6  # pixels per centimetre
_MOUTH = (383.5, 520.0)  # middle of the mouth, pixels

_SKIN: Colour = (233, 186, 156)
_SHADE: Colour = (176, 112, 86)
_LIGHT: Colour = (255, 226, 202)
_HAIR: Colour = (72, 46, 36)
_HAIR_LIGHT: Colour = (134, 92, 66)
_LIP: Colour = (206, 118, 108)
_IRIS: Colour = (92, 124, 132)
_SHIRT: Colour = (58, 92, 112)

# The right half of the outline of the face, from the chin to the forehead.
_OUTLINE: Points = (
    (0.0, 5.1), (1.2, 4.98), (2.5, 4.3), (4.0, 2.9), (5.25, 0.8), (6.1, -2.0), (6.6, -5.2),
    (6.7, -8.2), (6.2, -11.0), (4.6, -13.2), (2.2, -14.2), (0.0, -14.5),
)  # fmt: skip
_HAIR_BACK: Points = (
    (0.0, -18.2), (2.9, -17.8), (5.6, -16.3), (7.5, -13.6), (8.4, -10.0), (8.6, -6.0), (8.6, -2.2),
    (8.2, 1.4), (7.2, 3.5), (5.6, 3.3), (4.6, 0.5), (0.0, -4.0),
)  # fmt: skip
# Short hair tapers off behind the ears.
_SHORT_BACK: Points = (
    (0.0, -18.0), (3.4, -17.5), (6.0, -15.9), (7.5, -13.2), (7.8, -10.2), (7.4, -7.8), (6.8, -6.0),
    (6.0, -5.0), (4.0, -5.0), (0.0, -5.0),
)  # fmt: skip
# The upper edge of a beard: from the middle outwards, and how far below the middle of the lips.
_BEARD_X, _BEARD_Y = (0.0, 2.4, 3.0, 4.4, 5.4, 6.0, 6.4), (-1.1, -0.7, -0.1, 0.5, -0.9, -3.0, -6.4)
# The whole outline of the fringe, which is parted on the image's left.
_FRINGE: Points = (
    (-6.9, -2.6), (-8.0, -6.4), (-8.0, -10.4), (-6.9, -14.2), (-4.6, -17.0), (-1.0, -18.1),
    (2.9, -17.7), (6.0, -15.8), (7.8, -12.4), (8.3, -8.0), (7.8, -3.6), (6.7, -1.0), (6.3, -4.4),
    (6.35, -7.4), (5.9, -9.5), (4.5, -11.4), (2.0, -12.9), (-1.0, -14.2), (-2.6, -15.2),
    (-3.4, -13.8), (-4.8, -12.0), (-5.9, -9.6), (-6.3, -6.6), (-6.4, -4.4),
)  # fmt: skip
_CAP: Points = (
    (0.0, -18.0), (3.4, -17.4), (6.0, -15.6), (7.4, -12.6), (7.5, -9.4), (6.7, -8.6), (6.0, -11.2),
    (3.4, -13.2), (0.0, -13.7),
)  # fmt: skip
_EYE_UPPER: Points = ((-1.52, 0.18), (-1.05, -0.50), (-0.25, -0.92), (0.65, -0.80), (1.55, 0.02))
_EYE_LOWER: Points = ((1.55, 0.02), (0.9, 0.42), (0.0, 0.54), (-0.85, 0.42), (-1.52, 0.18))
_BROW: Points = (
    (-1.75, 0.28), (-0.6, -0.08), (0.8, -0.26), (2.2, 0.38), (0.8, 0.06), (-0.6, 0.26),
    (-1.70, 0.62),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FaceStyle:
    """How one synthetic person differs from another.

    - ``skin``, ``lip``, ``hair``, ``iris``, ``shirt``, ``background``: RGB factors [3] on the
      default colours.
    - ``fringe``: hair over the forehead; ``long``: hair next to the neck.
    - ``brow``: factor on the thickness of the brows.
    - ``beard``, ``freckles``: strength in [0, 1].
    - ``grain``: seed of the random parts of the drawing.

    >>> from dataclasses import replace
    >>> blonde = FaceStyle(hair=(2.2, 2.0, 1.4), freckles=0.5)
    >>> sister = replace(blonde, long=False, grain=1)  # synthetic_face(sister) draws her
    >>> sister.hair, sister.long
    ((2.2, 2.0, 1.4), False)
    """

    skin: Colour = (1.0, 1.0, 1.0)
    lip: Colour = (1.0, 1.0, 1.0)
    hair: Colour = (1.0, 1.0, 1.0)
    iris: Colour = (1.0, 1.0, 1.0)
    shirt: Colour = (1.0, 1.0, 1.0)
    background: Colour = (1.0, 1.0, 1.0)
    fringe: bool = True
    long: bool = True
    brow: float = 1.0
    beard: float = 0.0
    freckles: float = 0.0
    grain: int = 0


DEFAULT_STYLE = FaceStyle()


def synthetic_face(style: FaceStyle = DEFAULT_STYLE) -> Image:
    """Draws a neutral face from the front that looks at the viewer: RGB uint8 [768, 768, 3]."""
    canvas = _background()
    canvas *= _factor(style.background)
    _body(canvas, style)
    _head(canvas, style)
    _features(canvas, style)
    for side in (-1.0, 1.0):
        _eye(canvas, side, style)
    if style.fringe:
        _hair(canvas, style)
    else:
        _cropped_hair(canvas, style)
    return np.asarray(np.clip(cv2.GaussianBlur(canvas, (0, 0), 0.7) + 0.5, 0, 255), np.uint8)


def _pixels(points: Points | FloatArray) -> FloatArray:
    return np.asarray(points, np.float64) * _SCALE + _MOUTH


def _mirrored(half: Points) -> FloatArray:
    """Returns a closed outline from its right half, which starts and ends in the middle."""
    right = np.array(half)
    return np.concatenate([right, (right * (-1, 1))[-2:0:-1]])


def _closed_curve(points: Points | FloatArray, number: int = 240) -> FloatArray:
    """Returns a closed Catmull-Rom curve through points."""
    p = np.asarray(points, np.float64)
    at = np.arange(number) * len(p) / number
    i = at.astype(int)
    t = (at - i)[:, None]
    a, b, c, d = (p[(i + k) % len(p)] for k in (-1, 0, 1, 2))
    return np.asarray(
        b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    )


def _mask(points: FloatArray, blur: float = 0.0) -> Pixels:
    """Returns a mask [H, W], 1 inside a polygon. Points and ``blur`` are in centimetres."""
    mask: Image = np.zeros((SIDE, SIDE), np.uint8)
    corners = np.rint(_pixels(points) * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, lineType=cv2.LINE_AA, shift=4)
    soft = mask.astype(np.float32) / np.float32(255)
    return soft if blur <= 0 else np.asarray(cv2.GaussianBlur(soft, (0, 0), blur * _SCALE))


def _spot(x: float, y: float, wide: float, high: float) -> Pixels:
    """Returns a soft elliptic spot [H, W], 1 in its middle."""
    row = np.exp(-((((np.arange(SIDE) - _MOUTH[0]) / _SCALE - x) / wide) ** 2))
    column = np.exp(-((((np.arange(SIDE) - _MOUTH[1]) / _SCALE - y) / high) ** 2))
    return np.asarray(column[:, None] * row[None], np.float32)


def _stroke(points: Points | FloatArray, width: float, blur: float = 0.0) -> Pixels:
    """Returns a line [H, W] in [0, 1]. ``width`` and ``blur`` are in centimetres."""
    mask: Image = np.zeros((SIDE, SIDE), np.uint8)
    corners = np.rint(_pixels(points) * 16).astype(np.int32)
    thick = max(1, round(width * _SCALE))
    cv2.polylines(mask, [corners], False, 255, thick, cv2.LINE_AA, 4)
    soft = mask.astype(np.float32) / np.float32(255)
    return soft if blur <= 0 else np.asarray(cv2.GaussianBlur(soft, (0, 0), blur * _SCALE))


def _open_curve(points: Points, number: int = 60) -> FloatArray:
    """Returns an open Catmull-Rom curve through points."""
    p = np.asarray(points, np.float64)
    padded = np.concatenate([[2 * p[0] - p[1]], p, [2 * p[-1] - p[-2]]])
    at = np.linspace(0, len(p) - 1, number)
    i = np.minimum(at.astype(int), len(p) - 2)
    t = (at - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    return np.asarray(
        b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    )


def _paint(canvas: Pixels, mask: Pixels, colour: Colour, strength: float = 1.0) -> None:
    """Mixes a colour into the canvas [H, W, 3], in the rectangle in which the mask is not 0."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not rows.size:
        return
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part = (mask[box] * np.float32(strength))[..., None]
    canvas[box] += part * (np.array(colour, np.float32) - canvas[box])


def _factor(colour: Colour) -> Pixels:
    return np.array(colour, np.float32)


def _times(colour: Colour, factor: Colour) -> Colour:
    red, green, blue = (min(c * f, 255.0) for c, f in zip(colour, factor, strict=True))
    return red, green, blue


def _background() -> Pixels:
    y = np.linspace(0, 1, SIDE, dtype=np.float32)[:, None, None]
    top, bottom = np.array([[206, 220, 224], [150, 172, 182]], np.float32)
    canvas: Pixels = np.repeat((1 - y) * top + y * bottom, SIDE, axis=1).astype(np.float32)
    _paint(canvas, _spot(-6, -10, 14, 14), (238, 244, 244), 0.6)
    # Noise hides the steps of the shading.
    grain = np.random.default_rng(0).normal(0, 1.2, (SIDE, SIDE, 1))
    return np.ascontiguousarray(canvas + grain, np.float32)


def _body(canvas: Pixels, style: FaceStyle) -> None:
    back = _mask(_closed_curve(_mirrored(_HAIR_BACK if style.long else _SHORT_BACK)), 0.08)
    _paint(canvas, back, _times(_HAIR, style.hair))
    neck = _closed_curve(
        _mirrored(((0.0, 11.5), (3.2, 11.2), (3.4, 8.0), (3.5, 4.0), (3.2, 0.0), (0.0, -1)))
    )
    _paint(canvas, _mask(neck, 0.05), _times(_SKIN, style.skin))
    _paint(canvas, _mask(neck) * _spot(0, 4.6, 5.0, 2.6), _times((150, 92, 70), style.skin), 0.90)
    side = _open_curve(
        ((3.6, 7.9), (6.2, 8.9), (10.0, 10.0), (13.4, 12.0), (15.4, 15.6), (16.0, 20.0))
    )
    shoulders = np.concatenate([[(0.0, 9.65), (1.8, 9.2)], side, [(0.0, 20.0)]])
    shoulders = np.concatenate([shoulders, (shoulders * (-1, 1))[::-1]])
    shirt = _mask(shoulders, 0.05)
    _paint(canvas, shirt, _times(_SHIRT, style.shirt))
    _paint(canvas, shirt * _spot(-7, 10, 6, 3), _times((104, 142, 160), style.shirt), 0.6)
    _paint(canvas, shirt * _spot(9, 14, 6, 5), _times((30, 52, 68), style.shirt), 0.6)
    collar = _open_curve(((-3.6, 7.9), (-1.8, 9.2), (0.0, 9.65), (1.8, 9.2), (3.6, 7.9)))
    _paint(canvas, _stroke(collar, 0.34, 0.05), _times((40, 66, 84), style.shirt), 0.9)


def _head(canvas: Pixels, style: FaceStyle) -> None:
    skin, shade, light = (_times(c, style.skin) for c in (_SKIN, _SHADE, _LIGHT))
    for side in (-1.0, 1.0):
        ear = np.array([side, 1]) * _closed_curve(
            ((6.5, -7.0), (7.5, -7.3), (7.9, -6.0), (7.5, -4.2), (6.9, -3.2), (6.3, -3.6))
        )
        _paint(canvas, _mask(ear, 0.05), _times((222, 168, 138), style.skin))
        _paint(canvas, _mask(ear) * _spot(side * 7.0, -5.4, 0.55, 1.2), shade, 0.55)
    outline = _closed_curve(_mirrored(_OUTLINE))
    face = _mask(outline, 0.05)
    _paint(canvas, face, skin)
    inner = _mask(outline, 1.5)
    _paint(canvas, face * np.clip(1.25 - 1.35 * inner, 0, 1), shade, 0.62)
    # The light comes from above, from the image's left.
    _paint(canvas, face * _spot(5.2, -2.0, 2.8, 6.0), shade, 0.26)
    _paint(canvas, face * _spot(-2.2, -11.2, 3.6, 1.9), light, 0.55)
    _paint(canvas, face * _spot(-3.9, -3.6, 1.7, 1.5), light, 0.50)
    _paint(canvas, face * _spot(3.5, -3.7, 1.5, 1.4), light, 0.28)
    for side in (-1.0, 1.0):
        _paint(
            canvas,
            face * _spot(side * 3.9, -2.6, 1.7, 1.3),
            _times((232, 138, 118), style.skin),
            0.30,
        )
        _paint(canvas, face * _spot(side * 2.9, -7.7, 2.0, 0.8), shade, 0.26)
        _paint(canvas, face * _spot(side * 1.35, -6.8, 0.6, 1.2), shade, 0.30)
    _paint(canvas, face * _spot(0, 4.0, 1.5, 0.8), light, 0.32)
    _paint(canvas, face * _spot(0, 1.75, 1.7, 0.42), shade, 0.42)
    _paint(canvas, face * _spot(0, -1.3, 0.32, 0.7), shade, 0.20)
    _skin_marks(canvas, face, style)


def _skin_marks(canvas: Pixels, face: Pixels, style: FaceStyle) -> None:
    """Draws beard and freckles."""
    if style.beard <= 0 and style.freckles <= 0:
        return
    random = np.random.default_rng(17 + style.grain)
    noise = random.normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    rows = (np.arange(SIDE, dtype=np.float32) - np.float32(_MOUTH[1])) / np.float32(_SCALE)
    columns = np.abs(np.arange(SIDE, dtype=np.float32) - np.float32(_MOUTH[0])) / _SCALE
    below = rows[:, None] - np.interp(columns, _BEARD_X, _BEARD_Y).astype(np.float32)[None]
    grown = cv2.GaussianBlur(np.clip(below / 0.5 + 0.5, 0, 1), (0, 0), 0.35 * _SCALE)
    grown *= 1 - 0.75 * _spot(0, 1.5, 0.9, 0.4)  # less hair below the lower lip
    beard = face * grown * (0.7 + 0.3 * np.clip(noise, -1, 1))
    _paint(canvas, np.asarray(beard, np.float32), _times(_HAIR, style.hair), style.beard)
    dots = np.clip(cv2.GaussianBlur(noise, (0, 0), 1.8) * 6 - 1.4, 0, 1)
    cheeks = _spot(-3.2, -4.0, 2.6, 1.8) + _spot(3.2, -4.0, 2.6, 1.8)
    _paint(canvas, face * cheeks * dots, _times(_SHADE, style.skin), style.freckles)


def _features(canvas: Pixels, style: FaceStyle) -> None:
    shade, light = _times(_SHADE, style.skin), _times(_LIGHT, style.skin)
    lip = _times(style.lip, style.skin)
    # The nose: a lit bridge, a shaded side, wings and nostrils.
    _paint(canvas, _spot(-0.15, -5.2, 0.45, 2.0), light, 0.50)
    _paint(canvas, _spot(0.85, -4.4, 0.5, 1.6), shade, 0.26)
    _paint(canvas, _spot(-0.1, -3.15, 0.62, 0.5), light, 0.70)
    _paint(canvas, _spot(0, -2.25, 1.25, 0.28), shade, 0.55)
    for side in (-1.0, 1.0):
        wing = np.array([side, 1]) * _open_curve(
            ((1.05, -3.6), (1.52, -3.0), (1.38, -2.42), (0.95, -2.35))
        )
        _paint(canvas, _stroke(wing, 0.10, 0.07), _times((150, 84, 66), style.skin), 0.60)
        _paint(
            canvas, _spot(side * 0.66, -2.38, 0.34, 0.15), _times((112, 54, 46), style.skin), 0.85
        )
    # Closed lips with slightly raised corners.
    seam = _open_curve(
        ((-2.35, -0.30), (-1.2, 0.0), (-0.4, -0.02), (0.0, 0.06), (0.4, -0.02), (1.2, 0.0),
         (2.35, -0.30))
    )  # fmt: skip
    top = _open_curve(
        ((2.35, -0.30), (1.2, -0.60), (0.45, -0.80), (0.0, -0.66), (-0.45, -0.80), (-1.2, -0.60),
         (-2.35, -0.30))
    )  # fmt: skip
    bottom = _open_curve(
        ((2.35, -0.30), (1.4, 0.55), (0.6, 0.98), (0.0, 1.04), (-0.6, 0.98), (-1.4, 0.55),
         (-2.35, -0.30))
    )  # fmt: skip
    upper, lower = np.concatenate([seam, top]), np.concatenate([seam, bottom])
    _paint(canvas, _mask(upper, 0.05), _times((186, 100, 92), lip), 0.85)
    _paint(canvas, _mask(lower, 0.06), _times(_LIP, lip), 0.92)
    _paint(canvas, _mask(lower) * _spot(-0.3, 0.45, 1.1, 0.24), _times((236, 168, 158), lip), 0.75)
    _paint(canvas, _stroke(seam, 0.09, 0.035), _times((98, 34, 36), lip), 0.9)
    for side in (-1.0, 1.0):
        _paint(canvas, _spot(side * 2.42, -0.29, 0.22, 0.2), _times((140, 74, 62), style.skin), 0.6)
        brow = np.array([side, 1]) * (_closed_curve(_BROW) * (1.0, style.brow)) + (
            side * 3.3,
            -9.35,
        )
        _paint(canvas, _mask(brow, 0.09), _times(_HAIR, style.hair), 0.88)


def _eye(canvas: Pixels, side: float, style: FaceStyle) -> None:
    flip, at = np.array([side, 1.0]), np.array([side * 3.15, -6.95])
    upper, lower = flip * _open_curve(_EYE_UPPER) + at, flip * _open_curve(_EYE_LOWER) + at
    opening = _mask(np.concatenate([upper, lower]), 0.03)
    _paint(canvas, _mask(np.concatenate([upper, lower]), 0.28), _times(_SHADE, style.skin), 0.35)
    _paint(canvas, opening, (240, 238, 236))
    cx, cy = side * 3.13, -7.15
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    far = np.hypot((x - _MOUTH[0]) / _SCALE - cx, (y - _MOUTH[1]) / _SCALE - cy)

    def disc(radius: float, soft: float) -> Pixels:
        return np.asarray(np.clip((radius - far) / soft + 0.5, 0, 1), np.float32)

    _paint(canvas, opening * disc(0.70, 0.07), _times((38, 54, 62), style.iris))
    _paint(canvas, opening * disc(0.62, 0.12), _times(_IRIS, style.iris))
    _paint(
        canvas,
        opening * disc(0.58, 0.2) * _spot(cx, cy + 0.26, 0.4, 0.24),
        _times((158, 192, 196), style.iris),
        0.7,
    )
    _paint(canvas, opening * disc(0.28, 0.05), (16, 18, 22))
    shadow = _stroke(upper, 0.34, 0.12)
    _paint(canvas, opening * shadow, (70, 66, 72), 0.60)
    _paint(canvas, _spot(cx - 0.20, cy - 0.22, 0.13, 0.13), (255, 255, 255), 0.95)
    lashes = np.concatenate([upper, [upper[-1] + (side * 0.22, -0.10)]])
    _paint(canvas, _stroke(lashes, 0.17, 0.035), (46, 28, 26), 0.95)
    _paint(canvas, _stroke(lower, 0.07, 0.04), _times((150, 88, 74), style.skin), 0.6)
    crease = flip * _open_curve(((-1.3, -0.62), (-0.2, -1.22), (0.85, -1.12), (1.75, -0.46))) + at
    _paint(canvas, _stroke(crease, 0.07, 0.07), _times((150, 92, 72), style.skin), 0.65)


def _hair(canvas: Pixels, style: FaceStyle) -> None:
    fringe = _mask(_closed_curve(_FRINGE), 0.06)
    shade = np.roll(cv2.GaussianBlur(fringe, (0, 0), 0.4 * _SCALE), round(0.4 * _SCALE), axis=0)
    inside = _mask(_closed_curve(_mirrored(_OUTLINE)), 0.05)
    _paint(canvas, inside * shade * (1 - fringe), _times(_SHADE, style.skin), 0.50)
    _paint(canvas, fringe, _times(_HAIR, style.hair))
    # Light and dark strands from the parting.
    parting = np.array([-2.5, -15.6])
    random = np.random.default_rng(5 + style.grain)
    rims = (
        (0.62, _open_curve(((7.2, -1.4), (7.6, -5.0), (7.0, -8.6), (5.2, -11.4), (2.0, -13.3)))),
        (
            0.38,
            _open_curve(((-6.7, -3.0), (-7.2, -6.0), (-6.6, -9.4), (-5.2, -12.0), (-3.6, -14.0))),
        ),
    )
    light, dark = np.zeros((2, SIDE, SIDE), np.float32)
    for share, rim in rims:
        side = 1.0 if rim[0, 0] > 0 else -1.0
        for t in np.linspace(0, 1, round(150 * share)):
            goal = rim[round(t * (len(rim) - 1))] + random.normal(0, 0.14, 2)
            start = parting + (side * 0.5 * random.random(), -2.2 * random.random() * (1 - t))
            bulge = np.array([side * 1.6, -1.7]) * (0.25 + (1 - t))
            strand = _open_curve((tuple(start), tuple((start + goal) / 2 + bulge), tuple(goal)))
            into = light if random.random() < 0.5 else dark
            np.maximum(into, random.uniform(0.3, 1) * _stroke(strand, 0.06), out=into)
    for strands, colour in (
        (dark, _times((44, 26, 20), style.hair)),
        (light, _times(_HAIR_LIGHT, style.hair)),
    ):
        _paint(canvas, fringe * cv2.GaussianBlur(strands, (0, 0), 0.05 * _SCALE), colour, 0.45)
    # A band of light around the crown.
    for x, y, wide in ((-5.0, -14.2, 1.7), (2.6, -15.2, 2.8), (6.4, -11.6, 1.2)):
        _paint(canvas, fringe * _spot(x, y, wide, 1.1), _times((168, 120, 90), style.hair), 0.32)


def _cropped_hair(canvas: Pixels, style: FaceStyle) -> None:
    """Draws short hair: a cap above the forehead."""
    cap = _mask(_closed_curve(_mirrored(_CAP)), 0.12)
    _paint(canvas, cap, _times(_HAIR, style.hair))
    random = np.random.default_rng(9 + style.grain)
    noise = cv2.GaussianBlur(random.normal(0, 1, (SIDE, SIDE)).astype(np.float32), (0, 0), 1.6)
    _paint(canvas, cap * np.clip(noise, 0, 1), _times(_HAIR_LIGHT, style.hair), 0.9)
