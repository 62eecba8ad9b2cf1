"""What a face looks like, coarsely: to tell two people apart who cross, not to know anybody."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.types import Image

FloatArray = npt.NDArray[np.floating]

_LOOK_SIDE = 16


def _oval() -> FloatArray:
    """1 in the face's oval of a look, 0 in its corners, [16, 16, 1]."""
    axis = (np.arange(_LOOK_SIDE) - (_LOOK_SIDE - 1) / 2) / (_LOOK_SIDE / 2)
    return (axis[:, None] ** 2 + axis[None] ** 2 < 1).astype(np.float32)[..., None]


_OVAL = _oval()


def look(patch: Image) -> FloatArray:
    """What a face looks like, for comparing with ``likeness``: float32 [16, 16, 3].

    Colours of the mesh network's input ``patch``, coarsely, freed of brightness and contrast.
    """
    margin = patch.shape[0] // 6  # the face's own box
    inner = patch[margin:-margin, margin:-margin]
    look = cv2.resize(inner, (_LOOK_SIDE, _LOOK_SIDE), interpolation=cv2.INTER_AREA)
    look = look.astype(np.float32) * _OVAL
    look -= look.sum() / (3 * _OVAL.sum()) * _OVAL
    return np.asarray(look / max(float(np.linalg.norm(look)), 1e-6))


def likeness(a: FloatArray, b: FloatArray) -> float:
    """Correlation of two looks, 1 for equal ones."""
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum()) / max(norms, 1e-6)
