"""Estimates who speaks by a network that sees the faces and hears the sound."""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import soxr

from face_perception import faces
from face_perception.errors import shortened
from face_perception.inference import Card, Model, ModelError, Purpose
from face_perception.speech import MFCC_RATE, MFCC_STEP, MFCC_WINDOW, AudioChunk, mfcc_frames
from face_perception.types import FaceCrop, FloatArray, Image

FACES, MFCC, SPEAKING = "faces", "mfcc", "speaking"

_COEFFICIENTS = 13
_RECENT = 0.2  # seconds at the end of a window whose mean is the result
_LEAST = 0.5  # seconds of a face before which nothing is said about it
_LONGEST_GAP = 0.25  # seconds between two pictures of a face; what was before is forgotten
_LONGEST_SOUND_GAP = 0.1  # seconds
_KEPT = 1.5  # seconds of pictures and sound beyond a window, because the clocks may differ
_EDGE = 0.05  # seconds of sound at both ends of a window that only resampling needs
# Seconds for which a result counts: the longest time between two runs, and the delays of both.
_VALID = 2.0


def _is_speaker_network(card: Card) -> bool:
    return {FACES, MFCC} == set(card.inputs) and SPEAKING in card.outputs


SPEAKER_NETWORKS = Purpose(_is_speaker_network, "`face-perception import lr_asd`")


@dataclass(frozen=True, slots=True)
class SpeakerClips:
    """Clips of N faces that end at ``stamp``, seconds, as the network takes them.

    ``pictures`` are float32 [N, T, side, side], and ``mfcc`` float32 [4T, 13].
    """

    stamp: float
    face_ids: Sequence[str]
    pictures: FloatArray
    mfcc: FloatArray


