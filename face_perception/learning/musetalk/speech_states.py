"""The speech that MuseTalk hears: states of whisper's encoder of each clip, computed once and kept.

The encoder is frozen. Its weights are those of a file, or generated ones if no file is given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from face_perception.files import sha256_of
from face_perception.learning.musetalk.checkpoint import read_whisper
from face_perception.learning.musetalk.talking_videos import TalkingClip, TalkingVideos
from face_perception.learning.musetalk.whisper_encoder import WhisperEncoder
from face_perception.learning.random_weights import randomise
from face_perception.outside_files import one_error
from face_perception.speech import whisper_states

_SEED = 1  # of generated weights


class SpeechEncoder:
    """Whisper's encoder for whole clips. ``file`` is empty for generated weights.

    ``revision`` names the weights, for the cache.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        if file is None:
            self.network: torch.nn.Module = WhisperEncoder()
            randomise(self.network, _SEED)
            self.network.eval().requires_grad_(False)
            self.revision = f"generated_{_SEED}"
        else:
            self.network, _ = read_whisper(file, "1.5")
            self.revision = sha256_of(file)[:16]

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Runs the network as ``speech.whisper_states`` asks for it."""
        with torch.inference_mode():
            return {"states": self.network(torch.from_numpy(inputs["mel"])).numpy()}


def clip_states(
    videos: TalkingVideos,
    clips: Sequence[TalkingClip],
    encoder: SpeechEncoder,
    report: Callable[[str], None] = lambda line: None,
) -> list[npt.NDArray[np.float16]]:
    """Returns the states [T, 5, 384] of each clip, 50 a second, kept beside the faces.

    Raises InputError if what is kept is damaged.
    """
    folder = videos.folder.with_name(f"{videos.folder.name}.{encoder.revision}.speech")
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    new = 0
    for clip in clips:
        key = hashlib.sha256(np.ascontiguousarray(clip.sound).tobytes()).hexdigest()[:16]
        file = folder / f"{key}.npy"
        if not file.exists():
            states = whisper_states(np.asarray(clip.sound), encoder).astype(np.float16)
            part = file.with_suffix(".part.npy")
            np.save(part, states)
            part.replace(file)
            new += 1
        with one_error(f"{file}", "remove this file"):
            found.append(np.load(file, mmap_mode="r"))
    if new:
        report(f"speech features of {new} clips")
    return found
