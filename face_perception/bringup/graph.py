"""The graph as data: which processes, with which parameters, names and environment.

``launch/*.launch.py`` turns it into launch_ros actions, ``face-perception up`` into processes, so
that both start the same. No rclpy, no launch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from face_perception import paths
from face_perception.errors import InputError


@dataclass(frozen=True)
class NodeSpec:
    """One node: its name is its executable, its topic prefix and its parameter file.

    ``reads_images``: it does, or does with some of its models, and so has ``compressed``.
    ``needs`` is a model that has to be imported before the node can do anything. ``perceives``:
    it belongs to what the demo runs, from the camera on; the others hear and speak.
    """

    name: str
    purpose: str
    by_default: bool = True
    reads_images: bool = False
    needs: str = ""
    perceives: bool = True


NODES = (
    NodeSpec("camera", "plays a device, a file or the bundled sample", by_default=False),
    NodeSpec("face_tracker", "images to faces and face crops", reads_images=True),
    NodeSpec("gaze", "faces to gaze, with a network from their pixels", reads_images=True),
    NodeSpec("affect", "faces and crops to action units, expressions, valence and arousal"),
    NodeSpec(
        "motion_affect",
        "crops to valence and arousal from motion (MIMAMO-Net, once imported)",
        by_default=False,
        needs="mimamo",
    ),
    NodeSpec("attention", "faces and gaze to who attends to whom"),
    NodeSpec("overlay", "draws everything on the image, while somebody watches", reads_images=True),
    NodeSpec(
        "microphone", "plays a microphone or a wav file as audio", by_default=False, perceives=False
    ),
    NodeSpec(
        "voice_activity", "audio to whether a person speaks", by_default=False, perceives=False
    ),
    NodeSpec(
        "talking_face",
        "speech to a face that speaks it, on screens",
        by_default=False,
        perceives=False,
    ),
)


def check_namespace(namespace: str) -> None:
    """Raises InputError where it cannot be one; empty and / are none."""
    if namespace.strip("/") and not re.fullmatch(r"/?[A-Za-z_~][\w/]*", namespace):
        raise InputError(f"namespace {namespace!r} is not a ROS name: letters, digits, _ and /")


@dataclass(frozen=True)
class GraphOptions:
    """What a user chooses when starting the graph.

    ``image`` is the camera's topic; ``camera_info`` defaults to its sibling, as image_transport has
    it; ``speech`` is what the robot says, ``audio`` what it hears. ``nodes`` are the names to
    start; ``parameters`` override by node name.
    """

    nodes: tuple[str, ...] = tuple(n.name for n in NODES if n.by_default)
    namespace: str = ""
    image: str = "image"
    camera_info: str = ""
    speech: str = "speech"
    audio: str = "audio"
    parameter_file: str = ""
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    autostart: bool = True
    use_sim_time: bool = False
    compressed: bool = False
    log_level: str = "info"

    def __post_init__(self) -> None:
        known = [n.name for n in NODES]
        for name in (*self.nodes, *self.parameters):
            if name not in known:
                raise InputError(f"there is no node {name!r}: choose from {', '.join(known)}")
        check_namespace(self.namespace)
        if self.parameter_file and not Path(self.parameter_file).expanduser().is_file():
            raise InputError(f"parameter file {self.parameter_file} does not exist")


@dataclass(frozen=True)
class ProcessSpec:
    """One process to start: what both ways of starting need to know of it."""

    name: str
    namespace: str
    remaps: tuple[tuple[str, str], ...]
    parameter_files: tuple[str, ...]
    parameters: Mapping[str, Any]
    log_level: str

    def ros_arguments(self) -> list[str]:
        """The process's command line after its executable."""
        arguments = ["--ros-args", "-r", f"__node:={self.name}"]
        if self.namespace:
            arguments += ["-r", f"__ns:=/{self.namespace.strip('/')}"]
        for source, target in self.remaps:
            arguments += ["-r", f"{source}:={target}"]
        for file in self.parameter_files:
            arguments += ["--params-file", file]
        for key, value in self.parameters.items():
            arguments += ["-p", f"{key}:={_literal(value)}"]
        return [*arguments, "--log-level", self.logger_level()]

    def logger_level(self) -> str:
        """The value of ``--log-level`` that sets this node's level, and not rcl's."""
        logger = ".".join((*filter(None, self.namespace.strip("/").split("/")), self.name))
        return f"{logger}:={self.log_level}"


