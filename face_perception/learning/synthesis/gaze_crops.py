"""Paints synthetic people with known gaze: the gray crops that are GEDDnet's input.

Each person has an appearance and a bias (kappa: the angle between the visual and the optical axis),
which the images do not show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.learning.processes import results_in_order
from face_perception.learning.synthesis.gaze_painter import (
    EYE_DISTANCE,
    EYE_WIDTH,
    GazeAppearance,
    Scene,
    draw_head,
    draw_head_and_eyes,
    paint_brow,
    paint_eye,
    paint_face,
    paint_skin,
    photographed,
    pixel_grid,
    shifted,
    smooth_step,
)
from face_perception.learning.synthesis.worker_count import useful_workers
from face_perception.types import FloatArray, Image

KAPPA = math.radians(2.5)
_FACE, _EYE = (120, 120), (80, 120)  # sizes before the borders for equalisation are cut off
_FACE_CUT, _EYE_CUT = (12, 12), (8, 12)


@dataclass(frozen=True, slots=True)
class GazeFaces:
    """Crops of faces and eyes, with labels.

    ``face`` is uint8 [N, 96, 96], ``left_eye`` and ``right_eye`` are [N, 64, 96], gray, histogram
    equalised. ``gaze`` and ``head`` [N, 2] are pitch (positive up) and yaw (positive to the image's
    right), radians, in the normalized camera. ``person`` [N] is a number. ``kappa`` [N, 2] is the
    person's gaze minus the direction of the eyeballs, radians.
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
    kappa: float = KAPPA,
    target: tuple[float, float] | None = None,
    workers: int = 1,
) -> GazeFaces:
    """Paints ``images`` images of each of ``people`` people.

    The same seed gives the same images, for any number of ``workers``; only as many processes are
    started as are worth it. ``kappa`` is the standard
    deviation of the bias on each axis, radians. With a ``target`` (pitch, yaw, radians), the same
    people look there in other images, with random head poses. Raises InputError for numbers below
    1.
    """
    if people < 1 or images < 1 or workers < 1:
        raise InputError("people, images and workers must be at least 1")
    one = partial(_person, images=images, seed=seed, kappa=kappa, target=target)
    workers = useful_workers(workers, people * images)
    parts = list(results_in_order(one, [(number,) for number in range(people)], workers))
    names = ("face", "left_eye", "right_eye", "gaze", "head", "person", "kappa")
    return GazeFaces(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def gaze_person(
    number: int, seed: int, kappa: float = KAPPA
) -> tuple[np.random.Generator, GazeAppearance, FloatArray]:
    """Returns (random generator, appearance, bias [2]) of person ``number`` of a set's ``seed``."""
    random = np.random.default_rng([seed, number])
    return random, GazeAppearance.draw(random), random.normal(0, kappa, 2)


def _person(
    number: int, images: int, seed: int, kappa: float, target: tuple[float, float] | None
) -> GazeFaces:
    random, looks, bias = gaze_person(number, seed, kappa)
    if target is not None:
        # Light and noise are the same for each target, and differ from those of other images.
        (random,) = random.spawn(1)
    faces, lefts, rights, gazes, heads = [], [], [], [], []
    for _ in range(images):
        if target is None:
            head, axis = draw_head_and_eyes(random)
        else:
            axis = np.array(target) - bias
            head = draw_head(random, axis)
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


def _eye(
    look: GazeAppearance,
    scene: Scene,
    head: FloatArray,
    axis: FloatArray,
    side: int,
    random: np.random.Generator,
) -> Image:
    # The canthi are 67.2 pixels apart in the crop, for any head pose.
    millimetre = EYE_WIDTH * math.cos(head[1]) / 67.2
    x, y = shifted(*pixel_grid(_EYE, millimetre, (59.5, 44.5)), scene)
    y = y + side * look.slant * x / EYE_WIDTH
    image = paint_skin(x, y, look, head)
    # The bridge of the nose is darker.
    image *= 1 - 0.25 * smooth_step(-side * x - 20 + 12 * math.sin(head[1]) * side, 14)
    paint_brow(image, x, y, look, head, 0.5)
    paint_eye(image, x, y, look, scene, head, axis, 2 * millimetre)
    return _equalised(photographed(image, scene, scene.blur, random), _EYE_CUT)


def _face(
    look: GazeAppearance,
    scene: Scene,
    head: FloatArray,
    axis: FloatArray,
    random: np.random.Generator,
) -> Image:
    millimetre = EYE_DISTANCE * math.cos(head[1]) / 32
    image = paint_face(look, scene, head, axis, _FACE, millimetre, (59.5, 55.0))
    return _equalised(photographed(image, scene, 0.5 * scene.blur, random), _FACE_CUT)


def _equalised(image: Image, cut: tuple[int, int]) -> Image:
    equal: Image = np.asarray(cv2.equalizeHist(image), np.uint8)
    return np.ascontiguousarray(equal[cut[0] : -cut[0], cut[1] : -cut[1]])
