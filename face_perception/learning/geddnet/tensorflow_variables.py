"""Maps the variables of the published TensorFlow graph to the tensors of ``GEDDnet``.

The whole graph has 131 variables. A network without a face, or without biases, has only those of
its layers, with the same names.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from face_perception.errors import InputError
from face_perception.learning.geddnet.network import GEDDnet

# TensorFlow's scope -> its layers, in order: Variable, Variable_1, ... are the kernel and bias of
# each layer in turn.
_SCOPES = {
    "transfer": ("trunk.conv1_1", "trunk.conv1_2", "trunk.conv2_1", "trunk.conv2_2"),
    "face": (
        *("face.conv2_3", "face.conv3_1", "face.conv3_2", "face.conv4_1", "face.conv4_2"),
        *("face_fc1.linear", "face_fc2.linear"),
    ),
    "eye": (
        *("eye.conv2_3", "eye.conv3_1", "eye.conv3_2", "eye.conv4_1", "eye.conv4_2"),
        *("left_fc.linear", "right_fc.linear"),
    ),
    "combine": ("combine.linear", "output"),
}

# TensorFlow's name of a normalisation layer -> our name.
_NORMS = {
    **{f"face/f_conv{n}": f"face.norm{n}" for n in ("2_3", "3_1", "3_2", "4_1", "4_2")},
    "face/f_fc1": "face_fc1.norm",
    "face/f_fc2": "face_fc2.norm",
    **{f"eye/e_conv{n}": f"eye.norm{n}" for n in ("2_3", "3_1", "3_2", "4_1", "4_2")},
    "eye/e1_fc1": "left_fc.norm",
    "eye/e2_fc1": "right_fc.norm",
    "combine/c_fc2": "combine.norm",
}

_STATISTICS = (
    *("beta", "moving_mean", "moving_variance", "moving_stddev"),
    *("renorm_mean", "renorm_stddev"),
)

_BIAS = "bias/Variable"

# Variables of the optimiser, which a checkpoint has as well.
_OF_TRAINING = ("/Adam", "/Adam_1", "beta1_power", "beta2_power", "LearnRate/")

_MOST_LISTED = 20


class VariablesError(InputError):
    """Raised for variables that do not fit a network; the message lists the differences."""


def tensor_names(network: GEDDnet) -> dict[str, str]:
    """Returns the names of our tensors by TensorFlow's names, for all variables of the network."""
    table = {_BIAS: "bias"}
    for scope, layers in _SCOPES.items():
        for k, layer in enumerate(layers):
            table[f"{scope}/{_variable(2 * k)}"] = f"{layer}.weight"
            table[f"{scope}/{_variable(2 * k + 1)}"] = f"{layer}.bias"
    for theirs, ours in _NORMS.items():
        for statistic in _STATISTICS:
            table[f"{theirs}/{statistic}"] = f"{ours}.{statistic}"
    tensors = network.state_dict()
    return {theirs: ours for theirs, ours in table.items() if ours in tensors}


def geddnet_from_variables(variables: Mapping[str, np.ndarray]) -> GEDDnet:
    """Makes GEDDnet with these weights, in inference mode, for any number of subjects.

    Raises VariablesError, as ``fill_from_variables`` does.
    """
    bias = variables.get(_BIAS)
    fits = bias is not None and bias.ndim == 2 and len(bias) >= 2 and len(bias) % 2 == 0
    network = GEDDnet(subjects=len(bias) // 2 if bias is not None and fits else 50)
    return fill_from_variables(network, variables, "GEDDnet")


def fill_from_variables(
    network: GEDDnet, variables: Mapping[str, np.ndarray], title: str
) -> GEDDnet:
    """Copies variables into a network, sets it to inference mode and returns it.

    ``variables`` have TensorFlow's names and layouts: kernels [height, width, in, out], matrices
    [in, out]. Variables of the optimiser are ignored. Raises VariablesError, with the ``title`` of
    the network, that lists all missing, unknown, mis-shaped and non-finite variables.
    """
    variables = {
        name: value
        for name, value in variables.items()
        if not name.endswith(_OF_TRAINING[:2]) and not name.startswith(_OF_TRAINING[2:])
    }
    tensors = network.state_dict()
    table = tensor_names(network)
    problems = [
        *(f"{name} is missing" for name in table if name not in variables),
        *(f"{name} is unknown" for name in variables if name not in table),
    ]
    for name, value in variables.items():
        if name not in table:
            continue
        wanted = _theirs(table[name], tensors).shape
        if value.shape != tuple(wanted):
            problems.append(f"{name} is {list(value.shape)}, not {list(wanted)}")
        elif value.dtype.kind != "f":
            problems.append(f"{name} is {value.dtype}, not float32")
        elif not np.isfinite(value).all():
            problems.append(f"{name} has values that are not finite")
    if problems:
        raise VariablesError(_sentence(problems, len(table), title))
    with torch.no_grad():
        for name, value in variables.items():
            _theirs(table[name], tensors).copy_(torch.from_numpy(np.array(value, np.float32)))
    return network.eval()


def variables_of(network: GEDDnet) -> dict[str, np.ndarray]:
    """Returns the weights of a network by TensorFlow's names, in TensorFlow's layouts."""
    tensors = network.state_dict()
    return {
        name: np.ascontiguousarray(_theirs(ours, tensors).cpu().numpy())
        for name, ours in tensor_names(network).items()
    }


def _variable(number: int) -> str:
    return f"Variable_{number}" if number else "Variable"


def _theirs(name: str, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Returns a view of one of our tensors in TensorFlow's layout."""
    tensor = tensors[name]
    if not name.endswith(".weight"):
        return tensor
    return tensor.permute(2, 3, 1, 0) if tensor.dim() == 4 else tensor.t()


def _sentence(problems: list[str], count: int, title: str) -> str:
    listed = "; ".join(problems[:_MOST_LISTED])
    left = len(problems) - _MOST_LISTED
    return f"these are not the {count} variables of {title}: {listed}" + (
        f"; and {left} more" if left > 0 else ""
    )
