"""Compares MuseTalk's decoders with the exact one, on one face and one recording.

Measures how fast each decoder is, and how similar its result is where the face is blended in. The
result is meaningful for trained weights only.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from face_perception.avatar.musetalk.avatar_file import Avatar
from face_perception.avatar.musetalk.face_generation import MuseTalk
from face_perception.inference import Model
from face_perception.types import FloatArray

EXACT = "exact"


@dataclass(frozen=True, slots=True)
class DecoderComparison:
    """One decoder compared with the exact one.

    - ``seconds``: median time per image, batch 1.
    - ``speed``: time of the exact decoder divided by the time of this one; ``speed_of_all`` is the
      same with the time of the UNet added to both.
    - ``psnr``: peak signal-to-noise ratio in dB where the generated face is blended into the
      avatar's pictures; infinite for the exact decoder.
    """

    decoder: str
    seconds: float
    speed: float
    speed_of_all: float
    psnr: float


def compare_decoders(
    avatar: Avatar, unet: Model, decoders: Mapping[str, Model], audio: FloatArray
) -> list[DecoderComparison]:
    """Runs all ``decoders`` in turn on N images, and compares them with the one named ``EXACT``.

    ``audio`` [N, 50, 384] are the speech features of the images, which use the avatar's first
    pictures. Raises ModelError if a backend fails.
    """
    makers = {name: MuseTalk(unet, decoder) for name, decoder in decoders.items()}
    blenders = avatar.blenders()
    squares: dict[str, list[float]] = {name: [] for name in makers}
    taken: dict[str, list[float]] = {name: [] for name in makers}
    unet_taken: list[float] = []
    for k, window in enumerate(audio):
        place = avatar.picture_index(k)
        given = {"latents": avatar.latents[[place]], "audio": window[None]}
        if not k:
            for maker in makers.values():  # warm-up
                maker.generate(given["latents"], given["audio"])
        begin = time.perf_counter()
        (predicted,) = unet.infer(given).values()
        unet_taken.append(time.perf_counter() - begin)
        faces = {}
        for name, maker in makers.items():
            begin = time.perf_counter()
            faces[name] = maker.decode(predicted)[0]
            taken[name].append(time.perf_counter() - begin)
        blender, picture = blenders[place], avatar.pictures[place]
        left, top, right, bottom = blender.area
        wanted = blender.blend(picture, blender.resized(faces[EXACT])).astype(np.float64)
        seen = np.zeros(picture.shape, bool)
        seen[top:bottom, left:right] = blender.weight > 0
        for name, face in faces.items():
            made = blender.blend(picture, blender.resized(face))
            squares[name].append(float(np.mean((made - wanted)[seen] ** 2)))
    rest = statistics.median(unet_taken)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    return [
        DecoderComparison(
            name,
            medians[name],
            medians[EXACT] / medians[name],
            (rest + medians[EXACT]) / (rest + medians[name]),
            _psnr(statistics.fmean(squares[name])),
        )
        for name in makers
    ]


def _psnr(square: float) -> float:
    return 10 * math.log10(255**2 / square) if square else math.inf
