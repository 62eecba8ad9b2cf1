"""Whole pictures of people with known gaze, to test face detection and gaze together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from face_perception.avatar import SAMPLES, FaceState, PortraitRenderer, read_picture
from face_perception.faces import FaceTracker
from face_perception.inference import sample_photo
from face_perception.learning.synthesis.gaze_crops import gaze_person
from face_perception.learning.synthesis.gaze_painter import (
    EYE_DISTANCE,
    Scene,
    draw_head_and_eyes,
    paint_face,
    photographed,
)
from face_perception.types import Camera, FloatArray, Frame, Image

# The eyes are 120 pixels apart: a face 0.8 m from a camera with GEDDnet's focal length.
_SIDE, _FOCAL, _EYES_APART = 720, 1536.0, 120.0
_WALL = 110
_TURNED = math.radians(20)

# Gaze of the talking face (yaw, pitch), as far as its irises move.
_LOOKS = ((0.0, 0.0), (0.17, 0.0), (0.34, 0.0), (-0.17, 0.0), (-0.34, 0.0), (0.0, 0.1), (0.0, -0.1))


@dataclass(frozen=True, slots=True)
class GazePicture:
    """A picture of one person.

    ``gaze`` [2] is pitch (positive up) and yaw (positive to the image's right), radians, in the
    normalized camera of the face.
    """

    frame: Frame
    gaze: FloatArray
    person: str


def synthetic_pictures(people: int, images: int, *, seed: int) -> Iterator[GazePicture]:
    """Yields other images of the people that ``gaze_faces`` paints with this seed, 720x720."""
    camera = Camera(_SIDE, _SIDE, _FOCAL, _FOCAL, (_SIDE - 1) / 2, (_SIDE - 1) / 2)
    middle = ((_SIDE - 1) / 2, 0.45 * _SIDE)
    for number in range(people):
        random, look, bias = gaze_person(number, seed)
        for _ in range(images):
            head, axis = draw_head_and_eyes(random)
            scene = Scene.draw(random)
            size = (_SIDE, _SIDE)
            face = paint_face(look, scene, head, axis, size, EYE_DISTANCE / _EYES_APART, middle)
            gray = photographed(face, scene, scene.blur, random)
            rgb = np.repeat(gray[..., None], 3, axis=2)
            yield GazePicture(Frame(rgb, 0.0, camera), axis + bias, f"synthetic {number}")


def photographs() -> Iterator[GazePicture]:
    """Yields views of the two sample photographs, whose people look into the lens: gaze (0, 0).

    Each is shown upright and rotated by 20 degrees to both sides, original and mirrored.
    """
    for name in SAMPLES:
        photo = read_picture(sample_photo(name))
        for image in (photo, np.ascontiguousarray(photo[:, ::-1])):
            for turn in (0.0, -_TURNED, _TURNED):
                yield _picture(_rolled(image, turn), np.zeros(2), name)


def turned_photographs(tracker: FaceTracker) -> Iterator[GazePicture]:
    """Yields the same people with eyes that the talking face has turned.

    The movement of the iris for a given gaze was tuned to what ``gaze.GeometricGaze`` estimates.
    """
    for name in SAMPLES:
        portrait = PortraitRenderer.from_file(sample_photo(name), tracker=tracker)
        for yaw, pitch in _LOOKS:
            image = portrait.render(FaceState(gaze_yaw=yaw, gaze_pitch=pitch))
            yield _picture(image, np.array([pitch, yaw]), name)


def _picture(image: Image, gaze: FloatArray, name: str) -> GazePicture:
    height, width = image.shape[:2]
    return GazePicture(Frame(image, 0.0, Camera.assume(width, height)), gaze, name)


def _rolled(image: Image, angle: float) -> Image:
    """Returns the image rotated clockwise about its middle; border pixels are repeated outwards."""
    if not angle:
        return image
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -math.degrees(angle), 1.0)
    turned = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)
