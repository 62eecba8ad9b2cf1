"""Converts rendered people (``learning.synthesis.rendered``) to the layout of ``dataset``.

The crops and the measures of landmarks are those that the gaze networks get at run time, made from
what the face tracker finds in each picture.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from face_perception import geometry
from face_perception.faces import FaceTracker
from face_perception.gaze import (
    GAZE_MEASURES,
    CropsUnavailable,
    make_gaze_crops,
    measure_gaze,
    to_normalized_angles,
)
from face_perception.learning.data.dataset import Writer, read_image
from face_perception.learning.data.labelled_pictures import MARGIN, with_border
from face_perception.learning.synthesis.rendered.dataset import read_settings, read_truths
from face_perception.types import Camera, Face, FloatArray, Frame, Image


def convert(
    source: Path,
    out: Path,
    *,
    tracker: FaceTracker,
    report: Callable[[str], None] = lambda line: None,
) -> Counter[str]:
    """Writes the rendered people in the folder ``source`` to the new folder ``out``.

    Returns the number of samples ``written``, and the numbers of those left out, by reason. Of
    every ten people, eight are in the split ``train``, one in ``validation`` and one in ``test``.
    Raises InputError if ``source`` has no rendered people, and DatasetError for a picture that is
    missing or damaged.
    """
    settings = read_settings(source)
    counts: Counter[str] = Counter()
    about = {
        "name": "rendered people",
        "licence": "CC0 1.0",
        "made_by": f"face_perception.learning.synthesis.rendered, seed {settings.seed}",
    }
    with Writer(out, **about) as writer:
        for number, truth in enumerate(read_truths(source)):
            try:
                images, labels = _sample(source, truth, tracker)
            except CropsUnavailable as error:
                counts[str(error)] += 1
                continue
            subject = str(truth["person"]["seed"])
            split = {8: "validation", 9: "test"}.get(int(subject) % 10, "train")
            writer.add(images, subject=subject, split=split, rendered=truth["file"], **labels)
            counts["written"] += 1
            if number % 500 == 499:
                report(f"{number + 1} pictures: {counts['written']} samples so far")
    return counts


def _sample(
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
    small = read_image(path, "a rendered picture was expected")
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
    """Yaw and pitch of gaze or head in the normalized camera, radians."""
    yaw, pitch = (math.radians(truth[f"{what}_{axis}_deg"]) for axis in ("yaw", "pitch"))
    return to_normalized_angles(rotation, geometry.from_yaw_pitch(yaw, pitch))
