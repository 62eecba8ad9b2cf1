"""Turns a face into a template: 128 numbers that are near those of other pictures of the person."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError, one_line
from face_perception.faces import check_crop, fit_similarity
from face_perception.inference import Model, infer_batch
from face_perception.types import Face, FaceCrop, Image

Template = npt.NDArray[np.float32]

RECOGNITION_MODEL = "dlib_face_recognition"
_SIDE = 150  # pixels
# Corners of the left eye (outer, inner), of the right eye, and the base of the nose: our landmarks,
# and dlib's mean positions of its five points (image_transforms/interpolation.h), as shares of the
# box of a face.
_POINTS = (263, 362, 33, 133, 2)
_PLACES = (
    *((0.85957, 0.21350), (0.64606, 0.22897)),
    *((0.12058, 0.21373), (0.33409, 0.22906)),
    (0.49011, 0.62780),
)
_PADDING = 0.25  # on each side, as a share of the box; the network was trained with it
_TARGETS = _SIDE * (_PADDING + np.array(_PLACES)) / (1 + 2 * _PADDING)


class FaceTemplates:
    """Estimates templates with dlib's face recognition network.

    Templates of one ``revision`` can be compared with one another, and with no others.

    >>> from face_perception.inference import load
    >>> model = load("dlib_face_recognition", backend="onnxruntime")  # doctest: +SKIP
    >>> FaceTemplates(model).estimate(crops, faces).shape  # doctest: +SKIP
    (2, 128)
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        source = model.card.source
        weights = model.card.sha256 if source is None else source.sha256
        self.revision = f"{model.name}-{model.card.revision}-{weights[:16]}"

    def estimate(self, crops: Sequence[FaceCrop], faces: Sequence[Face]) -> Template:
        """Returns the templates [N, 128] of faces, each with its crop, in their order.

        Raises InputError as ``align_for_recognition`` does, and inference.ModelError if the network
        fails.
        """
        pictures = [align_for_recognition(c, f) for c, f in zip(crops, faces, strict=True)]
        images = np.array(pictures, np.float32).reshape(-1, _SIDE, _SIDE, 3)
        (found,) = infer_batch(self.model, {"face": images}).values()
        return np.asarray(found, np.float32)


def align_for_recognition(crop: FaceCrop, face: Face) -> Image:
    """Returns the face as the network was trained on it, RGB uint8 [150, 150, 3].

    ``crop`` and ``face`` must come from the same image. Raises InputError if the landmarks of the
    face are not known, and as ``check_crop`` does.
    """
    check_crop(crop)
    points = face.landmarks[list(_POINTS), :2].astype(np.float64)
    inside = points @ crop.transform[:, :2].T + crop.transform[:, 2]
    if not np.isfinite(inside).all():
        raise InputError(
            f"{one_line(face.face_id, 80)} has no landmarks: recognition needs a face tracker that "
            "sends the 478 points of Face.msg"
        )
    transform = fit_similarity(inside, _TARGETS)
    aligned: Image = cv2.warpAffine(crop.image, transform, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR)
    return aligned
