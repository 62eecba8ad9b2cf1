"""Speech for bench/barge_in.py: what a robot says, and persons who begin to talk.

It is split into two sets, "tuning" and "aside", with different texts, voices and recordings. The
settings of the package were chosen with the first one.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from bench.simulated_rooms import PLAYED_RATE, RATE, speech_level
from bench.speaking import read_clips
from face_perception.speech import open_voice, read_wav, speak_text

SETS = ("tuning", "aside")
TALKS = 2.0  # seconds of a person

TEXTS = {
    "tuning": (
        "Good morning, may I help you find the museum shop? It is on the second floor.",
        "Please put the empty cups back on the table. The next bus leaves in ten minutes.",
        "My battery is almost empty, but I can still walk with you. Bring a map and some water.",
        "The exhibition about the history of flight is open until six. Buy a ticket at the desk.",
        "I am sorry, I did not understand that. Could you say it again, a little more slowly?",
        "Today we have soup with bread, a salad with beans, and fresh fish from the harbour.",
        "If you follow the blue line on the floor, you will reach the lifts after two minutes.",
        "My name is Robin, and I have worked here since last summer. I like to meet people.",
    ),
    "aside": (
        "The library closes at nine tonight. You can return your books in the box at the door.",
        "Let us start with the first exercise. Lift both arms, breathe in, and hold for a while.",
        "There are three letters for you. One of them looks like it came from your bank.",
        "I can tell you about the weather, play a song, or call somebody from your family.",
        "Your appointment with the doctor is on Thursday. Would you like me to remind you?",
        "Careful, the floor is wet over there. Somebody is going to clean it in a moment.",
        "We grow tomatoes, herbs and flowers on the roof. In spring the bees come to visit us.",
        "That was a very good question. Nobody knows the answer yet, but people are working on it.",
    ),
}
ROBOTS = {
    "tuning": ("hibari:heart", "espeak:en-us"),
    "aside": ("hibari:heart", "espeak:en-gb-x-rp"),
}
# Voices of espeak-ng: a voice and variant, its pitch and its speed.
_ESPEAK = {
    "tuning": (("en-us+f2", 60, 165), ("en-gb+m3", 40, 175), ("en-gb-scotland+f4", 55, 185),
               ("en-us+m7", 35, 155), ("en-us+f5", 70, 190)),
    "aside": (("en-gb+f1", 65, 170), ("en-us+m1", 45, 180), ("en-gb-x-gbcwmd+m4", 30, 160),
              ("en-029+f3", 55, 175), ("en-gb-scotland+m2", 50, 190), ("en-us+f4", 75, 160)),
}  # fmt: skip
_SENTENCES = {
    "tuning": (
        "Wait, I have a question about that, can you please stop.",
        "No, that is not what I wanted to know, listen to me.",
        "Excuse me, where are the toilets, I am in a hurry.",
        "Okay, thank you, that is enough for today, good bye.",
    ),
    "aside": (
        "Stop, stop, we have heard this story before, haven't we.",
        "Hold on a second, my phone is ringing, I must answer.",
        "Sorry to interrupt, but which room did you say it was.",
        "Yes, yes, I know all of that, just tell me the price.",
        "Hey robot, turn around and look at what I found here.",
    ),
}

Array = np.ndarray[Any, Any]


def robot_speech(part: str) -> Array:
    """Returns about 80 s of the speech of a robot, with pauses between its sentences."""
    random, pieces = np.random.default_rng(SETS.index(part)), []
    for name in ROBOTS[part]:
        voice = open_voice(name)
        for text in TEXTS[part]:
            for spoken, _ in speak_text(voice, text):
                pieces.append(soxr.resample(spoken.samples, spoken.rate, PLAYED_RATE))
                pieces.append(np.zeros(round(random.uniform(0.1, 0.6) * PLAYED_RATE), np.float32))
    return np.concatenate(pieces)


def persons(part: str, folder: Path | None) -> list[Array]:
    """Returns speech [2 s] at 16 kHz that begins with its first audible sound.

    It is spoken by persons, in the recordings of a folder as of ``bench/speaking.py``, and by
    voices of espeak-ng.
    """
    return [*_recorded(part, folder), *_generated(part)]


def _recorded(part: str, folder: Path | None) -> Iterator[Array]:
    for clip in read_clips(folder)[SETS.index(part) :: len(SETS)]:
        said = clip.speech
        for k in range(len(said) - round(TALKS * 100)):
            if said[k] and said[k : k + 100].mean() > 0.8 and not said[max(0, k - 30) : k].any():
                yield _from_first_sound(clip.samples[k * 160 :].astype(np.float64))


def _generated(part: str) -> Iterator[Array]:
    program = shutil.which("espeak-ng")
    if program is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "said.wav"
        for voice, pitch, speed in _ESPEAK[part]:
            for text in _SENTENCES[part]:
                given = ["-v", voice, "-p", str(pitch), "-s", str(speed), "-w", str(file), text]
                subprocess.run([program, *given], check=True)
                made = read_wav(file)
                samples = made.samples[:, 0].astype(np.float64) / 32768
                samples = soxr.resample(samples, made.rate, RATE)
                yield _from_first_sound(samples)


def _from_first_sound(samples: Array) -> Array:
    """Returns 2 s from the first 10 ms on that are less than 20 dB below the level of the voice."""
    said = samples[: round(TALKS * RATE)]
    pieces = said[: len(said) // 160 * 160].reshape(-1, 160)
    loud = np.sqrt((pieces**2).mean(axis=1)) > 0.1 * speech_level(said)
    said = samples[160 * int(np.argmax(loud)) :][: round(TALKS * RATE)]
    return np.pad(said, (0, round(TALKS * RATE) - len(said)))
