"""Describes the graph as data: its processes, their parameters, names and environment.

``launch/*.launch.py`` makes launch_ros actions from it, and ``face-perception up`` makes processes,
so that both start the same graph. Imports neither rclpy nor launch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from face_perception import paths
from face_perception.bringup import dds_profile
from face_perception.bringup.parameter_file import check_parameter_file, is_known_parameter
from face_perception.bringup.ros_names import check_namespace, check_text, check_topic
from face_perception.errors import InputError
from face_perception.ros.distributions import is_before_kilted


@dataclass(frozen=True)
class NodeSpec:
    """One node of the graph. Its name is also that of its executable and of its parameter file.

    ``reads_images`` is true for nodes with the parameter ``compressed``, which read images always
    or with some models. ``needs`` names a model that must be imported before the node can work.
    ``perceives`` is true for the nodes that the demo runs, and that can share a process; the others
    hear and speak.
    ``sends_images`` is true for nodes that publish images. ``package`` is the ROS package without
    which the node has little to do: by default it starts only where that is installed.
    """

    name: str
    purpose: str
    by_default: bool = True
    reads_images: bool = False
    needs: str = ""
    perceives: bool = True
    sends_images: bool = False
    package: str = ""

    @property
    def installed(self) -> bool:
        """Whether ``package`` is installed, if the node needs one."""
        return not self.package or find_spec(self.package) is not None


NODES = (
    NodeSpec(
        "camera",
        "publishes images of a camera, a video, a picture or the bundled sample",
        by_default=False,
        sends_images=True,
    ),
    NodeSpec("face_tracker", "finds faces in images and tracks them", reads_images=True),
    NodeSpec("gaze", "estimates where each face looks, and calibrates people", reads_images=True),
    NodeSpec(
        "people",
        "recognises people who were enrolled, on request",
        by_default=False,
        needs="dlib_face_recognition",
    ),
    NodeSpec("affect", "estimates action units, expression, valence and arousal"),
    NodeSpec(
        "motion_affect",
        "estimates valence and arousal from motion (an imported network)",
        by_default=False,
        needs="mimamo",
    ),
    NodeSpec("attention", "decides who looks at the robot and who looks at whom"),
    NodeSpec("overlay", "draws all results on the image", reads_images=True, sends_images=True),
    NodeSpec(
        "hri",
        "publishes the results under /humans as REP-155 defines it (ROS4HRI), and as frames on /tf",
        package="hri_msgs",
    ),
    NodeSpec(
        "microphone",
        "publishes the sound of a microphone or of a wav file",
        by_default=False,
        perceives=False,
    ),
    NodeSpec(
        "voice_activity", "detects whether a person speaks", by_default=False, perceives=False
    ),
    NodeSpec(
        "talking_face",
        "shows a face that speaks",
        by_default=False,
        perceives=False,
        sends_images=True,
    ),
    NodeSpec("voice", "turns texts into speech", by_default=False, perceives=False),
    NodeSpec(
        "session",
        "records the results and markers of a session into a folder",
        by_default=False,
        reads_images=True,
        perceives=False,
    ),
    NodeSpec(
        "dashboard",
        "serves a web page that shows the running graph, with buttons",
        by_default=False,
        reads_images=True,
        perceives=False,
    ),
)


COMPOSED = "composed"  # the name of a process of several nodes, and of its executable


@dataclass(frozen=True)
class GraphOptions:
    """Options for starting the graph.

    ``nodes`` are the names of the nodes to start. ``image`` is the camera's topic. ``camera_info``
    defaults to the topic of that name next to it, as in image_transport. ``speech`` is the topic of
    the robot's speech, ``audio`` the topic of what its microphone hears. ``parameters`` override
    the parameter files, by node name. ``outer_remaps`` and ``outer_parameters`` (name and value, or
    a file) are those of a launch file that includes ours: for all nodes, the remaps before ours,
    the parameters after those of config/. ``warnings`` are sentences about the parameter file to
    show.
    Raises InputError for an unknown node, an invalid name, a text that is not UTF-8, and a
    parameter file that is missing or does not fit the nodes.
    """

    nodes: tuple[str, ...] = tuple(n.name for n in NODES if n.by_default and n.installed)
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
    composed: bool = False
    outer_remaps: tuple[tuple[str, str], ...] = ()
    outer_parameters: tuple[tuple[str, Any] | str, ...] = ()
    warnings: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        known = [n.name for n in NODES]
        for name in (*self.nodes, *self.parameters):
            if name not in known:
                raise InputError(f"there is no node {name!r}: choose from {', '.join(known)}")
        check_namespace(self.namespace)
        for what in ("image", "camera_info", "speech", "audio"):
            if topic := getattr(self, what):
                check_topic(f"{what} topic", topic)
        for node, values in self.parameters.items():
            for name, value in values.items():
                if isinstance(value, str):
                    check_text(f"{name} of {node}", value)
        if self.parameter_file:
            check_text("parameter file", self.parameter_file)
            file = paths.expanded(self.parameter_file)
            if not file.is_file():
                raise InputError(
                    f"parameter file {self.parameter_file} does not exist: give the path of a YAML "
                    "file"
                )
            object.__setattr__(
                self, "warnings", check_parameter_file(str(file), self.full_names, known)
            )

    @property
    def full_names(self) -> tuple[str, ...]:
        """The full names of the nodes, such as /head/gaze."""
        namespace = self.namespace.strip("/")
        prefix = f"/{namespace}/" if namespace else "/"
        return tuple(f"{prefix}{name}" for name in self.nodes)


BARGE_IN = ("off", "duck", "stop")  # values of the parameter barge_in of talking_face


def barge_in_parameters(barge_in: str) -> dict[str, dict[str, Any]]:
    """Returns the parameters of the nodes that let a person interrupt the robot, by node name.

    ``barge_in`` is one of ``BARGE_IN``.
    """
    if barge_in == "off":
        return {}
    return {"talking_face": {"barge_in": barge_in}, "voice_activity": {"echo_cancellation": True}}


def left_out(options: GraphOptions) -> list[str]:
    """Returns a sentence about each node that the default graph lacks, with its package.

    Empty if ``options`` start fewer nodes than the default graph has: somebody has chosen them.
    """
    chosen = {*options.nodes}
    if not chosen.issuperset(GraphOptions().nodes):
        return []
    return [
        f"{node.name} is not started, because {node.package} is not installed: sudo apt install "
        f"ros-$ROS_DISTRO-{node.package.replace('_', '-')}"
        for node in NODES
        if node.by_default and not node.installed and node.name not in chosen
    ]


@dataclass(frozen=True)
class ConfiguredNode:
    """One node to start, with its names and parameters."""

    name: str
    namespace: str
    remaps: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, Any] | str, ...]  # name and value, or a file; the last counts
    log_level: str
    sends_images: bool = False

    def ros_arguments(self) -> list[str]:
        """Returns the arguments of the node for ROS."""
        arguments = ["--ros-args", "-r", f"__node:={self.name}"]
        if self.namespace:
            arguments += ["-r", f"__ns:=/{self.namespace.strip('/')}"]
        for source, target in self.remaps:
            arguments += ["-r", f"{source}:={target}"]
        for given in self.parameters:
            if isinstance(given, str):
                arguments += ["--params-file", given]
            else:
                arguments += ["-p", f"{given[0]}:={_literal(given[1])}"]
        return [*arguments, "--log-level", self.logger_level()]

    def logger_level(self) -> str:
        """Returns the value of ``--log-level`` that sets the level of this node alone."""
        logger = ".".join((*filter(None, self.namespace.strip("/").split("/")), self.name))
        return f"{logger}:={self.log_level}"


@dataclass(frozen=True)
class ProcessSpec:
    """One process to start, with everything that launch and the supervisor need."""

    name: str
    nodes: tuple[ConfiguredNode, ...]

    @property
    def sends_images(self) -> bool:
        """Whether one of its nodes publishes images."""
        return any(node.sends_images for node in self.nodes)

    def arguments(self) -> list[str]:
        """Returns the arguments of ``python -m face_perception.nodes``."""
        out: list[str] = []
        for node in self.nodes:
            out += [*(["--"] if out else []), node.name, *node.ros_arguments()]
        return out

    def executable_arguments(self) -> list[str]:
        """Returns the arguments of the installed executable of this name."""
        return self.arguments() if self.name == COMPOSED else self.arguments()[1:]


def _literal(value: Any) -> str:
    """Returns a value in YAML, as the command line of rcl reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, Iterable):
        return "[" + ", ".join(_literal(v) for v in value) + "]"
    return repr(value)


