"""Reads and writes pictures, videos and camera files, and renders the sample scene. No ROS."""

from face_perception.media.camera_device import CameraDevice, device_number
from face_perception.media.camera_info import load_camera
from face_perception.media.frame_reader import FrameReader
from face_perception.media.frame_writer import FrameWriter, refuse_overwriting
from face_perception.media.jpeg import jpeg_complete
from face_perception.media.mp4 import Mp4Error, write_mp4
from face_perception.media.sample_scene import LOOP_SECONDS, PHOTOS, FaceTruth, SampleScene

__all__ = [
    "LOOP_SECONDS",
    "PHOTOS",
    "CameraDevice",
    "FaceTruth",
    "FrameReader",
    "FrameWriter",
    "Mp4Error",
    "SampleScene",
    "device_number",
    "jpeg_complete",
    "load_camera",
    "refuse_overwriting",
    "write_mp4",
]
