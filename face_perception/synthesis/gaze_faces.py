"""Drawn people with a known gaze: the gray crops that GEDDnet sees, rendered at their own size.

Eyeballs behind lids on a head that turns, seen without perspective. Each person has an appearance
and a bias (kappa: the visual axis is not the optical one), which nothing in the images shows.
Anatomy in millimetres: eyeball 12, iris 5.9, fissure 30, canthi 62 apart from middle to middle.
"""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.types import FloatArray, Image

_FLOAT = npt.NDArray[np.float32]
_BALL, _DEPTH = 12.0, 8.0  # radius of an eyeball, its centre behind the canthi
_FISSURE, _APART = 30.0, 62.0
_FACE, _EYE = (120, 120), (80, 120)  # before the borders of equalisation are cut off
_FACE_CUT, _EYE_CUT = (12, 12), (8, 12)

# What people do: standard deviations and bounds in radians. A robot sees heads turned this far.
HEAD_YAW, HEAD_PITCH = math.radians(18), math.radians(10)
EYE_YAW, EYE_PITCH = math.radians(14), math.radians(9)
_MOST = math.radians(45)


@dataclass(frozen=True, slots=True)
class GazeFaces:
    """``face`` uint8 [N, 96, 96], ``left_eye``, ``right_eye`` [N, 64, 96], gray, equalised;
    ``gaze`` and ``head`` [N, 2] pitch (up), yaw (image right), radians, in the normalised camera;
    ``person`` [N]; ``kappa`` [N, 2] what the person's gaze has more than the eyeballs show.
    """

    face: Image
    left_eye: Image
    right_eye: Image
    gaze: FloatArray
    head: FloatArray
    person: npt.NDArray[np.int64]
    kappa: FloatArray

    def __len__(self) -> int:
        return len(self.gaze)


