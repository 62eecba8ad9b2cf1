"""The results of an image as shapes: for viewers that draw them themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from face_perception import faces as mesh
from face_perception.overlay import drawing
from face_perception.overlay.primitives import Colour
from face_perception.types import Attention, Camera, Face, FloatArray, Gaze, Target

_RAY = 1.0  # metres of a ray of a gaze


@dataclass(frozen=True, slots=True)
class Line:
    """A line in the image through ``points`` [N, 2], pixels with centres at integers."""

    points: FloatArray
    colour: Colour
    closed: bool = False
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Label:
    """A text in the image, whose lower left corner is at ``place`` [2], pixels."""

    place: FloatArray
    text: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class Ray:
    """An arrow in the optical frame, from ``start`` [3] to ``end`` [3], metres."""

    face_id: str
    start: FloatArray
    end: FloatArray
    colour: Colour


def annotation_shapes(
    camera: Camera,
    faces: Sequence[Face],
    gazes: Iterable[Gaze] = (),
    attention: Iterable[Attention] = (),
) -> tuple[list[Line], list[Label]]:
    """Returns boxes, outlines of the mesh, gazes and names of faces in the image.

    The box is green if the face looks at the robot, amber if only its head pose suggests so, else
    gray. A gaze goes from each iris.
    """
    gaze_of, attention_of = drawing.by_face(gazes), drawing.by_face(attention)
    lines, labels = [], []
    for face in faces:
        own = attention_of.get(face.face_id)
        colour = drawing.attention_colour(own)
        left, top = face.roi.x - 0.5, face.roi.y - 0.5
        right, bottom = left + face.roi.width, top + face.roi.height
        box = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        lines.append(Line(box, colour, closed=True, width=2.0))
        labels.append(Label(box[0], _name(face, own), colour))
        if drawing.has_mesh(face):
            points = face.landmarks[:, :2].astype(np.float64)
            lines.append(Line(points[mesh.FACE_OVAL], drawing.MESH, closed=True))
            lines += [Line(points[curve], drawing.MESH) for curve in drawing.OPEN_CURVES]
            lines += [Line(points[rim], drawing.IRIS, closed=True) for _, rim in drawing.EYES]
            if (gaze := gaze_of.get(face.face_id)) is not None:
                lines += _gaze_lines(camera, points, gaze)
    return lines, labels


def _gaze_lines(camera: Camera, points: FloatArray, gaze: Gaze) -> list[Line]:
    segment = drawing.gaze_segment(camera, gaze)
    if segment is None:
        return []
    start, end = segment
    colour = drawing.gaze_colour(gaze)
    eyes = [points[centre] for centre, _ in drawing.EYES]
    return [Line(np.array([eye, eye + (end - start)]), colour, width=2.0) for eye in eyes]


def rays(
    faces: Sequence[Face], gazes: Iterable[Gaze], attention: Iterable[Attention] = ()
) -> list[Ray]:
    """Returns the gazes, 1 m long, in the colour of the attention of their faces.

    A gaze that goes to another face ends there. Rays whose ends are not known are left out.
    """
    attention_of = drawing.by_face(attention)
    places = {face.face_id: face.pose.position for face in faces if face.pose is not None}
    found = []
    for gaze in gazes:
        if gaze.face_id not in places or not drawing.gaze_is_known(gaze):
            continue
        own = attention_of.get(gaze.face_id)
        end, colour = gaze.origin + _RAY * gaze.direction, drawing.attention_colour(own)
        if own is not None and own.target == Target.FACE and own.target_id in places:
            end, colour = places[own.target_id], drawing.LINK
        # A blink before the first gaze holds none. Viewers complain about arrows with NaN.
        if np.isfinite([gaze.origin, end]).all():
            found.append(Ray(gaze.face_id, gaze.origin, end, colour))
    return found


def landmark_points(camera: Camera, faces: Iterable[Face]) -> FloatArray:
    """Returns the landmarks of all faces in the optical frame, [N, 4]: x, y, z and the face.

    The first three are metres; the last is the index of the face. The depth of a landmark is that
    of the head pose, plus the landmark's own depth at the scale of the picture, so it is a sketch
    and no measurement. Faces without mesh or head pose, and points without a place, are left out.
    """
    found = [np.zeros((0, 4))]
    for number, face in enumerate(faces):
        if face.pose is None or not drawing.has_mesh(face):
            continue
        points = face.landmarks.astype(np.float64)
        depth = face.pose.position[2]
        relative = points[:, 2] - points[mesh.SELLION, 2]
        depths = depth + relative * depth / camera.fx
        plane = mesh.undistort_points(camera, points[:, :2])
        index = np.full(len(points), float(number))
        rows = np.column_stack([plane * depths[:, None], depths, index])
        found.append(rows[np.isfinite(rows).all(axis=1)])
    return np.concatenate(found)


def _name(face: Face, attention: Attention | None) -> str:
    """Returns who a face is, and its engagement if that is known."""
    name = face.face_id
    if attention is None:
        return name
    name = attention.person_id or name
    return f"{name}, {attention.engagement.name.lower()}" if attention.engagement else name
