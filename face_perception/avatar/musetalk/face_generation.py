"""MuseTalk's networks in use: faces to latents, latents and speech to faces, and what that takes.

Arrays only: no picture around the face, no clock, no speech.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from face_perception import inference
from face_perception.avatar.musetalk.face_box import SCALING
from face_perception.errors import InputError
from face_perception.inference import Model, ModelError, ModelProgress, catalogue
from face_perception.speech import WhisperWindowStream
from face_perception.types import FloatArray, Image

ENCODER, UNET = "musetalk_vae_encoder", "musetalk_unet"
DECODERS = {
    "exact": "musetalk_vae_decoder",
    "lower": "musetalk_vae_decoder_lower",
    "tiny": "musetalk_tiny_decoder",
}
_IMPORT = "face-perception import musetalk"
_IMPORT_ALL = " --unet FILE --vae FILE --whisper FILE"
_IMPORT_DECODER = {"exact": "", "lower": " --lower", "tiny": " --tiny FILE"}
MAX_BATCH = 8
SIDE, TOKENS, WIDTH = 256, 50, 384
_LATENTS = (8, 32, 32)
# How often a network is run to know what it takes, and for how many seconds at most.
_CALLS, _PATIENCE = 5, 4.0


def import_command(decoder: str = "exact", *, alone: bool = False) -> str:
    """The command that imports the networks with one of ``DECODERS``, or ``alone`` the tiny one,
    which can be added to the others.
    """
    return f"{_IMPORT}{'' if alone else _IMPORT_ALL}{_IMPORT_DECODER[decoder]}"


def check_imported(*names: str, decoder: str = "exact") -> None:
    """Raises ModelError naming those of the networks that are not there, and their import."""
    cards = catalogue()
    missing = [name for name in names if name not in cards]
    if missing:
        raise ModelError(
            f"musetalk needs {', '.join(missing)}, which {'were' if missing[1:] else 'was'} not "
            f"imported: {import_command(decoder, alone=missing == [DECODERS['tiny']])}"
        )


def make_whisper_stream(encoder: Model) -> WhisperWindowStream:
    """What hears speech for MuseTalk: with OpenAI's file imported for 1.0 as that first heard it,
    else as 1.5 does, and 1.0 as its code is today.
    """
    return WhisperWindowStream(encoder, original=encoder.card.facts.get("normed") is False)


class FaceEncoder:
    """Faces -> latents, for preparing an avatar: only the image encoder is loaded."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @classmethod
    def load(
        cls, *, backend: str = "auto", threads: int = 1, fall_back: bool = False
    ) -> FaceEncoder:
        """In FP32, for it runs once an avatar. Raises ModelError naming the model and the fix."""
        check_imported(ENCODER)
        return cls(inference.load(ENCODER, backend=backend, threads=threads, fall_back=fall_back))

    def encode(self, images: Image) -> FloatArray:
        """RGB uint8 [N, 256, 256, 3] -> float32 [N, 4, 32, 32]: the most likely latents, scaled.

        The caller blackens the lower half of what is to be masked (``network_images``). One by one,
        for the encoder takes gigabytes for several. Raises InputError for another shape or type.
        """
        _check("images", images, (SIDE, SIDE, 3), np.uint8)
        found = [
            self._model.infer({"image": _planes(image)[None]})["mean"] * np.float32(SCALING)
            for image in images
        ]
        return np.concatenate([np.zeros((0, 4, 32, 32), np.float32), *found])


@dataclass(frozen=True, slots=True)
class ImageCost:
    """Seconds an image takes: medians of ``calls`` batches of ``batch``."""

    unet: float
    decoder: float
    batch: int
    calls: int

    @property
    def total(self) -> float:
        return self.unet + self.decoder