def gaze_faces(
    people: int,
    images: int,
    *,
    seed: int,
    kappa: float = math.radians(2.5),
    workers: int = 1,
) -> GazeFaces:
    """``images`` of each of ``people``; the same for the same seed, whatever the ``workers``.

    ``kappa`` is the standard deviation of the bias on each axis, radians.
    """
    if people < 1 or images < 1 or workers < 1:
        raise ValueError("people, images and workers must be at least 1")
    one = partial(_person, images=images, seed=seed, kappa=kappa)
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            parts = list(pool.map(one, range(people)))
    else:
        parts = [one(number) for number in range(people)]
    names = ("face", "left_eye", "right_eye", "gaze", "head", "person", "kappa")
    return GazeFaces(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def _person(number: int, images: int, seed: int, kappa: float) -> GazeFaces:
    random = np.random.default_rng([seed, number])
    looks = Look.draw(random)
    bias = random.normal(0, kappa, 2)
    faces, lefts, rights, gazes, heads = [], [], [], [], []
    for _ in range(images):
        head = np.clip(random.normal(0, (HEAD_PITCH, HEAD_YAW)), -_MOST, _MOST)
        # Eyes and head share the way to a target.
        axis = np.clip(head + random.normal(0, (EYE_PITCH, EYE_YAW)), -_MOST, _MOST)
        scene = Scene.draw(random)
        faces.append(_face(looks, scene, head, axis, random))
        lefts.append(_eye(looks, scene, head, axis, 1, random))
        rights.append(_eye(looks, scene, head, axis, -1, random))
        gazes.append(axis + bias)
        heads.append(head)
    return GazeFaces(
        np.stack(faces),
        np.stack(lefts),
        np.stack(rights),
        np.stack(gazes),
        np.stack(heads),
        np.full(images, number),
        np.tile(bias, (images, 1)),
    )


@dataclass(frozen=True, slots=True)
class Look:
    """How a person looks; lengths in millimetres, grays 0 to 255."""

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
    def draw(cls, random: np.random.Generator) -> Look:
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
    """What differs from image to image: light, blur, noise, how far open the eyes are, and how far
    off the crop's landmarks were (shift in mm, turn in radians, scale).
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
    """[3, 3] of a head (pitch up, yaw to image right): x right, y down, z towards the camera."""
    pitch, yaw = np.asarray(angles, np.float64)
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    rotation: FloatArray = turn @ nod
    return rotation


def _soft(distance: _FLOAT, width: float) -> _FLOAT:
    """1 inside (positive distance), 0 outside, smooth over ``width``."""
    t = np.clip(distance / width + 0.5, 0, 1)
    soft: _FLOAT = t * t * (3 - 2 * t)
    return soft


def _grid(
    size: tuple[int, int], millimetres: float, middle: tuple[float, float]
) -> tuple[_FLOAT, _FLOAT]:
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    return (x - middle[0]) * millimetres, (y - middle[1]) * millimetres


def _paint(
    image: _FLOAT,
    x: _FLOAT,
    y: _FLOAT,
    look: Look,
    scene: Scene,
    head: FloatArray,
    axis: FloatArray,
    edge: float,
) -> None:
    """One eye into ``image``; x, y [H, W] millimetres from between its canthi, in the picture."""
    turn = _rotation(head)
    half = _FISSURE / 2 * turn[0, 0]
    t = np.clip(x / max(half, 1.0), -1, 1)
    bulge = 1 - t * t
    # The upper lid goes along with the gaze; lids stand out, and move aside as the head turns.
    relative = axis - head
    upper = look.openness * scene.openness + 6.0 * float(relative[0])
    top = -max(upper, 1.5) * bulge**0.8 + 4.0 * turn[1, 2] * bulge
    bottom = (look.lower - 2.0 * float(relative[0])) * bulge + 4.0 * turn[1, 2] * bulge
    opening = _soft(np.minimum(y - top, bottom - y), edge) * (np.abs(x) < half)
    fold = np.exp(-(((y - top + look.fold) / 0.9) ** 2)) * (np.abs(x) < 1.1 * half)
    image -= 0.18 * look.skin * fold.astype(np.float32)
    # The ball, behind the canthi.
    centre = turn @ (0, 0, -_DEPTH)
    look_at = _rotation(axis)
    bx, by = x - centre[0], y - centre[1]
    ball = look.sclera * (1 - 0.5 * np.clip((bx**2 + by**2) / 14**2, 0, 1))
    forward = look_at[:, 2]
    depth = np.sqrt(np.clip(_BALL**2 - bx**2 - by**2, 0, None))
    # Distance from the optical axis, on the ball: the iris is a circle on it.
    along = bx * forward[0] + by * forward[1] + depth * forward[2]
    radius = np.sqrt(np.clip(bx**2 + by**2 + depth**2 - along**2, 0, None)) + 20 * (along < 0)
    rim = np.exp(-(((radius - 5.6) / 0.6) ** 2))
    iris = look.iris * (1 - 0.4 * rim) * (0.85 + 0.05 * radius)
    iris = iris + (8 - iris) * _soft(scene.pupil - radius, edge)
    ball = ball + (iris - ball) * _soft(5.9 - radius, edge)
    glint = (bx - 9 * forward[0] + 1.5) ** 2 + (by - 9 * forward[1] + 1.5) ** 2
    ball = np.where((glint < 0.8) & (radius < 6), 250, ball)
    ball = ball * (1 - 0.45 * np.exp(-np.clip(y - top, 0, None) / 1.6))  # shade of the lid
    image += opening * (ball.astype(np.float32) - image)
    lashes = np.exp(-(((y - top + 0.3) / 0.7) ** 2)) * (np.abs(x) < half)
    image += 0.7 * lashes.astype(np.float32) * (look.hair * 0.4 - image)


def _brow(image: _FLOAT, x: _FLOAT, y: _FLOAT, look: Look, head: FloatArray, edge: float) -> None:
    turn = _rotation(head)
    lift = -look.brow_gap + 5.0 * turn[1, 2]
    line = lift + 0.006 * (x - 4 * turn[0, 2]) ** 2
    inside = _soft(look.brow - np.abs(y - line), 1.5 + edge) * _soft(20 - np.abs(x), 6)
    image += 0.8 * inside * (look.hair - image)


def _finish(
    image: _FLOAT, scene: Scene, cut: tuple[int, int], blur: float, random: np.random.Generator
) -> Image:
    height, width = image.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    image = image * np.clip(1 + scene.light[0] * x - scene.light[1] * y, 0.2, 1.8)
    image = np.asarray(cv2.GaussianBlur(image.astype(np.float32), (0, 0), blur), np.float32)
    image += scene.noise * random.standard_normal(image.shape, np.float32)
    equal = cv2.equalizeHist(np.clip(image, 0, 255).astype(np.uint8))
    done: Image = np.asarray(equal, np.uint8)[cut[0] : -cut[0], cut[1] : -cut[1]]
    return np.ascontiguousarray(done)


def _skin(x: _FLOAT, y: _FLOAT, look: Look, head: FloatArray) -> _FLOAT:
    """Skin with a person's own spots, which move with the head."""
    spots = np.random.default_rng(look.texture).uniform(0.03, 0.25, (4, 4))
    skin = np.full(x.shape, look.skin, np.float32)
    for fx, fy, px, py in spots:
        wave = np.cos(fx * (x - 10 * head[1]) + 60 * px) * np.cos(fy * (y + 10 * head[0]) + 60 * py)
        skin += (0.035 * look.skin * wave).astype(np.float32)
    return skin


def _moved(x: _FLOAT, y: _FLOAT, scene: Scene) -> tuple[_FLOAT, _FLOAT]:
    c, s = math.cos(scene.turn) / scene.scale, math.sin(scene.turn) / scene.scale
    moved = c * x + s * y + scene.shift[0], c * y - s * x + scene.shift[1]
    return moved[0].astype(np.float32), moved[1].astype(np.float32)


def _eye(
    look: Look,
    scene: Scene,
    head: FloatArray,
    axis: FloatArray,
    side: int,
    random: np.random.Generator,
) -> Image:
    # The crop makes the canthi 67.2 pixels apart, however the head is turned.
    millimetre = _FISSURE * math.cos(head[1]) / 67.2
    x, y = _moved(*_grid(_EYE, millimetre, (59.5, 44.5)), scene)
    y = y + side * look.slant * x / _FISSURE
    image = _skin(x, y, look, head)
    # The bridge of the nose is darker.
    image *= 1 - 0.25 * _soft(-side * x - 20 + 12 * math.sin(head[1]) * side, 14)
    _brow(image, x, y, look, head, 0.5)
    _paint(image, x, y, look, scene, head, axis, 2 * millimetre)
    return _finish(image, scene, _EYE_CUT, scene.blur, random)


def _face(
    look: Look, scene: Scene, head: FloatArray, axis: FloatArray, random: np.random.Generator
) -> Image:
    turn = _rotation(head)
    millimetre = _APART * math.cos(head[1]) / 32
    x, y = _moved(*_grid(_FACE, millimetre, (59.5, 55.0)), scene)

    def at(px: float, py: float, pz: float) -> tuple[float, float]:
        place = turn @ (px, py, pz)
        return float(place[0]), float(place[1])

    image = _skin(x, y, look, head)
    cx, cy = at(0, 25, -45)
    inside = 1 - ((x - cx) / look.face) ** 2 - ((y - cy) / 105) ** 2
    hair_x, hair_y = at(0, -60, -10)
    hair = _soft((hair_y - y) + 0.004 * (x - hair_x) ** 2, 6)
    image += hair * (look.hair - image)
    wall = 60.0 + look.texture % 150
    image += _soft(-inside.astype(np.float32), 0.12) * (wall - image)
    for side in (-1, 1):
        ex, ey = at(side * _APART / 2, 0, 0)
        _brow(image, x - ex, y - ey, look, head, 1.5)
        near = (np.abs(x - ex) < 24) & (np.abs(y - ey) < 18)
        rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        if len(rows) and len(columns):
            part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            patch = image[part]
            _paint(patch, x[part] - ex, y[part] - ey, look, scene, head, axis, 1.5 * millimetre)
    nx, ny = at(0, look.nose, 18)
    tip = np.exp(-(((x - nx) / 8) ** 2) - ((y - ny) / 6) ** 2)
    under = np.exp(-(((x - nx) / 12) ** 2) - ((y - ny - 8) / 3) ** 2)
    mx, my = at(0, look.mouth, 6)
    mouth = np.exp(-(((x - mx) / 22) ** 4) - ((y - my - 0.004 * (x - mx) ** 2) / 3.5) ** 2)
    image *= (1 + 0.15 * tip - 0.4 * under - 0.45 * mouth).astype(np.float32)
    return _finish(image, scene, _FACE_CUT, 0.5 * scene.blur, random)
