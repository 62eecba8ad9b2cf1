"""MuseTalk's losses: adversarial (least squares), feature matching, and lip synchronisation.

Source: the released training code. Maps and features are those of ``PatchDiscriminator``,
embeddings those of ``SyncNet``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def generator_loss(generated: Tensor) -> Tensor:
    """Returns how far a map of generated images is from 1, which stands for real."""
    return ((1 - generated) ** 2).mean()


def discriminator_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Returns how far the map of real images is from 1, plus that of generated ones from 0."""
    return ((1 - real) ** 2 + generated**2).mean()


def feature_matching_loss(real: Sequence[Tensor], generated: Sequence[Tensor]) -> Tensor:
    """Returns the sum over blocks of the mean absolute difference of the features."""
    differences = [(a - b).abs().mean() for a, b in zip(real, generated, strict=True)]
    return torch.stack(differences).sum()


def agreement(sound: Tensor, lips: Tensor) -> Tensor:
    """Returns how well lips fit sound, 0 to 1, from embeddings [N, C]: their cosine similarity.

    A negative one counts as 0, as released.
    """
    return F.cosine_similarity(sound, lips).clamp(0, 1)


def sync_loss(sound: Tensor, lips: Tensor, fits: Tensor | None = None) -> Tensor:
    """Returns the cross-entropy of the agreement of embeddings [N, C].

    ``fits`` [N] is 1 where lips and sound belong together and 0 where they do not; by default all
    do, as in MuseTalk's second stage: minus the logarithm of the agreement.
    """
    found = agreement(sound, lips)
    return F.binary_cross_entropy(found, torch.ones_like(found) if fits is None else fits)
