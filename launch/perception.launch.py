"""Starts perception: `ros2 launch face_perception perception.launch.py image:=/camera/image_raw`.

What is started is written down once, in face_perception/bringup/graph.py; `--show-args` lists the
arguments.
"""

from launch import LaunchDescription
from launch.actions import OpaqueFunction

from face_perception.bringup import graph
from face_perception.bringup.launching import (
    LaunchValues,
    common_arguments,
    declare_argument,
    launch_actions,
)

DEFAULT_SOURCE = "sample"

ARGUMENTS = [
    declare_argument("namespace", "", "Namespace of all nodes, e.g. head"),
    declare_argument("image", "image", "Image topic of the camera, e.g. /camera/image_raw"),
    declare_argument(
        "camera_info", "", "CameraInfo topic; empty: camera_info beside the image topic"
    ),
    declare_argument(
        "compressed", "false", "Read <image>/compressed instead of <image> (true or false)"
    ),
    declare_argument(
        "camera_source",
        DEFAULT_SOURCE,
        "With camera:=true, what it plays: sample, /dev/video0, a video or a picture",
    ),
    *(
        declare_argument(
            node.name,
            str(node.by_default).lower(),
            f"Start {node.name}: {node.purpose} (true or false)",
        )
        for node in graph.NODES
    ),
    *common_arguments(),
]


def start(context):
    given = LaunchValues(context)
    source = given.text("camera_source")
    options = graph.GraphOptions(
        **given.common(),
        nodes=tuple(node.name for node in graph.NODES if given.true(node.name)),
        image=given.text("image"),
        camera_info=given.text("camera_info"),
        # What is not given here is left to params_file.
        parameters={"camera": {"source": source}} if source != DEFAULT_SOURCE else {},
        compressed=given.true("compressed"),
    )
    return launch_actions(options, respawn=given.true("respawn"))


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
