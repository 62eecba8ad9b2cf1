"""Measures the whole graph at 640x480 and 30 Hz: rates, latencies, drops, and each node's CPU.

    python3 bench/graph.py [--seconds 30] [--overlay]

A subscriber in this process counts the delivered messages. Latency is the time from the stamp of
the image to the publishing of the result, as in the diagnostics of each node. CPU is the share of
one core; USS is the memory that a process does not share. With --overlay, there is a subscriber to
overlay/compressed as well.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("ROS_DOMAIN_ID", "77")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

from face_perception import msg
from face_perception.bringup import graph
from face_perception.bringup.supervisor import Supervisor
from face_perception.ros import qos

TOPICS = (
    ("faces", msg.FaceArray),
    ("gaze", msg.GazeArray),
    ("action_units", msg.ActionUnitsArray),
    ("expressions", msg.ExpressionArray),
    ("valence_arousal", msg.ValenceArousalArray),
    ("attention", msg.AttentionArray),
)
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Returns the user and system time of a process, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def uss_megabytes(pid: int) -> float:
    """Returns the unique set size of a process (private clean and dirty pages), MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    private = [line for line in rollup if line.startswith("Private_")]
    return sum(int(line.split()[1]) for line in private) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--overlay", action="store_true")
    options = parser.parse_args()

    nodes = tuple(n.name for n in graph.NODES if n.perceives and not n.needs)
    supervisor = Supervisor(
        graph.node_processes(graph.GraphOptions(nodes=nodes, log_level="warn")), respawn=False
    )
    rclpy.init()
    node = Node("bench")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    counts: Counter[str] = Counter()
    health: dict[str, dict[str, str]] = {}

    def count(topic: str):  # type: ignore[no-untyped-def]
        def received(_: bytes) -> None:
            counts[topic] += 1

        return received

    for topic, message_type in TOPICS:
        # raw, because counting needs no deserialisation
        node.create_subscription(message_type, topic, count(topic), qos.results(), raw=True)
    if options.overlay:
        node.create_subscription(
            CompressedImage, "overlay/compressed", count("overlay"), qos.results(1), raw=True
        )

    def diagnostics(message: DiagnosticArray) -> None:
        for status in message.status:
            health[status.name] = {v.key: v.value for v in status.values}

    node.create_subscription(DiagnosticArray, "/diagnostics", diagnostics, 10)

    def spin(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.05)

    try:
        spin(8.0)  # start-up and first windows
        counts.clear()
        dropped = {name: int(h["dropped"]) for name, h in health.items()}
        before = {name: cpu_seconds(pid) for name, pid in supervisor.pids.items()}
        own = time.process_time()
        begin = time.monotonic()
        spin(options.seconds)
        elapsed = time.monotonic() - begin
        own = time.process_time() - own
        load = os.getloadavg()[0]
        print(f"{elapsed:.0f} s at 640x480, 30 Hz, {os.cpu_count()} cores, load {load:.1f}")
        print(f"{'topic':<16} delivered Hz")
        for topic, number in sorted(counts.items()):
            print(f"{topic:<16} {number / elapsed:8.2f}")
        print(f"{'node':<16} {'p50 ms':>7} {'p95 ms':>7} {'dropped':>7} {'CPU %':>6} {'USS MB':>7}")
        for name, pid in supervisor.pids.items():
            h = health.get(name, {})
            lost = int(h.get("dropped", 0)) - dropped.get(name, 0)
            p50, p95 = h.get("latency p50 (ms)", "-"), h.get("latency p95 (ms)", "-")
            cpu = 100 * (cpu_seconds(pid) - before[name]) / elapsed
            print(f"{name:<16} {p50:>7} {p95:>7} {lost:>7} {cpu:6.1f} {uss_megabytes(pid):7.1f}")
        print(f"{'(this listener)':<16} {'':>7} {'':>7} {'':>7} {100 * own / elapsed:6.1f}")
    finally:
        supervisor.stop()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
