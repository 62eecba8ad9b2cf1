"""Runs a gaze network on the crops of a data set."""

from __future__ import annotations

import numpy as np

from face_perception.gaze import GAZE_MEASURES
from face_perception.inference import Model, ModelError, infer_batch
from face_perception.learning.data.dataset import Dataset, DatasetError
from face_perception.learning.geddnet.network import EYE_SIZE, FACE_SIZE
from face_perception.learning.protocols.gaze import GazeAnswers
from face_perception.types import FloatArray

GAZE, EYE_CONTACT = "gaze", "eye_contact"
_BATCH = 32
# Input of a network -> column of the data set and size of its pictures.
_CROPS = {
    "face": ("file", FACE_SIZE),
    "left_eye": ("left_eye", EYE_SIZE),
    "right_eye": ("right_eye", EYE_SIZE),
}
_MEASURES = "measures"


def answer_gaze(model: Model, data: Dataset) -> GazeAnswers:
    """Returns the answers of a gaze network for all samples that have a gaze.

    Raises ModelError if the network does not take the crops of a data set, and DatasetError that
    names a file that does not fit, or if no sample has a gaze.
    """
    data = _labelled(data, "gaze_pitch", "gaze_yaw")
    # The network's yaw is positive to the image's left, that of a data set to the right.
    estimate = _infer(model, data, GAZE)[:, :2] * (1, -1)
    head = data.labels("head_pitch", "head_yaw")
    return GazeAnswers(
        estimate=estimate,
        truth=data.labels("gaze_pitch", "gaze_yaw"),
        people=data.columns["subject"],
        head=np.arccos(np.cos(head[:, 0]) * np.cos(head[:, 1])),
        contact=data.labels(EYE_CONTACT)[:, 0],
    )


def answer_eye_contact(model: Model, data: Dataset) -> tuple[FloatArray, Dataset]:
    """Returns probabilities [N] of eye contact, and the samples that have that label.

    Raises what ``answer_gaze`` raises.
    """
    data = _labelled(data, EYE_CONTACT)
    return _infer(model, data, EYE_CONTACT)[:, 0], data


def _labelled(data: Dataset, *names: str) -> Dataset:
    data = data.take(np.flatnonzero(np.isfinite(data.labels(*names)).all(1)))
    if not len(data):
        raise DatasetError(f"{data.folder}: no sample of this part has {' and '.join(names)}")
    return data


def _infer(model: Model, data: Dataset, output: str) -> FloatArray:
    """Returns an output [N, size] of the network for all samples."""
    other = [name for name in model.inputs if name not in (*_CROPS, _MEASURES)]
    if other:
        raise ModelError(
            f"model {model.name} takes {', '.join(other)}, which a data set of crops does not "
            "have: measure it on photographs with `python3 bench/people.py`"
        )
    answers = []
    for start in range(0, len(data), _BATCH):
        rows = range(start, min(start + _BATCH, len(data)))
        inputs = {
            name: np.stack([data.gray(i, *_CROPS[name]) for i in rows])[:, None].astype(np.float32)
            for name in model.inputs
            if name in _CROPS
        }
        if _MEASURES in model.inputs:
            measures = data.labels(*GAZE_MEASURES)[list(rows)]
            if not np.isfinite(measures).all():
                raise DatasetError(
                    f"{data.folder}: model {model.name} needs the columns "
                    f"{', '.join(GAZE_MEASURES)} of every sample"
                )
            inputs[_MEASURES] = measures.astype(np.float32)
        answers.append(np.asarray(infer_batch(model, inputs)[output], np.float64))
    return np.concatenate(answers)
