"""Small networks with the inputs and outputs of the imported ones.

They test estimators and nodes in milliseconds. The real networks are tested in test/parity.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from face_perception.inference import Card, ModelBuild, Port, install_model
from face_perception.types import EXPRESSIONS

AU = [1, 2, 4, 6, 12, 15, 20, 25]
THRESHOLDS = [0.14, 0.04, 0.14, 0.03, 0.41, 0.16, 0.05, 0.11]
WIDTH = 4

Axes = tuple[str | int, ...]


class Net:
    """An ONNX graph under construction, with any free axes. Values are names."""

    def __init__(self, **inputs: Axes) -> None:
        self.inputs, self.outputs = inputs, dict[str, Axes]()
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def linear(self, x: str, size: int, out: int, scale: float, seed: int) -> str:
        weights = np.random.default_rng(seed).normal(size=(size, out)) * scale
        return self.node("MatMul", x, self.constant(weights))

    def output(self, name: str, value: str, shape: Axes) -> None:
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs[name] = shape

    def install(self, name: str, **facts: Any) -> Card:
        def info(ports: dict[str, Axes]) -> list[Any]:
            return [
                helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ports.items()
            ]

        def ports(axes: dict[str, Axes]) -> dict[str, Port]:
            return {
                n: Port(tuple(None if isinstance(v, str) else v for v in s), "float32", "test", 0.1)
                for n, s in axes.items()
            }

        graph = helper.make_graph(
            self._nodes, name, info(self.inputs), info(self.outputs), self._constants
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        reference_inputs = {
            n: np.zeros([2 if isinstance(v, str) else v for v in shape], np.float32)
            for n, shape in self.inputs.items()
        }
        return install_model(
            ModelBuild(
                name=name,
                onnx=model.SerializeToString(),
                task="stands in for an imported network",
                licence="Apache-2.0",
                origin="made by a test",
                inputs=ports(self.inputs),
                outputs=ports(self.outputs),
                facts=facts,
                reference_inputs=reference_inputs,
            )
        )


def _heads(net: Net, features: str, size: int, free: Axes, scale: float = 3.0) -> None:
    for seed, (name, out) in enumerate(
        (("au_logits", 8), ("expression_logits", 7), ("va_logits", 40))
    ):
        net.output(name, net.linear(features, size, out, scale, seed), (*free, out))


def _decoding() -> dict[str, Any]:
    return {
        "au": AU,
        "au_thresholds": THRESHOLDS,
        "expressions": list(EXPRESSIONS),
        "va_values": np.linspace(-1, 1, 20).tolist(),
    }


def _patches(net: Net) -> str:
    """Adds the mean colours of the quarters of the face, [N, 12], divided by 100."""
    pooled = net.node("AveragePool", "face", kernel_shape=[56, 56], strides=[56, 56])
    flat = net.node("Flatten", pooled)
    return net.node("Mul", flat, net.constant(1 / 100))


def install_multitask(**facts: Any) -> None:
    """Installs ``multitask``, ``multitask_rnn_trunk`` and ``multitask_rnn``.

    The estimates of ``multitask_rnn`` depend on the mean of the window. ``facts`` are added to the
    card of ``multitask``.
    """
    face: Axes = ("N", 3, 112, 112)
    net = Net(face=face)
    _heads(net, _patches(net), 12, ("N",))
    net.install("multitask", **_decoding(), **facts)
    net = Net(face=face)
    net.output("features", net.linear(_patches(net), 12, 384, 0.5, 7), ("N", 384))
    net.install("multitask_rnn_trunk")
    net = Net(features=("B", "T", 384))
    mean = net.node("ReduceMean", "features", axes=[1], keepdims=1)
    # Small, so that no probability is near 0 or 1, where differences vanish.
    _heads(net, net.node("Add", "features", mean), 384, ("B", "T"), 0.02)
    net.install("multitask_rnn", trunk="multitask_rnn_trunk", window=8, **_decoding())


def install_expression(name: str) -> None:
    """Installs an expression network that also estimates valence and arousal, from mean colours."""
    net = Net(face=("N", 40, 40, 3))
    mean = net.node("ReduceMean", "face", axes=[1, 2], keepdims=0)
    scaled = net.node("Mul", mean, net.constant(1 / 100))
    logits = net.linear(scaled, 3, 7, 2.0, 1)
    net.output("probability", net.node("Softmax", logits, axis=1), ("N", 7))
    net.output("valence_arousal", net.linear(scaled, 3, 2, 0.2, 2), ("N", 2))
    net.install(name, window=[20, 20, 120])


def install_mimamo(*, parts: bool = True) -> None:
    """Installs ``mimamo_appearance``, ``mimamo`` (with or without its two ``parts``) and
    ``mimamo_released``.

    Each estimate depends on the mean over the axis of the recurrence.
    """
    net = Net(face=("N", 3, 224, 224))
    pooled = net.node("AveragePool", "face", kernel_shape=[8, 8], strides=[8, 8])
    flat = net.node("Flatten", pooled)  # 2352
    wide = net.node("Slice", flat, *(net.constant([v], np.int64) for v in (0, 2048, 1)))
    net.output("features", net.node("Mul", wide, net.constant(1 / 100)), ("N", 2048))
    net.install("mimamo_appearance")

    shapes = {"appearance": (2048,), "phase0": (24, 48, 48), "phase1": (24, 24, 24)}

    def features(net: Net, free: int) -> str:
        """Adds features [..., WIDTH]: the mean of the appearance, and the mean magnitudes of the
        phases.
        """
        means = []
        for name, shape in shapes.items():
            axes = list(range(free, free + len(shape)))
            value = net.node("Abs", name) if name != "appearance" else name
            means.append(net.node("ReduceMean", value, axes=axes, keepdims=0))
        last = net.constant([-1], np.int64)
        joined = net.node("Concat", *(net.node("Unsqueeze", m, last) for m in means), axis=-1)
        return net.linear(joined, 3, WIDTH, 0.2, 3)

    def recurrence(net: Net, x: str, axis: int) -> None:
        mean = net.node("ReduceMean", x, axes=[axis], keepdims=1)
        both = net.node("Add", x, mean)
        net.output("valence_arousal", net.linear(both, WIDTH, 2, 0.15, 4), ("B", "T", 2))

    facts: dict[str, Any] = {"appearance": "mimamo_appearance"}
    for name, axis in (("mimamo", 1), ("mimamo_released", 0)):
        net = Net(**{n: ("B", "T", *shape) for n, shape in shapes.items()})
        recurrence(net, features(net, 2), axis)
        named = {"frame": "mimamo_frame", "over_time": "mimamo_over_time"}
        more = named if parts and axis == 1 else {}
        net.install(name, recurrence="time" if axis else "clips", **facts, **more)
    net = Net(**{n: ("N", *shape) for n, shape in shapes.items()})
    net.output("features", features(net, 1), ("N", WIDTH))
    net.install("mimamo_frame")
    net = Net(features=("B", "T", WIDTH))
    recurrence(net, "features", 1)
    net.install("mimamo_over_time")
