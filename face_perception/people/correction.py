"""The correction of an estimator's gaze for one person, and the error that remains."""

from __future__ import annotations

import math
from dataclasses import dataclass

from face_perception.gaze import LidCue
from face_perception.gaze_probability import GazeErrorModel

NO_LIDS = LidCue(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Correction:
    """Corrects the yaw and pitch that an estimator gives for one person.

    Angles are in the normalized camera, radians.

    corrected yaw = gain_yaw * yaw + cross_yaw * pitch + bias_yaw
    corrected pitch = gain_pitch * pitch + cross_pitch * yaw + bias_pitch + lid_gain * (height of
    the upper lid above ``lids.upper``, see ``LidCue.moved_by_gaze``)

    The other fields state the error. ``sigma_yaw`` and ``sigma_pitch`` are its standard deviations
    for a look at the mean of the calibration targets, at which the estimate is ``centre_yaw``,
    ``centre_pitch``. Away from it, the corrected angle of an average person changes by
    ``slope_yaw`` or ``slope_pitch`` per change of the true angle; ``slope_yaw_sigma`` and
    ``slope_pitch_sigma`` are the standard deviations of these slopes over people.

    >>> correction = Correction(bias_yaw=-0.05, bias_pitch=0.02, gain_pitch=2.0)
    >>> tuple(round(angle, 2) for angle in correction.apply(yaw=0.05, pitch=0.1))
    (0.0, 0.22)
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
        """Returns the corrected yaw and pitch, radians; ``lids`` are those of the same image."""
        own_yaw = self.gain_yaw * yaw + self.cross_yaw * pitch + self.bias_yaw
        own_pitch = self.gain_pitch * pitch + self.cross_pitch * yaw + self.bias_pitch
        if self.lid_gain and lids is not None:
            own_pitch += self.lid_gain * lids.moved_by_gaze(self.lids)
        return own_yaw, own_pitch

    @property
    def error(self) -> GazeErrorModel:
        """Error of the corrected angles in the normalized camera, radians."""
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
