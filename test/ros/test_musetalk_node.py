"""The talking face with narrow MuseTalk networks, over real DDS."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from generated_weights import weights
from node_processes import NodeProcess, Peer
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from test_talking_face_node import Speaker, State, diagnostics, hello, latched, stamps

from face_perception import cli, msg
from face_perception.avatar import Avatar, load_avatar, save_avatar
from face_perception.media import image_from_message


@pytest.fixture
def _narrow(narrow_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(narrow_models))


class Seen:
    """Records what a talking_face node with MuseTalk publishes, and sends speech to it."""

    def __init__(self, peer: Peer, timeout: float = 60.0) -> None:
        self.peer = peer
        self.states = latched(peer)
        self.frames = peer.listen(Image, "avatar/image")
        self.sound = peer.listen(msg.Audio, "avatar/audio")
        self.values = diagnostics(peer)
        self.speaker = Speaker(peer)
        self.samples, self.rate = hello()
        peer.until(lambda: len(self.frames) > 5, timeout=timeout, why="for frames")
        self.speaker.connect()

    def say(self) -> None:
        """Sends a whole utterance at once, with its end."""
        self.speaker.send(self.samples, self.rate)
        self.speaker.send(self.samples[:0], self.rate)

    def speak(self) -> None:
        """Sends speech until generated lips were seen; on a busy computer some come too late."""
        for _ in range(6):
            wanted = len(self.states) + 2
            self.say()
            self.peer.until(
                lambda wanted=wanted: len(self.states) >= wanted,
                timeout=60.0,
                why="until it has spoken",
            )
            assert [s.state for s in self.states[-2:]] == [State.STATE_SPEAKING, State.STATE_IDLE]
            self.peer.spin(1.2)  # diagnostics come every second
            if self.count("shown") > 2:
                return
        raise AssertionError(f"no lips in time: {self.values()}")

    def count(self, what: str) -> int:
        return int(self.values().get(f"lips, {what}", 0))

    def heard_on_time(self) -> None:
        """Checks that the sound was played without interruption."""
        heard = sum(len(m.samples) for m in self.sound) / 48_000
        times = sum(s.state == State.STATE_SPEAKING for s in self.states)
        assert abs(heard - times * len(self.samples) / self.rate) < 0.5 * times

    def kept_coming(self, fps: float) -> None:
        """Checks that most frames were shown. Late frames are dropped."""
        at = stamps(self.frames)
        print(f"{len(at)} frames in {at[-1] - at[0]:.1f} s")
        assert len(at) > 0.7 * fps * (at[-1] - at[0])


def changed_frames(frames: list[Image], made: Avatar) -> int:
    """Returns the number of frames with generated lips.

    These differ from a picture of the avatar inside its mask, and nowhere else.
    """
    blenders = made.blenders()
    changed = 0
    for image in map(image_from_message, frames):
        inside = []
        for picture, blender in zip(made.pictures, blenders, strict=True):
            differs = (image != picture).any(axis=2)
            left, top, right, bottom = blender.area
            differs[top:bottom, left:right] = False
            inside.append(not differs.any())
        assert any(inside)
        changed += not any(np.array_equal(image, picture) for picture in made.pictures)
    return changed


def is_own(frame: Image, made: Avatar) -> bool:
    """Returns whether a frame equals one of the avatar's own pictures in every byte."""
    return any(np.array_equal(image_from_message(frame), picture) for picture in made.pictures)


# A long delay: on a busy computer, a picture takes a second.
MUSETALK = {"audio_out": "none", "renderer": "musetalk", "rate": 5.0, "threads": 2, "delay": 4.0}


@pytest.mark.usefixtures("_narrow")
def test_lips_follow_speech_and_are_interrupted(
    start: Callable[..., NodeProcess], peer: Peer, narrow_avatar: Path
) -> None:
    made = load_avatar(narrow_avatar)
    node = start("talking_face", avatar=str(narrow_avatar), **MUSETALK)
    seen = Seen(peer)
    states, frames = seen.states, seen.frames
    assert is_own(frames[-1], made)
    assert "frames/s on this computer (UNet" in node.log
    assert "after a warm-up" in node.log
    begun = len(frames)
    assert [s.state for s in states] == [State.STATE_IDLE]
    seen.speak()
    assert changed_frames(frames[begun:], made) >= 2
    seen.heard_on_time()
    seen.kept_coming(MUSETALK["rate"])
    assert (np.diff(stamps(frames[begun:])) > 0.1).all()

    # After an interruption, the avatar's own pictures are shown again within some frames.
    seen.say()
    peer.until(lambda: states[-1].state == State.STATE_SPEAKING, why="until it speaks again")
    peer.spin(0.5)
    assert peer.call(Trigger, "talking_face/interrupt", Trigger.Request()).message == "interrupted"
    peer.until(lambda: states[-1].state == State.STATE_IDLE, why="until it is idle")
    peer.spin(0.5)
    assert is_own(frames[-1], made)


