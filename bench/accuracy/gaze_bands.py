"""Gaze of people who look at the lens and away from it: 56 people of the Columbia Gaze Data Set.

The public copy holds bands of eyes (brows to nose). Each is set into the face of a donor
(`learning/claims/donor_face.py`) and seen as a still by a camera 2 m away. Effect of this on the
gain: the bands of whole faces, set into a donor, have 0.97 of the sideways gain and 1.20 of the
vertical gain of the whole faces (one person, 45 pictures, 2026-11-30).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from bench.accuracy import product
from bench.accuracy.context import Context, Findings, Measure, Row, counted
from bench.accuracy.data_sets import COLUMBIA, MUXSPACE
from bench.accuracy.looking import (
    Calibrated,
    Look,
    Told,
    calibrate,
    contact_row,
    contact_rows,
    error_row,
    gain_rows,
    raw,
    robot_rows,
    see,
    sigma_rows,
    valid_row,
)
from bench.accuracy.pictures import read_picture
from face_perception import geometry
from face_perception.faces import FaceTracker
from face_perception.inference import sample_photo
from face_perception.learning.claims.columbia_bands import canthi_of
from face_perception.learning.claims.donor_face import Donor, camera_of, largest, outer_canthi
from face_perception.statistics import mean, reliability
from face_perception.types import Camera, FloatArray, Image

NAME = "Columbia Gaze bands"
_FILE = re.compile(r"(?P<person>\d+)_2m_0P_(?P<up>-?\d+)V_(?P<side>-?\d+)H")
# A frontal, calm face with bare eyes among the press photographs; chosen for its pose, by eye.
_DONOR = "images/Brian_Pavlich_0001.jpg"
_CORNERS = (15, 10)  # degrees to the side and up or down; the outer four of five targets
_SMALL = 38.0  # pixels between the outer canthi: a face 1.5 m from a 640-pixel camera
_SMALL_PEOPLE = 6  # one person in so many is also measured at this size
_PLACES = (
    ("5° to the side", 5, 0),
    ("10° to the side", 10, 0),
    ("15° to the side", 15, 0),
    ("10° up", 0, 10),
    ("10° down", 0, -10),
    ("15° to the side, 10° up", 15, 10),
    ("15° to the side, 10° down", 15, -10),
)


def run(context: Context) -> Findings:
    files = context.files(
        COLUMBIA,
        "*_0P_*.jpg",
        lambda file: _FILE.match(file.stem),
        "with a name such as 0001_2m_0P_10V_-5H.jpg",
    )
    chosen = context.donor or default_donor(context.data)
    key = (context.use(COLUMBIA, files), str(chosen.stat().st_size), product.gaze_name())
    looks = context.remember("gaze_bands", key, lambda: _look(files, chosen, 0.0))
    few = [file for file in files if int(_named(file)["person"]) % _SMALL_PEOPLE == 1]
    small = context.remember("gaze_bands_small", key, lambda: _look(few, chosen, _SMALL))
    findings = Findings()
    findings.rows.append(_valid_row(files, looks, ""))
    findings.rows += _figures(looks, findings)
    if few:
        findings.rows.append(_valid_row(few, small, _of_small()))
    if small:
        told = raw(small, NAME, "person")
        told = Told(told.looks, told.gazes, f"not calibrated, {_of_small()}", NAME, "person")
        findings.rows += [error_row(told), *gain_rows(told)]
        findings.rows.append(_confidence(told))
    findings.details["donor"] = chosen.name
    return findings


def default_donor(data: Path) -> Path:
    """Returns a calm frontal face of the press photographs if they exist, else Grace Hopper."""
    found = data / MUXSPACE.name / _DONOR
    return found if found.exists() else sample_photo("grace_hopper")


def _figures(looks: Sequence[Look], findings: Findings) -> list[Row]:
    if not looks:
        return []
    told = raw(looks, NAME, "person")
    rows = [error_row(told), *gain_rows(told), *sigma_rows(told), _confidence(told)]
    rows += [*contact_rows(told), *robot_rows(told), *_by_place(told)]
    findings.details["eye contact, not calibrated"] = _reliability(told)
    for condition, taught in (("one target", _is_lens), ("five targets", _is_of_five)):
        after, people = _calibrated(looks, taught, condition)
        if not after.looks:
            continue
        rows += [error_row(after), *gain_rows(after), *sigma_rows(after)]
        refused = {person: found.refused for person, found in people.items() if found.refused}
        share = mean([person in refused for person in people], list(people))
        rows.append(after.row("calibration refused", share, "share"))
        accepted = after.where(lambda gaze: gaze.calibrated)
        if refused and accepted.looks:
            rows.append(error_row(accepted, "error of people who were not refused"))
        known = [(name, found.promised) for name, found in people.items() if not found.refused]
        if known:
            promised = mean(
                [math.degrees(angle) for _, angle in known], [name for name, _ in known]
            )
            rows.append(after.row("error that the calibration expected", promised, "°"))
        rows += [contact_row(after, "looks elsewhere"), *_by_place(after)]
        findings.details[f"refused, {condition}"] = sorted(set(refused.values()))
    return rows


def _calibrated(
    looks: Sequence[Look], taught: Callable[[Look], bool], condition: str
) -> tuple[Told, dict[str, Calibrated]]:
    """Calibrates each person on the looks for which ``taught`` is true and tests on the others.

    Returns the gazes of those, and what came of the calibration of each person.
    """
    tested: list[Look] = []
    gazes = []
    people = {}
    for person in dict.fromkeys(look.group for look in looks):
        own = [look for look in looks if look.group == person]
        teach = [[look] for look in own if taught(look)]
        test = [look for look in own if not taught(look)]
        if not (teach and test):
            continue
        found = calibrate(teach, test)
        tested += test
        gazes += found.gazes
        people[person] = found
    return Told(tested, gazes, condition, NAME, "person"), people


def _place(look: Look) -> tuple[int, int]:
    """Returns the place of the target: degrees to the image's right, and up."""
    yaw, pitch = geometry.yaw_pitch(look.truth)
    return round(math.degrees(yaw)), round(math.degrees(pitch))


