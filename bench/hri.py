"""Measures the CPU time that the hri node adds to an image with two faces, in one process.

    python3 bench/hri.py [--images 300] [--hear all | none | tf]

Publishes the results of two faces to an hri node of the same process, as the composed graph does. A
second process hears what --hear names. Prints the CPU time of the thread per image, with that of
handing over the results, and its ratio to the reference work of bench/figures.py. Where
hri_msgs and tf2_msgs are not installed, those of the tests are built (a minute, once).
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "test" / "helpers")]
os.environ.setdefault("ROS_DOMAIN_ID", "78")

from interface_packages import interface_packages

from bench.figures import Figures, add_option, reference_seconds


def with_interfaces() -> None:
    """Starts this program again with the interface packages on its path."""
    folders = interface_packages()
    if folders and "BENCH_HRI" not in os.environ:
        os.environ["BENCH_HRI"] = "1"
        for name, paths in (
            ("PYTHONPATH", folders),
            ("LD_LIBRARY_PATH", [folder.parent for folder in folders]),
        ):
            os.environ[name] = os.pathsep.join([*map(str, paths), os.environ.get(name, "")])
        os.execv(sys.executable, [sys.executable, *sys.argv])


def hear(what: str) -> None:
    """Subscribes to the topics of REP-155, and drops what comes. Runs until it is killed."""
    import rclpy
    from rclpy.node import Node
    from rep155_consumer import Consumer

    class Deaf(Consumer):
        def create_subscription(self, kind: Any, topic: str, callback: Any, qos: Any) -> Any:  # type: ignore[override]
            if what == "all" or topic == "/tf":
                tracked = topic.endswith("tracked")
                return Node.create_subscription(
                    self, kind, topic, callback if tracked else _nothing, qos, raw=not tracked
                )
            return None

        def _print(self, topic: str, message: Any) -> None: ...

    rclpy.init()
    rclpy.spin(Deaf())


def _nothing(_: Any) -> None: ...


def results(stamp: float, faces: list[Any], crops: list[Any], camera: Any) -> dict[str, Any]:
    """Returns the results of an image by topic."""
    import numpy as np
    from std_msgs.msg import Header

    from face_perception import geometry, types
    from face_perception.ros import messages
    from face_perception.ros.result_kinds import Result

    header = Header(stamp=messages.time(stamp), frame_id="camera_optical_frame")
    ids = [face.face_id for face in faces]
    happy = np.eye(7)[types.EXPRESSIONS.index("happy")]
    units = {c: types.ActionUnit(0.3, confidence=0.5) for c in (1, 2, 4, 5, 12, 15, 25, 26, 45)}
    look = geometry.from_yaw_pitch(0.3, -0.2)
    lists: dict[str, list[Any]] = {
        "face_crops": crops,
        "gaze": [
            types.Gaze(i, np.array([0, 0, 1.0]), look, 0.9, True, "geometric", eyes=types.Eyes.OPEN)
            for i in ids
        ],
        "action_units": [types.ActionUnits(i, "landmarks", units) for i in ids],
        "expressions": [types.Expression(i, "net", happy, 0.8) for i in ids],
        "valence_arousal": [types.ValenceArousal(i, "derived", 0.6, 0.2, 0.8) for i in ids],
        "attention": [
            types.Attention(
                *(i, "geometric", True, 0.1, 1.0, types.Target.ROBOT, "", stamp),
                *(types.Engagement.ENGAGED, stamp),
            )
            for i in ids
        ],
    }
    found = {topic: Result(header, values) for topic, values in lists.items()}
    return {"faces": Result(header, faces, camera), **found}


def measure(images: int) -> list[float]:
    """Returns the CPU time of the thread for each image, seconds."""
    import rclpy
    from faces_scene import frame, photo
    from rclpy.executors import SingleThreadedExecutor

    from face_perception.faces import crop_face, load_tracker
    from face_perception.nodes.hri.node import HriNode
    from face_perception.ros import result_kinds
    from face_perception.ros.driver import PerceptionNode
    from face_perception.ros.in_process import InProcess
    from face_perception.ros.node_host import NodeHost
    from face_perception.ros.rclpy_compat import events_executor

    kinds = {
        "faces": result_kinds.FACES,
        "face_crops": result_kinds.FACE_CROPS,
        "gaze": result_kinds.GAZES,
        "action_units": result_kinds.ACTION_UNITS,
        "expressions": result_kinds.EXPRESSIONS,
        "valence_arousal": result_kinds.VALENCE_AROUSAL,
        "attention": result_kinds.ATTENTION,
    }

    class Source(PerceptionNode[Any]):
        def __init__(self, **kwargs: Any) -> None:
            nothing = dataclasses.make_dataclass("Nothing", [], frozen=True)
            super().__init__("source", nothing, **kwargs)

        def setup(self) -> None:
            self.publishers_of = {t: self.publisher(kind, t) for t, kind in kinds.items()}

    tracker = load_tracker()
    faces, crops = [], []
    for number, name in enumerate(("astronaut", "grace_hopper"), 1):
        shot = frame(photo(name))
        faces.append(dataclasses.replace(tracker.detect(shot)[0], face_id=f"face_{number}"))
        crops.append(crop_face(shot.image, faces[-1]))
    rclpy.init()
    inside = InProcess()
    host = NodeHost("bench", in_process=inside)
    source = Source(host=host)
    nodes: list[PerceptionNode[Any]] = [source, HriNode(host=host)]
    executor = events_executor() or SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
    spent = []
    for number in range(images + 200):  # the first ones until everybody has subscribed
        found = results(100.0 + number / 30, faces, crops, shot.camera)
        end = time.monotonic() + 1 / 30
        begin = time.thread_time()
        if number > 30:
            for topic, result in found.items():
                source.publish(source.publishers_of[topic], result)
            while inside.deliver():
                pass
        if number >= 200:
            spent.append(time.thread_time() - begin)
        while (left := end - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=left)
            inside.deliver()
    for node in reversed(nodes):
        node.close()
        node.destroy_node()
    rclpy.try_shutdown()
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--hear", choices=("all", "none", "tf"), default="all")
    parser.add_argument("--consumer", action="store_true", help=argparse.SUPPRESS)
    add_option(parser)
    options = parser.parse_args()
    with_interfaces()
    if options.consumer:
        hear(options.hear)
    command = [sys.executable, __file__, "--consumer", "--hear", options.hear]
    consumer = None if options.hear == "none" else subprocess.Popen(command)
    try:
        spent = measure(options.images)
    finally:
        if consumer is not None:
            consumer.kill()
    median = statistics.median(spent)
    reference = reference_seconds()
    low, *_, high = statistics.quantiles(spent, n=10)
    print(
        f"heard: {options.hear}; {len(spent)} images of two faces: median {1e3 * median:.2f} ms "
        f"(10 % {1e3 * low:.2f}, 90 % {1e3 * high:.2f}) of CPU an image; "
        f"median / reference work ({1e3 * reference:.1f} ms) = {median / reference:.3f}"
    )
    if options.figures:
        saved = Figures("hri")
        saved.add_time(f"hri: CPU an image, heard: {options.hear}", median)
        saved.save(options.figures)


if __name__ == "__main__":
    main()
