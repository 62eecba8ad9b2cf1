"""Prints pip's requirement on NumPy that fits a ROS install: the major version that ROS has.

The compiled modules of a ROS install with NumPy 1 (Humble, Jazzy) fail with NumPy 2. Run it with
the Python of ROS. Without NumPy it prints no limit.
"""

from importlib import metadata


def requirement(installed: str | None) -> str:
    """Returns the requirement for a ROS that has NumPy ``installed``, such as 1.26.4."""
    return "numpy<2" if installed and installed.startswith("1.") else "numpy"


def installed_version() -> str | None:
    """Returns the version of NumPy that Python finds here, or None."""
    try:
        return metadata.version("numpy")
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    print(requirement(installed_version()))
