"""What the authors' TensorFlow code answers as Dilated-Net, with weights that are made of a seed.

The answers come from the authors' unchanged code of GEDDnet (github.com/czk32611/GEDDnet, commit
26f89c0, function ``GEDDnet_infer``), run by TensorFlow 2.21 on one thread. Its variables were those
of ``variable`` below; in addition the rows of ``combine/Variable`` that read the face were zero.
What is left of that graph is Dilated-Net without a face.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

SEED = 17
FACES = 4

# Pitch and yaw in radians of the crops of ``eye``. Swapping the eyes changes them by up to 0.014.
GAZE = np.array(
    [
        (-0.040759872645139694, 0.002679798286408186),
        (-0.054739709943532944, -0.0192492064088583),
        (-0.06231669709086418, 0.003991249483078718),
        (-0.03646371141076088, -0.021794183179736137),
    ]
)

_COMBINE = "combine/Variable"
_OF_THE_FACE = 64  # the first rows of this matrix, which GEDDnet has and Dilated-Net has not


def checkpoint(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """The variables of Dilated-Net, of these shapes by TensorFlow's names."""
    made = {name: variable(name, shape) for name, shape in shapes.items()}
    rows, columns = shapes[_COMBINE]
    made[_COMBINE] = variable(_COMBINE, (rows + _OF_THE_FACE, columns))[_OF_THE_FACE:]
    return made


def variable(name: str, shape: tuple[int, ...]) -> Array:
    """A TensorFlow variable as a function of its name and shape, the same on every machine.

    Values are of the size that a trained network's have, and differ from channel to channel.
    """
    draws = _normals(name, shape)
    kind = name.rpartition("/")[2]
    if len(shape) > 1:
        gain = math.sqrt(2) if name.startswith("transfer/") else 1.2
        draws *= gain / math.sqrt(math.prod(shape[:-1]))
    elif kind in ("moving_mean", "renorm_mean"):
        draws *= 0.1
    elif kind == "moving_variance":
        draws = np.maximum(1 + draws / 4, 0.25)
    elif kind in ("moving_stddev", "renorm_stddev"):
        draws = np.maximum(1 + draws / 8, 0.5)
    else:
        draws *= 0.05
    return draws.astype(np.float32)


def eye(name: str) -> Array:
    """[FACES, 1, 64, 96]: gray, 0 to 255, of ``left_eye`` or ``right_eye``; blocks and noise."""
    coarse = np.kron(_normals(f"{name} blocks", (FACES, 8, 12)), np.ones((8, 8)))
    fine = _normals(f"{name} noise", (FACES, 64, 96))
    gray = np.clip(np.rint(128 + 60 * coarse + 20 * fine), 0, 255)
    return gray[:, None].astype(np.float32)


def _normals(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Nearly normal: sums of four 16-bit integers of a Philox generator, whose key is the name."""
    key = hashlib.sha256(f"{SEED}:{name}".encode()).digest()[:16]
    words = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(math.prod(shape))
    total = words.view(np.uint16).reshape(-1, 4).sum(axis=1, dtype=np.int64)
    scale = 65536 * math.sqrt(1 / 3)
    return ((total - 131070) / scale).reshape(shape)
