"""Weights computed from a seed, a name and a shape: equal on every machine.

The published code was run with them to make test/data/golden, so nobody needs a trained checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
State = dict[str, npt.NDArray[np.generic]]

PARAMETERS = Path(__file__).parents[1] / "data" / "golden" / "parameters"

# Prefix of a name in the key of its random generator.
_PREFIXES = {
    "geddnet": "geddnet.",
    "multitask": "mtl.cnn.",
    "multitask_rnn": "mtl.cnn_rnn.",
    "resnet50_ferplus": "ferplus.",
    "mimamo": "mimamo.",
    "musetalk_unet": "musetalk.unet.",
    "musetalk_vae": "musetalk.vae.",
    "musetalk_whisper_encoder": "musetalk.whisper.",
    "musetalk_syncnet": "musetalk.syncnet.",
    "musetalk_discriminator": "musetalk.disc.",
}

# Numbers computed at a time. They fit into the cache of a processor, which doubles the speed.
_BLOCK = 1 << 15
_LOW_16_OF_32 = np.uint64(0x0000FFFF0000FFFF)

# The order matters: the first name contains the third.
_OPENAI_NAMES = (
    (".self_attn_layer_norm.", ".attn_ln."),
    (".final_layer_norm.", ".mlp_ln."),
    ("layer_norm.", "ln_post."),
    ("embed_positions.weight", "positional_embedding"),
    ("layers.", "blocks."),
    (".self_attn.q_proj.", ".attn.query."),
    (".self_attn.k_proj.", ".attn.key."),
    (".self_attn.v_proj.", ".attn.value."),
    (".self_attn.out_proj.", ".attn.out."),
    (".fc1.", ".mlp.0."),
    (".fc2.", ".mlp.2."),
)


def parameter_shapes(network: str) -> dict[str, list[int]]:
    """Returns the shapes of the tensors of a published checkpoint by name, in its order."""
    shapes: dict[str, list[int]] = json.loads((PARAMETERS / f"{network}.json").read_text())
    return shapes


def older_names() -> dict[str, str]:
    """Returns older names of tensors of MuseTalk's autoencoder by today's name."""
    names: dict[str, str] = json.loads((PARAMETERS / "musetalk_vae_older_names.json").read_text())
    return names


def openai_name(name: str) -> str:
    """Returns the name in OpenAI's tiny.pt of a tensor of Hugging Face's Whisper encoder."""
    for ours, theirs in _OPENAI_NAMES:
        name = name.replace(ours, theirs)
    return name


def weights(network: str, seed: int = 1, part: str = "") -> State:
    """Returns the tensors of a published network by the names of its checkpoint.

    Only those whose names begin with ``part``.
    """
    prefix = _PREFIXES[network]
    made: State = {}
    for name, shape in parameter_shapes(network).items():
        if not name.startswith(part):
            continue
        if network == "geddnet":
            value = tensorflow_variable(seed, prefix + name, shape)
            if name == "bias/Variable":  # of each person: about 3 degrees, in tenths of a radian
                value = (0.5 * normals(seed, prefix + name, shape)).astype(np.float32)
            made[name] = value
            continue
        made[name] = torch_tensor(seed, prefix + name, shape)
        if name.endswith("conv1_7x7_s2_bn.running_var"):
            made[name] = made[name] * np.float32(4000)  # its layer sees pixels of 0 to 255
        if network == "musetalk_whisper_encoder" and name == "embed_positions.weight":
            made[name] = made[name] * np.float32(10)
    return made


def torch_tensor(seed: int, key: str, shape: Sequence[int]) -> npt.NDArray[np.generic]:
    """Returns a tensor of a PyTorch state dict, with values of the size of trained ones."""
    kind = key.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    draws = normals(seed, key, shape)
    if kind == "running_var":
        draws = np.maximum(1 + 0.25 * draws, 0.25)
    elif kind == "running_mean":
        draws = 0.1 * draws
    elif kind.startswith("bias") or kind.endswith("bias"):
        draws = 0.05 * draws
    elif len(shape) > 1:
        draws = (1 / math.sqrt(math.prod(shape[1:]))) * draws
    else:  # the gain of a normalization
        draws = 1 + 0.1 * draws
    return draws.astype(np.float32)


def tensorflow_variable(seed: int, key: str, shape: Sequence[int]) -> Array:
    """Returns a variable of GEDDnet or Dilated-Net; kernels are [height, width, in, out]."""
    draws, kind = normals(seed, key, shape), key.rpartition("/")[2]
    if kind == "moving_variance":
        draws = np.maximum(1 + 0.25 * draws, 0.25)
    elif kind in ("moving_stddev", "renorm_stddev"):
        draws = np.maximum(1 + 0.125 * draws, 0.5)
    elif kind in ("moving_mean", "renorm_mean"):
        draws = 0.1 * draws
    elif kind == "beta" or len(shape) == 1:
        draws = 0.05 * draws
    else:
        gain = 1.41421356 if "transfer" in key else 1.2
        draws = (gain / math.sqrt(math.prod(shape[:-1]))) * draws
    return draws.astype(np.float32)


def normals(seed: int, key: str, shape: Sequence[int]) -> npt.NDArray[np.float64]:
    """Returns nearly normal numbers: sums of four 16-bit integers of a Philox generator.

    The key of the generator is the beginning of the SHA-256 of the seed and the name.
    """
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()[:16]
    generator = np.random.Philox(key=int.from_bytes(digest, "little"))
    made = np.empty(math.prod(shape))
    for begin in range(0, made.size, _BLOCK):
        block = made[begin : begin + _BLOCK]
        words = generator.random_raw(block.size)
        pairs = (words & _LOW_16_OF_32) + (words >> np.uint64(16) & _LOW_16_OF_32)
        total = (pairs & np.uint64(0xFFFFFFFF)) + (pairs >> np.uint64(32))
        block[:] = scaled_sums(total.astype(np.int64))
    return made.reshape(tuple(shape))


def scaled_sums(total: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Returns sums of four 16-bit integers, shifted and scaled to mean 0 and variance 1."""
    scaled: npt.NDArray[np.float64] = (total - 131070) / (65536 * math.sqrt(1 / 3))
    return scaled