def image_remaps(image: str, camera_info: str = "") -> tuple[tuple[str, str], ...]:
    """Returns remaps to the topic ``image``, its compressed topic and its camera_info."""
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
    """Returns remaps of an audio topic and of its ``_info`` topic, which audio_common needs."""
    return (*topic_remap(topic, target), *topic_remap(f"{topic}_info", f"{target}_info"))


def topic_remap(topic: str, target: str) -> tuple[tuple[str, str], ...]:
    """Returns the remap of a topic; none if it keeps its name."""
    return ((topic, target),) if topic != target else ()


def _remaps(node: NodeSpec, options: GraphOptions) -> tuple[tuple[str, str], ...]:
    if node.reads_images or node.name == "camera":
        return image_remaps(options.image, options.camera_info)
    if node.name in ("talking_face", "voice"):
        return (
            *audio_remaps("speech", options.speech),
            *topic_remap("speech_phonemes", f"{options.speech}_phonemes"),
        )
    if node.name in ("microphone", "voice_activity", "attention", "hri"):
        return audio_remaps("audio", options.audio)
    return ()


def node_processes(options: GraphOptions) -> list[ProcessSpec]:
    """Returns the processes of the graph, in the order of ``NODES``, composed nodes first."""
    chosen = [node for node in NODES if node.name in options.nodes]
    shared = [node for node in chosen if node.perceives] if options.composed else []
    processes = [
        ProcessSpec(node.name, (_configured(node, options),))
        for node in chosen
        if len(shared) < 2 or node not in shared
    ]
    if len(shared) >= 2:
        composed = tuple(_configured(node, options) for node in shared)
        processes.insert(0, ProcessSpec(COMPOSED, composed))
    return processes


