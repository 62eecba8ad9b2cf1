"""Action units, expression, valence and arousal by the multitask networks: of an image, over time.

What the logits mean (order, thresholds, bins) is on the model's card, not here.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import numpy as np
from PIL import Image

from face_perception import faces
from face_perception.affect.confidence import entropy_confidence
from face_perception.errors import InputError
from face_perception.inference import Model, ModelError
from face_perception.types import (
    EXPRESSIONS,
    ActionUnit,
    ActionUnits,
    Expression,
    FaceCrop,
    FloatArray,
    ValenceArousal,
)

T = TypeVar("T")

# Published: the aligned face is enlarged, and what stands out is cut off.
_ENLARGED = 134
_LOGITS = ("au_logits", "expression_logits", "va_logits")


@dataclass(frozen=True, slots=True)
class FaceAffect:
    """All that a multitask network says of one face."""

    units: ActionUnits
    expression: Expression
    valence_arousal: ValenceArousal


class MultitaskDecoder:
    """Logits -> what they mean, by the facts of a model's card.

    ``source`` is the model's name. Confidences are one less the entropy of the probabilities as a
    share of that of knowing nothing. Raises ModelError naming the fact that is missing or wrong.
    """

    def __init__(self, model: Model) -> None:
        facts = _Facts(model)
        self.source = model.name
        self.codes = facts.numbers("au", int, model.outputs["au_logits"].shape[-1])
        self.thresholds = facts.numbers("au_thresholds", float, len(self.codes))
        names = facts.names("expressions", model.outputs["expression_logits"].shape[-1])
        if sorted(names) != sorted(EXPRESSIONS):
            raise facts.wrong("expressions", f"must be {', '.join(EXPRESSIONS)} in some order")
        self._expressions = [names.index(name) for name in EXPRESSIONS]
        bins = facts.numbers("va_values", float)
        if 2 * len(bins) != model.outputs["va_logits"].shape[-1]:
            raise facts.wrong("va_values", "must be half as many as va_logits")
        self.bins = np.array(bins)

    def decode(self, face_id: str, logits: Mapping[str, FloatArray]) -> FaceAffect:
        """Of one face: ``au_logits`` [8], ``expression_logits`` [7], ``va_logits`` [40]."""
        au, expression, va = (np.asarray(logits[name], np.float64) for name in _LOGITS)
        units = {
            code: ActionUnit(
                probability=p, confidence=entropy_confidence((p, 1 - p)), threshold=threshold
            )
            for code, p, threshold in sorted(
                zip(self.codes, map(float, _sigmoid(au)), self.thresholds, strict=True)
            )
        }
        probability = _softmax(expression)[self._expressions]
        valence, arousal = (_softmax(half) for half in np.split(va, 2))
        return FaceAffect(
            ActionUnits(face_id, self.source, MappingProxyType(units)),
            Expression(face_id, self.source, probability, entropy_confidence(probability)),
            ValenceArousal(
                face_id,
                self.source,
                float(valence @ self.bins),
                float(arousal @ self.bins),
                (entropy_confidence(valence) + entropy_confidence(arousal)) / 2,
            ),
        )


class MultitaskNet:
    """The multitask network (one student or an ensemble) on the patches of ``faces.crop_face``.

    ``model``: card "multitask" or one with the same ports. Raises ModelError where it is not.
    """

    def __init__(self, model: Model) -> None:
        _ports(model, "face", _LOGITS)
        self.models = (model,)
        self._model = model
        self._decoder = MultitaskDecoder(model)

    def estimate(self, crops: Sequence[FaceCrop]) -> list[FaceAffect]:
        """One result a crop, in order, all in one run of the network.

        Raises InputError for a patch that is not RGB uint8 [160, 160, 3].
        """
        if not crops:
            return []
        logits = self._model.infer({"face": multitask_input(crops)})
        return [
            self._decoder.decode(crop.face_id, {name: logits[name][i] for name in _LOGITS})
            for i, crop in enumerate(crops)
        ]


class MultitaskSequence(Generic[T]):
    """The recurrent multitask network over the last images of each face: the trunk runs once a
    face and image, its features are kept.

    - ``trunk``, ``heads``: cards "multitask_rnn_trunk" and "multitask_rnn", or such with the same
      ports.
    - ``window``: images that an estimate sees (published: 32).
    - ``look_ahead``: how many of them come after the one that the estimate is about. 0 is without
      delay; the network, which reads both ways, then sees the past only.
    - ``max_gap``: seconds between two images after which all begins anew.

    Raises ModelError where a model has other ports, InputError where a setting is out of range.
    """

    def __init__(
        self,
        trunk: Model,
        heads: Model,
        *,
        window: int = 32,
        look_ahead: int = 0,
        max_gap: float = 0.5,
    ) -> None:
        if not 0 <= look_ahead < window:
            raise InputError(f"look_ahead must be from 0 to window - 1, not {look_ahead}")
        if not max_gap > 0:
            raise InputError(f"max_gap must be positive seconds, not {max_gap}")
        _ports(trunk, "face", ("features",))
        _ports(heads, "features", _LOGITS)
        self.models = (trunk, heads)
        self._trunk, self._heads = trunk, heads
        self._decoder = MultitaskDecoder(heads)
        self._window, self._look_ahead, self._max_gap = window, look_ahead, max_gap
        self.reset()

    def reset(self) -> None:
        """Forget every face."""
        self._features: dict[str, deque[FloatArray]] = {}
        # Images that nothing was said of yet, with what is known of faces that have left.
        self._waiting: deque[tuple[T, list[FaceAffect]]] = deque()
        self._stamp = -math.inf

    def estimate(
        self, tag: T, stamp: float, crops: Sequence[FaceCrop]
    ) -> list[tuple[T, list[FaceAffect]]]:
        """All faces of the image of ``stamp`` seconds; what is known now: ``tag`` of the image
        ``look_ahead`` before it and its faces, or nothing yet.

        A face that is not among ``crops`` is forgotten, and its last images are answered with what
        has been seen of it; a stamp that goes back, or a gap, does so with all. Raises InputError
        for a patch that is not RGB uint8 [160, 160, 3].
        """
        faces_in = multitask_input(crops)
        # Before anything is changed: it can fail, and then this image is left out.
        features = self._trunk.infer({"face": faces_in})["features"] if crops else ()
        known = []
        if not 0 <= stamp - self._stamp <= self._max_gap:
            known = self.finish()
        self._stamp = stamp
        here = {crop.face_id for crop in crops}
        self._end([face_id for face_id in self._features if face_id not in here])
        self._waiting.append((tag, []))
        before, self._features = self._features, {}
        for crop, new in zip(crops, features, strict=True):
            of_face = before.get(crop.face_id, deque(maxlen=self._window))
            of_face.append(new)
            self._features[crop.face_id] = of_face
        if len(self._waiting) > self._look_ahead:
            first, left = self._waiting.popleft()
            known.append((first, left + self._read(self._features, self._look_ahead)))
        return known

    def finish(self) -> list[tuple[T, list[FaceAffect]]]:
        """What is known of the last images once no more come, oldest first; forgets every face."""
        self._end(list(self._features))
        known = list(self._waiting)
        self.reset()
        return known

    def _end(self, face_ids: Sequence[str]) -> None:
        """Answers the images that wait with what is known of these faces, which have left."""
        features = {face_id: self._features[face_id] for face_id in face_ids}
        for later, (_, found) in enumerate(reversed(self._waiting)):
            found += self._read(features, later)

    def _read(self, features_of: Mapping[str, deque[FloatArray]], later: int) -> list[FaceAffect]:
        """Of the image ``later`` before the last of these faces, where they were there."""
        ready = {i: f for i, f in features_of.items() if len(f) > later}
        found: dict[str, FaceAffect] = {}
        for length in {len(features) for features in ready.values()}:
            ids = [i for i, features in ready.items() if len(features) == length]
            batch = np.stack([np.stack(list(ready[i])) for i in ids])
            logits = self._heads.infer({"features": batch})
            at = -1 - later
            for k, face_id in enumerate(ids):
                of_face = {name: logits[name][k, at] for name in _LOGITS}
                found[face_id] = self._decoder.decode(face_id, of_face)
        return [found[i] for i in ready]


def multitask_input(crops: Sequence[FaceCrop]) -> FloatArray:
    """The aligned faces float32 [N, 3, 112, 112], RGB from 0 to 255, framed as published.

    Raises InputError for a patch that is not RGB uint8 [160, 160, 3].
    """
    side, border = faces.ALIGNED_SIDE, (_ENLARGED - faces.ALIGNED_SIDE) // 2
    batch = np.empty((len(crops), 3, side, side), np.float32)
    for i, crop in enumerate(crops):
        # Pillow's own rounding, which OpenCV does not have.
        aligned = Image.fromarray(np.ascontiguousarray(faces.aligned_face(crop)))
        large = np.asarray(aligned.resize((_ENLARGED, _ENLARGED), Image.Resampling.BILINEAR))
        batch[i] = large[border:-border, border:-border].transpose(2, 0, 1)
    return batch


def load_multitask(
    model: Model, load: Callable[[str], Model], **settings: Any
) -> MultitaskNet | MultitaskSequence[Any] | None:
    """What estimates with ``model``, by its ports; None where it is no multitask network.

    A recurrent one also needs its own trunk, which ``load`` gives by the name that the card has;
    ``settings`` are those of ``MultitaskSequence`` (a ``window`` of 0 is the card's).
    """
    if not set(_LOGITS) <= set(model.outputs):
        return None
    if "features" not in model.inputs:
        return MultitaskNet(model)
    facts = model.card.facts
    if not settings.get("window"):
        settings["window"] = int(facts.get("window", 32))
    trunk = load(str(facts.get("trunk", f"{model.name}_trunk")))
    return MultitaskSequence(trunk, model, **settings)


def _ports(model: Model, takes: str, gives: Sequence[str]) -> None:
    if set(model.inputs) != {takes} or not set(gives) <= set(model.outputs):
        raise ModelError(
            f"model {model.name} takes {', '.join(model.inputs)} and gives "
            f"{', '.join(model.outputs)}, but here one is needed that takes {takes} and gives "
            f"{', '.join(gives)}"
        )


class _Facts:
    """Those of a card, checked one by one."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def wrong(self, name: str, what: str) -> ModelError:
        return ModelError(f"model {self._model.name}: fact {name} of its card {what}")

    def numbers(self, name: str, kind: type, count: int | None = None) -> list[Any]:
        value = self._list(name, count)
        if not all(isinstance(v, int | kind) and not isinstance(v, bool) for v in value):
            raise self.wrong(name, f"must be numbers, not {value!r}")
        return value

    def names(self, name: str, count: int | None) -> list[str]:
        return [str(v) for v in self._list(name, count)]

    def _list(self, name: str, count: int | None) -> list[Any]:
        value = self._model.card.facts.get(name)
        if not isinstance(value, list) or count not in (None, len(value)):
            size = "" if count is None else f" of {count}"
            raise self.wrong(name, f"must be a list{size}, not {value!r}: import the model again")
        return value


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _softmax(x: FloatArray) -> FloatArray:
    exponential = np.exp(x - x.max())
    return np.asarray(exponential / exponential.sum())
