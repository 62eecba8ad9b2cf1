"""Makes the plain values that the dashboard shows, from results and diagnostics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from face_perception import overlay
from face_perception.attention import looked_at_name
from face_perception.nodes.dashboard.graph_state import SILENT, Snapshot
from face_perception.ros.result_kinds import Result
from face_perception.types import ActionUnits, Attention, Engagement, Face, Gaze

_UNITS = 4  # action units that are shown for a face
_LEAST = 0.15  # intensity from which an action unit is shown
_SILENT = 5.0  # seconds without diagnostics after which a node is shown as silent; it sends 1 Hz
_SESSION_SILENT = 3.0  # the same for the status of a session that is recorded, which comes at 2 Hz
_BAD = 2  # level of an error


def state(image_silence: float, faces_silence: float, found: Snapshot, topic: str) -> str:
    """Returns in words why the page shows no picture, no people or no boxes; empty if it does.

    The times are in seconds, since the last image of ``topic`` and since the last faces. ``found``
    is what the page shows.

    >>> state(0.1, 9.0, Snapshot(5.0, b"image"), topic="/image")
    'no faces for 9 s: is the node face_tracker active?'
    """
    # A camera that has stopped must not look like people who keep still.
    if min(image_silence, faces_silence) > SILENT:
        return f"no image and no faces for {min(image_silence, faces_silence):.0f} s"
    if image_silence > SILENT:
        return f"no image on {topic} for {image_silence:.0f} s: start the camera, or remap image"
    if faces_silence > SILENT:
        return f"no faces for {faces_silence:.0f} s: is the node face_tracker active?"
    if found.image and math.isnan(found.stamp):
        return f"no boxes: the images on {topic} have no stamps: set them in the camera's driver"
    if found.lag and math.isfinite(found.lag):
        side = "older" if found.lag > 0 else "newer"
        return f"no boxes: the faces are {abs(found.lag):.2f} s {side} than the picture"
    return ""


def area(results: Mapping[str, Result[Any]], width: int) -> tuple[float, tuple[int, int]]:
    """Returns the scale and the size in pixels of an area for the results of a camera.

    It is at most ``width`` pixels wide. The size is (0, 0) without a camera.
    """
    faces: Result[Face] | None = results.get("faces")
    if faces is None or faces.camera is None:
        return 1.0, (0, 0)
    camera = faces.camera
    scale = min(1.0, width / camera.width)
    return scale, (round(camera.width * scale), max(1, round(camera.height * scale)))


def shapes(results: Mapping[str, Result[Any]], scale: float) -> dict[str, Any]:
    """Returns the lines and labels to draw; ``scale`` is pixels of the picture per image pixel."""
    faces: Result[Face] | None = results.get("faces")
    if faces is None or faces.camera is None:
        return {"lines": [], "labels": []}
    lines, labels = overlay.annotation_shapes(
        faces.camera, faces.values, _values(results, "gaze"), _values(results, "attention")
    )
    return {
        "lines": [
            {
                # One step for all points: there are hundreds.
                "points": np.round(np.multiply(line.points, scale), 1).tolist(),
                "colour": _css(line.colour),
                "closed": line.closed,
                "width": line.width,
            }
            for line in lines
        ],
        "labels": [
            {
                "x": round(float(label.place[0]) * scale, 1),
                "y": round(float(label.place[1]) * scale, 1),
                "text": label.text,
                "colour": _css(label.colour),
            }
            for label in labels
        ],
    }


def people(results: Mapping[str, Result[Any]]) -> list[dict[str, str]]:
    """Returns a row of texts for each face."""
    known = {
        topic: {value.face_id: value for value in result.values}
        for topic, result in results.items()
        if topic != "faces"
    }
    return [
        _person(
            face.face_id, {topic: by_face.get(face.face_id) for topic, by_face in known.items()}
        )
        for face in _values(results, "faces")
    ]


def _person(face_id: str, of: Mapping[str, Any]) -> dict[str, str]:
    attention: Attention | None = of.get("attention")
    gaze: Gaze | None = of.get("gaze")
    affect = of.get("valence_arousal") or of.get("motion_affect")
    expression = of.get("expressions")
    person = (attention and attention.person_id) or (gaze and gaze.person_id) or ""
    if gaze is not None and gaze.calibrated:
        person += " (calibrated)"
    engagement = attention.engagement if attention else Engagement.UNKNOWN
    return {
        "face": face_id,
        "person": person,
        "target": looked_at_name(attention) if attention else "",
        "engagement": engagement.name.lower() if engagement else "",
        "eye_contact": _text(attention.eye_contact) if attention else "",
        "valence": _text(affect.valence) if affect else "",
        "arousal": _text(affect.arousal) if affect else "",
        "expression": expression.label if expression else "",
        "units": _units(of.get("action_units")),
        "speaking": _text(attention.speaking) if attention else "",
    }


def _units(found: ActionUnits | None) -> str:
    """Returns the strongest action units, such as "AU12 0.80"."""
    if found is None:
        return ""
    strong = sorted(
        (
            (unit.intensity, code)
            for code, unit in found.units.items()
            if unit.intensity >= _LEAST and unit.confidence > 0  # false for NaN
        ),
        reverse=True,
    )
    return ", ".join(f"AU{code} {intensity:.2f}" for intensity, code in strong[:_UNITS])


def nodes(diagnostics: Mapping[str, tuple[Any, float]], now: float) -> list[dict[str, Any]]:
    """Returns a row for each node, from its last diagnostics and when they were received.

    ``now`` and these times are in seconds of one clock.
    """
    rows = []
    for name, (status, received) in sorted(diagnostics.items()):
        values = {pair.key: pair.value for pair in status.values}
        silent = now - received > _SILENT
        level = min(3, int.from_bytes(status.level, "little"))
        rows.append(
            {
                "name": name,
                "text": f"silent for {now - received:.0f} s" if silent else status.message,
                "level": max(_BAD, level) if silent else level,
                "input": values.get("input rate (Hz)", ""),
                "output": values.get("output rate (Hz)", ""),
                "p50": _known(values.get("latency p50 (ms)", "")),
                "p95": _known(values.get("latency p95 (ms)", "")),
            }
        )
    return rows


def _known(text: str) -> str:
    """Returns a number as text, empty if it is not known."""
    return "" if text == "nan" else text


def session(status: Any, age: float) -> str:
    """Returns in words whether a session is recorded.

    ``status`` is a SessionStatus that was received ``age`` seconds ago, or None.
    """
    if status is None:
        return "(the session node does not run)"
    if not status.recording:
        return f"(not recording{f': {status.problem}' if status.problem else ''})"
    name = status.folder.rpartition("/")[2]
    text = f"{name}: {status.messages} messages, {status.markers} marker(s), "
    text += f"{status.bytes / 1e6:.1f} MB"
    if age > _SESSION_SILENT:
        text += f", but the session node is silent for {age:.0f} s"
    return f"{text}, {status.problem}" if status.problem else text


def _values(results: Mapping[str, Result[Any]], topic: str) -> Iterable[Any]:
    found = results.get(topic)
    return found.values if found is not None else ()


def _text(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else ""


def _css(colour: tuple[int, int, int]) -> str:
    return "rgb({},{},{})".format(*colour)
