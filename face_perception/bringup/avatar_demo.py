"""The demo of the talking face: its process under the supervisor, given something to say; what is
seen and heard is kept as an mp4.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
import webbrowser
from collections.abc import Iterator
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
from face_perception.bringup.supervisor import Supervisor, end_with_parent, stop_event_on_signals
from face_perception.media import Mp4Error, write_mp4
from face_perception.ros import images, messages
from face_perception.speech import Recording

_CHUNK = 0.02
_BEFORE, _AFTER = 1.0, 1.0  # seconds of the film around the speech
_PAUSE = 2.0
_PATIENCE = 60.0

Sample = npt.NDArray[np.int16]


class _Visitor(Node):
    """Speaks to the face, and keeps what it shows and says."""

    def __init__(self, recording: Recording) -> None:
        super().__init__("avatar_demo")
        self._recording = recording
        self._speech = self.create_publisher(msg.Audio, "speech", QoSProfile(depth=100))
        self.keeping = True
        self.frames: list[CompressedImage] = []
        self.sound: list[msg.Audio] = []
        self.state = -1
        self.values: dict[str, str] = {}
        self.create_subscription(
            CompressedImage, "avatar/image/compressed", self._on_frame, QoSProfile(depth=10)
        )
        self.create_subscription(
            msg.Audio, "avatar/audio", self.sound.append, QoSProfile(depth=200)
        )
        latched = QoSProfile(
            depth=1,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )
        self.create_subscription(msg.AvatarState, "avatar/state", self._on_state, latched)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    @property
    def heard(self) -> bool:
        """Whether the face listens."""
        return bool(self._speech.get_subscription_count() > 0)

    def say(self, ended: threading.Event) -> None:
        """Sends the recording at real-time pace; returns when all is sent, or ``ended`` is set."""
        begin = time.monotonic()
        stamp = self.get_clock().now().nanoseconds * 1e-9
        for k, piece in enumerate(self._recording.pieces(_CHUNK)):
            if ended.wait(max(0.0, begin + k * _CHUNK - time.monotonic())):
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

    def _on_state(self, message: msg.AvatarState) -> None:
        self.state = message.state

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name.endswith("talking_face"):
                self.values = {v.key: v.value for v in status.values}


def run_avatar_demo(
    recording: Recording,
    *,
    portrait: str,
    output: Path,
    port: int = 0,
    duration: float = 0.0,
    log_level: str = "info",
) -> int:
    """Has the face say a recording, and again until ``duration`` seconds are over, or until Ctrl-C
    where there is a display to look at; without one, and without a duration, once. Returns the exit
    code.
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
    supervisor = Supervisor(graph.node_processes(options), log=log)
    rclpy.init()
    # rclpy's own handler ends the context under the speaker; one event ends it in order.
    ended = stop_event_on_signals()
    visitor = _Visitor(recording)
    executor = SingleThreadedExecutor()
    executor.add_node(visitor)
    begin = time.monotonic()

    def until(condition: Any, timeout: float = _PATIENCE) -> bool:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if ended.is_set():
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
            return visitor.heard and len(visitor.frames) > _BEFORE * 10

        if not until(lambda: up() or bool(last_error(log))) or not up():
            reason = last_error(log)
            print(f"the face does not come up: {reason + '; ' if reason else ''}see {log}")
            return 1
        page = f"http://127.0.0.1:{port}/"
        print(f"the face is at {page}" + ("" if display else " (no display here to open it on)"))
        if display:
            webbrowser.open(page)
        while True:
            speaker = threading.Thread(
                target=visitor.say, args=(ended,), name="speaker", daemon=True
            )
            speaker.start()
            until(lambda: not speaker.is_alive(), recording.duration + _PATIENCE)  # noqa: B023
            until(lambda: visitor.state == msg.AvatarState.STATE_IDLE, 5.0)
            until(lambda: False, _AFTER)
            said += 1
            if visitor.keeping:
                visitor.keeping = False
                code = _keep(visitor, film)
            over = time.monotonic() - begin >= duration
            if over if duration or not display else False:
                break
            until(lambda: False, _PAUSE)
    except KeyboardInterrupt:
        pass
    finally:
        ended.set()
        if speaker is not None:
            speaker.join(1.0)
        values = visitor.values
        executor.shutdown()
        visitor.destroy_node()
        rclpy.try_shutdown()
        supervisor.stop()
    print(f"said {said} time(s); what the node said: {log}")
    for name in (
        "delivered (fps)",
        "render time (ms)",
        "frames dropped",
        "A/V offset, worst (ms)",
        "first frame, worst (ms)",
        "loudspeaker",
        "silent because",
    ):
        if values.get(name):
            print(f"  {name:<24} {values[name]}")
    return code


def _keep(visitor: _Visitor, film: Path) -> int:
    """Writes the film; says where it is, or why it is not."""
    rate = visitor.sound[0].sample_rate if visitor.sound else 48_000
    sound = [
        (messages.seconds(m.header.stamp), np.frombuffer(m.samples, np.int16))
        for m in visitor.sound
    ]
    first = sound[0][0] - _BEFORE if sound else 0.0
    try:
        count = write_mp4(film, _pictures(visitor.frames, first), sound, rate)
    except Mp4Error as error:
        print(f"no film: {error}")
        return 1
    print(f"{film}: {count} frames, {recording_length(sound, rate):.1f} s of speech")
    visitor.frames.clear()
    visitor.sound.clear()
    return 0


def last_error(log: Path) -> str:
    """The newest line that a node logged as ERROR or FATAL, without time and name; empty where
    there is none.
    """
    text = log.read_text(encoding="utf-8", errors="replace")
    # Whole lines only: the node may be in the middle of one.
    found = re.findall(r"^\[(?:ERROR|FATAL)\] (?:\[[^\]]*\] ?)*:? ?(.+)\n", text, re.M)
    return str(found[-1]).strip() if found else ""


def recording_length(sound: list[tuple[float, Sample]], rate: int) -> float:
    """Seconds of sound."""
    return sum(len(samples) for _, samples in sound) / rate


def _pictures(frames: list[CompressedImage], first: float) -> Iterator[tuple[float, Any]]:
    for message in frames:
        stamp = messages.seconds(message.header.stamp)
        if stamp >= first:
            yield stamp, images.from_compressed(message)


def _free_port() -> int:
    """8090, or another where that is taken."""
    for port in (8090, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no port is free")
