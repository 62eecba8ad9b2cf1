"""Expression probabilities from aligned face patches, and their smoothing over time."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import cv2
import numpy as np

from face_perception import faces
from face_perception.affect.confidence import entropy_confidence
from face_perception.errors import InputError
from face_perception.inference import Model, ModelError
from face_perception.types import Expression, FaceCrop, FloatArray

_PATCH = (160, 160, 3)


class ExpressionNet:
    """A network for seven expressions on the patches of ``faces.crop_face``.

    ``model`` takes ``face``, square images, channels last, in 0 to 255, either RGB or gray, and
    gives ``probability`` [N, 7] in the order of ``types.EXPRESSIONS``: the card `expression`,
    `expression_fer`, or a similar one. The card's fact ``window`` is the square of the patch that
    the network sees: [first row, first column, side] in pixels. Raises ModelError for other models.
    """

    def __init__(self, model: Model) -> None:
        if "face" not in model.inputs or "probability" not in model.outputs:
            raise ModelError(
                f"model {model.name} takes {', '.join(model.inputs)} and gives "
                f"{', '.join(model.outputs)}, but expressions need one that takes face and gives "
                "probability"
            )
        port = model.inputs["face"]
        if len(port.shape) != 4 or port.shape[3] not in (1, 3) or port.shape[1] != port.shape[2]:
            raise ModelError(
                f"model {model.name} takes face {list(port.shape)}, but expressions need "
                "[N, side, side, 3] (RGB) or [N, side, side, 1] (gray)"
            )
        self._model = model
        self._side, self._gray = int(port.shape[1] or 0), port.shape[3] == 1
        self._window = _window(model)
        # Averaging pixels costs five times as much and is needed only for a strong reduction.
        shrink = (self._window[0].stop - self._window[0].start) / self._side
        self._interpolation = cv2.INTER_AREA if shrink > 1.5 else cv2.INTER_LINEAR

    def estimate(self, crops: Sequence[FaceCrop]) -> list[Expression]:
        """One expression a crop, in order, all in one run of the network; ``source`` its name.

        ``confidence`` is one less the entropy of the probabilities as a share of that of knowing
        nothing. Raises InputError for a patch that is not RGB uint8 [160, 160, 3].
        """
        if not crops:
            return []
        batch = np.stack([self._input(crop) for crop in crops])
        probabilities = self._model.infer({"face": batch})["probability"].astype(np.float64)
        return [
            Expression(crop.face_id, self._model.name, p, entropy_confidence(p))
            for crop, p in zip(crops, probabilities, strict=True)
        ]

    def _input(self, crop: FaceCrop) -> FloatArray:
        """The network's input from a patch: [side, side, 1 or 3] float32, 0 to 255."""
        if crop.image.shape != _PATCH or crop.image.dtype != np.uint8:
            raise InputError(
                f"a face patch must be RGB uint8 {list(_PATCH)}, not {crop.image.dtype} "
                f"{list(crop.image.shape)}: make it with faces.crop_face"
            )
        image = crop.image[self._window]
        if self._gray:
            image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(image, (self._side, self._side), interpolation=self._interpolation)
        return np.asarray(small, np.float32).reshape(self._side, self._side, -1)


class ExpressionSmoother:
    """Exponential mean of the probabilities of each face over time.

    ``time_constant`` in seconds, 0: none. Raises InputError where it is negative.
    """

    def __init__(self, time_constant: float = 0.5) -> None:
        if not time_constant >= 0:
            raise InputError(f"time_constant must not be negative, not {time_constant}")
        self._time_constant = time_constant
        self.reset()

    def reset(self) -> None:
        """Forget every face."""
        self._last: dict[str, tuple[float, FloatArray]] = {}

    def __call__(self, expressions: Sequence[Expression], stamp: float) -> list[Expression]:
        """The smoothed expressions of all faces of the image of ``stamp`` seconds, in order.

        The confidence is that of the smoothed probabilities. A face that is not among them is
        forgotten, and starts afresh where the stamp goes back, after
        ``faces.ID_EXPIRES_AFTER``, or where its probabilities are NaN.
        """
        smoothed = [self.update(expression, stamp) for expression in expressions]
        self.keep([expression.face_id for expression in expressions])
        return smoothed

    def keep(self, ids: Collection[str]) -> None:
        """Forget the faces that are not among ``ids``."""
        self._last = {i: last for i, last in self._last.items() if i in ids}

    def update(self, new: Expression, stamp: float) -> Expression:
        """The smoothed expression of one face in the image of ``stamp`` seconds."""
        since, before = self._last.pop(new.face_id, (math.nan, new.probability))
        mean = before + self._share(stamp - since) * (new.probability - before)
        smoothed = replace(new, probability=mean, confidence=entropy_confidence(mean))
        if np.isfinite(mean).all():
            self._last[new.face_id] = (stamp, mean)
        return smoothed

    def _share(self, elapsed: float) -> float:
        """Weight of a new value after ``elapsed`` seconds; 1 where the last one does not count."""
        if not 0 <= elapsed <= faces.ID_EXPIRES_AFTER or self._time_constant == 0:
            return 1.0
        return 1 - math.exp(-elapsed / self._time_constant)


def _window(model: Model) -> tuple[slice, slice]:
    """Rows and columns of the patch, from the card's fact ``window``."""
    fact = model.card.facts.get("window")
    if (
        not isinstance(fact, list)
        or len(fact) != 3
        or not all(type(v) is int for v in fact)
        or min(fact) < 0
        or fact[2] < 1
        or max(fact[:2]) + fact[2] > _PATCH[0]
    ):
        raise ModelError(
            f"the card of model {model.name} must have the fact window, [first row, first column, "
            f"side] of a square in the patch of {_PATCH[0]} pixels, not {fact!r}"
        )
    row, column, side = fact
    return slice(row, row + side), slice(column, column + side)
