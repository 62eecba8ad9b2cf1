"""Converts the published MPIIFaceGaze (Zhang et al., 2017) to the layout of ``dataset``.

Source of the columns: the readme of the data set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from face_perception import faces
from face_perception.faces import FaceTracker
from face_perception.gaze import GazeCrops, make_gaze_crops
from face_perception.learning.data.converting import (
    Conversion,
    ConversionJob,
    every_nth,
    find_face,
    folders_of,
    numbers,
    read_rows,
    splits_of,
)
from face_perception.learning.data.dataset import DatasetError, read_image
from face_perception.learning.data.labelled_gaze import gaze_images, gaze_labels
from face_perception.learning.data.matlab_file import read_matlab_arrays
from face_perception.outside_files import one_error
from face_perception.types import Camera, FloatArray, Image

# Fields of a line of pNN.txt, separated by spaces. Lengths are in millimetres, in the camera's
# optical frame.
COLUMNS = (
    "image; gaze on the screen, 2 pixels; corners of the eyes, 4, and of the mouth, 2, in pixels; "
    "head, 3 of rotation and 3 of translation; middle of the face, 3; what is looked at, 3; "
    "left or right"
)
_COUNT = 28
_CORNERS = slice(2, 14)  # indices of the numbers, without the image
_TURN, _MIDDLE, _TARGET = slice(14, 17), slice(20, 23), slice(23, 26)
_NEAR, _FAR = 100.0, 3000.0  # plausible distances of a face from a laptop, mm
_CAMERA = "Calibration/Camera.mat"


@dataclass(frozen=True, slots=True)
class Annotation:
    """Annotation of one photograph.

    ``corners`` [6, 2] are corners of eyes and mouth, pixels. ``turn`` [3] is the rotation vector of
    a head frame whose z axis points into the head. ``middle`` of the face and ``target`` [3] are in
    metres in the optical frame. ``where`` is the file and line.
    """

    image: str
    corners: FloatArray
    turn: FloatArray
    middle: FloatArray
    target: FloatArray
    where: str


def convert(job: ConversionJob) -> Counter[str]:
    """Writes the data set in the folder ``source`` (unpacked: p00 to p14) to the folder ``out``.

    Crops are those of GEDDnet, at the landmarks that ``tracker`` finds. Gaze starts between the
    eyes; the published gaze starts at the middle of the face, which makes 2 to 3 degrees of
    difference in pitch. ``test`` are the people of the split ``test``; by default it has the last
    fifth of the people, and ``validation`` the tenth before. Every ``every``-th photograph of a
    person is used.
    """
    people = folders_of(job.source, "p[0-9][0-9]", "give the folder of the unpacked MPIIFaceGaze")
    splits = splits_of(people, job.source, job.test)
    with Conversion(
        job.out, job.report, name="MPIIFaceGaze", licence="CC BY-NC-SA 4.0", module=__name__
    ) as made:
        for person, split in splits.items():
            matrix, distortion = read_camera(job.source / person / _CAMERA)
            table = job.source / person / f"{person}.txt"
            for annotation in every_nth(read_annotations(table), job.every):
                file = job.source / person / annotation.image
                image = read_image(file, f"{annotation.where} names it as a photograph")
                camera = _camera(image, matrix, distortion)
                eyes = between_the_eyes(annotation, camera)
                with made.unless_missing():
                    crops, facing = _crops_and_head(image, camera, annotation, job.tracker)
                    made.add(
                        gaze_images(crops),
                        subject=person,
                        split=split,
                        **gaze_labels(crops, annotation.target - eyes, facing),
                        distance=float(np.linalg.norm(eyes)),
                        photograph=f"{person}/{annotation.image}",
                    )
            made.report(f"{person} ({split})")
    return made.counts


def read_annotations(path: Path) -> Iterator[Annotation]:
    """Yields the annotations of one person. Raises DatasetError that names the file and line."""
    for row in read_rows(path, f"a line for each photograph was expected ({COLUMNS})"):
        if len(row.fields) != _COUNT:
            raise DatasetError(
                f"{row.where}: {len(row.fields)} columns; {_COUNT} were expected: {COLUMNS}"
            )
        inner = replace(row, fields=row.fields[1:-1])
        values = numbers(inner, _COUNT - 2, f"numbers were expected: {COLUMNS}")
        middle = values[_MIDDLE]
        if not _NEAR < middle[2] < _FAR:
            raise DatasetError(
                f"{row.where}: the middle of the face is at {middle.tolist()}; finite millimetres, "
                f"{_NEAR:g} to {_FAR:g} before the camera, were expected"
            )
        yield Annotation(
            image=row.fields[0],
            corners=values[_CORNERS].reshape(6, 2),
            turn=values[_TURN],
            middle=middle / 1000,
            target=values[_TARGET] / 1000,
            where=row.where,
        )


def read_camera(path: Path) -> tuple[FloatArray, tuple[float, ...]]:
    """Returns the camera matrix [3, 3] and the distortion coefficients of a file.

    Raises DatasetError that names the file.
    """
    wanted = "cameraMatrix [3, 3] and distCoeffs, 4, 5 or 8 numbers, were expected"
    if not path.is_file():
        raise DatasetError(f"{path} is missing: {wanted}")
    with one_error(f"camera {path}", wanted, DatasetError):
        found = read_matlab_arrays(path)
    missing = [name for name in ("cameraMatrix", "distCoeffs") if name not in found]
    if missing:
        raise DatasetError(f"{path} lacks {' and '.join(missing)}: {wanted}")
    matrix, distortion = np.asarray(found["cameraMatrix"]), np.asarray(found["distCoeffs"]).ravel()
    if matrix.shape != (3, 3) or len(distortion) not in (4, 5, 8):
        raise DatasetError(f"{path} has {list(matrix.shape)} and {len(distortion)}: {wanted}")
    return matrix.astype(np.float64), tuple(float(value) for value in distortion)


def _camera(image: Image, matrix: FloatArray, distortion: tuple[float, ...]) -> Camera:
    height, width = image.shape[:2]
    return Camera(
        width=width,
        height=height,
        fx=float(matrix[0, 0]),
        fy=float(matrix[1, 1]),
        cx=float(matrix[0, 2]),
        cy=float(matrix[1, 2]),
        distortion=distortion,
        distortion_model="plumb_bob" if len(distortion) < 8 else "rational_polynomial",
    )


def between_the_eyes(annotation: Annotation, camera: Camera) -> FloatArray:
    """Returns the point [3] between the eyes, metres, optical frame.

    It is on the ray through the mean of the eyes' corners, at the distance of the middle of the
    face. The published face model would change the distance by about a centimetre, and the gaze by
    less than half a degree. Raises DatasetError if the corners are far from the middle of the face.
    """
    rays = np.c_[faces.undistort_points(camera, annotation.corners), np.ones(6)]
    middle = annotation.middle
    off = _unit(rays.mean(0)) - _unit(middle)
    if np.linalg.norm(off) > np.ptp(rays[:, 0]):
        raise DatasetError(
            f"{annotation.where}: the six points are not where {_CAMERA} sees the middle of the "
            "face: the camera and annotations of one person were expected"
        )
    eyes: FloatArray = _unit(rays[:4].mean(0)) * np.linalg.norm(middle)
    return eyes


def _crops_and_head(
    image: Image, camera: Camera, annotation: Annotation, tracker: FaceTracker
) -> tuple[GazeCrops, FloatArray]:
    """Returns the crops and the head direction of the annotated face.

    Raises FaceMissing or CropsUnavailable.
    """
    at, size = annotation.corners.mean(0), float(np.ptp(annotation.corners[:, 0]))
    face = find_face(tracker, image, camera, at, size)
    turn, _ = cv2.Rodrigues(annotation.turn)
    return make_gaze_crops(image, camera, face), -np.asarray(turn, np.float64)[:, 2]


def _unit(vector: FloatArray) -> FloatArray:
    unit: FloatArray = vector / np.linalg.norm(vector)
    return unit
