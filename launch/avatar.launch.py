"""Starts the talking face: `ros2 launch face_perception avatar.launch.py web_port:=8090`.

What is started is written down once, in face_perception/bringup/graph.py; `--show-args` lists the
arguments.
"""

from launch import LaunchDescription
from launch.actions import OpaqueFunction

from face_perception.bringup import graph
from face_perception.bringup.launching import Given, actions, common_arguments, declare

OURS = ("talking_face", "microphone", "voice_activity")

ARGUMENTS = [
    declare("namespace", "", "Namespace of all nodes, e.g. head"),
    declare("speech", "speech", "Topic of what the robot says, e.g. /tts/audio"),
    declare("portrait", "", "Picture of one face; astronaut; empty: a drawn face"),
    declare("renderer", "auto", "What draws", choices=["auto", "portrait", "musetalk"]),
    declare("avatar", "", "MuseTalk's face: a file of `face-perception avatar prepare`"),
    declare("audio_out", "auto", "Who plays the speech", choices=["auto", "device", "none"]),
    declare("window", "none", "On the robot's display", choices=["none", "window", "full"]),
    declare("web_port", "0", "Port of the web page; 0: none"),
    declare("web_host", "127.0.0.1", "Address of the web page; 0.0.0.0: for the whole network"),
    declare("audio_common", "none", "Read ros-drivers' audio", choices=["none", "data", "stamped"]),
    declare("microphone", "false", "Start microphone: plays a device or a wav file as audio"),
    declare("microphone_source", "", "Wav file or device; empty: the default microphone"),
    declare("voice_activity", "false", "Start voice_activity: whether a person speaks"),
    declare("audio", "audio", "Topic of what the robot hears"),
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
    given = Given(context)
    web_port = given.number("web_port")
    face = {name: given.text(name) for name in DEFAULTS}
    options = graph.Options(
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
    return actions(options, respawn=given.true("respawn"))


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
