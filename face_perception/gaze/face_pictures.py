"""Cuts the colour picture of a face that an imported gaze network takes.

The model card states the cut (the fact ``picture``, see ``FacePicture``); ``face-perception import
onnx`` writes it. The gray crops of GEDDnet are in ``network_crops``.

Source of the normalized face: Zhang, Sugano and Bulling, "Revisiting Data Normalization for
Appearance-Based Gaze Estimation", ETRA 2018.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np

from face_perception.errors import InputError
from face_perception.gaze.network_crops import CropsUnavailable, map_to_image, share_outside
from face_perception.gaze.normalized_camera import normalized_camera_rotation
from face_perception.inference import Card, ModelError
from face_perception.settings import from_mapping, setting
from face_perception.types import Camera, Face, FloatArray, HeadPose, Image

CROPS = ("face_box", "normalized_face")
ANGLES = ("picture", "line_of_sight", "camera")
# The fact of a model card that holds a ``FacePicture``, and the input that takes the picture.
PICTURE = "picture"

# Point that the normalized camera of a face looks at, from the sellion, in the axes of the head
# pose (x out, y left, z up), metres: halfway between the middle of the canthi and the middle of the
# wings of the nose, on MediaPipe's canonical face.
_FACE_CENTRE = np.array([-0.010, 0.0, -0.028])
# Largest share of the picture that may be outside the image, where it is black.
_MISSING = 0.25


@dataclass(frozen=True)
class FacePicture:
    """How the picture of a face is cut, and in which axes the network states angles.

    >>> cut = FacePicture(crop="face_box", size=448, angles_in="line_of_sight")
    >>> cut.margin
    0.0
    """

    crop: str = setting(
        dataclasses.MISSING,
        "face_box: the upright box of the landmarks, stretched to a square. normalized_face: what "
        "a virtual camera sees that faces the head from a fixed distance, level with it.",
        choices=CROPS,
    )
    size: int = setting(
        dataclasses.MISSING, "Side of the picture.", minimum=16, maximum=1024, unit="pixels"
    )
    angles_in: str = setting(
        "picture",
        "Axes of the angles. picture: those of the normalized camera. line_of_sight: level with "
        "the image; (0, 0) is a look from the eyes into the lens. camera: those of the camera; "
        "(0, 0) is parallel to its optical axis.",
        choices=ANGLES,
    )
    margin: float = setting(
        0.0,
        "face_box: what is added to each side of the box, as a share of its width or height. A "
        "negative value cuts off.",
        minimum=-0.25,
        maximum=2.0,
    )
    focal: float = setting(
        0.0,
        "normalized_face: focal length of the virtual camera, in pixels of the picture.",
        minimum=0.0,
        maximum=20_000.0,
        unit="pixels",
    )
    distance: float = setting(
        0.0,
        "normalized_face: distance of the virtual camera from the face.",
        minimum=0.0,
        maximum=10.0,
        unit="m",
    )

    def check(self) -> None:
        """Raises InputError if settings contradict each other; the message names them."""
        normalized = self.crop == "normalized_face"
        if normalized and not (self.focal > 0 and self.distance > 0):
            raise InputError("crop normalized_face needs focal (pixels) and distance (m) above 0")
        if not normalized and (self.focal or self.distance):
            raise InputError("focal and distance belong to crop normalized_face: leave them out")
        if normalized and self.margin:
            raise InputError("margin belongs to crop face_box: leave it out")
        if not normalized and self.angles_in == "picture":
            raise InputError("crop face_box has no axes: give angles_in line_of_sight or camera")


def picture_of(card: Card) -> FacePicture:
    """Returns the fact ``picture`` of a card. Raises ModelError if it is missing or wrong."""
    try:
        cut = from_mapping(FacePicture, card.facts.get(PICTURE) or {})
        cut.check()
    except InputError as error:
        raise ModelError(
            f"the card of model {card.name} has no usable fact {PICTURE} ({error}): import the "
            "model again with `face-perception import onnx`"
        ) from error
    return cut


def make_face_picture(
    image: Image, camera: Camera, face: Face, pose: HeadPose, cut: FacePicture
) -> tuple[Image, FloatArray]:
    """Returns the picture, RGB uint8 [size, size, 3], and the axes [3, 3] of the network's angles.

    The columns of the axes are right, down and forward in the optical frame, as those of
    ``rotation_facing_eyes``. ``image`` is RGB uint8 [H, W, 3]. Raises CropsUnavailable if more than
    a quarter of the picture is outside the image, or the axes are not known.
    """
    if cut.crop == "normalized_face":
        to_image, axes = _normalized(camera, pose, cut)
    else:
        to_image, axes = _box(face, cut), np.eye(3)
    if cut.angles_in == "camera":
        axes = np.eye(3)
    elif cut.angles_in == "line_of_sight":
        forward = normalized_camera_rotation(camera, face)[:, 2]
        if not np.isfinite(forward).all():
            raise CropsUnavailable("it has no landmarks at its eyes")
        axes = _level_axes(forward, np.array([1.0, 0.0, 0.0]))
    last = cut.size - 1
    outside = share_outside(camera, to_image @ np.diag([last, last, 1.0]))
    if outside > _MISSING:
        raise CropsUnavailable(f"{outside:.0%} of its picture is outside the image")
    scale = float(np.sqrt(abs(np.linalg.det(to_image[:2, :2]))))
    if scale > 1.5:  # without a blur, every second pixel or more would be skipped
        image = cv2.GaussianBlur(image, (0, 0), 0.4 * scale)
    picture = cv2.warpPerspective(
        image, to_image, (cut.size, cut.size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return np.asarray(picture, np.uint8), axes


def _box(face: Face, cut: FacePicture) -> FloatArray:
    """Returns the map [3, 3] from pixels of the picture to pixels of the image."""
    points = face.landmarks[:, :2].astype(np.float64)
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    if not np.isfinite(high - low).all() or (high - low).min() < 2:
        raise CropsUnavailable("its landmarks are not known")
    low, high = low - cut.margin * (high - low), high + cut.margin * (high - low)
    (scale_x, scale_y), (x, y) = (high - low) / (cut.size - 1), low
    return np.array([[scale_x, 0, x], [0, scale_y, y], [0, 0, 1]])


def _normalized(camera: Camera, pose: HeadPose, cut: FacePicture) -> tuple[FloatArray, FloatArray]:
    """Returns the map to the image, and the axes of the virtual camera."""
    centre = pose.position + pose.rotation @ _FACE_CENTRE
    away = float(np.linalg.norm(centre))
    axes = _level_axes(centre / away, pose.rotation[:, 1])
    focal = cut.focal * away / cut.distance  # the same picture from the real distance
    middle = (cut.size - 1) / 2
    to_rays = np.linalg.inv(np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]]))
    corners = np.array([[0.0, 0.0], [cut.size - 1, cut.size - 1]])
    return map_to_image(camera, axes @ to_rays, corners), axes


def _level_axes(forward: FloatArray, sideways: FloatArray) -> FloatArray:
    """Returns axes right, down, forward [3, 3] whose down is perpendicular to ``sideways``."""
    down = np.cross(forward, sideways)
    right = np.cross(down, forward)
    axes = np.stack([right, down, forward], axis=1)
    length = np.linalg.norm(axes, axis=0)
    if not length.min() > 1e-6:
        raise CropsUnavailable("its head is turned so far that the picture cannot be levelled")
    levelled: FloatArray = axes / length
    return levelled
