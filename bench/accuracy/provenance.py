"""Collects what a result depends on: commit, versions, hashes of code, models and data."""

from __future__ import annotations

import functools
import hashlib
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("numpy", "opencv-python", "opencv-python-headless", "onnxruntime", "av")


def digest_of(parts: Mapping[Any, str]) -> str:
    """Returns the SHA-256 of names and texts, which does not depend on their order."""
    lines = sorted(f"{name}\t{text}" for name, text in parts.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _digest_of_files(files: Iterable[Path], root: Path) -> str:
    return digest_of(
        {
            file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files
        }
    )


def models() -> dict[str, str]:
    """Returns the SHA-256 of each model file in use, by the name of its card."""
    from face_perception import paths
    from face_perception.inference import catalogue

    files = {c.name: paths.models_dir() / c.file for c in catalogue().values() if c.kind == "model"}
    return {
        name: hashlib.sha256(file.read_bytes()).hexdigest()
        for name, file in sorted(files.items())
        if file.exists()
    }


@functools.cache
def product() -> str:
    """Returns ``product_now`` of the first call. Call it early, before files can change."""
    return product_now()


def product_now() -> str:
    """Returns one hash of code, configuration, models and versions."""
    code = [
        *ROOT.glob("face_perception/**/*.py"),
        *ROOT.glob("bench/accuracy/*.py"),
        *(f for f in ROOT.glob("config/**/*") if f.is_file()),
    ]
    return digest_of({"code": _digest_of_files(code, ROOT), **models(), **versions()})


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that compute."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> tuple[str, bool]:
    """Returns the commit of the project, and whether files differ from it; ("unknown", True)
    outside git.

    Ignores files that the bench itself writes (bench/results, docs).
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        folders = ("face_perception", "config", "resources", "bench/accuracy")
        changed = git("status", "--porcelain", "--", *folders)
        return git("rev-parse", "--short=10", "HEAD"), bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True
