"""Subscribes to a running graph, shows its results as a live table, and saves annotated frames."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rich.console import Console
from rich.live import Live
from sensor_msgs.msg import CompressedImage

from face_perception import msg
from face_perception.bringup import live_table
from face_perception.bringup.graph import NODES
from face_perception.bringup.live_table import GraphSnapshot, NodeHealth
from face_perception.bringup.supervisor import stop_requested_by_signals
from face_perception.ros import messages, qos
from face_perception.ros.start_ros import start_ros

_STALE = 1.0  # seconds without a face message after which the faces disappear from the table
_PICTURE_PERIOD = 1.0  # seconds between two saved frames
_MOST_PICTURES = 120


@dataclasses.dataclass
class WatchSummary:
    """Counts over the whole run.

    ``judged`` counts the faces in all images whose attention is known, ``looking`` those of them
    that looked at the robot.
    """

    frames: int = 0
    ids: set[str] = dataclasses.field(default_factory=set)
    judged: int = 0
    looking: int = 0
    pictures: int = 0


class Watcher(Node):
    """Subscribes to all results in one namespace, and keeps the newest of each."""

    def __init__(self, namespace: str = "", pictures: Path | None = None) -> None:
        # Ignore global arguments, so that several instances can watch one graph.
        super().__init__("face_perception_watch", namespace=namespace, use_global_arguments=False)
        self.summary = WatchSummary()
        self._view = GraphSnapshot()
        self._faces_at = 0.0
        self._nodes: dict[str, NodeHealth] = {}
        self._prefix = self.get_namespace().strip("/")
        self._pictures = pictures
        self._picture_at = 0.0

        def listen(message_type: type[Any], topic: str, callback: Callable[[Any], None]) -> None:
            def take(message: Any) -> None:
                try:
                    callback(message)
                # A bad message, or a missing folder for pictures, must not stop the other topics.
                except (ValueError, OSError) as error:
                    self.get_logger().warning(f"{topic}: {error}", throttle_duration_sec=5.0)

            self.create_subscription(message_type, topic, take, qos.results(2))

        listen(msg.FaceArray, "faces", self._on_faces)
        listen(msg.GazeArray, "gaze", self._on_gaze)
        listen(
            msg.ActionUnitsArray,
            "action_units",
            lambda m: self._keep("action_units", m.action_units, messages.action_units_from_msg),
        )
        listen(
            msg.ExpressionArray,
            "expressions",
            lambda m: self._keep("expressions", m.expressions, messages.expression_from_msg),
        )
        listen(
            msg.ValenceArousalArray,
            "valence_arousal",
            lambda m: self._keep("valence_arousal", m.values, messages.valence_arousal_from_msg),
        )
        listen(
            msg.ValenceArousalArray,
            "motion_affect",
            lambda m: self._keep("motion_affect", m.values, messages.valence_arousal_from_msg),
        )
        listen(msg.AttentionArray, "attention", self._on_attention)
        listen(DiagnosticArray, "/diagnostics", self._on_diagnostics)
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
            listen(CompressedImage, "overlay/compressed", self._on_picture)

    def view(self, restarts: Mapping[str, int] | None = None) -> GraphSnapshot:
        """Returns the newest results and diagnostics."""
        faces = self._view.faces if time.monotonic() - self._faces_at < _STALE else ()
        order = [n.name for n in NODES]
        nodes = sorted(
            self._nodes.values(),
            key=lambda h: order.index(n) if (n := h.name.rsplit("/", 1)[-1]) in order else 99,
        )
        return dataclasses.replace(
            self._view, faces=faces, nodes=nodes, restarts=dict(restarts or {})
        )

    def _on_faces(self, message: Any) -> None:
        self._faces_at = time.monotonic()
        faces = [messages.face_from_msg(face) for face in message.faces]
        self.summary.frames += 1
        self.summary.ids |= {face.face_id for face in faces}
        self._view = dataclasses.replace(self._view, faces=faces)

    def _keep(self, key: str, items: Any, convert: Callable[[Any], Any]) -> None:
        values: Any = {item.face_id: convert(item) for item in items}
        self._view = dataclasses.replace(self._view, **{key: values})

    def _on_gaze(self, message: Any) -> None:
        self._keep("gazes", message.gazes, messages.gaze_from_msg)

    def _on_attention(self, message: Any) -> None:
        self.summary.judged += len(message.attention)
        self.summary.looking += sum(1 for a in message.attention if a.looking_at_robot)
        self._keep("attention", message.attention, messages.attention_from_msg)

    def _on_diagnostics(self, message: Any) -> None:
        names = {"/".join(filter(None, (self._prefix, n.name))) for n in NODES}
        for status in message.status:
            if status.name in names:
                level = status.level if isinstance(status.level, int) else status.level[0]
                self._nodes[status.name] = NodeHealth(
                    status.name, level, status.message, {v.key: v.value for v in status.values}
                )

    def _on_picture(self, message: Any) -> None:
        now = time.monotonic()
        if self._pictures is None or now - self._picture_at < _PICTURE_PERIOD:
            return
        self._picture_at = now
        # Keep the last two minutes, so that a long run does not fill the disk.
        number = self.summary.pictures % _MOST_PICTURES
        (self._pictures / f"overlay_{number:03d}.jpg").write_bytes(bytes(message.data))
        self.summary.pictures += 1


def watch_graph(
    namespace: str = "",
    *,
    duration: float = 0.0,
    pictures: Path | None = None,
    each: Callable[[], Mapping[str, int]] = dict,
) -> tuple[WatchSummary, GraphSnapshot]:
    """Shows the results for ``duration`` seconds, or until Ctrl-C if that is 0.

    On a terminal, shows a live table. Elsewhere, prints a line every two seconds. Saves annotated
    frames to the folder ``pictures``, if given. Calls ``each`` several times a second; it returns
    the number of restarts by node. Returns the summary and the last results.
    """
    start_ros()
    # rclpy's own signal handler would shut the context down while the loop uses it.
    stop_requested = stop_requested_by_signals()
    watcher = Watcher(namespace, pictures)
    executor = SingleThreadedExecutor()
    executor.add_node(watcher)
    console = Console()
    begin = time.monotonic()
    shown = begin
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    restarts: Mapping[str, int] = {}
    try:
        if live:
            live.start()
        while not stop_requested() and (not duration or time.monotonic() - begin < duration):
            executor.spin_once(timeout_sec=0.1)
            restarts = each()
            now = time.monotonic()
            if now - shown < (0.25 if live else 2.0):
                continue
            shown = now
            view = watcher.view(restarts)
            if live:
                live.update(live_table.render_table(view), refresh=True)
            else:
                print(f"{now - begin:6.1f} s  {live_table.render_line(view)}", flush=True)
        return watcher.summary, watcher.view(restarts)
    finally:
        if live:
            live.stop()
        executor.shutdown()
        watcher.destroy_node()
        rclpy.try_shutdown()
