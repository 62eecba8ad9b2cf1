"""Runs a talking_face node whose loudspeaker has a wrong clock, and sends it speech over DDS.

    python3 skewed_face.py SKEW SECONDS

Runs for SECONDS, and longer if too few frames were shown. Prints JSON: the diagnostics of the node,
and of the frames shown after the clock had settled:

- ``frames``: their number.
- ``typical``, ``worst``: the median and the largest offset from the sound that the device played at
  that moment, seconds.
- ``off``: the largest difference between these offsets and those that the node measured, seconds.

``worst_measured`` are the largest offsets that the node measured of any frame, before and after its
diagnostics were read.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
import time
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage
from waits import scaled

from face_perception import msg, paths
from face_perception.avatar import AudioClock, FramePacer, SilentPlayer
from face_perception.avatar.playback import audio_output as sound
from face_perception.nodes.talking_face.node import TalkingFaceNode
from face_perception.speech import read_wav

CHUNK = 0.02
PAUSE = 1.0
SETTLED = 5.0  # seconds after which the audio clock knows the device's rate
FRAMES = 50  # frames after that, which are enough to tell
PARAMETERS = {"audio_out": "none", "width": 128, "height": 128}


class FirstWord:
    """Forwards to a clock, and records the first report of the player.

    That report and the skew give the sound that is really played, without any filter.
    """

    said: tuple[float, float] | None = None

    def __init__(self, clock: AudioClock) -> None:
        self._clock = clock

    def observe(self, now: float, position: float) -> None:
        if FirstWord.said is None:
            FirstWord.said = now, position
        self._clock.observe(now, position)


class SkewedPlayer(SilentPlayer):
    skew = 0.0

    def __init__(self, playback_queue: Any, clock: Any) -> None:
        super().__init__(playback_queue, FirstWord(clock), skew=self.skew)  # type: ignore[arg-type]


def truly_played(now: float) -> float:
    """Returns the seconds of audio that were heard at a monotonic time."""
    assert FirstWord.said is not None, "nothing has played yet"
    at, position = FirstWord.said
    return position + (now - at) * (1 + SkewedPlayer.skew)


def speak(publisher: Any, ended: threading.Event) -> None:
    """Sends the recording again and again in real time, by the clock of the computer."""
    recording = read_wav(paths.resource("resources/speech/hello.wav"))
    samples, step = recording.samples[:, 0], round(CHUNK * recording.rate)
    while not ended.is_set():
        begin = time.monotonic()
        for k, start in enumerate(range(0, len(samples), step)):
            time.sleep(max(0.0, begin + k * CHUNK - time.monotonic()))
            message = msg.Audio(sample_rate=recording.rate, channels=1)
            message.samples.frombytes(np.ascontiguousarray(samples[start : start + step]).tobytes())
            publisher.publish(message)
        time.sleep(PAUSE)


def main(skew: float, seconds: float) -> None:
    SkewedPlayer.skew = skew
    sound.SilentPlayer = SkewedPlayer
    offsets: list[float] = []
    differences: list[float] = []
    measured_offsets = [0.0]
    show = FramePacer.accept

    def measured(pacer: FramePacer, number: int, now: float) -> bool:
        shown = show(pacer, number, now)
        if shown:
            measured_offsets.append(pacer.offset)
        if shown and FirstWord.said is not None and now > FirstWord.said[0] + SETTLED:
            offsets.append(number / pacer.fps - truly_played(now))
            differences.append(abs(pacer.offset - offsets[-1]))
        return shown

    FramePacer.accept = measured
    rclpy.init()
    node = TalkingFaceNode(
        parameter_overrides=[Parameter(name, value=value) for name, value in PARAMETERS.items()]
    )
    peer = rclpy.create_node("speaker")
    received: list[int] = []
    peer.create_subscription(
        CompressedImage, "avatar/image/compressed", lambda m: received.append(len(m.data)), 10
    )
    publisher = peer.create_publisher(msg.Audio, "speech", 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(peer)
    while not node.active or publisher.get_subscription_count() == 0 or not received:
        executor.spin_once(timeout_sec=0.1)
    ended = threading.Event()
    speaker = threading.Thread(target=speak, args=(publisher, ended))
    speaker.start()
    begin = time.monotonic()
    while speaker.is_alive():
        executor.spin_once(timeout_sec=0.1)
        spoken = time.monotonic() - begin
        # On a busy computer, fewer frames are ready in time.
        if (spoken > seconds and len(offsets) > FRAMES) or spoken > scaled(4 * seconds):
            ended.set()
    before = max(measured_offsets, key=abs)
    report = dataclasses.asdict(node.performer.report())
    after = max(measured_offsets, key=abs)  # frames may be shown meanwhile
    node.close()
    executor.shutdown()
    node.destroy_node()
    peer.destroy_node()
    rclpy.shutdown()
    found = {
        "frames": len(offsets),
        "received": len(received),
        "typical": float(np.median(offsets)),
        "worst": max(offsets, key=abs),
        "off": max(differences),
        "worst_measured": [before, after],
    }
    print(json.dumps({**report, **found}))


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))
