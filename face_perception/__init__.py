"""Gaze, action units, expression, valence/arousal and attention of the people before a robot."""

from pkgutil import extend_path

# The generated messages are installed by colcon, also when this source tree is what Python found
# first.
__path__ = extend_path(__path__, __name__)
