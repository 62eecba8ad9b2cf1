"""Measures who is said to speak, on two rendered faces of which one speaks.

    python3 bench/speaking.py [--speech FOLDER] [--grid FOLDER]
                              [--cache FOLDER] [--image-noise SIGMA] [--model NAME] [--clean]

The talking face of this package moves the lips of two portraits by recordings of real speech, side
by side in one picture. They take turns. Meanwhile the silent one is still, chews, smiles, or moves
the lips as if speaking. The tracker of the package follows both, and the sound goes through the
voice activity network. Nothing runs in real time.

- ``--speech``: 16 kHz recordings (.wav) with their speech labelled in .scv files, such as
  `ten-vad/testset`. Without it, the recordings of this repository, labelled by the network itself.
- ``--grid``: clips of real speakers (.mpg), such as `LipNet/evaluation/samples/GRID`: their lips
  with their own sound, with silence, and with the sound of the next speaker.
- ``--model``: an imported network, such as `lr_asd`, instead of the rules on lips. It runs every
  0.2 s; its CPU time is measured on one thread.
- ``--clean``: neither noise nor clocks that differ.
- ``--cache``: keeps the tracked faces, so that a second run only needs seconds.

Scores count pieces of 200 ms of each person. Pauses of less than 0.5 s within speech count as
speech. "turns" are the turns of speech that `face-perception table` makes of the same frames: found
if they overlap a true one by more than half of their union.
"""

from __future__ import annotations

import argparse
import math
import pickle
import sys
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.events import Interval, intervals_f1
from face_perception.attention import (
    SPEAKER_NETWORKS,
    SpeakerChoice,
    SpeakerEstimates,
    SpeakerNetwork,
    WhoSpeaks,
)
from face_perception.avatar import FaceState, IdleMotionAnimator, load_portrait
from face_perception.faces import crop_face, load_tracker
from face_perception.inference import load
from face_perception.results import Clip, EventKind, Sample, find_events
from face_perception.speech import (
    VOICE_STEP,
    AudioChunk,
    MouthShape,
    NeuralMouth,
    SoundLevel,
    VoiceActivity,
)
from face_perception.types import Camera, Face, FaceCrop, Frame

ROOT = Path(__file__).resolve().parent.parent
RATE = 16_000
FPS = 25
SIDE = 240  # pixels of each portrait; the outer canthi are about 55 pixels apart
PIECE = 0.2  # seconds
PAUSE = 0.5  # seconds; shorter silence belongs to the speech around it
SETTLED = 0.6  # seconds after the beginning or end of speech
GAP = 0.6  # seconds between two turns
TURNS = 6  # of a scene
BEHAVIOURS = ("still", "chewing", "smiling", "talking silently")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Recording:
    """One recording: samples [S] at 16 kHz and whether each 10 ms is speech, bool [S / 160]."""

    samples: Array
    speech: Array


@dataclass(frozen=True)
class Scene:
    """Two people: ``sound`` [S], whether each speaks, bool [2, S / 160], and faces by time."""

    name: str
    sound: Array
    speech: Array
    stamps: Array
    faces: Sequence[Sequence[Face]]
    crops: Sequence[Sequence[FaceCrop]]


def read_clips(folder: Path | None) -> list[Recording]:
    if folder is None:
        files = [ROOT / "test/data/speech_recorded.wav", ROOT / "resources/speech/hello.wav",
                 ROOT / "test/data/speech_espeak.wav"]  # fmt: skip
    else:
        files = sorted(file for file in folder.glob("*.wav") if file.with_suffix(".scv").exists())
    made = []
    for file in files:
        with wave.open(str(file)) as recording:
            if recording.getframerate() != RATE:
                raise SystemExit(f"{file} has {recording.getframerate()} Hz, not {RATE}")
            samples = np.frombuffer(recording.readframes(recording.getnframes()), np.int16)
            samples = samples[:: recording.getnchannels()].astype(np.float32) / 32768
        count = len(samples) // 160
        label = file.with_suffix(".scv")
        speech = _labels(label, count) if label.exists() else _heard(samples, count)
        made.append(Recording(samples[: count * 160], _bridged(speech)))
    return made


def _labels(file: Path, count: int) -> Array:
    from bench.accuracy.voice import read_labels

    return read_labels(file, count)


