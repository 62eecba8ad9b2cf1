"""Estimates expression probabilities from aligned face crops and smooths them over time."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import cv2
import numpy as np

from face_perception import faces
from face_perception.affect.confidence import entropy_confidence
from face_perception.affect.valence_arousal import derive_valence_arousal
from face_perception.errors import InputError, shortened
from face_perception.inference import Card, Model, ModelError, infer_batch
from face_perception.types import Expression, FaceCrop, FloatArray, ValenceArousal

_CROP = (160, 160, 3)
_VALENCE_AROUSAL = "valence_arousal"


def is_expression_network(model: Card | Model) -> bool:
    """Returns whether the inputs and outputs are those of an expression network (see
    ``ExpressionNet``).
    """
    return "face" in model.inputs and "probability" in model.outputs


class ExpressionNet:
    """Runs a network for seven expressions on the crops of ``faces.crop_face``.

    ``model`` is the card ``expression``, ``expression_fer``, or one with their input and output:
    ``face`` [N, side, side, 3] (RGB) or [N, side, side, 1] (gray), 0 to 255, and ``probability``
    [N, 7] in the order of ``types.EXPRESSIONS``. It may also return ``valence_arousal`` [N, 2], -1
    to 1. The fact ``window`` of its card is the square of the crop that the network sees: [first
    row, first column, side] in pixels. Raises ModelError for any other model.

    >>> from face_perception.faces import crop_face, load_tracker
    >>> from face_perception.inference import load, sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> crops = [crop_face(frame.image, face) for face in load_tracker().detect(frame)]
    >>> (found,) = ExpressionNet(load("expression")).estimate(crops)
    >>> found.label, found.confidence > 0.5
    ('happy', True)
    """

    def __init__(self, model: Model) -> None:
        if not is_expression_network(model):
            raise ModelError(
                f"model {model.name} has input {', '.join(model.inputs)} and output "
                f"{', '.join(model.outputs)}: use one with input face and output probability, such "
                "as expression"
            )
        port = model.inputs["face"]
        if len(port.shape) != 4 or port.shape[3] not in (1, 3) or port.shape[1] != port.shape[2]:
            raise ModelError(
                f"model {model.name} has input face {list(port.shape)}: use one with "
                "[N, side, side, 3] (RGB) or [N, side, side, 1] (gray)"
            )
        self._model = model
        self._side, self._gray = int(port.shape[1] or 0), port.shape[3] == 1
        self._window = _window(model)

    def estimate(self, crops: Sequence[FaceCrop]) -> list[Expression]:
        """Returns the expression of each crop, in order, from one run of the network.

        ``source`` is the model's name; ``confidence`` is ``entropy_confidence`` of the
        probabilities, times ``faces.mouth_visibility`` of the crop. Raises InputError if a crop is
        not RGB uint8 [160, 160, 3].
        """
        return [expression for expression, _ in self.estimate_affect(crops)]

    def estimate_affect(
        self, crops: Sequence[FaceCrop], mouths: Sequence[float] | None = None
    ) -> list[tuple[Expression, ValenceArousal]]:
        """Returns what ``estimate`` does, and valence and arousal of each crop.

        ``mouths`` are the visibilities of the mouths, if they are known. Valence and arousal are
        those of the network, with the confidence of the expression, or derived from the expression
        if the network does not estimate them.
        """
        if not crops:
            return []
        if mouths is None:
            mouths = [faces.mouth_visibility(crop) for crop in crops]
        batch = np.stack(
            [expression_input(c, self._window, self._side, gray=self._gray) for c in crops]
        )
        found = infer_batch(self._model, {"face": batch})
        name = self._model.name
        expressions = [
            Expression(crop.face_id, name, p, entropy_confidence(p) * mouth)
            for crop, p, mouth in zip(
                crops, found["probability"].astype(np.float64), mouths, strict=True
            )
        ]
        if _VALENCE_AROUSAL not in found:
            return [(e, derive_valence_arousal(e)) for e in expressions]
        return [
            (e, ValenceArousal(e.face_id, name, float(valence), float(arousal), e.confidence))
            for e, (valence, arousal) in zip(expressions, found[_VALENCE_AROUSAL], strict=True)
        ]


def expression_input(
    crop: FaceCrop, window: tuple[int, int, int], side: int, *, gray: bool = False
) -> FloatArray:
    """Returns what an expression network takes of a crop: float32 [side, side, 1 or 3], 0 to 255.

    ``window`` is the square of the crop that it sees: first row, first column, side in pixels.
    Raises InputError if the crop is not RGB uint8 [160, 160, 3].
    """
    if crop.image.shape != _CROP or crop.image.dtype != np.uint8:
        raise InputError(
            f"a face crop must be RGB uint8 {list(_CROP)}, not {crop.image.dtype} "
            f"{list(crop.image.shape)}: make it with faces.crop_face"
        )
    row, column, size = window
    image = crop.image[row : row + size, column : column + size]
    if gray:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    # INTER_AREA takes five times as long and is needed only to shrink the image a lot.
    interpolation = cv2.INTER_AREA if size / side > 1.5 else cv2.INTER_LINEAR
    small = cv2.resize(image, (side, side), interpolation=interpolation)
    return np.asarray(small, np.float32).reshape(side, side, -1)


SMOOTHING = 0.5  # seconds; default time constant, because single images give unsteady results


class ExpressionSmoother:
    """Smooths the probabilities of each face with an exponential moving average.

    ``time_constant`` is in seconds; 0 does not smooth. Raises InputError if it is negative.

    >>> from face_perception.types import EXPRESSIONS
    >>> def seen(name):
    ...     return Expression("face_1", "example", np.eye(7)[EXPRESSIONS.index(name)])
    >>> smoother = ExpressionSmoother(time_constant=1.0)
    >>> smoother.update(seen("neutral"), 0.0).label
    'neutral'
    >>> smoother.update(seen("happy"), 0.2).label, smoother.update(seen("happy"), 1.0).label
    ('neutral', 'happy')
    """

    def __init__(self, time_constant: float = SMOOTHING) -> None:
        self.change_time_constant(time_constant)
        self.reset()

    def change_time_constant(self, time_constant: float) -> None:
        """Uses another time constant from the next image on. Raises InputError if negative."""
        if not time_constant >= 0:
            raise InputError(f"time_constant must not be negative, not {time_constant}")
        self._time_constant = time_constant

    def reset(self) -> None:
        """Forgets all faces."""
        # Stamp, and probabilities, valence and arousal, of each face.
        self._last: dict[str, tuple[float, FloatArray]] = {}

    def __call__(self, expressions: Sequence[Expression], stamp: float) -> list[Expression]:
        """Returns the smoothed expressions of all faces in the image of ``stamp`` (s), in order.

        Forgets the faces that are not in ``expressions``. See ``update``.
        """
        smoothed = [self.update(expression, stamp) for expression in expressions]
        self.keep([expression.face_id for expression in expressions])
        return smoothed

    def keep(self, ids: Collection[str]) -> None:
        """Forgets all faces but those with these ids."""
        self._last = {i: last for i, last in self._last.items() if i in ids}

    def update(self, new: Expression, stamp: float) -> Expression:
        """Returns the smoothed expression of one face in the image of ``stamp`` (seconds).

        The confidence is that of the smoothed probabilities, reduced as that of ``new`` is reduced
        from that of its probabilities, for example by a hidden mouth. The average of a face starts
        again if its stamp goes back, after ``faces.ID_EXPIRES_AFTER`` seconds without the face, and
        after probabilities that are NaN.
        """
        return self.update_affect(new, derive_valence_arousal(new), stamp)[0]

    def update_affect(
        self, new: Expression, affect: ValenceArousal, stamp: float
    ) -> tuple[Expression, ValenceArousal]:
        """Returns what ``update`` does, and valence and arousal smoothed in the same way."""
        values = np.array([*new.probability, affect.valence, affect.arousal])
        since, before = self._last.pop(new.face_id, (math.nan, values))
        mean = before + self._share(stamp - since) * (values - before)
        probability = mean[:-2]
        own = entropy_confidence(new.probability)
        reduced = new.confidence / own if 0 <= new.confidence < own else 1.0
        confidence = entropy_confidence(probability) * reduced
        if np.isfinite(mean).all():
            self._last[new.face_id] = (stamp, mean)
        return (
            replace(new, probability=probability, confidence=confidence),
            replace(
                affect,
                valence=float(mean[-2]),
                arousal=float(mean[-1]),
                confidence=confidence,
            ),
        )

    def _share(self, elapsed: float) -> float:
        """Returns the weight of a new value after ``elapsed`` seconds; 1 ignores the last one."""
        if not 0 <= elapsed <= faces.ID_EXPIRES_AFTER or self._time_constant == 0:
            return 1.0
        return 1 - math.exp(-elapsed / self._time_constant)


def _window(model: Model) -> tuple[int, int, int]:
    """Returns first row, first column and side, from the fact ``window`` of the card."""
    fact = model.card.facts.get("window")
    if (
        not isinstance(fact, list)
        or len(fact) != 3
        or not all(type(v) is int for v in fact)
        or min(fact) < 0
        or fact[2] < 1
        or max(fact[:2]) + fact[2] > _CROP[0]
    ):
        raise ModelError(
            f"the card of model {model.name} must have the fact window, [first row, first column, "
            f"side] of a square in the crop of {_CROP[0]} pixels, not {shortened(fact)}"
        )
    row, column, side = fact
    return row, column, side
