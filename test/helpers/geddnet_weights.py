"""GEDDnet for tests: the inputs of its golden, and networks with random weights."""

from __future__ import annotations

import numpy as np
import torch

from face_perception.learning.geddnet.batch_renorm import BatchRenorm
from face_perception.learning.geddnet.network import GEDDnet

Arrays = dict[str, np.ndarray]
INPUTS = {"face": "face_u8", "left_eye": "left_u8", "right_eye": "right_u8"}


def inputs(golden: Arrays) -> Arrays:
    """Returns inputs, float32 [N, 1, height, width], by the names of the network."""
    return {name: golden[key][:, None].astype(np.float32) for name, key in INPUTS.items()}


def lively(network: GEDDnet, seed: int = 0) -> GEDDnet:
    """Returns a network with random weights and, as in a trained one, different statistics in each
    channel.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                fan = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan) ** 0.5, generator=generator)
                module.bias.normal_(0, 0.05, generator=generator)
            elif isinstance(module, BatchRenorm):
                module.beta.normal_(0, 0.1, generator=generator)
                module.moving_mean.normal_(0.3, 0.2, generator=generator)
                module.moving_variance.uniform_(0.1, 2, generator=generator)
        if network.subjects:
            network.bias.normal_(0, 0.5, generator=generator)
    return network.eval()
