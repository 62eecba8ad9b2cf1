"""Decides whether the eyes of a face are open, in a blink, closed or not visible."""

from __future__ import annotations

import math

from face_perception.types import Eyes

_BLINK_TIME = 0.4  # seconds; a blink lasts 0.1 to 0.4 s
_SETTLE_TIME = 1.0  # seconds; the usual openness of a new face is not known before
_FIRST_BLINK_LEVEL = 0.5  # the blink level until then
_LOWERED_TIME = 0.6  # seconds; longer, because the lids of a slow blink also open slowly


class EyeState:
    """State of the eyes of one face, from image to image.

    ``blink_level`` and ``closed_level`` are those of ``GazeSettings``. The blink level is lower
    during the first second of a face. In that time openness is relative to the average of many
    people, whose eyes differ by a quarter.

    >>> eyes = EyeState(blink_level=0.75, closed_level=0.5)
    >>> for stamp, openness in ((0.0, 1.0), (0.1, 0.2), (0.7, 0.2)):
    ...     level = eyes.update(openness, openness, stamp)
    ...     print(eyes.classify(stamp, seen=True, opened=openness > level).name)
    OPEN
    BLINK
    CLOSED
    """

    def __init__(self, blink_level: float, closed_level: float) -> None:
        self.blink_level = blink_level
        self.closed_level = closed_level
        # Stamps, seconds; NaN: the condition does not hold.
        self._first = math.nan
        self._lowered_since = math.nan  # both eyes are below the blink level
        self._closed_since = math.nan  # both eyes are below the closed level
        self._shut_since = math.nan  # an eye is visible, and none that is visible is open
        self._seen_open = False

    def update(self, left: float, right: float, stamp: float) -> float:
        """Takes the openness of both eyes at ``stamp`` seconds, relative to their usual openness.

        NaN means unknown. Returns the openness below which an eye is not open now. Call it once for
        each image.
        """
        if math.isnan(self._first):
            self._first = stamp
        level = self.blink_level if stamp - self._first >= _SETTLE_TIME else _FIRST_BLINK_LEVEL
        opened = max((v for v in (left, right) if math.isfinite(v)), default=math.inf)
        self._lowered_since = _since(self._lowered_since, opened < level, stamp)
        closed_level = min(level, self.closed_level)
        self._closed_since = _since(self._closed_since, opened < closed_level, stamp)
        return closed_level if stamp - self._lowered_since > _LOWERED_TIME else level

    def classify(self, stamp: float, *, seen: bool, opened: bool) -> Eyes:
        """Returns the state of the eyes; call it after ``update``, once for each image.

        ``seen``: an eye is visible. ``opened``: a visible eye is open. Eyes that were never open
        while this face was tracked count as closed at once.
        """
        self._shut_since = _since(self._shut_since, seen and not opened, stamp)
        if not seen:
            return Eyes.UNKNOWN
        if opened:
            self._seen_open = True
            return Eyes.OPEN
        # The openness of an eye outside the image or behind glare may be wrong. So it is enough
        # that the visible eyes are closed (``_shut_since``).
        closed = (
            stamp - self._closed_since > _BLINK_TIME or stamp - self._shut_since > _LOWERED_TIME
        )
        return Eyes.CLOSED if closed or not self._seen_open else Eyes.BLINK


def _since(before: float, holds: bool, stamp: float) -> float:
    """Returns the stamp since which a condition holds, NaN if it does not.

    ``before`` is the result for the previous image.
    """
    if not holds:
        return math.nan
    return stamp if math.isnan(before) else before
