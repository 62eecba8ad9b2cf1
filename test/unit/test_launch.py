"""Tests the graph as data, and the launch files with stand-ins for two constructors of launch.

`launch` is in no Python registry. These tests check that the launch files say what `graph` says.
Before a release the files are started with the real `ros2 launch`; where that is installed, this
file runs it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
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


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[dict[str, str], Any]]:
    """Returns the arguments of a launch file, which may be changed, and a function that makes its
    nodes.

    ``load("avatar")`` loads avatar.launch.py with stand-ins for what it uses of launch.
    """

    def load_file(name: str) -> tuple[dict[str, str], Any]:
        given: dict[str, str] = {}
        monkeypatch.setattr(second_start, "running_nodes", set)
        kept = SimpleNamespace(
            LaunchDescription=list,
            DeclareLaunchArgument=lambda name, default_value, **_: given.setdefault(
                name, default_value
            ),
            OpaqueFunction=lambda function: function,
            LaunchConfiguration=lambda name: SimpleNamespace(perform=lambda context: given[name]),
            Node=lambda **arguments: arguments,
        )
        for module in ("launch", "launch.actions", "launch.substitutions", "launch_ros.actions"):
            monkeypatch.setitem(sys.modules, module, kept)  # type: ignore[arg-type]
        monkeypatch.setitem(sys.modules, "launch_ros", kept)  # type: ignore[arg-type]
        spec = importlib.util.spec_from_file_location(name, LAUNCH.parent / f"{name}.launch.py")
        assert spec is not None
        assert spec.loader is not None
        launch_file = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(launch_file)
        *_, function = launch_file.generate_launch_description()
        return given, function

    return load_file


def test_perception_launch_leaves_the_camera_to_params_file(load: Any) -> None:
    given, function = load("perception")
    given.update(camera="true")
    camera = function(None)[0]
    assert camera["executable"] == "camera"
    assert not [p for p in camera["parameters"] if isinstance(p, dict)]
    given.update(camera_source="/dev/video0")
    assert function(None)[0]["parameters"][-1] == {"source": "/dev/video0"}


def test_perception_launch_starts_one_process_if_asked(load: Any) -> None:
    given, function = load("perception")
    given.update(composed="true", camera="true", voice_activity="true", namespace="head")
    composed, voice = function(None)
    assert voice["executable"] == "voice_activity"
    assert (composed["executable"], composed["exec_name"]) == ("composed", "composed")
    # launch_ros can configure one node only: everything is in the arguments.
    assert not {"name", "namespace", "parameters", "remappings"} & composed.keys()
    nodes = split(composed["arguments"])
    separate = graph.node_processes(
        graph.GraphOptions(
            nodes=("camera", *graph.GraphOptions().nodes), namespace="head", log_level="info"
        )
    )
    assert nodes == [process.arguments() for process in separate]


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
    given, function = load("perception")
    assert given["hri"] == "auto"
    installed(monkeypatch, *packages)
    given.update(hri=value)
    assert ("hri" in [node["name"] for node in function(None)]) is starts
    given.update(overlay="auto")
    with pytest.raises(ValueError, match="overlay:=auto must be true or false"):
        function(None)


def test_avatar_launch_says_what_graph_says(load: Any) -> None:
    given, function = load("avatar")
    (face,) = function(None)
    assert (face["executable"], face["remappings"]) == ("talking_face", [])
    assert face["exec_name"] == "talking_face"
    # launch starts each node through the guard, which ends one that hangs.
    assert shlex.split(face["prefix"])[1:] == ["-m", "face_perception.bringup.guard"]
    assert [str(p) for p in face["parameters"]] == [
        str(p)
        for p in graph.node_processes(graph.GraphOptions(nodes=("talking_face",)))[0]
        .nodes[0]
        .parameter_files
    ]
    given.update(web_port="8090", speech="/tts", voice_activity="true", microphone="true")
    face, heard = sorted(function(None), key=lambda n: n["name"] != "talking_face")[:2]
    assert face["parameters"][1:] == [{"web_port": 8090}]
    assert face["remappings"] == [
        ("speech", "/tts"),
        ("speech_info", "/tts_info"),
        ("speech_phonemes", "/tts_phonemes"),
    ]
    assert heard["executable"] in ("microphone", "voice_activity")
    given.update(web_token_file="/run/secrets/page")
    (face, *_) = sorted(function(None), key=lambda n: n["name"] != "talking_face")
    assert face["parameters"][1:] == [{"web_port": 8090, "web_token_file": "/run/secrets/page"}]
    given.update(barge_in="stop", voice_activity="false")
    nodes = {node["name"]: node for node in function(None)}
    assert nodes["talking_face"]["parameters"][-1]["barge_in"] == "stop"
    assert nodes["voice_activity"]["parameters"][-1] == {"echo_cancellation": True}
    given.update(web_port="page")
    with pytest.raises(ValueError, match="web_port:=page"):
        function(None)


@pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed here"
)
@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("perception", ("namespace", "image", "params_file", "autostart", "respawn", "overlay")),
        (
            "avatar",
            (
                "namespace",
                "speech",
                "params_file",
                "portrait",
                "renderer",
                "avatar",
                "web_port",
                "window",
            ),
        ),
    ],
)
def test_show_args_with_the_real_launch(file: str, names: tuple[str, ...]) -> None:
    assert shutil.which("ros2")
    path = LAUNCH.parent / f"{file}.launch.py"
    done = subprocess.run(["ros2", "launch", path, "--show-args"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in names:
        assert f"'{name}'" in done.stdout


def test_cmake_installs_every_node() -> None:
    """`ros2 run` and launch find a node by the name under which CMake installs it."""
    cmake = (LAUNCH.parent.parent / "CMakeLists.txt").read_text()
    names = cmake.split("foreach(node ", 1)[1].split(")", 1)[0].split()
    assert names == [*(node.name for node in graph.NODES), graph.COMPOSED]
