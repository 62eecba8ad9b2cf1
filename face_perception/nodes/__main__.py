"""Runs one node in a process: ``python -m face_perception.nodes NAME --ros-args …``."""

import importlib
import os
import signal
import sys


def main(name: str, args: list[str]) -> int:
    """Runs the node ``name``; ``args`` are the arguments for ROS."""
    # Without these handlers, Ctrl-C during the imports below prints a traceback.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from face_perception.bringup.graph import NODES
    from face_perception.exit_codes import EXIT_USAGE
    from face_perception.nodes import module_of

    names = ", ".join(node.name for node in NODES)
    if name not in names.split(", "):
        print(f"there is no node {name!r}: choose one of {names}", file=sys.stderr)
        return EXIT_USAGE
    module = importlib.import_module(module_of(name))
    return int(module.main([name, *args]))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print("usage: python -m face_perception.nodes NODE [--ros-args …]", file=sys.stderr)
        raise SystemExit(2)
    raise SystemExit(main(sys.argv[1], sys.argv[2:]))
