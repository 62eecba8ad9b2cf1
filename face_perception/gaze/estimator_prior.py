"""Priors: how the gaze of an estimator differs between people who are not calibrated."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AxisPrior:
    """Prior of one axis (yaw or pitch) of an estimator. Standard deviations are over people.

    A calibration models each person as truth = gain * estimate + cross * (estimate of the other
    axis) + bias:

    - ``gain``, ``spread``: mean and standard deviation of the gain.
    - ``bias``: standard deviation of the bias, radians. Its mean is 0.
    - ``cross``: standard deviation of the influence of the other axis. Its mean is 0.
    - ``cautious``: the gain to apply if the targets do not show the person's own gain.
    - ``share``: error of a look at a calibration target, divided by ``EstimatorPrior.noise``.

    Without a calibration, estimate = scale * truth + an error:

    - ``scale``, ``scale_sigma``: mean and standard deviation of the scale.
    - ``sigma``: standard deviation of the error of a look at the camera, radians.
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
    """Prior of an estimator. Angles are radians.

    - ``yaw``, ``pitch``: priors of the two axes.
    - ``noise``: standard deviation, on each axis, of the error that is left after gain and bias of
      a person.
    - ``residual``, ``residual_with_gain``: mean error after a calibration with one target, and
      with five.
    - ``lid_gain``: change of pitch per eye width that the upper lid rises; 0 if the lids do not
      improve this estimator.
    - ``pitch_with_lids``: mean gain of pitch in a fit that uses the lids.
    """

    yaw: AxisPrior = AxisPrior()
    pitch: AxisPrior = AxisPrior()
    noise: float = math.radians(2.0)
    residual: float = math.radians(3.0)
    residual_with_gain: float = math.radians(3.0)
    lid_gain: float = 0.0
    pitch_with_lids: float = 1.0


# Prior of a network that was trained on gaze, so that its gain is 1 on average. Noise and residuals
# are assumed, not measured on calibrated people: 2 degrees on each axis are a mean angle of 2.5
# degrees, and 3.0 with the error of the fitted bias (2.0 * 1.25 * sqrt(1 + 1/2)).
NETWORK_PRIOR = EstimatorPrior()
