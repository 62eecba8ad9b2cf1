"""The files with which the web page shows a head in three dimensions."""

from __future__ import annotations

import io
import tarfile

from face_perception import paths
from face_perception.inference import library_archive

_SCRIPT = "text/javascript; charset=utf-8"
_OF_THREE = (
    "build/three.module.js",
    "build/three.core.js",
    "examples/jsm/loaders/GLTFLoader.js",
    "examples/jsm/utils/BufferGeometryUtils.js",
    "examples/jsm/utils/SkeletonUtils.js",
)


def head_files() -> dict[str, tuple[str, bytes]]:
    """Returns the content type and content by path, for ``WebScreen``: the head and its script."""
    return {
        "/head.js": (_SCRIPT, paths.resource("resources/head.js").read_bytes()),
        "/head.glb": ("model/gltf-binary", paths.resource("resources/head.glb").read_bytes()),
    }


def three_files() -> dict[str, tuple[str, bytes]]:
    """Returns the same of three.js, which the script imports.

    Raises ModelError if it was not fetched; the text has the command.
    """
    out = {}
    with tarfile.open(fileobj=io.BytesIO(library_archive("three"))) as archive:
        for name in _OF_THREE:
            member = archive.extractfile(f"package/{name}")
            assert member is not None, "the hash of the archive was checked"
            out[f"/three/{name}"] = (_SCRIPT, member.read())
    return out
