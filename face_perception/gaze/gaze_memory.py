"""Remembers each face for the gaze estimators: its eyes and its last smoothed gaze."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

from face_perception.faces import id_expired
from face_perception.gaze.eye_state import EyeState
from face_perception.settings import check, setting
from face_perception.smoothing import OneEuro
from face_perception.types import Eyes, Face, FloatArray


@dataclass(slots=True)
class _State:
    """Memory of one face. ``last`` is the stamp of its last image, seconds."""

    last: float
    eyes: EyeState
    smooth: OneEuro
    direction: FloatArray | None = field(default=None)


@dataclass(frozen=True)
class GazeSettings:
    """Settings that all gaze estimators share.

    >>> from face_perception.faces import load_tracker
    >>> from face_perception.gaze import GeometricGaze
    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> (face,) = load_tracker().detect(frame)
    >>> for max_turn in (1.05, 0.0):  # radians; her head does not face the camera exactly
    ...     estimator = GeometricGaze(GazeSettings(max_turn=max_turn))
    ...     print(estimator.estimate(frame.camera, face, frame.stamp).valid)
    True
    False
    """

    blink_level: float = setting(
        0.75,
        "Eye openness, relative to this person's usual openness, below which the eye is blinking; "
        "the last gaze is then held. A larger value takes more half-open eyes for blinks.",
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    closed_level: float = setting(
        0.5,
        "Eyes that stay below this openness for longer than a blink (0.4 s) are closed. Eyes that "
        "stay between this and blink_level for 0.6 s are lowered for a look down. A larger value "
        "takes more lowered eyes for closed.",
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    max_turn: float = setting(
        1.05,
        "No eye is used while the head is turned away from the camera by more than this angle. A "
        "larger value gives a gaze for more faces, with larger errors.",
        minimum=0.0,
        maximum=1.57,
        unit="rad",
        dynamic=True,
    )
    min_cutoff: float = setting(
        1.0,
        "Cut-off frequency of the one-euro filter while the gaze rests. A larger value smooths "
        "less.",
        minimum=0.01,
        maximum=100.0,
        unit="Hz",
        dynamic=True,
    )
    beta: float = setting(
        3.0,
        "How much the cut-off frequency of the one-euro filter grows with the speed of the gaze, "
        "Hz per 1/s. A larger value follows movements faster and smooths them less.",
        minimum=0.0,
        maximum=100.0,
        dynamic=True,
    )
    max_gap: float = setting(
        0.5,
        "If a face is missing for longer than this, its smoothing starts again and no direction is "
        "held.",
        minimum=0.0,
        maximum=60.0,
        unit="s",
        dynamic=True,
    )


class GazeMemory:
    """Base class of gaze estimators: remembers the eyes and the last gaze of each face id.

    Both are remembered for as long as a face keeps its id.

    Raises InputError if a setting is out of range.
    """

    def __init__(self, settings: GazeSettings | None = None) -> None:
        self.reset()
        self.change_settings(settings or GazeSettings())

    def change_settings(self, settings: GazeSettings) -> None:
        """Uses other settings from the next image on, also for the faces that are remembered.

        Raises InputError if a setting is out of range.
        """
        check(settings)
        self._blink_level = settings.blink_level
        self._closed_level = settings.closed_level
        self.min_facing = math.cos(settings.max_turn)
        self._filter = (settings.min_cutoff, settings.beta)
        self._max_gap = settings.max_gap
        for state in self._states.values():
            state.smooth.min_cutoff, state.smooth.beta = self._filter
            state.eyes.blink_level = settings.blink_level
            state.eyes.closed_level = settings.closed_level

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
            if i in ids or not id_expired(state.last, stamp)
        }

    def update_openness(self, face: Face, stamp: float) -> float:
        """Returns the openness below which an eye of ``face`` is not used; remembers its openness.

        Call it once for each image. ``stamp`` is in seconds.
        """
        state = self._states.get(face.face_id)
        if state is None or id_expired(state.last, stamp):
            eyes = EyeState(self._blink_level, self._closed_level)
            state = _State(stamp, eyes, OneEuro(*self._filter))
            self._states[face.face_id] = state
        elif stamp - state.last > self._max_gap:
            state.smooth, state.direction = OneEuro(*self._filter), None
        state.last = stamp
        return state.eyes.update(face.left_eye_openness, face.right_eye_openness, stamp)

    def eye_state(self, face_id: str, stamp: float, *, seen: bool, opened: bool) -> Eyes:
        """Returns the state of the eyes; call it after ``update_openness``, once for each image.

        ``seen``: an eye is visible. ``opened``: a visible eye is open.
        """
        return self._states[face_id].eyes.classify(stamp, seen=seen, opened=opened)

    def smooth_direction(self, face_id: str, stamp: float, direction: FloatArray) -> FloatArray:
        """Returns ``direction``, a unit vector [3], smoothed with those of earlier images.

        Call it after ``update_openness``.
        """
        state = self._states[face_id]
        smooth = state.smooth(direction, stamp)
        state.direction = smooth / math.hypot(*smooth.tolist())
        return state.direction

    def last_direction(self, face_id: str) -> FloatArray | None:
        """Returns the last direction of a face, a unit vector [3]; None if there was none."""
        return self._states[face_id].direction
