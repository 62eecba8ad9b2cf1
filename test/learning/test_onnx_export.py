"""The ONNX export of all networks: any batch size, the module unchanged, mistakes reported."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")

from face_perception.learning.onnx_export import OPSET, to_onnx


class Two(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 4)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        both = self.dropout(self.linear(left + right))
        return both, both.sum(1)


def exported() -> tuple[Two, bytes]:
    torch.manual_seed(1)
    module = Two().train()
    return module, to_onnx(module, [torch.rand(2, 3)] * 2, ["left", "right"], ["all", "sum"])


def test_any_batch_gives_what_torch_gives() -> None:
    module, data = exported()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert module.training, "the module's mode is left as it was"
    for count in (1, 2, 5):
        left, right = torch.rand(count, 3), torch.rand(count, 3)
        got = session.run(None, {"left": left.numpy(), "right": right.numpy()})
        with torch.no_grad():
            wanted = module.eval()(left, right)
        module.train()
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-5, atol=1e-6)


def test_ports_and_opset() -> None:
    import onnx

    model = onnx.load_from_string(exported()[1])
    onnx.checker.check_model(model, full_check=True)
    assert [opset.version for opset in model.opset_import] == [OPSET]
    ports = [*model.graph.input, *model.graph.output]
    assert [port.name for port in ports] == ["left", "right", "all", "sum"]
    assert {port.type.tensor_type.shape.dim[0].dim_param for port in ports} == {"N"}


def test_axes_of_your_own() -> None:
    import onnx

    data = to_onnx(
        torch.nn.Tanh(), [torch.rand(2, 3)], ["x"], ["y"], {"x": {1: "time"}, "y": {1: "time"}}
    )
    dims = onnx.load_from_string(data).graph.input[0].type.tensor_type.shape.dim
    assert (dims[0].dim_value, dims[1].dim_param) == (2, "time")


def test_a_part_in_inference_mode_stays_in_it() -> None:
    """The wrappers around it were never set to a mode."""
    part = torch.nn.BatchNorm1d(3).eval()
    wrapper = torch.nn.Sequential(part)
    to_onnx(wrapper, [torch.rand(2, 3)], ["x"], ["y"])
    assert (wrapper.training, part.training) == (True, False)


def test_names_must_fit() -> None:
    with pytest.raises(ValueError, match="1 example inputs, but 2 input names: a, b"):
        to_onnx(torch.nn.Tanh(), [torch.rand(2, 3)], ["a", "b"], ["y"])
