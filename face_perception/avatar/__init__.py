"""Mouth shapes, expression and gaze -> a face on the robot's screen, in time with its speech. Knows
no topics.
"""

from face_perception.avatar.aim import direction_to
from face_perception.avatar.clock import AudioClock, FramePacer
from face_perception.avatar.film import FilmError, write_film
from face_perception.avatar.interfaces import Animator, FaceState, Renderer
from face_perception.avatar.life import LivingFace
from face_perception.avatar.performer import Activity, Performer, Report
from face_perception.avatar.picture import PortraitError
from face_perception.avatar.player import (
    LoudspeakerPlayer,
    NoLoudspeaker,
    Player,
    SilentPlayer,
    device_of,
    import_sounddevice,
)
from face_perception.avatar.playout import Playout
from face_perception.avatar.portrait import Portrait, load_portrait
from face_perception.avatar.screen import Screen, Shown
from face_perception.avatar.web import WebError, WebScreen
from face_perception.avatar.window import NoDisplay, WindowScreen

__all__ = [
    "Activity",
    "Animator",
    "AudioClock",
    "FaceState",
    "FilmError",
    "FramePacer",
    "LivingFace",
    "LoudspeakerPlayer",
    "NoDisplay",
    "NoLoudspeaker",
    "Performer",
    "Player",
    "Playout",
    "Portrait",
    "PortraitError",
    "Renderer",
    "Report",
    "Screen",
    "Shown",
    "SilentPlayer",
    "WebError",
    "WebScreen",
    "WindowScreen",
    "device_of",
    "direction_to",
    "import_sounddevice",
    "load_portrait",
    "write_film",
]
