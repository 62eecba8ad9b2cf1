"""Perceives the faces, gaze, facial expressions and attention of people in front of a robot."""

import os
from pkgutil import extend_path

# ONNX Runtime would collect how it is used and make ~/.cache/Microsoft. It reads this variable when
# it is imported, which is after this package.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# colcon installs the generated messages in another folder of this package. Find them there even if
# Python found this source tree first.
__path__ = extend_path(__path__, __name__)