def _heard(samples: Array, count: int) -> Array:
    states = VoiceActivity(load("voice_activity", threads=1)).detect(samples)
    probability = np.array([state.probability for state in states])
    ends = np.array([state.end for state in states])
    return np.interp((np.arange(count) + 0.5) / 100, ends - VOICE_STEP / 2, probability) > 0.5


def _bridged(speech: Array) -> Array:
    """Fills silence of less than ``PAUSE`` between speech."""
    made, since = speech.copy(), None
    for k, said in enumerate(speech):
        if said:
            if since is not None and k - since < PAUSE * 100:
                made[since:k] = True
            since = k + 1
    return made


def chewing(time: float) -> MouthShape:
    """Chews 1.3 times a second, ten seconds with closed lips, ten seconds with open ones."""
    phase = 2 * math.pi * 1.3 * time + 0.6 * math.sin(1.1 * time)
    jaw = 0.35 * (0.5 - 0.5 * math.cos(phase)) * (0.8 + 0.2 * math.sin(0.7 * time))
    closed = time % 20 < 10
    return MouthShape(jaw=jaw, press=0.9 if closed else 0.0, round=0.15 + 0.15 * math.sin(phase))


def smile(time: float) -> float:
    """Smiles for two of every four seconds."""
    return min(1.0, max(0.0, 1.5 * math.sin(2 * math.pi * time / 4)))


