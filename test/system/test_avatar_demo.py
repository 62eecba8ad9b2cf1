"""The avatar demo, started as a user starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import wave
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from ports import free_port
from waits import scaled

from face_perception.speech import Phone, Recording

av = pytest.importorskip("av")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--portrait", "noface.png"], "no face in the portrait"),
        (["--portrait", "nowhere.png"], "portrait nowhere.png: No such file"),
        (["--duration", "-1"], "--duration must be 0 or more seconds"),
        (["--duration", "nan"], "--duration must be 0 or more seconds"),
        (["--port", "99999"], "--port must be from 1 to 65535"),
        (["--wav", "silence.wav"], "silence.wav cannot be read: it has no audio"),
        (["--wav", "nowhere.wav"], "nowhere.wav"),
        (["--output", "noface.png"], "noface.png: File exists: a folder is needed here"),
        (["--output", "noface.png/out"], "out: Not a directory: a folder is needed here"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_started(
    tmp_path: Path,
    arguments: list[str],
    said: str,
    call_here: Callable[..., subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cv2.imwrite(str(tmp_path / "noface.png"), np.full((300, 300, 3), 128, np.uint8))
    with wave.open(str(tmp_path / "silence.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
    monkeypatch.chdir(tmp_path)
    done = call_here("avatar-demo", "--output", tmp_path / "out", *arguments)
    assert done.returncode == 1
    assert not (tmp_path / "out").exists(), "a node was started"
    (line,) = done.stderr.splitlines()
    assert said in line


def test_a_demo_that_runs_for_hours_keeps_nothing_after_its_film() -> None:
    from face_perception.bringup.avatar_demo import _DemoClient

    client: Any = SimpleNamespace(keeping=True, sound=[])
    _DemoClient._on_sound(client, "of the film")
    client.keeping = False
    _DemoClient._on_sound(client, "later")
    assert client.sound == ["of the film"]


def test_phonemes_are_sent_sentence_by_sentence() -> None:
    """The talking face keeps the last hundred sentences only."""
    from face_perception.bringup.avatar_demo import _DemoClient

    sent: list[float] = []  # seconds of sound before each sentence
    said = [(Phone("m", start, start + 0.5),) for start in (0.2, 3.0, 6.5)]
    pieces: list[object] = []
    client: Any = SimpleNamespace(
        _recording=Recording(1000, np.zeros((8000, 1), np.int16)),
        _sentences=said,
        _phonemes=SimpleNamespace(publish=lambda _: sent.append(0.02 * len(pieces))),
        _send=lambda piece, _: pieces.append(piece),
        get_clock=lambda: SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=10**18)),
    )
    _DemoClient.send_speech(client, SimpleNamespace(wait=lambda _: False))  # type: ignore[arg-type]
    early = [sentence[0].start - at for sentence, at in zip(said, sent, strict=True)]
    assert all(0 <= seconds <= 1.02 for seconds in early)


def test_why_the_face_does_not_come_up(domain: int, tmp_path: Path) -> None:
    """An error of the node, here a port that is in use, is reported at once."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            ["face-perception", "avatar-demo", "--output", "out", "--port", str(port)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=scaled(55),
            check=False,
        )
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = [text for text in done.stdout.splitlines() if "did not start: " in text]
    assert str(port) in line.split("; see ")[0]


def test_the_demo_speaks_and_leaves_a_film(domain: int, tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    process = subprocess.Popen(
        ["face-perception", "avatar-demo", "--output", "out"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = process.communicate(timeout=scaled(120))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(scaled(20))
    log = (tmp_path / "out" / "avatar.log").read_text()
    assert process.returncode == 0, said + log
    assert "Traceback" not in said + log
    assert "the talking face is at http://127.0.0.1:" in said
    with av.open(str(tmp_path / "out" / "avatar.mp4")) as film:
        assert (len(film.streams.video), len(film.streams.audio)) == (1, 1)
        pictures = [f.to_ndarray(format="rgb24") for f in film.decode(video=0)]
    assert pictures[0].shape == (512, 512, 3)
    assert any(np.abs(p.astype(int) - pictures[0]).mean() > 0.3 for p in pictures)


def test_the_demo_ends_in_the_middle_of_the_speech(domain: int, tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    said = tmp_path / "said"
    with said.open("wb") as out:
        process = subprocess.Popen(
            # Another test may run a demo on the default port.
            [
                *("face-perception", "avatar-demo", "--output", "out", "--duration", "600"),
                *("--port", str(free_port())),
            ],
            cwd=tmp_path,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdout=out,
            stderr=out,
        )
    try:
        end = time.monotonic() + scaled(60)
        while "the talking face is at" not in said.read_text():
            assert time.monotonic() < end, said.read_text()
            time.sleep(0.05)
        time.sleep(0.5)  # it speaks for some seconds
        process.terminate()
        assert process.wait(scaled(20)) == 0, said.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert "Traceback" not in said.read_text()
    assert "spoke 0 times" in said.read_text()
