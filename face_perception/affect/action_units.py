"""Action units from the geometry of landmarks, relative to the face's own neutral. Reads no pixels.

Confidence says how well a unit separates posed expressions that contain it from the same person's
neutral face. High and medium: an AUC above .75 on every set that has the unit. Low: not shown to
reach that (bench/action_units.py; figures in docs/affect.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import MappingProxyType

from face_perception import faces
from face_perception.affect.face_measures import (
    FaceMeasures,
    frontal_cosine,
    measure_face,
    visibility,
)
from face_perception.affect.neutral import NeutralFace
from face_perception.errors import InputError
from face_perception.smoothing import OneEuro
from face_perception.types import ActionUnit, ActionUnits, Blendshapes, Face, Neutral

_SOURCE = "landmarks"

_HIGH, _MEDIUM, _LOW = 0.9, 0.6, 0.3  # confidence under the best of conditions

# Openness of an eye, relative to its usual one, at which it begins to close and is shut: what the
# mesh still measures between shut lids is a third of an open eye.
_CLOSING, _SHUT = 0.85, 0.32
_BLINK = 45
_LID_RAISER = 5
_BLINKING = 0.3  # intensity of 45 from which on lids and brows are not to be trusted

_LEARN_TURN = math.cos(0.5)  # a head turned further teaches nothing about its neutral
_MAX_STEP = 0.1  # seconds that one image can stand for


@dataclass(frozen=True, slots=True)
class _Unit:
    """How to measure an action unit: ``score`` of the features' differences from neutral.

    ``full`` is the score of the full movement. ``hidden`` is the score at which the intensity
    begins: the variation of a neutral face. Both, and ``confidence``, apply if the face's neutral
    is known. ``guessed`` holds confidence and ``hidden`` for the population's neutral; None: the
    unit is then not estimated. Its values were chosen so that the AUCs on CK+48, Yale and LFW are
    no worse than with a neutral averaged over ten people (12: .98, 25: .93, 26: .84 on CK+48).
    """

    code: int
    confidence: float
    score: Callable[[FaceMeasures], float]
    full: float
    hidden: float
    parts: tuple[str, ...]  # features whose neutral must be known
    guessed: tuple[float, float] | None = None


_UNITS = (
    _Unit(1, _LOW, lambda d: d.inner_brow, 0.08, 0.005, ("inner_brow",)),
    _Unit(2, _MEDIUM, lambda d: d.outer_brow, 0.07, 0.005, ("outer_brow",)),
    _Unit(
        4,
        _LOW,
        # Blendshapes, if known, add what the distances do not show. The AUC rises from .77 to .80
        # on CK+48 and does not change on the Yale faces. In a clip with a frown AU 4 is found in 24
        # of 54 images instead of 3. The factor was chosen between .1 and .2 on these data.
        lambda d: -d.brow_gap - 0.5 * d.inner_brow + 0.2 * d.brow_down,
        0.06,
        0.004,
        ("brow_gap", "inner_brow"),
    ),
    _Unit(_LID_RAISER, _LOW, lambda d: d.upper_lid, 0.04, 0.007, ("upper_lid",)),
    _Unit(
        12,
        _HIGH,
        # A smile widens the mouth, but what only widens it is no smile.
        lambda d: d.corner_lift + min(0.3 * d.mouth_width, max(d.corner_lift, 0.0)),
        0.1,
        0.011,
        ("corner_lift", "mouth_width"),
        guessed=(_HIGH, 0.0),
    ),
    _Unit(15, _LOW, lambda d: -d.corner_lift, 0.06, 0.0085, ("corner_lift",)),
    _Unit(17, _LOW, lambda d: d.chin_raise, 0.5, 0.02, ("chin_raise",)),
    _Unit(18, _LOW, lambda d: -d.mouth_width, 0.18, 0.025, ("mouth_width",)),
    # A smile widens the mouth as it lifts the corners: subtract the width that the lift explains.
    _Unit(
        20,
        _LOW,
        lambda d: d.mouth_width - 2.5 * max(d.corner_lift, 0.0),
        0.18,
        0.0275,
        ("mouth_width", "corner_lift"),
    ),
    _Unit(
        25,
        _HIGH,
        lambda d: d.mouth_opening,
        0.1,
        0.004,
        ("mouth_opening",),
        guessed=(_HIGH, 0.012),
    ),
    # Showing the teeth parts the lips, and a smile moves the chin. A jaw drop does more of both.
    # The mesh shows only half to nine tenths of the chin's movement. The full movement is a hanging
    # jaw with the teeth 1 cm apart; more is AU 27.
    _Unit(
        26,
        _HIGH,
        lambda d: min(d.mouth_opening, 1.4 * d.jaw) - 0.03,
        0.08,
        0.008,
        ("mouth_opening", "jaw"),
        guessed=(_LOW, 0.024),
    ),
)


class _State:
    """What is remembered of one face."""

    def __init__(self, stamp: float, smooth: OneEuro, neutral: NeutralFace) -> None:
        self.stamp = stamp
        self.smooth = smooth
        self.neutral = neutral
        # The features of the last image; the reason if they cannot be set as neutral, else "".
        self.features: FaceMeasures | None = None
        self.unfit = ""


class LandmarkActionUnits:
    """Intensities of the action units that landmarks can tell, with a memory for each face id.

    Compares distances of brows, lids, mouth and jaw, in a frontal view, with those of the same face
    when it is neutral. The neutral is learned while the face is followed (``NeutralFace``) or set;
    until then it is the population's. The scale is linear from 0 to 1 for a full movement; it is
    not the scale of FACS. ``probability`` is NaN: geometry gives none. A unit whose neutral is not
    known well enough has a NaN intensity and confidence 0.

    - ``believe``: seconds of a neutral face until its neutral is known.
    - ``memory``: seconds after which what was learned fades.
    - ``min_cutoff``, ``beta``: of the one-euro filter on the features (hertz; hertz a unit/s). The
      eyes' closing is not smoothed.
    - ``max_gap``: seconds between two images of a face after which the filter starts afresh.

    Raises InputError where a setting is out of range.
    """

    def __init__(
        self,
        *,
        believe: float = 3.0,
        memory: float = 30.0,
        min_cutoff: float = 2.0,
        beta: float = 10.0,
        max_gap: float = 0.5,
    ) -> None:
        for name, value in (("believe", believe), ("memory", memory)):
            if not 0 < value < math.inf:
                raise InputError(f"{name} must be positive seconds, not {value}")
        if not max_gap >= 0:
            raise InputError(f"max_gap must not be negative, not {max_gap}")
        OneEuro(min_cutoff, beta)  # refuses what is out of range
        self._neutral = (believe, memory)
        self._filter = (min_cutoff, beta)
        self._max_gap = max_gap
        self.reset()

    def reset(self) -> None:
        """Forget every face."""
        self._states: dict[str, _State] = {}
        self._here: tuple[str, ...] = ()  # ids in the last image
        # Neutral faces that were set for ids that have not been seen yet.
        self._given: dict[str, FaceMeasures] = {}

    def keep(self, ids: Collection[str], stamp: float) -> None:
        """Forget the faces that are not among ``ids``, those in the image of ``stamp``, and their
        neutrals, once their ids cannot come back (``faces.ID_EXPIRES_AFTER``).
        """
        self._here = tuple(ids)
        self._states = {
            i: state
            for i, state in self._states.items()
            if i in ids or 0 <= stamp - state.stamp <= faces.ID_EXPIRES_AFTER
        }
        self._given = {i: features for i, features in self._given.items() if i in ids}

    @property
    def face_ids(self) -> list[str]:
        """The faces that are followed and were in the last image."""
        return [i for i in self._states if i in self._here]

    @property
    def any_neutral_set(self) -> bool:
        """Whether any followed face has a neutral that was set."""
        return any(state.neutral.state == Neutral.SET for state in self._states.values())

    def neutral(self, face_id: str) -> Neutral:
        """The kind of neutral that the units of a face are relative to."""
        state = self._states.get(face_id)
        return Neutral.POPULATION if state is None else state.neutral.state

    def set_neutral(self, face_id: str, features: FaceMeasures | None = None) -> None:
        """Sets the neutral of a face until the face is forgotten.

        The neutral is ``features``, or the measures of the face in its last image. With
        ``features`` the face need not have been seen yet. Raises InputError with the reason for a
        face that is not followed, is turned away or has closed eyes.
        """
        state = self._states.get(face_id)
        if state is None:
            if features is None:
                raise InputError(f"{face_id}: no face is followed under this id")
            self._given[face_id] = features
            return
        if features is None:
            if state.unfit or state.features is None:
                raise InputError(f"{face_id}: {state.unfit}: ask again when it looks ahead")
            features = state.features
        state.neutral.set(features)

    def forget_neutral(self, face_id: str) -> None:
        """Forget the neutral of a face, set or learned, and learn it from the start.

        Raises InputError for a face that is not followed.
        """
        self._given.pop(face_id, None)
        if face_id not in self._states:
            raise InputError(f"{face_id}: no face is followed under this id")
        self._states[face_id].neutral = NeutralFace(*self._neutral)

    def estimate(
        self, face: Face, stamp: float, blendshapes: Blendshapes | None = None
    ) -> ActionUnits:
        """Action units of ``face`` at ``stamp`` seconds; call it once an image and face.

        The face's ``blendshapes`` contribute to AU 4 and add AU 17. A unit that cannot be measured
        is absent: all but 45 without a head pose. A stamp that goes
        back, or one so late that the id has expired (``faces.ID_EXPIRES_AFTER``), forgets the face.
        """
        state = self._states.get(face.id)
        if state is None or not 0 <= stamp - state.stamp <= faces.ID_EXPIRES_AFTER:
            state = self._new(face.id, stamp)
        elapsed, state.stamp = stamp - state.stamp, stamp
        if elapsed > self._max_gap:
            state.smooth.reset()
        units: dict[int, ActionUnit] = {}
        blink = _closing(face)
        state.features = measure_face(face, blendshapes)
        state.unfit = "cannot be measured without a head pose"
        if face.pose is not None and state.features is not None:
            features = FaceMeasures(*(float(v) for v in state.smooth(state.features, stamp)))
            state.features = features
            eyes_open = not blink > _BLINKING
            ahead = frontal_cosine(face.pose) > _LEARN_TURN
            state.unfit = "" if eyes_open and ahead else "the eyes are closed"
            if not ahead:
                state.unfit = "the head is turned away"
            elif elapsed > 0:
                state.neutral.update(features, min(elapsed, _MAX_STEP), eyes_open)
            seen = visibility(face)
            units = _units(features, state.neutral, seen)
            if not eyes_open and state.neutral.known.upper_lid:
                units[_LID_RAISER] = ActionUnit(0.0, confidence=units[_LID_RAISER].confidence)
            if math.isfinite(blink):
                # How open these eyes usually are is learned as what their lids do at rest.
                known = state.neutral.known.upper_lid
                units[_BLINK] = ActionUnit(blink, confidence=_HIGH * seen * _trust(known))
        elif math.isfinite(blink):
            units[_BLINK] = ActionUnit(blink, confidence=_LOW * face.confidence)
        return ActionUnits(
            face.id,
            _SOURCE,
            MappingProxyType(dict(sorted(units.items()))),
            neutral=state.neutral.state,
        )

    def _new(self, face_id: str, stamp: float) -> _State:
        state = _State(stamp, OneEuro(*self._filter), NeutralFace(*self._neutral))
        self._states[face_id] = state
        given = self._given.pop(face_id, None)
        if given is not None:
            state.neutral.set(given)
        return state


def _units(features: FaceMeasures, neutral: NeutralFace, seen: float) -> dict[int, ActionUnit]:
    rest, known = neutral.features, neutral.known
    away = FaceMeasures(*(now - then for now, then in zip(features, rest, strict=True)))
    if not known.brow_down or math.isnan(away.brow_down):
        away = away._replace(brow_down=0.0)
    units = {}
    for unit in _UNITS:
        if any(math.isnan(getattr(features, part)) for part in unit.parts):
            continue
        own = all(getattr(known, part) for part in unit.parts)
        usable = (unit.confidence, unit.hidden) if own else unit.guessed
        if usable is None:
            units[unit.code] = ActionUnit(confidence=0.0)
            continue
        confidence, hidden = usable
        intensity = (unit.score(away) - hidden) / (unit.full - hidden)
        units[unit.code] = ActionUnit(
            min(1.0, max(0.0, intensity)), confidence=confidence * seen * _trust(own)
        )
    return units


def _trust(known: float) -> float:
    """Factor of confidence: 1 for the face's own neutral (``known`` 1), less otherwise."""
    return 0.6 + 0.4 * float(known)


def _closing(face: Face) -> float:
    """Intensity of 45 from the openness of the eyes that can be seen; NaN where none can."""
    known = [o for o in (face.left_eye_openness, face.right_eye_openness) if math.isfinite(o)]
    if not known:
        return math.nan
    opened = sum(known) / len(known)
    return min(1.0, max(0.0, (_CLOSING - opened) / (_CLOSING - _SHUT)))
