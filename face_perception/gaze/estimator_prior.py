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

    >>> pitch = AxisPrior(scale=0.39, scale_sigma=0.2, sigma=math.radians(4))
    >>> round(math.degrees(pitch.scale * math.radians(10)), 1)  # mean estimate of a look 10 deg up
    3.9
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

    A prior of a new estimator, which underestimates looks up and down by half:

    >>> from face_perception.people import CalibrationSamples, fit_calibration
    >>> prior = EstimatorPrior(pitch=AxisPrior(gain=2.0, spread=0.5, cautious=1.5, scale=0.5))
    >>> samples = CalibrationSamples.from_arrays([[0.02, -0.01]] * 20, [[0.0, 0.0]] * 20)
    >>> correction = fit_calibration(samples, prior).correction
    >>> correction.gain_yaw, correction.gain_pitch  # one target does not show the person's own gain
    (1.0, 1.5)
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

# Prior of the geometric gaze. Measured on 56 people with 21 targets each, +-15 degrees sideways and
# +-10 up and down (Columbia Gaze: eye bands set into another face). Regression of truth on estimate
# for each person: gain 1.05 +- 0.20 in yaw and 2.3 +- 0.67 in pitch, bias 2.3 and 8 degrees. One
# target cannot show the gain of pitch; 1.5 about the target is a compromise between looks (2.3) and
# the effect of expressions (1). Without a calibration the gazes of people who look at the lens have
# a standard deviation of 2.4 to 3.4 degrees in yaw and 3.4 to 3.7 in pitch (three donor faces), and
# of 4 degrees in pitch on 14 faces in press photographs. The error grows away from the lens,
# because gains differ between people: its standard deviation is 0.3 times a look to the side and
# 0.11 times a look up or down. After one target at the lens the errors of looks 5 degrees away from
# it have a standard deviation of 2.7 degrees in yaw and in pitch, which grows by 0.29 and 0.20
# times the look; for pitch 0.15 is used, which is measured on one person at a tablet.
GEOMETRIC_PRIOR = EstimatorPrior(
    yaw=AxisPrior(
        gain=1.05,
        spread=0.20,
        bias=math.radians(3),
        scale=0.94,
        scale_sigma=0.29,
        sigma=math.radians(2.9),
        share=0.72,
        cross=0.2,
    ),
    pitch=AxisPrior(
        gain=2.3,
        spread=0.67,
        bias=math.radians(8),
        cautious=1.5,
        scale=0.39,
        scale_sigma=0.10,
        sigma=math.radians(4.3),
        share=0.9,
        cross=0.1,
    ),
    noise=math.radians(2.5),
    residual=math.radians(5.2),
    residual_with_gain=math.radians(3.5),
    lid_gain=math.radians(121),
    pitch_with_lids=1.4,
)
