"""Makes ``resources/models/expression.weights.npz`` from the npm package with the weights.

    npm pack @vladmandic/face-api@1.7.15
    python tools/expression_weights.py vladmandic-face-api-1.7.15.tgz expression.weights.npz

The tensors stay quantised as published (uint8 with a scale and a minimum), so nothing is lost. The
same package gives the same file, byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import tarfile
from pathlib import Path

import numpy as np

# Files of version 1.7.15, with their sha256.
MANIFEST = (
    "package/model/face_expression_model-weights_manifest.json",
    "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
)
WEIGHTS = (
    "package/model/face_expression_model.bin",
    "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
)


def main(package: Path, output: Path) -> None:
    with tarfile.open(package) as archive:
        manifest = json.loads(member(archive, *MANIFEST))
        data = member(archive, *WEIGHTS)
    np.savez(output, **tensors(manifest, data))
    print(f"{output}: sha256 {hashlib.sha256(output.read_bytes()).hexdigest()}")


def member(archive: tarfile.TarFile, name: str, sha256: str) -> bytes:
    """Returns a file of the package. Exits if its sha256 is not the expected one."""
    file = archive.extractfile(name)
    data = file.read() if file else b""
    if hashlib.sha256(data).hexdigest() != sha256:
        sys.exit(f"{archive.name}: {name} is not that of version 1.7.15 (sha256 {sha256})")
    return data


def tensors(manifest: list[dict[str, list[dict[str, object]]]], data: bytes) -> dict[str, object]:
    """Returns the arrays of TensorFlow.js's weight manifest, in order.

    A quantised array NAME stays uint8 and is followed by ``NAME:range``, float64 [2], with scale
    and minimum: value = stored * scale + minimum.
    """
    found: dict[str, object] = {}
    start = 0
    for group in manifest:
        for entry in group["weights"]:
            name, shape = str(entry["name"]), entry["shape"]
            quantisation = entry.get("quantization")
            dtype = np.dtype("u1" if quantisation else "<f4")
            count = math.prod(shape)
            found[name] = np.frombuffer(data, dtype, count, start).reshape(shape)
            start += count * dtype.itemsize
            if quantisation:
                found[f"{name}:range"] = np.array([quantisation["scale"], quantisation["min"]])
    if start != len(data):
        sys.exit(f"the manifest describes {start} bytes of weights, the file has {len(data)}")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("package", type=Path, metavar="PACKAGE.tgz")
    parser.add_argument("output", type=Path, metavar="OUT.npz")
    arguments = parser.parse_args()
    main(arguments.package, arguments.output)
