"""Measures the whole graph: rates, latencies, drops, CPU and memory.

    python3 bench/graph.py [--seconds 20] [--rounds 2] [--faces 1 2 4 8]
        [--sizes 640x480 1920x1080] [--rates 30 60] [--hear TOPIC ...] [--old-executor]
    python3 bench/graph.py --backends onnxruntime tensorrt

For each number of faces, size and rate of the images, runs the graph as separate processes and
composed, in turns, with the same source (`bench/steady_faces.py`). A subscriber in this process
reads the messages of the topics after --hear, by default all results without `overlay/compressed`.
CPU is the user and system time of all processes but the source, per delivered message of the first
topic. Latency is the time from the stamp of the image to the arrival of the message; the table has
that of attention, or of the last topic after --hear, over all rounds. USS is the memory that a
process does not share. Start is the CPU time of all processes until the first message. With
--old-executor, both also run with rclpy's SingleThreadedExecutor. With --backends, the composed
graph runs with each of these backends of the networks instead.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

os.environ.setdefault("ROS_DOMAIN_ID", "77")

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.figures import Figures, add_option
from bench.steady_faces import image_size, stamp_of
from face_perception import msg, paths
from face_perception.bringup import graph
from face_perception.bringup.supervisor import Supervisor
from face_perception.ros import qos
from face_perception.ros.rclpy_compat import events_executor

TOPICS = {
    "faces": msg.FaceArray,
    "gaze": msg.GazeArray,
    "action_units": msg.ActionUnitsArray,
    "expressions": msg.ExpressionArray,
    "valence_arousal": msg.ValenceArousalArray,
    "attention": msg.AttentionArray,
    "overlay/compressed": CompressedImage,
}
SOURCE = Path(__file__).with_name("steady_faces.py")
TICK = os.sysconf("SC_CLK_TCK")
LONGEST_START = 300.0  # seconds that loading the networks may take, engines included
SETTLE = 6.0  # seconds after the first message, for the first windows of the statistics


def cpu_seconds(pid: int) -> float:
    """Returns the user and system time of a process, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def uss_megabytes(pid: int) -> float:
    """Returns the unique set size of a process (private clean and dirty pages), MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    private = [line for line in rollup if line.startswith("Private_")]
    return sum(int(line.split()[1]) for line in private) / 1024


@dataclass(frozen=True)
class Way:
    """A way to run the graph."""

    name: str
    composed: bool
    events: bool = True
    backend: str = "auto"

    def supervisor(self, nodes: tuple[str, ...]) -> Supervisor:
        options = graph.GraphOptions(
            nodes=nodes,
            log_level="warn",
            composed=self.composed,
            parameters={name: self._parameters(name) for name in nodes},
        )
        return Supervisor(graph.node_processes(options), respawn=False)

    def _parameters(self, node: str) -> dict[str, Any]:
        parameters: dict[str, Any] = {"events_executor": self.events}
        if "backend:" in paths.resource(f"config/{node}.yaml").read_text():
            parameters["backend"] = self.backend
        return parameters


class Listener:
    """Measures what is delivered, and keeps the newest diagnostics of each node."""

    def __init__(self, topics: Sequence[str]) -> None:
        self.latencies: dict[str, list[float]] = defaultdict(list)  # seconds, by topic
        self.health: dict[str, dict[str, str]] = {}
        self.node = Node("bench")
        self._executor = events_executor() or SingleThreadedExecutor()
        self._executor.add_node(self.node)
        for topic in topics:
            # raw, because the stamp can be read without deserialising the message
            self.node.create_subscription(
                TOPICS[topic], topic, self._receiver(topic), qos.results(), raw=True
            )
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnostics, 10)

    def _receiver(self, topic: str) -> Callable[[bytes], None]:
        def received(message: bytes) -> None:
            self.latencies[topic].append(time.time() - stamp_of(message))

        return received

    def _diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.health[status.name] = {v.key: v.value for v in status.values}

    def dropped(self) -> Counter[str]:
        """Returns how many inputs each node has dropped so far."""
        return Counter({name: int(values["dropped"]) for name, values in self.health.items()})

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()


@dataclass(frozen=True)
class Case:
    """The images that the graph reads."""

    faces: int
    width: int
    height: int
    rate: int

    def __str__(self) -> str:
        return f"{self.faces} faces, {self.width}x{self.height}, {self.rate} Hz"

    @contextmanager
    def source(self) -> Iterator[None]:
        """Publishes the images inside the block."""
        process = subprocess.Popen(
            [
                *(sys.executable, str(SOURCE)),
                *("--faces", str(self.faces)),
                *("--size", f"{self.width}x{self.height}"),
                *("--rate", str(self.rate)),
            ],
            env=graph.merged_environment(os.environ),
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait()


@dataclass(frozen=True)
class Measured:
    """One round of one way.

    CPU of all processes until the first message (s), and per message (ms) later; their memory (MB);
    messages a second of the first topic; latencies (s) of one topic.
    """

    start: float
    cpu: float
    memory: float
    rate: float
    latencies: Sequence[float]


def percentiles(latencies: Sequence[float]) -> tuple[float, float]:
    """Returns the 50th and 95th percentiles of latencies in milliseconds; NaN without any."""
    if not latencies:
        return float("nan"), float("nan")
    p50, p95 = 1e3 * np.percentile(latencies, (50, 95))
    return float(p50), float(p95)


def measure(
    way: Way, nodes: tuple[str, ...], seconds: float, topics: Sequence[str], listener: Listener
) -> Measured:
    """Runs the graph in a way, prints its figures, and returns them.

    The messages of the first of ``topics`` are counted. The latencies are those of attention, or of
    the last topic without it.
    """
    first = topics[0]
    listener.spin(1.0)  # takes what the graph before sent
    listener.health.clear()
    listener.latencies.clear()
    supervisor = way.supervisor(nodes)
    try:
        end = time.monotonic() + LONGEST_START
        while not listener.latencies[first] and time.monotonic() < end:
            listener.spin(0.02)
        start = sum(cpu_seconds(pid) for pid in supervisor.pids.values())
        listener.spin(SETTLE)
        listener.latencies.clear()
        before_dropped = listener.dropped()
        before = {name: cpu_seconds(pid) for name, pid in supervisor.pids.items()}
        begin = time.monotonic()
        listener.spin(seconds)
        elapsed = time.monotonic() - begin
        used = {name: cpu_seconds(pid) - before[name] for name, pid in supervisor.pids.items()}
        memory = {name: uss_megabytes(pid) for name, pid in supervisor.pids.items()}
    finally:
        supervisor.stop()
    print(f"\n{way.name}: {elapsed:.0f} s, load {os.getloadavg()[0]:.1f}")
    print(f"{'process':<20} {'CPU %':>7} {'USS MB':>7}")
    for name, cpu in used.items():
        print(f"{name:<20} {100 * cpu / elapsed:7.1f} {memory[name]:7.1f}")
    print(f"{'topic':<20} {'Hz':>7} {'p50 ms':>7} {'p95 ms':>7}")
    for topic in topics:
        p50, p95 = percentiles(listener.latencies[topic])
        rate = len(listener.latencies[topic]) / elapsed
        print(f"{topic:<20} {rate:7.2f} {p50:7.1f} {p95:7.1f}")
    dropped = listener.dropped() - before_dropped
    print("dropped:", ", ".join(f"{name} {n}" for name, n in dropped.items()) or "nothing")
    count = len(listener.latencies[first])
    return Measured(
        start,
        1e3 * sum(used.values()) / (count or 1),
        sum(memory.values()),
        count / elapsed,
        tuple(listener.latencies[timed_topic(topics)]),
    )


def timed_topic(topics: Sequence[str]) -> str:
    """Returns the topic whose latencies are in the table."""
    return "attention" if "attention" in topics else topics[-1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--faces", type=int, nargs="+", default=[2])
    parser.add_argument("--sizes", type=image_size, nargs="+", default=[(640, 480)])
    parser.add_argument("--rates", type=int, nargs="+", default=[30], metavar="HZ")
    parser.add_argument(
        "--hear", nargs="+", choices=TOPICS, default=list(TOPICS)[:-1], metavar="TOPIC"
    )
    parser.add_argument("--old-executor", action="store_true")
    parser.add_argument("--backends", nargs="+", choices=("onnxruntime", "tensorrt"))
    add_option(parser)
    options = parser.parse_args()

    saved = Figures("graph")
    if options.backends:
        ways = [Way(f"composed, {name}", True, backend=name) for name in options.backends]
    else:
        ways = [Way("separate", False), Way("composed", True)]
    if options.old_executor:
        ways += [replace(w, name=f"{w.name}, old executor", events=False) for w in ways]
    nodes = tuple(
        n.name
        for n in graph.NODES
        if n.perceives and n.installed and not n.needs and n.name != "camera"
    )
    cases = [
        Case(faces, *size, rate)
        for size, rate, faces in itertools.product(options.sizes, options.rates, options.faces)
    ]
    rclpy.init()
    listener = Listener(options.hear)
    found: dict[Case, dict[str, list[Measured]]] = {}
    try:
        for case in cases:
            print(f"\n== {case}")
            found[case] = {way.name: [] for way in ways}
            with case.source():
                for _, way in itertools.product(range(options.rounds), ways):
                    figures = measure(way, nodes, options.seconds, options.hear, listener)
                    found[case][way.name].append(figures)
    finally:
        listener.close()
        rclpy.try_shutdown()
    print(f"\n{os.cpu_count()} cores; {options.rounds} rounds of {options.seconds:.0f} s")
    print(f"CPU ratio: to {ways[0].name}. Latency: of {timed_topic(options.hear)}")
    print(
        f"{'':<28} {'':<24} {'Hz':>6} {'CPU ms':>7} {'ratio':>6} {'USS MB':>7} {'start, s':>8} "
        f"{'p50 ms':>7} {'p95 ms':>7}  p50/p95 of each round"
    )
    for case, by_way in found.items():
        base = mean(m.cpu for m in by_way[ways[0].name])
        for name, rounds in by_way.items():
            row = f"{case}, {name}"
            cpu, memory = mean(m.cpu for m in rounds), mean(m.memory for m in rounds)
            rate, start = mean(m.rate for m in rounds), mean(m.start for m in rounds)
            latencies = list(itertools.chain.from_iterable(m.latencies for m in rounds))
            p50, p95 = percentiles(latencies)
            saved.add_time(f"{row}: CPU a message", cpu / 1e3)
            saved.add(f"{row}: CPU / {ways[0].name}", cpu / base)
            saved.add(f"{row}: memory, MB", memory)
            saved.add(f"{row}: messages a second", rate, higher_is_better=True)
            if latencies:
                saved.add(f"{row}: latency p50, ms", p50)
                saved.add(f"{row}: latency p95, ms", p95)
            each = " ".join("{:.0f}/{:.0f}".format(*percentiles(m.latencies)) for m in rounds)
            print(
                f"{case!s:<28} {name:<24} {rate:6.2f} {cpu:7.1f} {cpu / base:6.2f} {memory:7.1f} "
                f"{start:8.2f} {p50:7.1f} {p95:7.1f}  {each}"
            )
    if options.figures:
        saved.save(options.figures)


if __name__ == "__main__":
    main()
