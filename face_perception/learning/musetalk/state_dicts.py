"""Reads MuseTalk's published files into state dicts with the names of our modules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from face_perception.inference import ModelError
from face_perception.learning.musetalk.autoencoder import RENAMED
from face_perception.learning.torch_checkpoint import check_start, read_torch_file

State = dict[str, Tensor]

# Keys under which a checkpoint with other content keeps its state dict.
_WRAPPERS = ("state_dict", "model_state_dict", "model")

# Names in OpenAI's whisper -> names in transformers.
_OPENAI = (
    (r"^blocks\.", "layers."),
    (r"\.attn_ln\.", ".self_attn_layer_norm."),
    (r"\.mlp_ln\.", ".final_layer_norm."),
    (r"\.attn\.query\.", ".self_attn.q_proj."),
    (r"\.attn\.key\.", ".self_attn.k_proj."),
    (r"\.attn\.value\.", ".self_attn.v_proj."),
    (r"\.attn\.out\.", ".self_attn.out_proj."),
    (r"\.mlp\.0\.", ".fc1."),
    (r"\.mlp\.2\.", ".fc2."),
    (r"^positional_embedding$", "embed_positions.weight"),
    (r"^ln_post\.", "layer_norm."),
)


def check_checkpoint_file(path: Path) -> None:
    """Checks the first bytes of a file. Raises ModelError, with the fix, if it is no checkpoint."""
    check_start(path, ModelError)


def read_state_dict(path: Path) -> State:
    """Returns the tensors of a .bin, .pt, .pth, .safetensors or .npz file by name.

    Files are memory-mapped where the format allows it. No code in the file is run. Raises
    ModelError that names the file and says what is wrong with it.
    """
    return _unwrapped(path, read_torch_file(path, ModelError, memory_map=True))


def read_provenance(path: Path) -> dict[str, str]:
    """Returns ``trained_on`` and ``licence`` that `train musetalk` wrote into a file; else nothing.

    Raises ModelError as ``read_state_dict`` does.
    """
    loaded = read_torch_file(path, ModelError, memory_map=True)
    about = loaded.get("about") if isinstance(loaded, Mapping) else None
    texts = dict(about) if isinstance(about, Mapping) else {}
    found = {key: str(texts[key]) for key in ("trained_on", "licence") if key in texts}
    return found if len(found) == 2 else {}


def _unwrapped(path: Path, loaded: object) -> State:
    for key in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping):
        raise ModelError(
            f"{path} holds a {type(loaded).__name__}: a state dict (tensors by name) was expected"
        )
    return {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}


def rename_vae(state: State) -> State:
    """Returns a state dict with the current names of the middle attention's parameters."""

    def current(name: str) -> str:
        for old, new in RENAMED.items():
            name = name.replace(old, new)
        return name

    return {current(name): value for name, value in state.items()}


def rename_whisper(state: State) -> tuple[State, bool]:
    """Returns whisper's encoder under our names, and whether the file is OpenAI's own."""
    of_openai = any(re.search(r"(^|\.)blocks\.", name) for name in state)
    found = {}
    prefixed = any(re.match(r"(model\.)?encoder\.", name) for name in state)
    for name, value in state.items():
        inner, count = re.subn(r"^(model\.)?encoder\.", "", name)
        if prefixed and not count:
            continue  # a tensor of the decoder
        for pattern, new in _OPENAI if of_openai else ():
            inner = re.sub(pattern, new, inner)
        found[inner] = value
    return found, of_openai


def empty_network(network: Callable[[], nn.Module]) -> nn.Module:
    """Makes a network without memory for its weights, which ``with_weights`` assigns."""
    with torch.device("meta"):
        return network()


def with_weights(module: nn.Module, state: State, path: Path) -> nn.Module:
    """Returns the module with exactly these weights, in FP32 and inference mode.

    Raises ModelError that names the file and the first tensors that are missing, unknown, of
    another shape or not finite.
    """
    wanted = module.state_dict()
    missing = [name for name in wanted if name not in state]
    unknown = [name for name in state if name not in wanted]
    shapes = [
        f"{name} is {list(state[name].shape)}, not {list(wanted[name].shape)}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    faulty = [n for n in wanted if n in state and not bool(state[n].isfinite().all())]
    for what, names in (
        ("lacks", missing),
        ("has unknown", unknown),
        ("does not fit:", shapes),
        ("has values that are not finite in", faulty),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ModelError(f"{path} {what} {', '.join(names[:3])}{more}: is it the right file?")
    # Assigned and not copied: tensors that are FP32 already are not duplicated.
    module.load_state_dict({name: state[name].float() for name in wanted}, assign=True)
    return module.eval().requires_grad_(False)
