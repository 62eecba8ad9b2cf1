"""The perceptual loss of MuseTalk: features of VGG-19 at several scales of an image.

The weights are not part of the package. A file of them is given by its path, with a card beside it
that states their licence. Source: Johnson et al., 2016; layers and scales of the released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from face_perception.errors import InputError
from face_perception.learning.musetalk.image_pyramid import image_pyramid, loss_images
from face_perception.learning.torch_checkpoint import CheckpointError, read_checkpoint
from face_perception.outside_files import one_error, read_yaml

# Convolutions up to relu5_1, numbered as in torchvision's ``vgg19().features``; a pooling comes
# before those of _POOLED. The features are the outputs of the rectifiers after those of _SEEN.
_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)
_POOLED = (5, 10, 19, 28)
_SEEN = (0, 5, 10, 19, 28)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class VGGFeatures(nn.Module):
    """Images [N, 3, H, W] -> the outputs of relu1_1, 2_1, 3_1, 4_1 and 5_1 of VGG-19.

    ``widths`` are the channels of the 13 convolutions. As released, images of -1 to 1 are
    normalised as if they were 0 to 1.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        before = (3, *widths)
        self.features = nn.ModuleDict(
            {
                str(number): nn.Conv2d(inputs, outputs, 3, padding=1)
                for number, inputs, outputs in zip(_CONVOLUTIONS, before, widths, strict=False)
            }
        )
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(_STD)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = (images - self.mean) / self.std
        found = []
        for number in _CONVOLUTIONS:
            if number in _POOLED:
                x = F.max_pool2d(x, 2)
            x = F.relu(self.features[str(number)](x))
            if number in _SEEN:
                found.append(x)
        return found


@dataclass(frozen=True)
class PerceptualNetwork:
    """VGG-19 with weights of a file; ``origin`` and ``licence`` are for the card of a model."""

    network: VGGFeatures
    origin: str
    licence: str


def perceptual_loss(network: VGGFeatures, images: Tensor, generated: Tensor) -> Tensor:
    """Returns the difference of two batches of images [N, 3, H, W], -1 to 1, as VGG-19 sees them.

    It is the mean absolute difference of the features, averaged over the five layers and summed
    over four scales.
    """
    total = torch.zeros((), device=images.device)
    pyramids = (image_pyramid(loss_images(one)) for one in (generated, images))
    for made, real in zip(*pyramids, strict=True):
        for a, b in zip(network(made), network(real), strict=True):
            total = total + (a - b.detach()).abs().mean() / len(_SEEN)
    return total


def load_perceptual(path: Path) -> PerceptualNetwork:
    """Returns VGG-19 with the weights of a file, such as torchvision's ``vgg19-dcbb9e9d.pth``.

    The file beside it with the ending ``.yaml`` is its card: ``licence`` and ``source``, texts.
    Raises InputError if the card is missing or incomplete, and CheckpointError if the weights do
    not fit.
    """
    licence, source = _card(path.with_suffix(".yaml"), path)
    checkpoint = read_checkpoint(path)
    weights = {
        name: value
        for name, value in checkpoint.tensors.items()
        if name.startswith("features.") and name.split(".")[1] in map(str, _CONVOLUTIONS)
    }
    widths = [weights.get(f"features.{number}.weight") for number in _CONVOLUTIONS]
    if any(one is None or one.dim() != 4 for one in widths):
        raise CheckpointError(
            f"{path} is not VGG-19: tensors features.0.weight to features.28.weight were expected, "
            "as in torchvision's file"
        )
    network = VGGFeatures(tuple(len(one) for one in widths if one is not None))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path} is not VGG-19: the shapes of its features.* do not follow each other"
        ) from error
    return PerceptualNetwork(
        network.eval().requires_grad_(False), f"{source}; {checkpoint.origin}", licence
    )


def _card(card: Path, weights: Path) -> tuple[str, str]:
    wanted = "give a YAML file with the texts licence and source"
    if not card.exists():
        raise InputError(f"{card} is missing, the card of {weights.name}: {wanted}")
    with one_error(f"{card}", wanted):
        found = read_yaml(card)
    texts = [found.get(key) if isinstance(found, dict) else None for key in ("licence", "source")]
    if not all(isinstance(text, str) and text for text in texts):
        raise InputError(f"{card} does not state licence and source: {wanted}")
    return str(texts[0]), str(texts[1])
