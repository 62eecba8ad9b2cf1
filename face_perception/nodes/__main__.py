"""Runs one or several nodes in a process, each with its arguments for ROS.

    python -m face_perception.nodes NODE [--ros-args …] [-- NODE [--ros-args …]] …

Nodes that share a process hand results to each other without messages (``ros/in_process``).
"""

import os
import signal
import sys

from face_perception.standard_streams import replace_closed_streams


def main(arguments: list[str]) -> int:
    """Runs the nodes that ``arguments`` name. Returns the exit code of the process."""
    replace_closed_streams()
    # Without these handlers, Ctrl-C during the imports below prints a traceback.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from face_perception.bringup.graph import COMPOSED, NODES
    from face_perception.exit_codes import EXIT_USAGE
    from face_perception.nodes import node_class
    from face_perception.ros.node_process import NodeStart, run

    nodes = split(arguments)
    if not nodes:
        print(
            "usage: python -m face_perception.nodes NODE [--ros-args …] [-- NODE [--ros-args …]] …",
            file=sys.stderr,
        )
        return EXIT_USAGE
    known = [node.name for node in NODES]
    for name, *_ in nodes:
        if name not in known:
            print(f"there is no node {name!r}: choose one of {', '.join(known)}", file=sys.stderr)
            return EXIT_USAGE
    starts = [NodeStart(node_class(name), given) for name, *given in nodes]
    return run(nodes[0][0] if len(nodes) == 1 else COMPOSED, starts)


def split(arguments: list[str]) -> list[list[str]]:
    """Returns the name of each node, followed by its arguments.

    >>> split(["gaze", "--ros-args", "-r", "gaze:=g", "--", "attention", "--ros-args"])
    [['gaze', '--ros-args', '-r', 'gaze:=g'], ['attention', '--ros-args']]
    """
    nodes: list[list[str]] = [[]]
    for argument in arguments:
        if argument == "--":
            nodes.append([])
        else:
            nodes[-1].append(argument)
    return [node for node in nodes if node]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
