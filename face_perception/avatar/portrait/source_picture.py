"""Reads and checks a picture of one face, and crops it to the frame that is animated.

A picture that cannot be animated is refused with the reason and the fix.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from face_perception import faces, media
from face_perception.avatar.portrait.lip_visibility import lips_visible
from face_perception.errors import InputError, machine_limit
from face_perception.faces import FaceTracker
from face_perception.outside_files import reason_of
from face_perception.paths import expanded
from face_perception.types import Camera, Face, Frame, Image

FloatArray = npt.NDArray[np.floating]

_MIN_FACE = 64  # longer side of the mesh, pixels; in smaller faces the lips are a few pixels
_SEARCH_SIDE = 1280  # pixels; a larger picture is shrunk to this before it is searched
_FACE_SHARE = 0.42  # height of the mesh as a share of the frame, if the picture is large enough
_EYES_AT = 0.46  # height of the eyes from the top, as a share of the frame
_MAX_ENLARGED = 3.0
_MOST_TURNED = np.radians(60)  # largest roll of the head in the picture
# Yaw or pitch of the head, with the focal length by face size. Above the first, the far side of the
# mouth and the far eye move wrongly; above the second, the mouth is drawn on the cheek. Seen in
# portraits of 9 press photographs with 21 to 50 degrees.
_TURNED, _PROFILE = np.radians(25), np.radians(40)
# Visibility of the eyes (faces/eye_visibility.py). An eye below the first, or both below the
# second, are hidden: by dark glasses in the 4 of 211 press photographs to which this applies.
_HIDDEN_EYE, _HIDDEN_EYES = 0.05, 0.35
# Mean openness of both eyes. Drawn closed eyes (three portraits in two sizes) have 0.25 to 0.40,
# laughing people 0.31 and more. Of 211 press photographs, 1 is below the first and 12 are below
# the second.
_CLOSED, _NEARLY_CLOSED = 0.3, 0.45
_MUST_SHOW = (
    faces.LEFT_OUTER_CANTHUS,
    faces.RIGHT_OUTER_CANTHUS,
    faces.MOUTH_LEFT,
    faces.MOUTH_RIGHT,
)


class PortraitError(InputError):
    """Raised for a picture that cannot be animated; the text gives the reason and the fix."""


@dataclass(frozen=True, slots=True)
class FramedFace:
    """A picture in the size of the frames, RGB uint8 [H, W, 3], and its one face in its pixels.

    ``warnings`` say what will not look right, and what to do; empty if all will.
    """

    image: Image
    face: Face
    warnings: tuple[str, ...] = ()


def read_picture(path: str | Path) -> Image:
    """Reads an image file as RGB uint8 [H, W, 3], as ``media.read_picture`` does.

    Raises PortraitError if the file is missing or is not a still picture.
    """
    file = expanded(path)
    try:
        return media.read_picture(file)
    except OSError as error:
        fix = "" if machine_limit(error) else ": use a PNG or JPEG of one face"
        raise PortraitError(f"portrait {file}: {reason_of(error)}{fix}") from error
    except InputError as error:
        raise PortraitError(f"portrait {error}") from error


def to_rgb(picture: npt.NDArray[np.generic]) -> Image:
    """Converts a gray [H, W], RGB or RGBA [H, W, 3 or 4] uint8 picture to RGB uint8 [H, W, 3].

    Raises PortraitError for any other array, or one of more than 100 million pixels.
    """
    array = np.asarray(picture)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    known = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not known or array.size == 0:
        raise PortraitError(
            f"a portrait must be uint8, gray [H, W], RGB or RGBA [H, W, 3 or 4], "
            f"not {array.dtype} {list(array.shape)}"
        )
    if array.shape[0] * array.shape[1] > media.MOST_PIXELS:
        raise PortraitError(
            f"the portrait has {array.shape[1]}x{array.shape[0]} pixels, more than "
            f"{media.MOST_PIXELS // 10**6} million: shrink it, 2000 pixels in height are enough"
        )
    return np.ascontiguousarray(media.to_rgb(np.asarray(array, np.uint8)))


def frame_picture(
    image: Image, tracker: FaceTracker, size: tuple[int, int], whole: bool = False
) -> FramedFace:
    """Crops an RGB picture around its one face, to ``size`` (width, height).

    ``whole`` keeps as much of the picture as fits the shape of the frame. Raises PortraitError if
    there is no face or there are several, or if the face is too small, rotated, in profile, cut off
    by the frame, with closed eyes, or without visible eyes and lips.
    """
    image = limit_size(image)
    found = _one_face(image, tracker)
    warnings = _check_face(image, found)
    crop = crop_around(image.shape[1], image.shape[0], found.landmarks, size, whole)
    framed = resample_crop(image, crop, size)
    # Detects again: the face is larger in the frame, so its lids and lips are more accurate.
    again = max(_faces(framed, tracker), key=_height, default=None)
    if again is None or not _shows(size, again):
        raise PortraitError(
            f"the face does not fit in a frame of {size[0]}x{size[1]}: choose width and height "
            "that are closer to each other, or a picture with more space around the face"
        )
    return FramedFace(framed, again, warnings)


def _shows(size: tuple[int, int], face: Face) -> bool:
    """Returns whether eyes and mouth are inside the frame."""
    drawn = face.landmarks[list(_MUST_SHOW), :2]
    return bool((drawn >= 0).all() and (drawn < size).all())


def limit_size(image: Image) -> Image:
    """Shrinks a picture if its longer side exceeds ``_SEARCH_SIDE``."""
    shrink = _SEARCH_SIDE / max(image.shape[:2])
    if shrink >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA))


def _faces(image: Image, tracker: FaceTracker) -> list[Face]:
    height, width = image.shape[:2]
    return list(tracker.detect(Frame(image, 0.0, Camera.assume(width, height))))


def _one_face(image: Image, tracker: FaceTracker) -> Face:
    found = _faces(image, tracker)
    if not found:
        raise PortraitError(
            "no face in the portrait: use a picture of one face from the front, with open eyes and "
            "nothing that covers it"
        )
    if len(found) > 1:
        raise PortraitError(
            f"{len(found)} faces in the portrait, not one: cut the picture to the face that is to "
            "speak"
        )
    (face,) = found
    return face


def _check_face(image: Image, face: Face) -> tuple[str, ...]:
    """Returns what will not look right when the face is animated, in words.

    Raises PortraitError if the face cannot be animated.
    """
    if _height(face) < _MIN_FACE:
        raise PortraitError(
            f"the face in the portrait is {_height(face):.0f} pixels high, less than {_MIN_FACE}: "
            "use a larger picture, or one taken from closer"
        )
    if abs(_roll(face)) > _MOST_TURNED:
        raise PortraitError(
            f"the face in the portrait is rotated by {np.degrees(_roll(face)):.0f} degrees: rotate "
            "the picture upright"
        )
    warnings = []
    camera = faces.plausible_camera(Camera.assume(*image.shape[1::-1]), [face])
    (face,) = faces.recompute_for_camera(camera, [face])
    head = faces.landmark_yaw_pitch(face.pose) if face.pose is not None else (0.0, 0.0)
    turned = max(map(abs, head))
    if turned > _TURNED:
        text = f"the head in the portrait is turned by {np.degrees(turned):.0f} degrees: "
        if turned > _PROFILE:
            raise PortraitError(f"{text}use a picture from the front")
        warnings.append(f"{text}eyes and mouth look wrong on its far side; use one from the front")
    seen = face.left_eye_visibility, face.right_eye_visibility
    if min(seen) < _HIDDEN_EYE or max(seen) < _HIDDEN_EYES:
        raise PortraitError(
            "an eye of the face in the portrait is not visible, and could neither blink nor look: "
            "use a picture whose eyes are not covered by dark glasses, a patch, a hand or hair"
        )
    openness = (face.left_eye_openness + face.right_eye_openness) / 2
    if openness < _CLOSED:
        raise PortraitError(
            "the eyes of the face in the portrait are closed, and could neither blink nor look: "
            "use a picture with open eyes"
        )
    if openness < _NEARLY_CLOSED:
        warnings.append(
            "the eyes in the portrait are nearly closed, so that a look is hardly seen; use a "
            "picture with open eyes"
        )
    if not lips_visible(image, face):
        raise PortraitError(
            "the lips of the face in the portrait are not visible: use a picture whose mouth is "
            "not covered by a mask, a hand or hair"
        )
    return tuple(warnings)


def _roll(face: Face) -> float:
    """Returns the angle of the line between the eyes, radians, clockwise in the image."""
    dx, dy = (
        face.landmarks[faces.LEFT_OUTER_CANTHUS, :2] - face.landmarks[faces.RIGHT_OUTER_CANTHUS, :2]
    )
    return float(np.arctan2(dy, dx))


def _height(face: Face) -> float:
    return float(np.ptp(face.landmarks[:, :2], axis=0).max())


def crop_around(
    width: int, height: int, landmarks: FloatArray, size: tuple[int, int], whole: bool
) -> tuple[float, float, float, float]:
    """Returns the part of a picture to keep, inside the picture: x, y, width and height, pixels.

    - ``width``, ``height``: of the picture; ``landmarks`` [478, 3]: of its face.
    - ``size``: width and height of the frame; ``whole``: keep as much of the picture as fits.
    """
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    aspect = size[0] / size[1]
    largest = min(height, width / aspect)
    wanted = max(float(high[1] - low[1]) / _FACE_SHARE, size[1] / _MAX_ENLARGED)
    tall = largest if whole else min(largest, wanted)
    wide = tall * aspect
    eyes = landmarks[[faces.LEFT_OUTER_CANTHUS, faces.RIGHT_OUTER_CANTHUS], 1].mean()
    x, y = (low[0] + high[0]) / 2 - wide / 2, eyes - _EYES_AT * tall
    return (
        float(np.clip(x, 0, width - wide)),
        float(np.clip(y, 0, height - tall)),
        wide,
        tall,
    )


def resample_crop(
    image: Image, crop: tuple[float, float, float, float], size: tuple[int, int]
) -> Image:
    """Resamples a part of a picture, as from ``crop_around``, to ``size`` (width, height)."""
    x, y, wide, _ = crop
    scale = wide / size[0]
    if scale > 1.5:  # shrinking with bicubic sampling would alias
        step = 1 / scale
        image = cv2.resize(image, None, fx=step, fy=step, interpolation=cv2.INTER_AREA)
        x, y, scale = x * step, y * step, 1.0
    # Pixel centres have integer coordinates: the first pixel of the frame covers ``scale`` pixels
    # of the picture, from x on.
    centre = (scale - 1) / 2
    to_image = np.array([[scale, 0, x + centre], [0, scale, y + centre]])
    return np.asarray(
        cv2.warpAffine(
            image,
            to_image,
            size,
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )
