"""Tests the graph as data, and the launch files with stand-ins for two constructors of launch.

`launch` is in no Python registry. These tests check that the launch files say what `graph` says.
Before a release the files are started with the real `ros2 launch`; where that is installed, this
file runs it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from face_perception import cli
from face_perception.bringup import dds_profile, graph, second_start, supervisor
from face_perception.commands import graph_options
from face_perception.errors import InputError
from face_perception.nodes.__main__ import split
from face_perception.settings import settings_of
from face_perception.speech import BargeInSettings

LAUNCH = Path(__file__).parents[2] / "launch" / "perception.launch.py"

DEFAULT = ("face_tracker", "gaze", "affect", "attention", "overlay")


def arguments_of(name: str, **options: object) -> list[str]:
    (process,) = [p for p in graph.node_processes(graph.GraphOptions(**options)) if p.name == name]  # type: ignore[arg-type]
    return process.arguments()


@pytest.mark.parametrize("barge_in", graph.BARGE_IN)
def test_up_starts_what_an_interruption_needs(
    barge_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[graph.GraphOptions] = []
    monkeypatch.setattr(graph_options, "require_ros", lambda: None)
    monkeypatch.setattr(supervisor, "run_graph", lambda found, **_: started.append(found) or 0)
    assert cli.main(["up", "--nodes", "voice", "--camera", "sample", "--barge-in", barge_in]) == 0
    (found,) = started
    wanted = graph.barge_in_parameters(barge_in)
    assert found.parameters == {"camera": {"source": "sample"}, **wanted}
    assert found.nodes == ("camera", "voice", *wanted)
    (setting,) = (one for one in settings_of(BargeInSettings) if one.name == "barge_in")
    assert setting.choices == graph.BARGE_IN


def test_default_graph_leaves_the_camera_to_the_robot() -> None:
    names = [p.name for p in graph.node_processes(graph.GraphOptions())]
    assert tuple(name for name in names if name != "hri") == DEFAULT
    assert ("hri" in names) is (importlib.util.find_spec("hri_msgs") is not None)


def installed(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    monkeypatch.setattr(graph, "find_spec", lambda name: name if name in packages else None)


def test_the_default_graph_has_hri_where_its_messages_are(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "hri_msgs")
    everything = graph.GraphOptions(nodes=(*DEFAULT, "hri"))
    assert graph.left_out(everything) == graph.left_out(graph.GraphOptions(nodes=DEFAULT)) == []
    installed(monkeypatch)
    (said,) = graph.left_out(graph.GraphOptions(nodes=DEFAULT))
    assert "hri is not started, because hri_msgs is not installed: sudo apt install" in said
    assert graph.left_out(everything) == [], "it is asked for"
    assert graph.left_out(graph.GraphOptions(nodes=("talking_face",))) == []


@pytest.mark.parametrize(
    ("image", "info", "want"),
    [
        ("image", "", ()),
        ("/camera/image_raw", "", ("/camera/image_raw", "/camera/camera_info")),
        ("camera/color/image", "", ("camera/color/image", "camera/color/camera_info")),
        ("/image", "", ("/image", "/camera_info")),
        ("image", "/other/camera_info", ("image", "/other/camera_info")),
    ],
)
def test_camera_info_is_the_sibling_of_the_image(
    image: str, info: str, want: tuple[str, ...]
) -> None:
    remaps = dict(graph.image_remaps(image, info))
    got = (remaps["image"], remaps["camera_info"]) if remaps else ()
    assert got == want
    if remaps:
        assert remaps["image/compressed"] == image + "/compressed"


def test_command_line_of_a_process() -> None:
    arguments = arguments_of(
        "face_tracker",
        namespace="/head/",
        image="/cam/image",
        autostart=False,
        use_sim_time=True,
        compressed=True,
        parameters={"face_tracker": {"id_prefix": "it's_", "max_faces": 3}},
    )
    text = " ".join(arguments)
    for part in (
        "__node:=face_tracker",
        "__ns:=/head",
        "image:=/cam/image",
        "autostart:=false",
        "use_sim_time:=true",
        "compressed:=true",
        "id_prefix:='it''s_'",
        "max_faces:=3",
        "config/face_tracker.yaml",
    ):
        assert part in text
    assert "compressed" not in " ".join(arguments_of("affect", compressed=True))


def test_gaze_networks_read_the_same_images_as_the_tracker() -> None:
    for node in ("face_tracker", "gaze"):
        text = " ".join(arguments_of(node, image="/cam/image", compressed=True))
        assert "-r image:=/cam/image" in text
        assert "-r image/compressed:=/cam/image/compressed" in text
        assert "compressed:=true" in text


def test_environment_respects_the_users_own() -> None:
    ours = graph.merged_environment({"ROS_DISTRO": "kilted"})
    assert Path(ours["FASTDDS_DEFAULT_PROFILES_FILE"]).is_file()
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" not in ours
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" in graph.merged_environment({"ROS_DISTRO": "jazzy"})
    mine = graph.merged_environment({"FASTRTPS_DEFAULT_PROFILES_FILE": "/mine.xml"})
    assert mine["FASTRTPS_DEFAULT_PROFILES_FILE"] == "/mine.xml"
    assert "FASTDDS_DEFAULT_PROFILES_FILE" not in mine
    udp = graph.merged_environment({"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"})
    assert not [name for name in udp if "PROFILES" in name], "ours names other transports"


@pytest.mark.parametrize(
    ("megabytes", "images", "others"),
    [(0, 0, 0), (8, 0, 0), (64, 8, 1), (128, 16, 2), (4096, 32, 4)],
)
def test_segments_fit_into_shared_memory(
    megabytes: int, images: int, others: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker gives a container 64 MB."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for sends_images, wanted in ((True, images), (False, others)):
        path = dds_profile.profile_for(sends_images, megabytes << 20)
        sizes = re.findall(r"<segment_size>(\d+)<", Path(path).read_text()) if path else ["0"]
        assert sizes == [str(wanted << 20)]
    senders = [n for n in graph.NODES if n.sends_images]
    everything = len(senders) * images + (len(graph.NODES) - len(senders)) * others
    assert everything <= 0.6 * megabytes, "watchers and other programs need room as well"
    assert ("--shm-size" in dds_profile.advice(megabytes << 20)) is (megabytes < 256)


def test_shared_memory_that_cannot_be_written_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dds_profile.shared_memory_size() > 0
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # as if read-only
    assert dds_profile.shared_memory_size() == 0
    assert dds_profile.shared_memory_size("/dev/none") == 0


def test_a_cache_that_cannot_be_written_leaves_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(taken))
    monkeypatch.setattr("tempfile.tempdir", str(taken))
    assert dds_profile.profile_for(False, 4 << 30) == ""


class Context:
    """What the launch files use of launch's LaunchContext."""

    def __init__(self, **configurations: Any) -> None:
        self.launch_configurations = configurations
        self.argv: list[str] = []
        self._globals: dict[str, Any] = {}

    def extend_globals(self, more: dict[str, Any]) -> None:
        self._globals.update(more)

    def get_locals_as_dict(self) -> dict[str, Any]:
        return dict(self._globals)


