"""Reads grey bands of both eyes of the Columbia Gaze Data Set (Smith et al., UIST 2013).

A public collection has one band for each picture of the set, 300 pixels wide and about 140 high, in
folders named after directions. The file names are those of the set: 0001_2m_-15P_10V_-5H.jpg is
person, distance, head yaw, and direction of the gaze up (V) and to the image's right (H), degrees;
(0, 0) is a look into the lens.

The borders of a band are not at the same place of each face, so the eyes are not at the same place
of each band. Each band is therefore set into the face of a donor, in which the mesh finds the
corners of the eyes. The crops are then those of every gaze network.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.avatar import read_picture
from face_perception.faces import LEFT_OUTER_CANTHUS, RIGHT_OUTER_CANTHUS, Mesh, load_tracker
from face_perception.gaze import CropsUnavailable, eye_points, make_gaze_crops_from_points
from face_perception.inference import load, sample_photo
from face_perception.learning.claims.donor_face import Donor, camera_of
from face_perception.learning.data.dataset import DatasetError, read_image
from face_perception.learning.processes import results_in_order
from face_perception.learning.synthesis.gaze_crops import GazeFaces
from face_perception.types import FloatArray, Image

_NAME = re.compile(
    r"(?P<person>\d{4})_2m_(?P<head>-?\d+)P_(?P<up>-?\d+)V_(?P<side>-?\d+)H\.jpe?g", re.IGNORECASE
)
_WANTED = (
    "expected pictures such as center/0001_2m_-15P_0V_-5H.jpg, grey bands of both eyes, in one "
    "folder for each direction"
)

Array = npt.NDArray[Any]
_Crops = tuple[Image, Image] | None  # left and right eye; None if no face was found

# Where the outer canthi are in a band, as shares of its width, before they are measured.
_CANTHI = (np.array([0.15, 0.245]), np.array([0.8, 0.235]))
_LEAST_PRESENCE = 0.5  # probability of a face
_AT_A_TIME = 100  # bands that a process cuts before it says so
_LEAST = (32, 64)  # height and width of a band, pixels


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


def read_bands(
    folder: Path,
    *,
    keep: Path | None = None,
    workers: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> Bands:
    """Reads all pictures of ``folder`` and its folders, in ``workers`` processes.

    The eyes are kept in the folder ``keep``, and read from there the next time. A picture in whose
    composite no face is found is counted in the report and left out. This rarely happens, because
    the donor's face is around every band: one without eyes is not noticed. Raises DatasetError if
    there are no pictures, if a name or a picture is odd, if a picture comes twice, if a person has
    no picture of a target that others have, or if nobody looks into the lens.

    It also raises DatasetError if a picture is in ``folder`` itself: in the public collection these
    have the answer printed into the picture (its folder ``benchmark``), which a network would read.
    """
    files = sorted(folder.glob("**/*.[jJ][pP]*[gG]"), key=lambda file: file.name)
    if not files:
        raise DatasetError(f"{folder} has no pictures: {_WANTED}")
    seen: dict[str, Path] = {}
    labels = []
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
        labels.append((found["person"], *(int(found[key]) for key in ("head", "up", "side"))))
    _check_targets(folder, labels)
    kept_file = keep / f"eyes_{digest.hexdigest()[:12]}.npz" if keep else None
    if kept_file is None or not kept_file.exists():
        found_eyes = _all_eyes(files, workers, report)
        if kept_file is not None:
            part = kept_file.with_suffix(".part")
            with part.open("wb") as out:
                left, right, row = (found_eyes[key] for key in ("left", "right", "row"))
                np.savez(out, left=left, right=right, row=row)
            part.rename(kept_file)
    else:
        with np.load(kept_file) as file:
            found_eyes = dict(file)
    rows = found_eyes["row"]
    if len(rows) < len(files):
        report(f"columbia: no face was found in {len(files) - len(rows)} of {len(files)} pictures")
    labels = [labels[row] for row in rows]
    _check_targets(folder, labels)
    names, person = np.unique([one[0] for one in labels], return_inverse=True)
    angles = np.array([one[1:] for one in labels], np.int64)
    targets, target = np.unique(angles[:, 1:], axis=0, return_inverse=True)
    faces = GazeFaces(
        face=np.zeros((len(rows), 1, 1), np.uint8),
        left_eye=found_eyes["left"],
        right_eye=found_eyes["right"],
        gaze=np.radians(angles[:, 1:].astype(np.float64)),
        head=np.stack([np.zeros(len(rows)), np.radians(angles[:, 0].astype(np.float64))], 1),
        person=person.astype(np.int64),
        kappa=np.full((len(rows), 2), math.nan),
    )
    return Bands(
        faces,
        target.reshape(-1).astype(np.int64),
        targets,
        angles[:, 0],
        tuple(names.tolist()),
        digest.hexdigest(),
    )


def _check_targets(folder: Path, labels: Sequence[tuple[Any, ...]]) -> None:
    """Raises DatasetError if a figure of a person could not be measured.

    ``labels`` are person, head yaw, and direction up and to the right, of each picture.
    """
    targets = {(up, side) for _, _, up, side in labels}
    if (0, 0) not in targets or len(targets) < 2:
        raise DatasetError(
            f"{folder} needs pictures of looks into the lens (0V_0H) and of others: {_WANTED}"
        )
    seen = {(person, up, side) for person, _, up, side in labels}
    for person in sorted({person for person, *_ in labels}):
        for up, side in sorted(targets):
            if (person, up, side) not in seen:
                raise DatasetError(
                    f"{folder} has not all targets of all people, such as {up}V_{side}H of person "
                    f"{person}: add these pictures, or remove the person or the target"
                )


def _all_eyes(
    files: Sequence[Path], workers: int, report: Callable[[str], None]
) -> dict[str, Array]:
    """Returns the eyes by ``workers`` processes: ``left`` and ``right`` [M, 64, 96].

    ``row`` [M] are the numbers of their files. Raises DatasetError if no face is found in any.
    """
    parts = [files[k : k + _AT_A_TIME] for k in range(0, len(files), _AT_A_TIME)]
    crops: list[_Crops] = []
    with contextlib.closing(
        results_in_order(_eyes_of, [(part,) for part in parts], workers)
    ) as results:
        for part in results:
            crops += part
            report(f"columbia: eyes of {len(crops)} of {len(files)} pictures cut out")
    rows = [row for row, pair in enumerate(crops) if pair is not None]
    if not rows:
        raise DatasetError(f"no face was found with the eyes of {files[0]}, nor of others")
    left, right = (np.stack([pair[k] for pair in crops if pair is not None]) for k in (0, 1))
    return {"left": left, "right": right, "row": np.array(rows)}


def _eyes_of(files: Sequence[Path]) -> list[_Crops]:
    """Returns the left and the right eye of the person in each file, as gaze networks take them."""
    cv2.setNumThreads(1)
    donor = Donor(read_picture(sample_photo("grace_hopper")), load_tracker(threads=1))
    mesh = Mesh(load("face_mesh", threads=1))
    return [_eyes(_band(file), donor, mesh) for file in files]


def _eyes(band: npt.NDArray[np.float32], donor: Donor, mesh: Mesh) -> _Crops:
    """Returns both eyes, whose corners the mesh finds in composites with the donor's face.

    The first composites are small, which is faster, and only move the band to the donor's eyes.
    """
    right, left = canthi_of(band)
    small = cv2.resize(band, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    for scale, picture in ((0.5, small), (0.5, small), (1.0, band)):
        right, left = ((corner + 0.5) * scale - 0.5 for corner in (right, left))
        image, origin = donor.with_band(picture, right, left)
        found = mesh.find(image, donor.square(right + origin, left + origin))
        if not found.presence > _LEAST_PRESENCE:
            return None
        corners = found.landmarks[[RIGHT_OUTER_CANTHUS, LEFT_OUTER_CANTHUS], :2] - origin
        right, left = (corners.astype(np.float64) + 0.5) / scale - 0.5
    camera = camera_of(image, right + origin, left + origin)
    names = ("left_eye", "right_eye")
    try:
        made = make_gaze_crops_from_points(image, camera, eye_points(found.landmarks), names)
    except CropsUnavailable:
        return None
    return made.left_eye, made.right_eye


def canthi_of(band: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Returns where the outer canthi of a band are about: image left, image right; pixels [2]."""
    width = band.shape[1]
    return _CANTHI[0] * width, _CANTHI[1] * width


def _band(file: Path) -> npt.NDArray[np.float32]:
    image = read_image(file, "a grey band of both eyes was expected")
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = gray.shape
    if height < _LEAST[0] or width < _LEAST[1] or height > width:
        raise DatasetError(
            f"{file} has {width}x{height} pixels: a band of both eyes is wider than high, and at "
            f"least {_LEAST[1]}x{_LEAST[0]}"
        )
    return gray.astype(np.float32)
