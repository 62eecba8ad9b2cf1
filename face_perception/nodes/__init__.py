"""The ROS 2 nodes: one file per node, or one folder with the node in ``node.py``."""

from importlib import util


def module_of(name: str) -> str:
    """Returns the name of the module that has ``main()`` and the parameters of a node."""
    module = f"{__name__}.{name}"
    found = util.find_spec(module)
    is_folder = found is not None and found.submodule_search_locations is not None
    return f"{module}.node" if is_folder else module
