"""Starts the talking face: `ros2 launch face_perception avatar.launch.py web_port:=8090`.

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

OURS = ("talking_face", "microphone", "voice_activity")

ARGUMENTS = [
    declare_argument("namespace", "", "Namespace of all nodes, e.g. head"),
    declare_argument("speech", "speech", "Topic of what the robot says, e.g. /tts/audio"),
    declare_argument("portrait", "", "Picture of one face; astronaut; empty: a synthetic face"),
    declare_argument("renderer", "auto", "What draws", choices=["auto", "portrait", "musetalk"]),
    declare_argument("avatar", "", "MuseTalk's face: a file of `face-perception avatar prepare`"),
    declare_argument(
        "audio_out", "auto", "Who plays the speech", choices=["auto", "device", "none"]
    ),
    declare_argument(
        "window", "none", "On the robot's display", choices=["none", "window", "full"]
    ),
    declare_argument("web_port", "0", "Port of the web page; 0: none"),
    declare_argument(
        "web_host", "127.0.0.1", "Address of the web page; 0.0.0.0: for the whole network"
    ),
    declare_argument(
        "audio_common", "none", "Read ros-drivers' audio", choices=["none", "data", "stamped"]
    ),
    declare_argument(
        "microphone", "false", "Start microphone: plays a device or a wav file as audio"
    ),
    declare_argument("microphone_source", "", "Wav file or device; empty: the default microphone"),
    declare_argument("voice_activity", "false", "Start voice_activity: whether a person speaks"),
    declare_argument("audio", "audio", "Topic of what the robot hears"),
    *common_arguments(),
]


DEFAULTS = {
    "portrait": "",
    "renderer": "auto",
    "avatar": "",
    "audio_out": "auto",
    "window": "none",
    "web_host": "127.0.0.1",
    "audio_common": "none",
}


def start(context):
    given = LaunchValues(context)
    web_port = given.number("web_port")
    face = {name: given.text(name) for name in DEFAULTS}
    options = graph.GraphOptions(
        **given.common(),
        nodes=tuple(name for name in OURS if name == "talking_face" or given.true(name)),
        speech=given.text("speech"),
        audio=given.text("audio"),
        parameters={
            # What is not given here is left to params_file.
            "talking_face": {
                **{name: value for name, value in face.items() if value != DEFAULTS[name]},
                **({"web_port": web_port} if web_port else {}),
            },
            "microphone": {"source": given.text("microphone_source")}
            if given.text("microphone_source")
            else {},
        },
    )
    return launch_actions(options, respawn=given.true("respawn"))


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
