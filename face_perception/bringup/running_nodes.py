"""Prints the full names of the nodes that run in this ROS domain, as a JSON list.

    python3 -m face_perception.bringup.running_nodes

Runs as a separate process, so that the supervisor does not need DDS.
"""

from __future__ import annotations

import json
import time

import rclpy
from rclpy.node import Node

# Others answer the announcement of a new participant at once; this is for a busy machine.
_DISCOVERY = 0.5  # seconds


def main() -> None:
    rclpy.init(args=[])
    node = Node(
        "_face_perception_names",  # hidden from `ros2 node list` by its first letter
        use_global_arguments=False,
        enable_rosout=False,
        start_parameter_services=False,
    )
    time.sleep(_DISCOVERY)
    found = node.get_node_names_and_namespaces()
    node.destroy_node()
    rclpy.try_shutdown()
    print(json.dumps([f"{namespace.rstrip('/')}/{name}" for name, namespace in found]))


if __name__ == "__main__":
    main()
