"""What is known of an estimator's gaze before a person is calibrated: how people differ."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AxisPrior:
    """Prior of one axis of an estimator: how people differ, before a person is calibrated.

    Per person, truth = gain * estimate + bias: ``gain`` and ``spread`` are the mean and standard
    deviation over people of the gain, ``bias`` the standard deviation of the bias, radians.
    ``cautious`` is the gain that is applied if the targets cannot show the person's own gain.
    Without calibration, estimate = ``scale`` * truth with an error of standard deviation ``sigma``,
    radians, for a look at the camera; ``scale_sigma`` is the standard deviation over people of
    ``scale``. ``share`` is the error of a look at a calibration target over the estimator's
    ``noise``, and ``cross`` the standard deviation over people of the other axis' influence on this
    one.
    """

    gain: float = 1.0
    spread: float = 0.1
    bias: float = math.radians(5)
    cautious: float = 1.0
    scale: float = 1.0
    scale_sigma: float = 0.1
    sigma: float = math.radians(5)
    share: float = 1.0
    cross: float = 0.05


@dataclass(frozen=True, slots=True)
class EstimatorPrior:
    """Prior of an estimator: how its gaze differs between people; radians.

    ``noise`` is the standard deviation on each axis of one person's error about gain and bias.
    ``residual`` and ``residual_with_gain`` are the mean errors after calibration with one target
    and with five. ``lid_gain`` is the change of pitch per unit of upper lid height, in a fit whose
    gain of pitch has the prior ``pitch_with_lids``; 0: lids add nothing to this estimator.
    """

    yaw: AxisPrior = AxisPrior()
    pitch: AxisPrior = AxisPrior()
    noise: float = math.radians(2.0)
    residual: float = math.radians(3.0)
    residual_with_gain: float = math.radians(3.0)
    lid_gain: float = 0.0
    pitch_with_lids: float = 1.0


# For a network that was trained on gaze, whose gain is right. Noise and residual are assumed, not
# measured on calibrated people: 2 degrees on each axis are 2.5 in the mean angle, and 3.0 with the
# error of one to five targets (2.0 * 1.25 * sqrt(1 + 1/2)).
NETWORK_PRIOR = EstimatorPrior()
