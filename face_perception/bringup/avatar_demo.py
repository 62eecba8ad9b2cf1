"""The demo of the talking face: starts its node, sends it speech, and records an mp4 file."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
import webbrowser
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage

from face_perception import msg
from face_perception.bringup import graph
from face_perception.bringup.supervisor import (
    Supervisor,
    check_start,
    stop_requested_by_signals,
)
from face_perception.bringup.watched_process import end_with_parent
from face_perception.errors import MissingDependencyError
from face_perception.media import FilmError, image_from_compressed, write_mp4
from face_perception.ros import messages
from face_perception.ros.phoneme_messages import phonemes_to_msg
from face_perception.ros.start_ros import start_ros
from face_perception.speech import Phone, Recording

_CHUNK = 0.02  # seconds of speech in a message
_AHEAD = 1.0  # seconds by which the phonemes of a sentence are sent before it
_BEFORE, _AFTER = 1.0, 1.0  # seconds recorded before and after the speech
_PAUSE = 2.0  # seconds between two repetitions
_TIMEOUT = 60.0  # seconds to wait for the node

Sample = npt.NDArray[np.int16]


class _DemoClient(Node):
    """Sends speech to the talking face, and records its images and sound."""

    def __init__(self, recording: Recording, phonemes: Sequence[Sequence[Phone]]) -> None:
        super().__init__("avatar_demo")
        self._recording, self._sentences = recording, phonemes
        self._phonemes = self.create_publisher(msg.Phonemes, "speech_phonemes", 100)
        self._speech = self.create_publisher(msg.Audio, "speech", QoSProfile(depth=100))
        self.keeping = True
        self.frames: list[CompressedImage] = []
        self.sound: list[msg.Audio] = []
        self.state = -1
        self.values: dict[str, str] = {}
        self.create_subscription(
            CompressedImage, "avatar/image/compressed", self._on_frame, QoSProfile(depth=10)
        )
        self.create_subscription(msg.Audio, "avatar/audio", self._on_sound, QoSProfile(depth=200))
        latched = QoSProfile(
            depth=1,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )
        self.create_subscription(msg.AvatarState, "avatar/state", self._on_state, latched)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    @property
    def has_subscribers(self) -> bool:
        """True if the node of the talking face is subscribed to the speech."""
        return bool(self._speech.get_subscription_count() > 0)

    def send_speech(self, stop: threading.Event) -> None:
        """Sends the recording in real time. Returns at its end, or when ``stop`` is set."""
        begin = time.monotonic()
        stamp = self.get_clock().now().nanoseconds * 1e-9
        # Not all at once: the talking face keeps those of the last sentences only.
        sentences = deque(self._sentences)
        for k, piece in enumerate(self._recording.pieces(_CHUNK)):
            while sentences and sentences[0][0].start <= k * _CHUNK + _AHEAD:
                self._phonemes.publish(phonemes_to_msg(sentences.popleft(), stamp))
            if stop.wait(max(0.0, begin + k * _CHUNK - time.monotonic())):
                return
            self._send(piece, stamp + k * _CHUNK)
        self._send(self._recording.samples[:0], 0.0)

    def _send(self, piece: Sample, stamp: float) -> None:
        message = msg.Audio(sample_rate=self._recording.rate, channels=int(piece.shape[1]))
        message.header.stamp = messages.time(stamp)
        message.samples.frombytes(np.ascontiguousarray(piece).tobytes())
        self._speech.publish(message)

    def _on_frame(self, message: CompressedImage) -> None:
        if self.keeping:
            self.frames.append(message)

    def _on_sound(self, message: msg.Audio) -> None:
        if self.keeping:
            self.sound.append(message)

    def _on_state(self, message: msg.AvatarState) -> None:
        self.state = message.state

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name.endswith("talking_face"):
                self.values = {v.key: v.value for v in status.values}


def run_avatar_demo(
    recording: Recording,
    *,
    phonemes: Sequence[Sequence[Phone]] = (),
    portrait: str,
    output: Path,
    port: int = 0,
    duration: float = 0.0,
    log_level: str = "info",
) -> int:
    """Starts the talking face and lets it speak a recording. Returns the exit code.

    Repeats the recording for ``duration`` seconds. If that is 0, repeats it until Ctrl-C on a
    machine with a display, and speaks it once on a machine without. Writes ``avatar.mp4`` and
    ``avatar.log`` to the folder ``output``. ``port`` is that of the web page, 0 for a free one.
    ``phonemes`` are those of each sentence of the recording, if they are known.
    """
    end_with_parent()
    output.mkdir(parents=True, exist_ok=True)
    log, film = output / "avatar.log", output / "avatar.mp4"
    display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    port = port or _free_port()
    options = graph.GraphOptions(
        nodes=("talking_face",),
        parameters={"talking_face": {"portrait": portrait, "web_port": port}},
        log_level=log_level,
    )
    check_start(options)
    supervisor = Supervisor(graph.node_processes(options), log=log)
    start_ros()
    # rclpy's own signal handler would shut the context down while the speaker thread uses it.
    stop_requested = stop_requested_by_signals()
    speaker_stop = threading.Event()
    client = _DemoClient(recording, phonemes)
    executor = SingleThreadedExecutor()
    executor.add_node(client)
    begin = time.monotonic()

    def until(condition: Any, timeout: float = _TIMEOUT) -> bool:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if stop_requested():
                raise KeyboardInterrupt
            supervisor.poll()
            executor.spin_once(timeout_sec=0.05)
            if condition():
                return True
        return bool(condition())

    code, said = 0, 0
    speaker: threading.Thread | None = None
    try:

        def up() -> bool:
            return client.has_subscribers and len(client.frames) > _BEFORE * 10

        if not until(lambda: up() or bool(last_error(log))) or not up():
            reason = last_error(log)
            print(f"the talking face did not start: {reason + '; ' if reason else ''}see {log}")
            return 1
        page = f"http://127.0.0.1:{port}/"
        print(f"the talking face is at {page}" + ("" if display else " (open it in a browser)"))
        if display:
            webbrowser.open(page)
        while True:
            speaker = threading.Thread(
                target=client.send_speech, args=(speaker_stop,), name="speaker", daemon=True
            )
            speaker.start()
            until(lambda: not speaker.is_alive(), recording.duration + _TIMEOUT)  # noqa: B023
            until(lambda: client.state == msg.AvatarState.STATE_IDLE, 5.0)
            until(lambda: False, _AFTER)
            said += 1
            if client.keeping:
                client.keeping = False
                code = _write_recording(client, film)
            over = time.monotonic() - begin >= duration
            if over if duration or not display else False:
                break
            until(lambda: False, _PAUSE)
    except KeyboardInterrupt:
        pass
    finally:
        speaker_stop.set()
        if speaker is not None:
            speaker.join(1.0)
        values = client.values
        executor.shutdown()
        client.destroy_node()
        rclpy.try_shutdown()
        supervisor.stop()
    times = "once" if said == 1 else f"{said} times"
    print(f"spoke {times}; log of the node: {log}")
    for name, meaning in (
        ("delivered (fps)", "images a second"),
        ("render time (ms)", "time to draw an image (ms)"),
        ("frames dropped", "images dropped"),
        ("A/V offset, worst (ms)", "largest offset of lips and sound (ms)"),
        ("first frame, worst (ms)", "longest wait for the first image of speech (ms)"),
        ("loudspeaker", "loudspeaker"),
        ("silent because", "silent because"),
    ):
        if values.get(name):
            print(f"  {meaning:<48} {values[name]}")
    return code


def _write_recording(client: _DemoClient, film: Path) -> int:
    """Writes the mp4 file, and prints its path or the reason why it was not written."""
    rate = client.sound[0].sample_rate if client.sound else 48_000
    sound = [
        (messages.seconds(m.header.stamp), np.frombuffer(m.samples, np.int16)) for m in client.sound
    ]
    first = sound[0][0] - _BEFORE if sound else 0.0
    try:
        count = write_mp4(film, _pictures(client.frames, first), sound, rate)
    except (FilmError, MissingDependencyError) as error:
        print(f"no mp4 file was written: {error}")
        return 1
    print(f"{film}: {count} frames, {recording_length(sound, rate):.1f} s of speech")
    client.frames.clear()
    client.sound.clear()
    return 0


def last_error(log: Path) -> str:
    """Returns the last line that a node logged as ERROR or FATAL, without time and name.

    Returns an empty text if the log has no error.
    """
    text = log.read_text(encoding="utf-8", errors="replace")
    # Match complete lines only, because the node may be writing one.
    found = re.findall(r"^\[(?:ERROR|FATAL)\] (?:\[[^\]]*\] ?)*:? ?(.+)\n", text, re.M)
    return str(found[-1]).strip() if found else ""


def recording_length(sound: list[tuple[float, Sample]], rate: int) -> float:
    """Returns the length of the sound in seconds. ``rate`` is the sample rate in Hz."""
    return sum(len(samples) for _, samples in sound) / rate


def _pictures(frames: list[CompressedImage], first: float) -> Iterator[tuple[float, Any]]:
    for message in frames:
        stamp = messages.seconds(message.header.stamp)
        if stamp >= first:
            yield stamp, image_from_compressed(message)


def _free_port() -> int:
    """Returns port 8090, or a free port if 8090 is in use."""
    for port in (8090, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no TCP port is free: give one with --port")
