"""What makes a face live: blinks, small movements of eyes and head, brows that go with the voice.

Numbers only: it decides what a face does when; the renderers draw it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from face_perception.avatar.interfaces import FaceState
from face_perception.avatar.portrait import expression_blend as mood
from face_perception.errors import InputError
from face_perception.geometry import smoothstep
from face_perception.speech import MouthShape

FloatArray = npt.NDArray[np.float64]

# Spontaneous blinks of adults: about 15 to 20 a minute at rest, a half more in conversation;
# intervals are lognormal. The lid falls within 0.08 s and rises within 0.16.
_BLINK_IDLE, _BLINK_SPEAKING = 3.6, 2.5  # median interval, seconds
_BLINK_SPREAD = 0.45
_BLINK_MIN = 0.7
_FALL, _SHUT, _RISE = 0.08, 0.035, 0.16
_BLINK_WITH_LOOK = 0.25  # radians of a shift of gaze from which on it goes with a blink

# Fixations on a face: the eyes rest for a third of a second to three, and go on by a degree: from
# eye to eye at a metre. Further, and it would seem to look past what it was told to.
_FIXATION, _FIXATION_SPREAD = 1.0, 0.55
_FIXATION_SIZE = (0.018, 0.010)  # radians, standard deviation across and up
_FIXATION_MOST = 0.030
_SACCADE_BASE, _SACCADE_SLOPE = 0.021, 0.126  # seconds, and seconds a radian (main sequence)

# The head goes along with a look to the side, later and by a part.
HEAD_SHARE = 0.35
_HEAD_LAG = 0.35
_HEAD_MOST = (0.14, 0.10)

# Sway: amplitude in radians and period in seconds, for yaw, pitch and roll.
_SWAY = (
    ((0.010, 7.9), (0.006, 4.3)),
    ((0.006, 6.1), (0.004, 3.7)),
    ((0.006, 9.7), (0.004, 5.3)),
)
_SWAY_SPEAKING = 1.6

_EASE = 0.30  # seconds in which an expression comes and goes by 63 %
_STRESS_FAST, _STRESS_SLOW = 0.06, 0.9  # time constants of the jaw's two means, seconds
_STRESS_PAUSE = 0.9  # seconds between two raises of the brows, at least
_LONGEST_STEP = 0.2  # seconds that a call can move the face on


class IdleMotionAnimator:
    """``Animator``: the same seed and the same calls give the same states.

    It never opens the mouth of somebody who is silent: but for the jaw of surprise and fear, the
    mouth is what it was given. Raises InputError for a seed that is negative.
    """

    def __init__(self, seed: int = 0) -> None:
        if seed < 0:
            raise InputError(f"the seed of an animator must not be negative, not {seed}")
        self._random = np.random.default_rng(seed)
        self._time = math.nan
        self._now = 0.0  # how long it lives
        self._phase = self._random.uniform(0, 2 * math.pi, (3, 2))
        self._mood = np.zeros(len(mood.CHANNELS))
        self._wanted_mood = np.zeros(len(mood.CHANNELS))
        self._blink_from = -math.inf
        self._next_blink = self._interval(_BLINK_IDLE)
        self._target = np.zeros(2)
        self._offset = np.zeros(2)
        self._from = np.zeros(2)  # the saccade under way, or the last
        self._to = np.zeros(2)
        self._saccade_at, self._saccade_time = -math.inf, 0.02
        self._next_fixation = self._fixation()
        self._head = np.zeros(2)
        self._sway = 1.0
        self._fast = self._slow = 0.0
        self._stress = self._lift = 0.0
        self._last_stress = self._lift_until = -math.inf

    def set_expression(self, probability: npt.ArrayLike | None) -> None:
        """The expression to show, from now on: [7] in the order of ``types.EXPRESSIONS``, each in
        [0, 1]; None for neutral. Eased in and out. Raises InputError for anything else.
        """
        if probability is None:
            self._wanted_mood = np.zeros(len(mood.CHANNELS))
        else:
            self._wanted_mood = mood.blend_expression(probability)

    def set_valence_arousal(self, valence: float, arousal: float) -> None:
        """The same from valence and arousal, each in [-1, 1]."""
        self._wanted_mood = mood.blend_valence_arousal(valence, arousal)

    def look_at(self, yaw: float, pitch: float) -> None:
        """Where to look, from now on, radians in the picture's frame; (0, 0) is the viewer.

        Raises InputError for a direction that is not finite.
        """
        if not (math.isfinite(yaw) and math.isfinite(pitch)):
            raise InputError(f"a direction to look in must be finite, not ({yaw}, {pitch})")
        self._target = np.array([yaw, pitch], np.float64)

    def state_at(self, time: float, mouth: MouthShape, speaking: bool) -> FaceState:
        """The state at ``time`` seconds (any clock that does not go back), once an image."""
        step = time - self._time if math.isfinite(self._time) else 0.0
        self._time = time
        step = min(max(step, 0.0), _LONGEST_STEP)
        self._now += step
        self._mood += (1 - math.exp(-step / _EASE)) * (self._wanted_mood - self._mood)
        gaze = self._look(speaking)
        self._turn_head(step, speaking)
        self._emphasise(step, mouth.jaw if speaking else 0.0)
        felt = dict(zip(mood.CHANNELS, (float(v) for v in self._mood), strict=True))
        drop = 0.0 if speaking else felt["jaw"]
        if drop > 0.01:
            shape = MouthShape(max(mouth.jaw, drop), *(float(v) for v in mouth.values()[1:]))
        else:
            shape = mouth
        yaw, pitch, roll = self._sways()
        return FaceState(
            mouth=shape,
            smile=_limit(felt["smile"]),
            inner_brow=_limit(felt["inner_brow"] + 0.30 * self._lift),
            outer_brow=_limit(felt["outer_brow"] + 0.40 * self._lift),
            lids=_limit(felt["lids"] + 0.10 * self._lift),
            blink=self._blink(speaking),
            gaze_yaw=float(gaze[0]),
            gaze_pitch=float(gaze[1]),
            head_yaw=float(self._head[0]) + yaw,
            head_pitch=float(self._head[1]) + pitch + felt["head_pitch"] - 0.035 * self._stress,
            head_roll=roll,
        )

    def _interval(self, median: float) -> float:
        return max(_BLINK_MIN, median * math.exp(_BLINK_SPREAD * self._random.standard_normal()))

    def _fixation(self) -> float:
        return max(0.3, _FIXATION * math.exp(_FIXATION_SPREAD * self._random.standard_normal()))

    def _blink(self, speaking: bool) -> float:
        if self._now >= self._next_blink:
            self._blink_from = self._now
            median = _BLINK_SPEAKING if speaking else _BLINK_IDLE
            self._next_blink = self._now + self._interval(median)
        t = self._now - self._blink_from
        if t < _FALL:
            return float(smoothstep(t / _FALL))
        if t < _FALL + _SHUT:
            return 1.0
        return 1 - float(smoothstep((t - _FALL - _SHUT) / _RISE))

    def _look(self, speaking: bool) -> FloatArray:
        """Where the eyes look now: rest, or on the way of a saccade."""
        if self._now >= self._next_fixation:
            size = np.array(_FIXATION_SIZE) * (1.0 if speaking else 1.3)
            drawn = self._random.standard_normal(2) * size
            self._offset = np.clip(drawn, -_FIXATION_MOST, _FIXATION_MOST)
            self._next_fixation = self._now + self._fixation()
        wanted = self._target + self._offset
        there = self._now - self._saccade_at >= self._saccade_time
        if there and not np.array_equal(wanted, self._to):
            self._from, self._to = self._to, wanted
            distance = float(np.hypot(*(self._to - self._from)))
            self._saccade_at = self._now
            self._saccade_time = _SACCADE_BASE + _SACCADE_SLOPE * distance
            if distance > _BLINK_WITH_LOOK and self._now - self._blink_from > _BLINK_MIN:
                self._next_blink = self._now
        share = smoothstep((self._now - self._saccade_at) / self._saccade_time)
        return np.asarray(self._from + share * (self._to - self._from))

    def _turn_head(self, step: float, speaking: bool) -> None:
        wanted = np.clip(HEAD_SHARE * self._target, *(np.array(_HEAD_MOST) * s for s in (-1, 1)))
        self._head += (1 - math.exp(-step / _HEAD_LAG)) * (wanted - self._head)
        sway = _SWAY_SPEAKING if speaking else 1.0
        self._sway += (1 - math.exp(-step / 0.8)) * (sway - self._sway)

    def _sways(self) -> tuple[float, float, float]:
        sums = [
            sum(
                amplitude * math.sin(2 * math.pi * self._now / period + phase)
                for (amplitude, period), phase in zip(waves, phases, strict=True)
            )
            for waves, phases in zip(_SWAY, self._phase, strict=True)
        ]
        yaw, pitch, roll = (float(self._sway * s) for s in sums)
        return yaw, pitch, roll

    def _emphasise(self, step: float, jaw: float) -> None:
        """Stressed syllables nod the head a little; now and then one raises the brows."""
        self._fast += (1 - math.exp(-step / _STRESS_FAST)) * (jaw - self._fast)
        self._slow += (1 - math.exp(-step / _STRESS_SLOW)) * (jaw - self._slow)
        stressed = max(0.0, self._fast - self._slow - 0.12)
        self._stress += (1 - math.exp(-step / 0.12)) * (min(1.0, 2.5 * stressed) - self._stress)
        if stressed > 0.18 and self._now - self._last_stress > _STRESS_PAUSE:
            # Not each: a face that nods to a metronome is a machine's.
            self._last_stress = self._now if self._random.random() < 0.5 else self._now - 0.5
            if self._last_stress == self._now:
                self._lift_until = self._now + 0.35
        lifting = self._now < self._lift_until
        self._lift += (1 - math.exp(-step / (0.09 if lifting else 0.30))) * (lifting - self._lift)


def _limit(value: float) -> float:
    return max(-1.0, min(1.0, value))
