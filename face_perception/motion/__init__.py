"""Measures how faces move between images and estimates valence and arousal from it (MIMAMO-Net)."""

from typing import TYPE_CHECKING

from face_perception.lazy_names import lazy_names

if TYPE_CHECKING:
    from face_perception.motion.mimamo import TICK_RATE, Mimamo, MimamoSettings
    from face_perception.motion.mimamo_networks import (
        MIMAMO_NETWORKS,
        STREAM_INPUTS,
        MimamoNetworks,
        load_mimamo,
    )
    from face_perception.motion.network_images import (
        appearance_image,
        appearance_images,
        gray_image,
        gray_images,
    )
    from face_perception.motion.phase import (
        HALF_WINDOW,
        PHASE_WINDOW,
        ImagePhase,
        clip_phase_differences,
        image_phases,
        phase_differences,
    )
    from face_perception.motion.pyramid import pyramid_bands
    from face_perception.motion.ticks import TickAdvance, TickClock
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "HALF_WINDOW",
    "MIMAMO_NETWORKS",
    "PHASE_WINDOW",
    "STREAM_INPUTS",
    "TICK_RATE",
    "ImagePhase",
    "Mimamo",
    "MimamoNetworks",
    "MimamoSettings",
    "TickAdvance",
    "TickClock",
    "appearance_image",
    "appearance_images",
    "clip_phase_differences",
    "gray_image",
    "gray_images",
    "image_phases",
    "load_mimamo",
    "phase_differences",
    "pyramid_bands",
]
