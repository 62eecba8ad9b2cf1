"""The topics /humans/faces/… of REP-155. Imports hri_msgs."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from builtin_interfaces.msg import Time
from hri_msgs.msg import (
    Expression,
    FacialActionUnits,
    FacialLandmarks,
    NormalizedPointOfInterest2D,
    NormalizedRegionOfInterest2D,
)
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from face_perception import hri
from face_perception.nodes.hri.id_topics import IdTopics
from face_perception.ros import images, messages, result_kinds
from face_perception.ros.result_kinds import Result
from face_perception.ros.serialized_template import Blocks, Templates
from face_perception.ros.stamp_join import Newest, StampJoin
from face_perception.types import ActionUnits, Camera, Face, FaceCrop, ValenceArousal
from face_perception.types import Expression as ExpressionValue

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

_WAIT = 0.1  # seconds that one part of a result waits for the other
_UNITS_HOLD = 0.5  # seconds for which the action units of one source go with those of another
_EARLY = 0.95  # share of the period after which pictures are due, because stamps jitter


class FaceTopics:
    """Publishes box, landmarks, pictures, action units and expression of each face.

    Make it in the ``setup`` of a node, and call ``start`` in its ``start``. Pictures are of the
    size ``pictures``. It reads a topic only while somebody listens to what is made of it.
    """

    def __init__(self, node: PerceptionNode[Any], root: str, pictures: hri.PictureSettings) -> None:
        self._node, self._pictures = node, pictures
        self.ids = IdTopics(
            node,
            root,
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
        self._templates = Templates()
        self._pictures_at = 0  # stamp of the image of the last pictures, nanoseconds

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
                roi = np.array([*hri.normalized_roi(face, faces.camera), face.confidence])
                blocks = roi.astype(np.float32)
                self._publish_blocks(face.face_id, "roi", _roi, faces.header, *blocks)
            if self.ids.listened(face.face_id, "landmarks"):
                self._publish_landmarks(face, faces.camera, faces.header)

    def _publish_landmarks(self, face: Face, camera: Camera, header: Any) -> None:
        points = hri.landmarks_70(face, camera)
        if points is not None:
            size = (camera.width, camera.height)
            points = points.astype(np.float32)
            self._publish_blocks(face.face_id, "landmarks", _landmarks, header, points, size=size)

    def _publish_blocks(
        self, face_id: str, name: str, make: Any, header: Any, *blocks: Any, **fixed: Any
    ) -> None:
        """Publishes ``make(frame_id, stamp, blocks, **fixed)`` about a face."""
        key = (name, header.frame_id, *fixed.values())
        make = functools.partial(make, header.frame_id, **fixed)
        self.ids.publish(face_id, name, self._templates.fill(key, make, header.stamp, blocks))

    def _add_boxes(self, key: str, result: Result[Any]) -> None:
        stamp = messages.nanoseconds(result.header.stamp)
        for _, group in self._boxes.add(key, stamp, result, frozenset({"faces"})):
            if "faces" in group:
                self._publish_pictures(group["face_crops"], group["faces"])

    def _publish_pictures(self, crops: Result[FaceCrop], faces: Result[Face]) -> None:
        stamp, rate = messages.nanoseconds(crops.header.stamp), self._pictures.picture_rate
        if rate and 0 <= stamp - self._pictures_at < _EARLY * 1e9 / rate:
            return
        self._pictures_at = stamp
        rois = {face.face_id: face.roi for face in faces.values}
        width, height = self._pictures.face_width, self._pictures.face_height
        for crop in crops.values:
            face_id, roi = crop.face_id, rois.get(crop.face_id)
            if roi is not None and self.ids.listened(face_id, "cropped"):
                picture = hri.cropped_picture(crop, roi, width, height)
                self._publish_blocks(face_id, "cropped", _image, crops.header, picture)
            if self.ids.listened(face_id, "aligned"):
                picture = hri.aligned_picture(crop, width, height)
                self._publish_blocks(face_id, "aligned", _image, crops.header, picture)

    def _on_units(self, units: Result[ActionUnits]) -> None:
        stamp = messages.nanoseconds(units.header.stamp)
        for item in units.values:
            self._units.add((item.face_id, item.source), stamp, item)
        known = self._units.at(stamp)
        for face_id in {item.face_id for item in units.values}:
            if self.ids.listened(face_id, "facs"):
                of_face = [found for (owner, _), found in known.items() if owner == face_id]
                facs = hri.facs(of_face).astype(np.float32)
                self._publish_blocks(face_id, "facs", _facs, units.header, *facs)

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
            values = np.array([seen.valence, seen.arousal, seen.confidence], np.float32)
            header, category = expressions.header, seen.category
            self._publish_blocks(
                item.face_id, "expression", _expression, header, *values, category=category
            )


def _landmarks(frame_id: str, stamp: Time, blocks: Blocks, size: tuple[int, int]) -> Any:
    """Returns the message of points [70, 3] in an image of ``size`` (width and height)."""
    points = [
        NormalizedPointOfInterest2D(x=x, y=y, c=c) for x, y, c in blocks[0].astype(float).tolist()
    ]
    header = Header(stamp=stamp, frame_id=frame_id)
    return FacialLandmarks(header=header, landmarks=points, width=size[0], height=size[1])


def _facs(frame_id: str, stamp: Time, blocks: Blocks) -> Any:
    """Returns the message of intensities [99] and confidences [99]."""
    facs = FacialActionUnits(header=Header(stamp=stamp, frame_id=frame_id))
    facs.intensity, facs.confidence = blocks
    return facs


def _expression(frame_id: str, stamp: Time, blocks: Blocks, category: str) -> Any:
    """Returns the message of a category, and of valence, arousal and confidence."""
    valence, arousal, confidence = (float(value) for value in blocks)
    return Expression(
        header=Header(stamp=stamp, frame_id=frame_id),
        expression=category,
        valence=valence,
        arousal=arousal,
        confidence=confidence,
    )


def _image(frame_id: str, stamp: Time, blocks: Blocks) -> Image:
    """Returns the message of a picture."""
    out = images.from_array(blocks[0])
    out.header = Header(stamp=stamp, frame_id=frame_id)
    return out


def _roi(frame_id: str, stamp: Time, blocks: Blocks) -> Any:
    """Returns the message of left, top, right, bottom and confidence."""
    left, top, right, bottom, confidence = (float(value) for value in blocks)
    return NormalizedRegionOfInterest2D(
        header=Header(stamp=stamp, frame_id=frame_id),
        **{"xmin": left, "ymin": top, "xmax": right, "ymax": bottom, "c": confidence},
    )
