"""Checks the machine for ``face-perception doctor``: Python, memory, ROS, devices, runtimes."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from face_perception.errors import InputError

# States: it works; it is not installed, which is allowed; it is installed but does not work.
OK, ABSENT, WRONG = "ok", "absent", "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check: its subject, state (OK, ABSENT, WRONG), what was found, and the fix."""

    name: str
    state: str
    found: str
    fix: str = ""


def machine_info() -> dict[str, str | int]:
    """Returns name, system, processor, number of cores and memory (MB) of this machine."""
    processor = re.search(r"^model name\s*: (.*)$", _text("/proc/cpuinfo"), re.MULTILINE)
    model = _text("/proc/device-tree/model").strip("\0\n")
    total, _ = _memory()
    return {
        "machine": model or platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": processor[1] if processor else platform.processor() or "unknown",
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": total // 2**20,
    }


def check_machine() -> list[Finding]:
    """Runs all checks and returns their results in the order in which to print them."""
    of_machine = [check() for check in (_python, _memory_left, _disk, _shared_memory)]
    of_devices = [check() for check in (_camera, _microphone, _screen)]
    of_networks = [check() for check in (_onnxruntime, _models, _gpu, _tensorrt)]
    return [*of_machine, *_ros_checks(), *of_devices, *of_networks]


def _python() -> Finding:
    version = platform.python_version()
    if (3, 10) <= sys.version_info[:2] <= (3, 14):
        return Finding("Python", OK, f"{version}, {sys.executable}")
    return Finding("Python", WRONG, version, "use Python 3.10 to 3.14")


def _memory_left() -> Finding:
    total, available = _memory()
    found = f"{available / 2**30:.1f} of {total / 2**30:.1f} GB free"
    if available < 512 * 2**20:
        return Finding(
            "memory", WRONG, found, "all nodes together need 0.5 GB: close other programs"
        )
    return Finding("memory", OK, found)


def _disk() -> Finding:
    from face_perception import paths

    folder = paths.cache_dir()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    found = f"{folder}, {free / 2**30:.1f} GB free"
    if not os.access(there, os.W_OK):
        return Finding(
            "cache",
            WRONG,
            f"{there} is not writable",
            "set XDG_CACHE_HOME to a folder that you can write",
        )
    if free < 200 * 2**20:
        return Finding(
            "cache", WRONG, found, "free some disk space, or set XDG_CACHE_HOME to another disk"
        )
    return Finding("cache", OK, found)


def _shared_memory() -> Finding:
    from face_perception.bringup import dds_profile

    size = dds_profile.shared_memory_size()
    small, users = dds_profile.advice(size), dds_profile.advice_on_users()
    found, _, fix = (small or users).partition("; ")
    state = OK if size and not users else ABSENT
    return Finding("shared memory", state, found or f"/dev/shm has {size / 2**20:.0f} MB", fix)


def _ros_checks() -> list[Finding]:
    """Checks ROS 2, the messages and DDS. One process does all three: each would import rclpy."""
    from face_perception.ros.environment import check_ros_environment

    wrong = ""
    try:
        check_ros_environment(os.environ)
    except InputError as error:
        wrong = str(error)
    code = f"from face_perception.ros.ros_check import main; main(dds={not wrong})"
    done = _run_python(code)
    # What it found until it ended, by check.
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    why = _last_line(done.stderr)
    return [_ros(found, why), _messages(found, why), _dds(found, why, wrong)]


def _ros(found: Mapping[str, str], why: str) -> Finding:
    distribution = os.environ.get("ROS_DISTRO", "")
    if "rclpy" in found:
        return Finding("ROS 2", OK, f"{distribution or 'unknown'}, {found['rclpy']}")
    # The library and `face-perception run` work without ROS.
    state = WRONG if distribution else ABSENT
    fix = "source ROS 2, or run `make setup`; `face-perception run` needs no ROS"
    return Finding("ROS 2", state, why, fix)


def _messages(found: Mapping[str, str], why: str) -> Finding:
    if "messages" in found:
        return Finding("messages", OK, found["messages"])
    fix = "run `colcon build`, then source install/setup.bash (or `make setup` and tools/env.sh)"
    return Finding("messages", ABSENT, found.get("no_messages", why), fix)


def _dds(found: Mapping[str, str], why: str, wrong: str) -> Finding:
    """``wrong`` is a problem of the environment, with its fix; "" if there is none."""
    if wrong:
        problem, _, fix = wrong.partition(": ")
        return Finding("DDS", WRONG, problem, fix)
    if "middleware" in found:
        domain = os.environ.get("ROS_DOMAIN_ID", "0")
        text = f"{found['middleware']}, domain {domain}: received a message of 1 MB"
        return Finding("DDS", OK, text)
    if "no_middleware" in found:
        fix = "check ROS_DOMAIN_ID, RMW_IMPLEMENTATION, the firewall and /dev/shm"
        return Finding("DDS", WRONG, f"received no message within {found['no_middleware']}", fix)
    if "rclpy" not in found:
        return Finding("DDS", ABSENT, "not checked, because ROS 2 is missing")
    return Finding("DDS", WRONG, why, "check RMW_IMPLEMENTATION")


