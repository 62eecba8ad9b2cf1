"""Keeps the appearance of the faces in the newest image, and whether their mouths are hidden.

Does not import rclpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from face_perception.affect import AppearanceNet
from face_perception.faces import HIDDEN_BELOW, mouth_visibility
from face_perception.types import FaceCrop

# Seconds between the stamps of a crop and a face up to which the crop still shows that face's
# expression.
_FRESH = 0.5


class Look(NamedTuple):
    """How one face looks: ``appearance`` by action unit, and whether its mouth is seen."""

    appearance: Mapping[int, float]
    mouth_seen: bool


_NOTHING: Mapping[str, Look] = MappingProxyType({})


class LatestAppearance:
    """Hands the appearance of faces from the thread that sees crops to the one that sees faces.

    Faces do not wait for their crops: the appearance of a slightly older image counts, so that
    action units come as early as from landmarks alone.
    """

    def __init__(self, network: AppearanceNet) -> None:
        self._network = network
        # Replaced as a whole, so that another thread never sees a part of it.
        self._latest = (0.0, _NOTHING)

    def see(self, stamp: float, crops: Sequence[FaceCrop]) -> None:
        """Estimates the appearance of the faces in the image of ``stamp`` (seconds)."""
        found = self._network.estimate(crops)
        looks = {
            crop.face_id: Look(appearance, mouth_visibility(crop) >= HIDDEN_BELOW)
            for crop, appearance in zip(crops, found, strict=True)
        }
        self._latest = (stamp, looks)

    def at(self, stamp: float) -> Mapping[str, Look]:
        """Returns the look of each face, by id; empty if it is of another time than stamp."""
        seen_at, appearance = self._latest
        return appearance if abs(stamp - seen_at) <= _FRESH else _NOTHING