@pytest.mark.usefixtures("_narrow")
def test_a_cheaper_decoder_in_batches(
    start: Callable[..., NodeProcess], peer: Peer, narrow_avatar: Path
) -> None:
    """The tiny decoder; test_musetalk.py compares the lower one with the exact one."""
    decoder, batch = "tiny", 4
    made = load_avatar(narrow_avatar)
    node = start(
        "talking_face", avatar=str(narrow_avatar), decoder=decoder, batch=batch, **MUSETALK
    )
    seen = Seen(peer)
    begun = len(seen.frames)
    seen.speak()
    assert changed_frames(seen.frames[begun:], made) >= 2
    seen.heard_on_time()
    seen.kept_coming(MUSETALK["rate"])
    assert seen.values()["lips, batch"] == str(batch)
    assert "musetalk_tiny_decoder" in seen.values()["lips by"]
    assert f"decoder {decoder}" in node.log
    assert f"in batches of {batch}" in node.log


@pytest.mark.usefixtures("_narrow")
def test_auto_takes_the_portrait_where_musetalk_is_too_slow(
    start: Callable[..., NodeProcess], peer: Peer, narrow_avatar: Path
) -> None:
    node = start("talking_face", audio_out="none", avatar=str(narrow_avatar), rate=60.0)
    frames = peer.listen(Image, "avatar/image")
    values = diagnostics(peer)
    peer.until(lambda: bool(frames) and bool(values()), timeout=60.0, why="for frames")
    assert "the portrait is shown instead of MuseTalk: musetalk: " in node.log
    assert "needs 60 frames/s" in values()["renderer"]


def test_without_networks_it_says_how_to_import_them(
    start: Callable[..., NodeProcess],
    narrow_avatar: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path / "empty"))
    node = start("talking_face", audio_out="none", renderer="musetalk", avatar=str(narrow_avatar))
    log = node.wait_for_log("face-perception import musetalk --unet")
    assert "musetalk_unet" in log


def test_a_decoder_that_was_not_imported_is_named(
    start: Callable[..., NodeProcess],
    narrow_avatar: Path,
    narrow_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = tmp_path / "models"
    shutil.copytree(narrow_models, models, ignore=shutil.ignore_patterns("musetalk_tiny*"))
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(models))
    node = start("talking_face", avatar=str(narrow_avatar), decoder="tiny", **MUSETALK)
    log = node.wait_for_log("musetalk needs musetalk_tiny_decoder")
    assert "face-perception import musetalk --tiny FILE" in log


@pytest.mark.usefixtures("_narrow")
def test_an_avatar_of_another_version_is_refused(
    start: Callable[..., NodeProcess], narrow_avatar: Path, tmp_path: Path
) -> None:
    older = tmp_path / "older.avatar"
    save_avatar(older, dataclasses.replace(load_avatar(narrow_avatar), version="1.0"))
    node = start("talking_face", avatar=str(older), **MUSETALK)
    log = node.wait_for_log("was prepared for MuseTalk 1.0, but the imported UNet is MuseTalk 1.5")
    assert "avatar prepare astronaut -o" in log
    assert "--version 1.5" in log


@pytest.mark.usefixtures("_narrow")
def test_a_damaged_avatar_is_named(
    start: Callable[..., NodeProcess], narrow_avatar: Path, tmp_path: Path
) -> None:
    file = tmp_path / "damaged.avatar"
    data = bytearray(narrow_avatar.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    node = start("talking_face", audio_out="none", renderer="musetalk", avatar=str(file))
    log = node.wait_for_log(str(file))
    assert "was modified" in log
    assert "face-perception avatar prepare" in log


@pytest.mark.slow
def test_all_of_musetalk_runs_and_says_what_it_needs(
    start: Callable[..., NodeProcess],
    peer: Peer,
    own_models: Path,
    tmp_path: Path,
) -> None:
    """Imports networks of the true size with generated weights, and prepares an avatar.

    Needs 4 GB of disk and 10 GB of memory. A CPU is far too slow: the sound is played, and the
    diagnostics report it.
    """
    files = {"unet": "unet", "vae": "vae", "whisper": "whisper_encoder"}
    options = []
    for option, name in files.items():
        file = tmp_path / f"{option}.npz"
        np.savez(file, **weights(f"musetalk_{name}"))
        options += [f"--{option}", str(file)]
    assert cli.main(["import", "musetalk", *options]) == 0
    (tmp_path / "unet.npz").unlink()
    file = tmp_path / "astronaut.avatar"
    assert cli.main(["avatar", "prepare", "astronaut", "-o", str(file), "--seconds", "0.08"]) == 0
    node = start("talking_face", avatar=str(file), **{**MUSETALK, "rate": 25.0})
    seen = Seen(peer, timeout=240.0)
    assert "frames/s on this computer (UNet" in node.log
    assert "needs 25 frames/s" in node.log
    seen.say()
    peer.until(lambda: len(seen.states) >= 3, timeout=60.0, why="until it has spoken")
    counted = lambda: seen.count("late") + seen.count("shown")  # noqa: E731
    peer.until(lambda: counted() > 0, timeout=120.0, why="for generated lips")
    seen.heard_on_time()
    print(seen.values()["renderer"], seen.values()["lips (frames/s)"])
