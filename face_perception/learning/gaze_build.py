"""Makes the model of a gaze network: what the cards of all imported and trained ones have."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from face_perception.inference import ModelBuild, Port

# Largest deviation that another backend may have, in radians: 0.6 degrees, an eighth of the
# published error of GEDDnet on people that the network has not seen. FP16 has a tenth of it;
# whether INT8 stays below depends on the weights.
TOLERANCE = 0.01

ORDER = ["pitch", "yaw"]  # of the gaze output
_MEANING = (
    "; the vector (sin yaw cos pitch, sin pitch, cos yaw cos pitch) in the normalized camera (x"
    " right, y down, z forward) is minus the gaze's direction: pitch is positive up, yaw towards"
    " the image's left, (0, 0) into the camera"
)


def trained_gaze_build(
    name: str,
    onnx: bytes,
    *,
    system: str,
    task: str,
    recipe: Any,
    figures: Mapping[str, float],
    trained_on: str,
    licence: str,
    inputs: Mapping[str, Port],
    outputs: Mapping[str, Port],
    reference_inputs: Mapping[str, npt.NDArray[np.float32]],
    facts: Mapping[str, Any] | None = None,
) -> ModelBuild:
    """Returns the model of a trained gaze network.

    ``recipe`` is the dataclass of its settings; ``figures`` were measured on held-out people of the
    data set that ``trained_on`` names. ``facts`` are added to those that all gaze networks have.
    """
    return ModelBuild(
        name=name,
        onnx=onnx,
        task=task,
        licence=licence,
        origin=f"trained by face_perception on {trained_on}",
        inputs=inputs,
        outputs=outputs,
        reference_inputs=reference_inputs,
        facts={
            "system": system,
            "order": ORDER,
            "recipe": dataclasses.asdict(recipe),
            "evaluation": {"on": f"held-out people of {trained_on}", **figures},
            **(facts or {}),
        },
    )


def crop_port(name: str, size: tuple[int, int]) -> Port:
    """Returns the input ``face``, ``left_eye`` or ``right_eye``: crops [N, 1, height, width]."""
    what = name.replace("_", " ")
    whose = what if name == "face" else f"person's {what}"
    meaning = f"the {whose} as GEDDnet crops it, gray, histogram equalised, 0 to 255, not mirrored"
    return Port((None, 1, *size), "float32", meaning)


def gaze_port(biased: bool = False) -> Port:
    """Returns the output of pitch and yaw; ``biased`` if each person has a bias to be added."""
    bias = ", without the person's bias" if biased else ""
    meaning = f"pitch and yaw in radians{bias}{_MEANING}"
    return Port((None, len(ORDER)), "float32", meaning, tolerance=TOLERANCE)
