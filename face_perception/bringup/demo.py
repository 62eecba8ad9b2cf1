"""The demo: runs the perception graph, shows the live table, and prints a summary."""

from __future__ import annotations

import time
from pathlib import Path

from face_perception.bringup import graph
from face_perception.bringup.supervisor import Supervisor, check_start
from face_perception.bringup.watch import watch_graph
from face_perception.bringup.watched_process import end_with_parent


def run_demo(options: graph.GraphOptions, *, duration: float = 0.0, pictures: Path) -> int:
    """Runs the graph, shows its results, and prints a summary. Returns the exit code.

    Runs for ``duration`` seconds, or until Ctrl-C if that is 0. Writes the annotated frames and
    ``nodes.log`` to the folder ``pictures``.
    """
    check_start(options)
    end_with_parent()  # otherwise the demo survives a killed `make demo`
    log = pictures / "nodes.log"
    pictures.mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(graph.node_processes(options), log=log)

    def each() -> dict[str, int]:
        supervisor.poll()
        return supervisor.restarts

    begin = time.monotonic()
    try:
        summary, view = watch_graph(
            options.namespace, duration=duration, pictures=pictures, each=each
        )
    finally:
        supervisor.stop()
    seconds = time.monotonic() - begin
    people = "person" if len(summary.ids) == 1 else "people"
    looked = summary.looking / summary.judged if summary.judged else 0.0
    print(
        f"\n{seconds:.0f} s, {summary.frames} images, {len(summary.ids)} {people} (face ids), who "
        f"looked at the robot {looked:.0%} of the time"
    )
    for health in view.nodes:
        value = health.values
        print(
            f"  {health.name:<14} {value.get('output rate (Hz)', '-'):>6} Hz, latency p50/p95 "
            f"{value.get('latency p50 (ms)', '-')}/{value.get('latency p95 (ms)', '-')} ms, "
            f"dropped {value.get('dropped', '-')}: {health.message}"
        )
    for name, count in supervisor.restarts.items():
        print(f"  {name} was restarted " + ("once" if count == 1 else f"{count} times"))
    print(f"annotated frames: {pictures}/overlay_*.jpg; log of the nodes: {log}")
    if not summary.frames:
        print("no frame was processed: see the log for the reason")
        return 1
    return 0
