"""Turns speech, expression and gaze into a talking face on a screen, in time with the sound.

``portrait`` animates a picture, ``musetalk`` generates the mouth with MuseTalk's networks,
``playback`` plays the sound and paces the frames, ``screens`` shows them, and ``Performer`` joins
them. Contains no ROS.
"""

from typing import TYPE_CHECKING

from face_perception.lazy_names import lazy_names

if TYPE_CHECKING:
    from face_perception.avatar.head_numbers import face_blendshapes, face_numbers
    from face_perception.avatar.interfaces import Animator, FaceState, Renderer, SpeechListener
    from face_perception.avatar.look_direction import direction_to
    from face_perception.avatar.musetalk.avatar_file import (
        VERSIONS,
        Avatar,
        AvatarError,
        installed_autoencoder_hash,
        installed_unet_version,
        load_avatar,
        save_avatar,
    )
    from face_perception.avatar.musetalk.blending import Blender, Box, crop_box, soft_mask
    from face_perception.avatar.musetalk.compare_decoders import compare_decoders
    from face_perception.avatar.musetalk.face_box import (
        NO_FACE,
        cut_face,
        face_box,
        mesh_box,
    )
    from face_perception.avatar.musetalk.face_generation import (
        DECODERS,
        FaceEncoder,
        ImageCost,
        MuseTalk,
        check_imported,
        import_command,
        make_whisper_stream,
    )
    from face_perception.avatar.musetalk.face_parsing import parts_from_mesh, talking_area
    from face_perception.avatar.musetalk.lip_sync import LipSync
    from face_perception.avatar.musetalk.prepare_avatar import (
        MAX_PICTURES,
        contact_sheet,
        followed_face,
        framed_pictures,
        idle_pictures,
        prepare_avatar,
    )
    from face_perception.avatar.performer import (
        Performer,
        PerformerReport,
        PerformerSettings,
        PerformerState,
    )
    from face_perception.avatar.playback.audio_clock import AudioClock, FramePacer
    from face_perception.avatar.playback.audio_output import AUDIO_OUTPUTS, AudioOutput
    from face_perception.avatar.playback.audio_players import SilentPlayer
    from face_perception.avatar.playback.playback_queue import PlaybackQueue
    from face_perception.avatar.portrait.anatomy import Anatomy
    from face_perception.avatar.portrait.default_face import FaceStyle, synthetic_face
    from face_perception.avatar.portrait.deformations import SHAPES
    from face_perception.avatar.portrait.idle_motion import IdleMotionAnimator
    from face_perception.avatar.portrait.portrait_renderer import (
        SAMPLES,
        PortraitRenderer,
        load_portrait,
    )
    from face_perception.avatar.portrait.skin_folds import FOLDS
    from face_perception.avatar.portrait.source_picture import PortraitError, read_picture
    from face_perception.avatar.screens.head_files import head_files, three_files
    from face_perception.avatar.screens.screen import Screen, ScreenFrame
    from face_perception.avatar.screens.web_page import WebScreen
    from face_perception.avatar.screens.window import NoDisplayError, WindowScreen
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "AUDIO_OUTPUTS",
    "DECODERS",
    "FOLDS",
    "MAX_PICTURES",
    "NO_FACE",
    "SAMPLES",
    "SHAPES",
    "VERSIONS",
    "Anatomy",
    "Animator",
    "AudioClock",
    "AudioOutput",
    "Avatar",
    "AvatarError",
    "Blender",
    "Box",
    "FaceEncoder",
    "FaceState",
    "FaceStyle",
    "FramePacer",
    "IdleMotionAnimator",
    "ImageCost",
    "LipSync",
    "MuseTalk",
    "NoDisplayError",
    "Performer",
    "PerformerReport",
    "PerformerSettings",
    "PerformerState",
    "PlaybackQueue",
    "PortraitError",
    "PortraitRenderer",
    "Renderer",
    "Screen",
    "ScreenFrame",
    "SilentPlayer",
    "SpeechListener",
    "WebScreen",
    "WindowScreen",
    "check_imported",
    "compare_decoders",
    "contact_sheet",
    "crop_box",
    "cut_face",
    "direction_to",
    "face_blendshapes",
    "face_box",
    "face_numbers",
    "followed_face",
    "framed_pictures",
    "head_files",
    "idle_pictures",
    "import_command",
    "installed_autoencoder_hash",
    "installed_unet_version",
    "load_avatar",
    "load_portrait",
    "make_whisper_stream",
    "mesh_box",
    "parts_from_mesh",
    "prepare_avatar",
    "read_picture",
    "save_avatar",
    "soft_mask",
    "synthetic_face",
    "talking_area",
    "three_files",
]
