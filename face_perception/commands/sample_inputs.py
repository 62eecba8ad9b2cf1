"""Collects the inputs of networks from photographs, for quantization and for the accuracy gate.

Rotates, scales, flips and dims the photographs, runs perception on them, and records what each
network is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from face_perception.inference import Card
    from face_perception.people import FaceTemplates
    from face_perception.pipeline import Perception

PHOTOGRAPHS = ("astronaut", "grace_hopper")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def network_inputs(
    card: Card, count: int, images: Sequence[Path] = (), arrays: Path | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Returns up to ``count`` inputs of a network, as arrays [count, ...] by input name.

    Takes them from the first of these that applies: ``arrays``, an .npz file with one array for
    each input; ``images``, files and folders; the reference inputs of an imported network; the
    sample photographs; the reference inputs of a network that perception does not use by default.
    Raises ModelError if it finds no inputs.
    """
    import numpy as np

    from face_perception.inference import ModelError, record_inputs
    from face_perception.outside_files import one_error, read_arrays

    if arrays is not None:
        wanted = f"give an .npz file with the arrays {', '.join(card.inputs)}"
        with one_error(str(arrays), wanted, ModelError):
            found = read_arrays(arrays)
            return {name: found[name][:count] for name in card.inputs}
    if card.origin and not images:
        return _some_reference_inputs(card, count)
    from face_perception.pipeline import Perception

    photographs = list(_photographs(images))
    perception = Perception.load(single_image=True, blendshapes=card.name == "blendshapes")
    with record_inputs() as seen:
        _perceive(perception, photographs, -(-count // len(photographs)), _recognition(card))
    calls = seen.get(card.name, [])
    if not calls and not images and card.reference_inputs_path.exists():
        # Perception does not use this network by default.
        return _some_reference_inputs(card, count)
    if not calls:
        raise ModelError(
            f"perception did not use model {card.name} on these pictures: give pictures that show "
            "faces, or give the inputs of the network with --inputs FILE.npz"
        )
    whole = {name: np.concatenate([call[name] for call in calls]) for name in card.inputs}
    total = len(next(iter(whole.values())))
    # Choose inputs evenly over all calls, without randomness.
    chosen = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    return {name: value[chosen] for name, value in whole.items()}


def _some_reference_inputs(card: Card, count: int) -> dict[str, npt.NDArray[Any]]:
    from face_perception.inference import read_reference_inputs

    return {name: value[:count] for name, value in read_reference_inputs(card).items()}


def _recognition(card: Card) -> FaceTemplates | None:
    from face_perception.inference import load
    from face_perception.people import RECOGNITION_MODEL, FaceTemplates

    return FaceTemplates(load(card.name)) if card.name == RECOGNITION_MODEL else None


def _perceive(
    perception: Perception,
    photographs: Sequence[Any],
    views: int,
    recognition: FaceTemplates | None,
) -> None:
    from face_perception.faces import crop_face
    from face_perception.types import Camera, Frame

    for image in photographs:
        for number in range(views):
            view = _view(image, number)
            camera = Camera.assume(view.shape[1], view.shape[0])
            faces = perception.process(Frame(view, 0.0, camera)).faces
            if recognition is not None and faces:
                recognition.estimate([crop_face(view, face) for face in faces], faces)


def _photographs(images: Sequence[Path]) -> Iterator[Any]:
    from face_perception.inference import ModelError, sample_photo
    from face_perception.media import read_picture

    paths: list[Path] = []
    for path in images or [sample_photo(name) for name in PHOTOGRAPHS]:
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        paths += [p for p in inside if not path.is_dir() or p.suffix.lower() in _SUFFIXES]
    if not paths:
        raise ModelError(
            f"no pictures found in {', '.join(map(str, images))}: give pictures that show faces"
        )
    yield from map(read_picture, paths)


def _view(image: Any, number: int) -> Any:
    """Returns a changed view of a photograph. Number 0 is the photograph itself."""
    import cv2
    import numpy as np

    if number == 0:
        return image
    height, width = image.shape[:2]
    angle, scale = (number * 47) % 61 - 30, 0.5 + (number * 29 % 40) / 40
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
    view = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    light = 0.5 + (number * 17 % 30) / 30
    view = np.clip(view * light, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(view[:, ::-1]) if number % 2 else view
