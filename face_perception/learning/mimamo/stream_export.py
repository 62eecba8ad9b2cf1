"""Exports MIMAMO-Net in two parts for live video.

The first part runs once for each image. The second part, the recurrence, runs on a window of the
first part's features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from face_perception.errors import InputError
from face_perception.inference import ModelBuild, Port
from face_perception.learning.mimamo.network import TwoStream
from face_perception.learning.onnx_export import to_onnx

_STREAMS = ("appearance", "phase0", "phase1")
_OUTPUT = "valence_arousal"


class _Frame(nn.Module):
    def __init__(self, network: TwoStream) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, appearance: torch.Tensor, phase0: torch.Tensor, phase1: torch.Tensor
    ) -> torch.Tensor:
        return self.network.features(appearance, phase0, phase1)


class _OverTime(nn.Module):
    def __init__(self, network: TwoStream) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.network.over_time(features)


@torch.no_grad()
def stream_builds(whole: ModelBuild, network: TwoStream) -> Iterator[ModelBuild]:
    """Yields the models NAME_frame and NAME_over_time, and ``whole`` with facts that name them.

    Raises InputError if the network's recurrence is over clips.
    """
    if network.recurrence != "time":
        raise InputError(
            f"the recurrence of {whole.name} must be over time, not over {network.recurrence}"
        )
    frame, over_time = f"{whole.name}_frame", f"{whole.name}_over_time"
    features_meaning = "features of a frame from both streams, before the recurrence"
    reference_inputs = {name: whole.reference_inputs[name] for name in _STREAMS}
    clips, frames = reference_inputs["phase0"].shape[:2]
    flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in reference_inputs.items()}
    features = network.features(*(torch.from_numpy(value) for value in flat.values()))
    facts = {key: whole.facts[key] for key in ("system", "appearance", "window", "rate_hz")}
    common: dict[str, Any] = {"licence": whole.licence, "origin": whole.origin, "facts": facts}
    yield ModelBuild(
        name=frame,
        onnx=to_onnx(
            _Frame(network),
            [torch.from_numpy(v[:2]) for v in flat.values()],
            _STREAMS,
            ["features"],
        ),
        task="features of a frame's appearance and motion, for the recurrence over time",
        inputs={
            name: Port((None, *port.shape[2:]), port.dtype, port.meaning)
            for name, port in whole.inputs.items()
        },
        outputs={
            "features": Port(
                (None, network.width),
                "float32",
                features_meaning,
                tolerance=0.05,
                relative_tolerance=0.05,
            )
        },
        reference_inputs=flat,
        **common,
    )
    axes = {name: {0: "B", 1: "T"} for name in ("features", _OUTPUT)}
    most = next(iter(whole.inputs.values())).most
    yield ModelBuild(
        name=over_time,
        onnx=to_onnx(
            _OverTime(network), [torch.zeros(2, 3, network.width)], ["features"], [_OUTPUT], axes
        ),
        task="valence and arousal of each frame of a clip, from the features of its frames",
        inputs={
            "features": Port(
                (None, None, network.width),
                "float32",
                features_meaning,
                most=(*most[:2], network.width),
            )
        },
        outputs=whole.outputs,
        reference_inputs={"features": features.reshape(clips, frames, network.width).numpy()},
        **common,
    )
    parts = {"frame": frame, "over_time": over_time}
    yield dataclasses.replace(whole, facts={**whole.facts, **parts})
