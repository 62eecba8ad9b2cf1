"""Action units from the geometry of landmarks, relative to the face's own rest. Reads no pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from face_perception import faces
from face_perception.affect.features import Features, measure
from face_perception.affect.neutral import Neutral
from face_perception.smoothing import OneEuro
from face_perception.types import ActionUnit, ActionUnits, Face, HeadPose

_SOURCE = "landmarks"

_HIGH, _MEDIUM, _LOW = 0.9, 0.6, 0.3  # confidence under the best of conditions

# Openness of an eye, relative to its usual one, at which it begins to close and is shut: what the
# mesh still measures between shut lids is a third of an open eye.
_CLOSING, _SHUT = 0.85, 0.32
_BLINK = 45
_LID_RAISER = 5
_BLINKING = 0.3  # intensity of 45 from which on lids and brows are not to be trusted

_UPPER_LID = Features._fields.index("upper_lid")

_LEARN_TURN = math.cos(0.5)  # a head turned further teaches nothing about its rest
_MAX_STEP = 0.1  # seconds that one image can stand for
_HALF_SIZE = 40.0  # outer-canthus distance, pixels, at which half the confidence is lost


@dataclass(frozen=True, slots=True)
class _Unit:
    """How an action unit shows: ``score`` of the features' distances from rest, the score of the
    full movement, and the spread of the score between people at rest.
    """

    code: int
    confidence: float
    score: Callable[[Features], float]
    full: float
    spread: float
    parts: tuple[str, ...]  # the features that have to be known


_UNITS = (
    _Unit(1, _MEDIUM, lambda d: d.inner_brow, 0.08, 0.02, ("inner_brow",)),
    _Unit(2, _MEDIUM, lambda d: d.outer_brow, 0.07, 0.015, ("outer_brow",)),
    _Unit(
        4,
        _MEDIUM,
        lambda d: -d.brow_gap - 0.5 * d.inner_brow,
        0.06,
        0.018,
        ("brow_gap", "inner_brow"),
    ),
    _Unit(_LID_RAISER, _LOW, lambda d: d.upper_lid, 0.04, 0.014, ("upper_lid",)),
    _Unit(
        12,
        _HIGH,
        # A smile widens the mouth, but what only widens it is no smile.
        lambda d: d.corner_lift + min(0.3 * d.mouth_width, max(d.corner_lift, 0.0)),
        0.1,
        0.022,
        ("corner_lift", "mouth_width"),
    ),
    _Unit(15, _LOW, lambda d: -d.corner_lift, 0.06, 0.017, ("corner_lift",)),
    _Unit(18, _LOW, lambda d: -d.mouth_width, 0.18, 0.05, ("mouth_width",)),
    # What goes with the lift of the corners is a smile's.
    _Unit(
        20,
        _LOW,
        lambda d: d.mouth_width - 2.5 * max(d.corner_lift, 0.0),
        0.18,
        0.055,
        ("mouth_width", "corner_lift"),
    ),
    _Unit(25, _HIGH, lambda d: d.mouth_opening, 0.1, 0.008, ("mouth_opening",)),
    # Showing teeth parts the lips, and a smile pulls at the chin; a jaw that drops does both, and
    # more. Of the chin's way the mesh, which expects a usual face, sees a half to nine tenths. Full
    # is a jaw that hangs, teeth 1 cm apart; more is AU27's.
    _Unit(
        26,
        _HIGH,
        lambda d: min(d.mouth_opening, 1.4 * d.jaw) - 0.03,
        0.08,
        0.016,
        ("mouth_opening", "jaw"),
    ),
)


class _State:
    """What is remembered of one face."""

    def __init__(self, stamp: float, smooth: OneEuro, neutral: Neutral) -> None:
        self.stamp = stamp
        self.smooth = smooth
        self.neutral = neutral


class LandmarkActionUnits:
    """Intensities of the action units that landmarks can tell, with a memory for each face id.

    Distances of brows, lids, mouth and jaw on the face turned back to the front, against the same
    on this face at rest, which is learned while the face is followed and a population's before. The
    scale from 0 to 1 is linear to a full movement, not FACS's own, and its beginning is hidden by
    as much as rest is uncertain. ``probability`` is NaN: nothing here knows one.

    - ``prior``: seconds of a face at rest that weigh as much as the population's.
    - ``memory``: seconds after which what was learned fades.
    - ``min_cutoff``, ``beta``: of the one-euro filter on the features (hertz; hertz a unit/s). The
      eyes' closing is not smoothed.
    - ``max_gap``: seconds between two images of a face after which the filter starts afresh.

    Raises ValueError where a setting is out of range.
    """

    def __init__(
        self,
        *,
        prior: float = 3.0,
        memory: float = 30.0,
        min_cutoff: float = 2.0,
        beta: float = 10.0,
        max_gap: float = 0.5,
    ) -> None:
        for name, value in (("prior", prior), ("memory", memory)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive seconds, not {value}")
        if not max_gap >= 0:
            raise ValueError(f"max_gap must not be negative, not {max_gap}")
        OneEuro(min_cutoff, beta)  # refuses what is out of range
        self._neutral = (prior, memory)
        self._filter = (min_cutoff, beta)
        self._max_gap = max_gap
        self.reset()

    def reset(self) -> None:
        """Forget every face."""
        self._states: dict[str, _State] = {}

    def keep(self, ids: Collection[str]) -> None:
        """Forget the faces that are not among ``ids``."""
        self._states = {i: state for i, state in self._states.items() if i in ids}

    def estimate(self, face: Face, stamp: float) -> ActionUnits:
        """Action units of ``face`` at ``stamp`` seconds; call it once an image and face.

        A unit that cannot be seen is absent: all but 45 without a head pose. A stamp that goes
        back, or one so late that the id is somebody else's (``faces.GONE_AFTER``), forgets the
        face.
        """
        state = self._states.get(face.id)
        if state is None or not 0 <= stamp - state.stamp <= faces.GONE_AFTER:
            state = _State(stamp, OneEuro(*self._filter), Neutral(*self._neutral))
            self._states[face.id] = state
        elapsed, state.stamp = stamp - state.stamp, stamp
        if elapsed > self._max_gap:
            state.smooth.reset()
        units: dict[int, ActionUnit] = {}
        blink = _closing(face)
        features = None if face.pose is None else measure(face.landmarks, face.pose)
        if face.pose is not None and features is not None:
            facing = _facing(face.pose)
            features = Features(*(float(v) for v in state.smooth(features, stamp)))
            eyes_open = not blink > _BLINKING
            if facing > _LEARN_TURN:
                state.neutral.update(features, min(elapsed, _MAX_STEP), eyes_open)
            seen = face.confidence * facing * _size(face)
            units = _units(features, state.neutral, seen)
            if not eyes_open:
                units[_LID_RAISER] = ActionUnit(0.0, confidence=units[_LID_RAISER].confidence)
            if math.isfinite(blink):
                # How open these eyes usually are is learned as what their lids do at rest.
                confidence = _HIGH * seen * _trust(state.neutral.known[_UPPER_LID])
                units[_BLINK] = ActionUnit(blink, confidence=confidence)
        elif math.isfinite(blink):
            units[_BLINK] = ActionUnit(blink, confidence=_LOW * face.confidence)
        return ActionUnits(face.id, _SOURCE, MappingProxyType(dict(sorted(units.items()))))


def _units(features: Features, neutral: Neutral, seen: float) -> dict[int, ActionUnit]:
    rest = neutral.features
    away = Features(*(now - then for now, then in zip(features, rest, strict=True)))
    known = dict(zip(Features._fields, neutral.known, strict=True))
    units = {}
    for unit in _UNITS:
        own = float(min(known[part] for part in unit.parts))
        # How much people differ hides small movements, until this one is known.
        hidden = unit.spread * (1.5 - own)
        intensity = (unit.score(away) - hidden) / (unit.full - hidden)
        units[unit.code] = ActionUnit(
            min(1.0, max(0.0, intensity)),
            confidence=unit.confidence * seen * _trust(own),
        )
    return units


def _trust(known: float) -> float:
    """Factor of confidence where rest is ``known`` by this share, and a population's otherwise."""
    return 0.6 + 0.4 * float(known)


def _closing(face: Face) -> float:
    """Intensity of 45 from the openness of the eyes that can be seen; NaN where none can."""
    known = [o for o in (face.left_eye_openness, face.right_eye_openness) if math.isfinite(o)]
    if not known:
        return math.nan
    opened = sum(known) / len(known)
    return min(1.0, max(0.0, (_CLOSING - opened) / (_CLOSING - _SHUT)))


def _facing(pose: HeadPose) -> float:
    """Cosine between the head's x axis and the line from it to the camera; 0 where unknown."""
    cosine = -float(pose.rotation[:, 0] @ pose.position) / float(np.linalg.norm(pose.position))
    return max(0.0, cosine) if math.isfinite(cosine) else 0.0


def _size(face: Face) -> float:
    corners = face.landmarks[[faces.RIGHT_OUTER_CANTHUS, faces.LEFT_OUTER_CANTHUS]]
    distance = float(np.linalg.norm(corners[0] - corners[1]))
    return distance * distance / (distance * distance + _HALF_SIZE * _HALF_SIZE)
