"""Estimates action units (FACS) relative to the person's neutral face, from landmarks and evidence.

The confidence of a unit is high or medium if it separates posed expressions that contain the unit
from neutral faces with an AUC above .75 on every data set that has it, and low otherwise
(bench/action_units.py and bench/appearance_units.py; figures in docs/affect.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from face_perception import faces
from face_perception.affect.face_measures import (
    FaceMeasures,
    appearance_measure,
    frontal_cosine,
    measure_face,
    visibility,
)
from face_perception.affect.neutral import NeutralFace
from face_perception.errors import InputError, one_line
from face_perception.smoothing import OneEuro
from face_perception.types import ActionUnit, ActionUnits, Blendshapes, Face, HeadPose, Neutral

_SOURCE, _SOURCE_WITH_APPEARANCE = "landmarks", "landmarks+appearance"

_HIGH, _MEDIUM, _LOW = 0.9, 0.6, 0.3  # confidence of a large face that looks at the camera

# Eye openness, relative to the person's usual openness, at which AU 45 begins and is complete. The
# mesh still measures a third of the usual openness on closed eyes.
_CLOSING, _SHUT = 0.85, 0.32
_BLINK = 45
_LID_RAISER = 5
_BLINKING = 0.3  # intensity of AU 45 above which measures of lids and brows are unreliable

_LEARN_TURN = math.cos(0.5)  # the neutral face is not learned from a head turned further, rad
_MAX_STEP = 0.1  # seconds; the most that one image counts for when the neutral face is learned


@dataclass(frozen=True, slots=True)
class _Appearance:
    """Describes how the appearance of a unit counts.

    Its share of the intensity is ``weight``; the landmarks have the rest. The weights were chosen
    on half of the people (CK+ with odd numbers, press photographs whose name has an odd sum of code
    points), the figures in docs/affect.md are of the others. ``population`` is as in ``_Unit``, for
    faces whose appearance is known. Its threshold is the median of 73 neutral press photographs of
    the first half of the people.
    """

    weight: float
    population: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Unit:
    """Describes how one action unit is computed.

    ``score`` takes the differences between a face's measures and its neutral face. The intensity
    rises linearly from 0 at the score ``threshold`` (the variation of a neutral face) to 1 at the
    score ``full``. ``needed`` names the measures that the score uses.

    These values and ``confidence`` apply once the person's own neutral face is known.
    ``population`` holds confidence and threshold relative to the population's neutral face; with
    None the unit is not estimated before the person's own is known. Its values were chosen so that
    the AUCs on CK+48, Yale and LFW are no worse than with a neutral face averaged over ten people
    (AU 12: .98, 25: .93, 26: .84 on CK+48).
    """

    code: int
    confidence: float
    score: Callable[[FaceMeasures], float]
    full: float
    threshold: float
    needed: tuple[str, ...]
    population: tuple[float, float] | None = None
    appearance: _Appearance | None = None

    def intensity(self, change: FaceMeasures, threshold: float) -> float:
        """Returns the intensity, not limited to 0 to 1. ``change`` is the difference to neutral."""
        found = (self.score(change) - threshold) / (self.full - threshold)
        if self.appearance is None:
            return found
        seen = self._appearance_of(change)
        if math.isnan(seen):
            return found
        return found + self.appearance.weight * (seen - found)

    def of_population(self, measures: FaceMeasures) -> tuple[float, float] | None:
        """Returns confidence and threshold for ``measures`` without the person's own neutral."""
        if self.appearance is None or math.isnan(self._appearance_of(measures)):
            return self.population
        return self.appearance.population

    def _appearance_of(self, measures: FaceMeasures) -> float:
        return float(getattr(measures, appearance_measure(self.code)))


def _seen_only(code: int) -> _Unit:
    """Returns a unit that only the appearance shows."""
    name = appearance_measure(code)
    return _Unit(code, _LOW, lambda d: getattr(d, name), 1.0, 0.0, (name,), population=(_LOW, 0.0))


