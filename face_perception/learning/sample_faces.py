"""Crops of the sample photographs, on which variants of a face network are compared."""

from __future__ import annotations

import numpy as np
import torch

from face_perception.inference import find_card, read_reference_inputs

# Share that is cut off each side of the face mesh's input, whose margin is a quarter of its size.
_MARGIN = 0.2


def sample_faces(size: int, count: int) -> np.ndarray:
    """Returns upright faces [count, 3, size, size], RGB float32, whole numbers from 0 to 255.

    They are two views of each of two faces, about as large as aligned faces, then their mirror
    images.
    """
    images = torch.from_numpy(read_reference_inputs(find_card("face_mesh"))["image"]).permute(
        0, 3, 1, 2
    )
    edge = round(images.shape[-1] * _MARGIN)
    images = images[..., edge:-edge, edge:-edge]
    resized = torch.nn.functional.interpolate(
        images, (size, size), mode="bilinear", align_corners=False, antialias=True
    )
    both = torch.cat([resized, resized.flip(-1)])
    faces = (255 * both).round().clamp(0, 255).numpy().astype(np.float32)
    return np.resize(faces, (count, *faces.shape[1:]))
