"""Measures generated faces on frames that were not used for training.

The networks do what they do at run time, except for the reference: it is another frame of the same
clip, because the frame itself would show the mouth that is to be generated.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from face_perception import faces
from face_perception.faces import FaceTracker, load_tracker
from face_perception.learning.musetalk.autoencoder import Autoencoder
from face_perception.learning.musetalk.frame_sampling import reference_frame
from face_perception.learning.musetalk.lip_sync_figures import sync_figures
from face_perception.learning.musetalk.recipe import generate
from face_perception.learning.musetalk.syncnet import FRAMES, SyncNet, lower_halves
from face_perception.learning.musetalk.talking_videos import FPS, TalkingClip, face_image
from face_perception.learning.musetalk.training_samples import spectrogram, to_tensor
from face_perception.speech import image_windows
from face_perception.types import Camera, FloatArray, Frame, Image

_AT_ONCE = 8
_BORDER = 128  # pixels around a face, so that the tracker finds it
_LIPS = faces.POINTS_68[48:]
_SSIM_SIGMA, _SSIM_CONSTANTS = 1.5, ((0.01 * 255) ** 2, (0.03 * 255) ** 2)

States = Sequence[npt.NDArray[np.floating]]


def evaluate(
    unet: nn.Module,
    autoencoder: Autoencoder,
    clips: Sequence[TalkingClip],
    states: States,
    *,
    frames: int,
    margin: float,
    syncnet: SyncNet | None = None,
) -> dict[str, float]:
    """Returns figures on the first ``frames`` frames of each clip, rounded.

    - ``l1``: mean absolute difference of the lower half from the film, 0 to 1.
    - ``ssim``: structural similarity of the lower half (Wang et al., 2004), gray.
    - ``lip_distance``: mean distance of 20 points of the lips from those in the film, as a share of
      the width of the mouth there; of faces that the tracker finds in both. ``lips_found`` is their
      share.
    - with ``syncnet``, ``sync_distance``, ``sync_confidence`` and ``sync_offset`` of the generated
      lips, and the same of the film with ``_film`` at the end.
    """
    tracker = load_tracker()
    found: dict[str, list[float]] = {}

    def add(values: dict[str, float]) -> None:
        for key, value in values.items():
            found.setdefault(key, []).append(value)

    for clip, heard in zip(clips, states, strict=True):
        count = min(frames, len(clip))
        real, made = _generated(unet, autoencoder, clip, heard, count, margin)
        for a, b in zip(_levels(real), _levels(made), strict=True):
            half = len(a) // 2
            lower = np.abs(a[half:].astype(float) - b[half:]).mean() / 255
            add({"l1": float(lower), "ssim": ssim(a[half:], b[half:])})
            add(_lips_apart(tracker, a, b))
        if syncnet is not None and count >= FRAMES + 2:
            windows = count - FRAMES + 1
            mel = spectrogram(clip)
            for images, ending in ((made, ""), (real, "_film")):
                lips = lower_halves(images.unfold(0, FRAMES, 1).permute(0, 4, 1, 2, 3))
                said = sync_figures(syncnet, lips, range(windows), mel, windows)
                add({f"{key}{ending}": value for key, value in said.items()})
    with np.errstate(invalid="ignore"):
        means = {
            key: float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
            for key, values in found.items()
        }
    return {key: round(value, 4) for key, value in means.items()}


def ssim(a: Image, b: Image) -> float:
    """Returns the structural similarity of two pictures, RGB uint8 [H, W, 3]; 1 if they are equal.

    Measured on gray levels with a Gaussian window of standard deviation 1.5 pixels.
    """
    x, y = (np.asarray(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), np.float64) for one in (a, b))

    def smooth(values: FloatArray) -> FloatArray:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), _SSIM_SIGMA))

    mean_x, mean_y = smooth(x), smooth(y)
    both = smooth(x * y) - mean_x * mean_y
    spread = smooth(x * x) - mean_x**2 + smooth(y * y) - mean_y**2
    light, contrast = _SSIM_CONSTANTS
    above = (2 * mean_x * mean_y + light) * (2 * both + contrast)
    return float((above / ((mean_x**2 + mean_y**2 + light) * (spread + contrast))).mean())


@torch.inference_mode()
def _generated(
    unet: nn.Module,
    autoencoder: Autoencoder,
    clip: TalkingClip,
    states: npt.NDArray[np.floating],
    count: int,
    margin: float,
) -> tuple[Tensor, Tensor]:
    """Returns the faces of a clip and the generated ones, each [count, 3, 256, 256], -1 to 1."""
    points = np.asarray(clip.points, np.float64)
    draw = random.Random(0)
    real = to_tensor([face_image(clip, frame, margin) for frame in range(count)])
    others = [other_frame(points, frame, draw) for frame in range(count)]
    references = to_tensor([face_image(clip, other, margin) for other in others])
    audio = torch.from_numpy(image_windows(states, count, FPS))
    made = []
    for start in range(0, count, _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        batch = {"faces": real[some], "references": references[some], "audio": audio[some]}
        made.append(generate(unet, autoencoder, batch))
    return real, torch.cat(made).clamp(-1, 1)


def other_frame(points: FloatArray, frame: int, draw: random.Random) -> int:
    """Draws the reference of ``frame``: as in training, but never the frame itself.

    Training draws the frame itself now and then, near both ends of a clip. ``points`` [N, 68, 2]
    are of at least two frames.
    """
    drawn = reference_frame(points, frame, 1, draw)
    return drawn if drawn != frame else (frame + len(points) // 2) % len(points)


def _levels(images: Tensor) -> list[Image]:
    levels = ((images + 1) * 127.5).round().clamp(0, 255).byte()
    return list(levels.permute(0, 2, 3, 1).contiguous().numpy())


def _lips_apart(tracker: FaceTracker, real: Image, made: Image) -> dict[str, float]:
    found = [_lips(tracker, one) for one in (real, made)]
    a, b = found
    if a is None or b is None:
        return {"lip_distance": float("nan"), "lips_found": 0.0}
    width = float(np.linalg.norm(a[0] - a[6]))
    apart = float(np.linalg.norm(a - b, axis=1).mean()) / width
    return {"lip_distance": apart, "lips_found": 1.0}


def _lips(tracker: FaceTracker, face: Image) -> Any:
    """Returns the points of the lips [20, 2] of a face, pixels; None if no face is found."""
    wide = np.pad(face, ((_BORDER, _BORDER), (_BORDER, _BORDER), (0, 0)), mode="edge")
    found = tracker.detect(Frame(wide, 0.0, Camera.assume(*wide.shape[1::-1])), 1)
    return found[0].landmarks[_LIPS, :2].astype(np.float64) if found else None