_UNITS = (
    _Unit(
        1,
        _LOW,
        lambda d: d.inner_brow,
        0.08,
        0.005,
        ("inner_brow",),
        appearance=_Appearance(0.5, (_LOW, 0.007)),
    ),
    _Unit(
        2,
        _MEDIUM,
        lambda d: d.outer_brow,
        0.07,
        0.005,
        ("outer_brow",),
        appearance=_Appearance(0.5, (_LOW, 0.004)),
    ),
    _Unit(
        4,
        _LOW,
        # Blendshapes, if given, raise the AUC from .77 to .80 on CK+48 and do not change it on the
        # Yale faces. In a clip with a frown AU 4 is found in 24 of 54 images instead of 3. The
        # factor was chosen between .1 and .2 on these data.
        lambda d: -d.brow_gap - 0.5 * d.inner_brow + 0.2 * d.brow_down,
        0.06,
        0.004,
        ("brow_gap", "inner_brow"),
        appearance=_Appearance(0.5, (_LOW, 0.001)),
    ),
    _Unit(_LID_RAISER, _LOW, lambda d: d.upper_lid, 0.04, 0.007, ("upper_lid",)),
    _seen_only(6),
    _seen_only(9),
    _Unit(
        12,
        _HIGH,
        # A smile widens the mouth and lifts its corners. Widening alone does not count.
        lambda d: d.corner_lift + min(0.3 * d.mouth_width, max(d.corner_lift, 0.0)),
        0.1,
        0.011,
        ("corner_lift", "mouth_width"),
        population=(_HIGH, 0.0),
    ),
    _Unit(
        15,
        _LOW,
        lambda d: -d.corner_lift,
        0.06,
        0.0085,
        ("corner_lift",),
        appearance=_Appearance(0.75, (_LOW, 0.015)),
    ),
    # The population's threshold is again the median of neutral faces: the mean of this blendshape
    # is higher, because few faces have a high value.
    _Unit(
        17,
        _LOW,
        lambda d: d.chin_raise,
        0.5,
        0.02,
        ("chin_raise",),
        population=(_LOW, -0.086),
    ),
    _Unit(18, _LOW, lambda d: -d.mouth_width, 0.18, 0.025, ("mouth_width",)),
    # Subtract the widening that goes with lifted corners: that is a smile.
    _Unit(
        20,
        _LOW,
        lambda d: d.mouth_width - 2.5 * max(d.corner_lift, 0.0),
        0.18,
        0.0275,
        ("mouth_width", "corner_lift"),
        appearance=_Appearance(0.5, (_LOW, -0.012)),
    ),
    _Unit(
        25,
        _HIGH,
        lambda d: d.mouth_opening,
        0.1,
        0.004,
        ("mouth_opening",),
        population=(_HIGH, 0.012),
    ),
    # A jaw drop parts the lips and lowers the chin. Take the smaller of the two, because showing
    # the teeth parts the lips only, and a smile moves the chin only. The mesh shows half to nine
    # tenths of the chin's movement. Intensity 1 is a hanging jaw with the teeth 1 cm apart; more
    # would be AU 27.
    _Unit(
        26,
        _HIGH,
        lambda d: min(d.mouth_opening, 1.4 * d.jaw) - 0.03,
        0.08,
        0.008,
        ("mouth_opening", "jaw"),
        population=(_LOW, 0.024),
        appearance=_Appearance(0.5, (_LOW, 0.024)),
    ),
)


class _FaceState:
    """Holds the filter, the neutral face and the last measures of one face."""

    def __init__(self, stamp: float, smooth: OneEuro, neutral: NeutralFace) -> None:
        self.stamp = stamp
        self.smooth = smooth
        self.neutral = neutral
        self.measures: FaceMeasures | None = None  # of the last image
        self.why_not_neutral = ""  # why ``measures`` cannot be set as neutral; "" if they can