class SpeakerNetwork:
    """Joins pictures of faces with the sound in time, and runs the network on them.

    Give it the crops of each image (``see``) and the sound (``hear``). ``clips`` returns what the
    network takes now, and ``estimate`` runs it, on any thread. A window ends with the newest image
    whose sound has come: the network sees nothing of the future.

    ``model`` is the card ``lr_asd``, or one with its inputs, outputs and facts. Raises ModelError
    for any other model.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        card = model.card
        self._window = card.count_fact("window", 25)
        self._rate = card.count_fact("rate_hz", 25, most=100)
        frames, left = divmod(self._window * MFCC_RATE // MFCC_STEP, self._rate)
        shape, sound = model.inputs[FACES].shape, model.inputs[MFCC].shape
        side = shape[-1]
        if (
            side is None
            or shape != (None, self._window, side, side)
            or sound != (None, frames, _COEFFICIENTS)
            or left
        ):
            raise ModelError(
                f"model {model.name} takes faces {shape} and mfcc {sound}, but the facts window "
                f"({self._window}) and rate_hz ({self._rate}) of its card need faces [N, "
                f"{self._window}, side, side] and mfcc [N, {frames + left / self._rate:g}, "
                f"{_COEFFICIENTS}]: import the model again"
            )
        self._side, self._frames = side, frames
        self._crop = _crop_of(card)
        self.reset()

    def reset(self) -> None:
        """Forgets all faces and all sound."""
        self._seen: dict[str, deque[tuple[float, Image]]] = {}
        self._stamp = -math.inf
        self._sound: deque[AudioChunk] = deque()
        self._held = 0  # samples in them

    def see(self, stamp: float, crops: Sequence[FaceCrop]) -> None:
        """Takes the crops of all faces in the image of ``stamp`` seconds.

        A stamp that goes back forgets all faces; an image with the stamp of the last one does not
        count. Raises InputError if a crop is not RGB uint8 [160, 160, 3].
        """
        if stamp == self._stamp:
            return
        if stamp < self._stamp:
            self._seen = {}
        self._stamp = stamp
        seen = {}
        for crop in crops:
            pictures = self._seen.get(crop.face_id, deque())
            if pictures and stamp - pictures[-1][0] > _LONGEST_GAP:
                pictures.clear()
            pictures.append((stamp, self._picture(crop)))
            while stamp - pictures[0][0] > self._seconds + _KEPT:
                pictures.popleft()
            seen[crop.face_id] = pictures
        for face_id, pictures in self._seen.items():
            if face_id not in seen and stamp - pictures[-1][0] <= _LONGEST_GAP:
                seen[face_id] = pictures
        self._seen = seen

    def hear(self, chunk: AudioChunk) -> None:
        """Takes the next sound. A gap, or a stamp that goes back, forgets what was before."""
        if not len(chunk.samples):
            return
        sound = self._sound
        if sound and (
            chunk.rate != sound[-1].rate
            or abs(chunk.stamp - sound[-1].stamp - sound[-1].duration) > _LONGEST_SOUND_GAP
        ):
            sound.clear()
            self._held = 0
        sound.append(chunk)
        self._held += len(chunk.samples)
        most = (self._seconds + _KEPT) * chunk.rate  # counted, because stamps may stand still
        while self._held - len(sound[0].samples) > most:
            self._held -= len(sound.popleft().samples)

    def clips(self, delay: float = 0.0) -> SpeakerClips | None:
        """Returns the newest window of each face; None without a face or without its sound.

        ``delay`` is how much later the stamps of the sound are than those of the images, seconds. A
        face that was seen for less than 0.5 s is left out. Before a face was seen, its first
        picture is repeated.
        """
        if not self._sound:
            return None
        last = self._sound[-1]
        heard = last.stamp + last.duration - delay
        # The last frame of MFCC ends after the last picture begins.
        behind = 1 / self._rate + (MFCC_WINDOW - MFCC_STEP) / MFCC_RATE
        stamp = min(self._stamp, heard - behind)
        times = stamp - np.arange(self._window)[::-1] / self._rate
        pictures = {
            face_id: found
            for face_id, seen in self._seen.items()
            if (found := self._clip(seen, times)) is not None
        }
        coefficients = self._mfcc(float(times[0]) + delay)
        if not pictures or coefficients is None:
            return None
        stacked = np.stack(list(pictures.values())).astype(np.float32)
        return SpeakerClips(stamp, tuple(pictures), stacked, coefficients.astype(np.float32))

    def estimate(self, clips: SpeakerClips) -> dict[str, float]:
        """Returns the probability that each face speaks, over the last 0.2 s of its clip, by id."""
        count = len(clips.face_ids)
        sound = np.repeat(clips.mfcc[None], count, axis=0)
        found = self.model.infer({FACES: clips.pictures, MFCC: sound})[SPEAKING]
        recent = found[:, -max(1, round(_RECENT * self._rate)) :].mean(axis=1)
        return dict(zip(clips.face_ids, recent.tolist(), strict=True))

    @property
    def _seconds(self) -> float:
        return self._window / self._rate

    def _picture(self, crop: FaceCrop) -> Image:
        """Returns the part of a crop that the network sees, gray uint8 [side, side]."""
        faces.check_crop(crop)
        left, top, side = self._crop
        part = crop.image[top : top + side, left : left + side]
        gray = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
        if side != self._side:
            gray = cv2.resize(gray, (self._side, self._side), interpolation=cv2.INTER_LINEAR)
        return np.asarray(gray, np.uint8)

    def _clip(self, seen: Sequence[tuple[float, Image]], times: FloatArray) -> Image | None:
        """Returns the picture that is nearest to each of ``times`` [T]: uint8 [T, side, side]."""
        stamps = [stamp for stamp, _ in seen]
        end = float(times[-1])
        if end - stamps[0] < _LEAST - 1e-6 or end - stamps[-1] > _LONGEST_GAP:
            return None
        chosen = []
        for time in times.tolist():
            at = bisect.bisect_left(stamps, time)
            near = [k for k in (at - 1, at) if 0 <= k < len(stamps)]
            chosen.append(seen[min(near, key=lambda k: abs(stamps[k] - time))][1])
        return np.stack(chosen)

    def _mfcc(self, begin: float) -> FloatArray | None:
        """Returns the coefficients [4T, 13] of the sound from ``begin`` on; None if it is missing.

        Sound that was not heard yet when the window begins is silence.
        """
        chunks = list(self._sound)
        rate, first = chunks[0].rate, chunks[0].stamp
        needed = (self._frames - 1) * MFCC_STEP + MFCC_WINDOW
        samples = np.concatenate([chunk.samples for chunk in chunks])
        # Count from the end, because the stamps of single chunks are not exact.
        first = chunks[-1].stamp + chunks[-1].duration - len(samples) / rate
        if first - begin > self._seconds / 2:
            return None
        start = round((begin - first - _EDGE) * rate)
        stop = start + round((needed / MFCC_RATE + 2 * _EDGE) * rate)
        silence = np.zeros(max(0, -start), np.float32)
        part = np.concatenate([silence, samples[max(start, 0) : max(stop, 0)]])
        if rate != MFCC_RATE:
            part = soxr.resample(part, rate, MFCC_RATE)
        skipped = round(_EDGE * MFCC_RATE)
        inside = part[skipped : skipped + needed]
        if len(inside) < needed:
            inside = np.pad(inside, (0, needed - len(inside)))
        return mfcc_frames(inside, before=float(part[skipped - 1]))


class SpeakerEstimates:
    """The last estimate of each face. A result counts for 2 s.

    >>> estimates = SpeakerEstimates()
    >>> estimates.set(5.0, {"face_1": 0.9})
    >>> estimates.at(6.5), estimates.at(7.5)
    ({'face_1': 0.9}, {})
    """

    def __init__(self) -> None:
        self._found: tuple[float, Mapping[str, float]] = (-math.inf, {})

    def set(self, stamp: float, found: Mapping[str, float]) -> None:
        """Takes the estimates for the image of ``stamp`` seconds. May run on another thread."""
        self._found = stamp, dict(found)

    def at(self, stamp: float) -> Mapping[str, float]:
        """Returns the estimates that count in the image of ``stamp`` seconds."""
        made, found = self._found
        return found if -_LONGEST_GAP <= stamp - made <= _VALID else {}


def _crop_of(card: Card) -> tuple[int, int, int]:
    """Returns left, top and side of the part of a crop that the network sees, pixels."""
    crop = card.facts.get("crop")
    if not (
        isinstance(crop, list)
        and len(crop) == 3
        and all(type(value) is int for value in crop)
        and min(crop) >= 0
        and crop[2] > 0
        and max(crop[:2]) + crop[2] <= faces.CROP_SIDE
    ):
        raise ModelError(
            f"model {card.name}: the fact crop of its card must be left, top and side within "
            f"{faces.CROP_SIDE} pixels, not {shortened(crop)}: import the model again"
        )
    left, top, side = crop
    return left, top, side
