"""Decides whether a person talks over the robot."""

from __future__ import annotations

import math
from dataclasses import dataclass

from face_perception.errors import InputError
from face_perception.settings import check, setting
from face_perception.speech.voice_activity import VOICE_STEP

# Chosen in the simulated rooms of bench/barge_in.py.
_VOICE = 0.5  # least probability of speech that counts
_FORGOTTEN = 0.5  # share of the time without voice that is taken off the time with voice
_SILENT = 0.5  # seconds without voice after which the person has stopped


@dataclass(frozen=True)
class BargeInSettings:
    """Settings of ``BargeIn``."""

    barge_in: str = setting(
        "off",
        "What happens to the robot's speech when a person talks over it. off: nothing. duck: it is "
        "softer (by 12 dB) until the person stops. stop: it is interrupted. Needs the topic "
        "voice_activity, with echo_cancellation of the node voice_activity.",
        choices=("off", "duck", "stop"),
    )
    barge_in_time: float = setting(
        0.03,
        "How long a voice must be heard over the robot's speech before `barge_in` acts. It is "
        "heard about 0.25 s after its first sound, because voice_activity compares levels for "
        '0.13 s. A larger value ignores short answers such as "yes".',
        minimum=0.0,
        maximum=10.0,
        unit="s",
        dynamic=True,
    )


class BargeIn:
    """Follows the voice activity while the robot speaks.

    >>> barge_in = BargeIn(BargeInSettings(barge_in="stop", barge_in_time=0.1))
    >>> [barge_in.hear(0.032 * k, probability=0.9, robot_speaks=True) for k in range(5)]
    [False, False, False, True, True]
    """

    def __init__(self, settings: BargeInSettings | None = None) -> None:
        self.change_settings(settings or BargeInSettings())
        self.reset()

    def change_settings(self, settings: BargeInSettings) -> None:
        """Uses other settings from now on. Raises InputError if they are out of range."""
        check(settings)
        self._time = settings.barge_in_time

    def reset(self) -> None:
        """Forgets what was heard."""
        self._heard = 0.0  # seconds of voice over the robot's speech
        self._last = -math.inf  # stamp of the last step with voice
        self._talking = False
        self._deaf = 0.0

    @property
    def deaf(self) -> float:
        """Seconds of the robot's speech in which it was unknown whether a person talks.

        Counts from when it was known last while the robot spoke.
        """
        return self._deaf

    def hear(self, stamp: float, probability: float, robot_speaks: bool) -> bool:
        """Takes one step of 32 ms; returns whether a person talks over the robot.

        ``stamp`` is the time of the step in seconds, ``probability`` that of speech; NaN if it is
        unknown. A person who was talking over the robot still does for 0.5 s of silence. Raises
        InputError for a probability outside [0, 1].
        """
        if not (math.isnan(probability) or 0 <= probability <= 1):
            raise InputError(f"the probability of speech is {probability}: publish one from 0 to 1")
        if stamp < self._last:  # the clock went back
            self.reset()
        if robot_speaks:
            self._deaf = self._deaf + VOICE_STEP if math.isnan(probability) else 0.0
        voice = probability >= _VOICE
        if voice:
            self._last = stamp
        if self._talking:
            self._talking = robot_speaks and stamp - self._last < _SILENT
        if not robot_speaks or (not self._talking and stamp - self._last >= _SILENT):
            self._heard = 0.0
            return False
        change = VOICE_STEP if voice else -_FORGOTTEN * VOICE_STEP
        self._heard = max(0.0, self._heard + change)
        self._talking = self._talking or (voice and self._heard >= self._time)
        return self._talking
