"""Measures interruptions by a person in simulated rooms: false ones, missed ones and their delay.

    python3 bench/barge_in.py [--set tuning|aside] [--speech FOLDER] [--rooms N] [--persons N]
                              [--level DB ...]

The robot says texts with the voices of `bench/talking_over.py`. Its microphone hears them through a
room of `bench/simulated_rooms.py`: reverberation time 0.15 to 0.6 s, a small loudspeaker (band
limits, distortion), a delay of 0 to 300 ms, a clock that differs by up to 100 ppm, stamps that are
off by about 1 ms, and noise 15 to 40 dB below the echo, which has -40 to -20 dB of full scale. The
echo canceller, the voice activity network and ``BargeIn`` hear it in chunks of 20 ms. Nothing runs
in real time: delays are those of the sound.

- ``--set``: tuning has the rooms, texts and persons that the settings were chosen with; aside has
  others, to be measured with only.
- ``--speech``: 16 kHz recordings (.wav) of the persons who interrupt, with their speech labelled in
  .scv files, such as `ten-vad/testset`. Without it, the recordings of this repository.
- ``--rooms``: number of rooms without a person, 50 s each. ``--persons``: largest number of
  persons who interrupt. They are the recorded ones and voices of espeak-ng, at equal distances.

A person is as loud as the echo, or ``--level`` dB louder, and talks on for 2 s. An interruption
counts as missed if it takes more than 1.5 s. The delay is from the first sound of the person,
at most 20 dB below the voice, to the closed mouth. A microphone that is ignored because the room is
not learnt yet does not count as time without false interruptions.
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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.simulated_rooms import PLAYED_RATE, Room, heard_in, make_room
from bench.talking_over import SETS, TALKS, persons, robot_speech
from face_perception.inference import load
from face_perception.inference.model import Model
from face_perception.speech import (
    ECHO_RATE,
    VOICE_STEP,
    AudioChunk,
    BargeIn,
    BargeInSettings,
    EchoCanceller,
    VoiceActivity,
)

CHUNK = 0.02  # seconds in a message of the microphone
# Seconds in a message of avatar/audio, which is sent so long before it is heard.
PLAYED_CHUNK = 0.01
ALONE = 50.0  # seconds of own speech in a room without a person
FIRST, LAST = 6.0, 11.0  # seconds after which a person begins: the room is learnt
LONGEST = 1.5  # seconds; a later interruption counts as missed
# Seconds from the decision to the closed mouth: it closes in 50 ms, seen with the next frame.
TO_CLOSED = 0.05 + 1 / 30
SEEDS = {"tuning": 0, "aside": 100_000}  # of the first room of a set

Array = np.ndarray[Any, Any]


@dataclass
class Found:
    """What was found in one room: times of interruptions, and of each step that was listened to."""

    interruptions: list[float]
    listened: list[float]

    def before(self, end: float) -> tuple[int, float]:
        """Returns the interruptions before a time, and the minutes that were listened to."""
        minutes = sum(time < end for time in self.listened) * VOICE_STEP / 60
        return sum(time < end for time in self.interruptions), minutes


class Listener:
    """Hears a room as the nodes voice_activity and talking_face do, and counts its CPU time."""

    def __init__(self, model: Model, settings: BargeInSettings) -> None:
        self._model, self._settings = model, settings
        self.cancelling = self.detecting = self.seconds = 0.0

    def hear(self, room: Room, played: Array, heard: Array, seed: int) -> Found:
        random = np.random.default_rng(seed)
        canceller, activity = EchoCanceller(), VoiceActivity(self._model)
        barge_in = BargeIn(self._settings)
        found, sent = Found([], []), 0.0
        size = round(CHUNK * ECHO_RATE)
        for first in range(0, len(heard) - size + 1, size):
            stamp = first / (ECHO_RATE * room.clock)
            arrives = stamp + CHUNK
            begin = time.process_time()
            while sent - PLAYED_CHUNK <= arrives:
                index = round(sent * PLAYED_RATE)
                piece = played[index : index + round(PLAYED_CHUNK * PLAYED_RATE)]
                canceller.play(AudioChunk(sent + random.normal(0, 2e-4), PLAYED_RATE, piece))
                sent += PLAYED_CHUNK
            clean = canceller.push(heard[first : first + size], stamp + random.normal(0, 1e-3))
            middle = time.process_time()
            states = activity.detect(clean, canceller.heard)
            self.cancelling += middle - begin
            self.detecting += time.process_time() - middle
            for state in states:
                if canceller.learnt:
                    found.listened.append(arrives)
                probability = state.probability if canceller.learnt else math.nan
                if barge_in.hear(state.end, probability, robot_speaks=True):
                    # The robot would be silent now, and hears itself no more for a while.
                    if not found.interruptions or arrives > found.interruptions[-1] + 1:
                        found.interruptions.append(arrives)
                    barge_in.reset()
        self.seconds += len(heard) / ECHO_RATE
        return found


def row(what: str, value: str) -> None:
    print(f"| {what} | {value} |", flush=True)


def measure_alone(listener: Listener, part: str, speech: Array, rooms: int) -> None:
    count, minutes, learnt = 0, 0.0, []
    for k in range(rooms):
        seed = SEEDS[part] + k
        room = make_room(seed)
        played = np.resize(np.roll(speech, -k * 611_111), round(ALONE * PLAYED_RATE))
        found = listener.hear(room, played, heard_in(room, seed, played, None, 0, 0), seed)
        false, listened = found.before(math.inf)
        count, minutes = count + false, minutes + listened
        learnt.append(found.listened[0] if found.listened else math.inf)
        if false:
            print(f"  room {seed}: {found.interruptions}", file=sys.stderr)
    row(
        f"false interruptions a minute of own speech ({count} in {minutes:.0f} min)",
        f"{count / max(minutes, 1e-9):.2f}",
    )
    row(
        f"seconds of speech until the echo is cancelled, median and worst of {rooms} rooms",
        f"{np.median(learnt):.1f}, {max(learnt):.1f}",
    )


def measure_persons(
    listener: Listener, part: str, speech: Array, voices: Sequence[Array], level: float
) -> None:
    delays, early, minutes = [], 0, 0.0
    for k, voice in enumerate(voices):
        seed = SEEDS[part] + 1000 + k
        at = FIRST + (LAST - FIRST) * (k * 0.618 % 1)
        length = round((at + TALKS + 0.5) * PLAYED_RATE)
        room, played = make_room(seed), np.resize(np.roll(speech, -k * 311_113), length)
        heard = heard_in(room, seed, played, voice, at, level)
        found = listener.hear(room, played, heard, seed)
        false, listened = found.before(at)
        early, minutes = early + false, minutes + listened
        after = (time - at for time in found.interruptions if time >= at)
        delays.append(min(after, default=math.inf) + TO_CLOSED)
    heard_of = [delay for delay in delays if delay <= LONGEST]
    n = len(delays)
    row(f"missed persons at {level:+.0f} dB, of {n}", f"{1 - len(heard_of) / n:.3f}")
    if heard_of:
        row(
            f"first sound to closed mouth at {level:+.0f} dB, median, 90 % (ms)",
            ", ".join(f"{np.quantile(heard_of, q) * 1e3:.0f}" for q in (0.5, 0.9)),
        )
    row(f"interruptions before the person at {level:+.0f} dB ({minutes:.0f} min)", str(early))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", choices=SETS, default="aside", dest="part")
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--rooms", type=int, default=40)
    parser.add_argument("--persons", type=int, default=60)
    parser.add_argument("--level", type=float, nargs="+", default=[0.0])
    parser.add_argument("--time", type=float, default=BargeInSettings().barge_in_time)
    args = parser.parse_args()
    settings = BargeInSettings(barge_in="stop", barge_in_time=args.time)
    listener = Listener(load("voice_activity", threads=1), settings)
    speech, voices = robot_speech(args.part), persons(args.part, args.speech)
    if not voices:
        parser.error("no labelled speech of 2 s that begins after silence was found: see --speech")
    step = max(1, len(voices) // max(args.persons, 1))
    voices = voices[::step][: args.persons]
    print("| | |\n|---|---|")
    for level in args.level if voices else ():
        measure_persons(listener, args.part, speech, voices, level)
    if args.rooms:
        measure_alone(listener, args.part, speech, args.rooms)
    for what, taken in (("echo", listener.cancelling), ("network", listener.detecting)):
        row(f"CPU a second of sound, {what} (ms)", f"{taken / listener.seconds * 1e3:.0f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
