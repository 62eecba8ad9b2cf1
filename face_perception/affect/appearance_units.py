"""Estimates action units from the image of a face, without a neutral face."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from face_perception import faces, paths
from face_perception.affect.multitask import CardFacts, check_ports
from face_perception.inference import Model, load
from face_perception.types import ActionUnit, ActionUnits, FaceCrop

_CARD = "resources/affect/small_action_units.yaml"
# Of every unit. None separates the expressions that contain it with an AUC above .75 on every data
# set (docs/training.md).
_CONFIDENCE = 0.3


class AppearanceActionUnits:
    """Runs the model ``small_action_units`` on the crops of ``faces.crop_face``.

    It estimates the units that it recognises better on real people than the landmarks do without a
    neutral face: 2, 6, 9 and 15. Their confidence is low. ``model`` is the one of
    ``load_appearance_units``, or one with its input, its output, and the fact ``au``. Raises
    ModelError for any other model.

    >>> from face_perception.faces import crop_face, load_tracker
    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> crops = [crop_face(frame.image, face) for face in load_tracker().detect(frame)]
    >>> (found,) = load_appearance_units().estimate(crops)
    >>> list(found.units), found.units[6].intensity > found.units[9].intensity  # she smiles
    ([2, 6, 9, 15], True)
    """

    def __init__(self, model: Model) -> None:
        check_ports(model, "face", ("intensity",))
        count = model.outputs["intensity"].shape[-1]
        self._codes = CardFacts(model).numbers("au", int, count)
        self.model = model

    def estimate(self, crops: Sequence[FaceCrop]) -> list[ActionUnits]:
        """Returns the action units of each crop, in order, from one run of the model.

        Raises InputError if a crop is not RGB uint8 [160, 160, 3].
        """
        if not crops:
            return []
        aligned = np.stack([faces.aligned_face(crop) for crop in crops])
        batch = np.ascontiguousarray(aligned.transpose(0, 3, 1, 2), np.float32)
        found = self.model.infer({"face": batch})["intensity"].astype(float)
        return [
            ActionUnits(
                crop.face_id,
                self.model.name,
                MappingProxyType(
                    {
                        code: ActionUnit(intensity, confidence=_CONFIDENCE)
                        for code, intensity in zip(self._codes, row, strict=True)
                    }
                ),
            )
            for crop, row in zip(crops, found.tolist(), strict=True)
        ]


def appearance_units_card() -> Path:
    """Returns the card of the model that the package contains, for ``inference.load``."""
    return paths.resource(_CARD)


def load_appearance_units(*, threads: int = 1) -> AppearanceActionUnits:
    """Returns the estimator with the model that the package contains.

    ``threads`` is the number of CPU threads. Raises inference.ModelError if the installation is
    damaged.
    """
    return AppearanceActionUnits(load(appearance_units_card(), threads=threads))
