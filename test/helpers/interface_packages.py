"""Builds the messages in test/interfaces, for machines whose ROS lacks one of PACKAGES.

The build takes about 40 s of CPU. It is kept in the folder for temporary files, and made again when
a message, the Python or the ROS distribution changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "interfaces"
FOLDER = Path(tempfile.gettempdir()) / f"face_perception_test_interfaces_{os.getuid()}"
PACKAGES = ("hri_msgs", "tf2_msgs", "foxglove_msgs", "audio_common_msgs")
# Those that are not installed. Found out before a test changes the path.
MISSING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def interface_packages() -> list[Path]:
    """Returns a folder for PYTHONPATH for each of the ``MISSING`` packages.

    Waits while another process builds them.
    """
    if not MISSING:
        return []
    # Resolved, so that working copies that share an environment share the build.
    python = Path(sys.prefix).resolve()
    digest = hashlib.sha256(f"{python} {os.environ.get('ROS_DISTRO')} {MISSING}".encode())
    for path in sorted(SOURCES.rglob("*")):
        digest.update(path.read_bytes() if path.is_file() else b"")
    FOLDER.mkdir(exist_ok=True)
    build = FOLDER / digest.hexdigest()[:16]
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = build / "done"
        if not done.exists():
            shutil.rmtree(build, ignore_errors=True)  # what an interrupted build left
            _build(build)
            done.touch()
    return [build / name / "rosidl_generator_py" for name in MISSING]


def _build(build: Path) -> None:
    configure = [
        *("cmake", "-S", SOURCES, "-B", build, f"-DPACKAGES={';'.join(MISSING)}"),
        *(f"-DPython3_EXECUTABLE={sys.executable}", "-DPython3_FIND_VIRTUALENV=ONLY"),
        *("-DBUILD_TESTING=OFF", "-DCMAKE_C_FLAGS=-O0", "-DCMAKE_CXX_FLAGS=-O0"),
    ]
    compile_ = ["cmake", "--build", build, "--target", "python_messages", "--parallel", "2"]
    for command in (configure, compile_):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-3000:]}"


def add_to_python_path(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the processes that the test starts import from ``folders``."""
    libraries = [folder.parent for folder in folders]
    for name, paths in (("PYTHONPATH", folders), ("LD_LIBRARY_PATH", libraries)):
        before = os.environ.get(name, "")
        monkeypatch.setenv(name, os.pathsep.join([*map(str, paths), before]))
