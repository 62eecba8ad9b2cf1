"""Estimates the strengths of the 52 ARKit blendshapes of a face from its landmarks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from face_perception.affect.face_measures import visibility
from face_perception.inference import Model, ModelError
from face_perception.types import BLENDSHAPES, Blendshapes, Face, FloatArray

# Indices of the landmarks that the network takes, in its order (MediaPipe's
# face_blendshapes_graph.cc).
POINTS = np.array(
    [
        *(0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63),
        *(65, 66, 67, 70, 78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132),
        *(133, 136, 144, 145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161),
        *(162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263),
        *(267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310),
        *(311, 312, 314, 317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373),
        *(374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398),
        *(400, 402, 405, 409, 415, 454, 466, *range(468, 478)),
    ]
)


class BlendshapesNet:
    """Runs MediaPipe's blendshape network on the landmarks of faces.

    ``model`` is the card ``blendshapes``, or one with its input and output. Raises ModelError for
    any other model.

    >>> from face_perception.faces import load_tracker
    >>> from face_perception.inference import load, sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> faces = load_tracker().detect(frame)
    >>> (found,) = BlendshapesNet(load("blendshapes")).estimate(faces)
    >>> round(float(found.strength[BLENDSHAPES.index("mouthSmileLeft")]), 1)
    0.9
    """

    def __init__(self, model: Model) -> None:
        if "landmarks" not in model.inputs or "strength" not in model.outputs:
            raise ModelError(
                f"model {model.name} has input {', '.join(model.inputs)} and output "
                f"{', '.join(model.outputs)}: use one with input landmarks and output strength, "
                "such as blendshapes"
            )
        self._model = model

    def estimate(self, faces: Sequence[Face]) -> list[Blendshapes]:
        """Returns the blendshapes of each face, in order, from one run of the network.

        ``source`` is the model's name. A face without landmarks has NaN strengths and confidence 0.
        """
        known = [face for face in faces if np.isfinite(face.landmarks).all()]
        strengths: dict[int, FloatArray] = {}
        if known:
            batch = np.stack([_network_input(face.landmarks) for face in known])
            found = self._model.infer({"landmarks": batch})["strength"]
            strengths = {id(face): strength for face, strength in zip(known, found, strict=True)}
        nothing = np.full(len(BLENDSHAPES), np.nan, np.float32)
        return [
            Blendshapes(
                face.face_id,
                self._model.name,
                strengths.get(id(face), nothing),
                visibility(face) if id(face) in strengths else 0.0,
            )
            for face in faces
        ]


def _network_input(landmarks: FloatArray) -> FloatArray:
    """Returns the network's points, float32 [146, 2], with mean 0 and standard deviation 1.

    The network normalizes its input too, but squares the pixel coordinates first, which overflows
    in half precision.
    """
    points = landmarks[POINTS, :2].astype(np.float64)
    points -= points.mean(axis=0)
    spread = float(points.std())
    return (points / spread if spread > 0 else points).astype(np.float32)
