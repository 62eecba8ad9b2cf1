"""Starts the talking face: `ros2 launch face_perception avatar.launch.py web_port:=8090`.

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
)

OURS = ("talking_face", "microphone", "voice_activity", "voice")

ARGUMENTS = [
    declare_argument("namespace", "", "Namespace of all nodes, such as head"),
    declare_argument("speech", "speech", "Audio topic of the robot's speech, such as /tts/audio"),
    declare_argument(
        "portrait",
        "",
        "Picture of one face, or the sample photograph astronaut; empty: a synthetic face",
    ),
    declare_argument(
        "renderer",
        "auto",
        "Renderer of the face; auto: musetalk if avatar is given and this computer is fast enough, "
        "else portrait; head: in three dimensions, on the web page; none: only avatar/mouth and "
        "avatar/audio",
        choices=["auto", "portrait", "musetalk", "head", "none"],
    ),
    declare_argument("avatar", "", "Face for MuseTalk: a file of `face-perception avatar prepare`"),
    declare_argument(
        "audio_out",
        "auto",
        "Player of the speech: the loudspeaker (device), another program that reads avatar/audio "
        "(none), or the loudspeaker if there is one (auto)",
        choices=["auto", "device", "none"],
    ),
    declare_argument(
        "window",
        "none",
        "Window on the robot's display; full: full screen",
        choices=["none", "window", "full"],
    ),
    declare_argument("web_port", "0", "TCP port of the web page; 0: no web page"),
    declare_argument(
        "web_host", "127.0.0.1", "Address of the web page; 0.0.0.0: reachable from the network"
    ),
    declare_argument(
        "web_token",
        "",
        "Password of the web page. Every user can read a command line: better use web_token_file",
    ),
    declare_argument("web_token_file", "", "File whose first line is the password of the web page"),
    declare_argument(
        "audio_common",
        "none",
        "Type of the speech topic: Audio of this package (none), or audio_common's AudioData or "
        "AudioDataStamped",
        choices=["none", "data", "stamped"],
    ),
    declare_argument(
        "microphone", "false", "Start microphone, which publishes sound of a device or a wav file"
    ),
    declare_argument(
        "microphone_source",
        "",
        "Source of the microphone node: a wav file or a device; empty: the default device",
    ),
    declare_argument(
        "voice_activity", "false", "Start voice_activity, which detects whether a person speaks"
    ),
    declare_argument(
        "voice", "false", "Start voice, which says the texts of the action say and of say_text"
    ),
    declare_argument(
        "barge_in",
        "off",
        "What a person does who talks over the robot: nothing (off), make its speech softer (duck) "
        "or interrupt it (stop); also starts voice_activity, with echo cancellation",
        choices=list(graph.BARGE_IN),
    ),
    declare_argument("audio", "audio", "Audio topic of the robot's microphone"),
    *common_arguments(),
]


DEFAULTS = {
    "portrait": "",
    "renderer": "auto",
    "avatar": "",
    "audio_out": "auto",
    "window": "none",
    "web_host": "127.0.0.1",
    "web_token": "",
    "web_token_file": "",
    "audio_common": "none",
}


def start(context):
    given = LaunchValues(context, __file__, (argument.name for argument in ARGUMENTS))
    web_port = given.number("web_port")
    face = {name: given.text(name) for name in DEFAULTS}
    listening = graph.barge_in_parameters(given.text("barge_in"))
    options = graph.GraphOptions(
        **given.common(),
        nodes=tuple(
            name for name in OURS if name == "talking_face" or name in listening or given.true(name)
        ),
        speech=given.text("speech"),
        audio=given.text("audio"),
        parameters={
            # Set a parameter only if its argument is given, so that params_file can set it.
            "talking_face": {
                **{name: value for name, value in face.items() if value != DEFAULTS[name]},
                **({"web_port": web_port} if web_port else {}),
                **listening.get("talking_face", {}),
            },
            "voice_activity": listening.get("voice_activity", {}),
            "microphone": {"source": given.text("microphone_source")}
            if given.text("microphone_source")
            else {},
        },
    )
    return launch_actions(context, options, respawn=given.true("respawn"))


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
