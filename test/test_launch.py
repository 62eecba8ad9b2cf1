"""The graph as data, and the launch file against stand-ins of launch's two constructors.

`launch` is in no Python registry: what is checked here is that the file says what `graph` says. A
release is started with the real `ros2 launch`; where that is installed this file runs it.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

from face_perception import graph

LAUNCH = Path(__file__).parent.parent / "launch" / "perception.launch.py"


def arguments_of(name: str, **options: object) -> list[str]:
    (process,) = [p for p in graph.processes(graph.Options(**options)) if p.name == name]  # type: ignore[arg-type]
    return process.ros_arguments()


def test_default_graph_leaves_the_camera_to_the_robot() -> None:
    names = [p.name for p in graph.processes(graph.Options())]
    assert names == ["face_tracker", "gaze", "affect", "attention", "overlay"]


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


@pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed here"
)
def test_show_args_with_the_real_launch() -> None:
    assert shutil.which("ros2")
    done = subprocess.run(["ros2", "launch", LAUNCH, "--show-args"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("namespace", "image", "params_file", "autostart", "respawn", "overlay"):
        assert f"'{name}'" in done.stdout


def test_cmake_installs_every_node() -> None:
    """`ros2 run` and launch find a node by the name under which CMake installs it."""
    cmake = (LAUNCH.parent.parent / "CMakeLists.txt").read_text()
    names = cmake.split("foreach(node ", 1)[1].split(")", 1)[0].split()
    assert names == [node.name for node in graph.NODES]
