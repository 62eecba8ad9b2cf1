"""Measures the CPU time of the dashboard node while a browser shows its page.

    python3 bench/dashboard.py [--seconds 10] [--windows 4] [--rate 30] [--viewers 1]

Publishes images of 640x480 pixels and the results of two faces at the rate of a camera; a
WebSocket confirms each update, as the page does. Prints the share of a core that the process of the
node used in each window, and with --viewers 0 while nobody looks.
"""

from __future__ import annotations

import argparse
import itertools
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "test" / "helpers")]
os.environ.setdefault("ROS_DOMAIN_ID", "79")

from bench.figures import Figures, add_option
from face_perception.bringup import graph

_LONGEST_START = 60.0  # seconds
_WARM_UP = 3.0  # seconds after the start that are not counted


def publish(rate: float) -> None:
    """Publishes images and results until the process is ended."""
    import dataclasses

    import numpy as np
    import rclpy
    from faces_scene import frame, photo
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from bench.hri import results
    from face_perception.faces import load_tracker
    from face_perception.ros import messages, result_kinds

    kinds: dict[str, Any] = {
        "faces": result_kinds.FACES,
        "gaze": result_kinds.GAZES,
        "action_units": result_kinds.ACTION_UNITS,
        "expressions": result_kinds.EXPRESSIONS,
        "valence_arousal": result_kinds.VALENCE_AROUSAL,
        "attention": result_kinds.ATTENTION,
    }
    shot = frame(photo("astronaut"))
    face = load_tracker().detect(shot)[0]
    faces = [dataclasses.replace(face, face_id=f"face_{number}") for number in (1, 2)]
    height, width = 480, 640
    picture = np.ascontiguousarray(np.resize(shot.image[:height, :width], (height, width, 3)))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("source")
    images = node.create_publisher(Image, "image", 1)
    publishers = {t: node.create_publisher(k.message_type, t, 10) for t, k in kinds.items()}
    message = Image(height=height, width=width, step=3 * width, encoding="rgb8")
    for number in itertools.count():
        end = time.monotonic() + 1 / rate
        stamp = time.time()
        picture[:8] = number % 256
        message.data = picture.tobytes()
        message.header = Header(stamp=messages.time(stamp), frame_id="camera_optical_frame")
        images.publish(message)
        time.sleep(0.012)  # as long as the tracker needs
        for topic, result in results(stamp, faces, [], shot.camera).items():
            if topic in kinds:
                publishers[topic].publish(kinds[topic].write(result))
        time.sleep(max(0.0, end - time.monotonic()))


def look(url: str, updates: list[int]) -> None:
    """Confirms each update of a dashboard, as a browser does, and counts them."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    try:
        with connect(url, max_size=None) as page:
            for _ in page:
                updates[0] += 1
                page.send('{"seen": true}')
    except ConnectionClosed:
        return


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def is_served(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def measure(seconds: float, windows: int, rate: float, viewers: int) -> tuple[list[float], float]:
    """Returns the share of a core in each window, and the updates per second of a viewer."""
    port, updates = free_port(), [0]
    command = [sys.executable, "-m", "face_perception.nodes", "dashboard", "--ros-args"]
    source = subprocess.Popen(
        [sys.executable, __file__, "--publish", "--rate", str(rate)],
        env=graph.merged_environment(os.environ, sends_images=True),
    )
    node = subprocess.Popen(
        [*command, "-p", f"web_port:={port}"], env=graph.merged_environment(os.environ)
    )
    try:
        end = time.monotonic() + _LONGEST_START
        while not is_served(port):
            if time.monotonic() > end:
                raise SystemExit("the dashboard did not start")
            time.sleep(0.2)
        for _ in range(viewers):
            url = f"ws://127.0.0.1:{port}/stream"
            threading.Thread(target=look, args=(url, updates), daemon=True).start()
        while viewers and updates[0] < 2 * viewers:
            if time.monotonic() > end:
                raise SystemExit("the dashboard sent nothing")
            time.sleep(0.2)
        time.sleep(_WARM_UP)
        shares, begin = [], updates[0]
        for _ in range(windows):
            before, at = cpu_seconds(node.pid), time.monotonic()
            time.sleep(seconds)
            shares.append((cpu_seconds(node.pid) - before) / (time.monotonic() - at))
        return shares, (updates[0] - begin) / (seconds * windows * max(viewers, 1))
    finally:
        for process in (node, source):
            process.terminate()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--rate", type=float, default=30.0, help="images a second")
    parser.add_argument("--viewers", type=int, default=1)
    parser.add_argument("--publish", action="store_true", help=argparse.SUPPRESS)
    add_option(parser)
    options = parser.parse_args()
    if options.publish:
        publish(options.rate)
    shares, rate = measure(options.seconds, options.windows, options.rate, options.viewers)
    percent = ", ".join(f"{100 * share:.1f}" for share in shares)
    print(
        f"images at {options.rate:.0f} Hz, {options.viewers} viewer(s), {rate:.1f} updates a "
        f"second: {100 * statistics.median(shares):.1f} % of a core ({percent})"
    )
    if options.figures:
        saved = Figures("dashboard")
        saved.add_time("a second of the page", statistics.median(shares))
        saved.save(options.figures)


if __name__ == "__main__":
    main()
