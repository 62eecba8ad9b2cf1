"""Starts the perception nodes: `ros2 launch face_perception perception.launch.py
image:=/image_raw`.

`--show-args` lists the arguments. face_perception/bringup/graph.py describes the graph.
"""

from launch import LaunchDescription
from launch.actions import OpaqueFunction

from face_perception.bringup import graph
from face_perception.bringup.launching import (
    LaunchValues,
    common_arguments,
    declare_argument,
    launch_actions,
    switch_of,
)

DEFAULT_SOURCE = "sample"

ARGUMENTS = [
    declare_argument("namespace", "", "Namespace of all nodes, such as head"),
    declare_argument("image", "image", "Image topic of the camera, such as /camera/image_raw"),
    declare_argument(
        "camera_info",
        "",
        "CameraInfo topic; empty: camera_info in the namespace of the image topic",
    ),
    declare_argument(
        "compressed", "false", "Read IMAGE/compressed instead of IMAGE (true or false)"
    ),
    declare_argument(
        "camera_source",
        DEFAULT_SOURCE,
        "Source of the camera node, with camera:=true: sample, a camera such as /dev/video0, a "
        "video or a picture",
    ),
    *(switch_of(node) for node in graph.NODES),
    declare_argument(
        "composed",
        "false",
        "Run the nodes that perceive in one process, which needs less CPU and memory; a crash then "
        "ends all of them (true or false)",
    ),
    *common_arguments(),
]


def start(context):
    given = LaunchValues(context, __file__, (argument.name for argument in ARGUMENTS))
    source = given.text("camera_source")
    options = graph.GraphOptions(
        **given.common(),
        nodes=tuple(node.name for node in graph.NODES if given.starts(node)),
        image=given.text("image"),
        camera_info=given.text("camera_info"),
        # Set the parameter only if the argument is given, so that params_file can set it.
        parameters={"camera": {"source": source}} if source != DEFAULT_SOURCE else {},
        compressed=given.true("compressed"),
        composed=given.true("composed"),
    )
    return launch_actions(context, options, respawn=given.true("respawn"))


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
