"""Reads the variables of a TensorFlow checkpoint, or of an .npz file, as arrays by name.

Only a checkpoint needs TensorFlow (the extra ``tensorflow``; tested with version 2.21).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from face_perception.errors import one_line
from face_perception.files import open_regular, sha256_of
from face_perception.inference import ModelError
from face_perception.outside_files import one_error, read_arrays, refuse_stand_in

# A checkpoint is several files with one prefix; the user may name any of them.
_SUFFIX = re.compile(r"\.(index|meta|data-\d+-of-\d+)$")


def read_variables_file(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """Returns the variables by name, and the origin in words: file names with sha256.

    ``path`` is an .npz file, the prefix of a checkpoint (``model19.ckpt``), or one of its files.
    Raises ModelError, with the fix, if the file is missing or damaged, or TensorFlow is missing.
    """
    if path.suffix == ".npz":
        with one_error(f"checkpoint {path}", "give an .npz of its variables", ModelError):
            found = read_arrays(path)
            variables = {name.removesuffix(":0"): value for name, value in found.items()}
            return variables, f"{path.name} (sha256 {sha256_of(path)})"
    if path.is_dir():
        raise ModelError(
            f"{path} is a folder: name the checkpoint in it (its files without .index and .data-…)"
        )
    prefix = path.with_name(_SUFFIX.sub("", path.name))
    index = prefix.with_name(f"{prefix.name}.index")
    data = sorted(prefix.parent.glob(f"{prefix.name}.data-*-of-*"))
    for name, there in ((index.name, index.exists()), (f"{prefix.name}.data-*", bool(data))):
        if not there:
            raise ModelError(
                f"{path} is not an .npz, and the checkpoint lacks {name} in {prefix.parent}: give "
                "the whole checkpoint (.index and .data-…), or an .npz of its variables"
            )
    for file in (index, *data):
        failed = one_error(f"checkpoint {file}", "copy it again", ModelError)
        with failed, open_regular(file) as opened:
            refuse_stand_in(opened.read(100))
    origin = ", ".join(f"{file.name} (sha256 {sha256_of(file)})" for file in (index, *data))
    return _checkpoint(prefix), origin


def _checkpoint(prefix: Path) -> dict[str, np.ndarray]:
    tensorflow = _tensorflow(prefix)
    try:
        reader = tensorflow.train.load_checkpoint(str(prefix))
        names = reader.get_variable_to_shape_map()
        return {name: np.asarray(reader.get_tensor(name)) for name in names}
    except Exception as error:  # the types differ between versions of TensorFlow
        raise ModelError(
            f"TensorFlow cannot read the checkpoint {prefix}: {one_line(error)}"
        ) from error


def _tensorflow(prefix: Path) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow
    except ImportError as error:
        raise ModelError(
            f"reading the checkpoint {prefix} needs TensorFlow ({error}): pip install "
            "tensorflow, here or where it may be large; there, save the variables as an .npz: "
            f"r = tensorflow.train.load_checkpoint(prefix); numpy.savez('{prefix.name}.npz', "
            "**{n: r.get_tensor(n) for n in r.get_variable_to_shape_map()}), and import that"
        ) from error
    return tensorflow
