"""Stands in for MuseTalk's networks where only their inputs and outputs matter. Needs no torch.

``musetalk_models`` has narrow networks with the true architecture.
"""

from __future__ import annotations

import numpy as np
from affect_models import Net


def install_musetalk_standins() -> None:
    """Installs ``musetalk_vae_encoder``, ``musetalk_unet``, ``musetalk_vae_decoder`` and
    ``whisper_encoder`` in the model cache.

    A decoded image is a blurred and inverted copy of the encoded one; speech has no effect.
    """
    net = Net(image=("N", 3, 256, 256))
    small = net.node("AveragePool", "image", kernel_shape=[8, 8], strides=[8, 8])
    padded = net.node("Pad", small, net.constant([0, 0, 0, 0, 0, 1, 0, 0], np.int64))
    net.output("mean", padded, ("N", 4, 32, 32))
    net.install("musetalk_vae_encoder")

    net = Net(latents=("N", 8, 32, 32), audio=("N", 50, 384))
    speech = net.node("ReduceMean", "audio", axes=[1, 2], keepdims=1)
    silent = net.node(
        "Mul", net.node("Unsqueeze", speech, net.constant([3], np.int64)), net.constant(0)
    )
    whole = net.node("Slice", "latents", *(net.constant([v], np.int64) for v in (4, 8, 1)))
    net.output("predicted", net.node("Add", whole, silent), ("N", 4, 32, 32))
    net.install("musetalk_unet")

    net = Net(latents=("N", 4, 32, 32))
    colours = net.node("Slice", "latents", *(net.constant([v], np.int64) for v in (0, 3, 1)))
    scales = net.constant([1, 1, 8, 8])
    large = net.node("Resize", colours, "", scales, mode="nearest")
    net.output("image", net.node("Sub", net.constant(255), large), ("N", 3, 256, 256))
    net.install("musetalk_vae_decoder")

    net = Net(mel=("N", 80, 3000))
    level = net.node("ReduceMean", "mel", axes=[1, 2], keepdims=0)
    ones = net.constant(np.zeros((1, 1500, 5, 384)))
    axes = net.constant([1, 2, 3], np.int64)
    net.output(
        "states", net.node("Add", ones, net.node("Unsqueeze", level, axes)), ("N", 1500, 5, 384)
    )
    net.install("whisper_encoder")
