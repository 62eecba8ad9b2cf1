"""Estimates action units, expression, valence and arousal with the multitask networks.

Follows Deng et al. 2020 ("Multitask Emotion Recognition with Incomplete Labels"). The model's card
states the order of the logits, the thresholds and the bins.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import numpy as np

from face_perception import faces
from face_perception.affect.confidence import entropy_confidence
from face_perception.affect.expression import is_expression_network
from face_perception.errors import InputError, shortened
from face_perception.inference import Card, Model, ModelError, Purpose
from face_perception.settings import check, setting
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

_ENLARGED = 134  # side in pixels to which the published code enlarges a face before it crops 112
_UPPER_FACE = 9  # FACS numbers up to this are of the upper face
_LOGITS = ("au_logits", "expression_logits", "va_logits")


def is_multitask_network(model: Card | Model) -> bool:
    """Returns whether the outputs are those of a multitask network, recurrent or not."""
    return set(_LOGITS) <= set(model.outputs)


# What the affect node takes.
AFFECT_NETWORKS = Purpose(
    lambda card: is_expression_network(card) or is_multitask_network(card),
    "`face-perception import multitask` or `onnx`",
)


@dataclass(frozen=True, slots=True)
class FaceAffect:
    """Holds all results of a multitask network for one face.

    >>> from face_perception.faces import crop_face, load_tracker
    >>> from face_perception.inference import load, sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> crops = [crop_face(frame.image, face) for face in load_tracker().detect(frame)]
    >>> (found,) = MultitaskNet(load("multitask")).estimate(crops)
    >>> found.units.source, found.expression.label in EXPRESSIONS
    ('multitask', True)
    >>> -1 <= found.valence_arousal.valence <= 1
    True
    """

    units: ActionUnits
    expression: Expression
    valence_arousal: ValenceArousal


class MultitaskDecoder:
    """Converts the logits of a multitask network to results, as the facts of its card say.

    ``codes`` are the FACS numbers of ``au_logits``, ``thresholds`` the probabilities above which
    each unit is active, and ``bins`` the values of ``va_logits``. ``source`` is the model's name.
    Raises ModelError naming the fact of the card that is missing or wrong.
    """

    def __init__(self, model: Model) -> None:
        facts = CardFacts(model)
        self.source = model.name
        self.codes = facts.numbers("au", int, model.outputs["au_logits"].shape[-1])
        self.thresholds = facts.numbers("au_thresholds", float, len(self.codes))
        names = facts.names("expressions", model.outputs["expression_logits"].shape[-1])
        if sorted(names) != sorted(EXPRESSIONS):
            raise facts.wrong("expressions", f"must be {', '.join(EXPRESSIONS)} in some order")
        self._expressions = [names.index(name) for name in EXPRESSIONS]
        bins = facts.numbers("va_values", float)
        if 2 * len(bins) != model.outputs["va_logits"].shape[-1]:
            raise facts.wrong("va_values", "must have half as many values as va_logits")
        self.bins = np.array(bins)

    def decode(
        self, face_id: str, logits: Mapping[str, FloatArray], mouth: float = 1.0
    ) -> FaceAffect:
        """Returns the results of one face.

        ``logits`` has ``au_logits`` [8], ``expression_logits`` [7] and ``va_logits`` [40]: 20 bins
        of valence, then 20 of arousal. A confidence is ``entropy_confidence`` of the probabilities,
        times ``mouth`` (``faces.mouth_visibility``) but for units of the upper face.
        """
        au, expression, va = (np.asarray(logits[name], np.float64) for name in _LOGITS)
        units = {
            code: ActionUnit(
                probability=p,
                confidence=entropy_confidence((p, 1 - p)) * (mouth if code > _UPPER_FACE else 1),
                threshold=threshold,
            )
            for code, p, threshold in sorted(
                zip(self.codes, map(float, _sigmoid(au)), self.thresholds, strict=True)
            )
        }
        probability = _softmax(expression)[self._expressions]
        valence, arousal = (_softmax(half) for half in np.split(va, 2))
        return FaceAffect(
            ActionUnits(face_id, self.source, MappingProxyType(units)),
            Expression(face_id, self.source, probability, entropy_confidence(probability) * mouth),
            ValenceArousal(
                face_id,
                self.source,
                float(valence @ self.bins),
                float(arousal @ self.bins),
                (entropy_confidence(valence) + entropy_confidence(arousal)) / 2 * mouth,
            ),
        )


class MultitaskNet:
    """Runs the multitask network (one student or an ensemble) on the crops of ``faces.crop_face``.

    ``model`` is the card ``multitask``, or one with its inputs and outputs. Raises ModelError for
    any other model. ``models`` are the networks in use.

    After ``face-perception import multitask FILE``:

    >>> from face_perception.faces import crop_face, load_tracker
    >>> from face_perception.inference import load, sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> crops = [crop_face(frame.image, face) for face in load_tracker().detect(frame)]
    >>> (found,) = MultitaskNet(load("multitask")).estimate(crops)
    >>> list(found.units.units)  # FACS numbers
    [1, 2, 4, 6, 12, 15, 20, 25]
    """

    def __init__(self, model: Model) -> None:
        check_ports(model, "face", _LOGITS)
        self.models = (model,)
        self._model = model
        self._decoder = MultitaskDecoder(model)

    def estimate(
        self, crops: Sequence[FaceCrop], mouths: Sequence[float] | None = None
    ) -> list[FaceAffect]:
        """Returns the results of each crop, in order, from one run of the network.

        ``mouths`` are the visibilities of the mouths, if they are known. Raises InputError if a
        crop is not RGB uint8 [160, 160, 3].
        """
        if not crops:
            return []
        logits = self._model.infer({"face": multitask_input(crops)})
        return [
            self._decoder.decode(
                crop.face_id,
                {name: logits[name][i] for name in _LOGITS},
                faces.mouth_visibility(crop) if mouths is None else mouths[i],
            )
            for i, crop in enumerate(crops)
        ]


@dataclass(frozen=True)
class SequenceSettings:
    """Settings of ``MultitaskSequence``.

    >>> settings = SequenceSettings(window=16, look_ahead=4)
    >>> round(1000 * settings.look_ahead / 30)  # delay at 30 images per second, milliseconds
    133
    """

    window: int = setting(
        0,
        "Number of images that a recurrent model sees. A larger value needs more computing time. "
        "0: as many as it was trained on.",
        minimum=0,
        maximum=500,
    )
    look_ahead: int = setting(
        0,
        "Number of images in the window that come after the image that an estimate is for. "
        "Estimates are delayed by this number of images. Must be below `window`.",
        minimum=0,
        maximum=499,
    )
    max_gap: float = setting(
        0.5,
        "If a face is missing for longer than this, a recurrent model forgets it.",
        minimum=0.01,
        maximum=60.0,
        unit="s",
    )


class MultitaskSequence(Generic[T]):
    """Runs the recurrent multitask network over the last images of each face.

    The trunk runs once for each face and image; its features are kept for later images.

    - ``trunk``, ``heads``: the cards ``multitask_rnn_trunk`` and ``multitask_rnn``, or models with
      their inputs and outputs.
    - ``window``: number of images that an estimate uses (32 as published).
    - ``look_ahead``: how many of these come after the image that the estimate is for. With 0
      there is no delay, and the network, which reads the window in both directions, sees only the
      past.
    - ``max_gap``: seconds between two images after which all faces are forgotten.

    Raises ModelError if a model has other inputs or outputs, and InputError if a setting is out of
    range.

    After ``face-perception import multitask-rnn FILE``:

    >>> from face_perception.inference import load
    >>> from face_perception.types import FaceCrop
    >>> trunk, heads = load("multitask_rnn_trunk"), load("multitask_rnn")
    >>> sequence = MultitaskSequence(trunk, heads, window=8, look_ahead=1)
    >>> crop = FaceCrop("face_1", np.zeros((160, 160, 3), np.uint8), np.eye(2, 3))
    >>> for number in range(3):  # ``number`` is the tag that comes back with the results
    ...     print([tag for tag, _ in sequence.estimate(number, number / 30, [crop])])
    []
    [0]
    [1]
    >>> [tag for tag, _ in sequence.finish()]
    [2]
    """

    def __init__(
        self,
        trunk: Model,
        heads: Model,
        *,
        window: int = 32,
        look_ahead: int = SequenceSettings.look_ahead,
        max_gap: float = SequenceSettings.max_gap,
    ) -> None:
        if not 0 <= look_ahead < window:
            raise InputError(f"look_ahead must be from 0 to window - 1, not {look_ahead}")
        if not max_gap > 0:
            raise InputError(f"max_gap must be positive seconds, not {max_gap}")
        check_ports(trunk, "face", ("features",))
        check_ports(heads, "features", _LOGITS)
        self.models = (trunk, heads)
        self._trunk, self._heads = trunk, heads
        self._decoder = MultitaskDecoder(heads)
        self._window, self._look_ahead, self._max_gap = window, look_ahead, max_gap
        self.reset()

    def reset(self) -> None:
        """Forgets all faces."""
        self._features: dict[str, deque[FloatArray]] = {}
        # Images without results yet, with the results of faces that have left since.
        self._waiting: deque[tuple[T, list[FaceAffect]]] = deque()
        self._stamp = -math.inf

    def estimate(
        self, tag: T, stamp: float, crops: Sequence[FaceCrop]
    ) -> list[tuple[T, list[FaceAffect]]]:
        """Takes the faces of one image and returns the results of earlier images that are ready.

        ``tag`` is any value that identifies the image; it comes back with the image's results.
        ``stamp`` is in seconds. Returns (tag, results) of the image ``look_ahead`` images before
        this one; an empty list before there is such an image.

        A face that is not among ``crops`` is forgotten; the results of its waiting images are
        computed from the images so far. A stamp that goes back, or a gap, does this for all faces
        and returns all waiting images. Raises InputError if a crop is not RGB uint8 [160, 160, 3].
        """
        faces_in = multitask_input(crops)
        # Run this before any state changes: if it fails, the image is skipped.
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
        """Returns the results of the waiting images, oldest first, and forgets all faces.

        Call it when no more images come.
        """
        self._end(list(self._features))
        known = list(self._waiting)
        self.reset()
        return known

    def _end(self, face_ids: Sequence[str]) -> None:
        """Adds the results of these faces, which have left, to the waiting images."""
        features = {face_id: self._features[face_id] for face_id in face_ids}
        for later, (_, found) in enumerate(reversed(self._waiting)):
            found += self._read(features, later)

    def _read(self, features_of: Mapping[str, deque[FloatArray]], later: int) -> list[FaceAffect]:
        """Returns the results of the faces that were in the image ``later`` before their last."""
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
    """Returns the aligned faces as float32 [N, 3, 112, 112], RGB, 0 to 255, cropped as published.

    Raises InputError if a crop is not RGB uint8 [160, 160, 3].
    """
    from PIL import Image  # here, because the default networks do not need it

    side, border = faces.ALIGNED_SIDE, (_ENLARGED - faces.ALIGNED_SIDE) // 2
    batch = np.empty((len(crops), 3, side, side), np.float32)
    for i, crop in enumerate(crops):
        # The published code resizes with Pillow, which rounds differently from OpenCV.
        aligned = Image.fromarray(np.ascontiguousarray(faces.aligned_face(crop)))
        large = np.asarray(aligned.resize((_ENLARGED, _ENLARGED), Image.Resampling.BILINEAR))
        batch[i] = large[border:-border, border:-border].transpose(2, 0, 1)
    return batch


def load_multitask(
    model: Model, load: Callable[[str], Model], settings: SequenceSettings | None = None
) -> MultitaskNet | MultitaskSequence[Any] | None:
    """Returns the estimator for ``model``, or None if it is not a multitask network.

    The inputs and outputs of the model decide. A recurrent model also needs its trunk, which
    ``load`` loads by the name on the card. ``settings`` are used for a recurrent model; a
    ``window`` of 0 means that of the card. Raises InputError if a setting is out of range.
    """
    if not is_multitask_network(model):
        return None
    if "features" not in model.inputs:
        return MultitaskNet(model)
    facts = model.card.facts
    settings = settings or SequenceSettings()
    check(settings)
    trunk = load(str(facts.get("trunk", f"{model.name}_trunk")))
    return MultitaskSequence(
        trunk,
        model,
        window=settings.window or model.card.count_fact("window", 32),
        look_ahead=settings.look_ahead,
        max_gap=settings.max_gap,
    )


def check_ports(model: Model, input_name: str, outputs: Sequence[str]) -> None:
    if set(model.inputs) != {input_name} or not set(outputs) <= set(model.outputs):
        raise ModelError(
            f"model {model.name} has input {', '.join(model.inputs)} and output "
            f"{', '.join(model.outputs)}: use one with input {input_name} and output "
            f"{', '.join(outputs)}"
        )


class CardFacts:
    """Reads the facts of a model's card and checks each."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def wrong(self, name: str, what: str) -> ModelError:
        return ModelError(f"model {self._model.name}: fact {name} of its card {what}")

    def numbers(self, name: str, kind: type, count: int | None = None) -> list[Any]:
        value = self._list(name, count)
        if not all(isinstance(v, int | kind) and not isinstance(v, bool) for v in value):
            raise self.wrong(name, f"must be numbers, not {shortened(value)}")
        return value

    def names(self, name: str, count: int | None) -> list[str]:
        return [str(v) for v in self._list(name, count)]

    def _list(self, name: str, count: int | None) -> list[Any]:
        value = self._model.card.facts.get(name)
        if not isinstance(value, list) or count not in (None, len(value)):
            size = "" if count is None else f" of {count}"
            raise self.wrong(
                name, f"must be a list{size}, not {shortened(value)}: import the model again"
            )
        return value


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _softmax(x: FloatArray) -> FloatArray:
    exponential = np.exp(x - x.max())
    return np.asarray(exponential / exponential.sum())
