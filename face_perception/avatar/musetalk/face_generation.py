"""Runs MuseTalk's networks: faces to latents, and latents and speech to faces.

Works on arrays only; it knows neither the picture around the face nor time. Also measures how long
an image takes.
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
# Runs of a measurement, and its longest time in seconds.
_CALLS, _PATIENCE = 5, 4.0


def import_command(decoder: str = "exact", *, alone: bool = False) -> str:
    """Returns the command that imports the networks with one of ``DECODERS``.

    With ``alone`` it imports that decoder only, which is possible for the tiny one.
    """
    return f"{_IMPORT}{'' if alone else _IMPORT_ALL}{_IMPORT_DECODER[decoder]}"


def check_imported(*names: str, decoder: str = "exact") -> None:
    """Raises ModelError if a network is missing; the text gives the command that imports it."""
    cards = catalogue()
    missing = [name for name in names if name not in cards]
    if missing:
        raise ModelError(
            f"musetalk needs {', '.join(missing)}, which {'were' if missing[1:] else 'was'} not "
            f"imported: {import_command(decoder, alone=missing == [DECODERS['tiny']])}"
        )


def make_whisper_stream(encoder: Model) -> WhisperWindowStream:
    """Returns the stream that turns speech into features for MuseTalk.

    If OpenAI's checkpoint was imported for MuseTalk 1.0, it computes the features as the first code
    of 1.0 did; else as MuseTalk 1.5 and the current code of 1.0 do.
    """
    return WhisperWindowStream(encoder, original=encoder.card.facts.get("normed") is False)


class FaceEncoder:
    """Encodes faces to latents, for preparing an avatar. Loads only the image encoder.

    After ``face-perception import musetalk``:

    >>> FaceEncoder.load().encode(np.zeros((2, 256, 256, 3), np.uint8)).shape
    (2, 4, 32, 32)
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    @classmethod
    def load(
        cls, *, backend: str = "auto", threads: int = 1, fall_back: bool = False
    ) -> FaceEncoder:
        """Loads the encoder in FP32, since it runs only once per avatar.

        Raises ModelError, which names the model and the fix.
        """
        check_imported(ENCODER)
        return cls(inference.load(ENCODER, backend=backend, threads=threads, fall_back=fall_back))

    def encode(self, images: Image) -> FloatArray:
        """Returns the most likely latents of RGB images, scaled: float32 [N, 4, 32, 32].

        ``images`` are uint8 [N, 256, 256, 3], as from ``encoder_images``. They are encoded one by
        one, because several at once take gigabytes. Raises InputError for another shape or type.
        """
        _check_array("images", images, (SIDE, SIDE, 3), np.uint8)
        found = [
            self._model.infer({"image": _planes(image)[None]})["mean"] * np.float32(SCALING)
            for image in images
        ]
        return np.concatenate([np.zeros((0, 4, 32, 32), np.float32), *found])


@dataclass(frozen=True, slots=True)
class ImageCost:
    """Seconds per image in each network: medians over ``calls`` batches of ``batch`` images.

    >>> cost = ImageCost(unet=0.030, decoder=0.005, batch=4, calls=8)
    >>> round(1 / cost.total)  # images per second
    29
    """

    unet: float
    decoder: float
    batch: int
    calls: int

    @property
    def total(self) -> float:
        return self.unet + self.decoder


