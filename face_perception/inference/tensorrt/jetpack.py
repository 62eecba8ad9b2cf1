"""What is known about TensorRT on Jetsons: where it comes from, and versions with faults.

Sources, all read in November 2026 and not measured here: NVIDIA's JetPack 7.2 release notes and
PyPI (versions); isaac-ros-cli issue 22 (10.13.3); ros2-depth-anything-v3-trt issue 16 (outputs);
frigate pull request 23582, wyoming-whisper-trt issue 1038 (libnvdla_compiler.so).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_RELEASE_FILE = Path("/etc/nv_tegra_release")
# Version of L4T, and the JetPack that has it.
_JETPACKS = {"36.4": "6.2", "38.2": "7.0", "38.4": "7.1", "39.2": "7.2"}


@dataclass(frozen=True, slots=True)
class JetPack:
    """The JetPack of this computer: its version ("" if unknown here), and that of L4T.

    >>> str(JetPack("7.2", "39.2.0"))
    'JetPack 7.2, L4T 39.2.0'
    """

    version: str
    l4t: str

    def __str__(self) -> str:
        return f"JetPack {self.version or '(unknown)'}, L4T {self.l4t}"


def find_jetpack(file: Path = _RELEASE_FILE) -> JetPack | None:
    """Returns the JetPack of this computer; None if it is no Jetson.

    A container is a Jetson only if it has the file of L4T, which NVIDIA's images have.
    """
    try:
        text = file.read_text(errors="replace")
    except OSError:
        return None
    found = re.search(r"R(\d+).*?REVISION:\s*([\d.]+)", text)
    if found is None:
        return JetPack("", "unknown")
    release, revision = found[1], found[2]
    short = f"{release}.{revision.split('.')[0]}"
    return JetPack(_JETPACKS.get(short, ""), f"{release}.{revision}")


def install_hint(reason: str, jetpack: JetPack | None) -> str:
    """Returns how to get TensorRT; ``reason`` is the text of the error of its import."""
    if "libnvdla_compiler.so" in reason:
        return (
            "TensorRT of this container needs a library of the host that JetPack 7.2 no longer "
            "has: use an image with TensorRT 10.16 of JetPack 7.2 (docker/Dockerfile.jetson). On "
            "JetPack 6, start the container with --runtime nvidia"
        )
    if jetpack is not None:
        return (
            "on a Jetson it comes with JetPack, not from pip, whose tensorrt does not support "
            "JetPack: sudo apt install python3-libnvinfer, and make the virtual environment with "
            "--system-site-packages"
        )
    return "pip install tensorrt"


def version_warning(version: str, capability: str = "") -> str:
    """Returns what is known against a version of TensorRT, such as "10.13.3"; empty: nothing.

    ``capability`` is the compute capability of the GPU, such as "8.7" (Jetson Orin).
    """
    if version.startswith("10.13.3") and capability == "8.7":
        return (
            "TensorRT 10.13.3 has no kernels for this GPU (sm_87): engines cannot be built; "
            "install that of JetPack 7.2 (10.16), or set backend: onnxruntime"
        )
    if re.match(r"10\.(3|16)\b", version):
        return (
            "the same network gives other outputs with TensorRT 10.3 (JetPack 6.2) than with 10.16 "
            "(JetPack 7.2): after a change of JetPack, run make gpu-check, and calibrate again "
            "people whose gaze comes from a network"
        )
    return ""
