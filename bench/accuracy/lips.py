"""Compares the lips of the talking face with those of people who say the same words (GRID)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.accuracy.context import Context, Findings, Measure, Row
from bench.accuracy.data_sets import GRID, Missing
from bench.accuracy.speakers import NAME, speakers
from face_perception.speech import MOUTH_RATE, NeuralMouth
from face_perception.statistics import Array, correlation, mean

_OPEN, _CLOSED = 0.06, 0.012  # opening of a person's lips, in distances of the outer canthi


def run(context: Context) -> Findings:
    from face_perception.learning.mouth.evaluation import lip_openings

    try:
        import av  # noqa: F401
    except ImportError:
        raise Missing("not measured: install PyAV (tools/avatar.txt) to read the sound") from None
    correlations, names = [], []
    for one in speakers(context):
        sound = read_sound(one.file)
        seen = np.isfinite(one.opening)
        if seen.sum() < 10 or not len(sound):
            continue
        distance = lip_openings(NeuralMouth(), sound)
        times = np.arange(len(distance)) * (len(sound) / MOUTH_RATE / len(distance))
        made = np.interp(np.array(one.stamps), times, distance)
        correlations.append(correlation(made[seen], np.array(one.opening)[seen]))
        names.append(one.name)
    if not correlations:
        raise Missing("not measured: no clip has both a face and sound")
    row = Row("talking face", "lips: correlation with the speaker's", mean(correlations, names), "",
              NAME, "", "clip")  # fmt: skip
    return Findings([row])


def read_sound(file: Path) -> Array:
    """Returns float32 [S] at 16 kHz, mono; empty where the clip has no sound."""
    import av

    with av.open(str(file)) as container:
        if not container.streams.audio:
            return np.zeros(0, np.float32)
        convert = av.AudioResampler(format="flt", layout="mono", rate=MOUTH_RATE)
        parts = [
            out.to_ndarray().reshape(-1)
            for frame in container.decode(audio=0)
            for out in convert.resample(frame)
        ]
        parts += [out.to_ndarray().reshape(-1) for out in convert.resample(None)]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


MEASURE = Measure("lips", (GRID,), run)