def render_scene(
    name: str, clips: Sequence[Recording], silent: Recording, portraits: Sequence[str], noise: float
) -> Scene:
    """Renders two people who say ``clips`` in turn, and tracks their faces."""
    gap = np.zeros(round(GAP * RATE), np.float32)
    sound, said = [gap], [[np.zeros(len(gap) // 160, bool)] for _ in range(2)]
    for k, clip in enumerate(clips):
        sound += [clip.samples, gap]
        for person in range(2):
            part = clip.speech if person == k % 2 else np.zeros(len(clip.speech), bool)
            said[person] += [part, np.zeros(len(gap) // 160, bool)]
    heard, speech = np.concatenate(sound), np.array([np.concatenate(one) for one in said])
    # Whose turn it is: the lips of the other one must not follow the sound.
    turn, at = np.zeros(len(heard), int), len(gap)
    for k, clip in enumerate(clips):
        turn[at : at + len(clip.samples)] = k % 2
        at += len(clip.samples) + len(gap)
    mouths = []
    for person in range(2):
        own = np.where(turn == person, heard, 0).astype(np.float32)
        mouths.append(_mouth(own))
    unheard = _mouth(np.resize(silent.samples, len(heard)).astype(np.float32))
    renderers = [load_portrait(one, size=(SIDE, SIDE)) for one in portraits]
    animators = [IdleMotionAnimator(seed) for seed in (1, 2)]
    tracker, random = load_tracker(), np.random.default_rng(0)
    camera = Camera.assume(2 * SIDE, SIDE)
    stamps, found, crops = [], [], []
    for k in range(int(len(heard) / RATE * FPS)):
        at_time = k / FPS
        now = turn[min(round(at_time * RATE), len(turn) - 1)]
        pictures = []
        for person in range(2):
            shape, smiles = mouths[person](at_time), 0.0
            speaks = person == now
            if not speaks and name == "chewing":
                shape = chewing(at_time)
            elif not speaks and name == "smiling":
                smiles = smile(at_time)
                shape = MouthShape(jaw=0.1 * smiles)
            elif not speaks and name == "talking silently":
                shape = unheard(at_time)
            state: FaceState = animators[person].state_at(at_time, shape, speaks)
            pictures.append(renderers[person].render(replace(state, smile=state.smile + smiles)))
        image = np.concatenate(pictures, axis=1)
        if noise:
            noisy = image + random.normal(0, noise, image.shape)
            image = np.clip(noisy, 0, 255).astype(np.uint8)
        image = np.ascontiguousarray(image)
        faces = tracker.track(Frame(image, at_time, camera))
        stamps.append(at_time)
        found.append(
            [
                replace(face, face_id=str(int(face.roi.x + face.roi.width / 2 > SIDE)))
                for face in faces
            ]
        )
        crops.append([crop_face(image, face) for face in found[-1]])
    return Scene(name, heard, speech, np.array(stamps), found, crops)


def _mouth(samples: Array) -> Callable[[float], MouthShape]:
    """Returns the shape of the lips at a time of ``samples``, for times in order."""
    mouth = NeuralMouth()
    done = 0

    def at(time: float) -> MouthShape:
        nonlocal done
        until = min(round((time + mouth.look_ahead) * RATE) + 160, len(samples))
        if until > done:
            mouth.push_samples(samples[done:until])
            done = until
        return mouth.shape_at(time)

    return at


def scenes(clips: Sequence[Recording], noise: float, cache: Path | None) -> Iterator[Scene]:
    for k, name in enumerate(BEHAVIOURS):
        file = cache / f"{name.replace(' ', '_')}_{len(clips)}_{noise:g}.pickle" if cache else None
        if file is not None and file.exists():
            yield pickle.loads(file.read_bytes())
            continue
        chosen = [clips[(k * TURNS + i) % len(clips)] for i in range(TURNS)]
        # Played backwards: with few recordings both would say the same sentence.
        silent = clips[(k * TURNS + TURNS) % len(clips)]
        silent = replace(silent, samples=silent.samples[::-1].copy())
        scene = render_scene(name, chosen, silent, ("astronaut", "grace_hopper"), noise)
        if file is not None:
            file.write_bytes(pickle.dumps(scene))
        yield scene


@dataclass(frozen=True)
class Heard:
    """What the attention node would hear: voice (time, probability) and level (time, dB)."""

    voice: Sequence[tuple[float, float]]
    level: Sequence[tuple[float, float]]


def hear(sound: Array, offset: float = 0.0) -> Heard:
    """Listens to a sound [S]; its stamps are ``offset`` seconds later than those of the images."""
    states = VoiceActivity(load("voice_activity", threads=1)).detect(sound)
    levels = SoundLevel().measure(AudioChunk(0.0, RATE, sound))
    return Heard(
        [(state.end - VOICE_STEP / 2 + offset, state.probability) for state in states],
        [(middle + offset, level) for middle, level in levels],
    )


@dataclass
class Watched:
    """A network that watches, its runs and their CPU time, and what it needs."""

    network: SpeakerNetwork
    crops: Sequence[Sequence[FaceCrop]] = ()
    sound: Array = field(default_factory=lambda: np.zeros(0, np.float32))
    seconds: float = 0.0
    clips: int = 0
    runs: int = 0


def follow(
    stamps: Array,
    faces: Sequence[Sequence[Face]],
    heard: Heard,
    offset: float = 0.0,
    watched: Watched | None = None,
) -> tuple[Array, list[str], WhoSpeaks]:
    """Returns the probability of each of two faces [2, N], the speaker [N], and the estimator.

    An image is taken when the sound of the 60 ms before it has not come yet. A network's result
    counts from the next image on.
    """
    estimates, sent, ran = SpeakerEstimates(), 0, -math.inf
    if watched is not None:
        watched.network.reset()
    who, choice = WhoSpeaks(), SpeakerChoice()
    probability, speaker = np.full((2, len(stamps)), np.nan), []
    voice, level = list(reversed(heard.voice)), list(reversed(heard.level))
    for k, (stamp, seen) in enumerate(zip(stamps, faces, strict=True)):
        until = stamp + offset - 0.06
        while voice and voice[-1][0] <= until:
            who.hear_voice(*voice.pop())
        while level and level[-1][0] <= until:
            who.hear_level(*level.pop())
        found = None if watched is None else estimates.at(float(stamp))
        speaking = who.update(float(stamp), seen, found)
        if watched is not None:
            network, delay = watched.network, who.delay
            upto = round((until - offset) * RATE)
            if upto > sent:
                piece = watched.sound[sent:upto]
                network.hear(AudioChunk(sent / RATE + offset, RATE, piece))
                sent = upto
            network.see(float(stamp), watched.crops[k])
            begun = time.process_time()
            clips = None
            if stamp - ran >= PIECE - 1e-3:
                clips = network.clips(0.0 if math.isnan(delay) else delay)
            if clips is not None:
                ran = stamp
                estimates.set(clips.stamp, network.estimate(clips))
                watched.runs += 1
                watched.clips += len(clips.face_ids)
            watched.seconds += time.process_time() - begun
        speaker.append(choice.update(float(stamp), speaking))
        for face_id, value in speaking.items():
            probability[int(face_id), k] = value
    return probability, speaker, who


def pieces(values: Array, stamps: Array) -> Array:
    """Returns the value at the middle of each piece of 200 ms."""
    middles = np.arange(PIECE / 2, stamps[-1], PIECE)
    return values[..., np.minimum(np.searchsorted(stamps, middles), len(stamps) - 1)]


def turns(probability: Array, stamps: Array) -> list[Interval]:
    """Returns the turns of speech in the tables of a person, from the probability in each frame."""
    empty: dict[str, Any] = {"str": "", "bool": False, "float": math.nan, "int": 0}
    blank = Sample(**{f.name: empty.get(str(f.type), ()) for f in fields(Sample)})
    ends = [*stamps[1:].tolist(), float(stamps[-1]) + 1 / FPS]
    samples = [
        replace(blank, frame=k, start=start, end=end, face_id="0", speaking=float(value))
        for k, (start, end, value) in enumerate(
            zip(stamps.tolist(), ends, probability, strict=True)
        )
    ]
    clip = Clip("", stamps.tolist(), ends, {"0": samples}, {"0": "0"}, camera_assumed=False)
    return [(e.onset, e.offset) for e in find_events(clip) if e.kind == EventKind.SPEECH]


@dataclass
class Score:
    """Counts over pieces, and the delays of the speaker, seconds."""

    right: int = 0
    false: int = 0
    missed: int = 0
    delays: list[float] = field(default_factory=list)
    never: int = 0
    turns: list[tuple[list[Interval], list[Interval]]] = field(default_factory=list)
    settled_f1: float = math.nan

    def add(self, said: Array, truth: Array) -> None:
        self.right += int((said & truth).sum())
        self.false += int((said & ~truth).sum())
        self.missed += int((truth & ~said).sum())
        # Pieces in which nobody began or ended within the last SETTLED seconds.
        changed = np.any(truth[:, 1:] != truth[:, :-1], axis=0)
        recent = np.convolve(changed, np.ones(round(SETTLED / PIECE)))[: len(changed)] > 0
        kept = np.concatenate([[True], ~recent])
        wrong, right = (said != truth)[:, kept].sum(), (said & truth)[:, kept].sum()
        self.settled_f1 = 2 * right / max(2 * right + wrong, 1)

    @property
    def f1(self) -> float:
        return 2 * self.right / max(2 * self.right + self.false + self.missed, 1)

    def __str__(self) -> str:
        delays = np.array(self.delays or [math.nan])
        return (
            f"F1 {self.f1:.3f}, from {SETTLED} s after a change on {self.settled_f1:.3f} "
            f"(n = {self.right + self.missed} pieces of speech, {self.false} false, "
            f"{self.missed} missed); change of speaker after {np.median(delays):.2f} s, "
            f"90 % {np.quantile(delays, 0.9):.2f} s (n = {len(self.delays)}, {self.never} never); "
            f"turns: F1 {intervals_f1(self.turns):.3f} (n = {sum(len(t) for t, _ in self.turns)})"
        )


def score_scene(
    scene: Scene, heard: Heard, offset: float = 0.0, watched: Watched | None = None
) -> tuple[Score, float]:
    """Returns the score of a scene, and the delay of the sound that was estimated."""
    probability, speaker, who = follow(scene.stamps, scene.faces, heard, offset, watched)
    score = Score()
    middle = np.arange(PIECE / 2, scene.stamps[-1], PIECE)
    truth = scene.speech[:, np.minimum((middle * 100).astype(int), scene.speech.shape[1] - 1)]
    score.add(pieces(probability, scene.stamps) >= 0.5, truth)
    for person in range(2):
        edges = np.diff(np.concatenate([[0], scene.speech[person].astype(int), [0]]))
        begins, ends = np.flatnonzero(edges > 0) / 100, np.flatnonzero(edges < 0) / 100
        known = list(zip(begins.tolist(), ends.tolist(), strict=True))
        score.turns.append((known, turns(probability[person], scene.stamps)))
        for begin, end in zip(begins, ends, strict=True):
            if end - begin < 1:
                continue
            named = [
                stamp - begin
                for stamp, name in zip(scene.stamps, speaker, strict=True)
                if begin <= stamp < end and name == str(person)
            ]
            score.never += not named
            score.delays += named[:1]
    return score, who.delay


def with_noise(sound: Array, decibels: float) -> Array:
    """Returns a sound with white noise ``decibels`` below its speech."""
    loud = sound[np.abs(sound) > 0.01]
    level = math.sqrt(float((loud**2).mean())) * 10 ** (-decibels / 20)
    noise = np.random.default_rng(3).normal(0, level, len(sound))
    return np.clip(sound + noise, -1, 1).astype(np.float32)


def score_grid(folder: Path, cache: Path | None) -> None:
    """Scores real lips with their own sound, with that of the next speaker, and with silence."""
    from bench.accuracy.lips import read_sound
    from face_perception.media import FrameReader

    file = cache / "grid.pickle" if cache else None
    if file is not None and file.exists():
        clips = pickle.loads(file.read_bytes())
    else:
        clips = {}
        for path in sorted(folder.glob("*.mpg")):
            tracker = load_tracker()
            with FrameReader(path) as frames:
                rows = [(frame.stamp, tracker.track(frame)) for frame in frames]
            clips[path.stem] = read_sound(path), rows
        if file is not None:
            file.write_bytes(pickle.dumps(clips))
    names = list(clips)
    for what in ("own sound", "the sound of another speaker", "silence"):
        values = []
        voiced = 0
        for k, name in enumerate(names):
            sound, rows = clips[name]
            if what == "the sound of another speaker":
                sound = clips[names[(k + 1) % len(names)]][0]
            elif what == "silence":
                sound = np.zeros_like(sound)
            stamps = np.array([stamp for stamp, _ in rows])
            faces = [[replace(face, face_id="0") for face in seen[:1]] for _, seen in rows]
            heard = hear(sound)
            probability, _, _ = follow(stamps, faces, heard)
            times, voice = np.array(heard.voice).T
            said = np.interp(stamps, times, voice) > 0.5
            voiced += int(said.sum())
            values.append(probability[0][said if what != "silence" else stamps > 0.5])
        found = np.concatenate(values)
        images = "images with voice" if voiced else "images"
        print(f"GRID, {what}: speaking >= 0.5 in {(found >= 0.5).mean():.0%} of {len(found)} "
              f"{images} ({len(names)} clips)")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--grid", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--model", default="")
    parser.add_argument("--clean", action="store_true")
    parser.add_argument("--image-noise", type=float, default=0.0, help="standard deviation, 0-255")
    arguments = parser.parse_args()
    if arguments.cache:
        arguments.cache.mkdir(parents=True, exist_ok=True)
    clips = read_clips(arguments.speech)
    network = None
    if arguments.model:
        network = SpeakerNetwork(load(arguments.model, SPEAKER_NETWORKS, threads=1))
    print(f"{len(clips)} recordings, {sum(len(clip.samples) for clip in clips) / RATE:.0f} s")
    for scene in scenes(clips, arguments.image_noise, arguments.cache):
        for condition, decibels, offset in (
            ("clean", math.inf, 0.0),
            ("noise 10 dB below the speech", 10.0, 0.0),
            ("noise 5 dB below", 5.0, 0.0),
            ("stamps of the sound 0.2 s late", math.inf, 0.2),
            ("stamps of the sound 0.2 s early", math.inf, -0.2),
        )[: 1 if arguments.clean else None]:
            sound = scene.sound if math.isinf(decibels) else with_noise(scene.sound, decibels)
            watched = None
            if network is not None:
                watched = Watched(network, scene.crops, sound)
            score, delay = score_scene(scene, hear(sound, offset), offset, watched)
            if watched is not None and watched.runs:
                each = 1e3 * watched.seconds / watched.clips
                print(f"{watched.runs} runs, {each:.0f} ms of CPU a face: "
                      f"{each / PIECE:.0f} ms of CPU a face and second")  # fmt: skip
            print(f"the other {scene.name}, {condition}: {score}; delay {delay:.3f} s", flush=True)
    if arguments.grid:
        score_grid(arguments.grid, arguments.cache)


if __name__ == "__main__":
    main()
