"""Runs an affect network on the face crops of a data set, or over its videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from face_perception.affect import AffectEstimator, CropAffect
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
    """Returns the answers of an affect network for all samples; there must be one.

    Networks that look at time (MIMAMO-Net, the recurrent multitask network) run over each video,
    whose frames are 1/30 s apart. ``load`` loads further networks that the card names. Raises
    ModelError if the network is not one of affect, and DatasetError that names what is missing.
    """
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
    present, intensity = data.labels(f"au_{code}", f"intensity_{code}").T
    odd = present[np.isfinite(present) & ~np.isin(present, (0, 1))]
    if len(odd):
        raise DatasetError(
            f"{data.folder}: au_{code} is {odd[0]:g}, 0, 1 or null was expected; the column for "
            f"intensities from 0 to 5 is intensity_{code}"
        )
    return UnitAnswers(
        probability=np.array([np.nan if u is None else u.probability for u in units], np.float64),
        threshold=known.threshold,
        present=present,
        intensity=intensity,
    )


def _answers(model: Model, data: Dataset, load: Callable[[str], Model]) -> list[_Answer]:
    """Returns one answer a sample. A sample without an answer has NaN."""
    if set(STREAM_INPUTS) <= set(model.inputs):
        return _over_videos(Mimamo[int](load_mimamo(model.name, load)), data)
    if not {"probability", "expression_logits"} & set(model.outputs):
        raise ModelError(
            f"model {model.name} returns {', '.join(model.outputs)}: `evaluate` measures networks "
            "of gaze, eye contact, expression, action units, valence and arousal"
        )
    estimator = AffectEstimator(model, load, smoothing=0.0)
    if "features" in model.inputs:
        return _over_videos(_Immediate(estimator), data)
    answers: list[_Answer] = []
    for start in range(0, len(data), _BATCH):
        crops = [_crop(data, i, str(i)) for i in range(start, min(start + _BATCH, len(data)))]
        answers += map(_of_affect, estimator.estimate(0.0, crops))
    return answers


def _of_affect(found: CropAffect) -> _Answer:
    va = found.valence_arousal
    return _Answer((va.valence, va.arousal), np.asarray(found.expression.probability), found.units)


def _crop(data: Dataset, i: int, face_id: str) -> FaceCrop:
    return FaceCrop(face_id, data.rgb(i, "file", (CROP_SIDE, CROP_SIDE)), np.eye(2, 3))


def _over_videos(network: _OverTime, data: Dataset) -> list[_Answer]:
    """Runs a network over the frames of each video in order.

    Raises DatasetError if they are not known, or most of them were left out: the network would see
    other motion than in its training.
    """
    if "video" not in data.columns or not np.isfinite(data.labels("frame")).all():
        raise DatasetError(
            f"{data.folder}: a network that looks at time needs the columns video and frame"
        )
    answers = [_Answer((np.nan, np.nan))] * len(data)
    frames = data.labels("frame")[:, 0]
    for video in dict.fromkeys(data.columns["video"]):
        index = np.flatnonzero(data.columns["video"] == video)
        index = index[np.argsort(frames[index], kind="stable")]
        if len(index) > 1 and np.median(np.diff(frames[index])) != 1:
            raise DatasetError(
                f"{data.folder}: most frames of video {video} do not follow each other: a network "
                "that looks at time needs all of them: convert the data set without --every"
            )
        known: list[tuple[int, list[Any]]] = []
        for i in index:
            crop = _crop(data, int(i), str(video))
            known += network.estimate(int(i), float(frames[i]) / TICK_RATE, [crop])
        for row, found in [*known, *network.finish()]:
            if found:
                one = found[0]
                answers[row] = (
                    _of_affect(one)
                    if isinstance(one, CropAffect)
                    else _Answer((one.valence, one.arousal))
                )
    return answers


class _OverTime(Protocol):
    def estimate(
        self, tag: int, stamp: float, crops: Sequence[FaceCrop]
    ) -> list[tuple[int, list[Any]]]: ...

    def finish(self) -> list[tuple[int, list[Any]]]: ...


class _Immediate:
    """Gives an estimator whose results are not late the methods of one whose results are."""

    def __init__(self, estimator: AffectEstimator) -> None:
        self._estimator = estimator

    def estimate(
        self, tag: int, stamp: float, crops: Sequence[FaceCrop]
    ) -> list[tuple[int, list[Any]]]:
        return [(tag, self._estimator.estimate(stamp, crops))]

    def finish(self) -> list[tuple[int, list[Any]]]:
        self._estimator.reset()
        return []