def execute_process(
    *, cmd: Any, name: str, env: dict[str, str], output: str, respawn: bool, respawn_delay: float
) -> SimpleNamespace:
    """Takes the arguments of launch's ExecuteProcess that ours give, and no other ones."""
    return SimpleNamespace(cmd=cmd, name=name, env=env, respawn=respawn)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[dict[str, Any], Any]]:
    """Returns the arguments of a launch file, which may be changed, and a function that makes its
    processes: the arguments of ``python -m face_perception.nodes`` by name.

    ``load("avatar")`` loads avatar.launch.py with stand-ins for what it uses of launch.
    test_the_real_launch holds them against the real ones where those are installed.
    """

    def load_file(name: str) -> tuple[dict[str, Any], Any]:
        given: dict[str, Any] = {}
        monkeypatch.setattr(second_start, "running_nodes", set)

        def declare(name: str, *, default_value: str, description: str, choices: Any = None) -> Any:
            given[name] = default_value
            return SimpleNamespace(name=name)

        kept = SimpleNamespace(
            LaunchDescription=list,
            DeclareLaunchArgument=declare,
            OpaqueFunction=lambda *, function: function,
            LaunchConfiguration=lambda name: SimpleNamespace(
                perform=lambda context: context.launch_configurations[name]
            ),
            ExecuteProcess=execute_process,
            ExecutableInPackage=lambda *, package, executable: f"{package}/{executable}",
        )
        for module in ("launch", "launch.actions", "launch.substitutions", "launch_ros"):
            monkeypatch.setitem(sys.modules, module, kept)  # type: ignore[arg-type]
        monkeypatch.setitem(sys.modules, "launch_ros.substitutions", kept)  # type: ignore[arg-type]
        spec = importlib.util.spec_from_file_location(name, LAUNCH.parent / f"{name}.launch.py")
        assert spec is not None
        assert spec.loader is not None
        launch_file = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(launch_file)
        *_, function = launch_file.generate_launch_description()

        def start(context: Context | None = None) -> dict[str, list[str]]:
            context = context or Context()
            context.launch_configurations.update(given)
            return dict(map(command_of, function(context)))

        return given, start

    return load_file


