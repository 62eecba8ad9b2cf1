"""Limits how fast the lips and the jaw move, as muscles do.

Closed lips come first: where the coming shapes are known, the lips begin to close early enough to
meet in time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from face_perception.speech.mouth_shapes import lip_distance

FloatArray = npt.NDArray[np.floating]

# Largest speed of each weight (jaw, wide, round, press, teeth, tuck) and of the distance of the
# lips, per second; 1 of the distance is 2 cm. Chosen on the ten sample clips of GRID that come with
# LipNet: the lips of these people move by up to 0.34 in 30 ms.
_SPEED = np.array([7.5, 8.0, 8.0, 16.0, 9.0, 10.0])
_LIP_SPEED = 10.0
_SPEED_UP = 0.015  # seconds in which a weight at rest reaches its largest speed
CLOSES_AHEAD = 0.07  # seconds by which lips begin to close before they must be closed
_SETTLED = 1e-3  # smaller weights are 0

_PRESS = 3


class LipSpeedLimit:
    """Follows wanted mouth shapes that are ``period`` seconds apart, with limited speed.

    The first shape is at rest.

    >>> motion = LipSpeedLimit(0.01)
    >>> opened = [float(motion.follow(np.array([0.7, 0, 0, 0, 0, 0]))[0]) for _ in range(20)]
    >>> round(opened[2], 3), opened[-1]  # 30 ms after the jaw should be open, and 200 ms
    (0.2, 0.7)
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._now = np.zeros(len(_SPEED))
        self._speed = np.zeros(len(_SPEED))
        self._apart = 0.0

    def follow(self, wanted: FloatArray) -> FloatArray:
        """Returns the next shape [6], given the wanted one [6], in the order of ``MouthShape``."""
        step = self._period
        away = wanted - self._now
        change = _SPEED / _SPEED_UP
        # A weight brakes in time to stop where it is wanted.
        braked = np.sqrt(2 * change * np.abs(away))
        speed = np.clip(np.abs(away) / step, 0, np.minimum(_SPEED, braked)) * np.sign(away)
        speed = np.clip(speed, self._speed - change * step, self._speed + change * step)
        # Overshoot would open closed lips again.
        speed = np.where(np.abs(speed * step) > np.abs(away), away / step, speed)
        made = self._now + step * speed
        apart = float(lip_distance(made))
        room, moved = _LIP_SPEED * step, abs(apart - self._apart)
        if moved > room:
            made = self._now + room / moved * (made - self._now)
            apart = float(lip_distance(made))
        made = np.where((made < _SETTLED) & (wanted < _SETTLED), 0.0, made)
        self._speed = (made - self._now) / step
        self._now, self._apart = made, apart
        return made


def closing_in_time(coming: FloatArray, period: float) -> FloatArray:
    """Returns the first of some coming shapes [N, 6], with lips that begin to close for the others.

    The shapes are ``period`` seconds apart.
    """
    press = coming[:, _PRESS] - np.arange(len(coming)) * period * _SPEED[_PRESS]
    made: FloatArray = coming[0].copy()
    made[_PRESS] = press.max()
    return made


def limited_motion(wanted: FloatArray, period: float) -> FloatArray:
    """Returns shapes [N, 6] that follow the wanted ones [N, 6] with limited speed.

    They are ``period`` seconds apart. Because all are known, the lips meet where they should.
    """
    known = 1 + round(CLOSES_AHEAD / period)
    motion = LipSpeedLimit(period)
    made = [
        motion.follow(closing_in_time(wanted[k : k + known], period)) for k in range(len(wanted))
    ]
    return np.array(made).reshape(wanted.shape)
