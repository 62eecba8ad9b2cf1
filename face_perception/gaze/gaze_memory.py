"""Remembers each face for the gaze estimators: blinks, smoothing, the last gaze before a blink."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from face_perception.faces import ID_EXPIRES_AFTER
from face_perception.settings import check, setting
from face_perception.smoothing import OneEuro
from face_perception.types import Eyes, Face, FloatArray

_BLINK_TIME = 0.4  # seconds; a blink lasts 0.1 to 0.4 s
_SETTLE_TIME = 1.0  # seconds; the usual openness of a new face is not known before
_FIRST_BLINK_LEVEL = 0.5  # the blink level until then
_LOWERED_TIME = 0.6  # seconds; longer, because the lids of a slow blink also open slowly


@dataclass(slots=True)
class _State:
    """Memory of one face. Times are stamps, seconds; NaN: the condition does not hold."""

    first: float
    last: float
    smooth: OneEuro
    direction: FloatArray | None = field(default=None)
    lowered_since: float = math.nan  # both eyes are below the blink level
    closed_since: float = math.nan  # both eyes are below the closed level
    shut_since: float = math.nan  # an eye is visible, and none that is visible is open
    seen_open: bool = False


@dataclass(frozen=True)
class GazeSettings:
    """Settings that all gaze estimators share."""

    blink_level: float = setting(
        0.75,
        "Eye openness, relative to this person's usual openness, below which the eye is blinking; "
        "the last gaze is then held. A larger value takes more half-open eyes for blinks.",
        minimum=0.0,
        maximum=1.0,
    )
    closed_level: float = setting(
        0.5,
        "Eyes that stay below this openness for longer than a blink (0.4 s) are closed. Eyes that "
        "stay between this and blink_level for 0.6 s are lowered for a look down. A larger value "
        "takes more lowered eyes for closed.",
        minimum=0.0,
        maximum=1.0,
    )
    max_turn: float = setting(
        1.05,
        "No eye is used while the head is turned away from the camera by more than this angle. A "
        "larger value gives a gaze for more faces, with larger errors.",
        minimum=0.0,
        maximum=1.57,
        unit="rad",
    )
    min_cutoff: float = setting(
        1.0,
        "Cut-off frequency of the one-euro filter while the gaze rests. A larger value smooths "
        "less.",
        minimum=0.01,
        maximum=100.0,
        unit="Hz",
    )
    beta: float = setting(
        3.0,
        "How much the cut-off frequency of the one-euro filter grows with the speed of the gaze, "
        "Hz per 1/s. A larger value follows movements faster and smooths them less.",
        minimum=0.0,
        maximum=100.0,
    )
    max_gap: float = setting(
        0.5,
        "If a face is missing for longer than this, its smoothing starts again and no direction is "
        "held.",
        minimum=0.0,
        maximum=60.0,
        unit="s",
    )


class GazeMemory:
    """Base class of gaze estimators: remembers the eyes and the last gaze of each face id.

    The state of the eyes is remembered for as long as a face keeps its id. The blink level is lower
    during the first second of a face. In that time openness is relative to the average of many
    people, whose eyes differ by a quarter.

    Raises InputError if a setting is out of range.
    """

    def __init__(self, settings: GazeSettings | None = None) -> None:
        settings = settings or GazeSettings()
        check(settings)
        self._blink_level = settings.blink_level
        self._closed_level = settings.closed_level
        self.min_facing = math.cos(settings.max_turn)
        self._filter = (settings.min_cutoff, settings.beta)
        self._max_gap = settings.max_gap
        self.reset()

    def reset(self) -> None:
        """Forgets all faces."""
        self._states: dict[str, _State] = {}

    def keep(self, ids: Collection[str], stamp: float) -> None:
        """Forgets faces whose ids have expired (``faces.ID_EXPIRES_AFTER``).

        ``ids`` are those of the faces in the image of ``stamp`` seconds, which are always kept.
        """
        self._states = {
            i: state
            for i, state in self._states.items()
            if i in ids or 0 <= stamp - state.last <= ID_EXPIRES_AFTER
        }

    def update_openness(self, face: Face, stamp: float) -> float:
        """Returns the openness below which an eye of ``face`` is not used; remembers its openness.

        Call it once for each image. ``stamp`` is in seconds.
        """
        state = self._states.get(face.id)
        if state is None or not 0 <= stamp - state.last <= ID_EXPIRES_AFTER:
            state = _State(stamp, stamp, OneEuro(*self._filter))
            self._states[face.id] = state
        elif stamp - state.last > self._max_gap:
            state.smooth, state.direction = OneEuro(*self._filter), None
        state.last = stamp
        settled = stamp - state.first >= _SETTLE_TIME
        level = self._blink_level if settled else _FIRST_BLINK_LEVEL
        openness = [face.left_eye_openness, face.right_eye_openness]
        known = [value for value in openness if math.isfinite(value)]
        opened = max(known) if known else math.inf
        state.lowered_since = _since(state.lowered_since, opened < level, stamp)
        closed_level = min(level, self._closed_level)
        state.closed_since = _since(state.closed_since, opened < closed_level, stamp)
        return closed_level if stamp - state.lowered_since > _LOWERED_TIME else level

    def eye_state(self, face_id: str, stamp: float, *, seen: bool, opened: bool) -> Eyes:
        """Returns the state of the eyes; call it after ``update_openness``, once for each image.

        ``seen``: an eye is visible. ``opened``: a visible eye is open. Eyes that were never open
        while this face was tracked count as closed at once.
        """
        state = self._states[face_id]
        state.shut_since = _since(state.shut_since, seen and not opened, stamp)
        if not seen:
            return Eyes.UNKNOWN
        if opened:
            state.seen_open = True
            return Eyes.OPEN
        # The openness of an eye outside the image or behind glare may be wrong. So it is enough
        # that the visible eyes are closed (``shut_since``).
        closed = (
            stamp - state.closed_since > _BLINK_TIME or stamp - state.shut_since > _LOWERED_TIME
        )
        return Eyes.CLOSED if closed or not state.seen_open else Eyes.BLINK

    def smooth_direction(self, face_id: str, stamp: float, direction: FloatArray) -> FloatArray:
        """Returns ``direction``, a unit vector [3], smoothed with those of earlier images.

        Call it after ``update_openness``.
        """
        state = self._states[face_id]
        smooth = state.smooth(direction, stamp)
        state.direction = smooth / np.linalg.norm(smooth)
        return state.direction

    def last_direction(self, face_id: str) -> FloatArray | None:
        """Returns the last direction of a face, a unit vector [3]; None if there was none."""
        return self._states[face_id].direction


def _since(before: float, holds: bool, stamp: float) -> float:
    """Returns the stamp since which a condition holds, NaN if it does not.

    ``before`` is the result for the previous image.
    """
    if not holds:
        return math.nan
    return stamp if math.isnan(before) else before
