"""The ROS 2 nodes: one file per node, or one folder with the node in ``node.py``."""

from importlib import import_module, util
from typing import Any


def node_class(name: str) -> type[Any]:
    """Returns the class of a node, such as FaceTrackerNode for face_tracker."""
    return _class(name, "Node")


def parameters_class(name: str) -> type[Any]:
    """Returns the class of the parameters of a node, such as FaceTrackerParameters."""
    return _class(name, "Parameters")


def _class(node: str, what: str) -> type[Any]:
    module = f"{__name__}.{node}"
    found = util.find_spec(module)
    is_folder = found is not None and found.submodule_search_locations is not None
    title = "".join(word.title() for word in node.split("_"))
    found_class: type[Any] = getattr(
        import_module(f"{module}.node" if is_folder else module), f"{title}{what}"
    )
    return found_class