def command_of(process: Any) -> tuple[str, list[str]]:
    """Returns the name of a process, and its arguments for ``python -m face_perception.nodes``."""
    *watchdog, respawn, executable = process.cmd[:5]
    assert (respawn, process.respawn) == ("--respawn", True)
    # launch starts each node through the launch watchdog, which ends one that hangs.
    assert watchdog == [sys.executable, "-m", "face_perception.bringup.launch_watchdog"]
    assert executable == f"face_perception/{process.name}"
    assert process.env["ORT_DISABLE_TELEMETRY"] == "1"
    assert set(process.env) >= {"HOME", "PATH"}, "a node is started again with all of it"
    own = [] if process.name == graph.COMPOSED else [process.name]
    return process.name, [*own, *process.cmd[5:]]


def commands(**options: Any) -> dict[str, list[str]]:
    """Returns the arguments of each process that `face-perception up` would start."""
    found = graph.node_processes(graph.GraphOptions(**options))
    return {process.name: process.arguments() for process in found}


def test_perception_launch_leaves_the_camera_to_params_file(load: Any) -> None:
    given, start = load("perception")
    given.update(camera="true")
    assert not [text for text in start()["camera"] if "source:=" in text]
    given.update(camera_source="/dev/video0")
    assert "source:='/dev/video0'" in start()["camera"]


def test_perception_launch_starts_what_up_starts(load: Any) -> None:
    given, start = load("perception")
    nodes = ("camera", *graph.GraphOptions().nodes, "voice_activity")
    for composed in (False, True):
        given.update(composed=str(composed), camera="true", voice_activity="true", namespace="head")
        assert start() == commands(nodes=nodes, namespace="head", composed=composed)
    everything = split(start()["composed"])
    assert [first for first, *_ in everything] == list(nodes[:-1])


ROUND = {
    "ros_namespace": "/robot1",
    "ros_remaps": [("image", "/cam/image_raw")],
    "global_params": [("max_faces", 3), ("foreign", 1), "/shared.yaml"],
}


