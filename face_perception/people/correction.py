"""One person's correction of an estimator's gaze, and the error that remains."""

from __future__ import annotations

import math
from dataclasses import dataclass

from face_perception.gaze import LidCue
from face_perception.gaze_target import GazeErrorModel

NO_LIDS = LidCue(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Correction:
    """Turns an estimator's yaw and pitch into one person's; radians, in the normalised camera.

    yaw = gain_yaw * yaw + cross_yaw * pitch + bias_yaw, and pitch likewise, plus ``lid_gain`` times
    the upper lid's height above ``lids.upper``, faded out where an expression moves the lids (see
    ``LidCue``).
    ``sigma_yaw`` and ``sigma_pitch`` are the standard deviations of the error of a look at the mean
    of the calibration targets (``centre_yaw``, ``centre_pitch``, of the estimate). Away from it the
    corrected angle moves by ``slope`` times the true one, for an average person; the slope's
    standard deviation over people is ``slope_yaw_sigma`` and ``slope_pitch_sigma``.
    """

    bias_yaw: float
    bias_pitch: float
    gain_yaw: float = 1.0
    gain_pitch: float = 1.0
    cross_yaw: float = 0.0
    cross_pitch: float = 0.0
    lid_gain: float = 0.0
    lids: LidCue = NO_LIDS
    sigma_yaw: float = math.radians(2.5)
    sigma_pitch: float = math.radians(2.5)
    centre_yaw: float = 0.0
    centre_pitch: float = 0.0
    slope_yaw: float = 1.0
    slope_pitch: float = 1.0
    slope_yaw_sigma: float = 0.0
    slope_pitch_sigma: float = 0.0

    def apply(self, yaw: float, pitch: float, lids: LidCue | None = None) -> tuple[float, float]:
        """The person's yaw and pitch from the estimator's; ``lids`` are those of the same image."""
        own_yaw = self.gain_yaw * yaw + self.cross_yaw * pitch + self.bias_yaw
        own_pitch = self.gain_pitch * pitch + self.cross_pitch * yaw + self.bias_pitch
        if self.lid_gain and lids is not None:
            own_pitch += self.lid_gain * lids.moved_by_gaze(self.lids)
        return own_yaw, own_pitch

    @property
    def error(self) -> GazeErrorModel:
        """The error of the corrected angles, radians in the normalised camera."""
        centre_yaw, centre_pitch = self.apply(self.centre_yaw, self.centre_pitch)
        return GazeErrorModel(
            self.sigma_yaw,
            self.sigma_pitch,
            self.slope_yaw,
            self.slope_pitch,
            self.slope_yaw_sigma,
            self.slope_pitch_sigma,
            centre_yaw,
            centre_pitch,
        )
