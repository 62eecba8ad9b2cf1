"""Cuts upright, aligned faces out of an image, for networks that take pixels.

The template was made for this package from MediaPipe's canonical face model
(google-ai-edge/mediapipe, modules/face_geometry/data/canonical_face_model.obj, Apache-2.0,
copyright The MediaPipe Authors).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.types import Face, FaceCrop, Image

FloatArray = npt.NDArray[np.floating]

CROP_SIDE = 160
ALIGNED_SIDE = 112

# Landmarks and their positions on the canonical face, cm to the person's left and up: sides of the
# face, nose, canthi and lower lids. Mouth and brows do not move them.
# fmt: off
_TEMPLATE = (
    (127, -7.7431, 2.3650), (234, -7.6642, 0.6731), (93, -7.5422, -1.0493), (58, -6.7197, -4.7886),
    (356, 7.7431, 2.3650), (454, 7.6642, 0.6731), (323, 7.5422, -1.0493), (288, 6.7197, -4.7886),
    (168, 0.0, 3.2710), (197, 0.0, 1.7284), (5, 0.0, 0.3657),
    (98, -1.4056, -1.7142), (2, 0.0, -2.0890), (327, 1.4056, -1.7142),
    (33, -4.4459, 2.6640), (144, -3.6701, 2.3602), (145, -3.1772, 2.2943), (153, -2.7240, 2.3158),
    (133, -1.8564, 2.5852),
    (263, 4.4459, 2.6640), (373, 3.6701, 2.3602), (374, 3.1772, 2.2943), (380, 2.7240, 2.3158),
    (362, 1.8564, 2.5852),
)
# fmt: on
# Framing of the faces that published networks were trained on (OpenFace, -simsize 112): 0.7 pixels
# per millimetre, with the mean of the 68 landmarks of iBUG 300-W in the middle. On the canonical
# face that mean is 1.26 cm below the origin.
_PIXELS_PER_CM = 7.0
_MIDDLE_CM = -1.263

_POINTS = np.array([row[0] for row in _TEMPLATE], np.intp)
_PLACES = np.array(
    [
        (
            (CROP_SIDE - 1) / 2 + _PIXELS_PER_CM * x,
            (CROP_SIDE - 1) / 2 - _PIXELS_PER_CM * (y - _MIDDLE_CM),
        )
        for _, x, y in _TEMPLATE
    ]
)
_AS_COMPLEX = np.array([1, 1j])


def crop_face(image: Image, face: Face) -> FaceCrop:
    """Returns the upright face, 160x160 pixels, cut out of ``image`` (RGB uint8 [H, W, 3]).

    ``face`` must come from the same image. The crop is sampled bilinearly and is black outside the
    image. Its inner 112x112 pixels are the aligned face that ``aligned_face`` returns.
    """
    transform = fit_similarity(face.landmarks[_POINTS, :2].astype(np.float64), _PLACES)
    patch = cv2.warpAffine(
        image, transform, (CROP_SIDE, CROP_SIDE), flags=cv2.INTER_LINEAR, borderValue=(0, 0, 0)
    )
    return FaceCrop(face.face_id, patch, transform, face.person_id)


class UncutCrop(FaceCrop):
    """The crop that ``crop_face`` returns, but cut when its image or transform is first read.

    Readers that look at some crops only do not pay for the others. The crop keeps its ``image``
    until then, which must not change.

    >>> import cv2
    >>> from face_perception.faces import load_tracker
    >>> from face_perception.inference import sample_photo
    >>> from face_perception.types import Camera, Frame
    >>> image = cv2.cvtColor(cv2.imread(str(sample_photo("astronaut"))), cv2.COLOR_BGR2RGB)
    >>> (face,) = load_tracker().detect(Frame(image, 0.0, Camera.assume(512, 512)))
    >>> bool((UncutCrop(image, face).image == crop_face(image, face).image).all())
    True
    """

    __slots__ = ("_crop", "_source")
    _crop: FaceCrop | None
    _source: tuple[Image, Face] | None  # None once the crop is cut

    def __init__(self, image: Image, face: Face) -> None:
        object.__setattr__(self, "face_id", face.face_id)
        object.__setattr__(self, "person_id", face.person_id)
        object.__setattr__(self, "_source", (image, face))
        object.__setattr__(self, "_crop", None)

    @property
    def image(self) -> Image:
        return self._cut().image

    @property
    def transform(self) -> FloatArray:
        return self._cut().transform

    def __reduce__(self) -> tuple[type[FaceCrop], tuple[str, Image, FloatArray, str]]:
        """Copies and pickles the crop, not the image that it is cut from."""
        return FaceCrop, (self.face_id, self.image, self.transform, self.person_id)

    def _cut(self) -> FaceCrop:
        source = self._source
        if source is not None:  # in two threads at once, both cut it, with the same result
            object.__setattr__(self, "_crop", crop_face(*source))
            object.__setattr__(self, "_source", None)
        assert self._crop is not None
        return self._crop


def aligned_face(crop: FaceCrop) -> Image:
    """Returns the inner part of a crop, RGB uint8 [112, 112, 3].

    It is the aligned face that networks trained on OpenFace's output expect. Raises InputError as
    ``check_crop`` does.
    """
    check_crop(crop)
    border = (CROP_SIDE - ALIGNED_SIDE) // 2
    return crop.image[border:-border, border:-border]


def check_crop(crop: FaceCrop) -> None:
    """Raises InputError if a crop is not RGB uint8 [160, 160, 3]."""
    image = crop.image
    if image.shape != (CROP_SIDE, CROP_SIDE, 3) or image.dtype != np.uint8:
        raise InputError(
            f"a face crop must be RGB uint8 [{CROP_SIDE}, {CROP_SIDE}, 3], not {image.dtype} "
            f"{list(image.shape)}: make it with faces.crop_face"
        )


def fit_similarity(source: FloatArray, target: FloatArray) -> FloatArray:
    """Returns the similarity [2, 3] that maps ``source`` [N, 2] closest to ``target`` [N, 2]."""
    # ``mean`` takes three times as long on so few points.
    source_mean = np.add.reduce(source, axis=0) / len(source)
    target_mean = np.add.reduce(target, axis=0) / len(target)
    # With points as complex numbers, rotation and scale are one factor: least squares is a
    # division.
    a = (source - source_mean) @ _AS_COMPLEX
    b = (target - target_mean) @ _AS_COMPLEX
    factor = complex(np.vdot(a, b)) / max(float(np.vdot(a, a).real), 1e-12)
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.concatenate([linear, (target_mean - linear @ source_mean)[:, None]], axis=1)
