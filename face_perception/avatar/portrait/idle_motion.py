"""Generates idle motion: blinks, saccades, head sway; ``prosody`` adds what follows the voice.

Contains numbers only: it decides what the face does and when; a renderer draws it.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from face_perception.avatar.interfaces import FaceState
from face_perception.avatar.portrait import expression_blend as blend
from face_perception.avatar.portrait.prosody import Accent, Prosody
from face_perception.errors import InputError
from face_perception.geometry import smoothstep
from face_perception.speech import MouthShape

FloatArray = npt.NDArray[np.float64]

# Adults blink about 15 to 20 times a minute at rest and half as often again in conversation; the
# intervals are lognormal. The lid falls within 0.08 s and rises within 0.16 s.
_BLINK_IDLE, _BLINK_SPEAKING = 3.6, 2.5  # median interval, seconds
_BLINK_SPREAD = 0.45  # standard deviation of the logarithm
_BLINK_MIN = 0.7  # shortest interval, seconds
_FALL, _SHUT, _RISE = 0.08, 0.035, 0.16  # seconds
_BLINK_WITH_LOOK = 0.25  # radians; a larger shift of gaze is accompanied by a blink

# Fixations on a face last a third of a second to three seconds. The eyes then move by about a
# degree, as from one eye of the viewer to the other at a metre. With larger movements the face
# would seem to look past its target.
_FIXATION, _FIXATION_SPREAD = 1.0, 0.55  # median, seconds; standard deviation of the logarithm
_FIXATION_SIZE = (0.018, 0.010)  # standard deviation of yaw and pitch, radians
_FIXATION_MOST = 0.030  # radians
# Duration of a saccade: seconds, and seconds per radian (the main sequence).
_SACCADE_BASE, _SACCADE_SLOPE = 0.021, 0.126

# The head follows the gaze target by a share of its angle, with a lag.
HEAD_SHARE = 0.35
_HEAD_LAG = 0.35  # time constant, seconds
_HEAD_MOST = (0.14, 0.10)  # yaw and pitch, radians

# Sway: amplitude in radians and period in seconds, for yaw, pitch and roll.
_SWAY = (
    ((0.010, 7.9), (0.006, 4.3)),
    ((0.006, 6.1), (0.004, 3.7)),
    ((0.006, 9.7), (0.004, 5.3)),
)
_SWAY_SPEAKING = 1.6  # factor on the sway while speaking

_EASE = 0.30  # time constant of a change of expression, seconds
_LONGEST_STEP = 0.2  # longest time by which one call advances the face, seconds


class IdleMotionAnimator:
    """An ``Animator`` with blinks, saccades and sway; the same seed and calls give the same states.

    The mouth is as given to ``state_at``, except that in silence the jaw drops in a surprised or
    scared face, and a smile shows the teeth. With ``prosody``, head, brows and lids follow the
    speech, less in a sad face and more in a lively one.

    Raises InputError if ``seed`` is negative.

    >>> from face_perception.speech import REST
    >>> animator = IdleMotionAnimator(seed=0)
    >>> animator.set_expression([0, 0, 0, 0, 1, 0, 0])  # happy
    >>> states = [animator.state_at(k / 30, REST, speaking=False) for k in range(300)]
    >>> states[0].smile < 0.1 < 0.8 < states[-1].smile  # the smile is eased in
    True
    >>> max(state.blink for state in states) > 0.9  # at least one blink in ten seconds
    True
    """

    def __init__(self, seed: int = 0, *, prosody: bool = True) -> None:
        if seed < 0:
            raise InputError(f"the seed of an animator must be 0 or more, not {seed}")
        self._random = np.random.default_rng(seed)
        self._time = math.nan
        self._now = 0.0  # seconds that the face has been animated
        self._phase = self._random.uniform(0, 2 * math.pi, (3, 2))
        self._blend_now = np.zeros(len(blend.CHANNELS))
        self._wanted_blend = np.zeros(len(blend.CHANNELS))
        self._blink_from = -math.inf
        self._next_blink = self._blink_interval(_BLINK_IDLE)
        self._target = np.zeros(2)
        self._offset = np.zeros(2)
        self._from = np.zeros(2)  # start and end of the current or last saccade
        self._to = np.zeros(2)
        self._saccade_at, self._saccade_time = -math.inf, 0.02
        self._next_fixation = self._fixation_time()
        self._head = np.zeros(2)
        self._sway = 1.0
        self._prosody = Prosody(np.random.default_rng([seed, 1])) if prosody else None

    def set_expression(self, probability: npt.ArrayLike | None) -> None:
        """Sets the expression to show: [7] in the order of ``types.EXPRESSIONS``, each in [0, 1].

        None is the neutral face. The change is eased in. Raises InputError for another length or a
        value out of range.
        """
        if probability is None:
            self._wanted_blend = np.zeros(len(blend.CHANNELS))
        else:
            self._wanted_blend = blend.blend_expression(probability)

    def set_valence_arousal(self, valence: float, arousal: float) -> None:
        """Sets the expression to show from valence and arousal.

        Raises InputError if one is outside [-1, 1].
        """
        self._wanted_blend = blend.blend_valence_arousal(valence, arousal)

    def look_at(self, yaw: float, pitch: float) -> None:
        """Sets the gaze direction, radians in the picture's frame; (0, 0) is the viewer.

        Raises InputError if it is not finite.
        """
        if not (math.isfinite(yaw) and math.isfinite(pitch)):
            raise InputError(f"the gaze direction must be finite, not yaw {yaw}, pitch {pitch}")
        self._target = np.array([yaw, pitch], np.float64)

    def state_at(self, time: float, mouth: MouthShape, speaking: bool) -> FaceState:
        """Returns the state at ``time`` seconds of any clock that does not go back.

        Call it once per frame.
        """
        step = time - self._time if math.isfinite(self._time) else 0.0
        self._time = time
        step = min(max(step, 0.0), _LONGEST_STEP)
        self._now += step
        self._blend_now += (1 - math.exp(-step / _EASE)) * (self._wanted_blend - self._blend_now)
        gaze = self._gaze_now(speaking)
        self._turn_head(step, speaking)
        shown = dict(zip(blend.CHANNELS, (float(v) for v in self._blend_now), strict=True))
        accent = self._accent(step, mouth.jaw if speaking else 0.0, shown)
        shape = mouth
        if not speaking and max(shown["jaw"], shown["teeth"]) > 0.01:
            jaw, teeth = max(mouth.jaw, shown["jaw"]), max(mouth.teeth, shown["teeth"])
            shape = replace(mouth, jaw=jaw, teeth=teeth)
        yaw, pitch, roll = self._head_sway()
        return FaceState(
            mouth=shape,
            smile=_limit(shown["smile"]),
            brow_knit=shown["brow_knit"],
            cheeks=shown["cheeks"],
            nose=shown["nose"],
            stretch=shown["stretch"],
            tighten=shown["tighten"],
            inner_brow=_limit(shown["inner_brow"] + 0.30 * accent.brows),
            outer_brow=_limit(shown["outer_brow"] + 0.40 * accent.brows),
            lids=_limit(shown["lids"] + 0.10 * accent.brows),
            blink=self._blink_now(speaking),
            gaze_yaw=float(gaze[0]),
            gaze_pitch=float(gaze[1]),
            head_yaw=float(self._head[0]) + yaw,
            head_pitch=float(self._head[1]) + pitch + shown["head_pitch"] + accent.head_pitch,
            head_roll=roll,
        )

    def _blink_interval(self, median: float) -> float:
        return max(_BLINK_MIN, median * math.exp(_BLINK_SPREAD * self._random.standard_normal()))

    def _fixation_time(self) -> float:
        return max(0.3, _FIXATION * math.exp(_FIXATION_SPREAD * self._random.standard_normal()))

    def _blink_now(self, speaking: bool) -> float:
        if self._now >= self._next_blink:
            self._blink_from = self._now
            median = _BLINK_SPEAKING if speaking else _BLINK_IDLE
            self._next_blink = self._now + self._blink_interval(median)
        t = self._now - self._blink_from
        if t < _FALL:
            return float(smoothstep(t / _FALL))
        if t < _FALL + _SHUT:
            return 1.0
        return 1 - float(smoothstep((t - _FALL - _SHUT) / _RISE))

    def _gaze_now(self, speaking: bool) -> FloatArray:
        """Returns yaw and pitch of the eyes [2], radians: at rest, or during a saccade."""
        if self._now >= self._next_fixation:
            size = np.array(_FIXATION_SIZE) * (1.0 if speaking else 1.3)
            drawn = self._random.standard_normal(2) * size
            self._offset = np.clip(drawn, -_FIXATION_MOST, _FIXATION_MOST)
            self._next_fixation = self._now + self._fixation_time()
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

    def _head_sway(self) -> tuple[float, float, float]:
        sums = [
            sum(
                amplitude * math.sin(2 * math.pi * self._now / period + phase)
                for (amplitude, period), phase in zip(waves, phases, strict=True)
            )
            for waves, phases in zip(_SWAY, self._phase, strict=True)
        ]
        yaw, pitch, roll = (float(self._sway * s) for s in sums)
        return yaw, pitch, roll

    def _accent(self, step: float, jaw: float, shown: dict[str, float]) -> Accent:
        """Returns what the speech adds, given the channels ``shown`` of the expression."""
        if self._prosody is None:
            return Accent()
        lively = 1 + 0.5 * (shown["lids"] + 0.5 * shown["smile"] + shown["tighten"])
        accent = self._prosody.follow(step, jaw, min(max(lively, 0.4), 1.5))
        if accent.blink and self._now - self._blink_from > _BLINK_MIN:
            self._next_blink = self._now
        return accent


def _limit(value: float) -> float:
    return max(-1.0, min(1.0, value))