def _outer_parameters(node: NodeSpec, options: GraphOptions) -> Iterator[tuple[str, Any] | str]:
    """Yields the outer parameters that a node has. The others are those of other packages."""
    for given in options.outer_parameters:
        if isinstance(given, str) or is_known_parameter(node.name, given[0]):
            yield given


def _configured(node: NodeSpec, options: GraphOptions) -> ConfiguredNode:
    parameters: dict[str, Any] = {}
    if not options.autostart:
        parameters["autostart"] = False
    if options.use_sim_time:
        parameters["use_sim_time"] = True
    if options.compressed and node.reads_images:
        parameters["compressed"] = True
    parameters.update(options.parameters.get(node.name, {}))
    files = [str(paths.expanded(options.parameter_file))] if options.parameter_file else []
    return ConfiguredNode(
        name=node.name,
        namespace=options.namespace,
        remaps=(*options.outer_remaps, *_remaps(node, options)),
        parameters=(
            str(paths.resource(f"config/{node.name}.yaml")),
            *_outer_parameters(node, options),
            *files,
            *parameters.items(),
        ),
        log_level=options.log_level,
        sends_images=node.sends_images,
    )


# The names of the variable for Fast DDS's profile: from Kilted on, and before.
_PROFILE, _OLD_PROFILE = "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"


def process_environment(*, sends_images: bool = True) -> dict[str, str]:
    """Returns environment variables for the processes of nodes.

    Set them before a process starts. The Fast DDS profile enlarges the shared-memory segment: with
    the default (512 KB), best-effort readers lose larger images and reliable readers are slow. The
    malloc thresholds halve the time that a Python reader needs for an image. The limit of arenas
    keeps threads that start later from reserving memory for themselves: without it, a composed
    process grew by 6 MB with each new source of its camera (13 sources), with it not after the
    third (8).
    """
    profile = dds_profile.profile_for(sends_images)
    return {
        **({_PROFILE: profile, _OLD_PROFILE: profile} if profile else {}),
        "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
        "MALLOC_TOP_PAD_": str(16 << 20),
        "MALLOC_ARENA_MAX": "2",
        # ONNX Runtime must not collect how it is used.
        "ORT_DISABLE_TELEMETRY": "1",
        # Print each message at once, even if stderr is a pipe.
        "RCUTILS_LOGGING_BUFFERED_STREAM": "0",
        "PYTHONUNBUFFERED": "1",
    }


def merged_environment(current: Mapping[str, str], *, sends_images: bool = True) -> dict[str, str]:
    """Returns ``current`` with the variables of ``process_environment`` that it does not set.

    A user's own Fast DDS profile or choice of transports has priority. Of the two names of the
    profile variable, keeps the one that the ROS distribution reads: from Kilted on, Fast DDS warns
    about FASTRTPS_DEFAULT_PROFILES_FILE.
    """
    ours = process_environment(sends_images=sends_images)
    unread: tuple[str, ...]
    if any(map(current.get, (_PROFILE, _OLD_PROFILE, dds_profile.BUILTIN_TRANSPORTS))):
        unread = (_PROFILE, _OLD_PROFILE)
    elif is_before_kilted(current):
        unread = (_PROFILE,)
    else:
        unread = (_OLD_PROFILE,)
    for name in unread:
        ours.pop(name, None)
    return {**ours, **current}