@pytest.mark.parametrize("composed", ["true", "false"])
def test_what_surrounds_an_include_reaches_every_node(load: Any, composed: str) -> None:
    """A group with a namespace, remaps and parameters; all nodes of one process need them."""
    given, start = load("perception")
    given.update(namespace="head", composed=composed)
    for name, *arguments in (
        node for found in start(Context(**ROUND)).values() for node in split(found)
    ):
        assert "__ns:=/robot1/head" in arguments
        assert arguments[-1] == f"robot1.head.{name}:=info", "the level of its own logger"
        assert "image:=/cam/image_raw" in arguments
        files = [arguments[i + 1] for i, a in enumerate(arguments) if a == "--params-file"]
        assert [Path(file).name for file in files] == [f"{name}.yaml", "shared.yaml"]
        assert ("max_faces:=3" in arguments) is (name == "face_tracker")
        assert "foreign:=1" not in arguments
    given.update(namespace="/alone")
    assert "__ns:=/alone" in next(iter(start(Context(**ROUND)).values()))


def test_launch_refuses_what_cannot_be_meant(load: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _, start = load("perception")
    once = Context()
    start(once)
    with pytest.raises(InputError, match=r"/affect, .* would be started twice: .* namespace"):
        start(once)
    # launch itself ignores an argument that no file declares.
    start(Context(imgae="/cam", other_package="x", **ROUND))
    assert capsys.readouterr().err.count("has no argument") == 1


def test_an_unknown_argument_on_the_command_line(
    load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, start = load("perception")

    def start_typed(*words: str) -> None:
        context = Context()
        context.argv = ["composde:=true"]
        monkeypatch.setattr(sys, "argv", ["ros2", "launch", *words, *context.argv])
        start(context)

    monkeypatch.chdir(LAUNCH.parents[1] / "docs")
    # It belongs to another file, which includes this one, and may have the same name.
    for words in (["my_robot", "all.launch.py"], ["my_robot", LAUNCH.name], [f"../{LAUNCH.name}"]):
        start_typed(*words)
    for words in (["face_perception", LAUNCH.name], [f"../launch/{LAUNCH.name}"]):
        with pytest.raises(InputError, match=r"no argument composde: did you mean composed\?"):
            start_typed(*words)


def test_launch_refuses_to_start_nothing(load: Any) -> None:
    given, start = load("perception")
    given.update(dict.fromkeys((node.name for node in graph.NODES), "false"))
    with pytest.raises(InputError, match="no node is to be started"):
        start()


def test_composed_graph_keeps_sound_apart() -> None:
    names = tuple(node.name for node in graph.NODES)
    first, *others = graph.node_processes(graph.GraphOptions(nodes=names, composed=True))
    assert first.name == "composed"
    assert [node.name for node in first.nodes] == [n.name for n in graph.NODES if n.perceives]
    assert first.sends_images
    names_of_others = ["microphone", "voice_activity", "talking_face", "voice"]
    assert [p.name for p in others] == [*names_of_others, "session", "dashboard"]
    # One node alone is not composed.
    (only,) = graph.node_processes(graph.GraphOptions(nodes=("gaze",), composed=True))
    assert only.arguments() == arguments_of("gaze")


@pytest.mark.parametrize(
    ("value", "packages", "starts"),
    [
        ("auto", ("hri_msgs",), True),
        ("auto", (), False),
        ("true", (), True),
        ("false", ("hri_msgs",), False),
    ],
)
def test_the_launch_argument_of_hri(
    load: Any,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    packages: tuple[str, ...],
    starts: bool,
) -> None:
    given, start = load("perception")
    assert given["hri"] == "auto"
    installed(monkeypatch, *packages)
    given.update(hri=value)
    assert ("hri" in start()) is starts
    given.update(hri="maybe")
    with pytest.raises(ValueError, match="hri:=maybe must be true, false or auto"):
        start()
    given.update(hri=value, overlay="auto")
    with pytest.raises(ValueError, match="overlay:=auto must be true or false"):
        start()


def test_avatar_launch_says_what_graph_says(load: Any) -> None:
    given, start = load("avatar")
    assert start() == commands(nodes=("talking_face",))
    given.update(web_port="8090", speech="/tts", voice_activity="true", microphone="true")
    nodes = ("talking_face", "microphone", "voice_activity")
    page = {"talking_face": {"web_port": 8090}}
    assert start() == commands(nodes=nodes, speech="/tts", parameters=page)
    given.update(web_token_file="/run/secrets/page")
    assert "web_token_file:='/run/secrets/page'" in start()["talking_face"]
    given.update(barge_in="stop", voice_activity="false")
    found = start()
    assert "barge_in:='stop'" in found["talking_face"]
    assert "echo_cancellation:=true" in found["voice_activity"]
    given.update(web_port="page")
    with pytest.raises(ValueError, match="web_port:=page"):
        start()


OUTER = {
    "xml": """<launch><group><push_ros_namespace namespace="robot1"/>
        <set_remap from="image" to="/cam/image_raw"/><set_parameter name="max_faces" value="3"/>
        <include file="{file}"><arg name="composed" value="{composed}"/>
        <arg name="namespace" value="head"/></include></group></launch>""",
    "yaml": """launch: [{{group: [
        {{push_ros_namespace: {{namespace: robot1}}}},
        {{set_remap: {{from: image, to: /cam/image_raw}}}},
        {{set_parameter: {{name: max_faces, value: "3"}}}},
        {{include: {{file: "{file}", arg: [
            {{name: composed, value: "{composed}"}}, {{name: namespace, value: head}}]}}}}]}}]""",
    "py": """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch_ros.actions import PushRosNamespace, SetParameter, SetRemap

def generate_launch_description():
    given = {{"composed": "{composed}", "namespace": "head"}}
    return LaunchDescription([GroupAction([
        PushRosNamespace("robot1"), SetRemap("image", "/cam/image_raw"),
        SetParameter("max_faces", 3),
        IncludeLaunchDescription("{file}", launch_arguments=given.items())])])
""",
}


@pytest.mark.parametrize("composed", ["true", "false"])
@pytest.mark.parametrize("kind", OUTER)
def test_the_real_launch(
    kind: str, composed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launch file of each language includes ours, as a robot's would; nothing is started."""
    pytest.importorskip("launch_ros", reason="launch_ros is not installed here")
    from launch import LaunchContext
    from launch.actions import ExecuteProcess
    from launch.launch_description_sources import AnyLaunchDescriptionSource
    from launch.utilities import perform_substitutions

    monkeypatch.setattr(second_start, "running_nodes", set)
    outer = tmp_path / f"robot.launch.{kind}"
    outer.write_text(OUTER[kind].format(file=LAUNCH, composed=composed))
    context, found = LaunchContext(), []

    def expand(entity: Any) -> None:
        if isinstance(entity, ExecuteProcess):
            words = [perform_substitutions(context, word) for word in entity.cmd]
            found.append(words[5:] if composed == "true" else [Path(words[4]).name, *words[5:]])
        else:
            for inner in entity.visit(context) or ():
                expand(inner)

    expand(AnyLaunchDescriptionSource(str(outer)).get_launch_description(context))
    assert found == list(
        commands(
            composed=composed == "true",
            namespace="/robot1/head",
            outer_remaps=(("image", "/cam/image_raw"),),
            outer_parameters=(("max_faces", 3),),
        ).values()
    )


@pytest.mark.parametrize("file", ["perception", "avatar"])
def test_show_args_with_the_real_launch(file: str, load: Any) -> None:
    if not shutil.which("ros2"):
        pytest.skip("ros2 is not installed here")
    given, _ = load(file)
    path = LAUNCH.parent / f"{file}.launch.py"
    done = subprocess.run(["ros2", "launch", path, "--show-args"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^    '(\w+)':", done.stdout, re.M) == list(given)


def test_cmake_installs_every_node() -> None:
    """`ros2 run` and launch find a node by the name under which CMake installs it."""
    cmake = (LAUNCH.parent.parent / "CMakeLists.txt").read_text()
    names = cmake.split("foreach(node ", 1)[1].split(")", 1)[0].split()
    assert names == [*(node.name for node in graph.NODES), graph.COMPOSED]
