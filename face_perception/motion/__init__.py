"""How a face moves, image by image: phase differences, and valence and arousal read from them."""

from face_perception.motion.mimamo import RATE, Mimamo
from face_perception.motion.mimamo_networks import STREAMS, Networks, load_networks
from face_perception.motion.network_images import appearance_image, gray_image
from face_perception.motion.phase import HALF, WINDOW, Phase, clip_differences, differences, phases
from face_perception.motion.pyramid import coefficients
from face_perception.motion.ticks import Clock, Tick

__all__ = [
    "HALF",
    "RATE",
    "STREAMS",
    "WINDOW",
    "Clock",
    "Mimamo",
    "Networks",
    "Phase",
    "Tick",
    "appearance_image",
    "clip_differences",
    "coefficients",
    "differences",
    "gray_image",
    "load_networks",
    "phases",
]
