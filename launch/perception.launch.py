"""Starts perception: `ros2 launch face_perception perception.launch.py image:=/camera/image_raw`.

What is started is written down once, in face_perception/graph.py; `--show-args` lists the
arguments.
"""

import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from face_perception import graph


def declare(name, default, description, **more):
    return DeclareLaunchArgument(name, default_value=default, description=description, **more)


ARGUMENTS = [
    declare("namespace", "", "Namespace of all nodes, e.g. head"),
    declare("image", "image", "Image topic of the camera, e.g. /camera/image_raw"),
    declare("camera_info", "", "CameraInfo topic; empty: camera_info beside the image topic"),
    declare("compressed", "false", "Read <image>/compressed instead of <image> (true or false)"),
    declare(
        "camera_source",
        "sample",
        "With camera:=true, what it plays: sample, /dev/video0, a video or a picture",
    ),
    *(
        declare(
            node.name,
            str(node.by_default).lower(),
            f"Start {node.name}: {node.purpose} (true or false)",
        )
        for node in graph.NODES
    ),
    declare("params_file", "", "YAML with parameters, over those of config/"),
    declare("autostart", "true", "Nodes configure and activate themselves (true or false)"),
    declare("respawn", "true", "Start a node again when it ends (true or false)"),
    declare("use_sim_time", "false", "Follow /clock (true or false)"),
    declare("log_level", "info", "Log level", choices=["debug", "info", "warn", "error", "fatal"]),
]


def start(context):
    def text(name):
        return LaunchConfiguration(name).perform(context).strip()

    def true(name):
        value = text(name).lower()
        if value not in ("true", "false"):
            raise ValueError(f"launch argument {name}:={text(name)} must be true or false")
        return value == "true"

    options = graph.Options(
        nodes=tuple(node.name for node in graph.NODES if true(node.name)),
        namespace=text("namespace"),
        image=text("image"),
        camera_info=text("camera_info"),
        parameter_file=text("params_file"),
        parameters={"camera": {"source": text("camera_source")}},
        autostart=true("autostart"),
        use_sim_time=true("use_sim_time"),
        compressed=true("compressed"),
        log_level=text("log_level"),
    )
    merged = graph.merged_environment(os.environ)
    environment = {key: merged[key] for key in graph.environment() if key in merged}
    return [
        Node(
            package="face_perception",
            executable=process.name,
            name=process.name,
            namespace=process.namespace,
            remappings=list(process.remaps),
            # launch_ros writes an empty dictionary as a file that rcl refuses.
            parameters=[*process.parameter_files, *filter(None, [dict(process.parameters)])],
            arguments=["--ros-args", "--log-level", process.logger_level()],
            additional_env=environment,
            output="screen",
            respawn=true("respawn"),
            respawn_delay=0.5,
        )
        for process in graph.processes(options)
    ]


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
