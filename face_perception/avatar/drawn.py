"""The avatar that comes with the package: a person who never was, drawn by these lines.

A friendly face of our own making, so that nobody's photograph speaks before a robot's owner has
chosen one. Places are centimetres from the middle of the mouth: x to the right, y down.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.float32]
Points = tuple[tuple[float, float], ...]
Colour = tuple[float, float, float]

SIDE = 1024
_SCALE = 23.5  # pixels a centimetre
_MOUTH = (512.0, 676.0)

_SKIN: Colour = (233, 186, 156)
_SHADE: Colour = (176, 112, 86)
_LIGHT: Colour = (255, 226, 202)
_HAIR: Colour = (72, 46, 36)
_HAIR_LIGHT: Colour = (134, 92, 66)
_LIP: Colour = (196, 104, 98)
_IRIS: Colour = (92, 124, 132)
_SHIRT: Colour = (58, 92, 112)

# Half the outline of the face, from the chin to the forehead.
_OUTLINE: Points = (
    (0.0, 5.15), (1.3, 5.0), (2.7, 4.2), (4.3, 2.7), (5.6, 0.6), (6.4, -2.2), (6.85, -5.2),
    (6.9, -8.2), (6.3, -11.0), (4.6, -13.0), (2.2, -13.9), (0.0, -14.1),
)  # fmt: skip
_HAIR_BACK: Points = (
    (0.0, -17.2), (3.4, -16.9), (6.2, -15.4), (8.0, -12.6), (8.6, -9.0), (8.4, -5.0), (7.9, -1.6),
    (6.9, 0.6), (5.6, 1.2), (5.0, -2.0), (0.0, -4.0),
)  # fmt: skip
# The fringe, parted on the image's left: its whole outline.
_FRINGE: Points = (
    (-7.2, -5.6), (-7.9, -9.6), (-7.2, -13.2), (-4.6, -16.2), (0.0, -17.1), (4.4, -16.4),
    (7.2, -13.6), (8.0, -9.8), (7.3, -5.6), (6.7, -7.6), (6.2, -9.8), (4.6, -11.6), (1.4, -12.5),
    (-1.8, -13.4), (-3.0, -14.0), (-4.0, -12.6), (-5.6, -10.8), (-6.5, -8.4),
)  # fmt: skip
_EYE_UPPER: Points = ((-1.42, 0.12), (-0.95, -0.36), (-0.2, -0.62), (0.6, -0.55), (1.42, 0.02))
_EYE_LOWER: Points = ((1.42, 0.02), (0.8, 0.38), (0.0, 0.50), (-0.8, 0.36), (-1.42, 0.12))
_BROW: Points = (
    (-1.75, 0.30), (-0.6, 0.02), (0.8, -0.12), (2.1, 0.42), (0.8, 0.24), (-0.6, 0.44),
    (-1.70, 0.72),
)  # fmt: skip


def drawn_face() -> Image:
    """RGB uint8 [1024, 1024, 3]: a face from the front, at rest, its eyes on the viewer."""
    canvas = _background()
    _body(canvas)
    _head(canvas)
    _features(canvas)
    for side in (-1.0, 1.0):
        _eye(canvas, side)
    _hair(canvas)
    return np.asarray(np.clip(cv2.GaussianBlur(canvas, (0, 0), 0.7) + 0.5, 0, 255), np.uint8)


def _pixels(points: Points | FloatArray) -> FloatArray:
    return np.asarray(points, np.float64) * _SCALE + _MOUTH


def _both(half: Points) -> FloatArray:
    """A closed outline from its right half, which begins and ends in the middle."""
    right = np.array(half)
    return np.concatenate([right, (right * (-1, 1))[-2:0:-1]])


def _closed(points: Points | FloatArray, number: int = 240) -> FloatArray:
    """A smooth closed curve through points (Catmull-Rom)."""
    p = np.asarray(points, np.float64)
    at = np.arange(number) * len(p) / number
    i = at.astype(int)
    t = (at - i)[:, None]
    a, b, c, d = (p[(i + k) % len(p)] for k in (-1, 0, 1, 2))
    return np.asarray(
        b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    )


def _mask(points: FloatArray, blur: float = 0.0) -> Pixels:
    """[H, W] 1 inside a polygon given in centimetres; ``blur`` in centimetres."""
    mask: Image = np.zeros((SIDE, SIDE), np.uint8)
    corners = np.rint(_pixels(points) * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, lineType=cv2.LINE_AA, shift=4)
    soft = mask.astype(np.float32) / np.float32(255)
    return soft if blur <= 0 else np.asarray(cv2.GaussianBlur(soft, (0, 0), blur * _SCALE))


def _spot(x: float, y: float, wide: float, high: float) -> Pixels:
    """[H, W] a soft round spot, 1 in its middle."""
    row = np.exp(-((((np.arange(SIDE) - _MOUTH[0]) / _SCALE - x) / wide) ** 2))
    column = np.exp(-((((np.arange(SIDE) - _MOUTH[1]) / _SCALE - y) / high) ** 2))
    return np.asarray(column[:, None] * row[None], np.float32)


def _stroke(points: Points | FloatArray, width: float, blur: float = 0.0) -> Pixels:
    """[H, W] a line, ``width`` and ``blur`` in centimetres."""
    mask: Image = np.zeros((SIDE, SIDE), np.uint8)
    corners = np.rint(_pixels(points) * 16).astype(np.int32)
    thick = max(1, round(width * _SCALE))
    cv2.polylines(mask, [corners], False, 255, thick, cv2.LINE_AA, 4)
    soft = mask.astype(np.float32) / np.float32(255)
    return soft if blur <= 0 else np.asarray(cv2.GaussianBlur(soft, (0, 0), blur * _SCALE))


def _open(points: Points, number: int = 60) -> FloatArray:
    """A smooth open curve through points."""
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
    part = (mask * np.float32(strength))[..., None]
    canvas += part * (np.array(colour, np.float32) - canvas)


def _background() -> Pixels:
    y = np.linspace(0, 1, SIDE, dtype=np.float32)[:, None, None]
    canvas = np.repeat((1 - y) * np.float32([206, 220, 224]) + y * np.float32([150, 172, 182]),
                       SIDE, axis=1)  # fmt: skip
    _paint(canvas, _spot(-6, -10, 14, 14), (238, 244, 244), 0.6)
    return np.ascontiguousarray(canvas, np.float32)


def _body(canvas: Pixels) -> None:
    back = _closed(_both(_HAIR_BACK))
    _paint(canvas, _mask(back, 0.08), _HAIR)
    neck = _closed(_both(((0.0, 11.5), (3.2, 11.2), (3.4, 8.0), (3.5, 4.0), (3.2, 0.0), (0.0, -1))))
    _paint(canvas, _mask(neck, 0.05), _SKIN)
    _paint(canvas, _mask(neck) * _spot(0, 4.6, 5.0, 2.6), _SHADE, 0.75)
    shoulders = _both(
        ((0.0, 9.6), (1.8, 9.2), (3.6, 7.9), (6.0, 8.6), (11.0, 10.4), (15.0, 13.0), (16.0, 18.0),
         (0.0, 18.0))
    )  # fmt: skip
    shirt = _mask(shoulders, 0.05)
    _paint(canvas, shirt, _SHIRT)
    _paint(canvas, shirt * _spot(-7, 10, 6, 3), (104, 142, 160), 0.6)
    _paint(canvas, shirt * _spot(9, 14, 6, 5), (30, 52, 68), 0.6)
    collar = _open(((-3.6, 7.9), (-1.8, 9.2), (0.0, 9.65), (1.8, 9.2), (3.6, 7.9)))
    _paint(canvas, _stroke(collar, 0.34, 0.05), (40, 66, 84), 0.9)


def _head(canvas: Pixels) -> None:
    for side in (-1.0, 1.0):
        ear = np.array([side, 1]) * _closed(
            ((6.5, -7.0), (7.5, -7.3), (7.9, -6.0), (7.5, -4.2), (6.9, -3.2), (6.3, -3.6))
        )
        _paint(canvas, _mask(ear, 0.05), (222, 168, 138))
        _paint(canvas, _mask(ear) * _spot(side * 7.0, -5.4, 0.55, 1.2), _SHADE, 0.55)
    outline = _closed(_both(_OUTLINE))
    face = _mask(outline, 0.05)
    _paint(canvas, face, _SKIN)
    inner = _mask(outline, 1.5)
    _paint(canvas, face * np.clip(1.25 - 1.35 * inner, 0, 1), _SHADE, 0.62)
    # Light from above on the image's left.
    _paint(canvas, face * _spot(5.2, -2.0, 2.8, 6.0), _SHADE, 0.26)
    _paint(canvas, face * _spot(-2.2, -11.2, 3.6, 1.9), _LIGHT, 0.55)
    _paint(canvas, face * _spot(-3.9, -3.6, 1.7, 1.5), _LIGHT, 0.50)
    _paint(canvas, face * _spot(3.5, -3.7, 1.5, 1.4), _LIGHT, 0.28)
    for side in (-1.0, 1.0):
        _paint(canvas, face * _spot(side * 3.9, -2.6, 1.7, 1.3), (232, 138, 118), 0.30)
        _paint(canvas, face * _spot(side * 2.9, -7.7, 2.0, 0.8), _SHADE, 0.26)
        _paint(canvas, face * _spot(side * 1.35, -6.8, 0.6, 1.2), _SHADE, 0.30)
    _paint(canvas, face * _spot(0, 4.0, 1.5, 0.8), _LIGHT, 0.32)
    _paint(canvas, face * _spot(0, 1.75, 1.7, 0.42), _SHADE, 0.42)
    _paint(canvas, face * _spot(0, -1.3, 0.32, 0.7), _SHADE, 0.20)


def _features(canvas: Pixels) -> None:
    # Nose: a lit bridge, a shaded side, wings and nostrils.
    _paint(canvas, _spot(-0.15, -5.2, 0.45, 2.0), _LIGHT, 0.50)
    _paint(canvas, _spot(0.85, -4.4, 0.5, 1.6), _SHADE, 0.26)
    _paint(canvas, _spot(-0.1, -3.15, 0.62, 0.5), _LIGHT, 0.70)
    _paint(canvas, _spot(0, -2.25, 1.25, 0.28), _SHADE, 0.55)
    for side in (-1.0, 1.0):
        wing = np.array([side, 1]) * _open(((1.05, -3.6), (1.52, -3.0), (1.38, -2.42), (0.95, -2.35)))
        _paint(canvas, _stroke(wing, 0.10, 0.07), (150, 84, 66), 0.60)
        _paint(canvas, _spot(side * 0.66, -2.38, 0.34, 0.15), (112, 54, 46), 0.85)
    # Lips, closed, corners a little up.
    seam = _open(((-2.3, -0.16), (-1.2, 0.03), (-0.4, -0.02), (0.0, 0.06), (0.4, -0.02), (1.2, 0.03),
                  (2.3, -0.16)))  # fmt: skip
    top = _open(((2.3, -0.16), (1.2, -0.56), (0.45, -0.80), (0.0, -0.66), (-0.45, -0.80),
                 (-1.2, -0.56), (-2.3, -0.16)))  # fmt: skip
    bottom = _open(((2.3, -0.16), (1.4, 0.62), (0.6, 0.98), (0.0, 1.04), (-0.6, 0.98), (-1.4, 0.62),
                    (-2.3, -0.16)))  # fmt: skip
    upper, lower = np.concatenate([seam, top]), np.concatenate([seam, bottom])
    _paint(canvas, _mask(upper, 0.05), (178, 88, 84), 0.92)
    _paint(canvas, _mask(lower, 0.06), _LIP, 0.92)
    _paint(canvas, _mask(lower) * _spot(-0.3, 0.45, 1.1, 0.24), (236, 168, 158), 0.75)
    _paint(canvas, _stroke(seam, 0.09, 0.035), (98, 34, 36), 0.9)
    for side in (-1.0, 1.0):
        _paint(canvas, _spot(side * 2.38, -0.14, 0.22, 0.2), (140, 74, 62), 0.6)
        brow = np.array([side, 1]) * _closed(_BROW) + (side * 3.3, -9.3)
        _paint(canvas, _mask(brow, 0.09), _HAIR, 0.88)


def _eye(canvas: Pixels, side: float) -> None:
    flip, at = np.array([side, 1.0]), np.array([side * 3.15, -6.95])
    upper, lower = flip * _open(_EYE_UPPER) + at, flip * _open(_EYE_LOWER) + at
    opening = _mask(np.concatenate([upper, lower]), 0.03)
    _paint(canvas, _mask(np.concatenate([upper, lower]), 0.28), _SHADE, 0.35)
    _paint(canvas, opening, (240, 238, 236))
    cx, cy = side * 3.15, -7.02
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    far = np.hypot((x - _MOUTH[0]) / _SCALE - cx, (y - _MOUTH[1]) / _SCALE - cy)

    def disc(radius: float, soft: float) -> Pixels:
        return np.asarray(np.clip((radius - far) / soft + 0.5, 0, 1), np.float32)

    _paint(canvas, opening * disc(0.61, 0.06), (38, 54, 62))
    _paint(canvas, opening * disc(0.54, 0.10), _IRIS)
    _paint(canvas, opening * disc(0.50, 0.2) * _spot(cx, cy + 0.26, 0.4, 0.24), (158, 192, 196), 0.7)
    _paint(canvas, opening * disc(0.25, 0.05), (16, 18, 22))
    shadow = _stroke(upper, 0.34, 0.12)
    _paint(canvas, opening * shadow, (70, 66, 72), 0.60)
    _paint(canvas, _spot(cx - 0.18, cy - 0.20, 0.11, 0.11), (255, 255, 255), 0.95)
    _paint(canvas, _stroke(upper, 0.15, 0.035), (46, 28, 26), 0.95)
    _paint(canvas, _stroke(lower, 0.07, 0.04), (150, 88, 74), 0.6)
    crease = flip * _open(((-1.2, -0.55), (-0.2, -1.02), (0.8, -0.92), (1.55, -0.42))) + at
    _paint(canvas, _stroke(crease, 0.07, 0.07), (150, 92, 72), 0.65)


def _hair(canvas: Pixels) -> None:
    fringe = _mask(_closed(_FRINGE), 0.06)
    shade = np.roll(cv2.GaussianBlur(fringe, (0, 0), 0.35 * _SCALE), round(0.35 * _SCALE), axis=0)
    inside = _mask(_closed(_both(_OUTLINE)), 0.05)
    _paint(canvas, inside * shade * (1 - fringe), _SHADE, 0.45)
    _paint(canvas, fringe, _HAIR)
    _paint(canvas, fringe * _spot(-4.2, -14.6, 2.6, 1.6), _HAIR_LIGHT, 0.55)
    _paint(canvas, fringe * _spot(3.0, -14.6, 3.2, 1.2), _HAIR_LIGHT, 0.55)
    # Strands from the parting.
    random = np.random.default_rng(5)
    for end in np.linspace(0, 1, 90):
        side = 1.0 if end < 0.62 else -1.0
        t = end / 0.62 if side > 0 else (end - 0.62) / 0.38
        reach = 7.4 if side > 0 else -7.4
        rim = ((reach, -6.2), (reach * 0.86, -9.4), (reach * 0.55, -11.6), (reach * 0.2, -13.0))
        goal = _open(rim)[round(t * 59)] + random.normal(0, 0.15, 2)
        start = np.array([-2.9, -14.2]) + random.normal(0, 0.12, 2)
        out = (start + goal) / 2 + np.array([side * 0.9, -1.9]) * (0.4 + 0.9 * (1 - t))
        strand = _open((tuple(start), tuple(out), tuple(goal)))
        light = random.random() < 0.55
        colour = _HAIR_LIGHT if light else (44, 26, 20)
        _paint(canvas, fringe * _stroke(strand, 0.05, 0.05), colour, 0.42)