class LandmarkActionUnits:
    """Estimates intensities of action units, mainly from landmarks. Keeps a state for each face id.

    Turns the landmarks into a frontal view and compares distances between brows, lids, mouth and
    jaw with those of the same face when it is neutral. The neutral face is learned while the face
    is tracked (``NeutralFace``) or set with ``set_neutral``; until then it is the mean of a
    population. The intensity is linear, from 0 (neutral) to 1 (full movement); it is not the scale
    of FACS. ``probability`` is NaN. A unit that needs the person's own neutral face has intensity
    NaN and confidence 0 until that is known.

    - ``appearance``: whether ``estimate`` gets the appearance of faces. The source of the results
      is then ``landmarks+appearance``.
    - ``learn_time``: seconds of a neutral face after which it is known.
    - ``memory_time``: time constant in seconds with which older images of the neutral face lose
      weight.
    - ``min_cutoff`` (Hz), ``beta`` (Hz per unit per second): settings of the one-euro filter on the
      measures (Casiez et al. 2012). AU 45 (blink) is not filtered.
    - ``max_gap``: seconds between two images of a face after which the filter is reset.

    Raises InputError if a setting is out of range.

    >>> from face_perception.faces import load_tracker
    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> (face,) = load_tracker().detect(frame)
    >>> found = LandmarkActionUnits().estimate(face, frame.stamp)
    >>> found.units[12].intensity > 0.8  # she smiles
    True
    >>> found.neutral.name
    'POPULATION'
    """

    def __init__(
        self,
        *,
        appearance: bool = False,
        learn_time: float = 3.0,
        memory_time: float = 30.0,
        min_cutoff: float = 2.0,
        beta: float = 10.0,
        max_gap: float = 0.5,
    ) -> None:
        for name, value in (("learn_time", learn_time), ("memory_time", memory_time)):
            if not 0 < value < math.inf:
                raise InputError(f"{name} must be positive seconds, not {value}")
        if not max_gap >= 0:
            raise InputError(f"max_gap must not be negative, not {max_gap}")
        OneEuro(min_cutoff, beta)  # raises InputError for settings out of range
        self._source = _SOURCE_WITH_APPEARANCE if appearance else _SOURCE
        self._neutral_settings = (learn_time, memory_time)
        self._filter_settings = (min_cutoff, beta)
        self._max_gap = max_gap
        self.reset()

    def reset(self) -> None:
        """Forgets all faces."""
        self._states: dict[str, _FaceState] = {}
        self._present: tuple[str, ...] = ()  # ids in the last image
        # Neutral faces that were set for ids that have not been seen yet.
        self._preset: dict[str, FaceMeasures] = {}

    def keep(self, ids: Collection[str], stamp: float) -> None:
        """Forgets faces, with their neutral faces, that have been absent for too long.

        ``ids`` are the faces in the image of ``stamp`` (seconds). Any other face is forgotten
        ``faces.ID_EXPIRES_AFTER`` seconds after its last image, when the tracker gives up its id.
        """
        self._present = tuple(ids)
        self._states = {
            i: state
            for i, state in self._states.items()
            if i in ids or not faces.id_expired(state.stamp, stamp)
        }
        self._preset = {i: measures for i, measures in self._preset.items() if i in ids}

    @property
    def face_ids(self) -> list[str]:
        """Returns the ids of the tracked faces that were in the last image."""
        return [i for i in self._states if i in self._present]

    @property
    def any_neutral_set(self) -> bool:
        """Returns whether a neutral face was set for any tracked face."""
        return any(state.neutral.state == Neutral.SET for state in self._states.values())

    def neutral(self, face_id: str) -> Neutral:
        """Returns which kind of neutral face the units of ``face_id`` are relative to."""
        state = self._states.get(face_id)
        return Neutral.POPULATION if state is None else state.neutral.state

    def set_neutral(self, face_id: str, measures: FaceMeasures | None = None) -> None:
        """Sets the neutral face of ``face_id`` until the face is forgotten.

        Uses ``measures``, or those of the face in its last image. With ``measures`` the face need
        not have been seen yet. Raises InputError, naming the reason, if the face is not tracked, is
        turned away, or has closed eyes or a hidden mouth.
        """
        state = self._states.get(face_id)
        if state is None:
            if measures is None:
                raise InputError(f"{one_line(face_id, 80)}: no face is tracked under this id")
            self._preset[face_id] = measures
            return
        if measures is None:
            if state.why_not_neutral or state.measures is None:
                raise InputError(
                    f"{one_line(face_id, 80)}: {state.why_not_neutral}: try again when the face "
                    "looks ahead"
                )
            measures = state.measures
        state.neutral.set(measures)

    def forget_neutral(self, face_id: str) -> None:
        """Forgets the set or learned neutral face of ``face_id``, and starts to learn it again.

        Raises InputError if the face is not tracked.
        """
        self._preset.pop(face_id, None)
        if face_id not in self._states:
            raise InputError(f"{one_line(face_id, 80)}: no face is tracked under this id")
        self._states[face_id].neutral = NeutralFace(*self._neutral_settings)

    def estimate(
        self,
        face: Face,
        stamp: float,
        blendshapes: Blendshapes | None = None,
        appearance: Mapping[int, float] | None = None,
        *,
        mouth_seen: bool = True,
    ) -> ActionUnits:
        """Returns the action units of ``face`` in the image of ``stamp`` (seconds).

        Call it once for each face and image. ``blendshapes`` of the face add AU 17 and contribute
        to AU 4. The ``appearance`` of the face, as ``AppearanceNet`` estimates it, adds AU 6 and 9
        and contributes to AU 1, 2, 4, 15, 20 and 26. A unit that cannot be measured is missing from
        the result: without a head pose all but AU 45, and with a hidden mouth (``mouth_seen`` is
        false, see ``faces.mouth_visibility``) those of the mouth, 6 and 9. Forgets the face first
        if the stamp goes back, or if the face was last estimated more than
        ``faces.ID_EXPIRES_AFTER`` seconds ago.
        """
        state = self._states.get(face.face_id)
        if state is None or faces.id_expired(state.stamp, stamp):
            state = self._new_state(face.face_id, stamp)
        elapsed, state.stamp = stamp - state.stamp, stamp
        if elapsed > self._max_gap:
            state.smooth.reset()
        units: dict[int, ActionUnit] = {}
        blink = _blink_intensity(face)
        state.measures = measure_face(face, blendshapes, appearance, mouth_seen=mouth_seen)
        state.why_not_neutral = why_not_neutral(face, mouth_seen=mouth_seen)
        if face.pose is not None and state.measures is not None:
            measures = FaceMeasures(*(float(v) for v in state.smooth(state.measures, stamp)))
            state.measures = measures
            eyes_open = not blink > _BLINKING
            if elapsed > 0 and _looks_ahead(face.pose):
                state.neutral.update(measures, min(elapsed, _MAX_STEP), eyes_open)
            seen = visibility(face)
            units = _units(measures, state.neutral, seen)
            if not eyes_open and state.neutral.known.upper_lid:
                units[_LID_RAISER] = ActionUnit(0.0, confidence=units[_LID_RAISER].confidence)
            if math.isfinite(blink):
                # The usual eye openness becomes known at about the same time as the neutral
                # position of the lids.
                known = state.neutral.known.upper_lid
                units[_BLINK] = ActionUnit(blink, confidence=_HIGH * seen * _trust(known))
        elif math.isfinite(blink):
            units[_BLINK] = ActionUnit(blink, confidence=_LOW * face.confidence)
        return ActionUnits(
            face.face_id,
            self._source,
            MappingProxyType(dict(sorted(units.items()))),
            neutral=state.neutral.state,
        )

    def _new_state(self, face_id: str, stamp: float) -> _FaceState:
        state = _FaceState(
            stamp, OneEuro(*self._filter_settings), NeutralFace(*self._neutral_settings)
        )
        self._states[face_id] = state
        preset = self._preset.pop(face_id, None)
        if preset is not None:
            state.neutral.set(preset)
        return state


