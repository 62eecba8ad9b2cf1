"""Starts the talking face: `ros2 launch face_perception avatar.launch.py web_port:=8090`.

What is started is written down once, in face_perception/graph.py; `--show-args` lists the
arguments.
"""

import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from face_perception import graph

OURS = ("talking_face", "microphone", "voice_activity")


def declare(name, default, description, **more):
    return DeclareLaunchArgument(name, default_value=default, description=description, **more)


ARGUMENTS = [
    declare("namespace", "", "Namespace of all nodes, e.g. head"),
    declare("speech", "speech", "Topic of what the robot says, e.g. /tts/audio"),
    declare("portrait", "", "Picture of one face; astronaut; empty: a drawn face"),
    declare("audio_out", "auto", "Who plays the speech", choices=["auto", "device", "none"]),
    declare("window", "none", "On the robot's display", choices=["none", "window", "full"]),
    declare("web_port", "0", "Port of the web page; 0: none"),
    declare("web_host", "127.0.0.1", "Address of the web page; 0.0.0.0: for the whole network"),
    declare("audio_common", "none", "Read ros-drivers' audio", choices=["none", "data", "stamped"]),
    declare("microphone", "false", "Start microphone: plays a device or a wav file as audio"),
    declare("microphone_source", "", "Wav file or device; empty: the default microphone"),
    declare("voice_activity", "false", "Start voice_activity: whether a person speaks"),
    declare("audio", "audio", "Topic of what the robot hears"),
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

    if not text("web_port").isdigit():
        raise ValueError(f"launch argument web_port:={text('web_port')} must be a whole number")
    face = {
        name: text(name) for name in ("portrait", "audio_out", "window", "web_host", "audio_common")
    }
    options = graph.Options(
        nodes=tuple(name for name in OURS if name == "talking_face" or true(name)),
        namespace=text("namespace"),
        speech=text("speech"),
        audio=text("audio"),
        parameter_file=text("params_file"),
        parameters={
            # What is not given here is left to params_file.
            "talking_face": {
                **{name: value for name, value in face.items() if value != DEFAULTS[name]},
                **({"web_port": int(text("web_port"))} if text("web_port") != "0" else {}),
            },
            "microphone": {"source": text("microphone_source")}
            if text("microphone_source")
            else {},
        },
        autostart=true("autostart"),
        use_sim_time=true("use_sim_time"),
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


DEFAULTS = {
    "portrait": "",
    "audio_out": "auto",
    "window": "none",
    "web_host": "127.0.0.1",
    "audio_common": "none",
}


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
