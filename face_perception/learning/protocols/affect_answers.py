"""Runs an affect network on the face crops of a data set, or over its videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from face_perception.affect import ExpressionNet, FaceAffect, MultitaskSequence, load_multitask
from face_perception.faces import CROP_SIDE
from face_perception.inference import Model, ModelError
from face_perception.learning.data.dataset import Dataset, DatasetError
from face_perception.learning.protocols.affect import AffectAnswers, UnitAnswers
from face_perception.motion import STREAM_INPUTS, TICK_RATE, Mimamo, load_mimamo
from face_perception.types import EXPRESSIONS, ActionUnits, FaceCrop, FloatArray

_BATCH = 32
_NO_EXPRESSION = np.full(len(EXPRESSIONS), np.nan)


class _Answer(NamedTuple):
    """What a network tells about one face."""

    affect: tuple[float, float]
    expression: FloatArray = _NO_EXPRESSION
    units: ActionUnits | None = None


def answer_affect(model: Model, data: Dataset, load: Callable[[str], Model]) -> AffectAnswers:
    """Returns the answers of an affect network for all samples.

    Networks that look at time (MIMAMO-Net, the recurrent multitask network) run over each video,
    whose frames are 1/30 s apart. ``load`` loads further networks that the card names. Raises
    ModelError if the network is not one of affect, and DatasetError that names what is missing.
    """
    if not len(data):
        raise DatasetError(f"{data.folder}: this part of the data set has no sample")
    answers = _answers(model, data, load)
    found = [answer.units for answer in answers if answer.units is not None]
    codes = sorted(found[0].units) if found else []
    missing = np.full(len(data), None)
    return AffectAnswers(
        people=data.columns["subject"],
        affect=np.array([answer.affect for answer in answers], np.float64),
        true_affect=data.labels("valence", "arousal"),
        expressions=np.stack([answer.expression for answer in answers]),
        true_expressions=data.columns.get("expression", missing),
        units={code: _unit(code, answers, data) for code in codes},
    )


def _unit(code: int, answers: Sequence[_Answer], data: Dataset) -> UnitAnswers:
    units = [None if a.units is None else a.units.units[code] for a in answers]
    known = next(unit for unit in units if unit is not None)
    intensity = data.columns.get(f"intensity_{code}", np.full(len(data), None))
    return UnitAnswers(
        probability=np.array([np.nan if u is None else u.probability for u in units], np.float64),
        threshold=known.threshold,
        present=data.labels(f"au_{code}")[:, 0],
        intensity=np.array([np.nan if v is None else v for v in intensity], np.float64),
    )


def _answers(model: Model, data: Dataset, load: Callable[[str], Model]) -> list[_Answer]:
    """Returns one answer a sample. A sample without an answer has NaN."""
    if set(STREAM_INPUTS) <= set(model.inputs):
        mimamo: Mimamo[int] = Mimamo(load_mimamo(model.name, load))
        return _over_videos(mimamo, data, lambda va: _Answer((va.valence, va.arousal)))
    multitask = load_multitask(model, load)
    if isinstance(multitask, MultitaskSequence):
        return _over_videos(multitask, data, _of_multitask)
    if multitask is not None:
        return _over_crops(data, lambda crops: map(_of_multitask, multitask.estimate(crops)))
    if "probability" not in model.outputs:
        raise ModelError(
            f"model {model.name} returns {', '.join(model.outputs)}: `evaluate` measures networks "
            "of gaze, eye contact, expression, action units, valence and arousal"
        )
    network = ExpressionNet(model)
    return _over_crops(
        data,
        lambda crops: (
            _Answer((va.valence, va.arousal), np.asarray(expression.probability))
            for expression, va in network.estimate_affect(crops)
        ),
    )


def _of_multitask(found: FaceAffect) -> _Answer:
    va = found.valence_arousal
    return _Answer((va.valence, va.arousal), np.asarray(found.expression.probability), found.units)


def _crop(data: Dataset, i: int, face_id: str) -> FaceCrop:
    return FaceCrop(face_id, data.rgb(i, "file", (CROP_SIDE, CROP_SIDE)), np.eye(2, 3))


def _over_crops(
    data: Dataset, estimate: Callable[[Sequence[FaceCrop]], Iterable[_Answer]]
) -> list[_Answer]:
    answers: list[_Answer] = []
    for start in range(0, len(data), _BATCH):
        rows = range(start, min(start + _BATCH, len(data)))
        answers += estimate([_crop(data, i, str(i)) for i in rows])
    return answers


def _over_videos(estimator: Any, data: Dataset, answer: Callable[[Any], _Answer]) -> list[_Answer]:
    """Runs an estimator over the frames of each video in order."""
    if "video" not in data.columns or not np.isfinite(data.labels("frame")).all():
        raise DatasetError(
            f"{data.folder}: a network that looks at time needs the columns video and frame"
        )
    answers = [_Answer((np.nan, np.nan))] * len(data)
    frames = data.labels("frame")[:, 0]
    for video in dict.fromkeys(data.columns["video"]):
        index = np.flatnonzero(data.columns["video"] == video)
        known: list[tuple[int, list[Any]]] = []
        for i in index[np.argsort(frames[index], kind="stable")]:
            crop = _crop(data, int(i), str(video))
            known += estimator.estimate(int(i), float(frames[i]) / TICK_RATE, [crop])
        for row, found in [*known, *estimator.finish()]:
            if found:
                answers[row] = answer(found[0])
    return answers
