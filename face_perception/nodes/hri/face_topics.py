"""The topics /humans/faces/… of REP-155. Imports hri_msgs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from hri_msgs.msg import (
    Expression,
    FacialActionUnits,
    FacialLandmarks,
    NormalizedRegionOfInterest2D,
)
from sensor_msgs.msg import Image

from face_perception import hri
from face_perception.nodes.hri.id_topics import IdTopics
from face_perception.ros import images, messages, result_kinds
from face_perception.ros.result_kinds import Result
from face_perception.ros.stamp_join import Newest, StampJoin
from face_perception.types import ActionUnits, Camera, Face, FaceCrop, ValenceArousal
from face_perception.types import Expression as ExpressionValue
from face_perception.types import Image as Picture

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

_WAIT = 0.1  # seconds that one part of a result waits for the other
_UNITS_HOLD = 0.5  # seconds for which the action units of one source go with those of another


class FaceTopics:
    """Publishes box, landmarks, pictures, action units and expression of each face.

    Make it in the ``setup`` of a node, and call ``start`` in its ``start``. Pictures are of the
    size ``pictures``. It reads a topic only while somebody listens to what is made of it.
    """

    def __init__(self, node: PerceptionNode[Any], pictures: hri.PictureSettings) -> None:
        self._node, self._pictures = node, pictures
        self.ids = IdTopics(
            node,
            "faces",
            {
                "roi": NormalizedRegionOfInterest2D,
                "landmarks": FacialLandmarks,
                "cropped": Image,
                "aligned": Image,
                "facs": FacialActionUnits,
                "expression": Expression,
            },
        )
        self._boxes = StampJoin("face_crops", _WAIT)
        self._expressions = StampJoin("expressions", _WAIT)
        self._units = Newest[tuple[str, str], ActionUnits](_UNITS_HOLD)
        self._affects: Any = None
        self._landmarks = FacialLandmarks()

    def start(self) -> None:
        """Subscribes to the results, all but ``faces``."""
        ids, subscribe = self.ids, self._node.subscribe
        options: dict[str, Any] = {"depth": 10, "expected": False}
        subscribe(
            result_kinds.FACE_CROPS,
            "face_crops",
            lambda crops: self._add_boxes("face_crops", crops),
            wanted=lambda: ids.wanted("cropped", "aligned"),
            **options,
        )
        subscribe(
            result_kinds.ACTION_UNITS,
            "action_units",
            self._on_units,
            wanted=lambda: ids.wanted("facs"),
            **options,
        )
        subscribe(
            result_kinds.EXPRESSIONS,
            "expressions",
            lambda expressions: self._add_expressions("expressions", expressions),
            wanted=lambda: ids.wanted("expression"),
            **options,
        )
        self._affects = subscribe(
            result_kinds.VALENCE_AROUSAL,
            "valence_arousal",
            lambda affects: self._add_expressions("valence_arousal", affects),
            wanted=lambda: ids.wanted("expression"),
            **options,
        )

    def on_faces(self, faces: Result[Face]) -> None:
        """Takes the faces of an image."""
        self.ids.track([face.face_id for face in faces.values], faces.header)
        self._add_boxes("faces", faces)
        assert faces.camera is not None, "a result of faces has a camera"
        for face in faces.values:
            if self.ids.listened(face.face_id, "roi"):
                self.ids.publish(face.face_id, "roi", _roi(face, faces.camera, faces.header))
            if self.ids.listened(face.face_id, "landmarks"):
                self._publish_landmarks(face, faces.camera, faces.header)

    def _publish_landmarks(self, face: Face, camera: Camera, header: Any) -> None:
        points = hri.landmarks_70(face, camera)
        if points is None:
            return
        # The same message each time: filling its 70 points costs less than making them.
        out = self._landmarks
        out.header, out.width, out.height = header, camera.width, camera.height
        for place, (x, y, c) in zip(out.landmarks, points.tolist(), strict=True):
            place.x, place.y, place.c = x, y, c
        self.ids.publish(face.face_id, "landmarks", out)

    def _add_boxes(self, key: str, result: Result[Any]) -> None:
        stamp = messages.nanoseconds(result.header.stamp)
        for _, group in self._boxes.add(key, stamp, result, frozenset({"faces"})):
            if "faces" in group:
                self._publish_pictures(group["face_crops"], group["faces"])

    def _publish_pictures(self, crops: Result[FaceCrop], faces: Result[Face]) -> None:
        rois = {face.face_id: face.roi for face in faces.values}
        width, height = self._pictures.face_width, self._pictures.face_height
        for crop in crops.values:
            face_id, roi = crop.face_id, rois.get(crop.face_id)
            if roi is not None and self.ids.listened(face_id, "cropped"):
                picture = hri.cropped_picture(crop, roi, width, height)
                self.ids.publish(face_id, "cropped", _image(picture, crops.header))
            if self.ids.listened(face_id, "aligned"):
                picture = hri.aligned_picture(crop, width, height)
                self.ids.publish(face_id, "aligned", _image(picture, crops.header))

    def _on_units(self, units: Result[ActionUnits]) -> None:
        stamp = messages.nanoseconds(units.header.stamp)
        for item in units.values:
            self._units.add((item.face_id, item.source), stamp, item)
        known = self._units.at(stamp)
        for face_id in {item.face_id for item in units.values}:
            if self.ids.listened(face_id, "facs"):
                of_face = [found for (owner, _), found in known.items() if owner == face_id]
                intensity, confidence = hri.facs(of_face).astype(np.float32)
                facs = FacialActionUnits(header=units.header)
                facs.intensity, facs.confidence = intensity, confidence
                self.ids.publish(face_id, "facs", facs)

    def _add_expressions(self, key: str, result: Result[Any]) -> None:
        stamp = messages.nanoseconds(result.header.stamp)
        expected = frozenset({"valence_arousal"} if self._affects.published else ())
        for _, group in self._expressions.add(key, stamp, result, expected):
            affects = group["valence_arousal"].values if "valence_arousal" in group else ()
            self._publish_expressions(group["expressions"], {a.face_id: a for a in affects})

    def _publish_expressions(
        self, expressions: Result[ExpressionValue], affects: Mapping[str, ValenceArousal]
    ) -> None:
        for item in expressions.values:
            if not self.ids.listened(item.face_id, "expression"):
                continue
            seen = hri.seen_expression(item, affects.get(item.face_id))
            out = Expression(header=expressions.header, expression=seen.category)
            out.valence, out.arousal = float(seen.valence), float(seen.arousal)
            out.confidence = float(seen.confidence)
            self.ids.publish(item.face_id, "expression", out)


def _image(picture: Picture, header: Any) -> Image:
    out = images.from_array(picture)
    out.header = header
    return out


def _roi(face: Face, camera: Camera, header: Any) -> Any:
    left, top, right, bottom = hri.normalized_roi(face, camera)
    return NormalizedRegionOfInterest2D(
        header=header, xmin=left, ymin=top, xmax=right, ymax=bottom, c=float(face.confidence)
    )
