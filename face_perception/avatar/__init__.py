"""Mouth shapes, expression and gaze -> a face on the robot's screen, in time with its speech; what
MuseTalk needs around its networks. Knows no topics.
"""

from face_perception.avatar.interfaces import Animator, FaceState, Listener, Renderer
from face_perception.avatar.look_direction import direction_to
from face_perception.avatar.musetalk.avatar_file import (
    VERSIONS,
    Avatar,
    AvatarError,
    autoencoder_hash,
    load_avatar,
    save_avatar,
    unet_version,
)
from face_perception.avatar.musetalk.blending import Blender, Box, blend, crop_box, soft_mask
from face_perception.avatar.musetalk.compare_decoders import DecoderReport, compare_decoders
from face_perception.avatar.musetalk.face_box import (
    NO_FACE,
    cut_face,
    face_box,
    mesh_box,
    network_images,
    to_latents,
)
from face_perception.avatar.musetalk.face_parsing import parts_of_mesh, talking_area
from face_perception.avatar.musetalk.networks import (
    DECODERS,
    FaceEncoder,
    MuseTalk,
    Needs,
    check_imported,
    how_to_import,
    speech_stream,
)
from face_perception.avatar.musetalk.prepare import (
    MAX_PICTURES,
    contact_sheet,
    framed_pictures,
    idle_pictures,
    prepare,
)
from face_perception.avatar.musetalk.renderer import LipSync, LipSyncReport
from face_perception.avatar.performer import Activity, Performer, Report
from face_perception.avatar.playback.audio_clock import AudioClock, FramePacer
from face_perception.avatar.playback.audio_device import (
    LoudspeakerPlayer,
    NoLoudspeaker,
    Player,
    SilentPlayer,
    device_of,
    import_sounddevice,
    look_again,
)
from face_perception.avatar.playback.audio_output import SOUND, Sound
from face_perception.avatar.playback.playout import Playout
from face_perception.avatar.portrait.anatomy import Anatomy
from face_perception.avatar.portrait.default_face import Look, drawn_face
from face_perception.avatar.portrait.deformations import SHAPES
from face_perception.avatar.portrait.idle_motion import LivingFace
from face_perception.avatar.portrait.renderer import SAMPLES, Portrait, load_portrait
from face_perception.avatar.portrait.source_picture import PortraitError, read_picture
from face_perception.avatar.screens.screen import Screen, Shown
from face_perception.avatar.screens.web_page import WebError, WebScreen
from face_perception.avatar.screens.window import NoDisplay, WindowScreen

__all__ = [
    "DECODERS",
    "MAX_PICTURES",
    "NO_FACE",
    "SAMPLES",
    "SHAPES",
    "SOUND",
    "VERSIONS",
    "Activity",
    "Anatomy",
    "Animator",
    "AudioClock",
    "Avatar",
    "AvatarError",
    "Blender",
    "Box",
    "DecoderReport",
    "FaceEncoder",
    "FaceState",
    "FramePacer",
    "LipSync",
    "LipSyncReport",
    "Listener",
    "LivingFace",
    "Look",
    "LoudspeakerPlayer",
    "MuseTalk",
    "Needs",
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
    "Sound",
    "WebError",
    "WebScreen",
    "WindowScreen",
    "autoencoder_hash",
    "blend",
    "check_imported",
    "compare_decoders",
    "contact_sheet",
    "crop_box",
    "cut_face",
    "device_of",
    "direction_to",
    "drawn_face",
    "face_box",
    "framed_pictures",
    "how_to_import",
    "idle_pictures",
    "import_sounddevice",
    "load_avatar",
    "load_portrait",
    "look_again",
    "mesh_box",
    "network_images",
    "parts_of_mesh",
    "prepare",
    "read_picture",
    "save_avatar",
    "soft_mask",
    "speech_stream",
    "talking_area",
    "to_latents",
    "unet_version",
]
