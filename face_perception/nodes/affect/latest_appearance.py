"""Keeps the appearance of the faces in the newest image. Does not import rclpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from face_perception.affect import AppearanceNet
from face_perception.types import FaceCrop

# Seconds between the stamps of a crop and a face up to which the crop still shows that face's
# expression.
_FRESH = 0.5

_NOTHING: Mapping[str, Mapping[int, float]] = MappingProxyType({})


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
        ids = [crop.face_id for crop in crops]
        self._latest = (stamp, dict(zip(ids, found, strict=True)))

    def at(self, stamp: float) -> Mapping[str, Mapping[int, float]]:
        """Returns the appearance of each face, by id; empty if it is of another time than stamp."""
        seen_at, appearance = self._latest
        return appearance if abs(stamp - seen_at) <= _FRESH else _NOTHING
