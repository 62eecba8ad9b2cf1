"""``python -m face_perception.nodes NAME --ros-args ...``: the process of one node."""

import importlib
import os
import signal
import sys

NODES = ("camera", "face_tracker", "gaze", "affect", "attention", "overlay")


def main(name: str, args: list[str]) -> int:
    """Runs the node ``name``; ``args`` are the arguments for ROS."""
    # Ctrl-C while the imports below still run is no reason for a traceback.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if name not in NODES:
        print(f"there is no node {name!r}: choose one of {', '.join(NODES)}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"face_perception.nodes.{name}")
    return int(module.main([name, *args]))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(f"usage: python -m face_perception.nodes {{{','.join(NODES)}}} [--ros-args …]")
        raise SystemExit(2)
    raise SystemExit(main(sys.argv[1], sys.argv[2:]))