def _camera() -> Finding:
    devices = sorted(Path("/dev").glob("video*"), key=lambda path: (len(path.name), path.name))
    if not devices:
        return Finding(
            "camera", ABSENT, "no /dev/video*", "use an image topic, a file, or `sample` instead"
        )
    refused = [path for path in devices if not os.access(path, os.R_OK | os.W_OK)]
    if refused:
        fix = "add yourself to the group `video` and log in again"
        return Finding("camera", WRONG, f"no permission to open {refused[0]}", fix)
    for path in devices:
        code = (
            "import cv2, sys; ok, image = cv2.VideoCapture(sys.argv[1]).read(); "
            "print('%dx%d' % image.shape[1::-1] if ok else '')"
        )
        size = _run_python(code, str(path)).stdout.strip()
        if size:
            return Finding("camera", OK, f"{path}, {size}")
    fix = "close other programs that use the camera"
    return Finding("camera", WRONG, f"no picture from {', '.join(map(str, devices))}", fix)


def _microphone() -> Finding:
    devices = [line for line in _text("/proc/asound/pcm").splitlines() if "capture" in line]
    if devices:
        return Finding("microphone", OK, devices[0].split(":")[1].strip())
    return Finding("microphone", ABSENT, "no ALSA capture device", "use an audio topic instead")


def _screen() -> Finding:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        if os.environ.get(name):
            return Finding("screen", OK, f"{name}={os.environ[name]}")
    outputs = sorted(Path("/sys/class/drm").glob("card*-*/status"))
    connected = [path.parent.name for path in outputs if _text(str(path)).strip() == "connected"]
    if connected:
        return Finding("screen", OK, f"{connected[0]}, no desktop")
    return Finding("screen", ABSENT, "no display", "view the overlay topic on another machine")


def _onnxruntime() -> Finding:
    from face_perception.inference import ModelError, onnxruntime_version

    try:
        return Finding("ONNX Runtime", OK, onnxruntime_version())
    except ModelError as error:
        return Finding("ONNX Runtime", WRONG, str(error))


def _models() -> Finding:
    from face_perception.inference import verify_models

    checks = [check for check in verify_models() if not check.left_out]
    problems = [check.problem for check in checks if check.problem]
    if problems:
        return Finding("models", WRONG, problems[0], "run `face-perception models fetch`")
    return Finding("models", OK, f"{len(checks)} files in {checks[0].path.parent}, all correct")


def _gpu() -> Finding:
    from face_perception.inference import ModelError, find_gpu

    try:
        gpu = find_gpu()
    except ModelError as error:
        return Finding("GPU", ABSENT, str(error), "not required: the CPU is used")
    memory = f"{gpu.memory / 2**30:.1f} GB"
    return Finding("GPU", OK, f"{gpu.name}, compute capability {gpu.capability}, {memory}")


def _tensorrt() -> Finding:
    from face_perception.inference import (
        ModelError,
        find_gpu,
        find_jetpack,
        tensorrt_version,
        version_warning,
    )

    try:
        found = tensorrt_version()
    except ModelError as error:
        return Finding("TensorRT", ABSENT, str(error), "not required: ONNX Runtime is used")
    jetpack = find_jetpack()
    try:
        capability = find_gpu().capability
    except ModelError:
        capability = ""
    warning = version_warning(found.split()[-1], capability)
    return Finding("TensorRT", OK, f"{found}, {jetpack}" if jetpack else found, warning)


def _memory() -> tuple[int, int]:
    """Returns the total and the available memory in bytes."""
    page = os.sysconf("SC_PAGE_SIZE")
    available = re.search(r"^MemAvailable:\s*(\d+) kB", _text("/proc/meminfo"), re.MULTILINE)
    free = int(available[1]) * 1024 if available else os.sysconf("SC_AVPHYS_PAGES") * page
    return os.sysconf("SC_PHYS_PAGES") * page, free


def _run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python code in a subprocess, so that a hang or a crash does not reach this process."""
    command = [sys.executable, "-c", code, *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired as error:
        said = error.stdout or ""  # bytes, although the process is read as text
        printed = said.decode(errors="replace") if isinstance(said, bytes) else said
        return subprocess.CompletedProcess(command, 1, printed, "it did not finish within 20 s")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
