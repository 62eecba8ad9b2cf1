"""The Fast DDS profile of a process: shared-memory segments that fit into /dev/shm.

Each process owns a segment, through which it sends. An image that is larger than its sender's
segment is cut into pieces, of which best-effort readers lose some. If the segments together are
larger than /dev/shm, Fast DDS sends by UDP instead, which is slower than its own small segments:
with Docker's 64 MB and segments of 32 MB, two thirds of the faces were lost.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

from face_perception import files, paths
from face_perception.bringup.shared_memory import other_users
from face_perception.ros.environment import FAST_DDS

# The variable of Fast DDS that names its transports, such as UDPv4. It has priority over ours.
BUILTIN_TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS"
_FOLDER = "/dev/shm"
_MB = 1 << 20
# Segments of processes that publish images, and of all others (crops of ten faces are 0.8 MB).
_IMAGES, _OTHERS = 32 * _MB, 4 * _MB
# Size of /dev/shm from which on they fit: the largest graph has three processes that publish images
# and seven others, and other programs need room as well.
ENOUGH = 256 * _MB
# Below this size of /dev/shm, use the default of Fast DDS (0.5 MB).
_LITTLE = 16 * _MB


def shared_memory_size(folder: str = _FOLDER) -> int:
    """Returns the size of /dev/shm in bytes; 0 if it is missing or cannot be written."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    if not os.access(folder, os.W_OK):
        return 0
    return found.f_blocks * found.f_frsize


def segment_size(images: bool, available: int) -> int:
    """Returns the size in bytes of the segment of a process, or 0 for the default of Fast DDS.

    ``images`` says whether the process publishes images, and ``available`` is the size of /dev/shm.
    """
    if available < _LITTLE:
        return 0
    share = min(1.0, available / ENOUGH)
    return int((_IMAGES if images else _OTHERS) * share)


def profile_for(images: bool, available: int | None = None) -> str:
    """Returns the path of the profile of a process, or "" to leave it to Fast DDS.

    Writes the file to the cache folder, unless it is the one of the package.
    """
    size = segment_size(images, shared_memory_size() if available is None else available)
    original = paths.resource("config/fastdds.xml")
    if size == _IMAGES:
        return str(original)
    if not size:
        return ""
    text = re.sub(
        r"(?<=<segment_size>)\d+(?=</segment_size>)", str(size), original.read_text(), count=1
    )
    for folder in (
        paths.cache_dir(),
        Path(tempfile.gettempdir()) / f"face_perception_{os.getuid()}",
    ):
        path = folder / f"fastdds_{size // 1024}kb.xml"
        with contextlib.suppress(OSError):
            if not path.exists() or path.read_text() != text:
                folder.mkdir(parents=True, exist_ok=True)
                files.write_atomically(path, text.encode())
            return str(path)
    return ""


def advice(available: int | None = None) -> str:
    """Returns what is wrong with the size of /dev/shm and the fix, or "" if it is enough."""
    available = shared_memory_size() if available is None else available
    if available >= ENOUGH:
        return ""
    if not available:
        return (
            f"there is no {_FOLDER} that can be written, so images are sent by UDP: large ones are "
            "slow or get lost; in a container, start it with --shm-size=512m"
        )
    size = segment_size(True, available)
    used = f"{size / _MB:.0f} MB" if size else "0.5 MB (the default of Fast DDS)"
    return (
        f"/dev/shm has {available / _MB:.0f} MB, so processes that publish images use segments of "
        f"{used}: larger images are slow or get lost; in a container, start it with "
        "--shm-size=512m or --ipc=host"
    )


def advice_on_users() -> str:
    """Returns why processes of other users receive nothing, and the fix; "" if there are none."""
    shares_memory = os.environ.get("RMW_IMPLEMENTATION", "") in FAST_DDS
    if not shares_memory or os.environ.get(BUILTIN_TRANSPORTS) or not (users := other_users()):
        return ""
    return (
        f"{', '.join(users)} also runs ROS nodes on this computer: nodes of two users see each "
        "other's topics, but receive nothing through shared memory; run all of them as one user, "
        f"or set {BUILTIN_TRANSPORTS}=UDPv4 for one of the two"
    )
