"""The talking face: what MuseTalk needs around its networks."""

from face_perception.avatar.blend import Blender, Box, blend, crop_box, soft_mask
from face_perception.avatar.face_box import (
    NO_FACE,
    cut_face,
    face_box,
    mesh_box,
    network_images,
    to_latents,
)
from face_perception.avatar.parsing import parts_of_mesh, talking_area

__all__ = [
    "NO_FACE",
    "Blender",
    "Box",
    "blend",
    "crop_box",
    "cut_face",
    "face_box",
    "mesh_box",
    "network_images",
    "parts_of_mesh",
    "soft_mask",
    "talking_area",
    "to_latents",
]
