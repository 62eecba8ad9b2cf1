"""The library and the CLI without ROS: ``pip install .``.

The version comes from package.xml, the dependencies from requirements.txt and tools/*.txt.
"""

import xml.etree.ElementTree as ET
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = ET.parse(here / "package.xml").findtext("version")

# Folders of config.
CONFIG = ("diagnostics", "foxglove", "onnx_cards", "rviz", "security", "training")


def listed(file: str) -> list[str]:
    """The requirements in a file."""
    lines = (here / file).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


setup(
    name="face_perception",
    version=version,
    description="Face tracking, gaze, action units, expression and attention for social robots",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    maintainer="face_perception maintainers",
    license="Apache-2.0",
    keywords=["face", "gaze", "facial action units", "expression", "attention", "robot", "ROS 2"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (10, 11, 12, 13, 14)),
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    packages=[
        *find_packages(include=["face_perception", "face_perception.*"]),
        "face_perception.config",
        "face_perception.resources",
        "face_perception.resources.affect",
        "face_perception.resources.gaze",
        "face_perception.resources.models",
        "face_perception.resources.speech",
        *(f"face_perception.config.{name}" for name in CONFIG),
    ],
    package_dir={
        "face_perception.config": "config",
        "face_perception.resources": "resources",
        "face_perception.resources.affect": "resources/affect",
        "face_perception.resources.gaze": "resources/gaze",
        "face_perception.resources.models": "resources/models",
        "face_perception.resources.speech": "resources/speech",
        **{f"face_perception.config.{name}": f"config/{name}" for name in CONFIG},
    },
    package_data={
        "face_perception": ["py.typed"],
        "face_perception.config": ["*.yaml", "*.xml"],
        "face_perception.resources": ["*.html", "*.js", "*.glb"],
        "face_perception.resources.affect": ["*.yaml", "*.onnx", "*.npz"],
        "face_perception.resources.gaze": ["*.yaml", "*.onnx", "*.npz"],
        "face_perception.resources.models": ["*.yaml", "*.npz", "NOTICE"],
        "face_perception.resources.speech": ["*.wav", "*.txt", "*.yaml", "*.onnx", "*.npz"],
        **{
            f"face_perception.config.{name}": ["*.xml", "*.yaml", "*.rviz", "*.json"]
            for name in CONFIG
        },
    },
    install_requires=listed("requirements.txt"),
    extras_require={
        # To import or train the published networks; a robot that runs them needs none. TensorFlow
        # only to read GEDDnet's checkpoint, and not where its variables were saved as an .npz.
        # safetensors is the format in which MuseTalk's autoencoder and whisper are published today.
        "networks": ["torch>=2.10", "safetensors>=0.4"],
        "training": ["torch>=2.10", *listed("tools/training.txt")],
        "tensorflow": ["tensorflow>=2.12.1"],
        # To write tables as Parquet.
        "table": ["pyarrow>=14.0.1"],
        # To read results as data frames (results.read), with the one or the other.
        "pandas": ["pandas>=1.5"],
        "polars": ["polars>=1.0"],
        # To draw the figures of a report.
        "report": ["matplotlib>=3.9"],
        # To analyse clips, and to train with many settings, on several machines.
        "ray": listed("tools/ray.txt"),
        # To read rosbag2 recordings.
        "bags": listed("tools/bags.txt"),
        # To exchange numbers and markers of a session with Lab Streaming Layer.
        "lsl": listed("tools/lsl.txt"),
        # To show the talking face to browsers far away, by WebRTC.
        "calls": listed("tools/calls.txt"),
        # What parts of the talking face need; an error names the package if it is missing.
        "avatar": listed("tools/avatar.txt"),
    },
    entry_points={"console_scripts": ["face-perception = face_perception.cli:main"]},
)