class MuseTalk:
    """Generates images of a face that says given speech. Not thread-safe.

    ``first_row`` is the first image row that is generated: 0, except for the lower decoder.

    After ``face-perception import musetalk``:

    >>> musetalk = MuseTalk.load(batch=2)
    >>> latents = np.zeros((3, 8, 32, 32), np.float32)  # of an avatar, for three frames
    >>> audio = np.zeros((3, 50, 384), np.float32)  # from make_whisper_stream
    >>> images = musetalk.generate(latents, audio)
    >>> images.shape, images.dtype.name
    ((3, 256, 256, 3), 'uint8')
    >>> musetalk.measure_cost().batch
    2
    """

    def __init__(
        self, unet: Model, decoder: Model, *, batch: int = 1, encoder: Model | None = None
    ) -> None:
        if not 1 <= batch <= MAX_BATCH:
            raise InputError(f"batch must be from 1 to {MAX_BATCH}, not {batch}")
        self.batch = batch
        self._unet, self._decoder = unet, decoder
        self._encoder = FaceEncoder(encoder) if encoder else None
        rows = decoder.outputs["image"].shape[2]
        self.first_row = SIDE - (rows or SIDE)
        # Of the last batches: seconds per image in the UNet and in the decoder, and batch size.
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
        """Loads the UNet and a decoder; the image encoder is loaded at the first ``encode``.

        - ``decoder``: ``exact``, ``lower`` (only the lower rows, approximately) or ``tiny``
          (another, small network).
        - ``precision``: of both networks, but with ``int8`` the decoder stays FP32.
        - The others are those of ``inference.load``.

        Raises ModelError, which names the model and the fix, and InputError for an unknown decoder
        or a batch out of range.
        """
        if decoder not in DECODERS:
            raise InputError(f"there is no decoder {decoder!r}: use one of {', '.join(DECODERS)}")
        if not 1 <= batch <= MAX_BATCH:
            raise InputError(f"batch must be from 1 to {MAX_BATCH}, not {batch}")
        check_imported(UNET, DECODERS[decoder], decoder=decoder)

        def load_part(name: str, precision: str) -> Model:
            return inference.load(
                name,
                threads=threads,
                backend=backend,
                precision=precision,
                fall_back=fall_back,
                progress=progress,
            )

        # Loads the small network first: if it is missing, gigabytes need not be read.
        small = load_part(DECODERS[decoder], "fp32" if precision == "int8" else precision)
        made = cls(load_part(UNET, precision), small, batch=batch)
        made._load_encoder = lambda: FaceEncoder.load(
            backend=backend, threads=threads, fall_back=fall_back
        )
        return made

    _load_encoder: Callable[[], FaceEncoder] | None = None

    @property
    def why(self) -> tuple[str, ...]:
        """Returns one sentence per network on which backend runs it, and why."""
        return tuple(f"{m.name}: {m.why}" for m in (self._unet, self._decoder))

    def encode(self, images: Image) -> FloatArray:
        """Encodes faces as ``FaceEncoder.encode`` does. The first call loads the encoder."""
        if self._encoder is None:
            if self._load_encoder is None:
                raise ModelError(
                    f"this MuseTalk has no {ENCODER}: use MuseTalk.load(), or pass encoder="
                )
            self._encoder = self._load_encoder()
        return self._encoder.encode(images)

    def generate(self, latents: FloatArray, audio: FloatArray) -> Image:
        """Generates N faces, RGB uint8 [N, 256, 256, 3], in batches of ``batch``.

        - ``latents``: float32 [N, 8, 32, 32]: of the masked, then of the whole face, scaled.
        - ``audio``: float32 [N, 50, 384]: windows of Whisper's hidden states.

        Rows above ``first_row`` repeat that row; they are never blended in. Raises InputError for
        another shape or type, and ModelError if a backend fails.
        """
        _check_array("latents", latents, _LATENTS, np.float32)
        _check_array("audio", audio, (TOKENS, WIDTH), np.float32)
        if len(latents) != len(audio):
            raise InputError(
                f"{len(latents)} latents do not fit {len(audio)} windows of speech: give the same "
                "number of each"
            )
        images = np.empty((len(latents), SIDE, SIDE, 3), np.uint8)
        for start in range(0, len(latents), self.batch):
            some = slice(start, start + self.batch)
            self._batch(latents[some], audio[some], images[some])
        return images

    def decode(self, predicted: FloatArray) -> Image:
        """Runs the decoder alone: float32 [N, 4, 32, 32] to RGB uint8 [N, 256, 256, 3]."""
        made = self._decoder.infer({"latents": predicted})["image"]
        levels = np.rint(made).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
        return np.pad(levels, ((0, 0), (self.first_row, 0), (0, 0), (0, 0)), mode="edge")

    def seconds_per_image(self, batch: int | None = None) -> float:
        """Returns the seconds per image in batches of ``batch``; see ``measure_cost``."""
        return self.measure_cost(batch).total

    def measure_cost(self, batch: int | None = None) -> ImageCost:
        """Returns the seconds per image in batches of ``batch`` (default: ``self.batch``).

        Uses the medians of the last 32 batches of that size. If there were none, runs five now
        (fewer after 4 s, at least one), after a first one that is not counted: the first call of a
        size allocates memory, and on a GPU chooses kernels.
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


def _check_array(what: str, value: FloatArray | Image, shape: tuple[int, ...], dtype: type) -> None:
    if value.shape[1:] != shape or value.dtype != dtype:
        sizes = ", ".join(str(size) for size in shape)
        raise InputError(
            f"{what} must be {np.dtype(dtype).name} [N, {sizes}], "
            f"not {value.dtype} {list(value.shape)}"
        )
