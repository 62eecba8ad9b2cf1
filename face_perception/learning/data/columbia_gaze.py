"""Converts the Columbia Gaze Data Set (Smith et al., UIST 2013) to the layout of ``dataset``.

Its pictures are 0001/0001_2m_-15P_10V_-5H.jpg: person, distance, head pose, and direction of the
gaze up (V) and to the image's right (H), degrees; (0, 0) is a look into the lens.
"""

from __future__ import annotations

import math
import re
from collections import Counter

from face_perception.gaze import make_gaze_crops
from face_perception.learning.data.converting import (
    Conversion,
    ConversionJob,
    every_nth,
    find_face,
    folders_of,
    splits_of,
)
from face_perception.learning.data.dataset import DatasetError, read_image
from face_perception.types import Camera

_NAME = re.compile(
    r"(?P<person>\d{4})_2m_(?P<head>-?\d+)P_(?P<up>-?\d+)V_(?P<side>-?\d+)H\.jpe?g", re.IGNORECASE
)
_WANTED = (
    "pictures such as 0001_2m_-15P_10V_-5H.jpg were expected in folders 0001 to 0056 of the "
    "unpacked Columbia Gaze Data Set"
)
# Focal length of the pictures as a share of their width: OpenFace's evaluation on this set takes
# 19720 pixels for 5184. The angles of the data set are used as they are.
_FOCAL = 3.8


def convert(job: ConversionJob) -> Counter[str]:
    """Writes the data set in the folder ``source`` (0001 to 0056) to the folder ``out``.

    Crops are those of GEDDnet. ``eye_contact`` is 1 for a look into the lens. Every ``every``-th
    picture of a person is used.
    """
    people = folders_of(job.source, "[0-9][0-9][0-9][0-9]", _WANTED)
    splits = splits_of(people, job.source, job.test)
    with Conversion(
        job.out,
        job.report,
        name="Columbia Gaze Data Set",
        licence="for non-commercial research only (Columbia University)",
        module=__name__,
    ) as made:
        for person in people:
            files = sorted((job.source / person).glob("*.[jJ][pP]*[gG]"))
            if not files:
                raise DatasetError(f"{job.source / person} has no pictures: {_WANTED}")
            for file in every_nth(files, job.every):
                found = _NAME.fullmatch(file.name)
                if found is None or found["person"] != person:
                    raise DatasetError(f"{file} has another name: {_WANTED}")
                image = read_image(file, "a photograph was expected")
                height, width = image.shape[:2]
                focal = _FOCAL * width
                camera = Camera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
                with made.unless_missing():
                    crops = make_gaze_crops(image, camera, find_face(job.tracker, image, camera))
                    up, side = int(found["up"]), int(found["side"])
                    made.add(
                        {
                            "file": crops.face,
                            "left_eye": crops.left_eye,
                            "right_eye": crops.right_eye,
                        },
                        subject=person,
                        split=splits[person],
                        gaze_pitch=math.radians(up),
                        gaze_yaw=math.radians(side),
                        eye_contact=float(up == side == 0),
                        head_pose_deg=float(found["head"]),
                        photograph=f"{person}/{file.name}",
                    )
            made.report(f"{person} ({splits[person]})")
    return made.counts
