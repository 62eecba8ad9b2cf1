"""Measures the talking face at 512x512 and 30 Hz over DDS: frame rate, A/V offset, first frame.

    python3 bench/avatar.py [--minutes 2] [--beside] [--wav FILE] [--skew 0.005]

Sends a recording in chunks of 20 ms, repeatedly with a pause, from a sender whose clock is wrong by
the share ``--skew``. A subscriber to avatar/image in this process counts the frames. With --beside,
the perception graph runs as well, on the sample camera, with subscribers to all its results.
"""

from __future__ import annotations

import argparse
import os
import threading
import time

os.environ.setdefault("ROS_DOMAIN_ID", "78")

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image

from face_perception import msg, paths
from face_perception.bringup import graph
from face_perception.bringup.supervisor import Supervisor
from face_perception.ros import messages, qos
from face_perception.speech import Recording, read_wav

RESULTS = (
    ("faces", msg.FaceArray),
    ("gaze", msg.GazeArray),
    ("action_units", msg.ActionUnitsArray),
    ("expressions", msg.ExpressionArray),
    ("attention", msg.AttentionArray),
)
CHUNK = 0.02


def speak(node: Node, recording: Recording, skew: float, stop: threading.Event) -> None:
    """Sends the recording in real time until ``stop``, with pauses of a second."""
    publisher = node.create_publisher(msg.Audio, "speech", qos.results(50))
    while not stop.is_set():
        begin, stamp = time.monotonic(), time.time()
        for k, piece in enumerate(recording.pieces(CHUNK)):
            due = k * CHUNK / (1 + skew)
            if stop.wait(max(0.0, begin + due - time.monotonic())):
                return
            message = msg.Audio(sample_rate=recording.rate, channels=int(piece.shape[1]))
            message.header.stamp = messages.time(stamp + k * CHUNK)
            message.samples.frombytes(np.ascontiguousarray(piece).tobytes())
            publisher.publish(message)
        stop.wait(1.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--beside", action="store_true")
    parser.add_argument("--wav", default=str(paths.resource("resources/speech/hello.wav")))
    parser.add_argument("--skew", type=float, default=0.0)
    options = parser.parse_args()

    perception = tuple(n.name for n in graph.NODES if n.perceives and n.installed and not n.needs)
    nodes = ("talking_face", *(perception if options.beside else ()))
    face = {"audio_out": "none"}
    supervisor = Supervisor(
        graph.node_processes(
            graph.GraphOptions(nodes=nodes, parameters={"talking_face": face}, log_level="warn")
        ),
        respawn=False,
    )
    rclpy.init()
    node = Node("bench")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    frames = 0
    health: dict[str, str] = {}

    def count(_: bytes) -> None:
        nonlocal frames
        frames += 1

    def diagnostics(message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == "talking_face":
                health.update({v.key: v.value for v in status.values})

    node.create_subscription(Image, "avatar/image", count, qos.results(1), raw=True)
    node.create_subscription(DiagnosticArray, "/diagnostics", diagnostics, 10)
    if options.beside:
        for topic, kind in RESULTS:
            node.create_subscription(kind, topic, lambda _: None, qos.results(), raw=True)

    def spin(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.05)

    stop = threading.Event()
    speaker = threading.Thread(target=speak, args=(node, read_wav(options.wav), options.skew, stop))
    try:
        spin(8.0)
        speaker.start()
        frames, begin = 0, time.monotonic()
        spin(60 * options.minutes)
        elapsed = time.monotonic() - begin
        beside = " beside the perception graph" if options.beside else ""
        print(f"{elapsed:.0f} s{beside}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print(f"{'delivered to a subscriber (fps)':<40} {frames / elapsed:.1f}")
        for name in (
            "render time (ms)",
            "frames dropped",
            "A/V offset, worst (ms)",
            "first frame (ms)",
            "first frame, worst (ms)",
            "ran dry",
            "late chunks",
        ):
            print(f"{name:<40} {health.get(name, '-')}")
    finally:
        stop.set()
        if speaker.is_alive():
            speaker.join()
        supervisor.stop()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
