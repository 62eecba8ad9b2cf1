"""Measures interruptions by a person in simulated rooms: false ones, missed ones and their delay.

    python3 bench/barge_in.py [--speech FOLDER] [--rooms N] [--persons N] [--level DB ...]

The robot says eight texts with its own voice (hibari-tts). Its microphone hears them through a
room: an impulse response of decaying noise (reverberation time 0.15 to 0.6 s), a small loudspeaker
(band limits, some distortion), a delay of 0 to 300 ms, a clock that differs by up to 100 ppm,
stamps that are off by about 1 ms, and noise 15 to 40 dB below the echo, which has -40 to -20 dB of
full scale. The echo canceller, the voice activity network and ``BargeIn`` hear it in chunks of
20 ms. Nothing runs in real time: delays are those of the sound.

- ``--speech``: 16 kHz recordings (.wav) of the persons who interrupt, with their speech labelled in
  .scv files, such as `ten-vad/testset`. Without it, the recording of this repository.
- ``--rooms``: number of rooms without a person, 30 s each. ``--persons``: largest number of
  persons who interrupt.

A person is as loud as the echo, or ``--level`` dB louder, and talks on for 2 s. An interruption
counts as missed if it takes more than 1.5 s. The delay is from the first labelled sound of the
person to the closed mouth.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.speaking import read_clips
from face_perception.inference import load
from face_perception.inference.model import Model
from face_perception.speech import (
    ECHO_RATE,
    AudioChunk,
    BargeIn,
    BargeInSettings,
    EchoCanceller,
    VoiceActivity,
    open_voice,
    speak_text,
)

TEXTS = (
    "Good morning, may I help you find the museum shop? It is on the second floor.",
    "Please put the empty cups back on the table. The next bus leaves in ten minutes.",
    "My battery is almost empty, but I can still walk with you. Bring a map and some water.",
    "The exhibition about the history of flight is open until six. Buy a ticket at the desk.",
    "I am sorry, I did not understand that. Could you say it again, a little more slowly?",
    "Today we have soup with bread, a salad with beans, and fresh fish from the harbour.",
    "If you follow the blue line on the floor, you will reach the lifts after two minutes.",
    "My name is Robin, and I have worked here since last summer. I like to meet people.",
)
PLAYED_RATE = 48_000  # hertz, of avatar/audio
PAUSE = 0.15  # seconds between sentences
CHUNK = 0.02  # seconds in a message of the microphone
# Seconds in a message of avatar/audio, which is sent so long before it is heard.
PLAYED_CHUNK = 0.01
ALONE = 30.0  # seconds of own speech in a room without a person
TALKS = 2.0  # seconds
FIRST, LAST = 6.0, 11.0  # seconds after which a person begins: the room is learnt
LONGEST = 1.5  # seconds; a later interruption counts as missed
# Seconds from the decision to the closed mouth: it closes in 50 ms, seen with the next frame.
TO_CLOSED = 0.05 + 1 / 30

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Room:
    """What the microphone hears of ``played``, which has ``PLAYED_RATE``.

    ``heard`` has 16 000 samples in each second of the microphone's clock. That clock counts
    ``clock`` seconds in one true second.
    """

    played: Array
    heard: Array
    clock: float


@dataclass
class Found:
    """What was found in one room: the times of interruptions, and when the room was learnt."""

    interruptions: list[float]
    learnt_at: float


def robot_speech() -> Array:
    voice, pieces = open_voice("hibari:heart"), []
    for text in TEXTS:
        for spoken, _ in speak_text(voice, text):
            pieces.append(soxr.resample(spoken.samples, spoken.rate, PLAYED_RATE))
            pieces.append(np.zeros(round(PAUSE * PLAYED_RATE), np.float32))
    return np.concatenate(pieces)


def persons(folder: Path | None) -> list[Array]:
    """Returns speech [2 s] that begins with its first sound, after silence."""
    found = []
    for clip in read_clips(folder):
        said = clip.speech
        starts = [
            k
            for k in range(len(said) - round(TALKS * 100))
            if said[k] and said[k : k + 100].mean() > 0.8 and not said[max(0, k - 30) : k].any()
        ]
        found += [clip.samples[k * 160 : k * 160 + round(TALKS * ECHO_RATE)] for k in starts]
    return found


def speech_level(samples: Array) -> float:
    """Returns the RMS of the pieces of 20 ms in which there is sound."""
    pieces = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    power = (pieces**2).mean(axis=1)
    return math.sqrt(power[power > 1e-3 * power.max()].mean())


def convolved(samples: Array, response: Array) -> Array:
    size = 1 << (len(samples) + len(response)).bit_length()
    both = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.fft.irfft(both, size)[: len(samples)]


def impulse_response(random: np.random.Generator, reverberation: float, direct: float) -> Array:
    """Returns a direct sound of 1, and decaying noise that is ``direct`` dB below it."""
    times = np.arange(round(reverberation * ECHO_RATE)) / ECHO_RATE
    noise = random.standard_normal(len(times)) * 10 ** (-3 * times / reverberation)
    noise[:32] = 0
    noise *= math.sqrt(10 ** (-direct / 10) / (noise**2).sum())
    noise[0] = 1
    return noise


def loudspeaker(random: np.random.Generator, samples: Array) -> Array:
    """Returns what a small loudspeaker makes of samples: less bass and treble, some distortion."""
    drive = random.uniform(0, 0.15) / speech_level(samples)
    bent = np.tanh(drive * samples) / drive
    frequency = np.fft.rfftfreq(len(bent), 1 / ECHO_RATE)
    low, high = random.uniform(100, 300), random.uniform(4000, 7500)
    gain = 1 / np.sqrt((1 + (low / np.maximum(frequency, 1)) ** 4) * (1 + (frequency / high) ** 8))
    return np.fft.irfft(np.fft.rfft(bent) * gain, len(bent))


def room_noise(random: np.random.Generator, count: int) -> Array:
    spectrum = np.fft.rfft(random.standard_normal(count))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), count / ECHO_RATE * 50))
    noise = np.fft.irfft(spectrum, count)
    return noise / noise.std()


def simulated(
    seed: int, played: Array, person: Array | None = None, at: float = 0.0, level: float = 0.0
) -> Room:
    random = np.random.default_rng(seed)
    reverberation, delay = random.uniform(0.15, 0.6), random.uniform(0, 0.3)
    clock = 1 + random.uniform(-1e-4, 1e-4)
    loudness = 10 ** (random.uniform(-40, -20) / 20)
    made = loudspeaker(random, soxr.resample(played, PLAYED_RATE, ECHO_RATE).astype(np.float64))
    echo = convolved(made, impulse_response(random, reverberation, random.uniform(3, 12)))
    echo *= loudness / speech_level(echo)
    fine = soxr.resample(echo, ECHO_RATE, 4 * ECHO_RATE)
    # Samples of the microphone, at the times at which it takes them.
    times = np.arange(len(echo)) / (ECHO_RATE * clock) - delay
    heard = np.interp(times * 4 * ECHO_RATE, np.arange(len(fine)), fine, left=0.0)
    heard += loudness * 10 ** (-random.uniform(15, 40) / 20) * room_noise(random, len(heard))
    if person is not None:
        response = impulse_response(random, reverberation, random.uniform(-3, 6))
        voice = convolved(np.pad(person, (0, ECHO_RATE // 2)), response)
        voice *= loudness * 10 ** (level / 20) / speech_level(voice)
        first = round(at * clock * ECHO_RATE)
        heard[first : first + len(voice)] += voice[: len(heard) - first]
    return Room(played, np.clip(heard, -1, 1).astype(np.float32), clock)


class Listener:
    """Hears a room as the nodes voice_activity and talking_face do, and counts its CPU time."""

    def __init__(self, model: Model, settings: BargeInSettings) -> None:
        self._model, self._settings = model, settings
        self.cancelling = self.detecting = self.seconds = 0.0

    def hear(self, room: Room, seed: int) -> Found:
        random = np.random.default_rng(seed)
        canceller, activity = EchoCanceller(), VoiceActivity(self._model)
        barge_in = BargeIn(self._settings)
        found, sent, steps = Found([], math.inf), 0.0, 0
        size = round(CHUNK * ECHO_RATE)
        for first in range(0, len(room.heard) - size + 1, size):
            stamp = first / (ECHO_RATE * room.clock)
            arrives = stamp + CHUNK
            begin = time.process_time()
            while sent - PLAYED_CHUNK <= arrives:
                index = round(sent * PLAYED_RATE)
                piece = room.played[index : index + round(PLAYED_CHUNK * PLAYED_RATE)]
                canceller.play(AudioChunk(sent + random.normal(0, 2e-4), PLAYED_RATE, piece))
                sent += PLAYED_CHUNK
            clean = canceller.push(room.heard[first : first + size], stamp + random.normal(0, 1e-3))
            middle = time.process_time()
            states = activity.detect(clean)
            self.cancelling += middle - begin
            self.detecting += time.process_time() - middle
            if canceller.learnt and not math.isfinite(found.learnt_at):
                found.learnt_at = stamp
            for state in states:
                steps += 1
                probability = state.probability if canceller.learnt else math.nan
                if barge_in.hear(state.end, probability, robot_speaks=True):
                    found.interruptions.append(arrives)
                    barge_in.reset()
        self.seconds += len(room.heard) / ECHO_RATE
        return found


def row(what: str, value: str) -> None:
    print(f"| {what} | {value} |", flush=True)


def measure_alone(listener: Listener, speech: Array, rooms: int) -> None:
    count, learnt = 0, []
    for seed in range(rooms):
        played = np.resize(np.roll(speech, -seed * 150_000), round(ALONE * PLAYED_RATE))
        found = listener.hear(simulated(seed, played), seed)
        count += len(found.interruptions)
        learnt.append(found.learnt_at)
        if found.interruptions:
            print(f"  room {seed}: {found.interruptions}", file=sys.stderr)
    minutes = rooms * ALONE / 60
    row(
        f"false interruptions a minute of own speech ({count} in {minutes:.0f} min)",
        f"{count / minutes:.2f}",
    )
    row(
        f"seconds of speech until the echo is cancelled, median and worst of {rooms} rooms",
        f"{np.median(learnt):.1f}, {max(learnt):.1f}",
    )


def measure_persons(
    listener: Listener, speech: Array, voices: Sequence[Array], level: float
) -> None:
    delays, early = [], 0
    for k, voice in enumerate(voices):
        at = FIRST + (LAST - FIRST) * (k * 0.618 % 1)
        length = round((at + TALKS + 0.5) * PLAYED_RATE)
        played = np.resize(np.roll(speech, -k * 113_311), length)
        room = simulated(1000 + k, played, voice, at, level)
        after = [t - at for t in listener.hear(room, k).interruptions]
        early += any(delay < 0 for delay in after)
        delays.append(min((delay for delay in after if delay >= 0), default=math.inf) + TO_CLOSED)
    heard = [delay for delay in delays if delay <= LONGEST]
    n = len(delays)
    row(f"missed persons at {level:+.0f} dB, of {n}", f"{1 - len(heard) / n:.3f}")
    if heard:
        row(
            f"first sound to closed mouth at {level:+.0f} dB, median, 90 % (ms)",
            ", ".join(f"{np.quantile(heard, q) * 1e3:.0f}" for q in (0.5, 0.9)),
        )
    if early:
        row(f"interruptions before the person at {level:+.0f} dB", str(early))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--rooms", type=int, default=60)
    parser.add_argument("--persons", type=int, default=60)
    parser.add_argument("--level", type=float, nargs="+", default=[-6.0, 0.0, 6.0])
    parser.add_argument("--time", type=float, default=BargeInSettings().barge_in_time)
    args = parser.parse_args()
    settings = BargeInSettings(barge_in="stop", barge_in_time=args.time)
    listener = Listener(load("voice_activity", threads=1), settings)
    speech, voices = robot_speech(), persons(args.speech)
    if not voices:
        parser.error("no labelled speech of 2 s that begins after silence was found: see --speech")
    voices = voices[:: max(1, len(voices) // args.persons)][: args.persons]
    print("| | |\n|---|---|")
    for level in args.level:
        measure_persons(listener, speech, voices, level)
    measure_alone(listener, speech, args.rooms)
    for what, taken in (("echo", listener.cancelling), ("network", listener.detecting)):
        row(f"CPU a second of sound, {what} (ms)", f"{taken / listener.seconds * 1e3:.0f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
