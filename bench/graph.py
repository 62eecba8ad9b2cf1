"""Measures the whole graph at 640x480 and 30 Hz: rates, latencies, drops, CPU and memory.

    python3 bench/graph.py [--seconds 30] [--rounds 2] [--hear TOPIC ...] [--old-executor]
    python3 bench/graph.py --backends onnxruntime tensorrt

Runs the graph as separate processes and composed, in turns, with the same camera. A subscriber in
this process counts the messages of the topics after --hear, by default all results without
`overlay/compressed`. CPU is the user and system time of all processes but the camera, per delivered
message of the first topic. Latency is the time from the stamp of the image to the publishing of the
result, as in the diagnostics of each node. USS is the memory that a process does not share. Start
is the CPU time of all processes until the first message. With --old-executor, both also run with
rclpy's SingleThreadedExecutor. With --backends, the composed graph runs with each of these backends
of the networks instead.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

os.environ.setdefault("ROS_DOMAIN_ID", "77")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.figures import Figures, add_option
from face_perception import msg, paths
from face_perception.bringup import graph
from face_perception.bringup.supervisor import Supervisor
from face_perception.ros import qos

TOPICS = {
    "faces": msg.FaceArray,
    "gaze": msg.GazeArray,
    "action_units": msg.ActionUnitsArray,
    "expressions": msg.ExpressionArray,
    "valence_arousal": msg.ValenceArousalArray,
    "attention": msg.AttentionArray,
    "overlay/compressed": CompressedImage,
}
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
    """Counts what is delivered, and keeps the newest diagnostics of each node."""

    def __init__(self, topics: Sequence[str]) -> None:
        self.counts: Counter[str] = Counter()
        self.health: dict[str, dict[str, str]] = {}
        self.node = Node("bench")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        for topic in topics:
            # raw, because counting needs no deserialisation
            self.node.create_subscription(
                TOPICS[topic], topic, self._counter(topic), qos.results(), raw=True
            )
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnostics, 10)

    def _counter(self, topic: str) -> Callable[[bytes], None]:
        def received(_: bytes) -> None:
            self.counts[topic] += 1

        return received

    def _diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.health[status.name] = {v.key: v.value for v in status.values}

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()


@dataclass(frozen=True)
class Measured:
    """CPU of all processes until the first message (s), and per message (ms) later.

    Also their memory (MB), and the latencies of attention (ms).
    """

    start: float
    cpu: float
    memory: float
    p50: float
    p95: float


def measure(
    way: Way, nodes: tuple[str, ...], seconds: float, topic: str, listener: Listener
) -> Measured:
    """Runs the graph in a way, prints its figures, and returns them.

    ``topic`` is the one whose messages count.
    """
    listener.spin(1.0)  # takes what the graph before sent
    listener.health.clear()
    listener.counts.clear()
    supervisor = way.supervisor(nodes)
    try:
        end = time.monotonic() + LONGEST_START
        while not listener.counts[topic] and time.monotonic() < end:
            listener.spin(0.02)
        start = sum(cpu_seconds(pid) for pid in supervisor.pids.values())
        listener.spin(SETTLE)
        listener.counts.clear()
        dropped = {name: int(h["dropped"]) for name, h in listener.health.items()}
        before = {name: cpu_seconds(pid) for name, pid in supervisor.pids.items()}
        begin = time.monotonic()
        listener.spin(seconds)
        elapsed = time.monotonic() - begin
        used = {name: cpu_seconds(pid) - before[name] for name, pid in supervisor.pids.items()}
        memory = {name: uss_megabytes(pid) for name, pid in supervisor.pids.items()}
    finally:
        supervisor.stop()
    print(f"\n{way.name}: {elapsed:.0f} s, load {os.getloadavg()[0]:.1f}")
    rates = sorted(f"{heard} {count / elapsed:.2f}" for heard, count in listener.counts.items())
    print(f"delivered, Hz: {', '.join(rates)}")
    print(f"{'process':<16} {'CPU %':>6} {'USS MB':>7}")
    for name, cpu in used.items():
        print(f"{name:<16} {100 * cpu / elapsed:6.1f} {memory[name]:7.1f}")
    print(f"{'node':<16} {'p50 ms':>7} {'p95 ms':>7} {'dropped':>7}")
    for name in nodes:
        h = listener.health.get(name, {})
        lost = int(h.get("dropped", 0)) - dropped.get(name, 0)
        p50, p95 = h.get("latency p50 (ms)", "-"), h.get("latency p95 (ms)", "-")
        print(f"{name:<16} {p50:>7} {p95:>7} {lost:>7}")
    messages = listener.counts[topic] or 1
    latency = listener.health.get("attention", {})
    return Measured(
        start,
        1e3 * sum(used.values()) / messages,
        sum(memory.values()),
        float(latency.get("latency p50 (ms)", "nan")),
        float(latency.get("latency p95 (ms)", "nan")),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=2)
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
    rclpy.init()
    listener = Listener(options.hear)
    camera = Way("camera", False).supervisor(("camera",))
    found: dict[str, list[Measured]] = {way.name: [] for way in ways}
    try:
        for _ in range(options.rounds):
            for way in ways:
                figures = measure(way, nodes, options.seconds, options.hear[0], listener)
                found[way.name].append(figures)
    finally:
        camera.stop()
        listener.close()
        rclpy.try_shutdown()
    print(f"\n640x480, 30 Hz, {os.cpu_count()} cores; mean of {options.rounds}")
    first = ways[0].name
    print(f"CPU ratio: to {first}")
    print(
        f"{'':<24} {'CPU ms':>7} {'ratio':>10} {'USS MB':>7} {'start, s':>8} "
        f"{'attention p50, p95 ms':>22}"
    )
    means = {
        name: Measured(*map(mean, zip(*map(astuple, each), strict=True)))
        for name, each in found.items()
    }
    for name, m in means.items():
        ratio = m.cpu / means[first].cpu
        saved.add_time(f"{name}: CPU a message", m.cpu / 1e3)
        saved.add(f"{name}: CPU / {first}", ratio)
        saved.add(f"{name}: memory, MB", m.memory)
        for quantile, value in (("p50", m.p50), ("p95", m.p95)):
            if math.isfinite(value):
                saved.add(f"{name}: attention {quantile}, ms", value)
        print(
            f"{name:<24} {m.cpu:7.1f} {ratio:10.2f} {m.memory:7.1f} {m.start:8.2f} "
            f"{m.p50:14.1f}, {m.p95:.1f}"
        )
    if options.figures:
        saved.save(options.figures)


if __name__ == "__main__":
    main()
