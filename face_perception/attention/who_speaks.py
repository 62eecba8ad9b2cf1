"""Estimates which of the people in view speaks, from their lips and from what is heard.

Three things are compared: how the lips move, whether a voice is heard, and whether the lips open
and close in time with the level of the sound. A direction of the sound may be added.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from face_perception.attention.lip_motion import (
    GRID_STEP,
    LipMotion,
    Trace,
    change_per_second,
    lip_motion,
    lip_opening,
)
from face_perception.attention.sound_delay import LAGS, LONGEST_DELAY, SoundDelay
from face_perception.attention.sound_direction import SoundDirection
from face_perception.settings import check, setting
from face_perception.types import Face, FloatArray

LIPS_AND_VOICE, LIPS_VOICE_AND_SOUND = "lips_and_voice", "lips_voice_and_sound"
WARN_DELAY = 0.1  # seconds; a larger delay between sound and images deserves a warning

_KEPT = 4.0  # seconds of lips and sound
_WINDOW = 1.2  # seconds over which lips and sound are compared
# The clocks are compared on pieces of this length, which end so long ago that their sound has come
# even if it is late and its stamps are early.
_COMPARED, _LATE = 1.2, 0.8
_VOICE_HOLD = 0.2  # seconds for which a voice counts after it was heard: pauses within words
_TURN_HOLD = 0.4  # seconds; after a longer pause somebody else may speak
_LIPS_EARLY = 0.1  # seconds by which lips move before the voice is heard
_HEARD = 0.5  # probability of voice from which on the sound is speech
_STALE = 0.5  # seconds without news of the voice after which it is not known
_DYNAMIC = 45.0  # dB below the loudest sound of the last seconds; quieter sound is noise
_LONGEST_SOUND_GAP = 0.1  # seconds
_LONGEST_IMAGE_GAP = 0.25  # seconds

# How lips move, as mean and standard deviation of the logarithm of the speed (canthus distances per
# second) and of the rhythm (radians per second), and how often silent lips move like this while
# somebody else speaks (a guess). Speed: real people who speak have 0.55 to 0.90, between words 0.06
# to 0.59 (10 GRID clips), the talking face 0.27 (astronaut) and 0.50 (grace_hopper); the widths
# were chosen by the F1 of bench/speaking.py. Rhythm: the mouth motion of this package on its own
# recordings and on generated speech, with noise of 0.6 % of the canthus distance.
_SPEAKING = ((-1.0, 0.8), (11.0, 2.5))
_STILL, _CHEWING, _TALKING = (
    (0.80, (-3.0, 0.7), (9.0, 3.0)),
    (0.12, (-1.2, 0.8), (7.8, 1.6)),
    (0.08, (-0.4, 0.7), (11.0, 2.2)),
)
_SILENT = (_STILL, _CHEWING, _TALKING)
_STILL_SPEED = math.exp(_STILL[1][0])
# The speed of resting lips comes from the noise of the landmarks. It is measured while nobody
# speaks, as this quantile over so many images, and subtracted.
_REST_QUANTILE, _REST_COUNT, _REST_LEAST, _MOST_REST = 0.3, 300, 25, 0.4
_DEFAULT_REST = 0.05
# Correlation of the change of the opening with that of the level: mean with the own voice and with
# another one, and its variance, which falls with the seconds of speech compared.
_OWN, _OTHER, _VARIANCE, _CHANCE = 0.5, 0.05, 0.03, 0.1
# Probability that the clocks are too far apart to compare, before and after the delay is known.
_MISALIGNED, _ALIGNED = 0.15, 0.03
# Evidence of the comparison adds up while the same voice goes on.
_MATCH_TIME, _MATCH_MEMORY, _MOST_MATCH, _PAUSE_MEMORY = 0.6, 1.5, 4.0, 0.1
_MOST_EVIDENCE = 5.0
_SURE = 2.5  # log odds from which on a face speaks without its direction
# While a voice is heard: probability that nobody in view speaks, that exactly one does, and two.
_NOBODY, _ONE, _TWO = 0.26, 0.73, 0.01


@dataclass(frozen=True)
class WhoSpeaksSettings:
    """Settings of ``WhoSpeaks``."""

    direction_sigma: float = setting(
        0.2,
        "Standard deviation of the direction on direction_topic. A larger value trusts it less.",
        minimum=0.02,
        maximum=3.0,
        unit="rad",
        dynamic=True,
    )


@dataclass(slots=True)
class _Lips:
    """What is remembered of the lips of one face."""

    opening: Trace = field(default_factory=lambda: Trace(_KEPT, _LONGEST_IMAGE_GAP))
    match: float = 0.0  # evidence of the comparison with the sound, log odds
    _rests: deque[float] = field(default_factory=deque)  # speeds while nobody spoke
    _sorted: list[float] = field(default_factory=list)  # the same, in order of their size

    def add_rest(self, speed: float) -> None:
        """Takes the speed in an image in which nobody speaks."""
        self._rests.append(speed)
        bisect.insort(self._sorted, speed)
        if len(self._rests) > _REST_COUNT:
            del self._sorted[bisect.bisect_left(self._sorted, self._rests.popleft())]

    @property
    def rest(self) -> float:
        """The speed of these lips at rest."""
        if len(self._sorted) < _REST_LEAST:
            return _DEFAULT_REST
        # np.quantile takes longer than all the rest.
        at = _REST_QUANTILE * (len(self._sorted) - 1)
        below, above = self._sorted[int(at) : int(at) + 2]
        return min(below + (at - int(at)) * (above - below), _MOST_REST)


class WhoSpeaks:
    """Tells with which probability each face speaks.

    Give it what is heard (``hear_voice``, and if possible ``hear_level`` and ``hear_direction``)
    and the faces of each image. Times are in seconds on one clock; the clock of the sound may be
    off by up to 0.6 s, which is estimated (``delay``).

    >>> who = WhoSpeaks()
    >>> who.update(0.0, [])
    {}
    """

    def __init__(self, settings: WhoSpeaksSettings | None = None) -> None:
        self.change_settings(settings or WhoSpeaksSettings())
        self.reset()

    def change_settings(self, settings: WhoSpeaksSettings) -> None:
        """Uses other settings from the next image on. Raises InputError if one is not allowed."""
        check(settings)
        self._settings = settings

    def reset(self) -> None:
        """Forgets all faces and what was heard."""
        self._faces: dict[str, _Lips] = {}
        self._voice = Trace(_KEPT, _STALE)
        self._level = Trace(_KEPT, _LONGEST_SOUND_GAP)
        self._direction = SoundDirection()
        self._clock = SoundDelay()
        self._stamp = self._compared = -math.inf

    @property
    def delay(self) -> float:
        """Seconds by which the stamps of the sound are later than those of the images.

        NaN as long as it is not known.
        """
        return self._clock.seconds

    @property
    def source(self) -> str:
        """What the last result rests on; empty if nothing was heard lately, and all is NaN."""
        if not self._stamp - self._voice.last <= _STALE + LONGEST_DELAY:  # or both are infinite
            return ""
        compared = self._stamp - self._level.last <= _STALE + LONGEST_DELAY
        return LIPS_VOICE_AND_SOUND if compared else LIPS_AND_VOICE

    def hear_voice(self, stamp: float, probability: float) -> None:
        """Takes the probability of a voice at ``stamp``; NaN: not listened, as the robot spoke."""
        self._voice.add(stamp, probability)

    def hear_level(self, stamp: float, level: float) -> None:
        """Takes the level of the sound at ``stamp``, dB."""
        self._level.add(stamp, level)

    def hear_direction(self, stamp: float, angle: float) -> None:
        """Takes the direction of the sound at ``stamp``: radians from the optical axis to the left.

        NaN: no direction is known now. Raises InputError for an angle in degrees, as
        ``SoundDirection.hear`` does.
        """
        self._direction.hear(stamp, angle)

    @property
    def direction_offset(self) -> float:
        """Radians by which the directions are off those who speak by their lips; NaN: they agree.

        Directions that are off do not count.
        """
        return self._direction.offset

    def update(
        self,
        stamp: float,
        faces: Sequence[Face],
        by_network: Mapping[str, float] | None = None,
    ) -> dict[str, float]:
        """Returns the probability that each of ``faces`` speaks, by id.

        ``faces`` are all faces in the image of ``stamp`` seconds. ``by_network`` are probabilities
        of a network, by id; they replace those of the lips, which then only serve to estimate the
        ``delay``. The probability is NaN if nothing is known of the voice, if the lips cannot be
        seen, or if the network says nothing of the face. Stamps that go back begin again.
        """
        if stamp < self._stamp:
            self.reset()
        step, self._stamp = stamp - self._stamp, stamp
        lips = {face.face_id: self._faces.get(face.face_id) or _Lips() for face in faces}
        self._faces = lips
        if stamp - self._voice.last > _KEPT:  # lips alone tell nothing, so nothing is measured
            return dict.fromkeys(lips, math.nan)
        shift = 0.0 if math.isnan(self.delay) else self.delay
        grid = stamp - np.arange(round(_WINDOW / GRID_STEP))[::-1] * GRID_STEP
        known = self._voice_known(grid + shift)
        voice, turn = (_held(known, hold) for hold in (_VOICE_HOLD, _TURN_HOLD))
        silent = np.flatnonzero(~(turn > _HEARD))
        begin = int(silent[-1]) + 1 if len(silent) else 0  # of the turn, on the grid
        spoken = (len(grid) - begin) * GRID_STEP
        since = spoken + _LIPS_EARLY if 0 < spoken < _WINDOW else math.inf
        sound = self._sound_change(grid + shift)
        now = float(voice[-1])
        evidence: dict[str, float] = {}
        speakers = []  # by the motion of their lips alone, for the clock may be wrong
        for face in faces:
            own = lips[face.face_id]
            own.opening.add(stamp, lip_opening(face))
            opening = own.opening.at(grid)
            change = _change(opening)
            motion = lip_motion(change, opening, since)
            if math.isnan(motion.speed):
                continue
            if now < 1 - _HEARD and math.isfinite(step):
                own.add_rest(motion.speed)
            moved = _motion_evidence(motion, own.rest)
            if moved > 0:
                speakers.append(own)
            self._match(own, change[begin:], sound[begin:], min(step, 1.0), moved)
            matched = own.match * (_moving(moved) if own.match > 0 else 1.0)
            found = max(-_MOST_EVIDENCE, min(moved + matched, _MOST_EVIDENCE))
            if now > _HEARD and found > _SURE:
                self._direction.compare(stamp, face)
            evidence[face.face_id] = found + self._direction_evidence(stamp, face)
        if now > _HEARD and stamp - self._compared >= _COMPARED:
            self._compare_clocks(stamp, speakers)
        if by_network is None:
            shares = _shares(evidence)
        else:
            shares = {
                face.face_id: _probability(
                    by_network[face.face_id], self._direction_evidence(stamp, face)
                )
                for face in faces
                if face.face_id in by_network
            }
        return {face.face_id: now * shares.get(face.face_id, math.nan) for face in faces}

    def _voice_known(self, times: FloatArray) -> FloatArray:
        """Returns the probability of a voice at ``times`` [N]; the last one goes on for a while."""
        last = self._voice.last
        known = self._voice.at(np.minimum(times, last))
        # As long as the clocks are not known, the newest sound may have a stamp this early.
        early = LONGEST_DELAY if math.isnan(self.delay) else 0.0
        known[times > last + _STALE + early] = math.nan
        return known

    def _sound_change(self, times: FloatArray) -> FloatArray:
        """Returns the change per second of the level at ``times`` [N], dB; NaN where not heard."""
        level = self._level.at(times)
        known = level[np.isfinite(level)]
        if not len(known):
            return level
        return _change(np.maximum(level, known.max() - _DYNAMIC))

    def _match(
        self,
        own: _Lips,
        change: FloatArray,
        sound: FloatArray,
        step: float,
        moved: float,
    ) -> None:
        """Adds the evidence of the comparison of lips and sound [N] since the last pause."""
        known = np.isfinite(change) & np.isfinite(sound)
        a, b = change[known], sound[known]
        if len(a) < 3:
            own.match *= math.exp(-step / _PAUSE_MEMORY)
            return
        energy = math.sqrt(float(a @ a) * float(b @ b))
        correlation = float(a @ b) / energy if energy > 0 else 0.0
        variance = _VARIANCE + _CHANCE / (len(a) * GRID_STEP)
        odds = ((correlation - _OTHER) ** 2 - (correlation - _OWN) ** 2) / (2 * variance)
        unknown = _MISALIGNED if math.isnan(self.delay) else _ALIGNED
        odds = math.log((1 - unknown) * math.exp(min(odds, 3.0)) + unknown)
        # Lips at rest fit nothing.
        added = _moving(moved) * odds * step / _MATCH_TIME
        own.match = own.match * math.exp(-step / _MATCH_MEMORY) + added
        own.match = max(-_MOST_MATCH, min(own.match, _MOST_MATCH))

    def _direction_evidence(self, stamp: float, face: Face) -> float:
        return self._direction.evidence(stamp, face, self._settings.direction_sigma)

    def _compare_clocks(self, stamp: float, speakers: Sequence[_Lips]) -> None:
        """Compares the lips of those who seem to speak with the sound at all delays."""
        count = round(_COMPARED / GRID_STEP) + 2 * LAGS
        grid = stamp - _LATE - np.arange(count)[::-1] * GRID_STEP
        sound = self._sound_change(grid)
        for speaker in speakers:
            self._compared = stamp
            lips = _change(speaker.opening.at(grid))
            self._clock.add(lips[LAGS:-LAGS], sound)


def _moving(moved: float) -> float:
    """Returns how much lips with these log odds of motion can be compared with sound, 0 to 1."""
    return min(max((moved + 3) / 2, 0.0), 1.0)


def _held(voice: FloatArray, seconds: float) -> FloatArray:
    """Returns the highest voice [N] of the last ``seconds`` at each moment of the grid."""
    count = round(seconds / GRID_STEP)
    highest = np.concatenate([np.full(count - 1, voice[0]), voice])
    width = 1  # of the windows whose maxima are in ``highest``
    while width < count:
        more = min(width, count - width)
        highest = np.maximum(highest[:-more], highest[more:])
        width += more
    return np.asarray(highest)


def _change(values: FloatArray) -> FloatArray:
    """Returns the change per second of values [N] on the grid; NaN where they are not known."""
    made = np.full(len(values), math.nan)
    known = np.flatnonzero(np.isfinite(values))
    # Unknown values are at the ends: a trace forgets what was before a gap.
    if len(known) > 2:
        inside = slice(int(known[0]), int(known[-1]) + 1)
        made[inside] = change_per_second(values[inside])
    return made


def _motion_evidence(motion: LipMotion, rest: float) -> float:
    """Returns the log odds that lips which move like this speak, against silent lips."""
    speed = math.sqrt(max(motion.speed**2 - rest**2, _STILL_SPEED**2))
    measured = math.log(speed), motion.rhythm

    def likelihood(model: tuple[tuple[float, float], ...]) -> float:
        return sum(
            -(((x - mean) / sigma) ** 2) / 2 - math.log(sigma)
            for x, (mean, sigma) in zip(measured, model, strict=True)
            if math.isfinite(x)
        )

    silent = math.log(
        sum(share * math.exp(likelihood((speed, rhythm))) for share, speed, rhythm in _SILENT)
        + 1e-12
    )
    return max(-_MOST_EVIDENCE, min(likelihood(_SPEAKING) - silent, _MOST_EVIDENCE))


def _probability(known: float, evidence: float) -> float:
    """Returns a probability after more evidence, log odds."""
    known = min(max(known, 1e-6), 1 - 1e-6)
    return 1 / (1 + math.exp(-evidence) * (1 - known) / known)


def _shares(evidence: Mapping[str, float]) -> dict[str, float]:
    """Returns the probability that each face speaks while a voice is heard.

    ``evidence`` are log odds by id. Compares: nobody in view speaks, each one alone, each two.
    """
    odds = {face_id: math.exp(value) for face_id, value in evidence.items()}
    pairs = list(itertools.combinations(odds, 2))
    weights = dict.fromkeys(odds, 0.0)
    total = _NOBODY
    for face_id, value in odds.items():
        weights[face_id] += _ONE / len(odds) * value
        total += _ONE / len(odds) * value
    for a, b in pairs:
        both = _TWO / len(pairs) * odds[a] * odds[b]
        weights[a] += both
        weights[b] += both
        total += both
    return {face_id: weight / total for face_id, weight in weights.items()}
