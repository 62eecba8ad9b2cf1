"""Describes the result of a calibration in a sentence."""

from __future__ import annotations

import math

from face_perception.gaze import EstimatorPrior
from face_perception.people.calibration_fit import CalibrationFit
from face_perception.people.shrunk_regression import MIN_TARGETS_FOR_GAIN


def describe_fit(fit: CalibrationFit, prior: EstimatorPrior) -> str:
    """Returns a sentence with bias, gain and expected error of ``fit``.

    If there were too few targets for a gain, it also has the expected error after five targets.
    ``prior`` is that of the estimator.
    """
    made = fit.correction
    targets = "1 target" if fit.targets == 1 else f"{fit.targets} targets"
    text = (
        f"from {fit.samples} samples of {targets}: bias {_degrees(made.bias_yaw, signed=True)} in "
        f"yaw and {_degrees(made.bias_pitch, signed=True)} in pitch, gain {made.gain_yaw:.2f} and "
        f"{made.gain_pitch:.2f}. A calibrated gaze is expected to be off by "
        f"{_degrees(fit.expected_residual)} on average"
    )
    if fit.targets < MIN_TARGETS_FOR_GAIN and prior.residual_with_gain < prior.residual:
        text += (
            f"; with five targets, which also measure the gain, by about "
            f"{_degrees(prior.residual_with_gain)}"
        )
    if fit.left_out:
        text += f". One target was left out: {fit.left_out}"
    return text


def _degrees(angle: float, *, signed: bool = False) -> str:
    degrees = math.degrees(angle)
    return f"{degrees:+.1f}°" if signed else f"{degrees:.1f}°"
