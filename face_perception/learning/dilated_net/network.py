"""Dilated-Net in PyTorch: gaze from both eyes, by dilated convolutions.

Source: Chen and Shi, "Appearance-Based Gaze Estimation Using Dilated-Convolutions", ACCV 2018. Its
layers are those of GEDDnet, which the same authors developed from it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from face_perception.learning.geddnet.network import GEDDnet
from face_perception.learning.geddnet.tensorflow_variables import fill_from_variables


def dilated_net(*, dilated: bool = True, dropout: float = 0.5) -> GEDDnet:
    """Makes the network that takes both eyes and no face.

    Both eyes go through one trunk and one stack of dilated layers, then each through its own layer
    of 256 units, and then together through a layer of 256 units to pitch and yaw. The network takes
    no head pose, because the normalized camera removes it. It has no biases of subjects, which
    GEDDnet introduced.

    The paper also describes a branch for the face. No code of its authors has that branch, and two
    public reimplementations agree on the eyes but not on the face, so it is left out here.
    ``dilated=False`` is the paper's baseline with pooling; ``dropout`` is the dropout probability.
    """
    return GEDDnet(subjects=0, dilated=dilated, face=False, dropout=dropout)


def dilated_net_from_variables(variables: Mapping[str, np.ndarray]) -> GEDDnet:
    """Makes the network with these weights, in inference mode.

    ``variables`` are the 74 variables of the authors' TensorFlow graph outside its scopes ``face``
    and ``bias``. Raises VariablesError that lists all missing, unknown, mis-shaped and non-finite
    variables.
    """
    return fill_from_variables(dilated_net(), variables, "Dilated-Net")
