"""What the authors' TensorFlow code answers as Dilated-Net, with generated weights.

The answers come from the authors' unchanged code of GEDDnet (github.com/czk32611/GEDDnet, commit
26f89c0, function ``GEDDnet_infer``), run by TensorFlow 2.21 on one thread. Its variables were those
of ``checkpoint`` below; in addition the rows of ``combine/Variable`` that read the face were zero.
What is left of that graph is Dilated-Net without a face.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from generated_weights import normals, tensorflow_variable

Array = npt.NDArray[np.float32]

SEED = 17
FACES = 4

# Pitch and yaw in radians for the crops of ``eye``. Swapping the eyes changes them by up to 0.014.
GAZE = np.array(
    [
        (-0.040759872645139694, 0.002679798286408186),
        (-0.054739709943532944, -0.0192492064088583),
        (-0.06231669709086418, 0.003991249483078718),
        (-0.03646371141076088, -0.021794183179736137),
    ]
)

_COMBINE = "combine/Variable"
_OF_THE_FACE = 64  # the first rows of this matrix, which only GEDDnet has


def checkpoint(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Returns variables of Dilated-Net with these shapes, by TensorFlow's names."""
    made = {name: tensorflow_variable(SEED, name, shape) for name, shape in shapes.items()}
    rows, columns = shapes[_COMBINE]
    made[_COMBINE] = tensorflow_variable(SEED, _COMBINE, (rows + _OF_THE_FACE, columns))[
        _OF_THE_FACE:
    ]
    return made


def eye(name: str) -> Array:
    """Returns crops [FACES, 1, 64, 96] of ``left_eye`` or ``right_eye``: gray blocks with noise, 0
    to 255.
    """
    coarse = np.kron(normals(SEED, f"{name} blocks", (FACES, 8, 12)), np.ones((8, 8)))
    fine = normals(SEED, f"{name} noise", (FACES, 64, 96))
    gray = np.clip(np.rint(128 + 60 * coarse + 20 * fine), 0, 255)
    return gray[:, None].astype(np.float32)