def _literal(value: Any) -> str:
    """A value as rcl's command line reads it: YAML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, Iterable):
        return "[" + ", ".join(_literal(v) for v in value) + "]"
    return repr(value)


def image_remaps(image: str, camera_info: str = "") -> tuple[tuple[str, str], ...]:
    """Remaps that make a node read ``image``, its compressed form and its camera_info."""
    if image == "image" and not camera_info:
        return ()
    parent = image.rsplit("/", 1)[0] if "/" in image else ""
    sibling = f"{parent}/camera_info" if parent or image.startswith("/") else "camera_info"
    return (
        ("image", image),
        ("image/compressed", f"{image}/compressed"),
        ("camera_info", camera_info or sibling),
    )


def audio_remaps(topic: str, target: str) -> tuple[tuple[str, str], ...]:
    """Remaps of an audio topic and, for audio_common, of what says its format."""
    if target == topic:
        return ()
    return ((topic, target), (f"{topic}_info", f"{target}_info"))


def _remaps(node: NodeSpec, options: GraphOptions) -> tuple[tuple[str, str], ...]:
    if node.reads_images or node.name == "camera":
        return image_remaps(options.image, options.camera_info)
    if node.name == "talking_face":
        return audio_remaps("speech", options.speech)
    if node.name in ("microphone", "voice_activity"):
        return audio_remaps("audio", options.audio)
    return ()


def node_processes(options: GraphOptions) -> list[ProcessSpec]:
    """The processes of the graph, in the order of ``NODES``."""
    files = [str(Path(options.parameter_file).expanduser())] if options.parameter_file else []
    out = []
    for node in NODES:
        if node.name not in options.nodes:
            continue
        parameters: dict[str, Any] = {}
        if not options.autostart:
            parameters["autostart"] = False
        if options.use_sim_time:
            parameters["use_sim_time"] = True
        if options.compressed and node.reads_images:
            parameters["compressed"] = True
        parameters.update(options.parameters.get(node.name, {}))
        out.append(
            ProcessSpec(
                name=node.name,
                namespace=options.namespace,
                remaps=_remaps(node, options),
                parameter_files=(str(paths.resource(f"config/{node.name}.yaml")), *files),
                parameters=parameters,
                log_level=options.log_level,
            )
        )
    return out


def process_environment() -> dict[str, str]:
    """What every process that publishes or reads images needs; to be set before it starts.

    Fast DDS's default shared-memory segment (512 KB) makes best-effort readers lose larger images
    and reliable ones slow; the malloc thresholds halve the time that a Python reader needs for one.
    A user's own Fast DDS profile is not touched by whoever merges this under ``os.environ``.
    """
    profile = str(paths.resource("config/fastdds.xml"))
    return {
        "FASTDDS_DEFAULT_PROFILES_FILE": profile,
        "FASTRTPS_DEFAULT_PROFILES_FILE": profile,
        "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
        "MALLOC_TOP_PAD_": str(16 << 20),
        # One line a message, at once, also where stderr is a pipe.
        "RCUTILS_LOGGING_BUFFERED_STREAM": "0",
        "PYTHONUNBUFFERED": "1",
    }


def merged_environment(current: Mapping[str, str]) -> dict[str, str]:
    """``process_environment()`` under the user's own settings; the old profile variable only where
    needed.

    From Kilted on, Fast DDS warns about FASTRTPS_DEFAULT_PROFILES_FILE.
    """
    ours = process_environment()
    if current.get("FASTDDS_DEFAULT_PROFILES_FILE") or current.get(
        "FASTRTPS_DEFAULT_PROFILES_FILE"
    ):
        del ours["FASTDDS_DEFAULT_PROFILES_FILE"], ours["FASTRTPS_DEFAULT_PROFILES_FILE"]
    elif current.get("ROS_DISTRO") in ("humble", "iron", "jazzy"):
        del ours["FASTDDS_DEFAULT_PROFILES_FILE"]
    else:
        del ours["FASTRTPS_DEFAULT_PROFILES_FILE"]
    return {**ours, **current}
