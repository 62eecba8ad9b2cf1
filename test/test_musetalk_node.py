"""The talking face with MuseTalk over real DDS, its networks narrow."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import NodeProcess, Peer
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from test_talking_face_node import Speaker, State, diagnostics, hello, latched, stamps

from face_perception import cli, msg, paths
from face_perception.avatar import load_avatar
from face_perception.nodes import images


@pytest.fixture(scope="module")
def avatar(narrow_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut for a fifth of a second, by the command."""
    file = tmp_path_factory.mktemp("avatar") / "astronaut.avatar"
    few = ("--seconds", "0.2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACE_PERCEPTION_MODELS", str(narrow_models))
        assert cli.main(["avatar", "prepare", "astronaut", "-o", str(file), *few]) == 0
    return file


@pytest.fixture
def _narrow(narrow_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(narrow_models))


@pytest.mark.usefixtures("_narrow")
def test_lips_follow_speech_and_are_interrupted(
    start: Callable[..., NodeProcess], peer: Peer, avatar: Path
) -> None:
    made = load_avatar(avatar)
    node = start(
        "talking_face",
        audio_out="none",
        renderer="musetalk",
        avatar=str(avatar),
        rate=5.0,
        threads=2,
    )
    states = latched(peer)
    frames = peer.listen(Image, "avatar/image")
    sound = peer.listen(msg.Audio, "avatar/audio")
    values = diagnostics(peer)
    speaker = Speaker(peer)
    peer.until(lambda: len(frames) > 5, timeout=60.0, why="for frames")
    # At rest it is the avatar's own pictures, to the byte.
    assert any(np.array_equal(images.to_array(frames[-1]), p) for p in made.pictures)
    assert "frames/s here" in node.log
    speaker.connect()
    samples, rate = hello()
    begun = len(frames)
    speaker.send(samples, rate)
    speaker.send(samples[:0], rate)  # it ends here
    shown = lambda: int(values().get("lips, shown", 0))  # noqa: E731
    peer.until(lambda: shown() > 2, timeout=60.0, why="for generated lips")
    peer.until(lambda: len(states) >= 3, timeout=60.0, why="until it has spoken")
    assert [s.state for s in states][:3] == [State.IDLE, State.SPEAKING, State.IDLE]

    # Lips are generated within the mask of some picture, and nowhere else.
    spoken = [images.to_array(frame) for frame in frames[begun:]]
    blenders = made.blenders()
    changed = 0
    for image in spoken:
        inside = []
        for picture, blender in zip(made.pictures, blenders, strict=True):
            differs = (image != picture).any(axis=2)
            left, top, right, bottom = blender.area
            differs[top:bottom, left:right] = False
            inside.append(not differs.any())
        assert any(inside)
        changed += not any(np.array_equal(image, picture) for picture in made.pictures)
    assert changed >= 2

    # The sound went on by itself: stamps of frames and sound are the one clock's.
    heard = np.concatenate([np.frombuffer(m.samples, np.int16) for m in sound])
    assert abs(len(heard) / 48_000 - len(samples) / rate) < 0.5
    times = stamps(frames[begun:])
    assert (np.diff(times) > 0.1).all()
    assert abs(float(values()["A/V offset, worst of 1000 frames (ms)"])) <= 200.0

    # Interrupted: within some frames it is the avatar's own picture again.
    speaker.send(samples, rate)
    speaker.send(samples[:0], rate)
    before = shown()
    peer.until(lambda: shown() > before, timeout=60.0, why="for lips again")
    assert peer.call(Trigger, "talking_face/interrupt", Trigger.Request()).message == "interrupted"
    peer.until(lambda: states[-1].state == State.IDLE, why="until it is idle")
    peer.spin(0.5)
    assert any(np.array_equal(images.to_array(frames[-1]), p) for p in made.pictures)


@pytest.mark.usefixtures("_narrow")
def test_auto_takes_the_portrait_where_musetalk_is_too_slow(
    start: Callable[..., NodeProcess], peer: Peer, avatar: Path
) -> None:
    node = start("talking_face", audio_out="none", avatar=str(avatar), rate=60.0)
    frames = peer.listen(Image, "avatar/image")
    values = diagnostics(peer)
    peer.until(lambda: bool(frames) and bool(values()), timeout=60.0, why="for frames")
    assert "the portrait is drawn instead of MuseTalk: musetalk: " in node.log
    assert "needs 60 frames/s" in values()["renderer"]


def test_without_networks_it_says_how_to_import_them(
    start: Callable[..., NodeProcess],
    avatar: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path / "empty"))
    node = start("talking_face", audio_out="none", renderer="musetalk", avatar=str(avatar))
    log = node.wait_for_log("face-perception import musetalk --unet")
    assert "musetalk_unet" in log


@pytest.mark.usefixtures("_narrow")
def test_a_damaged_avatar_is_named(
    start: Callable[..., NodeProcess], avatar: Path, tmp_path: Path
) -> None:
    file = tmp_path / "damaged.avatar"
    data = bytearray(avatar.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    node = start("talking_face", audio_out="none", renderer="musetalk", avatar=str(file))
    log = node.wait_for_log(str(file))
    assert "was changed" in log
    assert "face-perception avatar prepare" in log


@pytest.mark.slow
def test_all_of_musetalk_runs_and_says_what_it_needs(
    start: Callable[..., NodeProcess],
    peer: Peer,
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The true sizes with the weights of the goldens' seed, by the commands; 4 GB of disk, 10 GB of
    memory. Far too slow for a CPU: the sound goes on, and the face says so.
    """
    models = tmp_path / "models"
    shutil.copytree(paths.models_dir(), models)
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(models))
    weights = runpy.run_path(str(shared / "golden" / "musetalk" / "weights.py"))
    files = {"unet": "unet", "vae": "vae", "whisper": "whisper_encoder"}
    options = []
    for option, name in files.items():
        file = tmp_path / f"{option}.npz"
        np.savez(file, **weights[name](1))
        options += [f"--{option}", str(file)]
    assert cli.main(["import", "musetalk", *options]) == 0
    (tmp_path / "unet.npz").unlink()
    file = tmp_path / "astronaut.avatar"
    assert cli.main(["avatar", "prepare", "astronaut", "-o", str(file), "--seconds", "0.08"]) == 0
    node = start(
        "talking_face",
        audio_out="none",
        renderer="musetalk",
        avatar=str(file),
        rate=25.0,
        threads=2,
    )
    states = latched(peer)
    frames = peer.listen(Image, "avatar/image")
    sound = peer.listen(msg.Audio, "avatar/audio")
    values = diagnostics(peer)
    speaker = Speaker(peer)
    peer.until(lambda: len(frames) > 5, timeout=240.0, why="for frames")
    assert "frames/s here (UNet" in node.log
    assert "needs 25 frames/s" in node.log
    speaker.connect()
    samples, rate = hello()
    speaker.send(samples, rate)
    speaker.send(samples[:0], rate)
    peer.until(lambda: len(states) >= 3, timeout=60.0, why="until it has spoken")
    counted = lambda: int(values().get("lips, late", 0)) + int(values().get("lips, shown", 0))  # noqa: E731
    peer.until(lambda: counted() > 0, timeout=120.0, why="for generated lips")
    heard = sum(len(m.samples) for m in sound) / 48_000
    assert abs(heard - len(samples) / rate) < 0.5
    assert abs(float(values()["A/V offset, worst of 1000 frames (ms)"])) <= 40.0
    print(values()["renderer"], values()["lips (frames/s)"])
