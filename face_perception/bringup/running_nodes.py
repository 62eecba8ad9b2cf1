"""Prints the full names of the nodes that run in this ROS domain, as a JSON list.

    python3 -m face_perception.bringup.running_nodes

Runs as a separate process, so that the supervisor does not need DDS.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import rclpy
from rclpy.node import Node

from face_perception.ros.start_ros import start_ros

# Others answer the announcement of a new participant at once, but on a busy machine both get lost.
# The nodes of this package also announce themselves every half second (config/fastdds.xml): one
# such announcement arrives in this time. Longer would delay every start.
_PERIOD, QUIET_LOOKS = 0.1, 8  # seconds between two looks; looks in a row that find nothing new
_MOST_LOOKS = 100  # where nodes come and go all the time


def main() -> None:
    start_ros()
    node = Node(
        "_face_perception_names",  # hidden from `ros2 node list` by its first letter
        use_global_arguments=False,
        enable_rosout=False,
        start_parameter_services=False,
    )
    found = settled_names(node)
    node.destroy_node()
    rclpy.try_shutdown()
    print(json.dumps(found))


def settled_names(node: Node, sleep: Callable[[float], None] = time.sleep) -> list[str]:
    """Returns the full names of all nodes, once nothing new appears in the domain.

    Looks are counted instead of seconds, so that a process that rarely runs waits longer. A new
    topic counts as news too: topics of a participant may become known before its nodes.
    """
    known: object = None
    quiet = 0
    for _ in range(_MOST_LOOKS):
        sleep(_PERIOD)
        names = sorted(node.get_node_names_and_namespaces())
        seen = (names, sorted(node.get_topic_names_and_types()))
        quiet = quiet + 1 if seen == known else 0
        known = seen
        if quiet == QUIET_LOOKS:
            break
    return [f"{namespace.rstrip('/')}/{name}" for name, namespace in names]


if __name__ == "__main__":
    main()
