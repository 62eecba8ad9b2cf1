"""Films with sound, and the demo as a user starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import wave
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from waits import scaled

from face_perception.bringup.avatar_demo import last_error
from face_perception.commands.avatar_demo import spoken
from face_perception.media import Mp4Error, write_mp4

av = pytest.importorskip("av")


def test_a_film_has_its_frames_and_sound_at_their_stamps(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    # White from 1.0 s on, and a tone from 1.0 s on; stamps as a robot's clock has them.
    epoch = 1.7e9
    frames = [
        (epoch + k / 30, np.full((65, 64, 3), 255 if k >= 30 else 0, np.uint8)) for k in range(60)
    ]
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 48_000)).astype(np.int16)
    # In two pieces, whose stamps are off by less than a millisecond.
    sound = [(epoch + 1.0, tone[:12_000]), (epoch + 1.2504, tone[12_000:])]
    assert write_mp4(path, frames, sound, 48_000) == 60
    with av.open(str(path)) as film:
        seen = [(f.time, f.to_ndarray(format="gray").mean()) for f in film.decode(video=0)]
    with av.open(str(path)) as film:
        heard = np.concatenate([f.to_ndarray().ravel() for f in film.decode(audio=0)])
    assert len(seen) == 60
    white = next(time for time, level in seen if level > 128)
    loud = np.flatnonzero(np.abs(heard) > 0.05)[0] / 48_000
    assert white == pytest.approx(1.0, abs=0.02)
    assert loud == pytest.approx(1.0, abs=0.03)  # AAC's own frames are 21 ms
    assert not list(tmp_path.glob(".film*"))


def test_no_frames_no_film(tmp_path: Path) -> None:
    with pytest.raises(Mp4Error, match="no frame"):
        write_mp4(tmp_path / "film.mp4", [], [], 48_000)
    assert not list(tmp_path.iterdir())


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(Mp4Error, match="pip install av"):
        write_mp4(tmp_path / "film.mp4", [], [], 48_000)


def test_text_without_espeak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="apt install espeak-ng"):
        spoken("hello", "en")


def refused(*arguments: str, folder: Path) -> str:
    """What ``avatar-demo`` says, having started nothing."""
    done = subprocess.run(
        ["face-perception", "avatar-demo", "--output", str(folder / "out"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )
    assert done.returncode == 1
    assert not (folder / "out").exists(), "a node was started"
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--portrait", "noface.png"], "no face in the portrait"),
        (["--portrait", "nowhere.png"], "portrait nowhere.png: No such file"),
        (["--duration", "-1"], "--duration must be seconds"),
        (["--duration", "nan"], "--duration must be seconds"),
        (["--port", "99999"], "--port must be 1 to 65535"),
        (["--wav", "silence.wav"], "silence.wav has no audio"),
        (["--wav", "nowhere.wav"], "nowhere.wav"),
        (["--output", "noface.png"], "noface.png: File exists: a folder is needed here"),
        (["--output", "noface.png/out"], "out: Not a directory: a folder is needed here"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_started(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    cv2.imwrite(str(tmp_path / "noface.png"), np.full((300, 300, 3), 128, np.uint8))
    with wave.open(str(tmp_path / "silence.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
    assert said in refused(*arguments, folder=tmp_path)


def test_why_the_face_does_not_come_up(domain: int, tmp_path: Path) -> None:
    """What the node itself cannot do, here a port that is taken, is said at once."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            ["face-perception", "avatar-demo", "--output", "out", "--port", str(port)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=55,  # less than the demo's own patience with a face that says nothing
            check=False,
        )
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = [text for text in done.stdout.splitlines() if "does not come up: " in text]
    assert str(port) in line.split("; see ")[0]


def test_the_last_error_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "avatar.log"
    log.write_text("[INFO] [1.5] [talking_face]: up\n")
    assert last_error(log) == ""
    log.write_text(
        "[ERROR] [1.5] [talking_face]: configure: no face\n[WARN] [1.6] [talking_face]: slow\n"
        "[up] talking_face has ended (exit code 1)\n[ERROR] [1.7] [talking_fa"
    )
    assert last_error(log) == "configure: no face"


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
    assert "the face is at http://127.0.0.1:" in said
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
            ["face-perception", "avatar-demo", "--output", "out", "--duration", "600"],
            cwd=tmp_path,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdout=out,
            stderr=out,
        )
    try:
        end = time.monotonic() + scaled(60)
        while "the face is at" not in said.read_text():
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
    assert "said 0 time(s)" in said.read_text()


def audio_common(*, data: dict[str, str], info: bool) -> ModuleType:
    """What ``import audio_common_msgs.msg`` would find: one of the two packages of that name."""
    module = ModuleType("audio_common_msgs.msg")
    kind = type(
        "AudioData", (), {"get_fields_and_field_types": classmethod(lambda cls: dict(data))}
    )
    module.AudioData = kind  # type: ignore[attr-defined]
    if info:
        module.AudioInfo = object  # type: ignore[attr-defined]
    return module


def test_which_audio_common_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from face_perception.ros.audio_input import audio_common_messages

    other = audio_common(data={"float32_data": "sequence<float>", "int16_data": "x"}, info=False)
    ours = audio_common(data={"data": "sequence<uint8>"}, info=True)
    monkeypatch.setitem(sys.modules, "audio_common_msgs", ModuleType("audio_common_msgs"))
    monkeypatch.setitem(sys.modules, "audio_common_msgs.msg", other)
    with pytest.raises(ValueError, match=r"another package of that name .*float32_data"):
        audio_common_messages()
    monkeypatch.setitem(sys.modules, "audio_common_msgs.msg", ours)
    assert audio_common_messages() is ours
