"""Loads a network of affect by name and runs it on the crops of each image, without ROS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from face_perception.affect.expression import SMOOTHING, ExpressionNet, ExpressionSmoother
from face_perception.affect.multitask import (
    AFFECT_NETWORKS,
    FaceAffect,
    MultitaskSequence,
    load_multitask,
)
from face_perception.inference import Model, load, log_terms
from face_perception.types import ActionUnits, Expression, FaceCrop, ValenceArousal


class CropAffect(NamedTuple):
    """Holds what a network tells about one face; ``units`` is None if it estimates none.

    >>> load_affect().estimate(0.0, [])  # an image without faces
    []
    """

    expression: Expression
    valence_arousal: ValenceArousal
    units: ActionUnits | None


class AffectEstimator:
    """Estimates affect with an expression network, a multitask network or a recurrent one.

    ``load_model`` loads further networks that the card of a recurrent network names. Expressions of
    an expression network are smoothed with the time constant ``smoothing`` (s); a multitask network
    is not smoothed. Raises ModelError for any other network.

    >>> from face_perception.faces import crop_face, load_tracker
    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> crops = [crop_face(frame.image, face) for face in load_tracker().detect(frame)]
    >>> (found,) = load_affect().estimate(frame.stamp, crops)
    >>> found.expression.label, found.units
    ('happy', None)
    """

    def __init__(
        self,
        model: Model,
        load_model: Callable[[str], Model] = load,
        smoothing: float = SMOOTHING,
    ) -> None:
        self.name = model.name
        self._multitask = load_multitask(model, load_model)
        self._expressions = ExpressionNet(model) if self._multitask is None else None
        self._smooth = ExpressionSmoother(smoothing)

    def reset(self) -> None:
        """Forgets all faces."""
        self._smooth.reset()
        if isinstance(self._multitask, MultitaskSequence):
            self._multitask.reset()

    def estimate(
        self, stamp: float, crops: Sequence[FaceCrop], mouths: Sequence[float] | None = None
    ) -> list[CropAffect]:
        """Returns the results of each crop of one image, in order.

        Call it once for each image, in the order of their ``stamp`` (s). Forgets faces that are not
        among ``crops``. ``mouths`` are the results of ``faces.mouth_visibility`` for the crops, if
        they are known. Raises InputError if a crop is not RGB uint8 [160, 160, 3].
        """
        if self._expressions is not None:
            found = [
                CropAffect(*self._smooth.update_affect(expression, affect, stamp), None)
                for expression, affect in self._expressions.estimate_affect(crops, mouths)
            ]
            self._smooth.keep([crop.face_id for crop in crops])
            return found
        return [
            CropAffect(one.expression, one.valence_arousal, one.units)
            for one in self._multitask_results(stamp, crops, mouths)
        ]

    def _multitask_results(
        self, stamp: float, crops: Sequence[FaceCrop], mouths: Sequence[float] | None
    ) -> list[FaceAffect]:
        if isinstance(self._multitask, MultitaskSequence):
            # Without a look-ahead, the last results are those of this image.
            return self._multitask.estimate(stamp, stamp, crops)[-1][1]
        assert self._multitask is not None
        return self._multitask.estimate(crops, mouths)


def load_affect(name: str = "expression", *, threads: int = 1) -> AffectEstimator:
    """Returns the estimator with the network of a card's name or path.

    ``threads`` is the number of CPU threads of each network. Raises ModelError if there is no such
    model, or it estimates no affect.
    """

    def load_model(name: str) -> Model:
        return load(name, threads=threads)

    model = load(name, AFFECT_NETWORKS, threads=threads)
    log_terms(model.card.terms)
    return AffectEstimator(model, load_model)
