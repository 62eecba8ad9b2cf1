"""Perceives the faces, gaze, facial expressions and attention of people in front of a robot."""

from pkgutil import extend_path

# colcon installs the generated messages in another folder of this package. Find them there even if
# Python found this source tree first.
__path__ = extend_path(__path__, __name__)
