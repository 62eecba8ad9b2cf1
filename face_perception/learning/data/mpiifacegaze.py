"""Converts the published MPIIFaceGaze (Zhang et al., 2017) to the layout of ``dataset``.

It is an example for converters of other data sets. Source of the columns: the readme of the data
set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from face_perception import faces
from face_perception.errors import InputError, one_line
from face_perception.faces import FaceTracker
from face_perception.files import read_regular
from face_perception.gaze import CropsUnavailable, GazeCrops, make_gaze_crops, to_normalized_angles
from face_perception.learning.data.dataset import DatasetError, Writer, read_image
from face_perception.learning.data.matlab_file import read_matlab_arrays
from face_perception.outside_files import one_error
from face_perception.types import Camera, Face, FloatArray, Frame, Image

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


def convert(
    source: Path,
    out: Path,
    *,
    tracker: FaceTracker,
    test: Sequence[str] = (),
    every: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> Counter[str]:
    """Writes the data set in the folder ``source`` (unpacked: p00 to p14) to the folder ``out``.

    Returns the number of samples ``written``, and the numbers of those left out, by reason. Crops
    are those of GEDDnet, at the landmarks that ``tracker`` finds. Gaze starts between the eyes; the
    published gaze starts at the middle of the face, which makes 2 to 3 degrees of difference in
    pitch. ``test`` are the people of the split ``test``; by default it has the last fifth of the
    people, and ``validation`` the tenth before. Every ``every``-th photograph of a person is used.
    Raises DatasetError that names a missing or invalid file and what was expected in it.
    """
    if every < 1:
        raise InputError(f"every must be at least 1, not {every}")
    people = sorted(folder.name for folder in source.glob("p[0-9][0-9]") if folder.is_dir())
    if not people:
        raise DatasetError(
            f"{source} has no folder p00: give the folder of the unpacked MPIIFaceGaze"
        )
    unknown = sorted(set(test) - set(people))
    if unknown:
        raise DatasetError(f"{source} has no {', '.join(unknown)} to test on: {', '.join(people)}")
    counts: Counter[str] = Counter()
    about = {
        "name": "MPIIFaceGaze",
        "licence": "CC BY-NC-SA 4.0",
        "made_by": "face_perception.learning.data.mpiifacegaze of the published data set",
    }
    with Writer(out, **about) as writer:
        for number, person in enumerate(people):
            split = _split(person, (number + 0.5) / len(people), test)
            matrix, distortion = read_camera(source / person / _CAMERA)
            table = source / person / f"{person}.txt"
            for annotation in islice(read_annotations(table), 0, None, every):
                file = source / person / annotation.image
                image = read_image(file, f"{annotation.where} names it as a photograph")
                camera = _camera(image, matrix, distortion)
                eyes = between_the_eyes(annotation, camera)
                try:
                    crops, facing = _crops_and_head(image, camera, annotation, tracker)
                except CropsUnavailable as error:
                    counts[str(error)] += 1
                    continue
                yaw, pitch = to_normalized_angles(crops.rotation, _unit(annotation.target - eyes))
                head_yaw, head_pitch = to_normalized_angles(crops.rotation, facing)
                writer.add(
                    {
                        "file": crops.face,
                        "left_eye": crops.left_eye,
                        "right_eye": crops.right_eye,
                    },
                    subject=person,
                    split=split,
                    gaze_pitch=pitch,
                    gaze_yaw=yaw,
                    head_pitch=head_pitch,
                    head_yaw=head_yaw,
                    distance=float(np.linalg.norm(eyes)),
                    photograph=f"{person}/{annotation.image}",
                )
                counts["written"] += 1
            report(f"{person} ({split}): {counts['written']} samples so far")
    return counts


def _split(person: str, share: float, test: Sequence[str]) -> str:
    if test:
        return "test" if person in test else "train"
    return "train" if share < 0.7 else "validation" if share < 0.8 else "test"


def read_annotations(path: Path) -> Iterator[Annotation]:
    """Yields the annotations of one person. Raises DatasetError that names the file and line."""
    if not path.is_file():
        raise DatasetError(
            f"{path} is missing: a file with a line for each photograph was expected ({COLUMNS})"
        )
    with one_error(f"annotations {path}", "copy the file again", DatasetError):
        lines = read_regular(path).decode(errors="replace").splitlines()
    for number, line in enumerate(lines):
        fields = line.split()
        if not fields:
            continue
        where = f"{path}:{number + 1}"
        if len(fields) != _COUNT:
            raise DatasetError(f"{where}: {len(fields)} columns; {_COUNT} were expected: {COLUMNS}")
        try:
            values = np.array([float(field) for field in fields[1:-1]])
        except ValueError as error:
            raise DatasetError(
                f"{where}: {one_line(error)}; numbers were expected: {COLUMNS}"
            ) from error
        middle = values[_MIDDLE]
        if not np.isfinite(values).all() or not _NEAR < middle[2] < _FAR:
            raise DatasetError(
                f"{where}: the middle of the face is at {middle.tolist()}; finite millimetres, "
                f"{_NEAR:g} to {_FAR:g} before the camera, were expected"
            )
        yield Annotation(
            image=fields[0],
            corners=values[_CORNERS].reshape(6, 2),
            turn=values[_TURN],
            middle=middle / 1000,
            target=values[_TARGET] / 1000,
            where=where,
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
    """Returns the crops and the head direction of the annotated face. Raises CropsUnavailable."""
    at, size = annotation.corners.mean(0), float(np.ptp(annotation.corners[:, 0]))

    def apart(face: Face) -> float:
        return float(np.linalg.norm(face.landmarks[:, :2].mean(0) - at))

    found = [face for face in tracker.detect(Frame(image, 0.0, camera)) if apart(face) < size]
    if not found:
        raise CropsUnavailable("no face was found where it is annotated")
    turn, _ = cv2.Rodrigues(annotation.turn)
    return make_gaze_crops(image, camera, min(found, key=apart)), -np.asarray(turn, np.float64)[
        :, 2
    ]


def _unit(vector: FloatArray) -> FloatArray:
    unit: FloatArray = vector / np.linalg.norm(vector)
    return unit
