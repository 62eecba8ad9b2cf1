"""Paints faces with known gaze: eyeballs behind lids on a turned head, without perspective.

Anatomy in millimetres: radius of the eyeball 12 and of the iris 5.9, width of an eye 30, distance
of the eyes' centres 62. ``gaze_crops`` and ``gaze_pictures`` make images with these functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.types import FloatArray, Image

_FLOAT = npt.NDArray[np.float32]
_BALL, _DEPTH = 12.0, 8.0  # radius of an eyeball; distance of its centre behind the canthi; mm
EYE_WIDTH, EYE_DISTANCE = 30.0, 62.0

# Standard deviations of head and eye angles, and their bound, radians, as a robot sees people.
HEAD_YAW, HEAD_PITCH = math.radians(18), math.radians(10)
EYE_YAW, EYE_PITCH = math.radians(14), math.radians(9)
MAX_ANGLE = math.radians(45)


def draw_head_and_eyes(random: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Draws (head, axis of the eyes), pitch and yaw: both turn towards a target."""
    head = np.clip(random.normal(0, (HEAD_PITCH, HEAD_YAW)), -MAX_ANGLE, MAX_ANGLE)
    axis = np.clip(head + random.normal(0, (EYE_PITCH, EYE_YAW)), -MAX_ANGLE, MAX_ANGLE)
    return head, axis


def draw_head(random: np.random.Generator, axis: FloatArray) -> FloatArray:
    """Draws the head of ``draw_head_and_eyes`` that fits a given axis of the eyes."""
    head, eye = np.array((HEAD_PITCH, HEAD_YAW)), np.array((EYE_PITCH, EYE_YAW))
    share = head**2 / (head**2 + eye**2)
    drawn: FloatArray = np.clip(
        random.normal(share * axis, np.sqrt(share) * eye), -MAX_ANGLE, MAX_ANGLE
    )
    return drawn


