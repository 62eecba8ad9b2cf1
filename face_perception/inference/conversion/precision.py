"""FP32 ONNX -> FP16 or INT8 ONNX. Only at export; needs onnx.

INT8 has two recipes, for no file is fast on both sides: ``int8-cpu`` has unsigned activations,
which VNNI processors want and TensorRT refuses; ``int8-trt`` is symmetric with the bias left alone,
as TensorRT wants.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.transformers.float16 import convert_float_to_float16

Array = npt.NDArray[Any]

RECIPES = ("int8-cpu", "int8-trt")

# Regions, their axes and what is sampled at them: half a pixel of a 192 pixel image is lost in
# FP16, and they take next to no time.
_KEPT_FP32 = [
    *("ReduceL2", "ReduceMax", "ReduceMin", "ReduceMean", "Div", "Min", "Max", "Sub"),
    *("Resize", "GridSample"),
]


def to_fp16(model: bytes) -> bytes:
    """Weights and arithmetic in FP16; inputs and outputs stay FP32."""
    data: bytes = _to_half_precision(_named(onnx.load_from_string(model))).SerializeToString(
        deterministic=True
    )
    return data


def to_fp16_beside(source: Path, path: Path) -> None:
    """The same for a model with its weights beside it, of over 2 GB: writes ``path`` and
    ``path``.data. Takes 1.5 times the weights' size of memory.
    """
    model = onnx.load(source, load_external_data=False)
    # While it is small: with its weights in it, nothing over 2 GB can be asked for its shapes.
    model = onnx.shape_inference.infer_shapes(model)
    onnx.load_external_data_for_model(model, str(source.parent))
    onnx.save_model(
        _to_half_precision(_named(model), has_shapes=True),
        path,
        save_as_external_data=True,
        location=f"{path.name}.data",
    )


def _to_half_precision(network: Any, *, has_shapes: bool = False) -> Any:
    with warnings.catch_warnings():
        # Constants too small for FP16 are cut off, each with a warning.
        warnings.simplefilter("ignore", UserWarning)
        return convert_float_to_float16(
            network,
            keep_io_types=True,
            op_block_list=_KEPT_FP32,
            disable_shape_infer=has_shapes,
        )


def to_int8(model: bytes, recipe: str, samples: Mapping[str, Array]) -> bytes:
    """Convolutions in INT8, the rest FP32. ``samples`` [K, ...] by input name set the ranges."""
    for_tensorrt = recipe == "int8-trt"
    network = _named(onnx.load_from_string(model))
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        source = Path(folder) / "fp32.onnx"
        source.write_bytes(network.SerializeToString())
        quantize_static(
            source,
            path,
            _Samples(samples),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=_depthwise(network.graph),
            per_channel=True,
            activation_type=QuantType.QInt8 if for_tensorrt else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "ActivationSymmetric": for_tensorrt,
                "WeightSymmetric": True,
                "QuantizeBias": not for_tensorrt,
            },
        )
        return path.read_bytes()


def to_int8_products(source: Path, path: Path) -> None:
    """Products with constant matrices in INT8, with ranges found anew in every run, so that nothing
    is calibrated; the rest FP32. For the processor, and for weights beside the file (2 GB limit):
    writes ``path`` and ``path``.data.
    """
    with _quiet():
        quantize_dynamic(
            source,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=True,
            extra_options={"MatMulConstBOnly": True},
        )


def _named(network: Any) -> Any:
    """With a name for every node, which ONNX does not ask for but the converters do."""
    for node in network.graph.node:
        node.name = node.name or node.output[0]
    return network


def _depthwise(graph: Any) -> list[str]:
    """Depthwise convolutions: nine products a sum gain no speed, and lose most in precision."""
    return [
        node.name
        for node in graph.node
        if node.op_type == "Conv" and any(a.name == "group" and a.i > 1 for a in node.attribute)
    ]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer recommends steps on the root logger that change nothing for these graphs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


class _Samples(CalibrationDataReader):
    def __init__(self, samples: Mapping[str, Array]) -> None:
        count = len(next(iter(samples.values())))
        self._samples: Iterator[dict[str, Array]] = iter(
            [{name: value[k : k + 1] for name, value in samples.items()} for k in range(count)]
        )

    def get_next(self) -> dict[str, Array] | None:
        return next(self._samples, None)
