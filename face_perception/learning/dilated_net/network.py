"""Dilated-Net (gaze from both eyes, by dilated convolutions) in PyTorch.

Source: Chen and Shi, "Appearance-Based Gaze Estimation Using Dilated-Convolutions", ACCV 2018. The
layers are those of GEDDnet, which the same authors made of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from face_perception.learning.geddnet.network import GEDDnet
from face_perception.learning.geddnet.tensorflow_variables import fill_from_variables


def dilated_net(*, dilated: bool = True, dropout: float = 0.5) -> GEDDnet:
    """Makes the network in the form that takes both eyes and no face.

    Both eyes go through one trunk and one stack of dilated layers, then each through a layer of 256
    units, then both through another of 256 to pitch and yaw. The network takes no head pose: the
    normalised camera has turned it away. Biases of subjects came with GEDDnet; it has none.

    The paper also describes a branch for the face. No code of its authors has that branch, and two
    public reimplementations agree on the eyes but not on the face, so it is left out here.
    ``dilated=False`` is the paper's baseline with poolings, ``dropout`` the share that is dropped.
    """
    return GEDDnet(subjects=0, dilated=dilated, face=False, dropout=dropout)


def dilated_net_from_variables(variables: Mapping[str, np.ndarray]) -> GEDDnet:
    """Makes the network with these weights, in inference mode.

    ``variables`` are the 74 of the authors' TensorFlow graph without its scopes ``face`` and
    ``bias``. Raises VariablesError naming all that is missing, unknown, of another shape or not
    finite.
    """
    return fill_from_variables(dilated_net(), variables, "Dilated-Net")
