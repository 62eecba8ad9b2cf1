"""Measures voice activity on speech that is labelled every 10 ms (TEN-VAD's test set)."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.accuracy.context import Context, Findings, Measure, Row, counted
from bench.accuracy.data_sets import SPEECH
from face_perception.inference import load
from face_perception.speech import VoiceActivity
from face_perception.speech.voice_activity import RATE, STEP
from face_perception.statistics import Array, Estimate, auc, bootstrap

NAME = "TEN-VAD test set"
_FRAME = RATE // 100  # samples of 10 ms


def run(context: Context) -> Findings:
    files = context.files(
        SPEECH,
        "*.wav",
        lambda file: file.with_suffix(".scv").exists(),
        "with its labels (.scv) in the same folder",
    )
    context.use(SPEECH, [*files, *(f.with_suffix(".scv") for f in files)])
    listener = VoiceActivity(load("voice_activity", threads=1))
    heard = [_hear(listener, file) for file in counted(files, NAME)]
    parts = [np.full(len(h[0]), k) for k, h in enumerate(heard)]
    said, state, truth = (np.concatenate([h[k] for h in heard]) for k in range(3))
    group = np.concatenate(parts).tolist()
    share = f"{truth.mean():.0%} of the time is speech"

    def row(figure: str, estimate: Estimate, unit: str = "", condition: str = "") -> Row:
        return Row("voice activity", figure, estimate, unit, NAME, condition, "file")

    def figure(what: Callable[[Array], float]) -> Estimate:
        return bootstrap(what, len(truth), group, draws=300)

    rows = [
        row("probability, AUC", figure(lambda i: auc(said[i], truth[i])), "", share),
        row("state, F1", figure(lambda i: _f1(state[i], truth[i]))),
        row("state, speech that is detected", figure(lambda i: _mean(state[i][truth[i]])), "share"),
        row("state, silence taken for speech", figure(lambda i: _mean(state[i][~truth[i]])),
            "share"),
        row("probability > 0.5, F1", figure(lambda i: _f1(said[i] > 0.5, truth[i]))),
        row("probability > 0.5, silence taken for speech",
            figure(lambda i: _mean(said[i][~truth[i]] > 0.5)), "share"),
    ]  # fmt: skip
    return Findings(rows)


def _hear(listener: VoiceActivity, file: Path) -> tuple[Array, Array, Array]:
    """Returns probability, state and truth of each 10 ms."""
    with wave.open(str(file)) as recording:
        if recording.getframerate() != RATE:
            raise ValueError(f"{file} has {recording.getframerate()} Hz, not {RATE}")
        samples = np.frombuffer(recording.readframes(recording.getnframes()), np.int16)
        samples = samples[:: recording.getnchannels()].astype(np.float32) / 32768
    listener.reset()
    told = listener.detect(samples)
    count = int(len(told) * STEP / _FRAME)
    step = np.minimum(np.arange(count) * _FRAME // STEP, len(told) - 1)
    probability = np.array([one.probability for one in told])[step]
    speaking = np.array([one.speaking for one in told])[step]
    return probability, speaking, read_labels(file.with_suffix(".scv"), count)


def read_labels(file: Path, count: int) -> Array:
    """Returns whether each of ``count`` pieces of 10 ms is speech: bool [count]."""
    truth = np.zeros(count, bool)
    fields = file.read_text().strip().split(",")[1:]
    for begin, end, speech in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        if int(speech):
            truth[round(float(begin) * 100) : round(float(end) * 100)] = True
    return truth


def _f1(said: Array, truth: Array) -> float:
    total = int(said.sum()) + int(truth.sum())
    return 2 * int((said & truth).sum()) / total if total else float("nan")


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else float("nan")


MEASURE = Measure("voice", (SPEECH,), run)
