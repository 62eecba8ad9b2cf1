"""Lip-sync confidence and distance, by a SyncNet, as Chung and Zisserman (2016) define them.

The distance of lips and sound is measured for shifts of the sound by up to 15 frames. The distance
of a clip is the smallest of them, its offset is the shift where it is smallest, and the confidence
is the median of the distances less the smallest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from face_perception.learning.musetalk.syncnet import FRAMES, SyncNet, sound_windows
from face_perception.learning.musetalk.talking_videos import TalkingClip
from face_perception.learning.musetalk.training_samples import lips_of, spectrogram

_FIGURES = ("sync_distance", "sync_confidence", "sync_offset")
_SHIFTS = 15  # frames to either side
_MOST_WINDOWS = 12  # of a clip


def lip_sync_figures(network: SyncNet, clips: Sequence[TalkingClip]) -> dict[str, float]:
    """Returns ``sync_distance``, ``sync_confidence`` and ``sync_offset`` (frames, absolute).

    They are means over the clips; a clip needs 16 frames more than one shift, else it is left out,
    and without any clip they are NaN. A clip that is shorter than all shifts is measured with those
    that fit.
    """
    each = []
    for clip in clips:
        count = len(clip) - FRAMES + 1
        if count < 3:
            continue
        firsts = np.unique(np.linspace(0, count - 1, min(_MOST_WINDOWS, count)).astype(int))
        lips = torch.stack([lips_of(clip, int(first)) for first in firsts])
        each.append(sync_figures(network, lips, firsts.tolist(), spectrogram(clip), count))
    if not each:
        return dict.fromkeys(_FIGURES, float("nan"))
    return {key: float(np.mean([one[key] for one in each])) for key in each[0]}


@torch.inference_mode()
def sync_figures(
    network: SyncNet, lips: Tensor, firsts: Sequence[int], mel: Tensor, count: int
) -> dict[str, float]:
    """Returns the figures of one clip.

    ``lips`` [K, 48, 128, 256] begin at the frames ``firsts``; ``mel`` [80, T] is the spectrogram of
    the clip, which has ``count`` windows.
    """
    seen = torch.cat([network.visual_encoder(one[None]) for one in lips])
    heard = network.audio_encoder(sound_windows(mel, range(count)))
    apart = torch.cdist(seen, heard).numpy()
    means = {}
    for shift in range(-_SHIFTS, _SHIFTS + 1):
        inside = [(k, f + shift) for k, f in enumerate(firsts) if 0 <= f + shift < count]
        if inside:
            means[shift] = float(np.mean([apart[pair] for pair in inside]))
    distances = np.array(list(means.values()))
    if not np.isfinite(distances).all():  # no shift is the best one
        return dict.fromkeys(_FIGURES, float("nan"))
    offset = min(means, key=lambda shift: means[shift])
    return {
        "sync_distance": float(distances.min()),
        "sync_confidence": float(np.median(distances) - distances.min()),
        "sync_offset": float(abs(offset)),
    }
