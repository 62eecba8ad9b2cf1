"""Expression probabilities from aligned face patches, and their smoothing over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from face_perception import faces
from face_perception.affect.certainty import certainty
from face_perception.inference import Model, ModelError
from face_perception.types import Expression, FaceCrop, FloatArray

# The window of the patch that the network reads: upright, a little higher than the landmarks' box,
# as the faces it was trained on. Chosen among 112 to 156 pixels and three heights by how close the
# probabilities are to those of the window cut from the photograph itself (30 faces: 0.06 apart in
# the class that differs most, the same class in 93 %).
_ROWS, _COLUMNS = slice(8, 144), slice(12, 148)
_INPUT = 64  # pixels of the network's input
_PATCH = (160, 160, 3)


class ExpressionNet:
    """The network for seven expressions on the patches of ``faces.crop_face``.

    ``model``: card "expression" or one with the same input and output; ModelError for others.
    """

    def __init__(self, model: Model) -> None:
        if "face" not in model.inputs or "probability" not in model.outputs:
            raise ModelError(
                f"model {model.name} takes {', '.join(model.inputs)} and gives "
                f"{', '.join(model.outputs)}, but expressions need one that takes face and gives "
                "probability"
            )
        self._model = model

    def estimate(self, crops: Sequence[FaceCrop]) -> list[Expression]:
        """One expression a crop, in order, all in one run of the network; ``source`` its name.

        ``confidence`` is one less the entropy of the probabilities as a share of that of knowing
        nothing. Raises ValueError for a patch that is not RGB uint8 [160, 160, 3].
        """
        if not crops:
            return []
        batch = np.stack([_network_input(crop) for crop in crops])
        probabilities = self._model.infer({"face": batch})["probability"].astype(np.float64)
        return [
            Expression(crop.face_id, self._model.name, p, certainty(p))
            for crop, p in zip(crops, probabilities, strict=True)
        ]


class SmoothExpressions:
    """Exponential mean of the probabilities of each face over time.

    ``time_constant`` in seconds, 0: none. Raises ValueError where it is negative.
    """

    def __init__(self, time_constant: float = 0.5) -> None:
        if not time_constant >= 0:
            raise ValueError(f"time_constant must not be negative, not {time_constant}")
        self._time_constant = time_constant
        self.reset()

    def reset(self) -> None:
        """Forget every face."""
        self._last: dict[str, tuple[float, FloatArray]] = {}

    def __call__(self, expressions: Sequence[Expression], stamp: float) -> list[Expression]:
        """The smoothed expressions of all faces of the image of ``stamp`` seconds, in order.

        The confidence is that of the smoothed probabilities. A face that is not among them is
        forgotten, and starts afresh where the stamp goes back, after ``faces.GONE_AFTER``, or where
        its probabilities are NaN.
        """
        smoothed = [self._smooth(expression, stamp) for expression in expressions]
        self._last = {
            e.face_id: (stamp, e.probability) for e in smoothed if np.isfinite(e.probability).all()
        }
        return smoothed

    def _smooth(self, new: Expression, stamp: float) -> Expression:
        if new.face_id not in self._last:
            return new
        since, before = self._last[new.face_id]
        mean = before + self._share(stamp - since) * (new.probability - before)
        return replace(new, probability=mean, confidence=certainty(mean))

    def _share(self, elapsed: float) -> float:
        """Weight of a new value after ``elapsed`` seconds; 1 where the last one does not count."""
        if not 0 <= elapsed <= faces.GONE_AFTER or self._time_constant == 0:
            return 1.0
        return 1 - math.exp(-elapsed / self._time_constant)


def _network_input(crop: FaceCrop) -> FloatArray:
    """Gray [64, 64, 1] float32, 0 to 255."""
    if crop.image.shape != _PATCH or crop.image.dtype != np.uint8:
        raise ValueError(
            f"a face patch must be RGB uint8 {list(_PATCH)}, not {crop.image.dtype} "
            f"{list(crop.image.shape)}: make it with faces.crop_face"
        )
    gray = cv2.cvtColor(crop.image[_ROWS, _COLUMNS], cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (_INPUT, _INPUT), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)[..., None]