class MuseTalk:
    """Latents of a face, and speech -> images of the face saying it. For one thread.

    ``why`` says in a sentence a network what runs it; ``first_row`` is the first row of an image
    that is made (0 but for the lower decoder).
    """

    def __init__(
        self, unet: Model, decoder: Model, *, batch: int = 1, encoder: Model | None = None
    ) -> None:
        if not 1 <= batch <= MAX_BATCH:
            raise InputError(f"batch must be 1 to {MAX_BATCH}, not {batch}")
        self.batch = batch
        self._unet, self._decoder = unet, decoder
        self._encoder = FaceEncoder(encoder) if encoder else None
        rows = decoder.outputs["image"].shape[2]
        self.first_row = SIDE - (rows or SIDE)
        # Seconds an image in the UNet and the decoder, and the batch, of the last calls.
        self._taken: deque[tuple[float, float, int]] = deque(maxlen=32)

    @classmethod
    def load(
        cls,
        *,
        backend: str = "auto",
        decoder: str = "exact",
        precision: str = "fp32",
        batch: int = 1,
        threads: int = 1,
        fall_back: bool = False,
        progress: ModelProgress | None = None,
    ) -> MuseTalk:
        """Loads the UNet and a decoder: ``exact``, ``lower`` (the lower rows only, not exactly) or
        ``tiny`` (another, small network). ``precision`` is that of both; ``int8`` is the UNet's
        only, the decoder is FP32 then. The rest as ``inference.load``. The image encoder is loaded
        when ``encode`` is first called. Raises ModelError naming the model and the fix, InputError
        for a decoder or batch that there is not.
        """
        if decoder not in DECODERS:
            raise InputError(f"there is no decoder {decoder!r}: use one of {', '.join(DECODERS)}")
        if not 1 <= batch <= MAX_BATCH:
            raise InputError(f"batch must be 1 to {MAX_BATCH}, not {batch}")
        check_imported(UNET, DECODERS[decoder], decoder=decoder)

        def part(name: str, precision: str) -> Model:
            return inference.load(
                name,
                threads=threads,
                backend=backend,
                precision=precision,
                fall_back=fall_back,
                progress=progress,
            )

        # The small one first: what is missing is said before gigabytes are read.
        small = part(DECODERS[decoder], "fp32" if precision == "int8" else precision)
        made = cls(part(UNET, precision), small, batch=batch)
        made._load_encoder = lambda: FaceEncoder.load(
            backend=backend, threads=threads, fall_back=fall_back
        )
        return made

    _load_encoder: Callable[[], FaceEncoder] | None = None

    @property
    def why(self) -> tuple[str, ...]:
        return tuple(f"{m.name}: {m.why}" for m in (self._unet, self._decoder))

    def encode(self, images: Image) -> FloatArray:
        """As ``FaceEncoder.encode``; loads the encoder where this is the first call."""
        if self._encoder is None:
            if self._load_encoder is None:
                raise ModelError(f"this MuseTalk was made without {ENCODER}")
            self._encoder = self._load_encoder()
        return self._encoder.encode(images)

    def generate(self, latents: FloatArray, audio: FloatArray) -> Image:
        """``latents`` float32 [N, 8, 32, 32] (masked, then reference, scaled) and ``audio`` float32
        [N, 50, 384] (windows of whisper's states) -> RGB uint8 [N, 256, 256, 3].

        In batches of ``batch``, N any. Rows above ``first_row`` repeat that row: nothing of them is
        blended in. Raises InputError for another shape or type, ModelError where a backend fails.
        """
        _check("latents", latents, _LATENTS, np.float32)
        _check("audio", audio, (TOKENS, WIDTH), np.float32)
        if len(latents) != len(audio):
            raise InputError(f"{len(latents)} latents do not fit {len(audio)} windows of speech")
        images = np.empty((len(latents), SIDE, SIDE, 3), np.uint8)
        for start in range(0, len(latents), self.batch):
            some = slice(start, start + self.batch)
            self._batch(latents[some], audio[some], images[some])
        return images

    def decode(self, predicted: FloatArray) -> Image:
        """The decoder alone: float32 [N, 4, 32, 32] -> RGB uint8 [N, 256, 256, 3]."""
        made = self._decoder.infer({"latents": predicted})["image"]
        levels = np.rint(made).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
        return np.pad(levels, ((0, 0), (self.first_row, 0), (0, 0), (0, 0)), mode="edge")

    def seconds_per_image(self, batch: int | None = None) -> float:
        """Seconds an image takes here in batches of ``batch`` (default: this one's), from what was
        generated last; runs some times where nothing was.
        """
        return self.measure_cost(batch).total

    def measure_cost(self, batch: int | None = None) -> ImageCost:
        """The same, UNet and decoder apart: medians of the last 32 batches. Where there was none,
        of five that are run now (fewer after 4 s, one at least), after one that is not counted: the
        first call of a size allocates, and on a GPU chooses kernels.
        """
        batch = batch or self.batch
        if not any(size == batch for _, _, size in self._taken):
            self._measure(batch)
        found = [(unet, decoder) for unet, decoder, size in self._taken if size == batch]
        unet, decoder = (statistics.median(values) for values in zip(*found, strict=True))
        return ImageCost(unet, decoder, batch, len(found))

    def _measure(self, batch: int) -> None:
        images = np.empty((batch, SIDE, SIDE, 3), np.uint8)
        latents = np.zeros((batch, *_LATENTS), np.float32)
        audio = np.zeros((batch, TOKENS, WIDTH), np.float32)
        self._batch(latents, audio, images)
        self._taken.pop()
        end = time.perf_counter() + _PATIENCE
        for _ in range(_CALLS):
            self._batch(latents, audio, images)
            if time.perf_counter() > end:
                break

    def _batch(self, latents: FloatArray, audio: FloatArray, images: Image) -> None:
        count = len(latents)
        begin = time.perf_counter()
        (predicted,) = self._unet.infer({"latents": latents, "audio": audio}).values()
        middle = time.perf_counter()
        images[:] = self.decode(predicted)
        end = time.perf_counter()
        self._taken.append(((middle - begin) / count, (end - middle) / count, count))


def _planes(image: Image) -> FloatArray:
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)


def _check(what: str, value: FloatArray | Image, shape: tuple[int, ...], dtype: type) -> None:
    if value.shape[1:] != shape or value.dtype != dtype:
        sizes = ", ".join(str(size) for size in shape)
        raise InputError(
            f"{what} must be {np.dtype(dtype).name} [N, {sizes}], "
            f"not {value.dtype} {list(value.shape)}"
        )
