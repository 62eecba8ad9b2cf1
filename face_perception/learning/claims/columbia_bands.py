"""Reads grey bands of both eyes of the Columbia Gaze Data Set (Smith et al., UIST 2013).

A public collection has one band for each picture of the set, 300 pixels wide and about 140 high, in
folders named after directions. The file names are those of the set: 0001_2m_-15P_10V_-5H.jpg is
person, distance, head yaw, and direction of the gaze up (V) and to the image's right (H), degrees;
(0, 0) is a look into the lens.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.learning.data.dataset import DatasetError, read_image
from face_perception.learning.geddnet.network import EYE_SIZE
from face_perception.learning.synthesis.gaze_crops import GazeFaces
from face_perception.types import Image

_NAME = re.compile(
    r"(?P<person>\d{4})_2m_(?P<head>-?\d+)P_(?P<up>-?\d+)V_(?P<side>-?\d+)H\.jpe?g", re.IGNORECASE
)
_WANTED = (
    "expected pictures such as center/0001_2m_-15P_0V_-5H.jpg, grey bands of both eyes, in one "
    "folder for each direction"
)


Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Bands:
    """Eyes of all pictures, and what the names say.

    ``faces`` has no faces; its gaze is the direction of the target, radians. ``target`` [N] numbers
    the targets, ``targets`` [T, 2] has their pitch and yaw in degrees. ``head_deg`` [N] is the yaw
    of the head. ``names`` are those of the people, by number. ``digest`` identifies the pictures.
    """

    faces: GazeFaces
    target: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    head_deg: npt.NDArray[np.int64]
    names: tuple[str, ...]
    digest: str

    @property
    def contact(self) -> npt.NDArray[np.int64]:
        """Returns 1 for each look into the lens, else 0, [N]."""
        return (self.targets[self.target] == 0).all(1).astype(np.int64)


def read_bands(folder: Path) -> Bands:
    """Reads all pictures of ``folder`` and its folders.

    Raises DatasetError if there are none, if a name or a picture is odd, if a picture comes twice,
    if a person has no picture of a target that others have, or if nobody looks into the lens.

    It also raises DatasetError if a picture is in ``folder`` itself: in the public collection these
    have the answer printed into the picture (its folder ``benchmark``), which a network would read.
    """
    files = sorted(folder.glob("**/*.[jJ][pP]*[gG]"), key=lambda file: file.name)
    if not files:
        raise DatasetError(f"{folder} has no pictures: {_WANTED}")
    seen: dict[str, Path] = {}
    pictures, labels = [], []
    digest = hashlib.sha256()
    for file in files:
        found = _NAME.fullmatch(file.name)
        if found is None:
            raise DatasetError(f"{file} has another name: {_WANTED}")
        if file.parent == folder or file.parent.name == "benchmark":
            raise DatasetError(
                f"{file} is in no folder of a direction: {_WANTED}. Pictures of a folder benchmark "
                "have the direction printed into them; use the folder dataset"
            )
        if file.name in seen:
            raise DatasetError(f"{file} is there twice, also as {seen[file.name]}: remove one")
        seen[file.name] = file
        digest.update(file.name.encode() + file.read_bytes())
        pictures.append(_eyes(read_image(file, "a grey band of both eyes was expected"), file))
        labels.append((found["person"], *(int(found[key]) for key in ("head", "up", "side"))))
    names, person = np.unique([one[0] for one in labels], return_inverse=True)
    angles = np.array([one[1:] for one in labels], np.int64)
    targets, target = np.unique(angles[:, 1:], axis=0, return_inverse=True)
    _check_targets(folder, names, person, targets, target.reshape(-1))
    gaze = np.radians(angles[:, 1:].astype(np.float64))
    count = len(files)
    faces = GazeFaces(
        face=np.zeros((count, 1, 1), np.uint8),
        left_eye=np.stack([one[0] for one in pictures]),
        right_eye=np.stack([one[1] for one in pictures]),
        gaze=gaze,
        head=np.stack([np.zeros(count), np.radians(angles[:, 0].astype(np.float64))], 1),
        person=person.astype(np.int64),
        kappa=np.full((count, 2), math.nan),
    )
    return Bands(
        faces,
        target.reshape(-1).astype(np.int64),
        targets,
        angles[:, 0],
        tuple(names.tolist()),
        digest.hexdigest(),
    )


def _check_targets(
    folder: Path, names: Array, person: Array, targets: Array, target: Array
) -> None:
    """Raises DatasetError if a figure of a person could not be measured."""
    if not (targets == 0).all(1).any() or len(targets) < 2:
        raise DatasetError(
            f"{folder} needs pictures of looks into the lens (0V_0H) and of others: {_WANTED}"
        )
    seen = np.zeros((len(names), len(targets)), bool)
    seen[person, target] = True
    if not seen.all():
        row, column = np.argwhere(~seen)[0]
        up, side = targets[column]
        raise DatasetError(
            f"{folder} has not all targets of all people, such as {up}V_{side}H of person "
            f"{names[row]}: add these pictures, or remove the person or the target"
        )


def _eyes(image: Image, file: Path) -> tuple[Image, Image]:
    """Returns the left and the right eye of the person: each half of the band, equalised.

    A half has the shape of EYE_SIZE: as wide as half of the band, and from the middle of its
    height.
    """
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = gray.shape
    half = width // 2
    tall = half * EYE_SIZE[0] // EYE_SIZE[1]
    if not tall or height < tall or height > width:
        raise DatasetError(
            f"{file} has {width}x{height} pixels: a band of both eyes is wider than high, and at "
            f"least {tall} high"
        )
    top = (height - tall) // 2
    band = gray[top : top + tall]
    right, left = (
        cv2.equalizeHist(cv2.resize(part, (EYE_SIZE[1], EYE_SIZE[0]), interpolation=cv2.INTER_AREA))
        for part in (band[:, :half], band[:, width - half :])
    )
    return left, right
