"""Draws what MuseTalk and SyncNet learn from: frames, references, speech, and where the mouth is.

All draws are functions of seed, epoch and number of the sample, so that an interrupted run
continues with the same samples.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from face_perception.learning.musetalk.frame_sampling import SIDE, mouth_box, reference_frame
from face_perception.learning.musetalk.sync_mel import sync_mel
from face_perception.learning.musetalk.syncnet import COLUMNS, FRAMES, lower_halves, sound_windows
from face_perception.learning.musetalk.talking_videos import FPS, TalkingClip, face_image
from face_perception.speech import image_windows
from face_perception.types import Image

_SILENCE = -4.0  # of the spectrogram
_APART = 8  # least frames between lips and sound that do not belong together


@dataclass(frozen=True, slots=True)
class Sampling:
    """How samples are drawn.

    - ``seed``; ``samples`` of an epoch; ``frames`` in a row in a sample.
    - ``similar``: references of similar pose and with another mouth, else any frame nearby.
    - ``margin``, ``spread``: pixels below the chin: mean, and standard deviation, which also is the
      largest deviation.
    - ``cut_mouths``: cut the boxes of mouths as the released code does; see ``mouth_box``.
    """

    seed: int
    samples: int
    frames: int
    similar: bool = True
    margin: float = 0.0
    spread: float = 0.0
    cut_mouths: bool = False


class FaceSamples(Dataset[dict[str, Tensor]]):
    """Frames to generate. An item has

    - ``faces``, ``references``: float32 [T, 3, 256, 256], RGB -1 to 1.
    - ``audio``: float32 [T, 50, 384], windows of whisper's states.
    - ``sound``: float32 [1, 80, 52], what SyncNet hears at the first frame.
    - ``mouths``: int64 [T, 4]: left, top, right, bottom of the mouth.
    """

    def __init__(
        self,
        clips: Sequence[TalkingClip],
        states: Sequence[npt.NDArray[np.floating]],
        sampling: Sampling,
        epoch: int,
    ) -> None:
        self._clips, self._states, self._sampling = clips, states, sampling
        self._epoch = epoch
        self._spectrograms = [spectrogram(clip) for clip in clips]

    def __len__(self) -> int:
        return self._sampling.samples

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        how = self._sampling
        draw = _draw(how.seed, self._epoch, i)
        number = _any_clip(self._clips, draw)
        clip = self._clips[number]
        first = draw.randint(0, len(clip) - how.frames)
        points = np.asarray(clip.points, np.float64)
        margin = _margin(how, draw)
        faces, references, mouths = [], [], []
        for frame in range(first, first + how.frames):
            other = reference_frame(points, frame, how.frames, draw, similar=how.similar)
            faces.append(face_image(clip, frame, margin))
            references.append(face_image(clip, other, _margin(how, draw)))
            # As released, the box is that of the face without margin, moved up by the margin.
            limits = clip.sizes[frame] if how.cut_mouths else (SIDE, SIDE)
            mouths.append(mouth_box(points[frame], margin, limits=limits))
        audio = image_windows(self._states[number], how.frames, FPS, first=first)
        return {
            "faces": to_tensor(faces),
            "references": to_tensor(references),
            "audio": torch.from_numpy(audio),
            "sound": sound_windows(self._spectrograms[number], [first])[0],
            "mouths": torch.tensor(mouths),
        }


class SyncSamples(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Lips with their own sound or with that of another moment.

    An item is ``sound`` [1, 80, 52], ``lips`` [48, 128, 256] and ``fits``, 0 or 1.
    """

    def __init__(
        self, clips: Sequence[TalkingClip], seed: int, samples: int, epoch: int = 0
    ) -> None:
        self._clips, self._seed, self._samples, self._epoch = clips, seed, samples, epoch
        self._spectrograms = [spectrogram(clip) for clip in clips]

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        draw = _draw(self._seed, self._epoch, i)
        number = _any_clip(self._clips, draw)
        clip = self._clips[number]
        first = draw.randint(0, len(clip) - FRAMES)
        fits = draw.random() < 0.5
        heard, at = number, first
        if not fits:
            away = [k for k in range(len(clip) - FRAMES + 1) if abs(k - first) >= _APART]
            others = [k for k in range(len(self._clips)) if k != number]
            if away and (not others or draw.random() < 0.5):
                at = draw.choice(away)
            elif others:
                heard = draw.choice(others)
                at = draw.randint(0, len(self._clips[heard]) - FRAMES)
            else:  # one short clip: what is heard is the sound, backwards
                heard = -1
        if heard < 0:
            sound = sound_windows(self._spectrograms[number].flip(1), [first])[0]
        else:
            sound = sound_windows(self._spectrograms[heard], [at])[0]
        lips = lips_of(clip, first)
        return sound, lips, torch.tensor(float(fits))


def lips_of(clip: TalkingClip, first: int) -> Tensor:
    """Returns what SyncNet sees of 16 frames of a clip: float32 [48, 128, 256]."""
    faces = [face_image(clip, frame) for frame in range(first, first + FRAMES)]
    return lower_halves(to_tensor(faces)[None])[0]


def spectrogram(clip: TalkingClip) -> Tensor:
    """Returns the spectrogram of a clip [80, T], with silence after its end."""
    mel = torch.from_numpy(sync_mel(np.asarray(clip.sound)))
    missing = 80 * len(clip) // FPS + COLUMNS - mel.shape[1]
    return torch.nn.functional.pad(mel, (0, max(0, missing)), value=_SILENCE)


def to_tensor(images: Sequence[Image]) -> Tensor:
    """Returns RGB uint8 images [H, W, 3] as float32 [N, 3, H, W], -1 to 1."""
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    return stacked.float() / 127.5 - 1


def _draw(seed: int, epoch: int, number: int) -> random.Random:
    return random.Random(f"{seed} {epoch} {number}")


def _any_clip(clips: Sequence[TalkingClip], draw: random.Random) -> int:
    """Draws a clip; a longer one is drawn more often."""
    return draw.choices(range(len(clips)), [len(clip) for clip in clips])[0]


def _margin(how: Sampling, draw: random.Random) -> float:
    if not how.spread:
        return how.margin
    drawn = draw.gauss(how.margin, how.spread)
    return max(0.0, min(max(drawn, how.margin - how.spread), how.margin + how.spread))
