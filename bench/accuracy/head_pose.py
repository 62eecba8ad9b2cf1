"""Measures the head pose on pictures with a fitted 3-D face, and on people who face the camera.

AFLW2000-3D has a 3-D face model fitted to each picture. Its angles are published in the order of
3DDFA: ``rotation_of`` turns them into a rotation. The people of CK+ face the camera, so that their
pitch should be 0 on average.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from bench.accuracy import product
from bench.accuracy.context import Context, Findings, Measure, Row, counted
from bench.accuracy.data_sets import AFLW, CK, Missing
from bench.accuracy.pictures import read_picture
from bench.accuracy.stills import SOURCES, stills
from face_perception.learning.data.matlab_file import read_matlab_arrays
from face_perception.outside_files import one_error
from face_perception.statistics import Estimate, bootstrap, mean
from face_perception.types import Camera, FloatArray, Frame, HeadPose

NAME = "AFLW2000-3D samples"
_ANGLES = ("yaw", "pitch", "roll")
_FRONTAL = math.radians(30)  # yaw below which a head counts as frontal


def rotation_of(pitch: float, yaw: float, roll: float) -> FloatArray:
    """Returns the rotation [3, 3] of ``HeadPose`` for the angles of 3DDFA, radians.

    3DDFA turns a face whose x points to the image's right, y up and z to the viewer about z by
    ``roll``, then about y by ``yaw``, then about x by ``pitch``, all clockwise along the axis.
    """

    def turn(axis: int, angle: float) -> FloatArray:
        c, s = math.cos(angle), math.sin(angle)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        made = np.eye(3)
        made[first, first], made[first, second] = c, s
        made[second, first], made[second, second] = -s, c
        return made

    whole = turn(0, pitch) @ turn(1, yaw) @ turn(2, roll)
    in_optical_frame = np.diag([1.0, -1.0, -1.0]) @ whole
    # The face's x, y and z axes are the model's z (out of the face), x (its left) and y (up).
    rotation: FloatArray = in_optical_frame[:, [2, 0, 1]]
    return rotation


def run(context: Context) -> Findings:
    findings, missing = Findings(), []
    for part in (_fitted, _facing):
        try:
            findings.rows += part(context)
        except Missing as reason:
            missing.append(str(reason))
    if not findings.rows:
        raise Missing("; ".join(missing))
    if missing:
        findings.details["not measured"] = missing
    return findings


def _fitted(context: Context) -> list[Row]:
    files = context.files(
        AFLW, "*.jpg", lambda file: file.with_suffix(".mat").exists(), "with a .mat of its name"
    )
    key = (context.use(AFLW, [f for file in files for f in (file, file.with_suffix(".mat"))]),)
    looked = context.remember("head_pose", key, lambda: [_angles(f) for f in counted(files, NAME)])
    found = [pair for pair in looked if pair is not None]

    def row(figure: str, estimate: Estimate, unit: str, condition: str = "") -> Row:
        return Row("head pose", figure, estimate, unit, NAME, condition, "")

    rows = [row("face found", mean([pair is not None for pair in looked]), "share")]
    if not found:
        return rows
    said, true = (np.array(column) for column in zip(*found, strict=True))
    off = np.degrees(np.remainder(said - true + math.pi, 2 * math.pi) - math.pi)
    every = np.ones(len(true), bool)
    frontal = np.abs(true[:, 0]) < _FRONTAL
    for condition, kept in (("", every), ("head turned by less than 30°", frontal)):
        if not kept.any():
            continue
        for axis, name in enumerate(_ANGLES):
            rows.append(row(f"mean error, {name}", mean(np.abs(off[kept, axis])), "°", condition))
        rows.append(row("pitch above the truth", mean(off[kept, 1]), "°", condition))
    return rows


def _angles(file: Path) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Returns yaw, pitch and roll (radians) as found and as published; None without a face."""
    image = read_picture(file)
    frame = Frame(image, 0.0, Camera.assume(image.shape[1], image.shape[0]))
    faces = [face for face in product.still().process(frame).faces if face.pose is not None]
    if not faces:
        return None
    largest = max(faces, key=lambda face: face.roi.width).pose
    assert largest is not None
    with one_error(str(file.with_suffix(".mat")), "get the file again"):
        pitch, yaw, roll = read_matlab_arrays(file.with_suffix(".mat"))["Pose_Para"].ravel()[:3]
    true = HeadPose(largest.position, rotation_of(float(pitch), float(yaw), float(roll)))
    return _yaw_pitch_roll(largest), _yaw_pitch_roll(true)


def _yaw_pitch_roll(pose: HeadPose) -> tuple[float, ...]:
    return tuple(float(getattr(pose, name)) for name in _ANGLES)


def _facing(context: Context) -> list[Row]:
    """Returns the median pitch of people who face the camera."""
    (source,) = (one for one in SOURCES if one.data_set is CK)
    poses = [(one.person, one.face["head_pose"]) for one in stills(context, source) if one.face]
    known = [
        (person, pose["pitch"]) for person, pose in poses if pose and pose["pitch"] is not None
    ]
    if not known:
        raise Missing(f"not measured: no face with a head pose was found in {source.name}")
    people = [who for who, _ in known]
    pitch = np.degrees([value for _, value in known])
    median = bootstrap(lambda i: float(np.median(pitch[i])), len(pitch), people)
    return [
        Row("head pose", "median pitch", median, "°", source.name, "faces the camera", "person")
    ]


MEASURE = Measure("head_pose", (AFLW, CK), run)