@dataclass(frozen=True, slots=True)
class GazeAppearance:
    """Appearance of a person; lengths in millimetres, gray levels 0 to 255."""

    skin: float
    iris: float
    sclera: float
    hair: float
    openness: float
    lower: float
    slant: float
    brow: float
    brow_gap: float
    fold: float
    nose: float
    mouth: float
    face: float
    texture: int

    @classmethod
    def draw(cls, random: np.random.Generator) -> GazeAppearance:
        skin = random.uniform(70, 215)
        return cls(
            skin=skin,
            iris=random.uniform(25, 120),
            sclera=min(skin + random.uniform(15, 60), 245),
            hair=random.uniform(10, min(skin, 150)),
            openness=random.uniform(6.0, 8.5),
            lower=random.uniform(2.5, 4.5),
            slant=random.normal(0, 1.0),
            brow=random.uniform(2.0, 4.5),
            brow_gap=random.uniform(13, 19),
            fold=random.uniform(2, 5),
            nose=random.uniform(42, 52),
            mouth=random.uniform(64, 76),
            face=random.uniform(62, 74),
            texture=int(random.integers(1 << 31)),
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """Properties of one image: light, blur, noise, openness of the eyes, and error of the
    landmarks.

    The error of the landmarks moves the crop: ``shift`` in mm, ``turn`` in radians, ``scale``.
    """

    light: tuple[float, float]
    blur: float
    noise: float
    openness: float
    shift: tuple[float, float]
    turn: float
    scale: float
    pupil: float

    @classmethod
    def draw(cls, random: np.random.Generator) -> Scene:
        return cls(
            light=(random.normal(0, 0.35), random.normal(0.1, 0.25)),
            blur=random.uniform(0.4, 1.8),
            noise=random.uniform(0.5, 6),
            openness=random.uniform(0.85, 1.1),
            shift=(random.normal(0, 0.4), random.normal(0, 0.4)),
            turn=random.normal(0, math.radians(2)),
            scale=random.normal(1, 0.03),
            pupil=random.uniform(1.3, 3.2),
        )


def _rotation(angles: npt.ArrayLike) -> FloatArray:
    """Returns the rotation [3, 3] of pitch (up) and yaw (image right).

    Axes are x right, y down, z towards the camera.
    """
    pitch, yaw = np.asarray(angles, np.float64)
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    rotation: FloatArray = turn @ nod
    return rotation


def smooth_step(distance: _FLOAT, width: float) -> _FLOAT:
    """Returns 1 for a positive distance, 0 for a negative one, smooth over ``width``."""
    t = np.clip(distance / width + 0.5, 0, 1)
    soft: _FLOAT = t * t * (3 - 2 * t)
    return soft


def pixel_grid(
    size: tuple[int, int], millimetres: float, middle: tuple[float, float]
) -> tuple[_FLOAT, _FLOAT]:
    """Returns x and y of each pixel, in millimetres from ``middle``."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    return (x - middle[0]) * millimetres, (y - middle[1]) * millimetres


def paint_eye(
    image: _FLOAT,
    x: _FLOAT,
    y: _FLOAT,
    look: GazeAppearance,
    scene: Scene,
    head: FloatArray,
    axis: FloatArray,
    edge: float,
) -> None:
    """Paints an eye into ``image``; x, y [H, W] are millimetres from the middle of its canthi."""
    turn = _rotation(head)
    half = EYE_WIDTH / 2 * turn[0, 0]
    t = np.clip(x / max(half, 1.0), -1, 1)
    bulge = 1 - t * t
    # The upper lid follows the gaze. Lids protrude, so they shift as the head turns.
    relative = axis - head
    upper = look.openness * scene.openness + 6.0 * float(relative[0])
    top = -max(upper, 1.5) * bulge**0.8 + 4.0 * turn[1, 2] * bulge
    bottom = (look.lower - 2.0 * float(relative[0])) * bulge + 4.0 * turn[1, 2] * bulge
    opening = smooth_step(np.minimum(y - top, bottom - y), edge) * (np.abs(x) < half)
    fold = np.exp(-(((y - top + look.fold) / 0.9) ** 2)) * (np.abs(x) < 1.1 * half)
    image -= 0.18 * look.skin * fold.astype(np.float32)
    # The eyeball, behind the canthi.
    centre = turn @ (0, 0, -_DEPTH)
    look_at = _rotation(axis)
    bx, by = x - centre[0], y - centre[1]
    ball = look.sclera * (1 - 0.5 * np.clip((bx**2 + by**2) / 14**2, 0, 1))
    forward = look_at[:, 2]
    depth = np.sqrt(np.clip(_BALL**2 - bx**2 - by**2, 0, None))
    # Distance from the optical axis on the eyeball, where the iris is a circle.
    along = bx * forward[0] + by * forward[1] + depth * forward[2]
    radius = np.sqrt(np.clip(bx**2 + by**2 + depth**2 - along**2, 0, None)) + 20 * (along < 0)
    rim = np.exp(-(((radius - 5.6) / 0.6) ** 2))
    iris = look.iris * (1 - 0.4 * rim) * (0.85 + 0.05 * radius)
    iris = iris + (8 - iris) * smooth_step(scene.pupil - radius, edge)
    ball = ball + (iris - ball) * smooth_step(5.9 - radius, edge)
    glint = (bx - 9 * forward[0] + 1.5) ** 2 + (by - 9 * forward[1] + 1.5) ** 2
    ball = np.where((glint < 0.8) & (radius < 6), 250, ball)
    ball = ball * (1 - 0.45 * np.exp(-np.clip(y - top, 0, None) / 1.6))  # shadow of the lid
    image += opening * (ball.astype(np.float32) - image)
    lashes = np.exp(-(((y - top + 0.3) / 0.7) ** 2)) * (np.abs(x) < half)
    image += 0.7 * lashes.astype(np.float32) * (look.hair * 0.4 - image)


def paint_brow(
    image: _FLOAT, x: _FLOAT, y: _FLOAT, look: GazeAppearance, head: FloatArray, edge: float
) -> None:
    turn = _rotation(head)
    lift = -look.brow_gap + 5.0 * turn[1, 2]
    line = lift + 0.006 * (x - 4 * turn[0, 2]) ** 2
    inside = smooth_step(look.brow - np.abs(y - line), 1.5 + edge) * smooth_step(20 - np.abs(x), 6)
    image += 0.8 * inside * (look.hair - image)


def paint_skin(x: _FLOAT, y: _FLOAT, look: GazeAppearance, head: FloatArray) -> _FLOAT:
    """Returns skin with the person's spots, which move with the head."""
    spots = np.random.default_rng(look.texture).uniform(0.03, 0.25, (4, 4))
    skin = np.full(x.shape, look.skin, np.float32)
    for fx, fy, px, py in spots:
        wave = np.cos(fx * (x - 10 * head[1]) + 60 * px) * np.cos(fy * (y + 10 * head[0]) + 60 * py)
        skin += (0.035 * look.skin * wave).astype(np.float32)
    return skin


def shifted(x: _FLOAT, y: _FLOAT, scene: Scene) -> tuple[_FLOAT, _FLOAT]:
    """Returns coordinates with the landmark error of the scene."""
    c, s = math.cos(scene.turn) / scene.scale, math.sin(scene.turn) / scene.scale
    moved = c * x + s * y + scene.shift[0], c * y - s * x + scene.shift[1]
    return moved[0].astype(np.float32), moved[1].astype(np.float32)


def paint_face(
    look: GazeAppearance,
    scene: Scene,
    head: FloatArray,
    axis: FloatArray,
    size: tuple[int, int],
    millimetre: float,
    middle: tuple[float, float],
) -> _FLOAT:
    """Paints a face, gray float32 of ``size`` (height, width), without light, blur and noise.

    ``millimetre`` is the size of a pixel, ``middle`` (x, y) the pixel between the eyes.
    """
    turn = _rotation(head)
    x, y = shifted(*pixel_grid(size, millimetre, middle), scene)

    def at(px: float, py: float, pz: float) -> tuple[float, float]:
        place = turn @ (px, py, pz)
        return float(place[0]), float(place[1])

    image = paint_skin(x, y, look, head)
    cx, cy = at(0, 25, -45)
    inside = 1 - ((x - cx) / look.face) ** 2 - ((y - cy) / 105) ** 2
    hair_x, hair_y = at(0, -60, -10)
    hair = smooth_step((hair_y - y) + 0.004 * (x - hair_x) ** 2, 6)
    image += hair * (look.hair - image)
    wall = 60.0 + look.texture % 150
    image += smooth_step(-inside.astype(np.float32), 0.12) * (wall - image)
    for side in (-1, 1):
        ex, ey = at(side * EYE_DISTANCE / 2, 0, 0)
        paint_brow(image, x - ex, y - ey, look, head, 1.5)
        near = (np.abs(x - ex) < 24) & (np.abs(y - ey) < 18)
        rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        if len(rows) and len(columns):
            part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            patch = image[part]
            paint_eye(patch, x[part] - ex, y[part] - ey, look, scene, head, axis, 1.5 * millimetre)
    nx, ny = at(0, look.nose, 18)
    tip = np.exp(-(((x - nx) / 8) ** 2) - ((y - ny) / 6) ** 2)
    under = np.exp(-(((x - nx) / 12) ** 2) - ((y - ny - 8) / 3) ** 2)
    mx, my = at(0, look.mouth, 6)
    mouth = np.exp(-(((x - mx) / 22) ** 4) - ((y - my - 0.004 * (x - mx) ** 2) / 3.5) ** 2)
    image *= (1 + 0.15 * tip - 0.4 * under - 0.45 * mouth).astype(np.float32)
    return image


def photographed(image: _FLOAT, scene: Scene, blur: float, random: np.random.Generator) -> Image:
    """Returns the image, uint8, with the light, blur and noise of the scene."""
    height, width = image.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    image = image * np.clip(1 + scene.light[0] * x - scene.light[1] * y, 0.2, 1.8)
    image = np.asarray(cv2.GaussianBlur(image.astype(np.float32), (0, 0), blur), np.float32)
    image += scene.noise * random.standard_normal(image.shape, np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)
