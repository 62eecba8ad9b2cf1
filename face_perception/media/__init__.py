"""Reads and writes pictures, films and camera files, and renders the sample scene. No ROS."""

from typing import TYPE_CHECKING

from face_perception.lazy_names import lazy_names

if TYPE_CHECKING:
    from face_perception.media.background import BackgroundWriter, read_ahead
    from face_perception.media.bag_reader import (
        SESSION_BAG,
        BagReader,
        bag_files,
        is_bag,
        is_session,
    )
    from face_perception.media.camera_device import CameraDevice, device_number
    from face_perception.media.camera_info import load_camera
    from face_perception.media.eight_bits import BitDepth, looks_like_depth
    from face_perception.media.film_sound import FilmSound
    from face_perception.media.film_writer import FilmError, write_mp4
    from face_perception.media.frame_reader import FrameReader, read_picture
    from face_perception.media.frame_writer import (
        FrameWriter,
        annotated_name,
        refuse_overwriting,
        result_stem,
    )
    from face_perception.media.image_messages import (
        ImageError,
        image_from_compressed,
        image_from_message,
    )
    from face_perception.media.image_order import ImageOrder
    from face_perception.media.picture import MOST_PIXELS, decode_picture, to_rgb
    from face_perception.media.playback import play_clip
    from face_perception.media.sample_scene import LOOP_SECONDS, PHOTOS, FaceTruth, SampleScene
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "LOOP_SECONDS",
    "MOST_PIXELS",
    "PHOTOS",
    "SESSION_BAG",
    "BackgroundWriter",
    "BagReader",
    "BitDepth",
    "CameraDevice",
    "FaceTruth",
    "FilmError",
    "FilmSound",
    "FrameReader",
    "FrameWriter",
    "ImageError",
    "ImageOrder",
    "SampleScene",
    "annotated_name",
    "bag_files",
    "decode_picture",
    "device_number",
    "image_from_compressed",
    "image_from_message",
    "is_bag",
    "is_session",
    "load_camera",
    "looks_like_depth",
    "play_clip",
    "read_ahead",
    "read_picture",
    "refuse_overwriting",
    "result_stem",
    "to_rgb",
    "write_mp4",
]
