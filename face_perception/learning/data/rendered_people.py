"""Converts rendered people (``learning.synthesis.rendered``) to the layout of ``dataset``.

For ``small_gaze``, the crops and the measures of landmarks are those that the gaze node makes of
what the face tracker finds in each picture. For ``small_action_units``, the truth says where the
face is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from face_perception import geometry
from face_perception.errors import InputError
from face_perception.faces import CROP_SIDE, FaceTracker
from face_perception.gaze import (
    GAZE_MEASURES,
    CropsUnavailable,
    make_gaze_crops,
    measure_gaze,
    to_normalized_angles,
)
from face_perception.learning.data.dataset import DatasetError, Writer, read_image
from face_perception.learning.data.labelled_pictures import MARGIN, with_border
from face_perception.learning.synthesis.rendered.dataset import read_settings, read_truths
from face_perception.learning.synthesis.rendered.expression import action_units
from face_perception.outside_files import one_error
from face_perception.types import Camera, Face, FloatArray, Frame, Image

_EXPECTED = "a rendered picture was expected"
_AGAIN = "render the person again"

# Scale of ``crop_face`` on a face whose eyes are as far apart as most people's.
_PIXELS_PER_METRE, _EYES_APART = 700.0, 0.063
# Logarithm of a factor of the size, and place of the eyes' midpoint relative to the crop's middle
# (pixels), each a polynomial of the head's yaw and pitch to the line of sight (radians): 1, yaw,
# pitch, yaw^2, pitch^2, yaw * pitch.
_ALIGNED = np.array(
    [
        [0.051, -0.016, -0.098, -0.236, -0.272, -0.099],
        [-0.568, 4.005, -0.563, 3.276, 7.524, -8.746],
        [-29.838, 0.064, 1.229, 4.949, 2.742, 3.538],
    ]
)


def convert(
    sources: Sequence[Path],
    out: Path,
    *,
    tracker: FaceTracker,
    recipe: str = "small_gaze",
    report: Callable[[str], None] = lambda line: None,
) -> Counter[str]:
    """Writes the rendered people in the folders ``sources`` to the new folder ``out``.

    ``recipe`` says which labels and crops are written: ``small_gaze`` or ``small_action_units``.
    Returns the number of samples ``written``, and the numbers of those left out, by reason. Of
    every ten people, eight are in the split ``train``, one in ``validation`` and one in ``test``.
    Raises InputError if a source has no rendered people, or two have the same seed, and
    DatasetError for a picture that is missing or damaged.
    """
    seeds = [read_settings(source).seed for source in sources]
    if len(set(seeds)) < len(seeds):
        raise InputError(
            f"{', '.join(map(str, sources))} have the same people: render with another --seed"
        )
    sample = {"small_gaze": _gaze_sample, "small_action_units": _action_unit_sample}[recipe]
    counts: Counter[str] = Counter()
    about = {
        "name": "rendered people",
        "licence": "CC0 1.0",
        "made_by": "face_perception.learning.synthesis.rendered, seed "
        + " and ".join(map(str, seeds)),
    }
    pictures = ((source, truth) for source in sources for truth in read_truths(source))
    with Writer(out, **about) as writer:
        for number, (source, truth) in enumerate(pictures):
            with one_error(f"the truth of {source / truth['file']}", _AGAIN, DatasetError):
                subject = str(truth["person"]["seed"])
                split = {8: "validation", 9: "test"}.get(int(subject) % 10, "train")
                try:
                    images, labels = sample(source, truth, tracker)
                except CropsUnavailable as error:
                    counts[str(error)] += 1
                    continue
            writer.add(images, subject=subject, split=split, rendered=truth["file"], **labels)
            counts["written"] += 1
            if number % 500 == 499:
                report(f"{number + 1} pictures: {counts['written']} samples so far")
    return counts


def _action_unit_sample(
    source: Path, truth: dict[str, Any], _: FaceTracker
) -> tuple[dict[str, Image], dict[str, float]]:
    """Returns the aligned crop and the intensities of a picture."""
    image = read_image(source / truth["file"], _EXPECTED)
    shown = truth["action_units"]
    labels = {f"au_{code}": float(shown.get(str(code), 0.0)) for code in action_units({})}
    crop = cv2.warpAffine(
        image, _alignment(truth), (CROP_SIDE, CROP_SIDE), borderMode=cv2.BORDER_REPLICATE
    )
    return {"file": np.asarray(crop, np.uint8)}, labels


def _alignment(truth: dict[str, Any]) -> FloatArray:
    """Returns the similarity [2, 3] from a picture to its crop, about as ``crop_face`` places it.

    It follows from the truth, because to find a face takes 50 times as long. On 95 faces that the
    tracker found (seed 12), its crops differ by 3 % in size, and by 0.6 and 1.1 pixels to the right
    and down (standard deviations).
    """
    left, right = np.array(truth["eye_centres"])
    middle, focal = (left + right) / 2, truth["camera"]["fx"]
    yaw = math.radians(truth["head_yaw_deg"]) + math.atan2(middle[0], middle[2])
    pitch = math.radians(truth["head_pitch_deg"]) + math.atan2(-middle[1], middle[2])
    turned = np.array([1.0, yaw, pitch, yaw * yaw, pitch * pitch, yaw * pitch])
    size, across, down = _ALIGNED @ turned
    metre = _PIXELS_PER_METRE * _EYES_APART / float(np.linalg.norm(left - right))
    scale = metre * middle[2] / focal * math.exp(size)
    roll = -math.radians(truth["head_roll_deg"])
    linear = scale * np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    about = truth["camera"]
    eyes = focal * middle[:2] / middle[2] + [about["cx"], about["cy"]]
    place = np.array([across, down]) + (CROP_SIDE - 1) / 2
    return np.column_stack([linear, place - linear @ eyes])


def _gaze_sample(
    source: Path, truth: dict[str, Any], tracker: FaceTracker
) -> tuple[dict[str, Image], dict[str, float]]:
    """Returns crops and labels of a picture. Raises CropsUnavailable."""
    image, camera = _picture(source / truth["file"], truth["camera"])
    x0, y0, x1, y1 = truth["face_box"]
    border = image.shape[0] - truth["camera"]["height"]
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2]) + border / 2
    faces = tracker.detect(Frame(image, 0.0, camera))
    face = min(faces, key=lambda face: _away(face, middle), default=None)
    if face is None or _away(face, middle) > (x1 - x0) / 2:
        raise CropsUnavailable("no face was found where it is")
    made = make_gaze_crops(image, camera, face)
    measures = measure_gaze(camera, face, made.rotation)
    if not np.isfinite(measures).all():
        raise CropsUnavailable("its eyes are hidden")
    yaw, pitch = _angles(made.rotation, truth, "gaze")
    head_yaw, head_pitch = _angles(made.rotation, truth, "head")
    labels = dict(zip(GAZE_MEASURES, measures.tolist(), strict=True))
    labels |= {
        "gaze_pitch": pitch, "gaze_yaw": yaw, "head_pitch": head_pitch, "head_yaw": head_yaw,
        "distance": float(np.linalg.norm(truth["eyes"])),
    }  # fmt: skip
    crops = {"file": made.face, "left_eye": made.left_eye, "right_eye": made.right_eye}
    return crops, labels


def _picture(path: Path, about: dict[str, float]) -> tuple[Image, Camera]:
    """Returns a picture with a margin that repeats its border, and its camera."""
    small = read_image(path, _EXPECTED)
    border = round(MARGIN * small.shape[0])
    image = with_border(small, border)
    height, width = image.shape[:2]
    camera = Camera(
        width, height, about["fx"], about["fy"], about["cx"] + border, about["cy"] + border
    )
    return image, camera


def _away(face: Face, point: FloatArray) -> float:
    return float(np.linalg.norm(face.landmarks[:, :2].mean(0) - point))


def _angles(rotation: FloatArray, truth: dict[str, Any], what: str) -> tuple[float, float]:
    """Returns yaw and pitch of gaze or head in the normalized camera, radians."""
    yaw, pitch = (math.radians(truth[f"{what}_{axis}_deg"]) for axis in ("yaw", "pitch"))
    return to_normalized_angles(rotation, geometry.from_yaw_pitch(yaw, pitch))
