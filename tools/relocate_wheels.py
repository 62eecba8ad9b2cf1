"""Replaces build-machine paths in the CMake files of the ROS 2 wheels by those of this Python.

    python3 tools/relocate_wheels.py PREFIX

PREFIX is the folder that has share/.
"""

import argparse
import re
import sysconfig
from pathlib import Path

import numpy

include = sysconfig.get_path("include")
numpy_include = numpy.get_include()
replacements = (
    (
        re.compile(r"/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy/_core/include"),
        numpy_include,
    ),
    (re.compile(r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+"), include),
)

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("prefix", type=Path, metavar="PREFIX")
changed = 0
for path in (parser.parse_args().prefix / "share").rglob("*.cmake"):
    text = new = path.read_text(errors="surrogateescape")
    for pattern, value in replacements:
        new = pattern.sub(value, new)
    if new != text:
        path.write_text(new, errors="surrogateescape")
        changed += 1
print(f"relocated {changed} CMake files")
