"""Mouth shapes, expression and gaze -> a face on the robot's screen, in time with its speech; what
MuseTalk needs around its networks. Knows no topics.
"""

from face_perception.avatar.aim import direction_to
from face_perception.avatar.anatomy import Anatomy
from face_perception.avatar.artefact import (
    VERSIONS,
    Avatar,
    AvatarError,
    autoencoder_hash,
    load_avatar,
    save_avatar,
    unet_version,
)
from face_perception.avatar.blend import Blender, Box, blend, crop_box, soft_mask
from face_perception.avatar.clock import AudioClock, FramePacer
from face_perception.avatar.decoders import DecoderReport, compare_decoders
from face_perception.avatar.drawn import Look, drawn_face
from face_perception.avatar.face_box import (
    NO_FACE,
    cut_face,
    face_box,
    mesh_box,
    network_images,
    to_latents,
)
from face_perception.avatar.interfaces import Animator, FaceState, Listener, Renderer
from face_perception.avatar.life import LivingFace
from face_perception.avatar.lip_sync import LipSync, LipSyncReport
from face_perception.avatar.musetalk import (
    DECODERS,
    FaceEncoder,
    MuseTalk,
    Needs,
    check_imported,
    how_to_import,
    speech_stream,
)
from face_perception.avatar.parsing import parts_of_mesh, talking_area
from face_perception.avatar.performer import Activity, Performer, Report
from face_perception.avatar.picture import PortraitError, read_picture
from face_perception.avatar.player import (
    LoudspeakerPlayer,
    NoLoudspeaker,
    Player,
    SilentPlayer,
    device_of,
    import_sounddevice,
    look_again,
)
from face_perception.avatar.playout import Playout
from face_perception.avatar.portrait import SAMPLES, Portrait, load_portrait
from face_perception.avatar.prepare import (
    MAX_PICTURES,
    contact_sheet,
    framed_pictures,
    idle_pictures,
    prepare,
)
from face_perception.avatar.screen import Screen, Shown
from face_perception.avatar.shapes import SHAPES
from face_perception.avatar.sound import SOUND, Sound
from face_perception.avatar.web import WebError, WebScreen
from face_perception.avatar.window import NoDisplay, WindowScreen

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
