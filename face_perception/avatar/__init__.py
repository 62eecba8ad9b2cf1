"""The talking face: what MuseTalk needs around its networks."""

from face_perception.avatar.blend import Blender, Box, blend, crop_box, soft_mask
from face_perception.avatar.parsing import talking_area

__all__ = ["Blender", "Box", "blend", "crop_box", "soft_mask", "talking_area"]
