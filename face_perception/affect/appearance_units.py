"""Estimates from the image of a face how much some action units show, without a neutral face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from face_perception import faces, paths
from face_perception.affect.multitask import CardFacts, check_ports
from face_perception.inference import Model, load
from face_perception.types import FaceCrop

_CARD = "resources/affect/small_action_units.yaml"


class AppearanceNet:
    """Runs the model ``small_action_units`` on the crops of ``faces.crop_face``.

    Its estimates serve as evidence for ``LandmarkActionUnits``. ``model`` is the one of
    ``load_appearance``, or one with its input, its output, and the fact ``au``. Raises ModelError
    for any other model.

    >>> from face_perception.faces import crop_face, load_tracker
    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> crops = [crop_face(frame.image, face) for face in load_tracker().detect(frame)]
    >>> (found,) = load_appearance().estimate(crops)
    >>> list(found), found[6] > found[9]  # she smiles
    ([1, 2, 4, 6, 9, 15, 20, 26], True)
    """

    def __init__(self, model: Model) -> None:
        check_ports(model, "face", ("intensity",))
        count = model.outputs["intensity"].shape[-1]
        self._codes = CardFacts(model).numbers("au", int, count)
        self._model = model

    def estimate(self, crops: Sequence[FaceCrop]) -> list[dict[int, float]]:
        """Returns the strength of each unit, by FACS number, of each crop, in order.

        0 is the median of neutral faces, 1 a strong movement. Values below 0 and above 1 occur.
        Raises InputError if a crop is not RGB uint8 [160, 160, 3].
        """
        if not crops:
            return []
        aligned = np.stack([faces.aligned_face(crop) for crop in crops])
        batch = np.ascontiguousarray(aligned.transpose(0, 3, 1, 2), np.float32)
        found = self._model.infer({"face": batch})["intensity"].astype(float)
        return [dict(zip(self._codes, row, strict=True)) for row in found.tolist()]


def load_appearance(*, threads: int = 1) -> AppearanceNet:
    """Returns the network with the model that the package contains.

    It runs on ONNX Runtime in FP32, because it is too small to gain from a GPU. ``threads`` is the
    number of CPU threads. Raises inference.ModelError if the installation is damaged.
    """
    card = paths.resource(_CARD)
    return AppearanceNet(load(card, threads=threads, backend="onnxruntime", precision="fp32"))
