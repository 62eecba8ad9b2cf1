"""Pictures, videos and camera files in and out, and the bundled sample scene. No ROS."""

from face_perception.media.clips import (
    Clip,
    Device,
    Drawing,
    device_number,
    jpeg_complete,
    load_camera,
    refuse_overwriting,
)
from face_perception.media.mp4 import FilmError, write_film
from face_perception.media.sample_scene import LOOP, PHOTOS, SampleScene, Sighting

__all__ = [
    "LOOP",
    "PHOTOS",
    "Clip",
    "Device",
    "Drawing",
    "FilmError",
    "SampleScene",
    "Sighting",
    "device_number",
    "jpeg_complete",
    "load_camera",
    "refuse_overwriting",
    "write_film",
]
