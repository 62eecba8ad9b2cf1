"""Prepares an ``Avatar`` from a picture or clip of one face: boxes, masks and latents.

Boxes and masks come from the 478 landmarks, which replace the pose network and the segmentation
network of the published code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.avatar.musetalk.avatar_file import VERSIONS, Avatar
from face_perception.avatar.musetalk.blending import Box, crop_box, soft_mask
from face_perception.avatar.musetalk.face_box import (
    MARGIN,
    NO_FACE,
    cut_face,
    encoder_images,
    mesh_box,
)
from face_perception.avatar.musetalk.face_parsing import parts_from_mesh, talking_area
from face_perception.avatar.portrait.idle_motion import IdleMotionAnimator
from face_perception.avatar.portrait.lip_visibility import lips_visible
from face_perception.avatar.portrait.portrait_renderer import PortraitRenderer
from face_perception.avatar.portrait.source_picture import (
    PortraitError,
    crop_around,
    limit_size,
    resample_crop,
)
from face_perception.errors import InputError
from face_perception.faces import FaceTracker, load_tracker
from face_perception.speech import REST
from face_perception.types import Camera, Face, FloatArray, Frame, Image

FPS = 25.0  # pictures per second
MAX_PICTURES = 1500  # a minute; 1.2 GB at 512 x 512

# Called with what is being done, and the share in [0, 1] that is done.
Progress = Callable[[str, float], None]


class LatentEncoder(Protocol):
    """A ``FaceEncoder`` or ``MuseTalk``."""

    def encode(self, images: Image) -> FloatArray: ...


def idle_pictures(portrait: PortraitRenderer, seconds: float, *, seed: int = 0) -> Iterator[Image]:
    """Yields ``seconds`` of a portrait with idle motion and a closed mouth, RGB uint8 [H, W, 3]."""
    animator = IdleMotionAnimator(seed)
    for k in range(max(1, round(seconds * FPS))):
        yield portrait.render(animator.state_at(k / FPS, REST, False))


def framed_pictures(
    pictures: Iterable[Image], *, size: tuple[int, int] = (512, 512), whole: bool = False
) -> Iterator[Image]:
    """Yields the pictures of a clip, all cropped in the same way to ``size`` (width, height).

    The crop is around the face in the first picture that has one; pictures before it are left out.
    ``whole`` keeps as much of the picture as fits the shape of the frame.
    """
    tracker = load_tracker()
    crop: tuple[float, float, float, float] | None = None
    for picture in pictures:
        small = limit_size(picture)
        if crop is None:
            face = followed_face(tracker, small, None)
            if face is None:
                continue
            crop = crop_around(small.shape[1], small.shape[0], face.landmarks, size, whole)
        yield resample_crop(small, crop, size)


def prepare_avatar(
    pictures: Iterable[Image],
    encoder: LatentEncoder,
    *,
    source: str,
    autoencoder: str = "",
    version: str = VERSIONS[0],
    shift: int = 0,
    margin: int | None = None,
    fps: float = FPS,
    expected: int = 0,
    tracker: FaceTracker | None = None,
    progress: Progress | None = None,
) -> Avatar:
    """Prepares an avatar from RGB uint8 pictures [H, W, 3] of one size.

    - ``encoder``: makes the latents; ``autoencoder`` is the hash of its weights.
    - ``source``: name of the picture or clip; ``fps``: pictures per second.
    - ``version``: MuseTalk "1.5" extends the box ``margin`` pixels (10) below the chin and replaces
      the jaw; "1.0" has no margin and replaces skin and mouth.
    - ``shift``: pixels by which the middle of the box is moved down, for "1.0" only.
    - ``expected``: the number of pictures to come, for ``progress``.

    Leaves out pictures without a face or without visible lips. Of several faces it follows the
    largest.

    Raises PortraitError if no picture has a usable face or there are more than ``MAX_PICTURES``,
    and InputError for an unknown version or a shift in 1.5.
    """
    if version not in VERSIONS:
        raise InputError(f"there is no MuseTalk {version!r}: use one of {', '.join(VERSIONS)}")
    newer = version == VERSIONS[0]
    if newer and shift:
        raise InputError(
            "MuseTalk 1.5 has no shift of the face box: leave shift at 0, or use version 1.0"
        )
    below = (MARGIN if newer else 0) if margin is None else margin
    tracker = tracker or load_tracker()
    kept: list[Image] = []
    boxes: list[Box] = []
    masks: list[Image] = []
    latents: list[FloatArray] = []
    landmarks: npt.NDArray[np.floating] | None = None
    for number, picture in enumerate(pictures):
        if progress is not None and expected:
            progress(f"picture {number + 1}", min(number / expected, 1.0))
        if len(kept) == MAX_PICTURES:
            raise PortraitError(
                f"{source} has more than {MAX_PICTURES} pictures: shorten the clip, ten seconds "
                "are enough"
            )
        face = followed_face(tracker, picture, landmarks)
        if face is None or not lips_visible(picture, face):
            continue
        landmarks = face.landmarks
        box = mesh_box(landmarks, picture.shape[0], shift=shift, margin=below)
        if box == NO_FACE:
            continue
        crop = crop_box(box)
        area = talking_area(parts_from_mesh(landmarks, crop), "jaw" if newer else "raw")
        whole = cut_face(picture, box)
        found = encoder.encode(encoder_images(whole))
        kept.append(picture)
        boxes.append(box)
        masks.append(soft_mask(area, box, crop))
        latents.append(found.reshape(1, 8, *found.shape[2:]))
    if not kept:
        raise PortraitError(
            f"no face with visible lips in {source}: use a picture or clip of one face, seen from "
            "the front, with open eyes and nothing that covers it"
        )
    if progress is not None:
        progress("done", 1.0)
    return Avatar(
        tuple(kept),
        tuple(boxes),
        tuple(masks),
        np.concatenate(latents).astype(np.float32),
        fps,
        version,
        autoencoder,
        source,
    )


def contact_sheet(avatar: Avatar, columns: int = 4) -> Image:
    """Draws up to ``2 * columns`` pictures of an avatar on one sheet, RGB uint8 [H, W, 3].

    The face box is outlined, and the part that is generated is tinted green.
    """
    width, height = avatar.size
    count = min(columns * 2, len(avatar.pictures))
    chosen = np.linspace(0, len(avatar.pictures) - 1, count).round().astype(int)
    sheet = np.zeros((height * -(-count // columns), width * min(columns, count), 3), np.uint8)
    blenders = avatar.blenders()
    for place, k in enumerate(chosen):
        picture = avatar.pictures[k].copy()
        left, top, right, bottom = avatar.boxes[k]
        green = np.zeros((bottom - top, right - left, 3), np.uint8)
        green[..., 1] = 255
        tinted = blenders[k].blend(picture, green)
        picture = np.asarray(cv2.addWeighted(picture, 0.6, tinted, 0.4, 0))
        cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), (255, 255, 0), 1)
        row, column = divmod(place, columns)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    return sheet


def followed_face(
    tracker: FaceTracker, picture: Image, before: npt.NDArray[np.floating] | None
) -> Face | None:
    """Returns the face closest to the landmarks ``before``, or the largest if they are None."""
    height, width = picture.shape[:2]
    found = tracker.detect(Frame(picture, 0.0, Camera.assume(width, height)))
    if not found:
        return None
    if before is None:
        return max(found, key=lambda face: float(np.ptp(face.landmarks[:, 1])))
    at = before[:, :2].mean(axis=0)
    return min(found, key=lambda face: float(np.hypot(*(face.landmarks[:, :2].mean(0) - at))))