def _units(measures: FaceMeasures, neutral: NeutralFace, seen: float) -> dict[int, ActionUnit]:
    """Returns all units but 45 by code; ``seen`` is the visibility of the face, [0, 1]."""
    at_rest, known = neutral.measures, neutral.known
    change = FaceMeasures(*(now - rest for now, rest in zip(measures, at_rest, strict=True)))
    if not known.brow_down or math.isnan(change.brow_down):
        change = change._replace(brow_down=0.0)
    units = {}
    for unit in _UNITS:
        if any(math.isnan(getattr(measures, name)) for name in unit.needed):
            continue
        own = all(getattr(known, name) for name in unit.needed)
        usable = (unit.confidence, unit.threshold) if own else unit.of_population(measures)
        if usable is None:
            units[unit.code] = ActionUnit(confidence=0.0)
            continue
        confidence, threshold = usable
        intensity = unit.intensity(change, threshold)
        units[unit.code] = ActionUnit(
            min(1.0, max(0.0, intensity)), confidence=confidence * seen * _trust(own)
        )
    return units


def _trust(known: float) -> float:
    """Returns the factor of the confidence: 1 if the person's neutral face is known, else 0.6."""
    return 0.6 + 0.4 * float(known)


def why_not_neutral(face: Face, *, mouth_seen: bool = True, closed_above: float = _BLINKING) -> str:
    """Returns why an image of a face cannot be that of its neutral face; empty if it can.

    - ``mouth_seen``: whether ``faces.mouth_visibility`` is at least ``faces.HIDDEN_BELOW``.
    - ``closed_above``: intensity of AU 45 above which the eyes count as closed.
    """
    if face.pose is None:
        return "the face cannot be measured without a head pose"
    if not _looks_ahead(face.pose):
        return "the head is turned away"
    if _blink_intensity(face) > closed_above:
        return "the eyes are closed"
    return "" if mouth_seen else "the mouth is hidden"


def _looks_ahead(pose: HeadPose) -> bool:
    return frontal_cosine(pose) > _LEARN_TURN


def _blink_intensity(face: Face) -> float:
    """Returns the intensity of AU 45 from the mean openness of the eyes; NaN if it is unknown."""
    known = [o for o in (face.left_eye_openness, face.right_eye_openness) if math.isfinite(o)]
    if not known:
        return math.nan
    opened = sum(known) / len(known)
    return min(1.0, max(0.0, (_CLOSING - opened) / (_CLOSING - _SHUT)))