def _is_lens(look: Look) -> bool:
    return _place(look) == (0, 0)


def _is_of_five(look: Look) -> bool:
    side, up = _place(look)
    return _is_lens(look) or (abs(side), abs(up)) == _CORNERS


def _by_place(told: Told) -> list[Row]:
    rows = []
    for name, side, up in _PLACES:
        part = told.part(lambda k, at=(side, up): (abs(_place(k)[0]), _place(k)[1]) == at)
        if part.looks:
            rows.append(contact_row(part, f"looks {name}"))
    return rows


def _confidence(told: Told) -> Row:
    return told.row("mean confidence", mean([g.confidence for g in told.gazes], told.groups), "")


def _reliability(told: Told) -> list[dict[str, float]]:
    return reliability(told.contact(), [look.at_lens for look in told.looks])


def _valid_row(files: Sequence[Path], looks: Sequence[Look], condition: str) -> Row:
    return valid_row([_named(file)["person"] for file in files], looks, NAME, "person", condition)


def _named(file: Path) -> re.Match[str]:
    """Returns the parts of a file's name: ``person``, ``up`` and ``side`` (degrees)."""
    found = _FILE.match(file.stem)
    assert found is not None
    return found


def _of_small() -> str:
    return f"face of {_SMALL:.0f} pixels between the outer canthi"


def _look(files: Sequence[Path], donor_picture: Path, small: float) -> list[Look]:
    """Returns the looks with a valid gaze."""
    tracker = product.tracker()
    donor = Donor(read_picture(donor_picture), tracker)
    looks = []
    for file in counted(files, NAME):
        name = _named(file)
        band = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE).astype(np.float32)
        right, left = find_canthi(band, donor, tracker, canthi_of(band))
        image, camera = _seen(donor, band, right, left, small)
        seen = see(image, camera)
        if seen is None or not seen[1].valid or not np.isfinite(seen[1].direction).all():
            continue
        truth = geometry.from_yaw_pitch(
            math.radians(int(name["side"])), math.radians(int(name["up"]))
        )
        looks.append(Look(name["person"], file.stem, camera, *seen, truth))
    return looks


def find_canthi(
    band: FloatArray,
    donor: Donor,
    tracker: FaceTracker,
    guess: tuple[FloatArray, FloatArray],
    rounds: int = 3,
) -> tuple[FloatArray, FloatArray]:
    """Returns the outer canthi in ``band``, found by running the mesh on ``rounds`` composites.

    Each composite uses the canthi of the one before, the first ``guess``. Stops if no face is
    found.
    """
    right, left = guess
    for _ in range(rounds):
        image, origin = donor.with_band(band, right, left)
        face = largest(tracker, image)
        if face is None:
            break
        right, left = (corner - origin for corner in outer_canthi(face))
    return right, left


def _seen(
    donor: Donor, band: FloatArray, right: FloatArray, left: FloatArray, small: float
) -> tuple[Image, Camera]:
    """Returns the composite and its camera, whose axis passes between the eyes."""
    image, origin = donor.with_band(band, right, left)
    right, left = right + origin, left + origin
    if small:
        scale = small / float(np.linalg.norm(left - right))
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        right, left = ((corner + 0.5) * scale - 0.5 for corner in (right, left))
    return np.ascontiguousarray(image), camera_of(image, right, left)


MEASURE = Measure("gaze_bands", (COLUMBIA,), run)
