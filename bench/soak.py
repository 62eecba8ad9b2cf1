"""Runs the whole graph and the talking face for hours, and measures whether anything grows.

    python3 bench/soak.py --hours 2 [--composed] [--output soak.csv]

People come and go in the sample scene; every ten minutes the camera changes to a photograph and
back through the services of its lifecycle; the talking face speaks again and again. Every result
has a subscriber. For each process it prints the memory that the process does not share (USS), open
files, threads and latency, each with a straight line fitted over the second half, in which caches
are warm; and how much of /dev/shm is used. Run it alone on an idle machine: the load is printed.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

os.environ.setdefault("ROS_DOMAIN_ID", "103")
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from bench.avatar import speak
from bench.graph import uss_megabytes
from face_perception import msg, paths
from face_perception.bringup import graph
from face_perception.bringup.supervisor import Supervisor
from face_perception.inference import sample_photo
from face_perception.ros import qos
from face_perception.speech import read_wav

LISTENED: tuple[tuple[str, type[Any]], ...] = (
    ("faces", msg.FaceArray),
    ("face_crops", msg.FaceCrops),
    ("gaze", msg.GazeArray),
    ("action_units", msg.ActionUnitsArray),
    ("expressions", msg.ExpressionArray),
    ("valence_arousal", msg.ValenceArousalArray),
    ("attention", msg.AttentionArray),
    ("overlay/compressed", CompressedImage),
    ("voice_activity", msg.VoiceActivity),
    ("avatar/image", Image),
    ("avatar/state", msg.AvatarState),
)
SOURCE_PERIOD = 600.0  # seconds between two changes of the camera's source


@dataclass(frozen=True)
class Sample:
    """One node at one time."""

    node: str
    seconds: float
    uss_mb: float
    open_files: int
    threads: int
    p50_ms: float
    p95_ms: float
    output_hz: float


def sample(node: str, pid: int, seconds: float, health: dict[str, str]) -> Sample:
    process = Path(f"/proc/{pid}")
    return Sample(
        node=node,
        seconds=seconds,
        uss_mb=uss_megabytes(pid),
        open_files=len(list((process / "fd").iterdir())),
        threads=len(list((process / "task").iterdir())),
        p50_ms=float(health.get("latency p50 (ms)", "nan")),
        p95_ms=float(health.get("latency p95 (ms)", "nan")),
        output_hz=float(health.get("output rate (Hz)", "nan")),
    )


def shared_memory_megabytes() -> float:
    """Returns how much of /dev/shm is used."""
    found = os.statvfs("/dev/shm")
    return (found.f_blocks - found.f_bfree) * found.f_frsize / 2**20


def growth(samples: Sequence[Sample], value: str) -> float:
    """Returns the slope of a straight line through a value, per hour. NaN for less than three."""
    points = [(s.seconds / 3600, getattr(s, value)) for s in samples]
    points = [point for point in points if np.isfinite(point[1])]
    if len(points) < 3:
        return float("nan")
    x, y = np.array(points).T
    return float(np.polyfit(x, y, 1)[0])


def drift(samples: Sequence[Sample]) -> float:
    """Returns the change of the 95th percentile of the latency over the samples, as a share."""
    values = [s.p95_ms for s in samples if np.isfinite(s.p95_ms)]
    if len(values) < 6:
        return float("nan")
    third = len(values) // 3
    return float(np.median(values[-third:]) / np.median(values[:third]) - 1)


class Camera:
    """Changes the source of the camera node between the sample scene and a photograph."""

    def __init__(self, node: Node) -> None:
        self._change = node.create_client(ChangeState, "camera/change_state")
        self._set = node.create_client(SetParameters, "camera/set_parameters")
        self._photo = False
        self._steps: list[Any] = []
        self._pending: Any = None
        self.changes = 0

    def change_source(self) -> None:
        self._photo = not self._photo
        source = str(sample_photo("astronaut")) if self._photo else "sample"
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=source)
        transitions = [
            ChangeState.Request(transition=Transition(id=number))
            for number in (
                Transition.TRANSITION_DEACTIVATE,
                Transition.TRANSITION_CLEANUP,
                Transition.TRANSITION_CONFIGURE,
                Transition.TRANSITION_ACTIVATE,
            )
        ]
        parameter = SetParameters.Request(parameters=[Parameter(name="source", value=value)])
        self._steps = [*transitions[:2], parameter, *transitions[2:]]

    def poll(self) -> None:
        """Sends the next request when the last has been answered."""
        if self._pending is not None and not self._pending.done():
            return
        self._pending = None
        if self._steps:
            request = self._steps.pop(0)
            client = self._change if isinstance(request, ChangeState.Request) else self._set
            self._pending = client.call_async(request)
            self.changes += not self._steps


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument(
        "--composed", action="store_true", help="the perceiving nodes in one process"
    )
    parser.add_argument("--output", type=Path, help="a CSV file for all samples")
    options = parser.parse_args()
    duration = options.hours * 3600
    period = min(20.0, duration / 30)

    recording = paths.resource("resources/speech/hello.wav")
    nodes = tuple(node.name for node in graph.NODES if node.installed and not node.needs)
    supervisor = Supervisor(
        graph.node_processes(
            graph.GraphOptions(
                nodes=nodes,
                log_level="warn",
                composed=options.composed,
                parameters={
                    "microphone": {"source": str(recording)},
                    "talking_face": {"audio_out": "none"},
                },
            )
        )
    )
    rclpy.init()
    node = Node("soak")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    health: dict[str, dict[str, str]] = {}

    def on_diagnostics(message: DiagnosticArray) -> None:
        for status in message.status:
            health[status.name] = {v.key: v.value for v in status.values}

    node.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, 50)
    for topic, kind in LISTENED:
        node.create_subscription(kind, topic, lambda _: None, qos.results(1), raw=True)
    ended = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    speaker = threading.Thread(target=speak, args=(node, read_wav(recording), 0.0, ended))
    camera = Camera(node)
    samples: list[Sample] = []
    shared: list[float] = []
    begin = time.monotonic()
    due, change_due = begin + min(30.0, duration / 10), begin + min(SOURCE_PERIOD, duration / 3)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the beginning", flush=True)
    try:
        speaker.start()
        while not ended.is_set() and (now := time.monotonic()) - begin < duration:
            executor.spin_once(timeout_sec=0.1)
            supervisor.poll()
            camera.poll()
            if now >= change_due:
                change_due = now + min(SOURCE_PERIOD, duration / 3)
                camera.change_source()
            if now >= due:
                due = now + period
                shared.append(shared_memory_megabytes())
                for name, pid in supervisor.pids.items():
                    last = "attention" if name == graph.COMPOSED else name
                    samples.append(sample(name, pid, now - begin, health.get(last, {})))
    finally:
        ended.set()
        speaker.join()
        restarts = supervisor.restarts
        supervisor.stop()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    report(samples, shared, restarts, camera.changes)
    if options.output:
        write_csv(options.output, samples)
    return 0


def report(
    samples: Sequence[Sample], shared: Sequence[float], restarts: dict[str, int], changes: int
) -> None:
    if not samples:
        print("no samples: run it for longer")
        return
    lasted = samples[-1].seconds
    print(
        f"{lasted / 3600:.2f} h, load {os.getloadavg()[0]:.1f} at the end, {changes} changes of "
        f"the source, /dev/shm {shared[0]:.0f} to {shared[-1]:.0f} MB used"
    )
    print(
        f"{'node':<15} {'USS MB':>15} {'MB/h':>7} {'MB/h 2nd half':>13} {'files':>9} "
        f"{'threads':>9} {'p95 ms':>7} {'drift':>6} {'restarts':>8}"
    )
    for name in dict.fromkeys(s.node for s in samples):
        own = [s for s in samples if s.node == name]
        late = [s for s in own if s.seconds > lasted / 2]
        p95 = [s.p95_ms for s in late if np.isfinite(s.p95_ms)]
        print(
            f"{name:<15} {own[0].uss_mb:6.1f} to {own[-1].uss_mb:5.1f} "
            f"{growth(own, 'uss_mb'):+7.1f} {growth(late, 'uss_mb'):+13.1f} "
            f"{own[0].open_files:>3} to {own[-1].open_files:>2} "
            f"{own[0].threads:>3} to {own[-1].threads:>2} "
            f"{np.median(p95) if p95 else float('nan'):7.1f} {drift(own):+6.0%} "
            f"{restarts.get(name, 0):8d}"
        )


def write_csv(path: Path, samples: Sequence[Sample]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        names = [f.name for f in fields(Sample)]
        writer.writerow(names)
        writer.writerows([getattr(s, name) for name in names] for s in samples)


if __name__ == "__main__":
    raise SystemExit(main())
