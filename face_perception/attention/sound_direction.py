"""Compares the direction of the sound with where the faces are."""

from __future__ import annotations

import math

from face_perception.errors import InputError
from face_perception.types import Face

_STALE = 0.5  # seconds after which a direction no longer counts
_MOST = 2 * math.pi + 0.01  # radians; a larger angle is in degrees
_REFUSED = 60.0  # seconds after such an angle, in which smaller ones may be in degrees, too
_MOST_EVIDENCE = 5.0
# The mean offset from those whose lips speak, over about so many images, tells whether the array is
# turned against the camera: where the offsets agree, and the mean is larger than this.
_MEMORY, _LEAST, _AGREE, _OFF = 200.0, 100.0, 0.8, 0.5


class SoundDirection:
    """Remembers the direction that a microphone array states, and judges whether it can be used.

    Angles are in radians from the optical axis, positive to the left. Stamps are in seconds.
    """

    def __init__(self) -> None:
        self._heard = (-math.inf, math.nan)
        self._refused_until = -math.inf
        self._count = 0.0  # of compared images, of which old ones count less
        self._cosine = self._sine = 0.0  # sums of the offsets'

    def hear(self, stamp: float, angle: float) -> None:
        """Takes a direction; any turn counts. NaN or infinity: no direction is known now.

        Raises InputError for an angle above 2 pi, which is in degrees. Then no direction is taken
        for a minute, because the smaller ones may be in degrees, too.
        """
        if math.isfinite(angle) and abs(angle) > _MOST:
            self._refused_until = stamp + _REFUSED
            self._heard = (-math.inf, math.nan)
            raise InputError(
                f"the direction of the sound is {angle:.4g}, which is not in radians: publish "
                "radians from the optical axis, positive to the left; no direction is used for "
                f"{_REFUSED:.0f} s"
            )
        known = math.isfinite(angle) and not stamp < self._refused_until
        self._heard = (stamp, angle) if known else (-math.inf, math.nan)

    @property
    def offset(self) -> float:
        """How far the directions are off those whose lips speak, radians; NaN: they agree.

        NaN also as long as it is not known.
        """
        if self._count < _LEAST or math.hypot(self._cosine, self._sine) < _AGREE * self._count:
            return math.nan
        mean = math.atan2(self._sine, self._cosine)
        return mean if abs(mean) > _OFF else math.nan

    def compare(self, stamp: float, face: Face) -> None:
        """Takes a face that speaks by its lips, to learn whether the directions can be right."""
        off = self._off(stamp, face)
        if math.isnan(off):
            return
        kept = 1 - 1 / _MEMORY
        self._count = self._count * kept + 1
        self._cosine = self._cosine * kept + math.cos(off)
        self._sine = self._sine * kept + math.sin(off)

    def evidence(self, stamp: float, face: Face, sigma: float) -> float:
        """Returns the log odds that the sound comes from a face and not from anywhere.

        ``sigma`` is the standard deviation of the direction, radians. Returns 0 if no direction is
        known, or if the directions are off (``offset``).
        """
        off = self._off(stamp, face)
        if math.isnan(off) or not math.isnan(self.offset):
            return 0.0
        likely = math.exp(-((off / sigma) ** 2) / 2) / (math.sqrt(2 * math.pi) * sigma)
        return max(-_MOST_EVIDENCE, math.log(max(likely, 1e-9) * 2 * math.pi))

    def _off(self, stamp: float, face: Face) -> float:
        """Returns the angle from a face to the sound, -pi to pi; NaN if one is not known."""
        heard, angle = self._heard
        if not abs(stamp - heard) <= _STALE or face.pose is None:
            return math.nan
        x, _, z = face.pose.position.tolist()
        return math.remainder(angle - math.atan2(-x, z), 2 * math.pi)
